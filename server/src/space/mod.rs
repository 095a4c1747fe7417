//! Salto Space as this server uses it: how it is set up, and what its events come to.

mod face_key;
mod gate;
mod journal;
mod link;
mod setup;

pub use face_key::FaceKey;
pub use gate::Gate;
pub use journal::Journal;
#[cfg(test)]
pub(crate) use link::pass_on;
pub use link::{SpaceLink, Syncs};
pub use setup::{SpaceSetup, SpaceTrust, Transport, new_key};
