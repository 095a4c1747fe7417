//! Why a file is no gallery, or no longer one.

use super::SectionName;
use super::format::VERSION;
use crate::DIM;
use crate::limits::{GALLERY_ROWS_MAX, SECTIONS_MAX};
use std::fmt;
use std::io;

/// Why a gallery cannot be used. All but `Io` mean: rebuild it from the store.
#[derive(Debug)]
pub enum GalleryError {
    /// The operating system says no.
    Io {
        /// What was tried.
        action: &'static str,
        /// Its answer.
        source: io::Error,
    },
    /// Shorter than a header.
    TooShort {
        /// Bytes there are.
        found: u64,
    },
    /// Does not begin like a gallery.
    NotAGallery,
    /// Written by a later version.
    Version {
        /// The version.
        found: u32,
    },
    /// The header is damaged.
    HeaderChecksum {
        /// From its bytes.
        expected: u32,
        /// As stored.
        found: u32,
    },
    /// Embeddings of another dimension.
    Dimension {
        /// The dimension.
        found: u32,
    },
    /// More rows than a gallery may have.
    Rows {
        /// How many it claims.
        found: u64,
    },
    /// Cut off, or grown.
    Length {
        /// Bytes the header speaks of.
        expected: u64,
        /// Bytes there are.
        found: u64,
    },
    /// More sections than a gallery may have.
    Sections {
        /// How many it claims.
        found: u32,
    },
    /// A section's entry makes no sense.
    Section {
        /// Which.
        name: SectionName,
        /// What about it.
        problem: &'static str,
    },
    /// A section without which nothing can be searched is not there.
    MissingSection {
        /// Which.
        name: SectionName,
    },
    /// A section's table of checksums is damaged.
    SumsChecksum {
        /// Whose.
        name: SectionName,
    },
    /// A block is damaged.
    ChecksumMismatch {
        /// In which section.
        name: SectionName,
        /// Its number there.
        block: u64,
        /// As stored.
        expected: u32,
        /// From its bytes.
        found: u32,
    },
    /// The file was changed after it was opened.
    Changed,
    /// A row holds what no writer writes.
    Row {
        /// In which section.
        name: SectionName,
        /// Its number.
        row: u64,
        /// What about it.
        problem: &'static str,
    },
}

impl fmt::Display for GalleryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { action, source } => write!(f, "cannot {action} the gallery: {source}"),
            Self::TooShort { found } => write!(f, "the gallery is cut off at {found} bytes"),
            Self::NotAGallery => f.write_str("the file is not a gallery"),
            Self::Version { found } => {
                write!(
                    f,
                    "the gallery has version {found}; this program reads {VERSION}"
                )
            }
            Self::HeaderChecksum { expected, found } => {
                write!(
                    f,
                    "the gallery's header is damaged ({found:08x}, not {expected:08x})"
                )
            }
            Self::Dimension { found } => {
                write!(f, "the gallery has {found} components a row, not {DIM}")
            }
            Self::Rows { found } => {
                write!(
                    f,
                    "the gallery claims {found} rows, more than {GALLERY_ROWS_MAX}"
                )
            }
            Self::Length { expected, found } => {
                write!(f, "the gallery has {found} bytes, not {expected}")
            }
            Self::Sections { found } => {
                write!(
                    f,
                    "the gallery claims {found} sections, more than {SECTIONS_MAX}"
                )
            }
            Self::Section { name, problem } => {
                write!(f, "section {name} of the gallery is malformed: {problem}")
            }
            Self::MissingSection { name } => write!(f, "the gallery has no section {name}"),
            Self::SumsChecksum { name } => {
                write!(
                    f,
                    "the checksums of the gallery's section {name} are damaged"
                )
            }
            Self::ChecksumMismatch {
                name,
                block,
                expected,
                found,
            } => write!(
                f,
                "block {block} of the gallery's section {name} is damaged \
                 ({found:08x}, not {expected:08x})"
            ),
            Self::Changed => f.write_str("the gallery was changed while it was searched"),
            Self::Row { name, row, problem } => {
                write!(
                    f,
                    "row {row} of the gallery's section {name} is impossible: {problem}"
                )
            }
        }
    }
}

impl std::error::Error for GalleryError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}
