//! Another version of the privacy policy asks everybody again: by mail, where there is an address
//! and a relay, a few people in each turn of the writer. Until they answer, their consent is shown
//! as outdated, and what they may do stays as it was.

use super::Writer;
use super::carry_out::{Refusal, unix_s};
use super::invite::{Way, english};
use crate::console::language::Language;
use crate::limits::{ASKING_MAILS_MAX, INVITATION_DAYS};
use crate::store::{PersonId, SettingKey, two_numbers};

/// Nobody has been asked yet.
pub(super) const FROM_THE_FIRST: [u8; 16] = [0; 16];

impl Writer {
    /// Once a second: gives the next people who are to be asked a new link, and a mail with it.
    pub(super) fn asking_tick(&mut self) -> Result<(), Refusal> {
        let reader = self.store.read();
        let stored = reader.setting(SettingKey::ASKING)?;
        if stored.is_none() || !self.sends_mail() {
            return Ok(());
        }
        if reader.mails_to_try(unix_s())? >= ASKING_MAILS_MAX {
            return Ok(());
        }
        let (after, before) = two_numbers(stored);
        let policy = reader.policy_in_force()?.unwrap_or_default();
        let step = reader.to_ask_again(PersonId(after), &policy)?;
        let mut asked = before;
        for one in step.people {
            let language = one.language.as_deref().and_then(Language::named);
            let language = language.unwrap_or_else(english);
            let (_, new) = self.new_link(one.device, language, INVITATION_DAYS, Way::Mail)?;
            asked += 1;
            let reached = position(one.person, asked);
            self.store
                .invitation_again(&one.external_id, &new, unix_s(), &reached)?;
        }
        match step.next {
            Some(next) => {
                let reached = position(next, asked);
                self.store.setting_set(SettingKey::ASKING, &reached)?;
            }
            None => {
                self.store.setting_remove(SettingKey::ASKING)?;
                let subject = format!("version {policy}: {asked} people");
                self.note("Enrolment Service", "enrol.asked-again", subject);
            }
        }
        self.follow()?;
        Ok(())
    }

    /// Whether a mail for this policy asks somebody again who consented to another.
    pub(super) fn asks_again(&self, consented: Option<&str>) -> Result<bool, Refusal> {
        let in_force = self.store.read().policy_in_force()?;
        Ok(match (consented, in_force) {
            (Some(consented), Some(in_force)) => consented != in_force,
            (None, _) | (_, None) => false,
        })
    }

    /// Whether this version of the policy asks everybody again: it is another than before. The
    /// very first asks nobody: who has consented did so to what the site had then.
    pub(super) fn asking_begins(&self, version: Option<&str>) -> Result<bool, Refusal> {
        let before = self.text_setting(SettingKey::POLICY_VERSION)?;
        let both = before.as_deref().zip(version);
        Ok(both.is_some_and(|(before, version)| before != version.trim()))
    }
}

/// How far asking has come, as it is stored.
fn position(after: PersonId, asked: u64) -> Vec<u8> {
    [after.0.to_le_bytes(), asked.to_le_bytes()].concat()
}
