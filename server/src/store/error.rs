//! What can go wrong in the store and the audit. No variant carries personal data.

use std::{fmt, io};

use rusqlite::ErrorCode;
use rusqlite::ffi;

/// What an operation was about, in errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entity {
    /// A person.
    Person,
    /// A reference of a person.
    Reference,
    /// A door.
    Door,
    /// A device.
    Device,
    /// A command for a device.
    Command,
    /// An import.
    Import,
    /// An audit record.
    Record,
    /// An invitation to enrol.
    Invitation,
    /// A member of the console's team.
    Member,
    /// A token of the API.
    Token,
}

/// Why an operation of the store or the audit failed. Nothing was changed then, unless said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreError {
    /// Another process holds the data directory.
    InUse {
        /// The process as it wrote itself into the lock file, if it could be read.
        process: Option<u32>,
    },
    /// The directory is no site's: it has no configuration, or does not exist.
    NoSite {
        /// The directory.
        path: std::path::PathBuf,
    },
    /// The operating system refused a file operation.
    Io {
        /// What was tried.
        doing: &'static str,
        /// How it failed.
        kind: io::ErrorKind,
    },
    /// No space is left on the disk.
    DiskFull,
    /// The database is damaged, or is none.
    Damaged {
        /// What was found.
        what: &'static str,
    },
    /// The bytes of a reference differ from those that were enrolled.
    DamagedReference {
        /// The reference's id.
        reference: u64,
    },
    /// The database was written by a newer version.
    Newer {
        /// The schema found.
        found: u32,
        /// The newest schema this version knows.
        known: u32,
    },
    /// Another connection held a lock for too long.
    Busy,
    /// A write could not be made durable; the store must be opened anew before it is used again.
    Poisoned,
    /// There is no such thing.
    NotFound {
        /// Of which kind.
        entity: Entity,
    },
    /// It exists already.
    Exists {
        /// Of which kind.
        entity: Entity,
        /// The id of the one that exists.
        id: u64,
    },
    /// Something still needs it.
    InUseBy {
        /// Of which kind the other is.
        entity: Entity,
    },
    /// A value that cannot be stored.
    Invalid {
        /// Which value.
        field: &'static str,
        /// The largest length or count that fits; 0 where the value is odd in another way.
        max: usize,
    },
    /// An import is open, and it holds this person or must end first.
    ImportOpen {
        /// The import's id.
        import: u64,
    },
    /// Nobody would be administrator any more.
    LastAdministrator,
    /// The commissioning token is unknown, used or past its end.
    TokenRefused,
    /// The feed no longer reaches back to this generation: start from the store.
    FeedTrimmed {
        /// The oldest generation from which the feed can be followed.
        oldest: u64,
    },
    /// A file that must not exist is there.
    FileExists,
    /// The audit's queue is full, or its thread has ended.
    Refused,
    /// Anything else that SQLite reports.
    Sqlite {
        /// The extended result code.
        code: i32,
    },
}

impl StoreError {
    pub(crate) fn io(doing: &'static str, error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull,
            kind => Self::Io { doing, kind },
        }
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        let rusqlite::Error::SqliteFailure(failure, _) = error else {
            // A column of another type than this version writes.
            return Self::Damaged {
                what: "unexpected column",
            };
        };
        match failure.code {
            ErrorCode::DiskFull => Self::DiskFull,
            ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => Self::Busy,
            ErrorCode::DatabaseCorrupt => Self::Damaged {
                what: "damaged page",
            },
            ErrorCode::NotADatabase => Self::Damaged {
                what: "not a database",
            },
            _ if is_failed_sync(failure.extended_code) => Self::Poisoned,
            _ => Self::Sqlite {
                code: failure.extended_code,
            },
        }
    }
}

// After a failed fsync the kernel may count the lost pages as written: nothing that follows can
// be trusted to be durable.
fn is_failed_sync(code: i32) -> bool {
    code == ffi::SQLITE_IOERR_FSYNC || code == ffi::SQLITE_IOERR_DIR_FSYNC
}

impl fmt::Display for Entity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Person => "person",
            Self::Reference => "reference",
            Self::Door => "door",
            Self::Device => "device",
            Self::Command => "command",
            Self::Import => "import",
            Self::Record => "audit record",
            Self::Invitation => "invitation",
            Self::Member => "member of the team",
            Self::Token => "token",
        })
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InUse {
                process: Some(process),
            } => write!(f, "the data directory is in use by process {process}"),
            Self::InUse { process: None } => {
                f.write_str("the data directory is in use by another process")
            }
            Self::NoSite { path } => write!(
                f,
                "{} is no site: it has no cardea.toml (`cardea init` makes a site)",
                path.display()
            ),
            Self::Io { doing, kind } => write!(f, "{doing}: {kind}"),
            Self::DiskFull => f.write_str("no space left on the disk"),
            Self::Damaged { what } => write!(f, "the database is damaged: {what}"),
            Self::DamagedReference { reference } => {
                write!(f, "the database is damaged: reference {reference}")
            }
            Self::Newer { found, known } => write!(
                f,
                "the database has schema {found}, this version knows up to {known}"
            ),
            Self::Busy => f.write_str("the database is locked"),
            Self::Poisoned => f.write_str("a write could not be made durable; start again"),
            Self::NotFound { entity } => write!(f, "no such {entity}"),
            Self::Exists { entity, id } => write!(f, "{entity} {id} has it already"),
            Self::InUseBy { entity } => write!(f, "a {entity} still needs it"),
            Self::Invalid { field, max: 0 } => write!(f, "{field}: not acceptable"),
            Self::Invalid { field, max } => write!(f, "{field}: empty or more than {max}"),
            Self::ImportOpen { import } => write!(f, "import {import} is open"),
            Self::LastAdministrator => f.write_str("somebody must stay administrator"),
            Self::TokenRefused => f.write_str("commissioning token refused"),
            Self::FeedTrimmed { oldest } => {
                write!(f, "changes are kept from generation {oldest} on")
            }
            Self::FileExists => f.write_str("the file exists"),
            Self::Refused => f.write_str("the audit takes no more records"),
            Self::Sqlite { code } => write!(f, "SQLite result {code}"),
        }
    }
}

impl std::error::Error for StoreError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(code: i32) -> StoreError {
        let text = Some("UNIQUE constraint failed: people.external_id".to_owned());
        rusqlite::Error::SqliteFailure(ffi::Error::new(code), text).into()
    }

    #[test]
    fn results_of_sqlite_by_kind() {
        assert_eq!(of(ffi::SQLITE_FULL), StoreError::DiskFull);
        assert_eq!(of(ffi::SQLITE_BUSY_SNAPSHOT), StoreError::Busy);
        assert_eq!(of(ffi::SQLITE_IOERR_FSYNC), StoreError::Poisoned);
        let what = "damaged page";
        assert_eq!(of(ffi::SQLITE_CORRUPT_VTAB), StoreError::Damaged { what });
        let code = ffi::SQLITE_IOERR_READ;
        assert_eq!(of(code), StoreError::Sqlite { code });
        assert!(
            !of(ffi::SQLITE_CONSTRAINT_UNIQUE)
                .to_string()
                .contains("people")
        );
    }
}
