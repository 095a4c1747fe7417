//! Invitations: who is asked to enrol, and what becomes of it. All that is stored of one goes with
//! the person when they are withdrawn: the mail (`mails`) and the capture (`captures`) as well.

use rusqlite::Connection;

use super::captures::end_capture;
use super::changes::{Change, publish};
use super::devices::require_device;
use super::doors::found;
use super::embeddings::insert_reference;
use super::enrolment::EnrolmentOutcome;
use super::error::{Entity, StoreError};
use super::id::{DeviceId, PersonId, ReferenceId, key};
use super::mails::put_mail;
use super::people::{NewReference, check_references, visible_person};
use super::person::PersonState;
use super::settings::{SettingKey, put_setting};
use super::text::checked;
use super::{Enrolled, Store, TokenHash};
use crate::limits::LANGUAGE_BYTES;

/// What the store keeps of an invitation's token.
#[must_use]
pub fn invitation_hash(token: &[u8; cardea_wire::limits::TOKEN_BYTES]) -> TokenHash {
    TokenHash(blake3::derive_key("cardea 2026 invitation token", token))
}

/// An invitation to be made.
#[derive(Clone, PartialEq, Eq)]
pub struct NewLink {
    /// What is kept of its token.
    pub token: TokenHash,
    /// The device that captures.
    pub device: Option<DeviceId>,
    /// The language of mail and pages, two letters.
    pub language: String,
    /// Until when enrolling works, Unix time in seconds.
    pub expires_unix_s: i64,
    /// The token, sealed, to be mailed; none for an invitation that is handed over.
    pub mail: Option<Vec<u8>>,
}

impl Store {
    /// Gives a person an invitation, in place of any they have; a capture that is under way ends.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for the person or the device; [`StoreError::Invalid`] for the
    /// language, or for a mail to a person without an address; those of a write.
    pub fn invitation_put(
        &mut self,
        external_id: &str,
        link: &NewLink,
        now_unix_s: i64,
    ) -> Result<PersonId, StoreError> {
        self.change(3, |db| put_invitation(db, external_id, link, now_unix_s))
    }

    /// The same for one of many who are asked again: how far that has come is stored with it or not
    /// at all, so that nobody is asked twice after a crash.
    ///
    /// # Errors
    /// As [`Store::invitation_put`].
    pub fn invitation_again(
        &mut self,
        external_id: &str,
        link: &NewLink,
        now_unix_s: i64,
        position: &[u8],
    ) -> Result<PersonId, StoreError> {
        self.change(4, |db| {
            put_setting(db, SettingKey::ASKING, position)?;
            put_invitation(db, external_id, link, now_unix_s)
        })
    }

    /// Takes a person's invitation back: its link leads nowhere from here on. Who is not enrolled
    /// is as if they had never consented.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for who has none; those of a write.
    pub fn invitation_cancel(&mut self, external_id: &str) -> Result<(), StoreError> {
        self.change(3, |db| {
            let person = visible_person(db, external_id)?;
            let mut changes = vec![Change::Person(person)];
            changes.extend(end_capture(db, person)?.map(Change::Device));
            let gone = db
                .prepare_cached("DELETE FROM invitations WHERE person = ?1")?
                .execute([key(person.0)])?;
            if gone == 0 {
                return Err(StoreError::NotFound {
                    entity: Entity::Invitation,
                });
            }
            put_mail(db, person, None, 0)?;
            db.prepare_cached("DELETE FROM duplicates WHERE person = ?1")?
                .execute([key(person.0)])?;
            db.prepare_cached(
                "UPDATE people SET consent_policy = NULL, consent_at = NULL, consent_how = NULL
                 WHERE id = ?1 AND state = ?2",
            )?
            .execute((key(person.0), PersonState::Invited as u8))?;
            publish(db, &changes)?;
            Ok(())
        })
    }

    /// Notes what the last try to enrol came to.
    ///
    /// # Errors
    /// Those of a write.
    pub fn outcome_set(
        &mut self,
        person: PersonId,
        outcome: EnrolmentOutcome,
    ) -> Result<(), StoreError> {
        self.change(1, |db| set_outcome(db, person, outcome))
    }

    /// What was under way when the last run ended, other than captures that go on, has failed.
    ///
    /// # Errors
    /// Those of a write.
    pub fn outcomes_settle(&mut self) -> Result<(), StoreError> {
        self.change(1, |db| {
            db.prepare_cached(
                "UPDATE invitations SET outcome = ?2
                 WHERE outcome = ?1 AND person NOT IN (SELECT person FROM captures)",
            )?
            .execute((
                EnrolmentOutcome::UnderWay as u8,
                EnrolmentOutcome::Failed as u8,
            ))?;
            Ok(())
        })
    }

    /// Enrols a person who was invited: their references come into force, the capture ends.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for who is not, or no longer, to be enrolled;
    /// [`StoreError::Invalid`] for no or too many references; those of a write.
    pub fn invited_enrol(
        &mut self,
        person: PersonId,
        references: &[NewReference],
        now_unix_s: i64,
    ) -> Result<Enrolled, StoreError> {
        check_references(0, references)?;
        self.change(1 + references.len(), |db| {
            let changed = db
                .prepare_cached(
                    "UPDATE people SET state = ?2
                     WHERE id = ?1 AND state = ?3 AND consent_policy IS NOT NULL",
                )?
                .execute((
                    key(person.0),
                    PersonState::Enrolled as u8,
                    PersonState::Invited as u8,
                ))?;
            found(changed, Entity::Person)?;
            let mut changes = vec![Change::Person(person)];
            changes.extend(end_capture(db, person)?.map(Change::Device));
            db.prepare_cached("DELETE FROM duplicates WHERE person = ?1")?
                .execute([key(person.0)])?;
            set_outcome(db, person, EnrolmentOutcome::Enrolled)?;
            let mut ids: Vec<ReferenceId> = Vec::with_capacity(references.len());
            for reference in references {
                let id = insert_reference(db, person, reference, now_unix_s, 0)?;
                changes.push(Change::Reference(id, person));
                ids.push(id);
            }
            let generation = publish(db, &changes)?;
            Ok(Enrolled {
                person,
                references: ids,
                generation,
            })
        })
    }

    /// Notes that somebody enrolled looks like a person who is to be enrolled, who waits for an
    /// administrator.
    ///
    /// # Errors
    /// Those of a write.
    pub fn duplicate_hold(
        &mut self,
        person: PersonId,
        other: PersonId,
        score: f32,
        now_unix_s: i64,
    ) -> Result<(), StoreError> {
        self.change(2, |db| {
            let device = end_capture(db, person)?;
            db.prepare_cached(
                "INSERT INTO duplicates(person, other, score, at) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (person) DO UPDATE
                 SET other = excluded.other, score = excluded.score, at = excluded.at",
            )?
            .execute((key(person.0), key(other.0), score, now_unix_s))?;
            set_outcome(db, person, EnrolmentOutcome::Held)?;
            if let Some(device) = device {
                publish(db, &[Change::Device(device)])?;
            }
            Ok(())
        })
    }

    /// Says that a likely duplicate is none: the next capture is enrolled.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for who is not held; those of a write.
    pub fn duplicate_allow(&mut self, external_id: &str) -> Result<(), StoreError> {
        self.change(2, |db| {
            let person = visible_person(db, external_id)?;
            let held = db
                .prepare_cached("DELETE FROM duplicates WHERE person = ?1")?
                .execute([key(person.0)])?;
            found(held, Entity::Invitation)?;
            db.prepare_cached("UPDATE invitations SET allowed = 1, outcome = 0 WHERE person = ?1")?
                .execute([key(person.0)])?;
            Ok(())
        })
    }
}

fn put_invitation(
    db: &Connection,
    external_id: &str,
    link: &NewLink,
    now_unix_s: i64,
) -> Result<PersonId, StoreError> {
    checked("language", &link.language, LANGUAGE_BYTES)?;
    let person = visible_person(db, external_id)?;
    if let Some(device) = link.device {
        require_device(db, device)?;
    }
    let mut changes = vec![Change::Person(person)];
    changes.extend(end_capture(db, person)?.map(Change::Device));
    let sent = link.mail.is_none().then_some(now_unix_s);
    db.prepare_cached("DELETE FROM invitations WHERE person = ?1")?
        .execute([key(person.0)])?;
    db.prepare_cached(
        "INSERT INTO invitations(person, token, device, language, created, expires, sent)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?
    .execute((
        key(person.0),
        link.token.0,
        link.device.map(|device| key(device.0)),
        &link.language,
        now_unix_s,
        link.expires_unix_s,
        sent,
    ))?;
    put_mail(db, person, link.mail.as_deref(), now_unix_s)?;
    publish(db, &changes)?;
    Ok(person)
}

/// Notes what the last try to enrol came to, within a transaction.
pub(crate) fn set_outcome(
    db: &Connection,
    person: PersonId,
    outcome: EnrolmentOutcome,
) -> Result<(), StoreError> {
    db.prepare_cached("UPDATE invitations SET outcome = ?2 WHERE person = ?1")?
        .execute((key(person.0), outcome as u8))?;
    Ok(())
}
