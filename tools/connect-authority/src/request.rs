//! One HTTP request over a TLS connection, and its answer; the connection is closed after it.

use std::io::{self, Read, Write};

use crate::limits::{BODY_BYTES_MAX, HEAD_BYTES_MAX};

/// A request.
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    /// The first byte that `Range` asks for.
    pub(crate) from: Option<u64>,
    pub(crate) body: Vec<u8>,
}

/// Reads a request; `None` if the client goes away or sends something else.
pub(crate) fn read(stream: &mut impl Read) -> io::Result<Option<Request>> {
    let mut input = Vec::new();
    let mut buffer = vec![0; 64 << 10];
    loop {
        let mut headers = [httparse::EMPTY_HEADER; 32];
        let mut head = httparse::Request::new(&mut headers);
        match head.parse(&input) {
            Ok(httparse::Status::Complete(length)) => {
                let value = |name: &str| {
                    let found = head
                        .headers
                        .iter()
                        .find(|header| header.name.eq_ignore_ascii_case(name));
                    found.and_then(|header| std::str::from_utf8(header.value).ok())
                };
                let expected = value("content-length").and_then(|length| length.parse().ok());
                let expected: usize = expected.unwrap_or(0);
                let from = value("range").and_then(|range| {
                    range
                        .strip_prefix("bytes=")?
                        .strip_suffix('-')?
                        .parse()
                        .ok()
                });
                let mut request = Request {
                    method: head.method.unwrap_or_default().to_owned(),
                    path: head.path.unwrap_or_default().to_owned(),
                    from,
                    body: input[length..].to_vec(),
                };
                if expected > BODY_BYTES_MAX {
                    return Ok(None);
                }
                while request.body.len() < expected {
                    let count = stream.read(&mut buffer)?;
                    if count == 0 {
                        return Ok(None);
                    }
                    request.body.extend_from_slice(&buffer[..count]);
                }
                return Ok(Some(request));
            }
            Ok(httparse::Status::Partial) if input.len() < HEAD_BYTES_MAX => {}
            Ok(httparse::Status::Partial) | Err(_) => return Ok(None),
        }
        let count = stream.read(&mut buffer)?;
        if count == 0 {
            return Ok(None);
        }
        input.extend_from_slice(&buffer[..count]);
    }
}

/// An answer.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
    /// `Content-Range`, if it is a part.
    pub(crate) range: Option<String>,
    /// Only so many bytes of the body are sent, then the connection is cut.
    pub(crate) cut_after: Option<usize>,
}

impl Answer {
    pub(crate) fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            body: body.into(),
            range: None,
            cut_after: None,
        }
    }

    pub(crate) fn write(&self, stream: &mut impl Write) -> io::Result<()> {
        let length = self.body.len();
        let range = self.range.as_ref();
        let range = range.map_or_else(String::new, |range| format!("Content-Range: {range}\r\n"));
        let head = format!(
            "HTTP/1.1 {} Authority\r\nContent-Length: {length}\r\n{range}Connection: close\r\n\r\n",
            self.status
        );
        stream.write_all(head.as_bytes())?;
        let sent = self.cut_after.unwrap_or(length).min(length);
        stream.write_all(&self.body[..sent])?;
        stream.flush()
    }
}
