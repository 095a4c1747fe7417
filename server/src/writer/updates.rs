//! Updates in the writer: a package is handed to the unit that applies it, firmware is kept and
//! offered to every device.

use cardea_connect::message::Event;
use cardea_connect::update::{Role, Version};
use cardea_wire::reply::CommandKind;
use serde_json::{Value, json};

use super::carry_out::{Refusal, date, table, unix_s};
use super::error::WriterError;
use super::{Session, Writer};
use crate::admin::message::Response;
use crate::connect::firmware::{self, PATH_PREFIX};
use crate::connect::updates::{self, Fetched, Outcome};
use crate::store::{self, DeviceState, StoreError};

/// An update is here and checked: what becomes of it.
pub(super) fn fetched(writer: &mut Writer, fetched: &Fetched) -> Result<Value, String> {
    let version = fetched.manifest.version;
    let words = |error: &dyn std::fmt::Display| error.to_string();
    let mut told = 0;
    for file in &fetched.manifest.files {
        let wanted = match (file.role, &file.firmware) {
            (Role::Firmware, Some(version)) => version.parse().ok(),
            (Role::Firmware, None) | (Role::Server, _) => None,
        };
        if let Some(wanted) = wanted {
            let path = fetched.folder.join(&file.name);
            firmware::keep(writer.directory.path(), &path, &file.blake3)
                .map_err(|error| words(&error))?;
            told += writer
                .firmware_offer(&file.blake3, file.size, wanted)
                .map_err(|error| words(&error))?;
        }
    }
    let staged = updates::package(&fetched.manifest).is_some();
    if staged {
        updates::apply(writer.directory.path(), version).map_err(|error| words(&error))?;
        writer.tell(&Event::UpdateStaged {
            version: version.to_string(),
        });
    }
    Ok(json!({
        "version": version.to_string(),
        "package": if staged { "staged" } else { "none" },
        "devices_told": told,
    }))
}

/// Tells what came of an update, once: the unit that applies them says so when the new server is
/// ready, or the one before is again.
pub(super) fn outcome_tell(writer: &mut Writer) {
    let data = writer.directory.path().to_owned();
    let found = updates::outcome(&data);
    let Some(online) = &mut writer.online else {
        return;
    };
    // A file that cannot be removed is found again with each tick.
    let told = std::mem::replace(&mut online.connect.outcome_told, found.clone());
    if let Some(outcome) = found {
        if told.as_ref() != Some(&outcome) {
            tell(writer, outcome);
        }
        updates::outcome_told(&data);
    }
}

fn tell(writer: &mut Writer, outcome: Outcome) {
    let version = outcome.version;
    let (action, event) = if outcome.applied {
        let version = version.clone();
        ("update.applied", Event::UpdateApplied { version })
    } else {
        let version = version.clone();
        ("update.rolled-back", Event::UpdateRolledBack { version })
    };
    writer.note_change(Session::COMMAND_LINE, (action, version), Some("server"));
    writer.tell(&event);
}

/// A version as devices say it.
fn number(version: Version) -> Option<u32> {
    let Version(major, minor, patch) = version;
    let (minor, patch) = (u8::try_from(minor).ok()?, u8::try_from(patch).ok()?);
    Some(u32::from(major) << 16 | u32::from(minor) << 8 | u32::from(patch))
}

fn dotted(firmware: u32) -> String {
    let [_, _, minor, patch] = firmware.to_be_bytes();
    format!("{}.{minor}.{patch}", firmware >> 16)
}

impl Writer {
    /// Notes firmware that is in its place, and leaves every commissioned device that has another
    /// version the command to fetch it. Returns how many were told.
    fn firmware_offer(
        &mut self,
        blake3: &str,
        size: u64,
        version: Version,
    ) -> Result<u64, WriterError> {
        let bad = WriterError::Gallery("a version that devices cannot say".to_owned());
        let wanted = number(version).ok_or(bad)?;
        let kept = store::Firmware {
            blake3: blake3.to_owned(),
            version: wanted,
            size,
            kept_unix_s: unix_s(),
        };
        for gone in self.store.firmware_keep(&kept)? {
            firmware::forget(self.directory.path(), &gone.blake3);
        }
        let body = json!({
            "version": version.to_string(),
            "path": format!("{PATH_PREFIX}{blake3}"),
            "size": size,
            "blake3": blake3,
        });
        let body = body.to_string().into_bytes();
        let mut told = 0;
        for device in self.store.read().devices()? {
            if device.state != DeviceState::Commissioned || device.firmware == Some(wanted) {
                continue;
            }
            let command = store::NewCommand {
                device: device.id,
                kind: CommandKind::Update as u8,
                body: body.clone(),
            };
            match self.store.command_add(&command, unix_s()) {
                Ok(_) => told += 1,
                Err(StoreError::Invalid { .. } | StoreError::NotFound { .. }) => {
                    tracing::warn!(device = device.id.0, "too much waits for this device");
                }
                Err(error) => return Err(error.into()),
            }
        }
        self.tell(&Event::FirmwareOffered {
            version: version.to_string(),
            devices: told,
        });
        self.follow()?;
        Ok(told)
    }

    /// Firmware and how far each device has come with it.
    pub(super) fn update_status(&self) -> Result<Response, Refusal> {
        let reader = self.store.read();
        let kept = reader.firmware()?;
        let online = self.online.as_ref();
        let firmware = online.and_then(|online| online.connect.firmware.as_ref());
        let fetching = firmware
            .map(|firmware| firmware.fetching())
            .unwrap_or_default();
        let mut rows = Vec::new();
        for device in reader.devices()? {
            let update = reader
                .commands_of(device.id)?
                .into_iter()
                .rfind(|command| command.kind == CommandKind::Update as u8);
            let Some(update) = update else {
                continue;
            };
            let body: Value = serde_json::from_slice(&update.body).unwrap_or_default();
            let wanted = body["version"].as_str().unwrap_or_default().to_owned();
            let state = match (update.done_unix_s, fetching.get(&device.id.0)) {
                (Some(at), _) => format!("done {}", date(at)),
                (None, Some(part)) if body["blake3"] == part.name.as_str() => {
                    format!("fetched {} of {} bytes", part.bytes, part.size)
                }
                (None, _) => "told".to_owned(),
            };
            let has = device.firmware.map_or_else(String::new, dotted);
            rows.push(vec![device.name, has, wanted, state]);
        }
        if rows.is_empty() && !kept.is_empty() {
            let version = dotted(kept[0].version);
            rows.push(vec![
                String::new(),
                String::new(),
                version,
                "kept".to_owned(),
            ]);
        }
        Ok(table(&["device", "firmware", "wanted", "state"], rows))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_as_devices_say_them() {
        assert_eq!(number(Version(1, 2, 3)), Some(0x0001_0203));
        assert_eq!(number(Version(1, 256, 0)), None);
        assert_eq!(dotted(0x0001_0203), "1.2.3");
    }
}
