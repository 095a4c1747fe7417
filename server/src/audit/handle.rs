//! The way into the audit's queue, and the way back for what became of it.

use std::fmt;
use std::sync::Arc;

use crossbeam_channel::Sender;

use super::record::{AdministrativeChange, AttemptRecord, Outcome, Recorded};
use crate::limits::AUDIT_QUEUE_MAX;
use crate::store::StoreError;

/// What became of the record that was handed in with this ticket.
#[derive(Debug, Clone, PartialEq)]
pub struct Completion {
    /// The caller's own number.
    pub ticket: u64,
    /// What became of it.
    pub recorded: Recorded,
}

/// A way to write to the audit; cheap to clone, never waits.
#[derive(Debug, Clone)]
pub struct AuditHandle {
    jobs: Sender<Job>,
    sink: Arc<Sink>,
}

/// What waits in the queue.
#[derive(Debug)]
pub(super) enum Job {
    Begin {
        record: AttemptRecord,
        ticket: u64,
        sink: Arc<Sink>,
    },
    Outcome {
        sequence: u64,
        outcome: Outcome,
        ticket: Option<u64>,
        sink: Arc<Sink>,
    },
    Change {
        change: AdministrativeChange,
        ticket: u64,
        sink: Arc<Sink>,
    },
    Prune {
        before_unix_us: i64,
    },
    Stop,
}

/// Where completions go.
pub(super) struct Sink {
    deliver: Box<dyn Fn(Completion) + Send + Sync>,
    wake: Box<dyn Fn() + Send + Sync>,
}

impl AuditHandle {
    pub(super) fn new(jobs: Sender<Job>, sink: Sink) -> Self {
        Self {
            jobs,
            sink: Arc::new(sink),
        }
    }

    /// Hands in an attempt. `ticket` comes back with what became of it; until then nothing may
    /// open.
    ///
    /// # Errors
    /// [`StoreError::Refused`] at once where the queue is full or the audit has ended.
    pub fn begin(&self, record: AttemptRecord, ticket: u64) -> Result<(), StoreError> {
        self.refuse_when_full()?;
        let sink = Arc::clone(&self.sink);
        self.send(Job::Begin {
            record,
            ticket,
            sink,
        })
    }

    /// Hands in the outcome of an attempt that was not final. The first outcome counts. There is
    /// room in the queue for outcomes beyond that for attempts. With a ticket, says when it is
    /// durable.
    ///
    /// # Errors
    /// [`StoreError::Refused`] where even that room is full: the attempt then stays without.
    pub fn outcome(
        &self,
        sequence: u64,
        outcome: Outcome,
        ticket: Option<u64>,
    ) -> Result<(), StoreError> {
        let sink = Arc::clone(&self.sink);
        self.send(Job::Outcome {
            sequence,
            outcome,
            ticket,
            sink,
        })
    }

    /// Hands in an administrative change. `ticket` comes back with what became of it.
    ///
    /// # Errors
    /// As [`AuditHandle::begin`].
    pub fn change(&self, change: AdministrativeChange, ticket: u64) -> Result<(), StoreError> {
        self.refuse_when_full()?;
        let sink = Arc::clone(&self.sink);
        self.send(Job::Change {
            change,
            ticket,
            sink,
        })
    }

    /// Asks that records older than this be removed, a few at a time while nothing else waits.
    /// The newest record always stays.
    ///
    /// # Errors
    /// As [`AuditHandle::begin`].
    pub fn prune(&self, before_unix_us: i64) -> Result<(), StoreError> {
        self.refuse_when_full()?;
        self.send(Job::Prune { before_unix_us })
    }

    /// How many records and outcomes wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.jobs.len()
    }

    // Exact only within the number of threads that ask at once; the queue itself is bounded.
    fn refuse_when_full(&self) -> Result<(), StoreError> {
        if self.jobs.len() >= AUDIT_QUEUE_MAX {
            return Err(StoreError::Refused);
        }
        Ok(())
    }

    fn send(&self, job: Job) -> Result<(), StoreError> {
        self.jobs.try_send(job).map_err(|_| StoreError::Refused)
    }
}

impl Sink {
    pub(super) fn new(
        deliver: impl Fn(Completion) + Send + Sync + 'static,
        wake: impl Fn() + Send + Sync + 'static,
    ) -> Self {
        Self {
            deliver: Box::new(deliver),
            wake: Box::new(wake),
        }
    }

    pub(super) fn deliver(&self, ticket: u64, recorded: Recorded) {
        (self.deliver)(Completion { ticket, recorded });
    }

    pub(super) fn wake(&self) {
        (self.wake)();
    }
}

impl fmt::Debug for Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sink")
    }
}
