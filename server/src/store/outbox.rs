//! What waits for Connect's broker, and which of its commands were seen.
//!
//! A change that others are told of puts its event into the same transaction: there is no change
//! without its event, and no event without its change. Numbers rise and are never used twice, so
//! that a message's id names it for ever. Events and results are never dropped: past their bound
//! the change that would need another one is refused. Of telemetry the oldest goes first, and is
//! counted. While the site has not joined, nothing is kept.

use cardea_connect::limits::MESSAGE_BYTES_MAX;
use cardea_connect::message::{CommandState, Event, OutboxCounts};
use cardea_connect::topics::Kind;
use rusqlite::{Connection, OptionalExtension as _};
use serde::Serialize;

use super::error::StoreError;
use super::id::{key, number};
use super::reader::Reader;
use super::settings::SettingKey;
use super::{DATABASE, DataDirectory, Store, open_reader};
use crate::limits::{
    CONNECT_COMMANDS_MAX, CONNECT_SWEEP_MAX, OUTBOX_KEPT_MAX, OUTBOX_TELEMETRY_MAX, PAGE_ROWS_MAX,
};
use crate::metrics::events::TELEMETRY_DROPPED;

/// The tables of Connect: a migration of the store's.
pub(super) const SCHEMA: &str = "
CREATE TABLE outbox(
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  kind INTEGER NOT NULL,
  at INTEGER NOT NULL,
  body BLOB NOT NULL
) STRICT;
CREATE INDEX outbox_telemetry ON outbox(number) WHERE kind = 2;
CREATE TABLE outbox_counts(
  one INTEGER PRIMARY KEY CHECK (one = 1),
  kept INTEGER NOT NULL,
  telemetry INTEGER NOT NULL,
  dropped INTEGER NOT NULL
) STRICT;
INSERT INTO outbox_counts VALUES (1, 0, 0, 0);
CREATE TABLE connect_commands(
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  taken INTEGER NOT NULL,
  expires INTEGER NOT NULL,
  state INTEGER NOT NULL,
  reason TEXT
) STRICT;
CREATE INDEX connect_commands_by_end ON connect_commands(expires);
CREATE INDEX connect_commands_waiting ON connect_commands(state) WHERE state = 0;
CREATE TABLE firmware(
  blake3 TEXT PRIMARY KEY,
  version INTEGER NOT NULL,
  size INTEGER NOT NULL,
  kept INTEGER NOT NULL
) STRICT;
";

/// A message that waits.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// Its number.
    pub number: u64,
    /// Where it goes.
    pub kind: Kind,
    /// When it was made, Unix time in seconds.
    pub at_unix_s: i64,
    /// What it says.
    pub body: serde_json::Value,
}

/// A command of the broker's that was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenCommand {
    /// Its id.
    pub id: String,
    /// What it asks for.
    pub name: String,
    /// When it was taken, Unix time in seconds.
    pub taken_unix_s: i64,
    /// How far it is; [`CommandState::Accepted`] while it waits.
    pub state: CommandState,
    /// Why it failed, in words.
    pub reason: Option<String>,
}

/// Whether a command is to be carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It is remembered, and this is the only time that it is new.
    New,
    /// It was taken before.
    Repeat,
    /// More are remembered than there is room for.
    TooMany,
}

impl Store {
    /// Puts a message into the outbox, if the site has joined.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] past the bound; those of a write.
    pub fn outbox_add(&mut self, kind: Kind, body: &impl Serialize) -> Result<(), StoreError> {
        self.change(1, |db| add(db, kind, body))
    }

    /// Removes every message up to this number: the broker has them.
    ///
    /// # Errors
    /// Those of a write.
    pub fn outbox_delivered(&mut self, up_to: u64) -> Result<(), StoreError> {
        self.change(1, |db| {
            let telemetry: i64 = db
                .prepare_cached("SELECT count(*) FROM outbox WHERE kind = ?2 AND number <= ?1")?
                .query_row((key(up_to), code(Kind::Telemetry)), |row| row.get(0))?;
            let removed = db
                .prepare_cached("DELETE FROM outbox WHERE number <= ?1")?
                .execute([key(up_to)])?;
            let kept = i64::try_from(removed).unwrap_or(i64::MAX) - telemetry;
            count(db, -kept, -telemetry, 0)
        })
    }

    /// Forgets what waits, and what was seen: the site has left.
    ///
    /// # Errors
    /// Those of a write.
    pub fn outbox_clear(&mut self) -> Result<(), StoreError> {
        self.change(1, |db| {
            db.execute_batch(
                "DELETE FROM outbox; DELETE FROM connect_commands;
                 UPDATE outbox_counts SET kept = 0, telemetry = 0, dropped = 0;",
            )?;
            Ok(())
        })
    }

    /// Remembers a command, and says in the outbox that it is accepted. Forgets some that cannot
    /// come again: their time is over.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] past the outbox's bound; those of a write.
    pub fn connect_command_take(
        &mut self,
        id: &str,
        name: &str,
        (now_unix_s, expires_unix_s): (i64, i64),
    ) -> Result<Taken, StoreError> {
        self.change(1, |db| {
            db.prepare_cached(
                "DELETE FROM connect_commands WHERE id IN (SELECT id FROM connect_commands
                   WHERE expires < ?1 AND state <> ?2 LIMIT ?3)",
            )?
            .execute((now_unix_s, ACCEPTED, CONNECT_SWEEP_MAX))?;
            if find(db, id)?.is_some() {
                return Ok(Taken::Repeat);
            }
            let remembered: i64 = db
                .prepare_cached("SELECT count(*) FROM connect_commands")?
                .query_row([], |row| row.get(0))?;
            if number(remembered) >= CONNECT_COMMANDS_MAX {
                return Ok(Taken::TooMany);
            }
            db.prepare_cached(
                "INSERT INTO connect_commands(id, name, taken, expires, state)
                 VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute((id, name, now_unix_s, expires_unix_s, ACCEPTED))?;
            let accepted = serde_json::json!({"command": id, "state": CommandState::Accepted});
            add(db, Kind::Result, &accepted)?;
            Ok(Taken::New)
        })
    }

    /// Notes how a command ended, and puts its result into the outbox.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] past the outbox's bound; those of a write.
    pub fn connect_command_end(
        &mut self,
        result: &cardea_connect::message::CommandResult,
    ) -> Result<(), StoreError> {
        self.change(1, |db| {
            db.prepare_cached("UPDATE connect_commands SET state = ?2, reason = ?3 WHERE id = ?1")?
                .execute((&result.command, state_code(result.state), &result.reason))?;
            add(db, Kind::Result, result)
        })
    }
}

impl Reader {
    /// Opens a reader of a data directory's store, for another thread.
    ///
    /// # Errors
    /// [`StoreError`] of opening a database.
    pub fn open(directory: &DataDirectory) -> Result<Self, StoreError> {
        Ok(Self::new(open_reader(&directory.file(DATABASE))?))
    }

    /// Messages after this number, oldest first, at most so many.
    ///
    /// # Errors
    /// Those of a read.
    pub fn outbox(&self, after: u64, max: usize) -> Result<Vec<Message>, StoreError> {
        let mut select = self.db.prepare_cached(
            "SELECT number, kind, at, body FROM outbox WHERE number > ?1 ORDER BY number LIMIT ?2",
        )?;
        let max = max.min(PAGE_ROWS_MAX) as i64;
        let rows = select.query_map((key(after), max), |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        })?;
        let damaged = StoreError::Damaged {
            what: "message for Connect",
        };
        rows.map(|row| {
            let (id, kind, at_unix_s, body): (i64, u8, i64, Vec<u8>) = row?;
            Ok(Message {
                number: number(id),
                kind: kind_of(kind).ok_or_else(|| damaged.clone())?,
                at_unix_s,
                body: serde_json::from_slice(&body).map_err(|_| damaged.clone())?,
            })
        })
        .collect()
    }

    /// How much waits, and how much telemetry was dropped.
    ///
    /// # Errors
    /// Those of a read.
    pub fn outbox_counts(&self) -> Result<OutboxCounts, StoreError> {
        let mut select = self
            .db
            .prepare_cached("SELECT kept + telemetry, dropped FROM outbox_counts")?;
        Ok(select.query_row([], |row| {
            Ok(OutboxCounts {
                waiting: number(row.get(0)?),
                telemetry_dropped: number(row.get(1)?),
            })
        })?)
    }

    /// The newest commands of the broker's, at most so many.
    ///
    /// # Errors
    /// Those of a read.
    pub fn connect_commands(&self, max: usize) -> Result<Vec<SeenCommand>, StoreError> {
        let mut select = self.db.prepare_cached(
            "SELECT id, name, taken, state, reason FROM connect_commands
             ORDER BY taken DESC, rowid DESC LIMIT ?1",
        )?;
        let rows = select.query_map([max.min(PAGE_ROWS_MAX) as i64], |row| {
            Ok(SeenCommand {
                id: row.get(0)?,
                name: row.get(1)?,
                taken_unix_s: row.get(2)?,
                state: state_of(row.get(3)?),
                reason: row.get(4)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Commands that were taken and have no end.
    ///
    /// # Errors
    /// Those of a read.
    pub fn connect_commands_waiting(&self) -> Result<Vec<String>, StoreError> {
        let mut select = self
            .db
            .prepare_cached("SELECT id FROM connect_commands WHERE state = ?1 ORDER BY rowid")?;
        let rows = select.query_map([ACCEPTED], |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Whether a command of this id was taken.
    ///
    /// # Errors
    /// Those of a read.
    pub fn connect_command_known(&self, id: &str) -> Result<bool, StoreError> {
        Ok(find(&self.db, id)?.is_some())
    }

    /// How many people are invited, and how many enrolled.
    ///
    /// # Errors
    /// Those of a read.
    pub fn enrolment_counts(&self) -> Result<(u64, u64), StoreError> {
        let mut select = self
            .db
            .prepare_cached("SELECT state, count(*) FROM people_visible GROUP BY state")?;
        let mut rows = select.query([])?;
        let (mut invited, mut enrolled) = (0, 0);
        while let Some(row) = rows.next()? {
            let (state, people): (u8, i64) = (row.get(0)?, row.get(1)?);
            if state == super::PersonState::Invited as u8 {
                invited += number(people);
            } else {
                enrolled += number(people);
            }
        }
        Ok((invited, enrolled))
    }
}

/// Puts an event into the outbox, within the transaction of what it tells of.
pub(super) fn note(db: &Connection, event: &Event) -> Result<(), StoreError> {
    add(db, Kind::Event, event)
}

fn add(db: &Connection, kind: Kind, body: &impl Serialize) -> Result<(), StoreError> {
    let joined = db
        .prepare_cached("SELECT 1 FROM settings WHERE key = ?1")?
        .exists([SettingKey::CONNECT_SEALED.0])?;
    if !joined {
        return Ok(());
    }
    let invalid = |max| StoreError::Invalid {
        field: "message for Connect",
        max,
    };
    let body = serde_json::to_vec(body).map_err(|_| invalid(0))?;
    if body.len() > MESSAGE_BYTES_MAX {
        return Err(invalid(MESSAGE_BYTES_MAX));
    }
    let (kept, telemetry): (i64, i64) = db
        .prepare_cached("SELECT kept, telemetry FROM outbox_counts")?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let is_telemetry = kind == Kind::Telemetry;
    if !is_telemetry && number(kept) >= OUTBOX_KEPT_MAX {
        return Err(StoreError::Invalid {
            field: "messages that wait for Connect",
            max: usize::try_from(OUTBOX_KEPT_MAX).unwrap_or(usize::MAX),
        });
    }
    if is_telemetry && number(telemetry) >= OUTBOX_TELEMETRY_MAX {
        let dropped = db
            .prepare_cached(
                "DELETE FROM outbox WHERE number =
                   (SELECT min(number) FROM outbox WHERE kind = ?1)",
            )?
            .execute([code(kind)])?;
        TELEMETRY_DROPPED.add(dropped as u64);
        let dropped = i64::try_from(dropped).unwrap_or(0);
        count(db, 0, -dropped, dropped)?;
    }
    db.prepare_cached("INSERT INTO outbox(kind, at, body) VALUES (?1, unixepoch(), ?2)")?
        .execute((code(kind), body))?;
    count(db, i64::from(!is_telemetry), i64::from(is_telemetry), 0)
}

fn count(db: &Connection, kept: i64, telemetry: i64, dropped: i64) -> Result<(), StoreError> {
    db.prepare_cached(
        "UPDATE outbox_counts SET kept = kept + ?1, telemetry = telemetry + ?2,
                dropped = dropped + ?3",
    )?
    .execute((kept, telemetry, dropped))?;
    Ok(())
}

fn find(db: &Connection, id: &str) -> Result<Option<u8>, StoreError> {
    Ok(db
        .prepare_cached("SELECT state FROM connect_commands WHERE id = ?1")?
        .query_row([id], |row| row.get(0))
        .optional()?)
}

fn code(kind: Kind) -> u8 {
    match kind {
        Kind::Event => 1,
        Kind::Telemetry => 2,
        Kind::Result => 3,
        // Not kept; a row of them would be said again.
        Kind::Status => 4,
        Kind::Heartbeat => 5,
    }
}

fn kind_of(code: u8) -> Option<Kind> {
    cardea_connect::topics::ALL
        .into_iter()
        .find(|kind| self::code(*kind) == code)
}

const ACCEPTED: u8 = 0;

fn state_code(state: CommandState) -> u8 {
    match state {
        CommandState::Accepted => ACCEPTED,
        CommandState::Done => 1,
        CommandState::Refused => 2,
        CommandState::Failed => 3,
    }
}

fn state_of(code: u8) -> CommandState {
    match code {
        ACCEPTED => CommandState::Accepted,
        1 => CommandState::Done,
        2 => CommandState::Refused,
        _ => CommandState::Failed,
    }
}
