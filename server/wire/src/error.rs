//! What can be wrong with a message's bytes.

use std::fmt;

use crate::reason::Reason;

/// Why bytes are not a message of this protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WireError {
    /// Shorter than its head or than the length its head names, or longer.
    BadLength {
        /// What the head, or the layout, asks for.
        expected: usize,
        /// What is there.
        found: usize,
    },
    /// The first four bytes are not `CRDA`.
    BadMagic,
    /// Another version than [`crate::VERSION`].
    UnknownVersion {
        /// The version found.
        found: u16,
    },
    /// Another kind of message than the path, or the caller, asks for.
    WrongKind {
        /// The kind's number as found.
        found: u8,
    },
    /// An encoding of embeddings that does not exist.
    UnknownEncoding {
        /// The encoding's number as found.
        found: u8,
    },
    /// Another number of dimensions than 512.
    BadDimension {
        /// The dimension as found.
        found: u16,
    },
    /// A field holds a number that means nothing.
    BadField {
        /// The field's name in PROTOCOL.md.
        field: &'static str,
    },
}

impl WireError {
    /// The reason that a refusal for this error carries.
    #[must_use]
    pub fn reason(self) -> Reason {
        match self {
            Self::BadLength { .. } => Reason::BadLength,
            Self::BadMagic | Self::WrongKind { .. } | Self::BadField { .. } => Reason::Malformed,
            Self::UnknownVersion { .. } => Reason::UnknownVersion,
            Self::UnknownEncoding { .. } => Reason::UnknownEncoding,
            Self::BadDimension { .. } => Reason::BadDimension,
        }
    }
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadLength { expected, found } => {
                write!(f, "message of {found} bytes where {expected} are due")
            }
            Self::BadMagic => write!(f, "message does not begin with CRDA"),
            Self::UnknownVersion { found } => {
                write!(
                    f,
                    "message version {found}; this side speaks {}",
                    crate::VERSION
                )
            }
            Self::WrongKind { found } => write!(f, "message kind {found} does not belong here"),
            Self::UnknownEncoding { found } => write!(f, "embedding encoding {found} unknown"),
            Self::BadDimension { found } => write!(f, "embedding of {found} dimensions, not 512"),
            Self::BadField { field } => write!(f, "field {field} holds an undefined number"),
        }
    }
}

impl std::error::Error for WireError {}
