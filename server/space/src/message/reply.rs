//! What Space answers.

use std::fmt;

use super::record::{self, Door, Group, User, Zone, boolean};
use super::request::Request;
use crate::datetime::LocalDateTime;
use crate::ext_id::ExtId;
use crate::limits::WHY_BYTES_MAX;
use crate::xml::{Cursor, XmlError, decode};

/// A whole answer to one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// To [`Request::GetInfo`].
    Info(Info),
    /// To [`Request::OpenDoor`]: one result per door that Space says something about.
    Opened(Vec<OpenResult>),
    /// To [`Request::ReadUsers`].
    Users(Page<User>),
    /// To [`Request::ReadDoors`].
    Doors(Page<Door>),
    /// To [`Request::ReadZones`].
    Zones(Page<Zone>),
    /// To [`Request::ReadGroups`].
    Groups(Page<Group>),
}

/// What `GetInfo` says. Any of it may be absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Info {
    /// `ProtocolID`, `SHIP` where seen.
    pub protocol_id: String,
    /// `ProtocolVersion`.
    pub protocol_version: String,
    /// `DateTime`: what Space's clock shows.
    pub date_time: Option<LocalDateTime>,
    /// `DefaultLanguage`.
    pub default_language: String,
}

/// One `OnlineDoorActionResult`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenResult {
    /// `DoorID`; empty when absent.
    pub door: String,
    /// `ErrorCode`, 0 for done; `None` when absent or no number.
    pub code: Option<i32>,
    /// `ErrorMessage`, shortened to [`WHY_BYTES_MAX`] bytes.
    pub message: String,
}

/// One page of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// What it holds, in Space's order.
    pub items: Vec<T>,
    /// `EOF`: no further page. True when absent.
    pub is_last: bool,
    /// Records that were left out, as they had no usable identifier.
    pub nameless: u32,
}

/// Why an answer is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReplyError {
    /// Space understood and declines: an `Exception`.
    Exception {
        /// `Code`, as listed in the vendor's documents; -1 when it is no number.
        code: i32,
        /// `Message`, shortened to [`WHY_BYTES_MAX`] bytes.
        message: String,
    },
    /// No XML that may be read.
    Xml(XmlError),
    /// The answer to something else, or no answer at all; this was found instead.
    Unexpected(String),
}

impl ReplyError {
    /// Space does not know the request: exception 502.
    #[must_use]
    pub fn is_unknown_command(&self) -> bool {
        matches!(self, Self::Exception { code: 502, .. })
    }
}

impl fmt::Display for ReplyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exception { code, message } if message.is_empty() => {
                write!(f, "Space's exception {code} ({})", exception_words(*code))
            }
            Self::Exception { code, message } => {
                write!(
                    f,
                    "Space's exception {code} ({}): {message}",
                    exception_words(*code)
                )
            }
            Self::Xml(error) => write!(f, "{error}"),
            Self::Unexpected(found) => write!(f, "no answer to the request, but {found}"),
        }
    }
}

impl std::error::Error for ReplyError {}

impl From<XmlError> for ReplyError {
    fn from(error: XmlError) -> Self {
        Self::Xml(error)
    }
}

/// Space's exception and door codes in words.
#[must_use]
pub fn exception_words(code: i32) -> &'static str {
    match code {
        0 => "ok",
        1 => "database",
        4 => "general",
        5 => "aborted",
        7 => "business rule",
        10 => "exists already",
        11 => "not found",
        12 => "bad parameter",
        13 => "not licensed",
        14 => "licence limit",
        100 => "door not found",
        101 => "door busy",
        102 => "door exists already",
        200 => "user not found",
        201 => "user being edited",
        202 => "user exists already",
        400 => "unknown peripheral",
        401 => "no communication with the door",
        402 => "peripheral busy",
        403 => "the door did not answer in time",
        500 => "malformed XML",
        501 => "unexpected nodes",
        502 => "unknown command",
        503 => "bad data type",
        _ => "unlisted",
    }
}

/// Reads the answer to `request`.
///
/// # Errors
/// Any [`ReplyError`]; after one, nothing of the answer may be used.
pub fn read(request: &Request, body: &[u8]) -> Result<Reply, ReplyError> {
    let text = decode(body)?;
    let mut cursor = Cursor::new(&text);
    let root = cursor.child()?.unwrap_or_default();
    if root != "RequestResponse" {
        return Err(ReplyError::Unexpected(shorten(format!(
            "the element {root}"
        ))));
    }
    let mut named = false;
    let mut outcome = None;
    while let Some(element) = cursor.child()? {
        match element.as_str() {
            "RequestName" => {
                let name = cursor.text()?;
                if name != request.name() {
                    return Err(ReplyError::Unexpected(shorten(format!("one to {name:?}"))));
                }
                named = true;
            }
            "Params" if outcome.is_none() => outcome = Some(Ok(params(request, &mut cursor)?)),
            // An exception beside parameters counts: whatever says no wins.
            "Exception" => outcome = Some(Err(exception(&mut cursor)?)),
            _ => cursor.skip()?,
        }
    }
    cursor.finish()?;
    match outcome {
        Some(Err(exception)) => Err(exception),
        Some(Ok(reply)) if named => Ok(reply),
        Some(Ok(_)) => Err(ReplyError::Unexpected("one without a RequestName".into())),
        None => Err(ReplyError::Unexpected(
            "one without Params or Exception".into(),
        )),
    }
}

fn params(request: &Request, cursor: &mut Cursor<'_>) -> Result<Reply, ReplyError> {
    Ok(match request {
        Request::GetInfo => Reply::Info(info(cursor)?),
        Request::OpenDoor(_) => Reply::Opened(open_results(cursor)?),
        Request::ReadUsers { .. } => Reply::Users(page(
            cursor,
            "SaltoDBUserList",
            "SaltoDBUser",
            record::user,
        )?),
        Request::ReadDoors { .. } => Reply::Doors(page(
            cursor,
            "SaltoDBDoorList",
            "SaltoDBDoor",
            record::door,
        )?),
        Request::ReadZones { .. } => Reply::Zones(page(
            cursor,
            "SaltoDBZoneList",
            "SaltoDBZone",
            record::zone,
        )?),
        Request::ReadGroups { .. } => Reply::Groups(page(
            cursor,
            "SaltoDBGroupList",
            "SaltoDBGroup",
            record::group,
        )?),
    })
}

fn info(cursor: &mut Cursor<'_>) -> Result<Info, XmlError> {
    let mut info = Info::default();
    while let Some(element) = cursor.child()? {
        match element.as_str() {
            "ProtocolID" => info.protocol_id = shorten(cursor.text()?),
            "ProtocolVersion" => info.protocol_version = shorten(cursor.text()?),
            "DateTime" => info.date_time = LocalDateTime::parse(&cursor.text()?),
            "DefaultLanguage" => info.default_language = shorten(cursor.text()?),
            _ => cursor.skip()?,
        }
    }
    Ok(info)
}

fn open_results(cursor: &mut Cursor<'_>) -> Result<Vec<OpenResult>, XmlError> {
    let mut results = Vec::new();
    while let Some(element) = cursor.child()? {
        if element != "OnlineDoorActionResultList" {
            cursor.skip()?;
            continue;
        }
        while let Some(element) = cursor.child()? {
            if element == "OnlineDoorActionResult" {
                results.push(open_result(cursor)?);
            } else {
                cursor.skip()?;
            }
        }
    }
    Ok(results)
}

fn open_result(cursor: &mut Cursor<'_>) -> Result<OpenResult, XmlError> {
    let mut result = OpenResult {
        door: String::new(),
        code: None,
        message: String::new(),
    };
    while let Some(element) = cursor.child()? {
        match element.as_str() {
            "DoorID" => result.door = shorten(cursor.text()?),
            "ErrorCode" => result.code = cursor.text()?.parse().ok(),
            "ErrorMessage" => result.message = shorten(cursor.text()?),
            _ => cursor.skip()?,
        }
    }
    Ok(result)
}

fn page<T>(
    cursor: &mut Cursor<'_>,
    list: &str,
    item: &str,
    read: impl Fn(&mut Cursor<'_>) -> Result<Option<T>, XmlError>,
) -> Result<Page<T>, ReplyError> {
    let mut page = Page {
        items: Vec::new(),
        is_last: true,
        nameless: 0,
    };
    let mut listed = false;
    while let Some(element) = cursor.child()? {
        if element == "EOF" {
            let text = cursor.text()?;
            let odd = || ReplyError::Unexpected(shorten(format!("EOF {text:?}")));
            page.is_last = text.is_empty() || boolean(&text).ok_or_else(odd)?;
        } else if element == list {
            listed = true;
            while let Some(element) = cursor.child()? {
                if element != item {
                    cursor.skip()?;
                } else if let Some(record) = read(cursor)? {
                    page.items.push(record);
                } else {
                    page.nameless += 1;
                }
            }
        } else {
            cursor.skip()?;
        }
    }
    // An answer without the list is not an empty list: taking it for one would make everybody
    // vanish.
    if listed {
        Ok(page)
    } else {
        Err(ReplyError::Unexpected(format!("one without {list}")))
    }
}

fn exception(cursor: &mut Cursor<'_>) -> Result<ReplyError, XmlError> {
    let (mut code, mut message) = (-1, String::new());
    while let Some(element) = cursor.child()? {
        match element.as_str() {
            "Code" => code = cursor.text()?.parse().unwrap_or(-1),
            "Message" => message = shorten(cursor.text()?),
            _ => cursor.skip()?,
        }
    }
    Ok(ReplyError::Exception { code, message })
}

/// The identifier, where a result names a door by its identifier.
impl OpenResult {
    /// Whether this is about `door`: it names it, by identifier or as `name`, or names nothing.
    #[must_use]
    pub fn is_about(&self, door: &ExtId, name: Option<&str>) -> bool {
        let by_name = name.is_some_and(|name| name.trim() == self.door);
        self.door.is_empty() || by_name || ExtId::parse(&self.door).as_ref() == Some(door)
    }
}

/// At most [`WHY_BYTES_MAX`] bytes of `text`, without control characters.
pub(crate) fn shorten(text: String) -> String {
    if text.len() <= WHY_BYTES_MAX && !text.contains(char::is_control) {
        return text;
    }
    let mut short = String::new();
    for character in text.chars() {
        let character = if character.is_control() {
            ' '
        } else {
            character
        };
        if short.len() + character.len_utf8() > WHY_BYTES_MAX {
            break;
        }
        short.push(character);
    }
    short
}
