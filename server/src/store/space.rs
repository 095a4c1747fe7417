//! Whom the last sync with Space knew, and who has gone from it since.
//!
//! Rights come from Space anew with each sync and are not stored: without Space nothing opens.
//! What must outlive a restart is who was there, to see who went, and since when, because who is
//! gone is erased after a day. Noting a difference twice, or half of it before a crash, is made
//! good by the next sync.

use super::Store;
use super::error::StoreError;
use super::id::number;
use super::reader::Reader;
use super::text::checked;
use crate::limits::{EXTERNAL_ID_BYTES_MAX, PAGE_ROWS_MAX, SPACE_BATCH_MAX};

/// A user of Space, as the last sync saw them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpaceUser {
    /// `ExtUserID`.
    pub external_id: String,
    /// Changes when anything does that Space says about them.
    pub digest: u64,
}

/// A user of Space who has gone from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpaceGone {
    /// `ExtUserID`.
    pub external_id: String,
    /// The sync that missed them first, Unix time in seconds.
    pub since_unix_s: i64,
    /// An administrator must confirm before they are erased.
    pub held: bool,
}

impl Store {
    /// Notes users who are new, changed or back again; at most 1,000 at once.
    ///
    /// # Errors
    /// [`StoreError::Invalid`]; those of a write.
    pub fn space_seen(&mut self, users: &[SpaceUser]) -> Result<(), StoreError> {
        check_batch(users.len())?;
        self.change(users.len(), |db| {
            let mut upsert = db.prepare_cached(
                "INSERT INTO space_users(external_id, digest, gone_since, held)
                 VALUES (?1, ?2, NULL, 0)
                 ON CONFLICT(external_id) DO UPDATE
                 SET digest = excluded.digest, gone_since = NULL, held = 0",
            )?;
            for user in users {
                checked("ExtUserID", &user.external_id, EXTERNAL_ID_BYTES_MAX)?;
                upsert.execute((&user.external_id, user.digest.cast_signed()))?;
            }
            Ok(())
        })
    }

    /// Notes users who are gone, at most 1,000 at once; held ones wait for an administrator. Who
    /// was gone before keeps the time and the hold.
    ///
    /// # Errors
    /// [`StoreError::Invalid`]; those of a write.
    pub fn space_gone(
        &mut self,
        external_ids: &[String],
        held: bool,
        now_unix_s: i64,
    ) -> Result<(), StoreError> {
        check_batch(external_ids.len())?;
        self.change(external_ids.len(), |db| {
            let mut update = db.prepare_cached(
                "UPDATE space_users SET gone_since = ?2, held = ?3
                 WHERE external_id = ?1 AND gone_since IS NULL",
            )?;
            for external_id in external_ids {
                update.execute((external_id, now_unix_s, held))?;
            }
            Ok(())
        })
    }

    /// An administrator confirms: all who are held may be erased when their day is over. Returns
    /// how many were held.
    ///
    /// # Errors
    /// Those of a write.
    pub fn space_confirm(&mut self) -> Result<u64, StoreError> {
        self.change(1, |db| {
            let confirmed = db
                .prepare_cached(
                    "UPDATE space_users SET held = 0 WHERE gone_since IS NOT NULL AND held = 1",
                )?
                .execute([])?;
            Ok(confirmed as u64)
        })
    }

    /// Forgets a user who is gone: to be called once the person is withdrawn, or was none.
    ///
    /// # Errors
    /// Those of a write.
    pub fn space_forget(&mut self, external_id: &str) -> Result<(), StoreError> {
        self.change(1, |db| {
            db.prepare_cached(
                "DELETE FROM space_users WHERE external_id = ?1 AND gone_since IS NOT NULL",
            )?
            .execute([external_id])?;
            Ok(())
        })
    }
}

impl Reader {
    /// Whom the last sync knew, without those who are gone, by ascending id (bytes).
    ///
    /// # Errors
    /// Those of a read.
    pub fn space_known(&self) -> Result<Vec<SpaceUser>, StoreError> {
        let mut select = self.prepared(
            "SELECT external_id, digest FROM space_users WHERE gone_since IS NULL
             ORDER BY external_id",
        )?;
        let known = select
            .query_map([], |row| {
                Ok(SpaceUser {
                    external_id: row.get(0)?,
                    digest: row.get::<_, i64>(1)?.cast_unsigned(),
                })
            })?
            .collect::<Result<_, _>>()?;
        Ok(known)
    }

    /// Who is gone since `until_unix_s` or before, longest first; at most `limit` (1,000 at most).
    /// Who is held must not be erased.
    ///
    /// # Errors
    /// Those of a read.
    pub fn space_gone_until(
        &self,
        until_unix_s: i64,
        include_held: bool,
        limit: usize,
    ) -> Result<Vec<SpaceGone>, StoreError> {
        let mut select = self.prepared(
            "SELECT external_id, gone_since, held FROM space_users
             WHERE gone_since <= ?1 AND (held = 0 OR ?2)
             ORDER BY gone_since, external_id LIMIT ?3",
        )?;
        let limit = limit.min(PAGE_ROWS_MAX) as i64;
        let gone = select
            .query_map((until_unix_s, include_held, limit), |row| {
                Ok(SpaceGone {
                    external_id: row.get(0)?,
                    since_unix_s: row.get(1)?,
                    held: row.get(2)?,
                })
            })?
            .collect::<Result<_, _>>()?;
        Ok(gone)
    }

    /// How many are gone and held for an administrator.
    ///
    /// # Errors
    /// Those of a read.
    pub fn space_held(&self) -> Result<u64, StoreError> {
        let held = self
            .prepared("SELECT count(*) FROM space_users WHERE gone_since IS NOT NULL AND held = 1")?
            .query_row([], |row| row.get(0))?;
        Ok(number(held))
    }
}

fn check_batch(users: usize) -> Result<(), StoreError> {
    let max = SPACE_BATCH_MAX;
    if users > max {
        return Err(StoreError::Invalid {
            field: "batch",
            max,
        });
    }
    Ok(())
}
