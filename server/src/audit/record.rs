//! What is recorded, and what is read back.

use std::sync::Arc;

use crate::store::StoreError;

/// Who matched. An attempt without a match names nobody and has no score.
#[derive(Debug, Clone, PartialEq)]
pub struct Matched {
    /// The person's id in the store.
    pub person: u64,
    /// What the site calls them.
    pub external_id: Arc<str>,
    /// The comparison score, -1..1.
    pub score: f32,
}

/// An attempt, to be recorded before anything opens.
#[derive(Debug, Clone, PartialEq)]
pub struct AttemptRecord {
    /// The device's id in the store.
    pub device: u64,
    /// The device's name for the attempt.
    pub request_id: [u8; 16],
    /// The server's clock, Unix time in microseconds.
    pub at_unix_us: i64,
    /// The door's id in the store.
    pub door: u64,
    /// What was decided, a `cardea_wire::Decision` as its number; what is intended, if not final.
    pub decision: u8,
    /// Why, a `cardea_wire::Reason` as its number.
    pub reason: u16,
    /// Who matched.
    pub matched: Option<Matched>,
    /// Nothing follows: the record is the outcome.
    pub is_final: bool,
}

/// What came of an attempt that was not final.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// What was decided in the end.
    pub decision: u8,
    /// Why.
    pub reason: u16,
    /// The server's clock, Unix time in microseconds.
    pub at_unix_us: i64,
}

/// Something an administrator changed. Texts of at most 256 bytes; longer ones are cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdministrativeChange {
    /// The server's clock, Unix time in microseconds.
    pub at_unix_us: i64,
    /// Who did it.
    pub actor: String,
    /// What they did, as `door.add`.
    pub action: String,
    /// To what, by id.
    pub subject: String,
}

/// What became of something handed to the audit.
#[derive(Debug, Clone, PartialEq)]
pub enum Recorded {
    /// It is durable under this number.
    New {
        /// Rises by one with each record, whatever the clock does.
        sequence: u64,
    },
    /// This (device, request id) was recorded before. Nothing may open.
    Repeat {
        /// The first record's number.
        sequence: u64,
        /// What the repeat must be answered.
        answer: Answer,
    },
    /// The outcome is durable.
    Outcome {
        /// Of which record.
        sequence: u64,
    },
    /// It is not recorded. Nothing may open.
    Failed {
        /// Why.
        why: StoreError,
    },
}

/// How far an attempt came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// It was final at once.
    Final,
    /// It has its outcome.
    Outcome(Outcome),
    /// It was begun by this process and has no outcome yet.
    InFlight,
    /// The process that began it ended before its outcome.
    Interrupted,
}

/// What a repeat is answered.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// What the first was, or should have been, answered.
    Decided {
        /// The decision.
        decision: u8,
        /// Why.
        reason: u16,
        /// Who matched.
        matched: Option<Matched>,
    },
    /// The first is still under way.
    InFlight,
    /// The first never came to an end.
    Interrupted,
}

/// A record as it is read.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditEntry {
    /// Its number.
    pub sequence: u64,
    /// What it says.
    pub entry: Entry,
}

/// What a record says.
#[derive(Debug, Clone, PartialEq)]
pub enum Entry {
    /// An attempt, and how far it came.
    Attempt(AttemptRecord, Progress),
    /// An administrative change.
    Change(AdministrativeChange),
}

impl Entry {
    /// What a repeat of this attempt is answered; none for an administrative change.
    #[must_use]
    pub fn answer(&self) -> Option<Answer> {
        let Self::Attempt(record, progress) = self else {
            return None;
        };
        let (decision, reason) = match progress {
            Progress::Final => (record.decision, record.reason),
            Progress::Outcome(outcome) => (outcome.decision, outcome.reason),
            Progress::InFlight => return Some(Answer::InFlight),
            Progress::Interrupted => return Some(Answer::Interrupted),
        };
        Some(Answer::Decided {
            decision,
            reason,
            matched: record.matched.clone(),
        })
    }
}
