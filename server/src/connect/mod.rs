//! Connect as this server uses it: how it is set up, what it tells, what it is told. The protocol
//! itself is in the crate `cardea_connect`.
//!
//! - `setup`: broker, authority and keys, as they are stored
//! - `join`: a key made here, certified by the authority that a code names
//! - `link`: the client of a running server, its heartbeat, and its restarts
//! - `jobs`: what is asked of the authority, on a thread of its own
//! - `minutes`: telemetry, a minute at a time
//! - `diagnostics`: the bundle
//! - `firmware`: parts of firmware for devices
//! - `supervise`: a panic is logged and the module started again

pub mod diagnostics;
pub mod firmware;
mod jobs;
pub mod join;
mod link;
mod minutes;
mod setup;
mod supervise;
pub mod updates;

pub use jobs::{Job, JobDone, JobEnd};
pub use link::ConnectLink;
pub use minutes::Minutes;
pub use setup::ConnectSetup;

use cardea_connect::client::Token;
use cardea_connect::message::Telemetry;
use cardea_connect::status::Status;

/// What Connect's threads tell the writer.
#[derive(Debug)]
pub enum News {
    /// The broker has every message up to this one.
    Delivered(u64),
    /// A message on the command topic.
    Command(Vec<u8>, Token),
    /// The status is another one.
    Status(Status),
    /// The broker's queue of commands was given up for one that was too long.
    SessionCleared,
    /// A minute of telemetry.
    Telemetry(Telemetry),
    /// A job of the authority's has ended.
    Job(JobEnd),
}
