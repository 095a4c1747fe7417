//! The record of truth: people, references, rights, doors, devices, commands and settings, in
//! SQLite. No SQL is anywhere but here and in `audit`.
//!
//! One thread owns the [`Store`] and changes it by named operations: each is one transaction,
//! durable when it returns. Others read through a [`Reader`] of their own. Each committed change
//! that anyone could see raises the generation by one and leaves its marks in the feed of
//! changes, so that a gallery, or a server's memory, of generation G can be brought up to date.
//!
//! ```text
//! data_directory  the directory and its lock     people   enrol, withdraw, edit
//! connection      how SQLite is opened           import   staged, then visible at once
//! schema          tables, migrations             doors    doors, and rights at them
//! checkpoint      log -> database, beside        devices  commissioning, renewal, last seen
//! embeddings      fixed slots, erased in place   commands for devices
//! changes         the feed, by generation        settings of the site
//! reader          what is visible, in bulk       backup   online copy
//! space           who Space names, and who is gone from it
//! withdrawn       who must not come back with a backup
//! enrolment       how far a person's enrolment is; invitations, mails, captures that belong to it
//! asking          whom another policy asks again
//! outbox          what waits for Connect's broker      firmware  what devices may fetch
//! team            who works with the console, sessions, tokens of the API
//! reserve         disk space kept for withdrawals
//! ```

mod asking;
mod backup;
mod captures;
mod changes;
mod checkpoint;
mod commands;
mod connection;
mod data_directory;
mod devices;
mod doors;
mod embeddings;
mod enrolment;
mod enrolments;
mod error;
mod firmware;
mod id;
mod import;
mod invitations;
mod leaving;
mod mails;
mod outbox;
mod people;
mod person;
mod reader;
mod reserve;
mod role;
mod roll_over;
mod schema;
mod settings;
#[cfg(test)]
pub(crate) mod small_disk;
mod space;
mod team;
#[cfg(test)]
mod tests;
mod text;
mod withdrawn;

pub(crate) use backup::{copy_beside, copy_database};
pub(crate) use checkpoint::{Checkpoints, checkpoint};
pub(crate) use connection::{open_reader, open_writer, write};
pub(crate) use id::{key, number};
pub(crate) use mails::two_numbers;
pub(crate) use schema::migrate_with;

pub use asking::{AskingStep, ToAsk};
pub use captures::NewCapture;
pub use changes::{Change, Changes};
pub use commands::{Command, NewCommand};
pub use data_directory::DataDirectory;
pub use devices::{
    Commissioned, Device, DeviceSeen, DeviceState, NewDevice, Renewal, TokenHash, token_hash,
};
pub use doors::{Door, RightScope};
pub use enrolment::{
    Capture, ConsentStanding, Duplicate, Enrolment, EnrolmentOutcome, EnrolmentStage, Invitation,
    MailStanding, consent_standing, stage_of,
};
pub use error::{Entity, StoreError};
pub use firmware::Firmware;
pub use id::{CommandId, DeviceId, DoorId, ImportId, PersonId, ReferenceId};
pub use import::{ImportCommitted, ImportRefusal};
pub use invitations::{NewLink, invitation_hash};
pub use mails::{Mail, MailCounts};
pub use outbox::{Message, SeenCommand, Taken};
pub use people::{Enrolled, NewInvitation, NewPerson, NewReference, Withdrawn};
pub use person::{
    Consent, ConsentHow, PeopleFilter, PeoplePage, Person, PersonEntry, PersonRow, PersonState,
    ReferenceSummary,
};
pub use reader::{Counts, Reader, Snapshot, StoredReference};
pub use reserve::Reserve;
pub use role::{Role, Scope, Scopes};
pub use roll_over::RollOver;
pub use settings::SettingKey;
pub use space::SpaceBatch;
pub use team::{ApiToken, Member, NewApiToken, SecretHash, secret_hash};
pub use withdrawn::{Remembered, RememberedKind, StoreOrSecret, WithdrawalKey, WithdrawnAgain};

use std::time::Duration;

use rusqlite::Connection;

use crate::limits::{
    ERASE_WAIT_MS, LOCK_WAIT_MS, LOG_BULK_BYTES_MAX, LOG_BYTES_MAX, STORE_PAGE_BYTES,
};

const DATABASE: &str = "store.db";
const LOG: &str = "store.db-wal";
const LOG_RESERVE: &str = "reserve.log";

/// The store, and the only way to change it.
#[derive(Debug)]
pub struct Store {
    checkpoints: Checkpoints,
    reader: Reader,
    directory: DataDirectory,
    log_reserve: Reserve,
    // What is to be held: 0 until the owner asks for a reserve.
    log_reserve_bytes: u64,
    // A test makes it smaller.
    log_bulk_bytes_max: u64,
    withdrawal_key: Option<WithdrawalKey>,
    poisoned: bool,
}

/// What [`Store::erase_log`] came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogErased {
    /// The log is empty.
    Done,
    /// Somebody reads an older state: ask again later.
    ReaderInTheWay,
}

impl Store {
    /// Opens the store of a data directory; makes it where there is none. Removes what an import
    /// left behind that did not come to its end.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], [`StoreError::Newer`], [`StoreError::DiskFull`] and those of files.
    pub fn open(directory: &DataDirectory) -> Result<Self, StoreError> {
        let path = directory.file(DATABASE);
        let mut db = open_writer(&path, STORE_PAGE_BYTES)?;
        schema::migrate(&mut db)?;
        directory.sync()?;
        let checkpoints = Checkpoints::start(&path)?;
        let mut store = Self {
            checkpoints,
            reader: Reader::new(db),
            directory: directory.clone(),
            log_reserve: Reserve::new(directory, LOG_RESERVE),
            log_reserve_bytes: 0,
            log_bulk_bytes_max: LOG_BULK_BYTES_MAX,
            withdrawal_key: None,
            poisoned: false,
        };
        store.imports_sweep()?;
        Ok(store)
    }

    /// Reads what is visible, on the connection that writes.
    #[must_use]
    pub fn read(&self) -> &Reader {
        &self.reader
    }

    /// Opens a reader for another thread.
    ///
    /// # Errors
    /// [`StoreError`] of opening a database.
    pub fn open_reader(&self) -> Result<Reader, StoreError> {
        Ok(Reader::new(open_reader(&self.directory.file(DATABASE))?))
    }

    /// Sets 64 MiB aside for the write-ahead log, which only withdrawals may use. Returns whether
    /// the disk had the space.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn reserve_log(&mut self) -> Result<bool, StoreError> {
        self.log_reserve_bytes = LOG_BYTES_MAX;
        self.log_reserve.hold(LOG_BYTES_MAX)
    }

    /// Moves the write-ahead log into the database and cuts its file to nothing, so that what was
    /// withdrawn is in neither.
    ///
    /// # Errors
    /// [`StoreError`] of a write.
    pub fn erase_log(&mut self) -> Result<LogErased, StoreError> {
        self.usable()?;
        let db = &self.reader.db;
        db.busy_timeout(Duration::from_millis(ERASE_WAIT_MS))?;
        let done = checkpoint(db, "TRUNCATE");
        db.busy_timeout(Duration::from_millis(LOCK_WAIT_MS))?;
        match done {
            Ok(done) if done.blocked => Ok(LogErased::ReaderInTheWay),
            Ok(_) => {
                self.refill_reserve();
                Ok(LogErased::Done)
            }
            Err(StoreError::Busy) => Ok(LogErased::ReaderInTheWay),
            Err(error) => Err(self.noted(error)),
        }
    }

    /// Reads the whole database and checks its structure; slow.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], [`StoreError::DamagedReference`].
    pub fn check(&self) -> Result<(), StoreError> {
        self.reader.check()
    }

    /// One transaction; asks for a checkpoint every so many rows.
    fn change<T>(
        &mut self,
        rows: usize,
        body: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.usable()?;
        match write(&mut self.reader.db, body) {
            Ok(out) => {
                self.checkpoints.wrote(rows as u64);
                Ok(out)
            }
            Err(error) => Err(self.noted(error)),
        }
    }

    /// As [`Store::change`]; on a full disk once more, in the space that is kept for withdrawals.
    fn withdraw<T>(
        &mut self,
        body: impl Fn(&Connection, Option<&WithdrawalKey>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        // Taken out for as long as it lasts: a change borrows the store.
        let names = self.withdrawal_key.take();
        let out = self.withdraw_with(|db| body(db, names.as_ref()));
        self.withdrawal_key = names;
        out
    }

    fn withdraw_with<T>(
        &mut self,
        body: impl Fn(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        match self.change(1, &body) {
            Err(StoreError::DiskFull) if self.log_reserve.held_bytes() > 0 => {
                self.log_reserve.release()?;
                let out = self.change(1, &body);
                // What the log took is in its file now; the rest is set aside again.
                self.refill_reserve();
                out
            }
            other => other,
        }
    }

    fn refill_reserve(&mut self) {
        if let Err(error) = self.log_reserve.hold_what_is_left(self.log_reserve_bytes) {
            tracing::warn!(%error, "reserve for withdrawals");
        }
    }

    fn usable(&self) -> Result<(), StoreError> {
        if self.poisoned {
            return Err(StoreError::Poisoned);
        }
        Ok(())
    }

    fn noted(&mut self, error: StoreError) -> StoreError {
        self.poisoned |= error == StoreError::Poisoned;
        error
    }
}
