//! Why the writer could not do what it was asked.

use std::fmt;

use crate::backup::BackupError;
use crate::error::{ConfigError, PkiError, SecretError};
use crate::store::StoreError;

/// Why the writer could not do what it was asked. No variant carries personal data.
#[derive(Debug)]
pub enum WriterError {
    /// The configuration is missing or wrong.
    Config(ConfigError),
    /// The store said no.
    Store(StoreError),
    /// A secret could not be opened.
    Secret(SecretError),
    /// A certificate could not be read or made.
    Pki(PkiError),
    /// Certificates are of no use to TLS.
    Tls(crate::tls::ConfigError),
    /// The gallery's file could not be read or written.
    Gallery(String),
    /// A setting of the site is missing or of the wrong form.
    BadSetting {
        /// Its name.
        key: &'static str,
    },
    /// A stored embedding is none any more: the store is damaged.
    BadReference {
        /// The reference's number.
        reference: u64,
    },
    /// A timezone table in the configuration is none.
    BadTimetable {
        /// Why, in words.
        why: String,
    },
    /// Copies of a backup that was cut could not be zeroed.
    Backup(BackupError),
    /// A file operation failed.
    Io(std::io::Error),
    /// The writer has ended.
    Ended,
}

impl fmt::Display for WriterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(error) => write!(f, "configuration: {error}"),
            Self::Store(error) => write!(f, "store: {error}"),
            Self::Secret(error) => write!(f, "secrets: {error}"),
            Self::Pki(error) => write!(f, "certificates: {error}"),
            Self::Tls(error) => write!(f, "certificates in force: {error}"),
            Self::Gallery(error) => write!(f, "gallery: {error}"),
            Self::BadSetting { key } => write!(f, "setting {key} is missing or damaged"),
            Self::BadReference { reference } => {
                write!(f, "reference {reference} in the store is damaged")
            }
            Self::BadTimetable { why } => write!(f, "timetables: {why}"),
            Self::Backup(error) => write!(f, "copies of a backup: {error}"),
            Self::Io(error) => error.fmt(f),
            Self::Ended => write!(f, "the writer has ended"),
        }
    }
}

impl std::error::Error for WriterError {}

impl From<StoreError> for WriterError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<SecretError> for WriterError {
    fn from(error: SecretError) -> Self {
        Self::Secret(error)
    }
}

impl From<PkiError> for WriterError {
    fn from(error: PkiError) -> Self {
        Self::Pki(error)
    }
}

impl From<crate::tls::ConfigError> for WriterError {
    fn from(error: crate::tls::ConfigError) -> Self {
        Self::Tls(error)
    }
}

impl From<BackupError> for WriterError {
    fn from(error: BackupError) -> Self {
        Self::Backup(error)
    }
}

impl From<std::io::Error> for WriterError {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error)
    }
}
