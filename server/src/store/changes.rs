//! The feed of changes: what each generation changed, for those who hold a copy of the visible
//! state.
//!
//! A change names what to read again; it carries no content. So the feed may be followed twice,
//! and late: who reads "person 7 changed" and finds no person 7 will read on that it was withdrawn.

use rusqlite::Connection;

use super::Store;
use super::error::StoreError;
use super::id::{DeviceId, DoorId, ImportId, PersonId, ReferenceId, key, number};
use super::reader::Reader;
use crate::limits::{CHANGES_KEPT_MAX, CHANGES_TRIM_MAX, PAGE_ROWS_MAX};

/// Something that became visible.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// A person is new, or their state, consent, rights or texts changed: read them again.
    Person(PersonId),
    /// A person is gone, with every right.
    PersonWithdrawn(PersonId),
    /// A reference is new: read it.
    Reference(ReferenceId, PersonId),
    /// A reference is gone.
    ReferenceWithdrawn(ReferenceId, PersonId),
    /// Everyone of an import, and all their references, are visible: read them.
    Imported(ImportId),
    /// A door is new or changed.
    Door(DoorId),
    /// A door is gone, with every right at it.
    DoorRemoved(DoorId),
    /// A device, or what waits for it, is new or changed.
    Device(DeviceId),
    /// A device is gone.
    DeviceRemoved(DeviceId),
    /// Settings changed: read them all again.
    Settings,
}

/// A stretch of the feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changes {
    /// The changes, oldest first.
    pub changes: Vec<Change>,
    /// The generation that is reached by following them.
    pub until: u64,
    /// The store's generation; past `until` there is more to read.
    pub generation: u64,
}

impl Reader {
    /// The generation of what is visible now.
    ///
    /// # Errors
    /// Those of a read.
    pub fn generation(&self) -> Result<u64, StoreError> {
        Ok(self.site()?.0)
    }

    /// Sixteen bytes that name this store's history. A restored backup has another: then equal
    /// generations mean nothing, and a gallery of another history is built anew.
    ///
    /// # Errors
    /// Those of a read.
    pub fn lineage(&self) -> Result<[u8; 16], StoreError> {
        let lineage = self
            .db
            .prepare_cached("SELECT lineage FROM site")?
            .query_row([], |row| row.get(0))?;
        Ok(lineage)
    }

    /// The changes after `generation`, whole generations, at most 1,000 of them.
    ///
    /// # Errors
    /// [`StoreError::FeedTrimmed`] where the feed does not reach back, or the store is not there
    /// yet; those of a read.
    pub fn changes_since(&self, generation: u64) -> Result<Changes, StoreError> {
        let (now, oldest) = self.site()?;
        if generation < oldest || generation > now {
            return Err(StoreError::FeedTrimmed { oldest });
        }
        let until = now.min(generation + PAGE_ROWS_MAX as u64);
        let mut changes = Vec::new();
        let mut select = self.db.prepare_cached(
            "SELECT kind, subject, other FROM changes
             WHERE generation > ?1 AND generation <= ?2 ORDER BY generation, ordinal",
        )?;
        let mut rows = select.query((key(generation), key(until)))?;
        while let Some(row) = rows.next()? {
            changes.push(decoded(
                row.get(0)?,
                number(row.get(1)?),
                number(row.get(2)?),
            )?);
        }
        Ok(Changes {
            changes,
            until,
            generation: now,
        })
    }

    fn site(&self) -> Result<(u64, u64), StoreError> {
        let (now, oldest) = self
            .db
            .prepare_cached("SELECT generation, feed_oldest FROM site")?
            .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok((number(now), number(oldest)))
    }
}

impl Store {
    /// Forgets changes up to a generation that every follower has behind it.
    ///
    /// # Errors
    /// Those of a write.
    pub fn changes_trim(&mut self, until: u64) -> Result<(), StoreError> {
        loop {
            let (now, oldest) = self.reader.site()?;
            let until = until.min(now);
            if until <= oldest {
                return Ok(());
            }
            let step = until.min(oldest + CHANGES_TRIM_MAX);
            self.change(1, |db| trim(db, step))?;
        }
    }
}

/// Raises the generation and notes what it changed; to be called once in a transaction.
pub(crate) fn publish(db: &Connection, changes: &[Change]) -> Result<u64, StoreError> {
    let (generation, oldest): (i64, i64) = db
        .prepare_cached(
            "UPDATE site SET generation = generation + 1 RETURNING generation, feed_oldest",
        )?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mut insert = db.prepare_cached("INSERT INTO changes VALUES (?1, ?2, ?3, ?4, ?5)")?;
    for (ordinal, change) in (0_i64..).zip(changes) {
        let (kind, subject, other) = encoded(*change);
        insert.execute((generation, ordinal, kind, key(subject), key(other)))?;
    }
    let (generation, oldest) = (number(generation), number(oldest));
    if generation - oldest > CHANGES_KEPT_MAX {
        trim(db, oldest + CHANGES_TRIM_MAX)?;
    }
    Ok(generation)
}

fn trim(db: &Connection, until: u64) -> Result<(), StoreError> {
    db.prepare_cached("DELETE FROM changes WHERE generation <= ?1")?
        .execute([key(until)])?;
    db.prepare_cached("UPDATE site SET feed_oldest = ?1")?
        .execute([key(until)])?;
    Ok(())
}

fn encoded(change: Change) -> (i64, u64, u64) {
    match change {
        Change::Person(person) => (1, person.0, 0),
        Change::PersonWithdrawn(person) => (2, person.0, 0),
        Change::Reference(reference, person) => (3, reference.0, person.0),
        Change::ReferenceWithdrawn(reference, person) => (4, reference.0, person.0),
        Change::Imported(import) => (5, import.0, 0),
        Change::Door(door) => (6, door.0, 0),
        Change::DoorRemoved(door) => (7, door.0, 0),
        Change::Device(device) => (8, device.0, 0),
        Change::DeviceRemoved(device) => (9, device.0, 0),
        Change::Settings => (10, 0, 0),
    }
}

fn decoded(kind: i64, subject: u64, other: u64) -> Result<Change, StoreError> {
    Ok(match kind {
        1 => Change::Person(PersonId(subject)),
        2 => Change::PersonWithdrawn(PersonId(subject)),
        3 => Change::Reference(ReferenceId(subject), PersonId(other)),
        4 => Change::ReferenceWithdrawn(ReferenceId(subject), PersonId(other)),
        5 => Change::Imported(ImportId(subject)),
        6 => Change::Door(DoorId(subject)),
        7 => Change::DoorRemoved(DoorId(subject)),
        8 => Change::Device(DeviceId(subject)),
        9 => Change::DeviceRemoved(DeviceId(subject)),
        10 => Change::Settings,
        _ => {
            return Err(StoreError::Damaged {
                what: "unknown change",
            });
        }
    })
}
