//! A bounded reader of the XML that Space sends; the only file that names quick-xml.
//!
//! [`decode`] turns bytes into text by the document's own declaration. [`Cursor`] then walks the
//! elements downwards: after [`Cursor::child`] returned a name, the caller takes the element with
//! [`Cursor::text`], passes it by with [`Cursor::skip`], or walks its children by calling `child`
//! until it returns `None`.
//!
//! Refused: document types, entities other than the five built in, nesting and text beyond
//! [`crate::limits`], unknown encodings, anything after the root element.

use std::borrow::Cow;
use std::fmt;

use quick_xml::Reader;
use quick_xml::events::Event;

use crate::limits::{XML_DEPTH_MAX, XML_TEXT_BYTES_MAX};

/// Why a document was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum XmlError {
    /// The declaration names an encoding other than UTF-8, US-ASCII and ISO-8859-1.
    UnknownEncoding(String),
    /// The text is not in the encoding that the document declares, from this byte on.
    NotInEncoding {
        /// Offset of the first such byte.
        offset: usize,
    },
    /// A document type declaration, whatever it says.
    DocumentType,
    /// An entity other than `amp`, `lt`, `gt`, `quot`, `apos`.
    Entity(String),
    /// More than [`XML_DEPTH_MAX`] elements within each other.
    TooDeep,
    /// An element with more than [`XML_TEXT_BYTES_MAX`] bytes of text.
    TextTooLong,
    /// The document ends inside an element, or has none.
    Truncated,
    /// Something follows the root element.
    Trailing,
    /// Not well-formed, at this byte.
    Malformed {
        /// Offset where the reader gave up.
        offset: u64,
    },
}

impl fmt::Display for XmlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownEncoding(name) => write!(f, "XML in the unknown encoding {name:?}"),
            Self::NotInEncoding { offset } => {
                write!(f, "XML not in the encoding it declares, at byte {offset}")
            }
            Self::DocumentType => f.write_str("XML with a document type declaration"),
            Self::Entity(name) => write!(f, "XML with the entity {name:?}"),
            Self::TooDeep => write!(f, "XML nested deeper than {XML_DEPTH_MAX}"),
            Self::TextTooLong => {
                write!(
                    f,
                    "XML with more than {XML_TEXT_BYTES_MAX} bytes in one element"
                )
            }
            Self::Truncated => f.write_str("XML that ends too early"),
            Self::Trailing => f.write_str("XML with something after its end"),
            Self::Malformed { offset } => write!(f, "malformed XML at byte {offset}"),
        }
    }
}

impl std::error::Error for XmlError {}

/// The document as text, by its byte order mark or its declaration. Without either it is UTF-8.
///
/// # Errors
/// [`XmlError::UnknownEncoding`] and [`XmlError::NotInEncoding`].
pub fn decode(bytes: &[u8]) -> Result<Cow<'_, str>, XmlError> {
    const UTF8_MARK: &[u8] = &[0xEF, 0xBB, 0xBF];
    let body = bytes.strip_prefix(UTF8_MARK).unwrap_or(bytes);
    let latin1 = match declared_encoding(body) {
        None => false,
        Some(name) if name.eq_ignore_ascii_case("utf-8") => false,
        Some(name) if name.eq_ignore_ascii_case("utf8") => false,
        Some(name) if name.eq_ignore_ascii_case("us-ascii") => false,
        Some(name) if name.eq_ignore_ascii_case("iso-8859-1") => true,
        Some(name) if name.eq_ignore_ascii_case("latin1") => true,
        Some(name) => return Err(XmlError::UnknownEncoding(shorten(name))),
    };
    if latin1 {
        // Each byte of ISO-8859-1 is the code point of the same number.
        return Ok(Cow::Owned(
            body.iter().map(|&byte| char::from(byte)).collect(),
        ));
    }
    let text = std::str::from_utf8(body);
    text.map(Cow::Borrowed)
        .map_err(|error| XmlError::NotInEncoding {
            offset: error.valid_up_to(),
        })
}

/// The value of `encoding` in the declaration, in single or double quotes.
fn declared_encoding(body: &[u8]) -> Option<&str> {
    const DECLARATION_BYTES_MAX: usize = 200;
    let head = &body[..body.len().min(DECLARATION_BYTES_MAX)];
    let start = head.iter().position(|byte| !byte.is_ascii_whitespace())?;
    let head = head[start..].strip_prefix(b"<?xml")?;
    let end = head.windows(2).position(|pair| pair == b"?>")?;
    let head = std::str::from_utf8(&head[..end]).ok()?;
    let (_, after) = head.split_once("encoding")?;
    let after = after.trim_start().strip_prefix('=')?.trim_start();
    let quote = after
        .chars()
        .next()
        .filter(|&quote| quote == '"' || quote == '\'')?;
    after[1..].split(quote).next()
}

fn shorten(name: &str) -> String {
    name.chars().take(40).collect()
}

/// The element in which a [`Cursor`] stands, or one event below it.
enum Node {
    Open(String),
    Close,
    Text(String),
    End,
}

/// Walks a document's elements; see the module's documentation.
pub struct Cursor<'a> {
    reader: Reader<&'a [u8]>,
    depth: usize,
    root_seen: bool,
}

impl<'a> Cursor<'a> {
    /// Stands before the root element, which [`Self::child`] returns first.
    #[must_use]
    pub fn new(text: &'a str) -> Self {
        // A declaration must come first, and real servers put blanks before it.
        let mut reader = Reader::from_str(text.trim_start());
        reader.config_mut().expand_empty_elements = true;
        Self {
            reader,
            depth: 0,
            root_seen: false,
        }
    }

    /// Goes to the next child of the current element and into it. `None` when there is no
    /// further one: the current element is left, and its parent is the current one again.
    ///
    /// # Errors
    /// Any [`XmlError`].
    pub fn child(&mut self) -> Result<Option<String>, XmlError> {
        loop {
            match self.node()? {
                Node::Open(name) => return Ok(Some(name)),
                Node::Close | Node::End => return Ok(None),
                Node::Text(_) => {}
            }
        }
    }

    /// The current element's text, without blanks at both ends, and leaves it. Elements within
    /// are passed by.
    ///
    /// # Errors
    /// Any [`XmlError`].
    pub fn text(&mut self) -> Result<String, XmlError> {
        let mut text = String::new();
        loop {
            match self.node()? {
                Node::Open(_) => self.skip()?,
                Node::Close | Node::End => break,
                Node::Text(part) => {
                    if text.len() + part.len() > XML_TEXT_BYTES_MAX {
                        return Err(XmlError::TextTooLong);
                    }
                    text.push_str(&part);
                }
            }
        }
        let trimmed = text.trim();
        Ok(if trimmed.len() == text.len() {
            text
        } else {
            trimmed.to_owned()
        })
    }

    /// Leaves the current element, whatever is in it.
    ///
    /// # Errors
    /// Any [`XmlError`].
    pub fn skip(&mut self) -> Result<(), XmlError> {
        let outside = self.depth - 1;
        while self.depth > outside {
            self.node()?;
        }
        Ok(())
    }

    /// Reads on to the document's end, after the root element was left.
    ///
    /// # Errors
    /// [`XmlError::Trailing`], and any other.
    pub fn finish(mut self) -> Result<(), XmlError> {
        loop {
            match self.node()? {
                Node::End => return Ok(()),
                Node::Text(text) if text.trim().is_empty() => {}
                Node::Open(_) | Node::Close | Node::Text(_) => return Err(XmlError::Trailing),
            }
        }
    }

    fn node(&mut self) -> Result<Node, XmlError> {
        loop {
            let event = self.reader.read_event();
            let offset = self.reader.buffer_position();
            let event = event.map_err(|_| XmlError::Malformed { offset })?;
            match event {
                Event::Start(start) => {
                    if self.depth == 0 && self.root_seen {
                        return Err(XmlError::Trailing);
                    }
                    if self.depth == XML_DEPTH_MAX {
                        return Err(XmlError::TooDeep);
                    }
                    self.depth += 1;
                    self.root_seen = true;
                    return Ok(Node::Open(start.local_name().as_ref().to_owned()));
                }
                Event::End(_) if self.depth == 0 => return Err(XmlError::Malformed { offset }),
                Event::End(_) => {
                    self.depth -= 1;
                    return Ok(Node::Close);
                }
                Event::Text(text) => return Ok(Node::Text(text.xml10_content().into_owned())),
                Event::CData(text) => return Ok(Node::Text(text.xml10_content().into_owned())),
                Event::GeneralRef(reference) => return Ok(Node::Text(resolve(&reference)?)),
                Event::DocType(_) => return Err(XmlError::DocumentType),
                Event::Eof if self.depth > 0 || !self.root_seen => return Err(XmlError::Truncated),
                Event::Eof => return Ok(Node::End),
                Event::Empty(_) => return Err(XmlError::Malformed { offset }),
                Event::Decl(_) | Event::PI(_) | Event::Comment(_) => {}
            }
        }
    }
}

/// A character reference or one of the five entities that every document has.
fn resolve(reference: &quick_xml::events::BytesRef<'_>) -> Result<String, XmlError> {
    let unknown = || XmlError::Entity(shorten(reference));
    match reference.resolve_char_ref() {
        Ok(Some(character)) => return Ok(character.to_string()),
        Ok(None) => {}
        Err(_) => return Err(unknown()),
    }
    let text = match &**reference {
        "amp" => "&",
        "lt" => "<",
        "gt" => ">",
        "quot" => "\"",
        "apos" => "'",
        _ => return Err(unknown()),
    };
    Ok(text.to_owned())
}

/// Appends `text` with the characters that XML reserves escaped, and those it forbids left out.
pub fn escape(text: &str, into: &mut String) {
    for character in text.chars() {
        match character {
            '&' => into.push_str("&amp;"),
            '<' => into.push_str("&lt;"),
            '>' => into.push_str("&gt;"),
            '\t' | '\n' | '\r' => into.push(character),
            character if character < ' ' => {}
            character => into.push(character),
        }
    }
}

#[cfg(test)]
mod tests;
