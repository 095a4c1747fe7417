//! The 64-byte reply, and the command that may ride on it.

use crate::VERSION;
use crate::error::WireError;
use crate::head::{
    AT_KIND, AT_REQUEST_ID, AT_VERSION, Kind, MAGIC, RequestId, bytes_at, put, u16_at, u32_at,
};
use crate::limits::{COMMAND_BYTES_MAX, HEAD_BYTES};
use crate::reason::Reason;

const AT_DECISION: usize = 7;
const AT_REASON: usize = 24;
const AT_COMMAND: usize = 26;
const AT_PAYLOAD_LENGTH: usize = 28;
const AT_PERSON: usize = 32;
const AT_SCORE: usize = 40;
const AT_QUEUE_US: usize = 44;
const AT_SEARCH_US: usize = 48;
const AT_RECORD_US: usize = 52;
const AT_AUTHORISE_US: usize = 56;
const AT_TOTAL_US: usize = 60;

/// Set in the kind of a reply.
pub const REPLY_BIT: u8 = 0x80;

/// What became of the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Decision {
    /// The door stays shut; the reason is a 1xx.
    Denied = 0,
    /// The door opens.
    Granted = 1,
    /// The request was not served; the reason is a 2xx. The door stays shut.
    Refused = 2,
    /// A heartbeat, a commissioning, a renewal or an enrolment was served.
    Served = 3,
}

/// How long the server took, stage by stage, in microseconds; saturates at `u32::MAX`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StageTimes {
    /// Waiting for a search.
    pub queue_us: u32,
    /// Searching the gallery, with the batch it was in.
    pub search_us: u32,
    /// Making the audit record durable.
    pub record_us: u32,
    /// Asking for the right, and access control to open.
    pub authorise_us: u32,
    /// From the request's last byte to the reply's first.
    pub total_us: u32,
}

/// A command for the device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// What to do.
    pub kind: CommandKind,
    /// The device names it in `command_done` once it has been carried out.
    pub id: u32,
    /// What it needs: a configuration or an update's address as JSON; else empty.
    pub body: Vec<u8>,
}

/// What a command asks of the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum CommandKind {
    /// Forget key and certificate; wait to be commissioned.
    Decommission = 1,
    /// Take a new configuration.
    Configure = 2,
    /// Fetch and install an update.
    Update = 3,
    /// Test sensor, camera, network and lights.
    SelfTest = 4,
    /// Capture the face of a person who is to be enrolled; the body is a
    /// [`CaptureOrder`](crate::CaptureOrder).
    Capture = 5,
    /// Find the server at another address from now on.
    Address = 6,
}

impl CommandKind {
    /// The kind of a number, if there is one.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Decommission),
            2 => Some(Self::Configure),
            3 => Some(Self::Update),
            4 => Some(Self::SelfTest),
            5 => Some(Self::Capture),
            6 => Some(Self::Address),
            _ => None,
        }
    }
}

/// A reply. `person` and `score` are zero unless somebody matched.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    /// The kind of the request.
    pub kind: Kind,
    /// The request's own identifier.
    pub request_id: RequestId,
    /// What became of it.
    pub decision: Decision,
    /// Why.
    pub reason: Reason,
    /// The tag of who matched (see PROTOCOL.md); for a heartbeat, the server's Unix time in ms.
    pub person: u64,
    /// Comparison score of who matched, -1..1.
    pub score: f32,
    /// The server's stages.
    pub times: StageTimes,
    /// A command, on access and heartbeat replies.
    pub command: Option<Command>,
    /// Certificates, on commissioning and renewal replies; empty elsewhere.
    pub payload: Vec<u8>,
}

impl Reply {
    /// A reply of this kind with nothing but a decision and its reason.
    #[must_use]
    pub fn new(kind: Kind, request_id: RequestId, decision: Decision, reason: Reason) -> Self {
        Self {
            kind,
            request_id,
            decision,
            reason,
            person: 0,
            score: 0.0,
            times: StageTimes::default(),
            command: None,
            payload: Vec::new(),
        }
    }

    /// The reply's bytes.
    ///
    /// # Panics
    /// As [`Reply::write`].
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write(&mut out);
        out
    }

    /// Appends the reply's bytes to `out`.
    ///
    /// # Panics
    /// If a command and certificates are both there, or the command is past its limit: both are
    /// programming errors.
    pub fn write(&self, out: &mut Vec<u8>) {
        assert!(
            self.command.is_none() || self.payload.is_empty(),
            "a command or certificates"
        );
        let command_length = self
            .command
            .as_ref()
            .map_or(0, |command| 4 + command.body.len());
        assert!(
            command_length <= COMMAND_BYTES_MAX,
            "command of {command_length} bytes"
        );
        let payload_length = command_length + self.payload.len();

        let mut head = [0_u8; HEAD_BYTES];
        head[..4].copy_from_slice(&MAGIC);
        put(&mut head, AT_VERSION, &VERSION.to_le_bytes());
        head[AT_KIND] = self.kind as u8 | REPLY_BIT;
        head[AT_DECISION] = self.decision as u8;
        put(&mut head, AT_REQUEST_ID, &self.request_id.0);
        put(&mut head, AT_REASON, &self.reason.code().to_le_bytes());
        head[AT_COMMAND] = self
            .command
            .as_ref()
            .map_or(0, |command| command.kind as u8);
        put(
            &mut head,
            AT_PAYLOAD_LENGTH,
            &(payload_length as u32).to_le_bytes(),
        );
        put(&mut head, AT_PERSON, &self.person.to_le_bytes());
        put(&mut head, AT_SCORE, &self.score.to_le_bytes());
        put(&mut head, AT_QUEUE_US, &self.times.queue_us.to_le_bytes());
        put(&mut head, AT_SEARCH_US, &self.times.search_us.to_le_bytes());
        put(&mut head, AT_RECORD_US, &self.times.record_us.to_le_bytes());
        put(
            &mut head,
            AT_AUTHORISE_US,
            &self.times.authorise_us.to_le_bytes(),
        );
        put(&mut head, AT_TOTAL_US, &self.times.total_us.to_le_bytes());

        out.reserve(HEAD_BYTES + payload_length);
        out.extend_from_slice(&head);
        if let Some(command) = &self.command {
            out.extend_from_slice(&command.id.to_le_bytes());
            out.extend_from_slice(&command.body);
        }
        out.extend_from_slice(&self.payload);
    }

    /// Reads a reply.
    ///
    /// # Errors
    /// Any [`WireError`] but those of embeddings.
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
        if head[AT_KIND] & REPLY_BIT == 0 {
            return Err(WireError::WrongKind {
                found: head[AT_KIND],
            });
        }
        let payload = &message[HEAD_BYTES..];
        let expected = u32_at(head, AT_PAYLOAD_LENGTH) as usize;
        if payload.len() != expected {
            return Err(WireError::BadLength {
                expected,
                found: payload.len(),
            });
        }
        let (command, payload) = parse_payload(head[AT_COMMAND], payload)?;
        Ok(Self {
            kind: Kind::parse(head[AT_KIND] & !REPLY_BIT)?,
            request_id: RequestId(bytes_at(head, AT_REQUEST_ID)),
            decision: parse_decision(head[AT_DECISION])?,
            reason: Reason::from_code(u16_at(head, AT_REASON))
                .ok_or(WireError::BadField { field: "reason" })?,
            person: u64::from_le_bytes(bytes_at(head, AT_PERSON)),
            score: f32::from_le_bytes(bytes_at(head, AT_SCORE)),
            times: StageTimes {
                queue_us: u32_at(head, AT_QUEUE_US),
                search_us: u32_at(head, AT_SEARCH_US),
                record_us: u32_at(head, AT_RECORD_US),
                authorise_us: u32_at(head, AT_AUTHORISE_US),
                total_us: u32_at(head, AT_TOTAL_US),
            },
            command,
            payload: payload.to_vec(),
        })
    }
}

fn parse_decision(byte: u8) -> Result<Decision, WireError> {
    match byte {
        0 => Ok(Decision::Denied),
        1 => Ok(Decision::Granted),
        2 => Ok(Decision::Refused),
        3 => Ok(Decision::Served),
        _ => Err(WireError::BadField { field: "decision" }),
    }
}

fn parse_payload(command: u8, payload: &[u8]) -> Result<(Option<Command>, &[u8]), WireError> {
    if command == 0 {
        return Ok((None, payload));
    }
    let kind = CommandKind::from_code(command).ok_or(WireError::BadField { field: "command" })?;
    let Some((id, body)) = payload.split_first_chunk::<4>() else {
        return Err(WireError::BadLength {
            expected: 4,
            found: payload.len(),
        });
    };
    if payload.len() > COMMAND_BYTES_MAX {
        return Err(WireError::BadLength {
            expected: COMMAND_BYTES_MAX,
            found: payload.len(),
        });
    }
    let command = Command {
        kind,
        id: u32::from_le_bytes(*id),
        body: body.to_vec(),
    };
    Ok((Some(command), &[]))
}
