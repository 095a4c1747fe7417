//! The access request: who stands at the door?

use crate::error::WireError;
use crate::head::{Head, Kind, PadResult, RequestId};
use crate::limits::{DIMENSION, EMBEDDING_F32_BYTES, EMBEDDING_INT8_BYTES, HEAD_BYTES};

/// The number of the f32 encoding.
pub const ENCODING_F32: u8 = 1;
/// The number of the int8 encoding.
pub const ENCODING_INT8: u8 = 2;

/// An embedding's bytes as they came, not yet checked for norm or finiteness.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum EncodedEmbedding<'a> {
    /// 512 little-endian f32.
    F32(&'a [u8; EMBEDDING_F32_BYTES]),
    /// Codes in -127..=127; the number is code times scale.
    Int8 {
        /// The scale of all codes.
        scale: f32,
        /// One signed byte a dimension.
        codes: &'a [u8; 512],
    },
}

/// A parsed access request; it borrows the embedding from the message.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AccessRequest<'a> {
    /// The device's name for this attempt.
    pub request_id: RequestId,
    /// The face model that made the embedding.
    pub model: [u8; 16],
    /// What presentation attack detection found.
    pub pad: PadResult,
    /// The device's firmware.
    pub firmware: u32,
    /// The last command that the device has carried out, 0 for none.
    pub command_done: u32,
    /// The probe.
    pub embedding: EncodedEmbedding<'a>,
}

impl<'a> AccessRequest<'a> {
    /// Reads an access request.
    ///
    /// # Errors
    /// Any [`WireError`]; a code of -128 is [`WireError::BadField`].
    pub fn parse(message: &'a [u8]) -> Result<Self, WireError> {
        let head = Head::parse(message)?;
        if head.kind != Kind::Access {
            return Err(WireError::WrongKind {
                found: head.kind as u8,
            });
        }
        if head.dimension != DIMENSION {
            return Err(WireError::BadDimension {
                found: head.dimension,
            });
        }
        let payload = &message[HEAD_BYTES..];
        Ok(Self {
            request_id: head.request_id,
            model: head.model,
            pad: head.pad,
            firmware: head.firmware,
            command_done: head.command_done,
            embedding: parse_embedding(head.encoding, payload)?,
        })
    }

    /// Appends the request to `out`.
    pub fn write(&self, out: &mut Vec<u8>) {
        let (encoding, length) = match self.embedding {
            EncodedEmbedding::F32(_) => (ENCODING_F32, EMBEDDING_F32_BYTES),
            EncodedEmbedding::Int8 { .. } => (ENCODING_INT8, EMBEDDING_INT8_BYTES),
        };
        let head = Head {
            encoding,
            model: self.model,
            dimension: DIMENSION,
            pad: self.pad,
            firmware: self.firmware,
            command_done: self.command_done,
            ..Head::new(Kind::Access, self.request_id, length as u32)
        };
        head.write(out);
        self.embedding.write(out);
    }
}

impl EncodedEmbedding<'_> {
    /// Appends the embedding's bytes to `out`.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::F32(bytes) => out.extend_from_slice(*bytes),
            Self::Int8 { scale, codes } => {
                out.extend_from_slice(&scale.to_le_bytes());
                out.extend_from_slice(*codes);
            }
        }
    }
}

pub(crate) fn parse_embedding(
    encoding: u8,
    payload: &[u8],
) -> Result<EncodedEmbedding<'_>, WireError> {
    match encoding {
        ENCODING_F32 => Ok(EncodedEmbedding::F32(exactly(payload)?)),
        ENCODING_INT8 => {
            let bytes: &[u8; EMBEDDING_INT8_BYTES] = exactly(payload)?;
            let (scale, codes) = bytes.split_at(4);
            let codes: &[u8; 512] = exactly(codes)?;
            if codes.contains(&0x80) {
                return Err(WireError::BadField { field: "codes" });
            }
            let scale = f32::from_le_bytes(*exactly::<4>(scale)?);
            Ok(EncodedEmbedding::Int8 { scale, codes })
        }
        found => Err(WireError::UnknownEncoding { found }),
    }
}

pub(crate) fn exactly<const N: usize>(bytes: &[u8]) -> Result<&[u8; N], WireError> {
    bytes.try_into().map_err(|_| WireError::BadLength {
        expected: N,
        found: bytes.len(),
    })
}
