//! The head of a request: where it ends, and what it says.

use std::borrow::Cow;

use super::refusal::Refusal;
use super::request::{Field, Fields, Method, kept};
use crate::limits::{
    BODY_BYTES_MAX, HEAD_BYTES_MAX, HEADERS_MAX, LARGE_BODY_BYTES_MAX, TARGET_BYTES_MAX,
};

/// What a head says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) method: Method,
    pub(super) target: Cow<'static, str>,
    pub(super) fields: Fields,
    /// Length of the body that follows, at most what [`body_bytes_max`] says.
    pub(super) length: usize,
    /// The peer asks to close after the answer.
    pub(super) close: bool,
}

/// Finds the end of a head that arrives in pieces, looking at each byte once.
#[derive(Debug, Default)]
pub(super) struct Scan {
    /// Bytes seen since the head began.
    seen: usize,
    /// Bytes of the line that is not ended yet.
    line: usize,
    /// Whether the last byte seen was CR.
    carriage_return: bool,
    /// Whether the request line is whole.
    first_line_ended: bool,
}

impl Scan {
    /// Looks at the next bytes. Returns how many of them belong to the head when it ends there.
    ///
    /// # Errors
    /// A line that ends in LF alone, an empty first line, or more than `HEAD_BYTES_MAX`.
    pub(super) fn advance(&mut self, bytes: &[u8]) -> Result<Option<usize>, Refusal> {
        for (i, &byte) in bytes.iter().enumerate() {
            if self.seen == HEAD_BYTES_MAX {
                return Err(match self.first_line_ended {
                    true => Refusal::HeadTooLong,
                    false => Refusal::TargetTooLong,
                });
            }
            self.seen += 1;
            if byte != b'\n' {
                self.line += 1;
                self.carriage_return = byte == b'\r';
                continue;
            }
            if !self.carriage_return {
                return Err(Refusal::BareLineFeed);
            }
            if self.line == 1 {
                return match self.first_line_ended {
                    true => Ok(Some(i + 1)),
                    false => Err(Refusal::MalformedHead),
                };
            }
            self.first_line_ended = true;
            self.carriage_return = false;
            self.line = 0;
        }
        Ok(None)
    }
}

impl Head {
    /// Reads a whole head, from the request line to the empty line.
    ///
    /// # Errors
    /// Whatever RFC 9112 does not allow, and what the table in [`super`] names.
    pub(super) fn parse(bytes: &[u8]) -> Result<Head, Refusal> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut parsed = httparse::Request::new(&mut headers);
        match parsed.parse(bytes) {
            Ok(httparse::Status::Complete(end)) if end == bytes.len() => {}
            // The scan found one end; httparse must not find another.
            Ok(_) => return Err(Refusal::MalformedHead),
            Err(httparse::Error::Version) => return Err(Refusal::Version),
            Err(httparse::Error::TooManyHeaders) => return Err(Refusal::TooManyFields),
            Err(_) => return Err(Refusal::MalformedHead),
        }
        if parsed.version != Some(1) {
            return Err(Refusal::Version);
        }
        let target = parsed.path.ok_or(Refusal::MalformedHead)?;
        let target = check_target(target)?;
        let method = parsed.method.and_then(Method::from_name);
        let method = method.ok_or(Refusal::UnknownMethod)?;
        let lines = Lines::read(parsed.headers)?;
        let length = lines.body_length(method, body_bytes_max(target))?;
        Ok(Head {
            method,
            target: kept(target),
            fields: lines.fields,
            length,
            close: lines.close,
        })
    }
}

/// How long the body of a request for this target may be: what browsers and scripts send to the
/// console may be a file. Every other path keeps the bound that devices need.
fn body_bytes_max(target: &str) -> usize {
    const LARGE: [&str; 3] = ["/console/", "/api/v1/", "/enrol/"];
    match LARGE.iter().any(|prefix| target.starts_with(prefix)) {
        true => LARGE_BODY_BYTES_MAX,
        false => BODY_BYTES_MAX,
    }
}

/// Checks the form of a target: a path with an optional query, no fragment.
fn check_target(target: &str) -> Result<&str, Refusal> {
    if target.len() > TARGET_BYTES_MAX {
        return Err(Refusal::TargetTooLong);
    }
    let visible = |byte: u8| (0x21..=0x7e).contains(&byte) && byte != b'#';
    match target.starts_with('/') && target.bytes().all(visible) {
        true => Ok(target),
        false => Err(Refusal::MalformedTarget),
    }
}

/// The header lines that matter, gathered.
#[derive(Default)]
struct Lines {
    fields: Fields,
    host: bool,
    length: Option<u64>,
    coding: bool,
    close: bool,
}

impl Lines {
    fn read(headers: &[httparse::Header<'_>]) -> Result<Lines, Refusal> {
        let mut lines = Lines::default();
        for header in headers {
            lines.take(header.name, header.value)?;
        }
        match lines.host {
            true => Ok(lines),
            false => Err(Refusal::HostMissing),
        }
    }

    fn take(&mut self, name: &str, value: &[u8]) -> Result<(), Refusal> {
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        if is("host") {
            if std::mem::replace(&mut self.host, true) {
                return Err(Refusal::HostRepeated);
            }
        } else if is("content-length") {
            if self.length.is_some() {
                return Err(Refusal::LengthRepeated);
            }
            self.length = Some(plain_decimal(value).ok_or(Refusal::LengthMalformed)?);
        } else if is("transfer-encoding") {
            self.coding = true;
        } else if is("connection") {
            self.close |= value
                .split(|&byte| byte == b',')
                .any(|option| option.trim_ascii().eq_ignore_ascii_case(b"close"));
        } else if is("expect") {
            return Err(Refusal::Expectation);
        } else if is("upgrade") {
            return Err(Refusal::Upgrade);
        } else if let Some(field) = Field::from_name(name) {
            let value = std::str::from_utf8(value).map_err(|_| Refusal::MalformedHead)?;
            if !self.fields.insert(field, value) {
                return Err(Refusal::FieldRepeated);
            }
        }
        Ok(())
    }

    fn body_length(&self, method: Method, most: usize) -> Result<usize, Refusal> {
        let length = match (self.length, self.coding) {
            (Some(_), true) => return Err(Refusal::LengthAndCoding),
            (None, true) => return Err(Refusal::Coding),
            (None, false) if method.needs_length() => return Err(Refusal::LengthMissing),
            (length, false) => length.unwrap_or(0),
        };
        if length > 0 && !method.may_have_body() {
            return Err(Refusal::BodyUnexpected);
        }
        match usize::try_from(length) {
            Ok(length) if length <= most => Ok(length),
            _ => Err(Refusal::BodyTooLong),
        }
    }
}

/// Digits alone, without leading zeros: two readers cannot differ about it.
fn plain_decimal(value: &[u8]) -> Option<u64> {
    let digits = value.iter().all(u8::is_ascii_digit);
    let padded = value.len() > 1 && value[0] == b'0';
    if value.is_empty() || !digits || padded {
        return None;
    }
    // More digits than u64 holds is a long body, not a malformed one.
    let parsed = std::str::from_utf8(value).ok()?.parse();
    Some(parsed.unwrap_or(u64::MAX))
}
