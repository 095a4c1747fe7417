//! Captures: faces that a device is asked to take of people who are to be enrolled. The command
//! that tells the device goes with the capture, however that ends.

use rusqlite::{Connection, OptionalExtension as _};

use super::Store;
use super::changes::{Change, publish};
use super::commands::{NewCommand, add_command};
use super::enrolment::EnrolmentOutcome;
use super::error::{Entity, StoreError};
use super::id::{DeviceId, PersonId, key, number};
use super::invitations::set_outcome;

/// A capture to be asked of a device.
#[derive(Clone, PartialEq, Eq)]
pub struct NewCapture {
    /// Sixteen random bytes.
    pub name: [u8; 16],
    /// The code that the person shows.
    pub code: String,
    /// Until when, Unix time in seconds.
    pub expires_unix_s: i64,
    /// The body of the command that tells the device.
    pub order: Vec<u8>,
}

impl Store {
    /// Asks a device for a capture of a person, in place of any that is under way.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for who has no invitation with a device; [`StoreError::Invalid`]
    /// where too much waits for the device; those of a write.
    pub fn capture_begin(
        &mut self,
        person: PersonId,
        capture: &NewCapture,
        now_unix_s: i64,
    ) -> Result<DeviceId, StoreError> {
        self.change(2, |db| {
            let before = end_capture(db, person)?;
            let device: Option<i64> = db
                .prepare_cached(
                    "SELECT device FROM invitations WHERE person = ?1 AND device IS NOT NULL",
                )?
                .query_row([key(person.0)], |row| row.get(0))
                .optional()?;
            let device = DeviceId(number(device.ok_or(StoreError::NotFound {
                entity: Entity::Device,
            })?));
            let command = NewCommand {
                device,
                kind: cardea_wire::reply::CommandKind::Capture as u8,
                body: capture.order.clone(),
            };
            let command = add_command(db, &command, now_unix_s)?;
            db.prepare_cached(
                "INSERT INTO captures(person, device, name, code, tries, command, expires)
                 VALUES (?1, ?2, ?3, ?4, 0, ?5, ?6)",
            )?
            .execute((
                key(person.0),
                key(device.0),
                capture.name,
                &capture.code,
                command.0,
                capture.expires_unix_s,
            ))?;
            set_outcome(db, person, EnrolmentOutcome::UnderWay)?;
            let mut changes = vec![Change::Device(device)];
            changes.extend(
                before
                    .filter(|before| *before != device)
                    .map(Change::Device),
            );
            publish(db, &changes)?;
            Ok(device)
        })
    }

    /// Counts a wrong code; returns how many there were.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for a capture that has ended; those of a write.
    pub fn capture_tried(&mut self, person: PersonId) -> Result<u32, StoreError> {
        self.change(1, |db| {
            let tries = db
                .prepare_cached(
                    "UPDATE captures SET tries = tries + 1 WHERE person = ?1 RETURNING tries",
                )?
                .query_row([key(person.0)], |row| row.get(0))
                .optional()?;
            tries.ok_or(StoreError::NotFound {
                entity: Entity::Command,
            })
        })
    }

    /// Ends a person's capture, if one is under way: the device is no longer asked.
    ///
    /// # Errors
    /// Those of a write.
    pub fn capture_end(
        &mut self,
        person: PersonId,
        outcome: EnrolmentOutcome,
    ) -> Result<(), StoreError> {
        self.change(1, |db| {
            if let Some(device) = end_capture(db, person)? {
                publish(db, &[Change::Device(device)])?;
            }
            set_outcome(db, person, outcome)
        })
    }

    /// Ends captures whose time is over; returns how many.
    ///
    /// # Errors
    /// Those of a write.
    pub fn captures_expire(&mut self, now_unix_s: i64) -> Result<usize, StoreError> {
        let due: Vec<i64> = self
            .reader
            .db
            .prepare_cached("SELECT person FROM captures WHERE expires <= ?1")?
            .query_map([now_unix_s], |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        for person in &due {
            self.capture_end(PersonId(number(*person)), EnrolmentOutcome::TimedOut)?;
        }
        Ok(due.len())
    }
}

/// Removes a person's capture and the command for it; returns the device that was asked.
pub(crate) fn end_capture(
    db: &Connection,
    person: PersonId,
) -> Result<Option<DeviceId>, StoreError> {
    let ended: Option<(i64, u32)> = db
        .prepare_cached("DELETE FROM captures WHERE person = ?1 RETURNING device, command")?
        .query_row([key(person.0)], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((device, command)) = ended else {
        return Ok(None);
    };
    db.prepare_cached("DELETE FROM commands WHERE id = ?1")?
        .execute([command])?;
    Ok(Some(DeviceId(number(device))))
}
