//! The gallery file: an immutable, checksummed, memory-mapped snapshot. FORMAT.md has its bytes.
//!
//! A file is written once ([`Writer`]), never changed in place, and named after its generation
//! ([`file_name`]), so that the one in use is never replaced. The record of truth is elsewhere: a
//! missing or damaged gallery is rebuilt from it.

mod error;
pub(crate) mod format;
mod map;
pub(crate) mod overlay;
mod plane;
mod plane_writer;
mod sections;
mod sigbus;
mod writer;

pub use crate::planner::Prediction;
pub use error::GalleryError;
pub use format::SectionName;
pub use map::Gallery;
pub(crate) use plane::{Plane, Planes};
pub use sections::file_len;
pub use sigbus::{GALLERY_FAULT_EXIT_CODE, install_sigbus_handler};
pub use writer::{Writer, WriterError};

/// The file name of the snapshot of a generation. Sorts by generation.
pub fn file_name(generation: u64) -> String {
    format!("gallery-{generation:020}.cardea")
}
