//! Why a backup could not be taken or restored.

use std::{fmt, io};

use crate::error::{ConfigError, SecretError};
use crate::store::{StoreError, StoreOrSecret};

/// Why a backup could not be taken or restored. No variant carries personal data.
#[derive(Debug)]
pub enum BackupError {
    /// A file operation failed.
    Io(io::Error),
    /// The store or the audit said no.
    Store(StoreError),
    /// A secret of the site could not be opened.
    Secret(SecretError),
    /// The configuration is missing or wrong.
    Config(ConfigError),
    /// This is no key.
    BadKey,
    /// This is no backup, or of a form that is not known.
    NotABackup,
    /// None of the keys, nor the passphrase, opens it.
    WrongKey,
    /// The file was changed or cut short.
    Damaged,
    /// The archive holds something that no backup holds.
    UnknownEntry {
        /// Its name.
        name: String,
    },
    /// A file in it differs from its checksum.
    ChecksumMismatch {
        /// Its name.
        name: String,
    },
    /// The list of withdrawals was changed, or is of another site.
    ForeignWithdrawals,
    /// What is in the way, or missing, in words.
    Refused(String),
}

impl fmt::Display for BackupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::Store(error) => error.fmt(f),
            Self::Secret(error) => error.fmt(f),
            Self::Config(error) => error.fmt(f),
            Self::BadKey => write!(f, "this is no key for backups"),
            Self::NotABackup => write!(f, "this is no backup, or one of a newer form"),
            Self::WrongKey => write!(f, "neither key nor passphrase opens this backup"),
            Self::Damaged => write!(f, "the backup was changed or cut short"),
            Self::UnknownEntry { name } => write!(f, "no backup holds a file {name:?}"),
            Self::ChecksumMismatch { name } => {
                write!(f, "{name} in the backup differs from its checksum")
            }
            Self::ForeignWithdrawals => {
                write!(
                    f,
                    "the list of withdrawals was changed or is of another site"
                )
            }
            Self::Refused(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for BackupError {}

impl From<io::Error> for BackupError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<StoreError> for BackupError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<SecretError> for BackupError {
    fn from(error: SecretError) -> Self {
        Self::Secret(error)
    }
}

impl From<ConfigError> for BackupError {
    fn from(error: ConfigError) -> Self {
        Self::Config(error)
    }
}

impl From<StoreOrSecret> for BackupError {
    fn from(error: StoreOrSecret) -> Self {
        match error {
            StoreOrSecret::Store(error) => Self::Store(error),
            StoreOrSecret::Secret(error) => Self::Secret(error),
        }
    }
}
