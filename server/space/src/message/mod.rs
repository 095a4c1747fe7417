//! The SHIP messages seen in public clients: what is asked, and what comes back.
//!
//! [`Request`] is written, [`reply`] reads a whole answer, [`record`] the users, doors, zones and
//! groups in it. All of it is bytes in, values out.

pub mod record;
pub mod reply;
mod request;

pub use record::{Door, Group, Permission, User, Zone};
pub use reply::{Info, OpenResult, Page, Reply, ReplyError};
pub use request::Request;

#[cfg(test)]
mod tests;
