//! Backups: the whole site in one encrypted file, taken while it is served.
//!
//! ```text
//! store, audit  --paced copy of one generation-->  staging  --tar-->  envelope  --rename-->  file
//! configuration, certificates, sealing key  ------------------------^
//! withdrawals, devices removed  --keyed hashes-->  the file `withdrawals` beside the backups
//! ```
//!
//! - `keys`: public and secret keys, passphrases
//! - `envelope`: the file's head: age's format, version 1; `stream` the encrypted bytes behind it
//! - `archive`: what lies inside: a tar with a list of checksums at its end
//! - `staging`: copies, and how far a backup that was cut had come; `paced`: slowly
//! - `take`: makes a backup; `restore`: makes the site again
//! - `withdrawals`: who must not come back with an old backup
//! - `target`: where a backup goes; `shelf`: names, ages and ends of the backups in a folder

mod archive;
mod envelope;
mod error;
pub mod keys;
mod paced;
mod restore;
mod shelf;
mod staging;
mod stream;
mod take;
mod target;
#[cfg(test)]
mod tests;
pub mod withdrawals;

pub use error::BackupError;
pub use restore::{Restored, Since, restore};
pub use take::{Order, Taken, export_withdrawals, is_begun, kept_s, sweep, sweep_all, take};
pub use target::Target;
