//! The audit without its thread: a simulation does the thread's work, step by step. The database
//! is the real one.

use std::sync::Arc;
use std::time::Instant;

use crossbeam_channel::bounded;

use super::handle::Job;
use super::record::AttemptRecord;
use super::writer::Writer;
use super::{Audit, DATABASE, schema};
use crate::limits::{AUDIT_OUTCOME_ROOM, AUDIT_PAGE_BYTES, AUDIT_QUEUE_MAX, AUDIT_REPEATS_MAX};
use crate::pace::Pace;
use crate::store::{Checkpoints, DataDirectory, StoreError, open_writer};

/// What the audit's thread owns, and the batch it has in hand.
pub(crate) struct AuditSteps {
    writer: Writer,
    batch: Vec<Job>,
}

impl Audit {
    /// An audit whose thread does not run: the second value does its work.
    pub(crate) fn simulated(
        directory: &DataDirectory,
        now_unix_us: i64,
    ) -> Result<(Self, AuditSteps), StoreError> {
        let path = directory.file(DATABASE);
        let mut db = open_writer(&path, AUDIT_PAGE_BYTES)?;
        schema::migrate(&mut db)?;
        let checkpoints = Checkpoints::start(&path)?;
        let (jobs, waiting) = bounded(AUDIT_QUEUE_MAX + AUDIT_OUTCOME_ROOM);
        let writer = Writer::new(db, checkpoints, waiting, now_unix_us, AUDIT_REPEATS_MAX)?;
        let audit = Self {
            jobs,
            thread: None,
            directory: directory.clone(),
            run_first: writer.run_first(),
            pace: Arc::new(Pace::new(Instant::now())),
        };
        let batch = Vec::new();
        Ok((audit, AuditSteps { writer, batch }))
    }
}

impl AuditSteps {
    /// Whether the thread has something to do: jobs that wait, or outcomes that it holds.
    pub(crate) fn waits(&self) -> bool {
        !self.writer.jobs.is_empty() || !self.writer.held.is_empty()
    }

    /// Takes what waits in hand, as the thread does before it commits. `record` is told each
    /// attempt with its ticket.
    pub(crate) fn gather(&mut self, mut record: impl FnMut(u64, &AttemptRecord)) {
        if self.writer.jobs.is_empty() {
            return;
        }
        let before = self.batch.len();
        self.writer.gather(&mut self.batch);
        for job in &self.batch[before..] {
            if let Job::Begin {
                record: attempt,
                ticket,
                ..
            } = job
            {
                record(*ticket, attempt);
            }
        }
    }

    /// Commits what is in hand, and says what became of it.
    pub(crate) fn commit(&mut self) {
        self.writer.commit(&mut self.batch);
    }

    /// From here on the database takes no writes, or takes them again.
    pub(crate) fn refuse_writes(&self, refuse: bool) {
        let done = self.writer.db.pragma_update(None, "query_only", refuse);
        done.expect("a setting of the connection");
    }

    /// A sync of the disk has failed, as far as this run of the audit knows.
    pub(crate) fn poison(&mut self) {
        self.writer.poisoned = true;
    }
}
