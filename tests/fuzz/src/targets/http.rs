//! HTTP: the same requests and refusals, however the bytes are split.

use std::time::Instant;

use cardea::http::{Connection, Refusal, Request, Response};
use cardea::limits::{BODY_BYTES_MAX, HEAD_BYTES_MAX};

/// What a connection made of its bytes.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    Request(String, Vec<u8>),
    Refused(Refusal),
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    [
        "POST /v1/access HTTP/1.1\r\nHost: 10.0.0.1\r\nContent-Length: 4\r\n\r\nCRDA",
        "GET /ready HTTP/1.1\r\nHost: a\r\n\r\n",
        "HEAD /metrics?x=%20 HTTP/1.1\r\nhost: [::1]:443\r\nConnection: close\r\n\r\n",
        "PUT /api/space/v1/people/P1 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}",
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec()
}

pub(crate) fn run(bytes: &[u8]) {
    let whole = follow(bytes, bytes.len().max(1));
    // In pieces of a size that the input itself chooses, and one byte at a time.
    let piece = usize::from(bytes.first().copied().unwrap_or(1)).max(1);
    assert_eq!(whole, follow(bytes, piece), "split into {piece}");
    assert_eq!(whole, follow(bytes, 1), "split into single bytes");
}

/// Up to the first request or refusal: what follows depends on when the answer comes.
fn follow(bytes: &[u8], piece: usize) -> Option<Seen> {
    let now = Instant::now();
    let mut connection = Connection::new(now);
    for piece in bytes.chunks(piece) {
        let fed = connection.feed(piece, now);
        assert!(connection.buffered() <= 2 * (HEAD_BYTES_MAX + BODY_BYTES_MAX));
        match fed {
            Ok(None) => {}
            Ok(Some(request)) => {
                let seen = Seen::Request(head_of(&request), request.body.clone());
                let mut out = Vec::new();
                connection.answer(&Response::empty(204), now, &mut out);
                assert!(out.starts_with(b"HTTP/1.1 204 "));
                return Some(seen);
            }
            Err(refusal) => {
                let mut out = Vec::new();
                connection.refuse(refusal, now, &mut out);
                assert!(out.starts_with(b"HTTP/1.1 "));
                return Some(Seen::Refused(refusal));
            }
        }
    }
    None
}

fn head_of(request: &Request) -> String {
    format!(
        "{:?} {} {:?}",
        request.method, request.target, request.fields
    )
}
