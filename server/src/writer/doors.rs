//! What administrators ask for doors, devices and rights.

use cardea_wire::CommissioningCode;

use super::Writer;
use super::carry_out::{Refusal, date, done, table, unix_s, words};
use crate::admin::message::{NewDevice, Response};
use crate::secrets::random;
use crate::store::{self, Door, RightScope, StoreError, token_hash};

/// A commissioning code holds this long.
pub(super) const TOKEN_LIFE_S: i64 = 7 * 86_400;

impl Writer {
    /// Adds all of them or none: codes are shown once, so none may be made that nobody sees.
    pub(super) fn device_add(&mut self, devices: &[NewDevice]) -> Result<Response, Refusal> {
        let now = unix_s();
        let mut new = Vec::with_capacity(devices.len());
        let mut rows = Vec::with_capacity(devices.len());
        let named = |at: usize, why: &str| {
            let name = &devices[at].name;
            words(&format!(
                "device {} of {}, {name:?}: {why}",
                at + 1,
                devices.len()
            ))
        };
        for (at, device) in devices.iter().enumerate() {
            let door = self.store.read().door_named(&device.door)?;
            let door = door.ok_or_else(|| {
                named(
                    at,
                    &format!("no door {:?}; `cardea door add` makes one", device.door),
                )
            })?;
            let token = random::<{ cardea_wire::limits::TOKEN_BYTES }>()?;
            let name = device.name.clone();
            let device = store::NewDevice {
                name,
                door: door.id,
            };
            let code = CommissioningCode {
                server: (self.config.address, self.config.listen.port()).into(),
                site_ca_sha256: self.pki.ca_sha256(),
                token: *token,
                door: door.name,
            };
            rows.push(vec![device.name.clone(), code.to_text()]);
            new.push((device, token_hash(&token)));
        }
        let added = self.store.devices_add(&new, now + TOKEN_LIFE_S, now);
        added.map_err(|(at, error)| match error {
            StoreError::Exists { .. } => named(at, "there is a device of this name already"),
            error => named(at, &error.to_string()),
        })?;
        self.follow()?;
        Ok(table(&["device", "commissioning code"], rows))
    }

    pub(super) fn device_list(&self) -> Result<Response, Refusal> {
        let reader = self.store.read();
        let doors = reader.doors()?;
        let rows = reader
            .devices()?
            .into_iter()
            .map(|device| {
                let door = doors.iter().find(|door| door.id == device.door);
                vec![
                    device.name,
                    door.map_or_else(String::new, |door| door.name.clone()),
                    format!("{:?}", device.state).to_lowercase(),
                    device
                        .last_seen_unix_s
                        .map_or_else(|| "never".to_owned(), date),
                    device.not_after_unix_s.map_or_else(String::new, date),
                    device.address.unwrap_or_default(),
                ]
            })
            .collect();
        let columns = [
            "device",
            "door",
            "state",
            "last seen",
            "certificate until",
            "address",
        ];
        Ok(table(&columns, rows))
    }

    pub(super) fn device_remove(&mut self, name: &str) -> Result<Response, Refusal> {
        let devices = self.store.read().devices()?;
        let device = devices
            .iter()
            .find(|device| device.name == name)
            .ok_or_else(|| words("no device of this name"))?;
        self.store.device_remove(device.id)?;
        self.withdrawals_changed();
        self.follow()?;
        Ok(done("removed: its certificate is refused from now on"))
    }

    pub(super) fn door_add(
        &mut self,
        names: &[String],
        space_door: Option<&str>,
    ) -> Result<Response, Refusal> {
        if space_door.is_some() && names.len() != 1 {
            return Err(words("one ExtDoorID is for one door"));
        }
        for name in names {
            self.store.door_add(name, space_door)?;
        }
        self.follow()?;
        Ok(done(&format!("{} doors added", names.len())))
    }

    pub(super) fn door_list(&self) -> Result<Response, Refusal> {
        let doors = self.store.read().doors()?;
        let rows = doors.into_iter().map(|door| vec![door.name]).collect();
        Ok(table(&["door"], rows))
    }

    pub(super) fn right(
        &mut self,
        external_id: &str,
        door: Option<&str>,
        grant: bool,
    ) -> Result<Response, Refusal> {
        let scope = match door {
            Some(name) => RightScope::Door(self.door(name)?.id),
            None => RightScope::EveryDoor,
        };
        if grant {
            self.store.right_grant(external_id, scope)?;
        } else {
            self.store.right_revoke(external_id, scope)?;
        }
        self.follow()?;
        Ok(done(if grant { "granted" } else { "revoked" }))
    }

    /// A door by name.
    pub(super) fn door(&self, name: &str) -> Result<Door, Refusal> {
        let door = self.store.read().door_named(name)?;
        door.ok_or_else(|| words("no door of this name; `cardea door add` makes one"))
    }
}
