//! Who Space named at its last sync, and since when others are gone from it.

use rusqlite::OptionalExtension as _;

use super::Store;
use super::error::StoreError;
use super::reader::Reader;
use crate::limits::SPACE_BATCH_MAX;

/// What a sync brought, in one batch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SpaceBatch {
    /// New or changed people: their `ExtUserID` and a digest of what Space says of them.
    pub named: Vec<(String, u64)>,
    /// People that Space no longer names.
    pub gone: Vec<String>,
    /// Whether an administrator must agree before who is gone is erased.
    pub held: bool,
}

impl Store {
    /// Notes a part of a sync, at most [`SPACE_BATCH_MAX`] people.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for too many at once; those of a write.
    pub fn space_synced(&mut self, batch: &SpaceBatch, now_unix_s: i64) -> Result<(), StoreError> {
        let people = batch.named.len() + batch.gone.len();
        if people > SPACE_BATCH_MAX {
            let max = SPACE_BATCH_MAX;
            return Err(StoreError::Invalid {
                field: "batch",
                max,
            });
        }
        self.change(people, |db| {
            let mut name = db.prepare_cached(
                "INSERT INTO space_people(ext_id, digest) VALUES (?1, ?2)
                 ON CONFLICT (ext_id) DO UPDATE
                 SET digest = excluded.digest, gone_since = NULL, held = 0",
            )?;
            for (person, digest) in &batch.named {
                name.execute((person, digest.cast_signed()))?;
            }
            let mut lose = db.prepare_cached(
                "UPDATE space_people SET gone_since = ?2, held = ?3
                 WHERE ext_id = ?1 AND gone_since IS NULL",
            )?;
            for person in &batch.gone {
                lose.execute((person, now_unix_s, batch.held))?;
            }
            Ok(())
        })
    }

    /// Forgets a person of Space's who has been erased here.
    ///
    /// # Errors
    /// Those of a write.
    pub fn space_forget(&mut self, person: &str) -> Result<(), StoreError> {
        self.change(1, |db| {
            db.prepare_cached("DELETE FROM space_people WHERE ext_id = ?1")?
                .execute([person])?;
            Ok(())
        })
    }

    /// Forgets all that Space has named.
    ///
    /// # Errors
    /// Those of a write.
    pub fn space_clear(&mut self) -> Result<(), StoreError> {
        loop {
            let forgotten = self.change(SPACE_BATCH_MAX, |db| {
                let mut forget = db.prepare_cached(
                    "DELETE FROM space_people WHERE ext_id IN
                       (SELECT ext_id FROM space_people LIMIT ?1)",
                )?;
                Ok(forget.execute([SPACE_BATCH_MAX as i64])?)
            })?;
            if forgotten < SPACE_BATCH_MAX {
                return Ok(());
            }
        }
    }

    /// An administrator agrees that all who are gone may be erased. Returns how many were held.
    ///
    /// # Errors
    /// Those of a write.
    pub fn space_release(&mut self) -> Result<usize, StoreError> {
        self.change(1, |db| {
            Ok(db.execute("UPDATE space_people SET held = 0 WHERE held", [])?)
        })
    }
}

impl Reader {
    /// Who Space named at its last sync, with the digests, ascending by `ExtUserID`.
    ///
    /// # Errors
    /// Those of a read.
    pub fn space_known(&self) -> Result<Vec<(String, u64)>, StoreError> {
        let mut select = self.db.prepare_cached(
            "SELECT ext_id, digest FROM space_people WHERE gone_since IS NULL ORDER BY ext_id",
        )?;
        let rows = select.query_map([], |row| {
            Ok((
                row.get::<_, String>(0)?,
                row.get::<_, i64>(1)?.cast_unsigned(),
            ))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Whether Space named this person at its last sync.
    ///
    /// # Errors
    /// Those of a read.
    pub fn space_names(&self, ext_id: &str) -> Result<bool, StoreError> {
        let mut select = self.db.prepare_cached(
            "SELECT 1 FROM space_people WHERE ext_id = ?1 AND gone_since IS NULL",
        )?;
        Ok(select.exists([ext_id])?)
    }

    /// At most [`SPACE_BATCH_MAX`] people who are gone from Space since before `before_unix_s` and
    /// not held.
    ///
    /// # Errors
    /// Those of a read.
    pub fn space_gone(&self, before_unix_s: i64) -> Result<Vec<String>, StoreError> {
        let mut select = self.db.prepare_cached(
            "SELECT ext_id FROM space_people WHERE gone_since < ?1 AND NOT held
             ORDER BY ext_id LIMIT ?2",
        )?;
        let rows = select.query_map((before_unix_s, SPACE_BATCH_MAX as i64), |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The external id of the person whom Space calls `ext_id`, if there is one here. 32
    /// hexadecimal digits are one id in either case: Space writes them in upper case, files that
    /// are imported may not.
    ///
    /// # Errors
    /// Those of a read.
    pub fn space_person(&self, ext_id: &str) -> Result<Option<String>, StoreError> {
        let exact = self
            .db
            .prepare_cached("SELECT external_id FROM people_visible WHERE external_id = ?1")?
            .query_row([ext_id], |row| row.get(0))
            .optional()?;
        let is_hex = ext_id.len() == 32 && ext_id.bytes().all(|byte| byte.is_ascii_hexdigit());
        if exact.is_some() || !is_hex {
            return Ok(exact);
        }
        let either_case = self
            .db
            .prepare_cached(
                "SELECT external_id FROM people_visible
                 WHERE length(external_id) = 32 AND upper(external_id) = upper(?1)
                 ORDER BY external_id LIMIT 1",
            )?
            .query_row([ext_id], |row| row.get(0))
            .optional()?;
        Ok(either_case)
    }

    /// How many who are gone from Space wait for an administrator.
    ///
    /// # Errors
    /// Those of a read.
    pub fn space_held(&self) -> Result<u64, StoreError> {
        let count: i64 =
            self.db
                .query_row("SELECT count(*) FROM space_people WHERE held", [], |row| {
                    row.get(0)
                })?;
        Ok(super::number(count))
    }
}
