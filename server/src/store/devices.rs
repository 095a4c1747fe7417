//! Devices: added with a one-time token, commissioned, renewed, seen, sent away.

use cardea_connect::message::Event;
use rusqlite::{Connection, OptionalExtension as _, Row};

use super::Store;
use super::changes::{Change, publish};
use super::commands::{NewCommand, add_command};
use super::doors::{found, require_door};
use super::error::{Entity, StoreError};
use super::id::{CommandId, DeviceId, DoorId, key, number};
use super::outbox::note;
use super::reader::Reader;
use super::text::checked;
use super::withdrawn::{RememberedKind, remember};
use crate::limits::{DEVICE_ADDRESS_BYTES_MAX, DEVICE_NAME_BYTES_MAX, DEVICES_SEEN_MAX};

/// SHA-256 of a device's certificate (DER).
type Fingerprint = [u8; 32];

/// What the store keeps of a commissioning token ([`token_hash`]) or an invitation's
/// ([`super::invitation_hash`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenHash(pub [u8; 32]);

/// The hash of a commissioning token. The token itself is random and long, so a plain hash will
/// not be turned around.
#[must_use]
pub fn token_hash(token: &[u8; cardea_wire::limits::TOKEN_BYTES]) -> TokenHash {
    TokenHash(blake3::derive_key("cardea 2026 commissioning token", token))
}

/// How far a device has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum DeviceState {
    /// Waiting to be commissioned.
    Waiting = 1,
    /// Commissioned.
    Commissioned = 2,
    /// To be decommissioned as soon as it asks.
    Leaving = 3,
}

/// A device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// The id.
    pub id: DeviceId,
    /// Its name, unique.
    pub name: String,
    /// Its door.
    pub door: DoorId,
    /// How far it has come.
    pub state: DeviceState,
    /// SHA-256 of its certificate.
    pub fingerprint: Option<Fingerprint>,
    /// The certificate's end, Unix time in seconds.
    pub not_after_unix_s: Option<i64>,
    /// SHA-256 of the certificate before, and until when it is still taken, Unix time in seconds.
    pub previous: Option<(Fingerprint, i64)>,
    /// The firmware it last named.
    pub firmware: Option<u32>,
    /// When it last asked anything, Unix time in seconds; up to a batch behind.
    pub last_seen_unix_s: Option<i64>,
    /// From which address.
    pub address: Option<String>,
    /// To which address of the server.
    pub local: Option<String>,
    /// When it was added, Unix time in seconds.
    pub created_unix_s: i64,
}

/// A device to be added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDevice {
    /// Its name, unique, 1 to 64 bytes.
    pub name: String,
    /// Its door.
    pub door: DoorId,
}

/// What a device got when it was commissioned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Commissioned {
    /// The device that the token was for.
    pub device: DeviceId,
    /// The generation in which its certificate is taken.
    pub generation: u64,
}

/// A new certificate of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Renewal {
    /// SHA-256 of the certificate that the device shows: it holds on beside the new one.
    pub shown: Fingerprint,
    /// SHA-256 of the new certificate.
    pub fingerprint: Fingerprint,
    /// Its end, Unix time in seconds.
    pub not_after_unix_s: i64,
    /// Until when the one shown is still taken, Unix time in seconds.
    pub previous_until_unix_s: i64,
}

/// A sign of life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceSeen {
    /// Whose.
    pub device: DeviceId,
    /// When, Unix time in seconds.
    pub at_unix_s: i64,
    /// The firmware it named.
    pub firmware: u32,
    /// From which address.
    pub address: String,
    /// To which address of the server.
    pub local: String,
}

impl Store {
    /// Adds a device and the token that commissions it.
    ///
    /// # Errors
    /// [`StoreError::Exists`] for the name, [`StoreError::NotFound`] for the door,
    /// [`StoreError::Invalid`]; those of a write.
    pub fn device_add(
        &mut self,
        device: &NewDevice,
        token: TokenHash,
        expires_unix_s: i64,
        now_unix_s: i64,
    ) -> Result<DeviceId, StoreError> {
        let one = [(device.clone(), token)];
        let added = self.devices_add(&one, expires_unix_s, now_unix_s);
        added.map(|ids| ids[0]).map_err(|(_, error)| error)
    }

    /// Adds devices, each with the token that commissions it: all, or none.
    ///
    /// # Errors
    /// As [`Self::device_add`], with the index of the device that could not be added.
    pub fn devices_add(
        &mut self,
        devices: &[(NewDevice, TokenHash)],
        expires_unix_s: i64,
        now_unix_s: i64,
    ) -> Result<Vec<DeviceId>, (usize, StoreError)> {
        let mut index = 0;
        let added = self.change(devices.len(), |db| {
            let mut ids = Vec::with_capacity(devices.len());
            for (at, (device, token)) in devices.iter().enumerate() {
                index = at;
                let id = insert_device(db, device, now_unix_s)?;
                set_token(db, id, *token, expires_unix_s)?;
                note(db, &Event::DeviceAdded { device: id.0 })?;
                ids.push(id);
            }
            let changes: Vec<_> = ids.iter().copied().map(Change::Device).collect();
            publish(db, &changes)?;
            Ok(ids)
        });
        added.map_err(|error| (index, error))
    }

    /// Gives a device another token, in place of any it has: to commission it again. What
    /// certificate it has is taken until then.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; those of a write.
    pub fn device_token(
        &mut self,
        device: DeviceId,
        token: TokenHash,
        expires_unix_s: i64,
    ) -> Result<(), StoreError> {
        self.change(1, |db| {
            require_device(db, device)?;
            set_token(db, device, token, expires_unix_s)
        })
    }

    /// Says whom a token is for, if it holds: to be asked before a certificate is made.
    ///
    /// # Errors
    /// [`StoreError::TokenRefused`]; those of a read.
    pub fn token_device(&self, token: TokenHash, now_unix_s: i64) -> Result<DeviceId, StoreError> {
        token_owner(&self.reader.db, token, now_unix_s)
    }

    /// Commissions the device of a token, which is used up.
    ///
    /// # Errors
    /// [`StoreError::TokenRefused`]; [`StoreError::Exists`] for a fingerprint that another device
    /// has; those of a write.
    pub fn device_commission(
        &mut self,
        token: TokenHash,
        fingerprint: &Fingerprint,
        not_after_unix_s: i64,
        now_unix_s: i64,
    ) -> Result<Commissioned, StoreError> {
        self.change(1, |db| {
            let device = token_owner(db, token, now_unix_s)?;
            unique_fingerprint(db, device, fingerprint)?;
            db.prepare_cached("DELETE FROM tokens WHERE device = ?1")?
                .execute([key(device.0)])?;
            db.prepare_cached(
                "UPDATE devices SET state = ?2, fingerprint = ?3, not_after = ?4,
                        fingerprint_previous = NULL, previous_until = NULL
                 WHERE id = ?1",
            )?
            .execute((
                key(device.0),
                DeviceState::Commissioned as u8,
                fingerprint,
                not_after_unix_s,
            ))?;
            // What waited for the device's former life is void.
            db.prepare_cached("DELETE FROM commands WHERE device = ?1 AND done IS NULL")?
                .execute([key(device.0)])?;
            note(db, &Event::DeviceCommissioned { device: device.0 })?;
            let generation = publish(db, &[Change::Device(device)])?;
            Ok(Commissioned { device, generation })
        })
    }

    /// Takes a new certificate for a commissioned device; the one before holds a while longer.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for a device without a certificate; [`StoreError::Exists`] for a
    /// fingerprint in use; those of a write.
    pub fn device_renew(&mut self, device: DeviceId, renewal: &Renewal) -> Result<u64, StoreError> {
        self.change(1, |db| {
            unique_fingerprint(db, DeviceId(0), &renewal.fingerprint)?;
            let changed = db
                .prepare_cached(
                    "UPDATE devices SET fingerprint_previous = ?5, previous_until = ?2,
                            fingerprint = ?3, not_after = ?4
                     WHERE id = ?1 AND (fingerprint = ?5 OR fingerprint_previous = ?5)",
                )?
                .execute((
                    key(device.0),
                    renewal.previous_until_unix_s,
                    renewal.fingerprint,
                    renewal.not_after_unix_s,
                    renewal.shown,
                ))?;
            found(changed, Entity::Device)?;
            publish(db, &[Change::Device(device)])
        })
    }

    /// Marks a device as leaving and leaves it the command to forget its key.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; [`StoreError::Invalid`] past the commands that may wait.
    pub fn device_decommission(
        &mut self,
        device: DeviceId,
        now_unix_s: i64,
    ) -> Result<CommandId, StoreError> {
        self.change(1, |db| {
            let changed = db
                .prepare_cached("UPDATE devices SET state = ?2 WHERE id = ?1")?
                .execute((key(device.0), DeviceState::Leaving as u8))?;
            found(changed, Entity::Device)?;
            db.prepare_cached("DELETE FROM commands WHERE device = ?1 AND done IS NULL")?
                .execute([key(device.0)])?;
            let command = NewCommand {
                device,
                kind: cardea_wire::reply::CommandKind::Decommission as u8,
                body: Vec::new(),
            };
            let id = add_command(db, &command, now_unix_s)?;
            publish(db, &[Change::Device(device)])?;
            Ok(id)
        })
    }

    /// Removes a device: its certificates are taken no longer.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; those of a write.
    pub fn device_remove(&mut self, device: DeviceId) -> Result<u64, StoreError> {
        self.withdraw(|db, names| {
            let name: Option<String> = db
                .prepare_cached("DELETE FROM devices WHERE id = ?1 RETURNING name")?
                .query_row([key(device.0)], |row| row.get(0))
                .optional()?;
            found(usize::from(name.is_some()), Entity::Device)?;
            let name = name.unwrap_or_default();
            remember(db, names, RememberedKind::Device, (device.0, &name))?;
            note(db, &Event::DeviceRemoved { device: device.0 })?;
            publish(db, &[Change::DeviceRemoved(device)])
        })
    }

    /// Notes signs of life, at most 10,000 at once. They are no visible change.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for too many at once; those of a write.
    pub fn devices_seen(&mut self, seen: &[DeviceSeen]) -> Result<(), StoreError> {
        let max = DEVICES_SEEN_MAX;
        if seen.len() > max {
            return Err(StoreError::Invalid {
                field: "batch",
                max,
            });
        }
        self.change(seen.len(), |db| {
            let mut update = db.prepare_cached(
                "UPDATE devices SET last_seen = ?2, firmware = ?3, address = ?4, local_address = ?5
                 WHERE id = ?1",
            )?;
            for sign in seen {
                checked("address", &sign.address, DEVICE_ADDRESS_BYTES_MAX)?;
                checked("address", &sign.local, DEVICE_ADDRESS_BYTES_MAX)?;
                update.execute((
                    key(sign.device.0),
                    sign.at_unix_s,
                    sign.firmware,
                    &sign.address,
                    &sign.local,
                ))?;
            }
            Ok(())
        })
    }
}

const DEVICE: &str = "SELECT id, name, door, state, fingerprint, not_after, fingerprint_previous,
    previous_until, firmware, last_seen, address, created, local_address FROM devices";

impl Reader {
    /// All devices, by id.
    ///
    /// # Errors
    /// Those of a read.
    pub fn devices(&self) -> Result<Vec<Device>, StoreError> {
        let mut select = self.db.prepare_cached(&format!("{DEVICE} ORDER BY id"))?;
        let devices = select.query_map([], device_of)?.collect::<Result<_, _>>()?;
        Ok(devices)
    }

    /// One device, if it is there.
    ///
    /// # Errors
    /// Those of a read.
    pub fn device(&self, device: DeviceId) -> Result<Option<Device>, StoreError> {
        let device = self
            .db
            .prepare_cached(&format!("{DEVICE} WHERE id = ?1"))?
            .query_row([key(device.0)], device_of)
            .optional()?;
        Ok(device)
    }
}

/// Refuses a device that does not exist.
pub(crate) fn require_device(db: &Connection, device: DeviceId) -> Result<(), StoreError> {
    let exists = db
        .prepare_cached("SELECT 1 FROM devices WHERE id = ?1")?
        .exists([key(device.0)])?;
    found(usize::from(exists), Entity::Device)
}

fn insert_device(
    db: &Connection,
    device: &NewDevice,
    now_unix_s: i64,
) -> Result<DeviceId, StoreError> {
    checked("device name", &device.name, DEVICE_NAME_BYTES_MAX)?;
    require_door(db, device.door)?;
    unique_name(db, &device.name)?;
    let id = db
        .prepare_cached("INSERT INTO devices(name, door, state, created) VALUES (?1, ?2, ?3, ?4)")?
        .insert((
            &device.name,
            key(device.door.0),
            DeviceState::Waiting as u8,
            now_unix_s,
        ))?;
    Ok(DeviceId(number(id)))
}

fn set_token(
    db: &Connection,
    device: DeviceId,
    token: TokenHash,
    expires_unix_s: i64,
) -> Result<(), StoreError> {
    db.prepare_cached("DELETE FROM tokens WHERE device = ?1")?
        .execute([key(device.0)])?;
    db.prepare_cached("INSERT INTO tokens(hash, device, expires) VALUES (?1, ?2, ?3)")?
        .execute((token.0, key(device.0), expires_unix_s))?;
    Ok(())
}

fn token_owner(db: &Connection, token: TokenHash, now_unix_s: i64) -> Result<DeviceId, StoreError> {
    let device: Option<i64> = db
        .prepare_cached("SELECT device FROM tokens WHERE hash = ?1 AND expires > ?2")?
        .query_row((token.0, now_unix_s), |row| row.get(0))
        .optional()?;
    device
        .map(|device| DeviceId(number(device)))
        .ok_or(StoreError::TokenRefused)
}

fn unique_name(db: &Connection, name: &str) -> Result<(), StoreError> {
    let other: Option<i64> = db
        .prepare_cached("SELECT id FROM devices WHERE name = ?1")?
        .query_row([name], |row| row.get(0))
        .optional()?;
    refuse_other(other)
}

fn unique_fingerprint(
    db: &Connection,
    device: DeviceId,
    fingerprint: &Fingerprint,
) -> Result<(), StoreError> {
    let other: Option<i64> = db
        .prepare_cached(
            "SELECT id FROM devices WHERE (fingerprint = ?2 OR fingerprint_previous = ?2)
             AND id <> ?1",
        )?
        .query_row((key(device.0), fingerprint), |row| row.get(0))
        .optional()?;
    refuse_other(other)
}

fn refuse_other(other: Option<i64>) -> Result<(), StoreError> {
    match other {
        Some(id) => Err(StoreError::Exists {
            entity: Entity::Device,
            id: number(id),
        }),
        None => Ok(()),
    }
}

fn device_of(row: &Row<'_>) -> rusqlite::Result<Device> {
    let state: i64 = row.get(3)?;
    let previous: Option<Fingerprint> = row.get(6)?;
    Ok(Device {
        id: DeviceId(number(row.get(0)?)),
        name: row.get(1)?,
        door: DoorId(number(row.get(2)?)),
        state: match state {
            1 => DeviceState::Waiting,
            2 => DeviceState::Commissioned,
            3 => DeviceState::Leaving,
            found => return Err(rusqlite::Error::IntegralValueOutOfRange(3, found)),
        },
        fingerprint: row.get(4)?,
        not_after_unix_s: row.get(5)?,
        previous: match previous {
            Some(fingerprint) => Some((fingerprint, row.get(7)?)),
            None => None,
        },
        firmware: row.get(8)?,
        last_seen_unix_s: row.get(9)?,
        address: row.get(10)?,
        created_unix_s: row.get(11)?,
        local: row.get(12)?,
    })
}
