//! Messages between devices and the server: fixed little-endian layouts, no I/O, no clock.
//!
//! PROTOCOL.md at the root of the repository describes them for someone who writes a device; the
//! offsets in [`head`], [`access`], [`commission`] and [`reply`] are its tables, byte for byte.
//!
//! ```text
//! request   64-byte head | payload (embedding, token and CSR, CSR, or nothing)
//! reply     64-byte head | payload (a command for the device, or certificates, or nothing)
//! ```
#![warn(missing_docs)]

pub mod access;
pub mod code;
pub mod commission;
pub mod enrol;
pub mod error;
pub mod head;
pub mod limits;
pub mod reason;
pub mod reply;
pub mod reset;

pub use access::{AccessRequest, EncodedEmbedding};
pub use code::CommissioningCode;
pub use enrol::{CaptureCode, CaptureId, CaptureOrder, EnrolRequest};
pub use error::WireError;
pub use head::{Head, Kind, PadResult, RequestId};
pub use reason::Reason;
pub use reply::{Command, Decision, Reply, StageTimes};

/// The version of the messages that this crate speaks.
pub const VERSION: u16 = 1;

/// HTTP paths, one per kind of message; all are `POST`.
pub mod path {
    /// Who stands at the door.
    pub const ACCESS: &str = "/v1/access";
    /// The device is alive; is there a command for it?
    pub const HEARTBEAT: &str = "/v1/heartbeat";
    /// A new device trades its token and certificate request for a certificate.
    pub const COMMISSION: &str = "/v1/commission";
    /// A commissioned device renews its certificate.
    pub const RENEW: &str = "/v1/renew";
    /// A person's face, captured at the server's wish.
    pub const ENROL: &str = "/v1/enrol";
}

/// The content type of every message in both directions.
pub const CONTENT_TYPE: &str = "application/octet-stream";
