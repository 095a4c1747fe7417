//! Files that a browser sends with a form (`multipart/form-data`, RFC 7578). The whole body is in
//! memory already, within its bound; parts are slices of it.

use super::form::Form;

/// Parts of one body.
const PARTS_MAX: usize = 32;

/// One part.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Part<'a> {
    /// The field's name.
    pub name: String,
    /// What the file is called where it comes from; shown, and used for nothing else.
    pub file_name: Option<String>,
    /// The content.
    pub bytes: &'a [u8],
}

/// The parts of a body with this `Content-Type`; none if it is not of this form.
pub(super) fn parse<'a>(content_type: &str, body: &'a [u8]) -> Option<Vec<Part<'a>>> {
    let (kind, parameters) = content_type.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let boundary = parameter(parameters, "boundary")?;
    if boundary.is_empty() || boundary.len() > 70 {
        return None;
    }
    let delimiter = format!("\r\n--{boundary}");
    let mut rest = body.strip_prefix(delimiter.trim_start().as_bytes())?;
    let mut parts = Vec::new();
    loop {
        if rest.starts_with(b"--") {
            return Some(parts);
        }
        rest = rest.strip_prefix(b"\r\n")?;
        if parts.len() == PARTS_MAX {
            return None;
        }
        let head_end = find(rest, b"\r\n\r\n")?;
        let (head, content) = (&rest[..head_end], &rest[head_end + 4..]);
        let end = find(content, delimiter.as_bytes())?;
        parts.push(part(head, &content[..end])?);
        rest = &content[end + delimiter.len()..];
    }
}

/// The parts that are no files, as a form.
pub(super) fn fields(parts: &[Part<'_>]) -> Form {
    let fields = parts.iter().filter(|part| part.file_name.is_none());
    let fields = fields.map(|part| {
        let value = String::from_utf8_lossy(part.bytes).into_owned();
        (part.name.clone(), value)
    });
    Form::of(fields.collect())
}

fn part<'a>(head: &[u8], bytes: &'a [u8]) -> Option<Part<'a>> {
    let head = std::str::from_utf8(head).ok()?;
    let disposition = head.split("\r\n").find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-disposition")
            .then_some(value)
    })?;
    let parameters = disposition.trim().strip_prefix("form-data")?;
    Some(Part {
        name: parameter(parameters, "name")?,
        file_name: parameter(parameters, "filename"),
        bytes,
    })
}

/// The value of `; name=value` or `; name="value"`.
fn parameter(parameters: &str, name: &str) -> Option<String> {
    let mut rest = parameters;
    loop {
        rest = rest.trim_start_matches([';', ' ']);
        let (known, after) = rest.split_once('=')?;
        let (value, next) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => after.split_at(after.find(';').unwrap_or(after.len())),
        };
        if known.trim().eq_ignore_ascii_case(name) {
            // Browsers write a quote in a name so.
            return Some(value.replace("%22", "\""));
        }
        rest = next;
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    let first = *wanted.first()?;
    let mut from = 0;
    loop {
        let at = from + bytes.get(from..)?.iter().position(|byte| *byte == first)?;
        if bytes[at..].starts_with(wanted) {
            return Some(at);
        }
        from = at + 1;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TYPE: &str = "multipart/form-data; boundary=XX";

    #[test]
    fn files_and_fields_come_apart() {
        let body = b"--XX\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\none\r\n--XX\r\n\
            content-disposition: form-data; name=\"f\"; filename=\"x.png\"\r\n\
            Content-Type: image/png\r\n\r\n\x89\r\n--X\r\n\r\n--XX--\r\n";
        let parts = parse(TYPE, body).expect("well-formed");
        assert_eq!(parts.len(), 2);
        assert_eq!(
            (parts[1].name.as_str(), parts[1].bytes),
            ("f", &b"\x89\r\n--X\r\n"[..])
        );
        assert_eq!(parts[1].file_name.as_deref(), Some("x.png"));
        let form = fields(&parts);
        assert_eq!((form.text("a"), form.has("f")), ("one", false));
        assert_eq!(parse("text/plain; boundary=XX", body), None);
        assert_eq!(parse(TYPE, &body[..body.len() - 8]), None);
        let many = b"--XX\r\ncontent-disposition: form-data; name=a\r\n\r\n\r\n".repeat(40);
        assert_eq!(parse(TYPE, &[&many[..], b"--XX--"].concat()), None);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..500), kind in ".{0,60}") {
            let _ = parse(&kind, &bytes);
            let _ = parse(TYPE, &[b"--XX\r\n", &bytes[..]].concat());
        }
    }
}
