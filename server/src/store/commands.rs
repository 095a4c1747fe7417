//! Commands that wait for a device's next request.

use rusqlite::{Connection, Row};

use super::Store;
use super::changes::{Change, publish};
use super::devices::{DeviceState, require_device};
use super::error::StoreError;
use super::id::{CommandId, DeviceId, key, number};
use super::reader::Reader;
use crate::limits::{COMMAND_BODY_BYTES_MAX, COMMANDS_DONE_MAX, COMMANDS_WAITING_MAX};

/// A command to be left for a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewCommand {
    /// For which device.
    pub device: DeviceId,
    /// The number of a `cardea_wire::reply::CommandKind`.
    pub kind: u8,
    /// What it needs, as on the wire.
    pub body: Vec<u8>,
}

/// A command that was left for a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// The id; on the wire too.
    pub id: CommandId,
    /// For which device.
    pub device: DeviceId,
    /// The number of a `cardea_wire::reply::CommandKind`.
    pub kind: u8,
    /// What it needs, as on the wire.
    pub body: Vec<u8>,
    /// When it was left, Unix time in seconds.
    pub created_unix_s: i64,
    /// When the device had carried it out, Unix time in seconds.
    pub done_unix_s: Option<i64>,
}

impl Store {
    /// Leaves a command for a device.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for the device; [`StoreError::Invalid`] for too long a body or
    /// more than 16 commands that wait; those of a write.
    pub fn command_add(
        &mut self,
        command: &NewCommand,
        now_unix_s: i64,
    ) -> Result<CommandId, StoreError> {
        self.change(1, |db| {
            let id = add_command(db, command, now_unix_s)?;
            publish(db, &[Change::Device(command.device)])?;
            Ok(id)
        })
    }

    /// Leaves the same command for every commissioned device, in place of those of its kind that
    /// wait; returns for how many. A device for which as many wait as may is left out.
    ///
    /// # Errors
    /// As [`Store::command_add`].
    pub fn command_add_to_all(
        &mut self,
        kind: u8,
        body: &[u8],
        now_unix_s: i64,
    ) -> Result<u64, StoreError> {
        self.change(1, |db| {
            db.prepare_cached("DELETE FROM commands WHERE kind = ?1 AND done IS NULL")?
                .execute([kind])?;
            let mut select = db.prepare_cached("SELECT id FROM devices WHERE state = ?1")?;
            let devices = select
                .query_map([DeviceState::Commissioned as u8], |row| {
                    Ok(DeviceId(number(row.get(0)?)))
                })?
                .collect::<Result<Vec<_>, _>>()?;
            let mut changes = Vec::new();
            for device in devices {
                let body = body.to_vec();
                let command = NewCommand { device, kind, body };
                match add_command(db, &command, now_unix_s) {
                    Ok(_) => changes.push(Change::Device(device)),
                    Err(StoreError::Invalid {
                        field: "commands", ..
                    }) => {}
                    Err(error) => return Err(error),
                }
            }
            publish(db, &changes)?;
            Ok(changes.len() as u64)
        })
    }

    /// Notes that a device has carried out a command. Returns the new generation; none if that
    /// was known, or no such command waits for this device.
    ///
    /// # Errors
    /// Those of a write.
    pub fn command_done(
        &mut self,
        device: DeviceId,
        command: CommandId,
        now_unix_s: i64,
    ) -> Result<Option<u64>, StoreError> {
        self.change(1, |db| {
            let changed = db
                .prepare_cached(
                    "UPDATE commands SET done = ?3 WHERE id = ?1 AND device = ?2 AND done IS NULL",
                )?
                .execute((command.0, key(device.0), now_unix_s))?;
            if changed == 0 {
                return Ok(None);
            }
            db.prepare_cached(
                "DELETE FROM commands WHERE device = ?1 AND done IS NOT NULL AND id NOT IN
                   (SELECT id FROM commands WHERE device = ?1 AND done IS NOT NULL
                    ORDER BY id DESC LIMIT ?2)",
            )?
            .execute((key(device.0), key(COMMANDS_DONE_MAX)))?;
            Ok(Some(publish(db, &[Change::Device(device)])?))
        })
    }
}

const COMMAND: &str = "SELECT id, device, kind, body, created, done FROM commands";

impl Reader {
    /// The commands that wait for a device, oldest first.
    ///
    /// # Errors
    /// Those of a read.
    pub fn commands_waiting(&self, device: DeviceId) -> Result<Vec<Command>, StoreError> {
        self.commands("WHERE device = ?1 AND done IS NULL ORDER BY id", device)
    }

    /// The commands of a device that wait, and the last that are done, oldest first.
    ///
    /// # Errors
    /// Those of a read.
    pub fn commands_of(&self, device: DeviceId) -> Result<Vec<Command>, StoreError> {
        self.commands("WHERE device = ?1 ORDER BY id", device)
    }

    fn commands(&self, which: &str, device: DeviceId) -> Result<Vec<Command>, StoreError> {
        let mut select = self.db.prepare_cached(&format!("{COMMAND} {which}"))?;
        let commands = select
            .query_map([key(device.0)], command_of)?
            .collect::<Result<_, _>>()?;
        Ok(commands)
    }
}

/// Leaves a command, within a transaction.
pub(crate) fn add_command(
    db: &Connection,
    command: &NewCommand,
    now_unix_s: i64,
) -> Result<CommandId, StoreError> {
    let max = COMMAND_BODY_BYTES_MAX;
    if command.body.len() > max {
        return Err(StoreError::Invalid {
            field: "command body",
            max,
        });
    }
    require_device(db, command.device)?;
    let waiting: i64 = db
        .prepare_cached("SELECT count(*) FROM commands WHERE device = ?1 AND done IS NULL")?
        .query_row([key(command.device.0)], |row| row.get(0))?;
    if number(waiting) >= COMMANDS_WAITING_MAX {
        let max = COMMANDS_WAITING_MAX as usize;
        return Err(StoreError::Invalid {
            field: "commands",
            max,
        });
    }
    let id = db
        .prepare_cached(
            "INSERT INTO commands(device, kind, body, created) VALUES (?1, ?2, ?3, ?4)",
        )?
        .insert((
            key(command.device.0),
            command.kind,
            &command.body,
            now_unix_s,
        ))?;
    u32::try_from(id)
        .map(CommandId)
        .map_err(|_| StoreError::Invalid {
            field: "command id",
            max: 0,
        })
}

fn command_of(row: &Row<'_>) -> rusqlite::Result<Command> {
    Ok(Command {
        id: CommandId(row.get(0)?),
        device: DeviceId(number(row.get(1)?)),
        kind: row.get(2)?,
        body: row.get(3)?,
        created_unix_s: row.get(4)?,
        done_unix_s: row.get(5)?,
    })
}
