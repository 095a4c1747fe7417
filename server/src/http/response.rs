//! A response of the service, and its bytes.

use std::borrow::Cow;

use crate::limits::RESPONSE_BYTES_MAX;

/// What is sent back for one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// 200..=599.
    pub status: u16,
    /// Value of `Content-Type`; left out when empty.
    pub content_type: &'static str,
    /// Further headers; see [`Response::with_field`].
    fields: Vec<(&'static str, Box<str>)>,
    /// At most `limits::RESPONSE_BYTES_MAX`.
    pub body: Cow<'static, [u8]>,
    /// Whether the connection is closed after it.
    pub close: bool,
}

impl Response {
    /// A response that keeps the connection.
    pub fn new(
        status: u16,
        content_type: &'static str,
        body: impl Into<Cow<'static, [u8]>>,
    ) -> Response {
        Response {
            status,
            content_type,
            fields: Vec::new(),
            body: body.into(),
            close: false,
        }
    }

    /// A line of plain text.
    pub fn text(status: u16, text: &'static str) -> Response {
        Response::new(status, "text/plain; charset=utf-8", text.as_bytes())
    }

    /// No body at all.
    pub fn empty(status: u16) -> Response {
        Response::new(status, "", &[][..])
    }

    /// The same response with one more header. A value with control characters would end the line
    /// early: such a response is sent as a 500 instead.
    pub fn with_field(mut self, name: &'static str, value: &str) -> Response {
        self.fields.push((name, value.into()));
        self
    }

    /// The same response, after which the connection is closed.
    pub fn closing(mut self) -> Response {
        self.close = true;
        self
    }

    /// Whether it can be sent as it is.
    fn sendable(&self) -> bool {
        (200..600).contains(&self.status)
            && self.body.len() <= RESPONSE_BYTES_MAX
            && self
                .fields
                .iter()
                .all(|(_, value)| !value.bytes().any(|byte| byte < b' ' || byte == 0x7f))
    }

    /// Appends the response's bytes to `out`; `head_only` leaves the body out.
    pub(super) fn render(&self, head_only: bool, close: bool, out: &mut Vec<u8>) {
        if !self.sendable() {
            let fault = Response::text(500, "the response cannot be sent");
            return fault.render(head_only, close, out);
        }
        let bodiless = matches!(self.status, 204 | 304);
        out.reserve(160 + self.body.len());
        out.extend_from_slice(b"HTTP/1.1 ");
        push_decimal(out, u64::from(self.status));
        out.push(b' ');
        out.extend_from_slice(phrase(self.status).as_bytes());
        if !self.content_type.is_empty() {
            push_line(out, "content-type", self.content_type);
        }
        for (name, value) in &self.fields {
            push_line(out, name, value);
        }
        if !bodiless {
            out.extend_from_slice(b"\r\ncontent-length: ");
            push_decimal(out, self.body.len() as u64);
        }
        if close {
            out.extend_from_slice(b"\r\nconnection: close");
        }
        out.extend_from_slice(b"\r\n\r\n");
        if !head_only && !bodiless {
            out.extend_from_slice(&self.body);
        }
    }
}

fn push_line(out: &mut Vec<u8>, name: &str, value: &str) {
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value.as_bytes());
}

/// Appends `number` in decimal.
pub(super) fn push_decimal(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0u8; 20];
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[start..]);
}

/// The reason phrase of a status; RFC 9110 names them, and lets any other be empty.
pub(super) const fn phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        206 => "Partial Content",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Range Not Satisfiable",
        417 => "Expectation Failed",
        422 => "Unprocessable Content",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        507 => "Insufficient Storage",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(response: &Response, head_only: bool, close: bool) -> String {
        let mut out = Vec::new();
        response.render(head_only, close, &mut out);
        String::from_utf8(out).expect("text in these tests")
    }

    #[test]
    fn a_response_is_framed_by_its_length() {
        let response = Response::text(200, "hello").with_field("cache-control", "no-store");
        assert_eq!(
            rendered(&response, false, true),
            "HTTP/1.1 200 OK\r\ncontent-type: text/plain; charset=utf-8\r\n\
             cache-control: no-store\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello"
        );
        assert!(rendered(&response, true, false).ends_with("content-length: 5\r\n\r\n"));
        assert_eq!(
            rendered(&Response::empty(204), false, false),
            "HTTP/1.1 204 No Content\r\n\r\n"
        );
    }

    #[test]
    fn what_would_break_the_framing_becomes_a_500() {
        let split = Response::text(200, "x").with_field("location", "/a\r\nset-cookie: b");
        let long = Response::new(200, "text/plain", vec![b'x'; RESPONSE_BYTES_MAX + 1]);
        for response in [split, long, Response::empty(100), Response::empty(600)] {
            assert!(rendered(&response, false, false).starts_with("HTTP/1.1 500 "));
        }
        let longest = Response::new(200, "text/plain", vec![b'x'; RESPONSE_BYTES_MAX]);
        assert!(rendered(&longest, false, false).starts_with("HTTP/1.1 200 "));
    }

    #[test]
    fn decimals() {
        for number in [0, 1, 9, 10, 255, 65_536, u64::MAX] {
            let mut out = Vec::new();
            push_decimal(&mut out, number);
            assert_eq!(out, number.to_string().into_bytes());
        }
    }
}
