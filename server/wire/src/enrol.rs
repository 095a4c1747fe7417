//! Enrolment at a device: the command that asks for a capture, and the message that brings it.

use crate::access::{ENCODING_F32, ENCODING_INT8, exactly, parse_embedding};
use crate::error::WireError;
use crate::head::{Head, Kind, PadResult, RequestId};
use crate::limits::{
    CAPTURE_BYTES, CAPTURE_CODE_BYTES, CAPTURE_EMBEDDINGS_MAX, DIMENSION, EMBEDDING_F32_BYTES,
    EMBEDDING_INT8_BYTES, ENROL_FIXED_BYTES, HEAD_BYTES,
};
use crate::{Command, EncodedEmbedding};

const AT_CODE: usize = CAPTURE_BYTES;
const AT_COUNT: usize = AT_CODE + CAPTURE_CODE_BYTES;
const AT_RESERVED: usize = AT_COUNT + 1;

/// What an invitation's address has before its token; a device that reads the address as a QR
/// code sends what follows, up to the next slash.
pub const LINK_PATH: &str = "/enrol/";

/// Sixteen random bytes that name a capture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CaptureId(pub [u8; CAPTURE_BYTES]);

/// The body of a `Capture` command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CaptureOrder {
    /// Which capture.
    pub capture: CaptureId,
    /// The server's Unix time in ms from which it is no longer wanted.
    pub until_unix_ms: u64,
}

impl CaptureOrder {
    /// The bytes of the command's body.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        [self.capture.0.as_slice(), &self.until_unix_ms.to_le_bytes()].concat()
    }

    /// Reads a command's body.
    ///
    /// # Errors
    /// [`WireError::BadLength`].
    pub fn parse(command: &Command) -> Result<Self, WireError> {
        let body: &[u8; CAPTURE_BYTES + 8] = exactly(&command.body)?;
        let (capture, until) = body.split_at(CAPTURE_BYTES);
        Ok(Self {
            capture: CaptureId(*exactly(capture)?),
            until_unix_ms: u64::from_le_bytes(*exactly(until)?),
        })
    }
}

/// A code as the device read or was told it: 1 to 24 printable ASCII characters.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct CaptureCode([u8; CAPTURE_CODE_BYTES]);

impl CaptureCode {
    /// A code from text.
    ///
    /// # Errors
    /// [`WireError::BadField`] for one that is empty, too long or not printable ASCII.
    pub fn new(text: &str) -> Result<Self, WireError> {
        let mut bytes = [0; CAPTURE_CODE_BYTES];
        bytes
            .get_mut(..text.len())
            .ok_or(WireError::BadField { field: "code" })?
            .copy_from_slice(text.as_bytes());
        Self::parse(&bytes)
    }

    fn parse(bytes: &[u8; CAPTURE_CODE_BYTES]) -> Result<Self, WireError> {
        let bad = WireError::BadField { field: "code" };
        let code = Self(*bytes);
        let text = code.as_bytes();
        let printable = text.iter().all(u8::is_ascii_graphic);
        let zeros = bytes[text.len()..].iter().all(|&byte| byte == 0);
        if text.is_empty() || !printable || !zeros {
            return Err(bad);
        }
        Ok(code)
    }

    /// The characters, without the zeros after them.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        let end = self.0.iter().position(|&byte| byte == 0);
        &self.0[..end.unwrap_or(self.0.len())]
    }
}

impl std::fmt::Debug for CaptureCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // A code lets somebody enrol: it is never printed.
        f.write_str("CaptureCode")
    }
}

/// A parsed enrolment; it borrows the embeddings from the message.
#[derive(Debug, Clone, PartialEq)]
pub struct EnrolRequest<'a> {
    /// The device's name for this attempt.
    pub request_id: RequestId,
    /// The face model that made the embeddings.
    pub model: [u8; 16],
    /// What presentation attack detection found.
    pub pad: PadResult,
    /// The device's firmware.
    pub firmware: u32,
    /// The last command that the device has carried out, 0 for none.
    pub command_done: u32,
    /// Which capture this is.
    pub capture: CaptureId,
    /// The code that the person showed.
    pub code: CaptureCode,
    /// One to four embeddings of one person, all in one encoding.
    pub embeddings: Vec<EncodedEmbedding<'a>>,
}

impl<'a> EnrolRequest<'a> {
    /// Reads an enrolment.
    ///
    /// # Errors
    /// Any [`WireError`].
    pub fn parse(message: &'a [u8]) -> Result<Self, WireError> {
        let head = Head::parse(message)?;
        if head.kind != Kind::Enrol {
            return Err(WireError::WrongKind {
                found: head.kind as u8,
            });
        }
        if head.dimension != DIMENSION {
            return Err(WireError::BadDimension {
                found: head.dimension,
            });
        }
        let size = size_of_encoding(head.encoding)?;
        let payload = &message[HEAD_BYTES..];
        let Some((fixed, rows)) = payload.split_first_chunk::<ENROL_FIXED_BYTES>() else {
            return Err(WireError::BadLength {
                expected: ENROL_FIXED_BYTES,
                found: payload.len(),
            });
        };
        let count = usize::from(fixed[AT_COUNT]);
        if !(1..=CAPTURE_EMBEDDINGS_MAX).contains(&count) {
            return Err(WireError::BadField { field: "count" });
        }
        if fixed[AT_RESERVED..].iter().any(|&byte| byte != 0) {
            return Err(WireError::BadField { field: "reserved" });
        }
        if rows.len() != count * size {
            return Err(WireError::BadLength {
                expected: ENROL_FIXED_BYTES + count * size,
                found: payload.len(),
            });
        }
        let embeddings = rows.chunks_exact(size);
        Ok(Self {
            request_id: head.request_id,
            model: head.model,
            pad: head.pad,
            firmware: head.firmware,
            command_done: head.command_done,
            capture: CaptureId(*exactly(&fixed[..AT_CODE])?),
            code: CaptureCode::parse(exactly(&fixed[AT_CODE..AT_COUNT])?)?,
            embeddings: embeddings
                .map(|row| parse_embedding(head.encoding, row))
                .collect::<Result<_, _>>()?,
        })
    }

    /// Appends the request to `out`.
    ///
    /// # Panics
    /// If there are no or more than four embeddings, or in more than one encoding: programming
    /// errors.
    pub fn write(&self, out: &mut Vec<u8>) {
        let count = self.embeddings.len();
        assert!(
            (1..=CAPTURE_EMBEDDINGS_MAX).contains(&count),
            "{count} embeddings"
        );
        let encoding = match self.embeddings[0] {
            EncodedEmbedding::F32(_) => ENCODING_F32,
            EncodedEmbedding::Int8 { .. } => ENCODING_INT8,
        };
        let begin = out.len();
        let size = match encoding {
            ENCODING_F32 => EMBEDDING_F32_BYTES,
            _ => EMBEDDING_INT8_BYTES,
        };
        let length = ENROL_FIXED_BYTES + count * size;
        let head = Head {
            encoding,
            model: self.model,
            dimension: DIMENSION,
            pad: self.pad,
            firmware: self.firmware,
            command_done: self.command_done,
            ..Head::new(Kind::Enrol, self.request_id, length as u32)
        };
        head.write(out);
        out.extend_from_slice(&self.capture.0);
        out.extend_from_slice(&self.code.0);
        out.extend_from_slice(&[count as u8, 0, 0, 0]);
        for embedding in &self.embeddings {
            embedding.write(out);
        }
        assert!(
            out.len() - begin == HEAD_BYTES + length,
            "embeddings in one encoding"
        );
    }
}

fn size_of_encoding(encoding: u8) -> Result<usize, WireError> {
    match encoding {
        ENCODING_F32 => Ok(EMBEDDING_F32_BYTES),
        ENCODING_INT8 => Ok(EMBEDDING_INT8_BYTES),
        found => Err(WireError::UnknownEncoding { found }),
    }
}
