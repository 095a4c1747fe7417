//! The audit's tables: records in the order of their numbers, and outcomes beside them, so that a
//! record is never rewritten.

use rusqlite::{Connection, Row};

use super::record::{
    AdministrativeChange, AttemptRecord, AuditEntry, Entry, Matched, Outcome, Progress,
};
use crate::store::{StoreError, migrate_with, number};

const MIGRATIONS: [&str; 1] = ["
CREATE TABLE records(
  sequence INTEGER PRIMARY KEY,
  kind INTEGER NOT NULL,
  at_us INTEGER NOT NULL,
  device INTEGER,
  request_id BLOB,
  door INTEGER,
  decision INTEGER,
  reason INTEGER,
  final INTEGER,
  person INTEGER,
  external_id TEXT,
  score REAL,
  actor TEXT,
  action TEXT,
  subject TEXT
) STRICT;

CREATE TABLE outcomes(
  sequence INTEGER PRIMARY KEY,
  decision INTEGER NOT NULL,
  reason INTEGER NOT NULL,
  at_us INTEGER NOT NULL
) STRICT;
"];

/// `kind` of an attempt.
pub(super) const KIND_ATTEMPT: i64 = 1;
/// `kind` of an administrative change.
pub(super) const KIND_CHANGE: i64 = 2;

/// Selects what [`entry_of`] reads.
pub(super) const ENTRY: &str = "SELECT r.sequence, r.kind, r.at_us, r.device, r.request_id,
    r.door, r.decision, r.reason, r.final, r.person, r.external_id, r.score,
    r.actor, r.action, r.subject, o.decision, o.reason, o.at_us
    FROM records r LEFT JOIN outcomes o ON o.sequence = r.sequence";

pub(super) fn migrate(db: &mut Connection) -> Result<(), StoreError> {
    migrate_with(db, &MIGRATIONS)
}

/// A record as it is read; what `run_first` and later ones lack is in flight, not interrupted.
pub(super) fn entry_of(row: &Row<'_>, run_first: u64) -> rusqlite::Result<AuditEntry> {
    let sequence = number(row.get(0)?);
    let entry = match row.get(1)? {
        KIND_ATTEMPT => {
            let record = attempt_of(row)?;
            let progress = progress_of(row, record.is_final, sequence >= run_first)?;
            Entry::Attempt(record, progress)
        }
        KIND_CHANGE => Entry::Change(AdministrativeChange {
            at_unix_us: row.get(2)?,
            actor: row.get(12)?,
            action: row.get(13)?,
            subject: row.get(14)?,
        }),
        found => return Err(rusqlite::Error::IntegralValueOutOfRange(1, found)),
    };
    Ok(AuditEntry { sequence, entry })
}

fn attempt_of(row: &Row<'_>) -> rusqlite::Result<AttemptRecord> {
    let person: Option<i64> = row.get(9)?;
    let matched = match person {
        Some(person) => Some(Matched {
            person: number(person),
            external_id: row.get(10)?,
            score: row.get(11)?,
        }),
        None => None,
    };
    Ok(AttemptRecord {
        device: number(row.get(3)?),
        request_id: row.get(4)?,
        at_unix_us: row.get(2)?,
        door: number(row.get(5)?),
        decision: row.get(6)?,
        reason: row.get(7)?,
        matched,
        is_final: row.get(8)?,
    })
}

fn progress_of(row: &Row<'_>, is_final: bool, of_this_run: bool) -> rusqlite::Result<Progress> {
    let decision: Option<u8> = row.get(15)?;
    Ok(match decision {
        _ if is_final => Progress::Final,
        Some(decision) => Progress::Outcome(Outcome {
            decision,
            reason: row.get(16)?,
            at_unix_us: row.get(17)?,
        }),
        None if of_this_run => Progress::InFlight,
        None => Progress::Interrupted,
    })
}
