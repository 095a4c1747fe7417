//! Imports: people staged in short transactions, then visible all at once, or not at all.
//!
//! ```text
//! import_begin -> import_add* -> import_commit     everyone visible, one generation
//!                            \-> import_abort      everyone gone; also after a crash, at open
//! ```
//!
//! Staged people carry the import's number; the views `people_visible` and `references_visible`
//! leave out those whose import has no generation yet. Staging does not wait for the disk: the
//! commit's own sync covers all that was staged before it.

use cardea_connect::message::Event;
use rusqlite::Connection;

use super::changes::{Change, publish};
use super::doors::{insert_right, require_door};
use super::embeddings::{erase_references, insert_reference};
use super::error::{Entity, StoreError};
use super::id::{ImportId, PersonId, ReferenceId, key, number};
use super::outbox::note;
use super::people::{NewPerson, check_person, insert_person};
use super::{LOG, Store, checkpoint};
use crate::limits::{IMPORT_BATCH_MAX, IMPORT_SWEEP_MAX};

/// A person of a batch who was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportRefusal {
    /// The place in the batch.
    pub index: usize,
    /// Why.
    pub why: StoreError,
}

/// What a committed import made visible.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImportCommitted {
    /// People.
    pub people: u64,
    /// The generation in which they are visible.
    pub generation: u64,
}

impl Store {
    /// Begins an import. There is one at a time.
    ///
    /// # Errors
    /// [`StoreError::ImportOpen`]; those of a write.
    pub fn import_begin(&mut self, now_unix_s: i64) -> Result<ImportId, StoreError> {
        self.change(1, |db| {
            if let Some(open) = open_import(db)? {
                return Err(StoreError::ImportOpen { import: open.0 });
            }
            let next: i64 = db.query_row(
                "SELECT 1 + coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'references_'",
                [],
                |row| row.get(0),
            )?;
            let id = db
                .prepare_cached(
                    "INSERT INTO imports(begun, reference_first, reference_last)
                     VALUES (?1, ?2, ?2 - 1)",
                )?
                .insert((now_unix_s, next))?;
            Ok(ImportId(number(id)))
        })
    }

    /// Stages at most 256 people. Who cannot be taken is reported and left out; the others stay
    /// staged, so the caller decides whether the import goes on.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for an import that is not open, [`StoreError::Invalid`] for too
    /// large a batch; [`StoreError::Busy`] while a long read keeps the log from being emptied, to
    /// be tried again; those of a write, which leave the whole batch out.
    pub fn import_add(
        &mut self,
        import: ImportId,
        people: &[NewPerson],
        now_unix_s: i64,
    ) -> Result<Vec<ImportRefusal>, StoreError> {
        let max = IMPORT_BATCH_MAX;
        if people.len() > max {
            return Err(StoreError::Invalid {
                field: "batch",
                max,
            });
        }
        self.staged(people.len(), |db| {
            require_open(db, import)?;
            let mut refusals = Vec::new();
            let mut last = None;
            for (index, person) in people.iter().enumerate() {
                match stage(db, import, person, now_unix_s) {
                    Ok(reference) => last = Some(reference),
                    Err(why) if is_refusal(&why) => refusals.push(ImportRefusal { index, why }),
                    Err(error) => return Err(error),
                }
            }
            if let Some(last) = last {
                db.prepare_cached("UPDATE imports SET reference_last = ?2 WHERE id = ?1")?
                    .execute((key(import.0), key(last.0)))?;
            }
            Ok(refusals)
        })
    }

    /// Makes everyone of an import visible.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for an import that is not open; those of a write.
    pub fn import_commit(&mut self, import: ImportId) -> Result<ImportCommitted, StoreError> {
        self.change(1, |db| {
            require_open(db, import)?;
            let people: i64 = db
                .prepare_cached("SELECT count(*) FROM people WHERE import = ?1 AND import > 0")?
                .query_row([key(import.0)], |row| row.get(0))?;
            let count = number(people);
            note(db, &Event::PeopleImported { people: count })?;
            let generation = publish(db, &[Change::Imported(import)])?;
            db.prepare_cached("UPDATE imports SET generation = ?2 WHERE id = ?1")?
                .execute((key(import.0), key(generation)))?;
            Ok(ImportCommitted {
                people: count,
                generation,
            })
        })
    }

    /// Removes an import that is open and everyone staged by it.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for an import that is not open; those of a write, after which it
    /// may be called again.
    pub fn import_abort(&mut self, import: ImportId) -> Result<(), StoreError> {
        while self.import_abort_step(import)? {}
        Ok(())
    }

    /// One short transaction of [`Store::import_abort`]; returns whether there is more to remove.
    ///
    /// # Errors
    /// As [`Store::import_abort`].
    pub fn import_abort_step(&mut self, import: ImportId) -> Result<bool, StoreError> {
        self.staged(IMPORT_SWEEP_MAX, |db| {
            require_open(db, import)?;
            let people = staged_people(db, import)?;
            for person in &people {
                erase_references(db, *person)?;
                db.prepare_cached("DELETE FROM people WHERE id = ?1")?
                    .execute([key(person.0)])?;
            }
            let more = people.len() == IMPORT_SWEEP_MAX;
            if !more {
                db.prepare_cached("DELETE FROM imports WHERE id = ?1")?
                    .execute([key(import.0)])?;
            }
            Ok(more)
        })
    }

    /// Removes what imports left that did not come to their end.
    pub(super) fn imports_sweep(&mut self) -> Result<(), StoreError> {
        while let Some(import) = open_import(&self.reader.db)? {
            tracing::info!(import = import.0, "removing an unfinished import");
            self.import_abort(import)?;
        }
        Ok(())
    }

    // A transaction that is whole after a crash, or absent, but need not be durable by itself.
    fn staged<T>(
        &mut self,
        rows: usize,
        body: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.room_in_log()?;
        let db = &self.reader.db;
        db.pragma_update(None, "synchronous", "NORMAL")?;
        let out = self.change(rows, body);
        if let Err(error) = self.reader.db.pragma_update(None, "synchronous", "FULL") {
            // Nothing after this would be durable when acknowledged.
            self.poisoned = true;
            return Err(error.into());
        }
        out
    }

    // A log that somebody reads cannot begin anew, and bulk work would make it grow without end.
    fn room_in_log(&self) -> Result<(), StoreError> {
        let log = self.directory.file(LOG);
        if std::fs::metadata(log).map_or(0, |log| log.len()) <= self.log_bulk_bytes_max {
            return Ok(());
        }
        let done = checkpoint(&self.reader.db, "PASSIVE")?;
        // Blocked means only that the thread for it is at it.
        if !done.blocked && done.done_pages < done.log_pages {
            return Err(StoreError::Busy);
        }
        Ok(())
    }
}

fn stage(
    db: &Connection,
    import: ImportId,
    person: &NewPerson,
    now_unix_s: i64,
) -> Result<ReferenceId, StoreError> {
    // All that can be refused is looked at before the first row is written.
    check_person(person)?;
    for door in &person.doors {
        require_door(db, *door)?;
    }
    let mut same = db.prepare_cached("SELECT id FROM people WHERE external_id = ?1")?;
    let mut same = same.query([&person.external_id])?;
    if let Some(row) = same.next()? {
        return Err(StoreError::Exists {
            entity: Entity::Person,
            id: number(row.get(0)?),
        });
    }
    let id = insert_person(db, person, now_unix_s, key(import.0))?;
    for door in &person.doors {
        insert_right(db, id, *door)?;
    }
    let mut last = ReferenceId(0);
    for reference in &person.references {
        last = insert_reference(db, id, reference, now_unix_s, key(import.0))?;
    }
    Ok(last)
}

fn is_refusal(error: &StoreError) -> bool {
    matches!(
        error,
        StoreError::Exists { .. } | StoreError::NotFound { .. } | StoreError::Invalid { .. }
    )
}

fn staged_people(db: &Connection, import: ImportId) -> Result<Vec<PersonId>, StoreError> {
    let mut select = db.prepare_cached(
        "SELECT id FROM people WHERE import = ?1 AND import > 0 ORDER BY id LIMIT ?2",
    )?;
    let people = select
        .query_map((key(import.0), IMPORT_SWEEP_MAX as i64), |row| {
            Ok(PersonId(number(row.get(0)?)))
        })?
        .collect::<Result<_, _>>()?;
    Ok(people)
}

fn require_open(db: &Connection, import: ImportId) -> Result<(), StoreError> {
    if open_import(db)? == Some(import) {
        return Ok(());
    }
    Err(StoreError::NotFound {
        entity: Entity::Import,
    })
}

fn open_import(db: &Connection) -> Result<Option<ImportId>, StoreError> {
    let mut select = db.prepare_cached("SELECT id FROM imports WHERE generation IS NULL")?;
    let mut rows = select.query([])?;
    match rows.next()? {
        Some(row) => Ok(Some(ImportId(number(row.get(0)?)))),
        None => Ok(None),
    }
}
