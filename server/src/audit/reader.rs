//! Reading the audit while it is written.

use std::path::Path;

use cardea_wire::Reason;
use rusqlite::{Connection, OptionalExtension as _};

use super::DATABASE;
use super::record::{AuditEntry, Entry};
use super::schema::{ENTRY, KIND_ATTEMPT, entry_of};
use crate::limits::{AUDIT_SCAN_ROWS_MAX, PAGE_ROWS_MAX};
use crate::store::{DataDirectory, StoreError, copy_database, key, open_reader};

/// A connection that reads the audit.
#[derive(Debug)]
pub struct AuditReader {
    db: Connection,
    run_first: u64,
}

/// Which records a page shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AuditFilter {
    /// Attempts of this device only.
    pub device: Option<u64>,
    /// Attempts in which this person matched only.
    pub person: Option<u64>,
    /// Administrative changes only.
    pub changes_only: bool,
    /// Attempts only.
    pub attempts_only: bool,
}

/// A page of records, newest first.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditPage {
    /// The records.
    pub entries: Vec<AuditEntry>,
    /// Go on before this number; none at the end. A page that looked at many records may hold few,
    /// or none, and still have a next one.
    pub next: Option<u64>,
}

impl AuditReader {
    pub(super) fn new(db: Connection, run_first: u64) -> Self {
        Self { db, run_first }
    }

    /// A reader beside the server's own: what is in flight reads as in flight.
    ///
    /// # Errors
    /// [`StoreError`] of opening a database.
    pub fn open(directory: &DataDirectory) -> Result<Self, StoreError> {
        Ok(Self::new(open_reader(&directory.file(DATABASE))?, 0))
    }

    /// Attempts a day that matched nobody, between two times of the server's clock, Unix
    /// milliseconds; none if the audit covers less than a day of them. Reads the whole audit.
    ///
    /// # Errors
    /// Those of a read.
    pub fn no_match_a_day(&self, from_ms: u64, to_ms: u64) -> Result<Option<f64>, StoreError> {
        let (from_us, to_us) = (key(from_ms * 1_000), key(to_ms * 1_000));
        let (first_us, count): (Option<i64>, i64) = self.db.query_row(
            "SELECT min(at_us), count(*) FILTER (WHERE reason = ?1)
             FROM records WHERE kind = ?2 AND at_us BETWEEN ?3 AND ?4",
            (Reason::NoMatch as u16, KIND_ATTEMPT, from_us, to_us),
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        let days = first_us.map_or(0.0, |first_us| (to_us - first_us) as f64 / 86_400e6);
        Ok((days >= 1.0).then(|| count as f64 / days))
    }

    /// The last `count` records (1,000 at most), or the last before the number `before`, oldest
    /// first.
    ///
    /// # Errors
    /// Those of a read.
    pub fn tail(&self, count: usize, before: Option<u64>) -> Result<Vec<AuditEntry>, StoreError> {
        let mut entries = self.page(AuditFilter::default(), before, count)?.entries;
        entries.reverse();
        Ok(entries)
    }

    /// Records with numbers above `after`, oldest first, at most `limit` (1,000 at most): to follow
    /// the audit.
    ///
    /// # Errors
    /// Those of a read.
    pub fn since(&self, after: u64, limit: usize) -> Result<Vec<AuditEntry>, StoreError> {
        let limit = limit.min(PAGE_ROWS_MAX) as i64;
        let sql = format!("{ENTRY} WHERE r.sequence > ?1 ORDER BY r.sequence LIMIT ?2");
        let mut select = self.db.prepare_cached(&sql)?;
        let entries = select
            .query_map((key(after), limit), |row| entry_of(row, self.run_first))?
            .collect::<Result<_, _>>()?;
        Ok(entries)
    }

    /// A page of at most `limit` records (1,000 at most) before the number `before`, newest first.
    /// Looks at no more than 100,000 records.
    ///
    /// # Errors
    /// Those of a read.
    pub fn page(
        &self,
        filter: AuditFilter,
        before: Option<u64>,
        limit: usize,
    ) -> Result<AuditPage, StoreError> {
        let limit = limit.clamp(1, PAGE_ROWS_MAX);
        let before = before.map_or(i64::MAX, key);
        let sql = format!("{ENTRY} WHERE r.sequence < ?1 ORDER BY r.sequence DESC");
        let mut select = self.db.prepare_cached(&sql)?;
        let mut rows = select.query([before])?;
        let mut page = AuditPage {
            entries: Vec::new(),
            next: None,
        };
        let mut looked_at = 0;
        while let Some(row) = rows.next()? {
            let entry = entry_of(row, self.run_first)?;
            looked_at += 1;
            page.next = Some(entry.sequence);
            if filter.takes(&entry.entry) {
                page.entries.push(entry);
            }
            if page.entries.len() == limit || looked_at == AUDIT_SCAN_ROWS_MAX {
                return Ok(page);
            }
        }
        page.next = None;
        Ok(page)
    }

    /// One record, if it is there.
    ///
    /// # Errors
    /// Those of a read.
    pub fn entry(&self, sequence: u64) -> Result<Option<AuditEntry>, StoreError> {
        read_entry(&self.db, sequence, self.run_first)
    }

    /// Copies the audit to a file that does not exist yet, durable on return.
    ///
    /// # Errors
    /// [`StoreError::FileExists`]; those of files and of a read.
    pub fn backup_to(&self, path: &Path) -> Result<(), StoreError> {
        copy_database(&self.db, path, |_| Ok(()))
    }

    /// Reads the whole audit and checks its structure; slow.
    ///
    /// # Errors
    /// [`StoreError::Damaged`].
    pub fn check(&self) -> Result<(), StoreError> {
        let found: String = self
            .db
            .query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
        if found != "ok" {
            return Err(StoreError::Damaged { what: "structure" });
        }
        Ok(())
    }
}

impl AuditFilter {
    fn takes(self, entry: &Entry) -> bool {
        match entry {
            Entry::Attempt(record, _) => {
                let person = record.matched.as_ref().map(|matched| matched.person);
                !self.changes_only
                    && self.device.is_none_or(|device| device == record.device)
                    && (self.person.is_none() || self.person == person)
            }
            Entry::Change(_) => {
                !self.attempts_only && self.device.is_none() && self.person.is_none()
            }
        }
    }
}

/// One record, if it is there.
pub(super) fn read_entry(
    db: &Connection,
    sequence: u64,
    run_first: u64,
) -> Result<Option<AuditEntry>, StoreError> {
    let entry = db
        .prepare_cached(&format!("{ENTRY} WHERE r.sequence = ?1"))?
        .query_row([key(sequence)], |row| entry_of(row, run_first))
        .optional()?;
    Ok(entry)
}
