//! Firmware that devices may fetch: what the files in the data directory's folder `firmware` are.

use rusqlite::Row;

use super::Store;
use super::error::StoreError;
use super::id::{key, number};
use super::reader::Reader;
use crate::limits::FIRMWARE_KEPT_MAX;

/// Firmware that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Firmware {
    /// BLAKE3 of the file, hexadecimal; its name too.
    pub blake3: String,
    /// Its version as devices say it: 16 bits, then 8 and 8.
    pub version: u32,
    /// Its length, bytes.
    pub size: u64,
    /// Since when, Unix time in seconds.
    pub kept_unix_s: i64,
}

impl Store {
    /// Notes firmware whose file is in its place; returns those that are kept no longer.
    ///
    /// # Errors
    /// Those of a write.
    pub fn firmware_keep(&mut self, firmware: &Firmware) -> Result<Vec<Firmware>, StoreError> {
        self.change(1, |db| {
            db.prepare_cached(
                "INSERT INTO firmware(blake3, version, size, kept) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (blake3) DO UPDATE SET kept = excluded.kept",
            )?
            .execute((
                &firmware.blake3,
                firmware.version,
                key(firmware.size),
                firmware.kept_unix_s,
            ))?;
            let mut remove = db.prepare_cached(
                "DELETE FROM firmware WHERE rowid NOT IN
                   (SELECT rowid FROM firmware ORDER BY kept DESC, rowid DESC LIMIT ?1)
                 RETURNING blake3, version, size, kept",
            )?;
            let removed = remove.query_map([FIRMWARE_KEPT_MAX as i64], firmware_of)?;
            Ok(removed.collect::<Result<_, _>>()?)
        })
    }
}

impl Reader {
    /// What is kept, newest first.
    ///
    /// # Errors
    /// Those of a read.
    pub fn firmware(&self) -> Result<Vec<Firmware>, StoreError> {
        let mut select = self.db.prepare_cached(
            "SELECT blake3, version, size, kept FROM firmware ORDER BY kept DESC, rowid DESC",
        )?;
        let rows = select.query_map([], firmware_of)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

fn firmware_of(row: &Row<'_>) -> rusqlite::Result<Firmware> {
    Ok(Firmware {
        blake3: row.get(0)?,
        version: row.get(1)?,
        size: number(row.get(2)?),
        kept_unix_s: row.get(3)?,
    })
}
