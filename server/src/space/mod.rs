//! Salto Space as this server uses it: how it is set up, and what its events come to.

mod gate;
mod link;
mod setup;

pub use gate::Gate;
pub use link::{SpaceLink, Syncs};
pub use setup::{SpaceSetup, SpaceTrust, Transport, new_key};
