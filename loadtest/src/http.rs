//! HTTP/1.1 as a device speaks it: one request with a length, one response with a length.

use std::fmt;
use std::io::Write;
use std::net::SocketAddr;

use crate::limits::{RESPONSE_BODY_BYTES_MAX, RESPONSE_HEAD_BYTES_MAX, RESPONSE_HEADERS_MAX};

/// A whole response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    /// Whether the server closes the connection after it.
    pub close: bool,
    /// The first byte of a part of something longer, where it names one (`Content-Range`).
    pub part_from: Option<u64>,
    /// The body.
    pub body: Vec<u8>,
}

/// Why bytes are no response that a device accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HttpError {
    /// Not HTTP/1.1, or not well formed.
    Malformed,
    /// No `Content-Length`, two of them, or a `Transfer-Encoding`.
    BadFraming,
    /// A head or a body past its bound.
    TooLong,
    /// Bytes after the response that nothing asked for.
    Excess,
}

/// Appends a request to `out`.
pub fn write_request(out: &mut Vec<u8>, server: SocketAddr, path: &str, body: &[u8]) {
    let head = write!(
        out,
        "POST {path} HTTP/1.1\r\nHost: {server}\r\nContent-Type: {}\r\nContent-Length: {}\r\n\r\n",
        cardea_wire::CONTENT_TYPE,
        body.len()
    );
    debug_assert!(head.is_ok(), "writing to memory cannot fail");
    out.extend_from_slice(body);
}

/// Appends a request for the part of `path` that begins at byte `from`.
pub fn write_part_request(out: &mut Vec<u8>, server: SocketAddr, path: &str, from: u64) {
    let head = write!(
        out,
        "GET {path} HTTP/1.1\r\nHost: {server}\r\nRange: bytes={from}-\r\n\r\n"
    );
    debug_assert!(head.is_ok(), "writing to memory cannot fail");
}

/// Collects the bytes of one response after another.
///
/// ```text
/// collecting head --head whole--> collecting body --body whole--> response, and again
/// ```
#[derive(Debug)]
pub struct ResponseReader {
    bytes: Vec<u8>,
    head: Option<Head>,
    body_max: usize,
}

#[derive(Debug, Clone, Copy)]
struct Head {
    status: u16,
    close: bool,
    part_from: Option<u64>,
    head_bytes: usize,
    body_bytes: usize,
}

impl Default for ResponseReader {
    fn default() -> Self {
        Self {
            bytes: Vec::new(),
            head: None,
            body_max: RESPONSE_BODY_BYTES_MAX,
        }
    }
}

impl ResponseReader {
    /// The longest body that the next response may have.
    pub fn expect_body(&mut self, bytes_max: usize) {
        self.body_max = bytes_max;
    }

    /// Where the next bytes of the connection go: append them, then call
    /// [`ResponseReader::take_response`].
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Whether a response has begun and is not whole yet.
    #[must_use]
    pub fn is_partial(&self) -> bool {
        !self.bytes.is_empty()
    }

    /// The next response, if it is whole.
    ///
    /// # Errors
    /// [`HttpError`]; the connection is of no use any more.
    pub fn take_response(&mut self) -> Result<Option<Response>, HttpError> {
        let head = match self.head {
            Some(head) => head,
            None => match parse_head(&self.bytes, self.body_max)? {
                Some(head) => *self.head.insert(head),
                None if self.bytes.len() > RESPONSE_HEAD_BYTES_MAX => {
                    return Err(HttpError::TooLong);
                }
                None => return Ok(None),
            },
        };
        let length = head.head_bytes + head.body_bytes;
        if self.bytes.len() < length {
            return Ok(None);
        }
        if self.bytes.len() > length {
            return Err(HttpError::Excess);
        }
        let body = self.bytes.split_off(head.head_bytes);
        self.bytes.clear();
        self.head = None;
        Ok(Some(Response {
            status: head.status,
            close: head.close,
            part_from: head.part_from,
            body,
        }))
    }
}

fn parse_head(bytes: &[u8], body_max: usize) -> Result<Option<Head>, HttpError> {
    let mut headers = [httparse::EMPTY_HEADER; RESPONSE_HEADERS_MAX];
    let mut response = httparse::Response::new(&mut headers);
    let head_bytes = match response.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => return Err(HttpError::TooLong),
        Err(_) => return Err(HttpError::Malformed),
    };
    if head_bytes > RESPONSE_HEAD_BYTES_MAX {
        return Err(HttpError::TooLong);
    }
    let (Some(1), Some(status)) = (response.version, response.code) else {
        return Err(HttpError::Malformed);
    };
    let mut body_bytes = None;
    let mut close = false;
    let mut part_from = None;
    for header in response.headers.iter() {
        if header.name.eq_ignore_ascii_case("content-length") {
            let length = decimal(header.value).ok_or(HttpError::BadFraming)?;
            if body_bytes.replace(length).is_some() {
                return Err(HttpError::BadFraming);
            }
        } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
            return Err(HttpError::BadFraming);
        } else if header.name.eq_ignore_ascii_case("connection") {
            close |= header.value.eq_ignore_ascii_case(b"close");
        } else if header.name.eq_ignore_ascii_case("content-range") {
            part_from = first_byte(header.value);
        }
    }
    let body_bytes = body_bytes.ok_or(HttpError::BadFraming)?;
    if body_bytes > body_max {
        return Err(HttpError::TooLong);
    }
    Ok(Some(Head {
        status,
        close,
        part_from,
        head_bytes,
        body_bytes,
    }))
}

/// The first byte that `bytes a-b/c` names.
fn first_byte(value: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(value).ok()?;
    let (first, _) = text.strip_prefix("bytes ")?.split_once('-')?;
    first.parse().ok()
}

fn decimal(value: &[u8]) -> Option<usize> {
    if value.is_empty() || value.len() > 9 || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(value).ok()?.parse().ok()
}

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "response is not well-formed HTTP/1.1",
            Self::BadFraming => "response without exactly one Content-Length",
            Self::TooLong => "response is too long",
            Self::Excess => "bytes after the response",
        })
    }
}

impl std::error::Error for HttpError {}

#[cfg(test)]
mod tests {
    use super::*;

    const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

    fn read(bytes: &[u8]) -> Result<Option<Response>, HttpError> {
        let mut reader = ResponseReader::default();
        reader.buffer().extend_from_slice(bytes);
        reader.take_response()
    }

    #[test]
    fn one_byte_at_a_time_gives_the_same_response_as_all_at_once() {
        let whole = read(OK).expect("sound").expect("whole");
        assert_eq!((whole.status, whole.close), (200, false));
        assert_eq!(whole.body, b"hello");

        let mut reader = ResponseReader::default();
        let (last, before) = OK.split_last().expect("bytes");
        for byte in before {
            reader.buffer().push(*byte);
            assert_eq!(reader.take_response(), Ok(None));
            assert!(reader.is_partial());
        }
        reader.buffer().push(*last);
        assert_eq!(reader.take_response(), Ok(Some(whole)));
        assert!(!reader.is_partial());
    }

    #[test]
    fn framing_that_could_be_read_in_two_ways_is_refused() {
        let table: [(&[u8], HttpError); 7] = [
            (b"HTTP/1.1 200 OK\r\n\r\n", HttpError::BadFraming),
            (
                b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na",
                HttpError::BadFraming,
            ),
            (
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
                HttpError::BadFraming,
            ),
            (
                b"HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\na",
                HttpError::BadFraming,
            ),
            (
                b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nab",
                HttpError::Excess,
            ),
            (
                b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\na",
                HttpError::Malformed,
            ),
            (b"\x16\x03\x01 garbage\r\n\r\n", HttpError::Malformed),
        ];
        for (bytes, error) in table {
            assert_eq!(
                read(bytes),
                Err(error),
                "{}",
                String::from_utf8_lossy(bytes)
            );
        }
    }

    #[test]
    fn every_bound_is_kept() {
        let endless = vec![b'a'; RESPONSE_HEAD_BYTES_MAX + 1];
        let head = [b"HTTP/1.1 200 OK\r\nX: ".as_slice(), &endless].concat();
        assert_eq!(read(&head), Err(HttpError::TooLong));
        let many = "X: y\r\n".repeat(RESPONSE_HEADERS_MAX + 1);
        let head = format!("HTTP/1.1 200 OK\r\n{many}\r\n");
        assert_eq!(read(head.as_bytes()), Err(HttpError::TooLong));
        let length = RESPONSE_BODY_BYTES_MAX + 1;
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
        assert_eq!(read(head.as_bytes()), Err(HttpError::TooLong));
        let mut reader = ResponseReader::default();
        reader.expect_body(length);
        reader.buffer().extend_from_slice(head.as_bytes());
        assert_eq!(reader.take_response(), Ok(None), "a part may be longer");
    }

    /// Fails if a part out of its place could be taken for the one that was asked for.
    #[test]
    fn a_part_says_where_it_begins() {
        let mut out = Vec::new();
        let server = SocketAddr::from(([127, 0, 0, 1], 443));
        write_part_request(&mut out, server, "/v1/firmware/a", 7);
        let text = String::from_utf8(out).expect("ASCII");
        assert!(
            text.starts_with("GET /v1/firmware/a HTTP/1.1\r\n"),
            "{text}"
        );
        assert!(text.ends_with("Range: bytes=7-\r\n\r\n"), "{text}");
        let part = b"HTTP/1.1 206 X\r\nContent-Range: bytes 7-8/9\r\nContent-Length: 2\r\n\r\nab";
        let part = read(part).expect("sound").expect("whole");
        assert_eq!((part.part_from, part.body.len()), (Some(7), 2));
        let none = b"HTTP/1.1 416 X\r\nContent-Range: bytes */9\r\nContent-Length: 0\r\n\r\n";
        let none = read(none).expect("sound").expect("whole");
        assert_eq!((none.status, none.part_from), (416, None));
    }

    #[test]
    fn a_request_has_one_length_and_the_server_as_its_host() {
        let mut out = Vec::new();
        let server = SocketAddr::from(([127, 0, 0, 1], 443));
        write_request(&mut out, server, "/v1/access", b"xyz");
        let text = String::from_utf8(out).expect("ASCII");
        assert_eq!(
            text,
            "POST /v1/access HTTP/1.1\r\nHost: 127.0.0.1:443\r\n\
             Content-Type: application/octet-stream\r\nContent-Length: 3\r\n\r\nxyz"
        );
    }
}
