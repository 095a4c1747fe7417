//! Who has consented to another version of the privacy policy than the one in force, and can be
//! asked again by mail.

use super::error::StoreError;
use super::id::{PersonId, key, number};
use super::reader::Reader;
use super::{DeviceId, PersonState};
use crate::limits::{ASKED_PER_TICK, ASKING_IDS_PER_TICK};

/// Somebody to be asked again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToAsk {
    /// Who.
    pub person: PersonId,
    /// What the site calls them.
    pub external_id: String,
    /// The device of their invitation.
    pub device: Option<DeviceId>,
    /// The language of their invitation, two letters.
    pub language: Option<String>,
}

/// A step through all people.
#[derive(Debug, PartialEq, Eq)]
pub struct AskingStep {
    /// Whom to ask, at most [`ASKED_PER_TICK`].
    pub people: Vec<ToAsk>,
    /// Go on after this person; none at the end.
    pub next: Option<PersonId>,
}

impl Reader {
    /// Who, after the person `after`, has an e-mail address and a consent to another version than
    /// `policy`. A step looks at [`ASKING_IDS_PER_TICK`] ids at most.
    ///
    /// # Errors
    /// Those of a read.
    pub fn to_ask_again(&self, after: PersonId, policy: &str) -> Result<AskingStep, StoreError> {
        let last: Option<i64> = self
            .db
            .prepare_cached("SELECT max(id) FROM people")?
            .query_row([], |row| row.get(0))?;
        let end = after.0.saturating_add(ASKING_IDS_PER_TICK);
        let mut select = self.db.prepare_cached(
            "SELECT p.id, p.external_id, i.device, i.language
             FROM people_visible p LEFT JOIN invitations i ON i.person = p.id
             WHERE p.id > ?1 AND p.id <= ?2 AND p.consent_policy <> ?3 AND p.email IS NOT NULL
             AND p.state <> ?4 ORDER BY p.id LIMIT ?5",
        )?;
        let suspended = PersonState::Suspended as i64;
        let (first, end_key) = (key(after.0), key(end));
        let limit = key(ASKED_PER_TICK as u64);
        let people: Vec<ToAsk> = select
            .query_map((first, end_key, policy, suspended, limit), |row| {
                Ok(ToAsk {
                    person: PersonId(number(row.get(0)?)),
                    external_id: row.get(1)?,
                    device: row.get::<_, Option<i64>>(2)?.map(|id| DeviceId(number(id))),
                    language: row.get(3)?,
                })
            })?
            .collect::<Result<_, _>>()?;
        let full = people.len() == ASKED_PER_TICK;
        let reached = match people.last() {
            Some(last) if full => last.person.0,
            Some(_) | None => end,
        };
        let last = last.map_or(0, number);
        let next = (reached < last).then_some(PersonId(reached));
        Ok(AskingStep { people, next })
    }

    /// How many people have a consent to another version than the one in force.
    ///
    /// # Errors
    /// Those of a read.
    pub fn outdated_consents(&self) -> Result<u64, StoreError> {
        let Some(policy) = self.policy_in_force()? else {
            return Ok(0);
        };
        let count = self
            .db
            .prepare_cached("SELECT count(*) FROM people_visible WHERE consent_policy <> ?1")?
            .query_row([policy], |row| row.get(0))?;
        Ok(number(count))
    }
}
