//! People: invited, enrolled, edited, withdrawn.

use std::fmt;

use rusqlite::{Connection, OptionalExtension as _};

use super::Store;
use super::captures::end_capture;
use super::changes::{Change, publish};
use super::doors::{found, insert_right};
use super::embeddings::{erase_reference, erase_references, insert_reference};
use super::error::{Entity, StoreError};
use super::id::{DoorId, PersonId, ReferenceId, key, number};
use super::person::{Consent, PersonState, state_of};
use super::text::{checked, folded};
use super::withdrawn::{RememberedKind, remember};
use crate::limits::{
    EMAIL_BYTES_MAX, EMBEDDING_BYTES, EXTERNAL_ID_BYTES_MAX, PERSON_DOORS_MAX,
    PERSON_NAME_BYTES_MAX, PERSON_REFERENCES_MAX, POLICY_VERSION_BYTES_MAX,
};

/// A reference to be stored. The store does not look into the embedding: give it the bytes of a
/// checked one.
#[derive(Clone, PartialEq)]
pub struct NewReference {
    /// 512 little-endian f32.
    pub embedding: Box<[u8; EMBEDDING_BYTES]>,
    /// The capture's quality, 0..1, if it is known.
    pub quality: Option<f32>,
}

impl fmt::Debug for NewReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // An embedding is never printed.
        f.debug_struct("NewReference")
            .field("quality", &self.quality)
            .finish_non_exhaustive()
    }
}

/// A person to be enrolled.
#[derive(Debug, Clone, PartialEq)]
pub struct NewPerson {
    /// What the site calls them, unique, 1 to 128 bytes.
    pub external_id: String,
    /// Their name, 1 to 256 bytes.
    pub name: String,
    /// Their e-mail address.
    pub email: Option<String>,
    /// Their consent: nobody is enrolled without.
    pub consent: Consent,
    /// They may enter at every door.
    pub every_door: bool,
    /// Doors at which they may enter.
    pub doors: Vec<DoorId>,
    /// One to 16 references.
    pub references: Vec<NewReference>,
}

/// A person to be asked to enrol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewInvitation {
    /// What the site calls them, unique, 1 to 128 bytes.
    pub external_id: String,
    /// Their name, 1 to 256 bytes.
    pub name: String,
    /// Their e-mail address.
    pub email: Option<String>,
}

/// What an enrolment made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enrolled {
    /// The person.
    pub person: PersonId,
    /// Their new references, in the order given.
    pub references: Vec<ReferenceId>,
    /// The generation in which they are visible.
    pub generation: u64,
}

/// What a withdrawal removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Withdrawn {
    /// The person.
    pub person: PersonId,
    /// Their references.
    pub references: Vec<ReferenceId>,
    /// The generation from which they are gone.
    pub generation: u64,
}

impl Store {
    /// Enrols a person, or one who was invited. Someone who is enrolled already is refused, so
    /// that no second face comes under a name by mistake: see [`Store::references_add`].
    ///
    /// # Errors
    /// [`StoreError::Exists`], [`StoreError::ImportOpen`] where an import holds the external id,
    /// [`StoreError::NotFound`] for a door, [`StoreError::Invalid`]; those of a write.
    pub fn person_enrol(
        &mut self,
        person: &NewPerson,
        now_unix_s: i64,
    ) -> Result<Enrolled, StoreError> {
        check_person(person)?;
        self.change(1 + person.references.len(), |db| {
            let id = match standing(db, &person.external_id)? {
                None => insert_person(db, person, now_unix_s, 0)?,
                Some((id, PersonState::Invited)) => complete_person(db, id, person)?,
                Some((id, PersonState::Enrolled | PersonState::Suspended)) => {
                    return Err(StoreError::Exists {
                        entity: Entity::Person,
                        id: id.0,
                    });
                }
            };
            for door in &person.doors {
                insert_right(db, id, *door)?;
            }
            add_references(db, id, &person.references, now_unix_s)
        })
    }

    /// Adds references to a person who is enrolled.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], also for who is only invited; [`StoreError::Invalid`] past 16
    /// references; those of a write.
    pub fn references_add(
        &mut self,
        external_id: &str,
        references: &[NewReference],
        now_unix_s: i64,
    ) -> Result<Enrolled, StoreError> {
        check_references(0, references)?;
        self.change(references.len(), |db| {
            let (id, state) = standing(db, external_id)?.ok_or(NO_PERSON)?;
            if state == PersonState::Invited {
                return Err(NO_PERSON);
            }
            let held: i64 = db
                .prepare_cached("SELECT count(*) FROM references_ WHERE person = ?1")?
                .query_row([key(id.0)], |row| row.get(0))?;
            check_references(number(held) as usize, references)?;
            add_references(db, id, references, now_unix_s)
        })
    }

    /// Notes that a person is asked to enrol.
    ///
    /// # Errors
    /// [`StoreError::Exists`], [`StoreError::ImportOpen`], [`StoreError::Invalid`].
    pub fn person_invite(
        &mut self,
        invitation: &NewInvitation,
        now_unix_s: i64,
    ) -> Result<PersonId, StoreError> {
        check_texts(
            &invitation.external_id,
            &invitation.name,
            invitation.email.as_deref(),
        )?;
        self.change(1, |db| {
            if let Some((id, _)) = standing(db, &invitation.external_id)? {
                return Err(StoreError::Exists {
                    entity: Entity::Person,
                    id: id.0,
                });
            }
            let id = db
                .prepare_cached(
                    "INSERT INTO people(external_id, name, name_folded, email, state, every_door,
                                        created, import)
                     VALUES (?1, ?2, ?3, ?4, ?5, 0, ?6, 0)",
                )?
                .insert((
                    &invitation.external_id,
                    &invitation.name,
                    folded(&invitation.name),
                    &invitation.email,
                    PersonState::Invited as u8,
                    now_unix_s,
                ))?;
            let id = PersonId(number(id));
            publish(db, &[Change::Person(id)])?;
            Ok(id)
        })
    }

    /// Withdraws a person: every row of theirs goes, and their embeddings are zeroed. They are in
    /// the write-ahead log until [`Store::erase_log`]. Works on a full disk while the reserve of
    /// [`Store::reserve_log`] lasts.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; those of a write.
    pub fn person_withdraw(&mut self, external_id: &str) -> Result<Withdrawn, StoreError> {
        self.withdraw(|db, names| {
            let person = visible_person(db, external_id)?;
            remember(db, names, RememberedKind::Person, (person.0, external_id))?;
            let references = erase_references(db, person)?;
            // Invitation, mail and duplicates go with the person; the capture's command as well.
            let device = end_capture(db, person)?;
            db.prepare_cached("DELETE FROM people WHERE id = ?1")?
                .execute([key(person.0)])?;
            let mut changes = vec![Change::PersonWithdrawn(person)];
            changes.extend(device.map(Change::Device));
            let gone = |reference: &ReferenceId| Change::ReferenceWithdrawn(*reference, person);
            changes.extend(references.iter().map(gone));
            let generation = publish(db, &changes)?;
            Ok(Withdrawn {
                person,
                references,
                generation,
            })
        })
    }

    /// Withdraws one reference of a person and zeroes its embedding; the person stays.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; those of a write.
    pub fn reference_withdraw(&mut self, reference: ReferenceId) -> Result<Withdrawn, StoreError> {
        self.withdraw(|db, _| {
            let person: Option<i64> = db
                .prepare_cached("SELECT person FROM references_visible WHERE id = ?1")?
                .query_row([key(reference.0)], |row| row.get(0))
                .optional()?;
            let person = PersonId(number(person.ok_or(StoreError::NotFound {
                entity: Entity::Reference,
            })?));
            erase_reference(db, reference)?;
            let generation = publish(db, &[Change::ReferenceWithdrawn(reference, person)])?;
            Ok(Withdrawn {
                person,
                references: vec![reference],
                generation,
            })
        })
    }

    /// Suspends a person, who is then denied everywhere, or takes them back.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], also for who is only invited; those of a write.
    pub fn person_suspend(
        &mut self,
        external_id: &str,
        suspended: bool,
    ) -> Result<u64, StoreError> {
        let state = if suspended {
            PersonState::Suspended
        } else {
            PersonState::Enrolled
        };
        self.change(1, |db| {
            let person = visible_person(db, external_id)?;
            let changed = db
                .prepare_cached("UPDATE people SET state = ?2 WHERE id = ?1 AND state <> ?3")?
                .execute((key(person.0), state as u8, PersonState::Invited as u8))?;
            found(changed, Entity::Person)?;
            publish(db, &[Change::Person(person)])
        })
    }

    /// Records a person's consent to another version of the policy.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Invalid`]; those of a write.
    pub fn consent_record(
        &mut self,
        external_id: &str,
        consent: &Consent,
    ) -> Result<u64, StoreError> {
        check_consent(consent)?;
        self.change(1, |db| {
            let person = visible_person(db, external_id)?;
            db.prepare_cached(
                "UPDATE people SET consent_policy = ?2, consent_at = ?3, consent_how = ?4
                 WHERE id = ?1",
            )?
            .execute((
                key(person.0),
                &consent.policy_version,
                consent.at_unix_s,
                consent.how as u8,
            ))?;
            publish(db, &[Change::Person(person)])
        })
    }

    /// Changes a person's name and e-mail address.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Invalid`]; those of a write.
    pub fn person_edit(
        &mut self,
        external_id: &str,
        name: &str,
        email: Option<&str>,
    ) -> Result<u64, StoreError> {
        check_texts(external_id, name, email)?;
        self.change(1, |db| {
            let person = visible_person(db, external_id)?;
            db.prepare_cached(
                "UPDATE people SET name = ?2, name_folded = ?3, email = ?4 WHERE id = ?1",
            )?
            .execute((key(person.0), name, folded(name), email))?;
            publish(db, &[Change::Person(person)])
        })
    }
}

const NO_PERSON: StoreError = StoreError::NotFound {
    entity: Entity::Person,
};

/// The id of a person who is visible.
pub(crate) fn visible_person(db: &Connection, external_id: &str) -> Result<PersonId, StoreError> {
    let id: Option<i64> = db
        .prepare_cached("SELECT id FROM people_visible WHERE external_id = ?1")?
        .query_row([external_id], |row| row.get(0))
        .optional()?;
    id.map(|id| PersonId(number(id))).ok_or(NO_PERSON)
}

/// Refuses a person with values that cannot be stored.
pub(crate) fn check_person(person: &NewPerson) -> Result<(), StoreError> {
    check_texts(&person.external_id, &person.name, person.email.as_deref())?;
    check_consent(&person.consent)?;
    check_references(0, &person.references)?;
    let max = PERSON_DOORS_MAX;
    if person.doors.len() > max {
        return Err(StoreError::Invalid {
            field: "doors",
            max,
        });
    }
    Ok(())
}

/// Stores a new person's own row.
pub(crate) fn insert_person(
    db: &Connection,
    person: &NewPerson,
    now_unix_s: i64,
    import: i64,
) -> Result<PersonId, StoreError> {
    let id = db
        .prepare_cached(
            "INSERT INTO people(external_id, name, name_folded, email, state, every_door,
                                consent_policy, consent_at, consent_how, created, import)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        )?
        .insert((
            &person.external_id,
            &person.name,
            folded(&person.name),
            &person.email,
            PersonState::Enrolled as u8,
            person.every_door,
            &person.consent.policy_version,
            person.consent.at_unix_s,
            person.consent.how as u8,
            now_unix_s,
            import,
        ))?;
    Ok(PersonId(number(id)))
}

// Who has this external id; none may be of an open import.
fn standing(
    db: &Connection,
    external_id: &str,
) -> Result<Option<(PersonId, PersonState)>, StoreError> {
    let row: Option<(i64, i64, Option<i64>)> = db
        .prepare_cached(
            "SELECT people.id, state, imports.id FROM people
             LEFT JOIN imports ON imports.id = people.import AND imports.generation IS NULL
             WHERE external_id = ?1",
        )?
        .query_row([external_id], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
        .optional()?;
    match row {
        None => Ok(None),
        Some((_, _, Some(import))) => Err(StoreError::ImportOpen {
            import: number(import),
        }),
        Some((id, state, None)) => Ok(Some((PersonId(number(id)), state_of(state)?))),
    }
}

fn complete_person(
    db: &Connection,
    id: PersonId,
    person: &NewPerson,
) -> Result<PersonId, StoreError> {
    db.prepare_cached(
        "UPDATE people SET name = ?2, name_folded = ?3, email = ?4, state = ?5, every_door = ?6,
                           consent_policy = ?7, consent_at = ?8, consent_how = ?9
         WHERE id = ?1",
    )?
    .execute((
        key(id.0),
        &person.name,
        folded(&person.name),
        &person.email,
        PersonState::Enrolled as u8,
        person.every_door,
        &person.consent.policy_version,
        person.consent.at_unix_s,
        person.consent.how as u8,
    ))?;
    Ok(id)
}

fn add_references(
    db: &Connection,
    person: PersonId,
    references: &[NewReference],
    now_unix_s: i64,
) -> Result<Enrolled, StoreError> {
    let mut changes = vec![Change::Person(person)];
    let mut ids = Vec::with_capacity(references.len());
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
}

fn check_texts(external_id: &str, name: &str, email: Option<&str>) -> Result<(), StoreError> {
    checked("external id", external_id, EXTERNAL_ID_BYTES_MAX)?;
    checked("name", name, PERSON_NAME_BYTES_MAX)?;
    if let Some(email) = email {
        checked("e-mail", email, EMAIL_BYTES_MAX)?;
    }
    Ok(())
}

fn check_consent(consent: &Consent) -> Result<(), StoreError> {
    checked(
        "policy version",
        &consent.policy_version,
        POLICY_VERSION_BYTES_MAX,
    )?;
    Ok(())
}

/// Refuses no references, or more than fit beside those that a person has.
pub(crate) fn check_references(held: usize, references: &[NewReference]) -> Result<(), StoreError> {
    let max = PERSON_REFERENCES_MAX;
    if references.is_empty() || held + references.len() > max {
        return Err(StoreError::Invalid {
            field: "references",
            max,
        });
    }
    Ok(())
}
