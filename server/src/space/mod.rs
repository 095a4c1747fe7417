//! Salto Space as this server uses it: how it is set up, and what its events come to.

mod link;
mod setup;

pub use link::SpaceLink;
pub use setup::{SpaceSetup, SpaceTrust, Transport, new_key};
