//! Imports and withdrawals.

use std::collections::HashMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cardea_engine::Embedding;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::carry_out::{Refusal, done, unix_s, words};
use super::gallery::erase_all;
use super::{Session, Writer};
use crate::admin::message::{self, Refused, Response};
use crate::backup;
use crate::limits::ADMIN_PEOPLE_MAX;
use crate::store::{self, Consent, ConsentHow, DoorId, ImportId, NewReference, StoreError};

impl Writer {
    pub(super) fn import_begin(&mut self, session: Session) -> Result<Response, Refusal> {
        self.import_taken_back()?;
        if self.import.is_some() {
            return Err(words("another import is under way"));
        }
        let import = self.store.import_begin(unix_s())?;
        self.import = Some((session, import));
        Ok(done("begun"))
    }

    pub(super) fn import_add(
        &mut self,
        session: Session,
        people: &[message::NewPerson],
    ) -> Result<Response, Refusal> {
        let import = self.import_of(session)?;
        if people.len() > ADMIN_PEOPLE_MAX {
            return Err(words("too many people in one request"));
        }
        let doors: HashMap<_, _> = self
            .store
            .read()
            .doors()?
            .into_iter()
            .map(|door| (door.name, door.id))
            .collect();
        let mut refused = Vec::new();
        let mut parsed = Vec::with_capacity(people.len());
        let mut places = Vec::with_capacity(people.len());
        for (index, person) in people.iter().enumerate() {
            match parse(person, &doors) {
                Ok(person) => {
                    parsed.push(person);
                    places.push(index);
                }
                Err(why) => refused.push(Refused { index, why }),
            }
        }
        let refusals = self.store.import_add(import, &parsed, unix_s())?;
        refused.extend(refusals.into_iter().map(|refusal| Refused {
            index: places[refusal.index],
            why: match refusal.why {
                StoreError::Exists { .. } => "somebody with this external id exists".to_owned(),
                other => other.to_string(),
            },
        }));
        refused.sort_by_key(|refused| refused.index);
        Ok(Response::Staged { refused })
    }

    pub(super) fn import_commit(&mut self, session: Session) -> Result<Response, Refusal> {
        let import = self.import_of(session)?;
        let committed = self.store.import_commit(import)?;
        self.import = None;
        self.follow()?;
        Ok(done(&format!("{} people enrolled", committed.people)))
    }

    /// Takes back what a session that has ended did not commit.
    pub(super) fn session_ended(&mut self, session: Session) {
        if let Some((owner, import)) = self.import
            && owner == session
        {
            self.import = Some((Session::ABANDONED, import));
            if let Err(error) = self.import_taken_back() {
                tracing::error!(%error, "an import could not be taken back; it is tried again");
            }
        }
    }

    /// Takes an import back whose session has ended. A full disk may refuse that for a while: it is
    /// tried with each tick, and before the next import.
    pub(super) fn import_taken_back(&mut self) -> Result<(), StoreError> {
        if let Some((Session::ABANDONED, import)) = self.import {
            match self.store.import_abort(import) {
                // It is not open any more: there is nothing to take back, now or later.
                Ok(()) | Err(StoreError::NotFound { .. }) => self.import = None,
                Err(error) => return Err(error),
            }
            if let Some(online) = &mut self.online {
                online.snapshots.empty_log();
            }
        }
        Ok(())
    }

    pub(super) fn person_withdraw(&mut self, external_id: &str) -> Result<Response, Refusal> {
        let withdrawn = self.store.person_withdraw(external_id)?;
        self.withdrawals_changed();
        let period = Duration::from_secs(self.config.erasure_period_s);
        if let Some(online) = &mut self.online {
            online.snapshots.erase_within(period);
            online.published.site().set_erasure_pending(true);
        } else {
            erase_all(&self.directory)?;
            // They are in the copies of a backup that was cut, and no server zeroes those in time.
            backup::sweep_all(self.directory.path())?;
        }
        self.follow()?;
        let references = withdrawn.references.len();
        Ok(done(&format!(
            "withdrawn: {references} references are out of force, and erased within {} s",
            period.as_secs()
        )))
    }

    fn import_of(&self, session: Session) -> Result<ImportId, Refusal> {
        match self.import {
            Some((owner, import)) if owner == session => Ok(import),
            _ => Err(words("no import of this connection is under way")),
        }
    }
}

/// Checks a person as the socket brought them; the reason does not repeat what they say.
fn parse(
    person: &message::NewPerson,
    doors: &HashMap<String, DoorId>,
) -> Result<store::NewPerson, String> {
    let consented = OffsetDateTime::parse(&person.consented_at, &Rfc3339)
        .map_err(|_| "consented_at is not a date and time after RFC 3339".to_owned())?;
    if person.policy_version.is_empty() {
        return Err("no policy version: nobody is enrolled without consent".to_owned());
    }
    let every_door = person.doors.trim() == "*";
    let names = if every_door {
        ""
    } else {
        person.doors.as_str()
    };
    let some = names
        .split(';')
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .map(|name| {
            doors
                .get(name)
                .copied()
                .ok_or_else(|| "a door does not exist".to_owned())
        })
        .collect::<Result<_, _>>()?;
    Ok(store::NewPerson {
        external_id: person.external_id.clone(),
        name: person.name.clone(),
        email: None,
        consent: Consent {
            policy_version: person.policy_version.clone(),
            at_unix_s: consented.unix_timestamp(),
            how: ConsentHow::Imported,
        },
        every_door,
        doors: some,
        references: person
            .references
            .iter()
            .map(|text| reference(text))
            .collect::<Result<_, _>>()?,
    })
}

fn reference(text: &str) -> Result<NewReference, String> {
    let bytes = STANDARD
        .decode(text)
        .map_err(|_| "a reference is not base64".to_owned())?;
    let embedding = Embedding::from_le_bytes(&bytes).map_err(|error| error.to_string())?;
    Ok(NewReference {
        embedding: Box::new(embedding.to_le_bytes()),
        quality: None,
    })
}
