//! The 64-byte head of every request.

use std::fmt;

use crate::VERSION;
use crate::error::WireError;
use crate::limits::HEAD_BYTES;

/// The first four bytes of every message.
pub const MAGIC: [u8; 4] = *b"CRDA";

pub(crate) const AT_VERSION: usize = 4;
pub(crate) const AT_KIND: usize = 6;
const AT_ENCODING: usize = 7;
pub(crate) const AT_REQUEST_ID: usize = 8;
const AT_MODEL: usize = 24;
const AT_PAYLOAD_LENGTH: usize = 40;
const AT_DIMENSION: usize = 44;
const AT_PAD: usize = 46;
const AT_STATE: usize = 47;
const AT_FIRMWARE: usize = 48;
const AT_COMMAND_DONE: usize = 52;
const AT_UPTIME_MS: usize = 56;

/// Sixteen bytes that a device draws at random for each attempt; a repeat carries the same.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct RequestId(pub [u8; 16]);

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What a message is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// An access request.
    Access = 1,
    /// A heartbeat.
    Heartbeat = 2,
    /// A commissioning.
    Commission = 3,
    /// A certificate's renewal.
    Renew = 4,
    /// An enrolment at a device.
    Enrol = 5,
}

impl Kind {
    pub(crate) fn parse(byte: u8) -> Result<Self, WireError> {
        match byte {
            1 => Ok(Self::Access),
            2 => Ok(Self::Heartbeat),
            3 => Ok(Self::Commission),
            4 => Ok(Self::Renew),
            5 => Ok(Self::Enrol),
            found => Err(WireError::WrongKind { found }),
        }
    }
}

/// What presentation attack detection on the device found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum PadResult {
    /// The device did not look.
    NotDone = 0,
    /// A living face.
    Passed = 1,
    /// A presentation attack: never a grant.
    Failed = 2,
}

impl PadResult {
    fn parse(byte: u8) -> Result<Self, WireError> {
        match byte {
            0 => Ok(Self::NotDone),
            1 => Ok(Self::Passed),
            2 => Ok(Self::Failed),
            _ => Err(WireError::BadField { field: "pad" }),
        }
    }
}

/// The head of a request. Fields that a kind does not use are zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// What follows.
    pub kind: Kind,
    /// How embeddings are encoded (access and enrolment): 1 f32, 2 int8 with a scale.
    pub encoding: u8,
    /// The device's name for this attempt.
    pub request_id: RequestId,
    /// The face model that made the embedding.
    pub model: [u8; 16],
    /// Bytes that follow the head.
    pub payload_length: u32,
    /// Numbers in an embedding (access and enrolment).
    pub dimension: u16,
    /// What presentation attack detection found (access and enrolment).
    pub pad: PadResult,
    /// The device's own state (heartbeat only): 0 well, 1 self-test failed.
    pub state: u8,
    /// Firmware version, `major << 16 | minor << 8 | patch`.
    pub firmware: u32,
    /// The identifier of the last command that the device has carried out, 0 for none.
    pub command_done: u32,
    /// Milliseconds since the device started; it decides nothing.
    pub uptime_ms: u64,
}

impl Head {
    /// A head of this kind with all else zero.
    #[must_use]
    pub fn new(kind: Kind, request_id: RequestId, payload_length: u32) -> Self {
        Self {
            kind,
            encoding: 0,
            request_id,
            model: [0; 16],
            payload_length,
            dimension: 0,
            pad: PadResult::NotDone,
            state: 0,
            firmware: 0,
            command_done: 0,
            uptime_ms: 0,
        }
    }

    /// Reads the head of `message`, whose whole length must be the head and its payload.
    ///
    /// # Errors
    /// Every [`WireError`] but those of embeddings.
    pub fn parse(message: &[u8]) -> Result<Self, WireError> {
        let Some(head) = message.first_chunk::<HEAD_BYTES>() else {
            return Err(WireError::BadLength {
                expected: HEAD_BYTES,
                found: message.len(),
            });
        };
        if head[..4] != MAGIC {
            return Err(WireError::BadMagic);
        }
        let version = u16_at(head, AT_VERSION);
        if version != VERSION {
            return Err(WireError::UnknownVersion { found: version });
        }
        let parsed = Self {
            kind: Kind::parse(head[AT_KIND])?,
            encoding: head[AT_ENCODING],
            request_id: RequestId(bytes_at(head, AT_REQUEST_ID)),
            model: bytes_at(head, AT_MODEL),
            payload_length: u32_at(head, AT_PAYLOAD_LENGTH),
            dimension: u16_at(head, AT_DIMENSION),
            pad: PadResult::parse(head[AT_PAD])?,
            state: head[AT_STATE],
            firmware: u32_at(head, AT_FIRMWARE),
            command_done: u32_at(head, AT_COMMAND_DONE),
            uptime_ms: u64::from_le_bytes(bytes_at(head, AT_UPTIME_MS)),
        };
        let expected = HEAD_BYTES.saturating_add(parsed.payload_length as usize);
        if message.len() != expected {
            return Err(WireError::BadLength {
                expected,
                found: message.len(),
            });
        }
        Ok(parsed)
    }

    /// Appends the head's 64 bytes to `out`.
    pub fn write(&self, out: &mut Vec<u8>) {
        let mut head = [0_u8; HEAD_BYTES];
        head[..4].copy_from_slice(&MAGIC);
        put(&mut head, AT_VERSION, &VERSION.to_le_bytes());
        head[AT_KIND] = self.kind as u8;
        head[AT_ENCODING] = self.encoding;
        put(&mut head, AT_REQUEST_ID, &self.request_id.0);
        put(&mut head, AT_MODEL, &self.model);
        put(
            &mut head,
            AT_PAYLOAD_LENGTH,
            &self.payload_length.to_le_bytes(),
        );
        put(&mut head, AT_DIMENSION, &self.dimension.to_le_bytes());
        head[AT_PAD] = self.pad as u8;
        head[AT_STATE] = self.state;
        put(&mut head, AT_FIRMWARE, &self.firmware.to_le_bytes());
        put(&mut head, AT_COMMAND_DONE, &self.command_done.to_le_bytes());
        put(&mut head, AT_UPTIME_MS, &self.uptime_ms.to_le_bytes());
        out.extend_from_slice(&head);
    }
}

pub(crate) fn put(head: &mut [u8; HEAD_BYTES], at: usize, bytes: &[u8]) {
    head[at..at + bytes.len()].copy_from_slice(bytes);
}

pub(crate) fn bytes_at<const N: usize>(head: &[u8; HEAD_BYTES], at: usize) -> [u8; N] {
    let mut bytes = [0; N];
    bytes.copy_from_slice(&head[at..at + N]);
    bytes
}

pub(crate) fn u16_at(head: &[u8; HEAD_BYTES], at: usize) -> u16 {
    u16::from_le_bytes(bytes_at(head, at))
}

pub(crate) fn u32_at(head: &[u8; HEAD_BYTES], at: usize) -> u32 {
    u32::from_le_bytes(bytes_at(head, at))
}
