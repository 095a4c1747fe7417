//! What the package does with the machine that the server is installed on.
//!
//! - `network`: who may reach the server and whom it may reach, `network.toml`
//! - `rules`: the same as an nftables table; `firewall` loads it and takes it back
//! - `setup`: `cardea setup`, from an installed package to a running site
//! - `site`: what setup writes for the socket, the clock and the updates
//! - `backup`: for whom backups are taken, and the timer
//! - `files`: files that are written only where they differ
//! - `owner`: commands of root that touch the data go on as the data's owner
//! - `event`: what happens to the machine, told to the server

pub mod backup;
pub mod event;
mod files;
pub mod firewall;
pub mod network;
pub mod owner;
pub mod rules;
pub mod setup;
mod site;

pub use site::TimeOfDay;

/// Where the package's own settings are.
pub const FOLDER: &str = "/etc/cardea";
