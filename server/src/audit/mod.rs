//! The audit: who stood where, what was decided, and what administrators changed. A database and
//! a thread of its own, so that nothing else waits in it, nor it for anything else.
//!
//! ```text
//! begin(attempt) ─┐                       ┌─> New { sequence }: durable, the door may be asked
//! outcome(..)    ─┼─> queue ─> thread ────┼─> Repeat: asked before; never opens
//! change(..)     ─┘   bounded  one commit └─> Failed: nothing may open
//!                              for all that waits
//! ```
//!
//! An attempt that is final at once (no match, no right) carries its decision. One that goes on
//! to the access control system is recorded first and gets its outcome later; if it never does,
//! because the server stopped in between, it reads "interrupted".
//!
//! A (device, request id) is taken once within an hour by the server's clock, also across a
//! restart. The ids of that hour are remembered in memory, as hashes that lead to the record: an
//! index on disk over random ids would cost a page for each record instead of a few bytes.

mod handle;
mod reader;
mod record;
mod repeats;
mod schema;
#[cfg(test)]
pub(crate) mod simulated;
#[cfg(test)]
mod tests;
mod writer;

pub use handle::{AuditHandle, Completion};
pub use reader::{AuditFilter, AuditPage, AuditReader};
pub use record::{
    AdministrativeChange, Answer, AttemptRecord, AuditEntry, Entry, Matched, Outcome, Progress,
    Recorded,
};

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;

use crossbeam_channel::{Sender, bounded};

use crate::limits::{AUDIT_OUTCOME_ROOM, AUDIT_PAGE_BYTES, AUDIT_QUEUE_MAX, AUDIT_REPEATS_MAX};
use crate::pace::Pace;
use crate::store::{Checkpoints, DataDirectory, StoreError, open_reader, open_writer};
use handle::{Job, Sink};
use writer::Writer;

const DATABASE: &str = "audit.db";

/// The audit of a data directory, and its thread. What waits when it is dropped is written first.
#[derive(Debug)]
pub struct Audit {
    jobs: Sender<Job>,
    thread: Option<JoinHandle<()>>,
    directory: DataDirectory,
    run_first: u64,
    pace: Arc<Pace>,
}

impl Audit {
    /// Opens the audit; makes it where there is none. `now_unix_us` is the server's clock, Unix
    /// time in microseconds: request ids of the hour before it are remembered.
    ///
    /// # Errors
    /// [`StoreError`] of opening a database.
    pub fn open(directory: &DataDirectory, now_unix_us: i64) -> Result<Self, StoreError> {
        Self::open_with(directory, now_unix_us, AUDIT_REPEATS_MAX)
    }

    fn open_with(
        directory: &DataDirectory,
        now_unix_us: i64,
        repeats_max: usize,
    ) -> Result<Self, StoreError> {
        let path = directory.file(DATABASE);
        let mut db = open_writer(&path, AUDIT_PAGE_BYTES)?;
        schema::migrate(&mut db)?;
        directory.sync()?;
        let checkpoints = Checkpoints::start(&path)?;
        let (jobs, waiting) = bounded(AUDIT_QUEUE_MAX + AUDIT_OUTCOME_ROOM);
        let pace = Arc::new(Pace::new(Instant::now()));
        let mut writer = Writer::new(db, checkpoints, waiting, now_unix_us, repeats_max)?;
        writer.show_pace(Arc::clone(&pace));
        let run_first = writer.run_first();
        let thread = std::thread::Builder::new()
            .name("audit".into())
            .spawn(move || writer.run())
            .map_err(|error| StoreError::io("starting a thread", &error))?;
        Ok(Self {
            jobs,
            thread: Some(thread),
            directory: directory.clone(),
            run_first,
            pace,
        })
    }

    /// How long commits take, for bulk work that shares the disk.
    #[must_use]
    pub fn pace(&self) -> Arc<Pace> {
        Arc::clone(&self.pace)
    }

    /// A way to write for one thread or many. What became of each record is handed to `deliver`
    /// on the audit's thread, then `wake` is called once for all of a commit. Neither may block
    /// or panic: a panic ends the audit, and nothing opens any more.
    #[must_use]
    pub fn handle(
        &self,
        deliver: impl Fn(Completion) + Send + Sync + 'static,
        wake: impl Fn() + Send + Sync + 'static,
    ) -> AuditHandle {
        AuditHandle::new(self.jobs.clone(), Sink::new(deliver, wake))
    }

    /// Opens a reader, for any thread.
    ///
    /// # Errors
    /// [`StoreError`] of opening a database.
    pub fn open_reader(&self) -> Result<AuditReader, StoreError> {
        let db = open_reader(&self.directory.file(DATABASE))?;
        Ok(AuditReader::new(db, self.run_first))
    }
}

impl Drop for Audit {
    fn drop(&mut self) {
        // It may wait for room: the thread is taking jobs out, or has ended.
        let _ = self.jobs.send(Job::Stop);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
