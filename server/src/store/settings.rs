//! The site's settings: small values by name, some of them sealed before they come here.

use cardea_connect::message::Event;
use rusqlite::{Connection, OptionalExtension as _};

use super::Store;
use super::changes::{Change, publish};
use super::error::StoreError;
use super::outbox::note;
use super::reader::Reader;
use crate::limits::{SETTING_KEY_BYTES_MAX, SETTING_VALUE_BYTES_MAX};

/// The name of a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SettingKey(pub &'static str);

impl SettingKey {
    /// 16 bytes that name the site.
    pub const SITE_ID: Self = Self("site.id");
    /// The company in charge, as people see it.
    pub const COMPANY: Self = Self("site.company");
    /// The version of the privacy policy in force.
    pub const POLICY_VERSION: Self = Self("site.policy_version");
    /// Which way in there is without biometrics, in the site's own words.
    pub const ALTERNATIVE: Self = Self("enrol.alternative");
    /// The device at which people enrol whose invitation names none: its name.
    pub const ENROL_DEVICE: Self = Self("enrol.device");
    /// Where links to people's own pages begin: `https://host[:port]`.
    pub const PAGES_URL: Self = Self("enrol.pages_url");
    /// How mail is sent: JSON, sealed.
    pub const MAIL_SEALED: Self = Self("enrol.mail_sealed");
    /// How many mails a relay has taken, and when the last, Unix seconds: two u64, little-endian.
    pub const MAIL_SENT: Self = Self("enrol.mail_sent");
    /// People past this id are still to be asked for their consent to another policy, and so many
    /// were: two u64, little-endian. It is gone once all are.
    pub const ASKING: Self = Self("enrol.asking");
    /// 16 bytes that name the face model of every embedding here.
    pub const MODEL_ID: Self = Self("model.id");
    /// The decision threshold: f32, then as u64 the number of people it was set for, then as f32
    /// the FPIR it was set for; little-endian.
    pub const DECISION_THRESHOLD: Self = Self("decision.threshold");
    /// The key of the hashes by which withdrawals are remembered, sealed.
    pub const WITHDRAWAL_KEY: Self = Self("withdrawal.key");
    /// When the newest backup was taken, Unix seconds as i64, little-endian.
    pub const BACKUP_LAST: Self = Self("backup.last");
    /// Where the server is moving from and to: two IP addresses as text, a blank between.
    pub const ADDRESS_CHANGE: Self = Self("address.change");
    /// How Space is reached, with both keys: JSON, sealed.
    pub const SPACE_SEALED: Self = Self("space.sealed");
    /// How Connect's broker is reached, with the site's key: JSON, sealed.
    pub const CONNECT_SEALED: Self = Self("connect.sealed");
    /// Where the privacy policy is: an address beginning with `https://`.
    pub const POLICY_ADDRESS: Self = Self("site.policy_address");
    /// What came of looking at the privacy policy: JSON.
    pub const POLICY_CHECK: Self = Self("site.policy_check");
    /// Integrations that were added in the console: names with blanks between them.
    pub const INTEGRATIONS_ADDED: Self = Self("console.integrations");
    /// The server's address when the site was made, as text.
    pub const ADDRESS_AT_SETUP: Self = Self("site.address");
}

impl Store {
    /// Sets a value; returns the new generation.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] past a limit; those of a write.
    pub fn setting_set(&mut self, key: SettingKey, value: &[u8]) -> Result<u64, StoreError> {
        self.settings_set(&[(key, value)])
    }

    /// Sets several values at once; returns the new generation.
    ///
    /// # Errors
    /// As [`Store::setting_set`].
    pub fn settings_set(&mut self, settings: &[(SettingKey, &[u8])]) -> Result<u64, StoreError> {
        for (key, value) in settings {
            checked_setting(*key, value)?;
        }
        self.change(settings.len(), |db| {
            for (key, value) in settings {
                put_setting(db, *key, value)?;
                tell(db, *key)?;
            }
            publish(db, &[Change::Settings])
        })
    }

    /// Removes a value; returns the new generation.
    ///
    /// # Errors
    /// Those of a write.
    pub fn setting_remove(&mut self, key: SettingKey) -> Result<u64, StoreError> {
        self.change(1, |db| {
            db.prepare_cached("DELETE FROM settings WHERE key = ?1")?
                .execute([key.0])?;
            tell(db, key)?;
            publish(db, &[Change::Settings])
        })
    }
}

impl Reader {
    /// A value, if it is set.
    ///
    /// # Errors
    /// Those of a read.
    pub fn setting(&self, key: SettingKey) -> Result<Option<Vec<u8>>, StoreError> {
        let value = self
            .db
            .prepare_cached("SELECT value FROM settings WHERE key = ?1")?
            .query_row([key.0], |row| row.get(0))
            .optional()?;
        Ok(value)
    }
}

/// Sets a value within another change.
pub(super) fn put_setting(
    db: &Connection,
    key: SettingKey,
    value: &[u8],
) -> Result<(), StoreError> {
    db.prepare_cached(
        "INSERT INTO settings(key, value) VALUES (?1, ?2)
         ON CONFLICT(key) DO UPDATE SET value = excluded.value",
    )?
    .execute((key.0, value))?;
    Ok(())
}

/// An integration that is set up, changed or taken away is told of.
fn tell(db: &Connection, key: SettingKey) -> Result<(), StoreError> {
    if key == SettingKey::SPACE_SEALED {
        let integration = "space".to_owned();
        note(db, &Event::IntegrationChanged { integration })?;
    }
    Ok(())
}

fn checked_setting(key: SettingKey, value: &[u8]) -> Result<(), StoreError> {
    let max = SETTING_KEY_BYTES_MAX;
    if key.0.is_empty() || key.0.len() > max {
        return Err(StoreError::Invalid {
            field: "setting key",
            max,
        });
    }
    let max = SETTING_VALUE_BYTES_MAX;
    if value.len() > max {
        return Err(StoreError::Invalid {
            field: "setting value",
            max,
        });
    }
    Ok(())
}
