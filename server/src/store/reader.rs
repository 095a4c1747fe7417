//! Reading what is visible: one thing, a page, or everything in one consistent walk.

use std::fmt;
use std::ops::Deref;

use rusqlite::{CachedStatement, Connection, OptionalExtension as _, Transaction};

use super::embeddings::embedding_of;
use super::error::StoreError;
use super::id::{ImportId, PersonId, ReferenceId, key, number};
use crate::limits::EMBEDDING_BYTES;

/// Counts walk the smallest index, and take off what an import that is not committed has staged.
const COUNTS: &str = "
    WITH staged AS (SELECT p.id FROM imports i JOIN people p ON p.import = i.id AND p.import > 0
                    WHERE i.generation IS NULL)
    SELECT (SELECT count(*) FROM people) - (SELECT count(*) FROM staged),
           (SELECT count(*) FROM references_)
           - (SELECT count(*) FROM staged s JOIN references_ r ON r.person = s.id),
           (SELECT count(*) FROM doors), (SELECT count(*) FROM devices)";

/// A connection that reads. It sees what was committed when each read began.
#[derive(Debug)]
pub struct Reader {
    pub(super) db: Connection,
}

/// A reader that stays at one generation until it is dropped. While it lives, the write-ahead log
/// grows and cannot be erased: do not hold it longer than a walk takes.
#[derive(Debug)]
pub struct Snapshot<'a> {
    reader: &'a Reader,
    // None within another snapshot of the same reader.
    _transaction: Option<Transaction<'a>>,
}

/// A reference as it is read.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredReference {
    /// Whose it is.
    pub person: PersonId,
    /// 512 little-endian f32, as they were enrolled.
    pub embedding: Box<[u8; EMBEDDING_BYTES]>,
}

impl fmt::Debug for StoredReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // An embedding is never printed.
        f.debug_struct("StoredReference")
            .field("person", &self.person)
            .finish_non_exhaustive()
    }
}

/// How much is visible.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// People.
    pub people: u64,
    /// References of people.
    pub references: u64,
    /// Doors.
    pub doors: u64,
    /// Devices.
    pub devices: u64,
}

impl Deref for Snapshot<'_> {
    type Target = Reader;

    fn deref(&self) -> &Reader {
        self.reader
    }
}

impl Reader {
    pub(super) fn new(db: Connection) -> Self {
        Self { db }
    }

    /// Stays at the present generation: all reads through the snapshot agree with each other.
    ///
    /// # Errors
    /// Those of a read.
    pub fn snapshot(&self) -> Result<Snapshot<'_>, StoreError> {
        let transaction = if self.db.is_autocommit() {
            let transaction = self.db.unchecked_transaction()?;
            // The first read fixes what the transaction sees.
            self.generation()?;
            Some(transaction)
        } else {
            None
        };
        Ok(Snapshot {
            reader: self,
            _transaction: transaction,
        })
    }

    /// Every visible reference after `after`, by id, with its embedding; returns how many. A
    /// damaged one ends the walk, which may go on after it.
    ///
    /// # Errors
    /// [`StoreError::DamagedReference`], those of a read; those of `each`, which ends the walk.
    pub fn references_each<E: From<StoreError>>(
        &self,
        after: ReferenceId,
        each: impl FnMut(ReferenceId, PersonId, &[u8; EMBEDDING_BYTES]) -> Result<(), E>,
    ) -> Result<u64, E> {
        self.rows_each("r.id > ?1", after.0, each)
    }

    /// Every reference that an import made visible, by id, with its embedding; returns how many.
    ///
    /// # Errors
    /// As [`Reader::references_each`].
    pub fn imported_references_each<E: From<StoreError>>(
        &self,
        import: ImportId,
        each: impl FnMut(ReferenceId, PersonId, &[u8; EMBEDDING_BYTES]) -> Result<(), E>,
    ) -> Result<u64, E> {
        let condition = "r.import = ?1
            AND r.id >= (SELECT reference_first FROM imports WHERE id = ?1)
            AND r.id <= (SELECT reference_last FROM imports WHERE id = ?1)";
        self.rows_each(condition, import.0, each)
    }

    /// One reference, if it is visible.
    ///
    /// # Errors
    /// [`StoreError::DamagedReference`]; those of a read.
    pub fn reference(&self, reference: ReferenceId) -> Result<Option<StoredReference>, StoreError> {
        let mut found = None;
        self.rows_each::<StoreError>("r.id = ?1", reference.0, |_, person, bytes| {
            found = Some(StoredReference {
                person,
                embedding: Box::new(*bytes),
            });
            Ok(())
        })?;
        Ok(found)
    }

    /// The largest reference id ever given; the next is above it.
    ///
    /// # Errors
    /// Those of a read.
    pub fn reference_last(&self) -> Result<ReferenceId, StoreError> {
        let last: Option<i64> = self
            .db
            .prepare_cached("SELECT seq FROM sqlite_sequence WHERE name = 'references_'")?
            .query_row([], |row| row.get(0))
            .optional()?;
        Ok(ReferenceId(number(last.unwrap_or(0))))
    }

    /// How much is visible.
    ///
    /// # Errors
    /// Those of a read.
    pub fn counts(&self) -> Result<Counts, StoreError> {
        let counts = self.db.query_row(COUNTS, [], |row| {
            Ok(Counts {
                people: number(row.get(0)?),
                references: number(row.get(1)?),
                doors: number(row.get(2)?),
                devices: number(row.get(3)?),
            })
        })?;
        Ok(counts)
    }

    pub(super) fn prepared(&self, sql: &str) -> Result<CachedStatement<'_>, StoreError> {
        Ok(self.db.prepare_cached(sql)?)
    }

    pub(super) fn check(&self) -> Result<(), StoreError> {
        let found: String = self
            .db
            .query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
        if found != "ok" {
            return Err(StoreError::Damaged { what: "structure" });
        }
        let broken = self.db.prepare("PRAGMA foreign_key_check")?.exists([])?;
        // Each slot holds one reference or is free, and a free one holds nothing.
        let lost: bool = self.db.query_row(
            "SELECT (SELECT count(*) FROM embeddings)
                 <> (SELECT count(*) FROM references_) + (SELECT count(*) FROM slots_free)
                 OR EXISTS (SELECT 1 FROM slots_free JOIN embeddings USING (slot)
                            WHERE bytes <> zeroblob(length(bytes)))",
            [],
            |row| row.get(0),
        )?;
        if broken || lost {
            return Err(StoreError::Damaged { what: "content" });
        }
        self.references_each::<StoreError>(ReferenceId(0), |_, _, _| Ok(()))?;
        Ok(())
    }

    fn rows_each<E: From<StoreError>>(
        &self,
        condition: &str,
        value: u64,
        mut each: impl FnMut(ReferenceId, PersonId, &[u8; EMBEDDING_BYTES]) -> Result<(), E>,
    ) -> Result<u64, E> {
        // An embedding that is missing must be seen, so it is no inner join.
        let sql = format!(
            "SELECT r.id, r.person, r.slot, r.checksum, e.bytes
             FROM references_visible r LEFT JOIN embeddings e ON e.slot = r.slot
             WHERE {condition} ORDER BY r.id"
        );
        let mut select = self.prepared(&sql)?;
        let mut rows = select.query([key(value)]).map_err(StoreError::from)?;
        let mut count = 0;
        while let Some(row) = rows.next().map_err(StoreError::from)? {
            let id = ReferenceId(number(row.get(0).map_err(StoreError::from)?));
            let person = PersonId(number(row.get(1).map_err(StoreError::from)?));
            each(id, person, embedding_of(row, id, 2)?)?;
            count += 1;
        }
        Ok(count)
    }
}
