//! Devices on their way in and out: whose code holds, who has an update before them, who has left.

use rusqlite::OptionalExtension as _;

use super::devices::{DeviceState, TokenHash};
use super::error::StoreError;
use super::id::{DeviceId, key, number};
use super::reader::Reader;

impl Reader {
    /// The token that commissions a device, and its end, Unix time in seconds.
    ///
    /// # Errors
    /// Those of a read.
    pub fn device_token_held(
        &self,
        device: DeviceId,
    ) -> Result<Option<(TokenHash, i64)>, StoreError> {
        let token = self
            .db
            .prepare_cached("SELECT hash, expires FROM tokens WHERE device = ?1")?
            .query_row([key(device.0)], |row| {
                Ok((TokenHash(row.get(0)?), row.get(1)?))
            })
            .optional()?;
        Ok(token)
    }

    /// Devices for which a command of this kind waits, by id.
    ///
    /// # Errors
    /// Those of a read.
    pub fn devices_with_waiting(&self, kind: u8) -> Result<Vec<DeviceId>, StoreError> {
        let mut select = self.db.prepare_cached(
            "SELECT DISTINCT device FROM commands WHERE kind = ?1 AND done IS NULL ORDER BY device",
        )?;
        let devices = select.query_map([kind], |row| Ok(DeviceId(number(row.get(0)?))))?;
        Ok(devices.collect::<Result<_, _>>()?)
    }

    /// The commands that wait, newest first, at most `limit`.
    ///
    /// # Errors
    /// Those of a read.
    pub fn commands_pending(&self, limit: usize) -> Result<Vec<(DeviceId, u8, i64)>, StoreError> {
        let mut select = self.db.prepare_cached(
            "SELECT device, kind, created FROM commands WHERE done IS NULL
             ORDER BY id DESC LIMIT ?1",
        )?;
        let pending = select.query_map([key(limit as u64)], |row| {
            Ok((DeviceId(number(row.get(0)?)), row.get(1)?, row.get(2)?))
        })?;
        Ok(pending.collect::<Result<_, _>>()?)
    }

    /// Devices that are leaving and have said that they forgot their key, or were told to before
    /// this moment, Unix time in seconds.
    ///
    /// # Errors
    /// Those of a read.
    pub fn devices_left(&self, told_before_unix_s: i64) -> Result<Vec<DeviceId>, StoreError> {
        let mut select = self.db.prepare_cached(
            "SELECT id FROM devices WHERE state = ?1 AND NOT EXISTS
               (SELECT 1 FROM commands WHERE device = devices.id AND kind = ?2
                AND done IS NULL AND created > ?3)",
        )?;
        let decommission = cardea_wire::reply::CommandKind::Decommission as u8;
        let values = (DeviceState::Leaving as u8, decommission, told_before_unix_s);
        let devices = select.query_map(values, |row| Ok(DeviceId(number(row.get(0)?))))?;
        Ok(devices.collect::<Result<_, _>>()?)
    }
}
