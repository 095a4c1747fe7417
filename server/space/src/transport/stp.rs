//! One SHIP call over TCP: `STP/00/<length>/<xml>` each way. The length counts the XML's bytes.

use std::time::Instant;

use super::link::Link;
use super::{Answer, CallError, Fault, send};
use crate::limits::STP_LENGTH_DIGITS_MAX;

/// `STP/00/`, the digits, and a slash.
const HEAD_BYTES_MAX: usize = 7 + STP_LENGTH_DIGITS_MAX + 1;

/// Sends one request and reads its answer.
pub(super) fn exchange(
    link: &mut Link,
    message: &str,
    body_max: usize,
    deadline: Instant,
    may_send: &dyn Fn() -> bool,
) -> Result<Answer, CallError> {
    send(link, &frame(message), deadline, may_send)?;
    let mut input = Vec::new();
    loop {
        match read(&input, body_max).map_err(CallError::Lost)? {
            Some(body) => {
                return Ok(Answer {
                    body: body.to_vec(),
                    keep_alive: true,
                });
            }
            None => {
                if link
                    .receive(&mut input, deadline)
                    .map_err(CallError::Lost)?
                    == 0
                {
                    return Err(CallError::Lost(Fault::Closed));
                }
            }
        }
    }
}

fn frame(message: &str) -> Vec<u8> {
    format!("STP/00/{}/{message}", message.len()).into_bytes()
}

/// The XML in `input`; `None` when more must come. Bytes after it are refused: they would be
/// taken for the next answer.
fn read(input: &[u8], body_max: usize) -> Result<Option<&[u8]>, Fault> {
    let known = input.len().min(7);
    let versions: [&[u8]; 2] = [b"STP/00/", b"STP/01/"];
    if !versions
        .iter()
        .any(|version| version[..known] == input[..known])
    {
        return Err(Fault::Frame);
    }
    let Some(rest) = input.get(7..) else {
        return Ok(None);
    };
    let Some(end) = rest
        .iter()
        .take(STP_LENGTH_DIGITS_MAX + 1)
        .position(|byte| *byte == b'/')
    else {
        let digits = rest.iter().all(u8::is_ascii_digit);
        return if digits && input.len() < HEAD_BYTES_MAX {
            Ok(None)
        } else {
            Err(Fault::Frame)
        };
    };
    let (digits, body) = (&rest[..end], &rest[end + 1..]);
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(Fault::Frame);
    }
    let length = digits
        .iter()
        .fold(0, |length, digit| length * 10 + usize::from(digit - b'0'));
    if length > body_max {
        return Err(Fault::TooLarge(body_max));
    }
    match body.len() {
        received if received < length => Ok(None),
        received if received == length => Ok(Some(body)),
        _ => Err(Fault::Frame),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_reads_back_at_every_cut() {
        let whole = frame("<a>\u{e4}</a>");
        assert_eq!(&whole[..10], b"STP/00/9/<");
        for end in 0..whole.len() {
            assert_eq!(read(&whole[..end], 100), Ok(None), "cut at {end}");
        }
        assert_eq!(read(&whole, 100), Ok(Some("<a>\u{e4}</a>".as_bytes())));
        assert_eq!(read(b"STP/01/2/ab", 100), Ok(Some(b"ab".as_slice())));
    }

    #[test]
    fn other_versions_lengths_and_excess_are_refused() {
        let frames: [&[u8]; 9] = [
            b"STP/02/2/ab",
            b"HTTP/1.1 200 OK",
            b"STP/00//",
            b"STP/00/-1/",
            b"STP/00/+1/a",
            b"STP/00/2/abc",
            b"STP/00/x",
            b"STP/00/ 2/ab",
            b"STP/00/0000000002/ab",
        ];
        for input in frames {
            assert_eq!(
                read(input, 100),
                Err(Fault::Frame),
                "{}",
                input.escape_ascii()
            );
        }
        assert_eq!(read(b"STP/00/100/", 100), Ok(None));
        assert_eq!(read(b"STP/00/101/", 100), Err(Fault::TooLarge(100)));
        assert_eq!(read(b"STP/00/999999999/", 100), Err(Fault::TooLarge(100)));
        assert_eq!(read(b"STP/00/1111111111", 100), Err(Fault::Frame));
    }
}
