//! Who still hangs on the site CA before, while it rolls over: certificates that it signed and
//! codes that name it, as they were in force when the roll-over began.

use rusqlite::{Connection, OptionalExtension as _};

use super::Store;
use super::error::StoreError;
use super::reader::Reader;
use crate::limits::ROLL_OVER_SWEEP_MAX;

/// Who still hangs on the site CA before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RollOver {
    /// Devices with a certificate that it signed, still in force.
    pub devices: u64,
    /// Commissioning codes that name it and may still be used.
    pub codes: u64,
    /// When the last of all these ends by itself, Unix seconds; 0 if there is none.
    pub until_unix_s: i64,
}

/// Whether certificate or code `?1` is in force at `?2`.
const NEEDED: &str = "SELECT
    EXISTS(SELECT 1 FROM devices WHERE fingerprint = ?1 AND not_after > ?2)
    OR EXISTS(SELECT 1 FROM devices WHERE fingerprint_previous = ?1 AND previous_until > ?2)
    OR EXISTS(SELECT 1 FROM tokens WHERE hash = ?1 AND expires > ?2)";

impl Store {
    /// Notes every certificate and code there is now: the next ones hang on another CA.
    ///
    /// # Errors
    /// Those of a write.
    pub fn roll_over_begin(&mut self) -> Result<(), StoreError> {
        self.change(1, |db| {
            db.execute_batch(
                "DELETE FROM roll_over;
                 INSERT INTO roll_over
                   SELECT fingerprint FROM devices WHERE fingerprint IS NOT NULL
                   UNION SELECT fingerprint_previous FROM devices
                     WHERE fingerprint_previous IS NOT NULL
                   UNION SELECT hash FROM tokens;",
            )?;
            Ok(())
        })
    }

    /// Forgets some that are in force no more; whether nobody is left. Who is needed ends the turn,
    /// so that a turn costs little as long as there are any.
    ///
    /// # Errors
    /// Those of a write.
    pub fn roll_over_sweep(&mut self, now_unix_s: i64) -> Result<bool, StoreError> {
        if let Some(first) = first(&self.reader.db)?
            && needed(&self.reader.db, &first, now_unix_s)?
        {
            return Ok(false);
        }
        self.change(1, |db| {
            for _ in 0..ROLL_OVER_SWEEP_MAX {
                let Some(hash) = first(db)? else {
                    return Ok(true);
                };
                if needed(db, &hash, now_unix_s)? {
                    return Ok(false);
                }
                db.prepare_cached("DELETE FROM roll_over WHERE hash = ?1")?
                    .execute([hash])?;
            }
            Ok(first(db)?.is_none())
        })
    }
}

impl Reader {
    /// Who still hangs on the CA before.
    ///
    /// # Errors
    /// Those of a read.
    pub fn roll_over(&self, now_unix_s: i64) -> Result<RollOver, StoreError> {
        let (devices, last): (i64, i64) = self
            .db
            .prepare_cached(
                "SELECT count(DISTINCT id), coalesce(max(ends), 0) FROM (
                   SELECT id, not_after AS ends FROM devices
                     WHERE fingerprint IN (SELECT hash FROM roll_over)
                   UNION ALL SELECT id, previous_until FROM devices
                     WHERE fingerprint_previous IN (SELECT hash FROM roll_over))
                 WHERE ends > ?1",
            )?
            .query_row([now_unix_s], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let (codes, expiry): (i64, i64) = self
            .db
            .prepare_cached(
                "SELECT count(*), coalesce(max(expires), 0) FROM tokens
                 WHERE expires > ?1 AND hash IN (SELECT hash FROM roll_over)",
            )?
            .query_row([now_unix_s], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(RollOver {
            devices: devices.unsigned_abs(),
            codes: codes.unsigned_abs(),
            until_unix_s: last.max(expiry),
        })
    }
}

fn first(db: &Connection) -> Result<Option<[u8; 32]>, StoreError> {
    let first = db
        .prepare_cached("SELECT hash FROM roll_over LIMIT 1")?
        .query_row([], |row| row.get(0))
        .optional()?;
    Ok(first)
}

fn needed(db: &Connection, hash: &[u8; 32], now_unix_s: i64) -> Result<bool, StoreError> {
    let needed = db
        .prepare_cached(NEEDED)?
        .query_row((hash, now_unix_s), |row| row.get(0))?;
    Ok(needed)
}
