//! Devices on their way in and out: new codes, decommissioning at the next contact, the reset of
//! a device that cannot be reached; and doors that change.

use cardea_wire::CommissioningCode;
use cardea_wire::reset::{Colours, reset_code};

use super::carry_out::{Refusal, done, table, unix_s, words};
use super::error::WriterError;
use super::{Writer, doors::TOKEN_LIFE_S};
use crate::admin::devices::DeviceAsk;
use crate::admin::message::Response;
use crate::limits::DECOMMISSION_WAIT_S;
use crate::secrets::random;
use crate::store::{Device, DeviceState, token_hash};

impl Writer {
    pub(super) fn devices_ask(&mut self, ask: &DeviceAsk) -> Result<Response, Refusal> {
        match ask {
            DeviceAsk::Code { name } => self.device_code(name),
            DeviceAsk::Decommission { name } => self.device_decommission(name),
            DeviceAsk::Reset { name, colours } => self.device_reset(name, colours),
            DeviceAsk::DoorEdit {
                name,
                new_name,
                space_door,
            } => {
                let door = self.door(name)?;
                self.store
                    .door_edit(door.id, new_name, space_door.as_deref())?;
                self.follow()?;
                Ok(done("changed"))
            }
            DeviceAsk::DoorRemove { name } => {
                let door = self.door(name)?;
                self.store.door_remove(door.id)?;
                self.follow()?;
                Ok(done("removed, with every right at it"))
            }
        }
    }

    fn device_code(&mut self, name: &str) -> Result<Response, Refusal> {
        let device = self.device_of_name(name)?;
        if device.state == DeviceState::Leaving {
            return Err(words("the device is being decommissioned"));
        }
        let door = self.store.read().door(device.door)?;
        let token = random::<{ cardea_wire::limits::TOKEN_BYTES }>()?;
        let expires = unix_s() + TOKEN_LIFE_S;
        self.store
            .device_token(device.id, token_hash(&token), expires)?;
        let code = CommissioningCode {
            server: (self.config.address, self.config.listen.port()).into(),
            site_ca_sha256: self.pki.ca_sha256(),
            token: *token,
            door: door.map_or_else(String::new, |door| door.name),
        };
        let row = vec![device.name, code.to_text()];
        Ok(table(&["device", "commissioning code"], vec![row]))
    }

    /// A device without a certificate has nothing to forget.
    fn device_decommission(&mut self, name: &str) -> Result<Response, Refusal> {
        let device = self.device_of_name(name)?;
        match device.state {
            DeviceState::Waiting => return self.device_remove(name),
            DeviceState::Leaving => return Err(words("it is being decommissioned already")),
            DeviceState::Commissioned => {}
        }
        self.store.device_decommission(device.id, unix_s())?;
        self.follow()?;
        Ok(done("it is told at its next contact, and then removed"))
    }

    fn device_reset(&mut self, name: &str, colours: &str) -> Result<Response, Refusal> {
        let device = self.device_of_name(name)?;
        let colours = Colours::parse(colours)
            .map_err(|_| words("these are not eight of the letters R G B Y W V"))?;
        let fingerprint = device.fingerprint;
        let fingerprint =
            fingerprint.ok_or_else(|| words("the device was never commissioned here"))?;
        let signature = self.pki.sign(&colours.message(&fingerprint))?;
        let row = vec![device.name, reset_code(&signature)];
        Ok(table(&["device", "last code"], vec![row]))
    }

    fn device_of_name(&self, name: &str) -> Result<Device, Refusal> {
        let devices = self.store.read().devices()?;
        let device = devices.into_iter().find(|device| device.name == name);
        device.ok_or_else(|| words("no device of this name"))
    }

    /// Removes the devices that have forgotten their key, or were not heard of for so long that
    /// their certificate is refused without it.
    pub(super) fn leaving_tick(&mut self) -> Result<(), WriterError> {
        let told_before = unix_s() - DECOMMISSION_WAIT_S;
        let left = self.store.read().devices_left(told_before)?;
        if left.is_empty() {
            return Ok(());
        }
        for device in left {
            self.store.device_remove(device)?;
        }
        self.follow()
    }
}
