//! Reading how far people's enrolments are: one by external id or by link, or a page.

use rusqlite::{OptionalExtension as _, Row};

use super::enrolment::{
    Capture, Duplicate, Enrolment, EnrolmentOutcome, Invitation, MailStanding, consent_standing,
    stage_of,
};
use super::error::StoreError;
use super::id::{DeviceId, PersonId, key, number};
use super::person::{PersonState, state_of};
use super::reader::Reader;
use super::settings::SettingKey;
use super::{Entity, TokenHash};
use crate::limits::PAGE_ROWS_MAX;

const ENROLMENT: &str = "
    SELECT p.id, p.external_id, p.name, p.email, p.state, p.consent_policy,
           i.created, i.device, i.language, i.expires, i.sent, i.outcome, i.allowed,
           c.name, c.device, c.code, c.tries, c.expires,
           d.other, o.external_id, d.score, d.at,
           m.tries, m.due, m.error
    FROM people_visible p
    LEFT JOIN invitations i ON i.person = p.id
    LEFT JOIN captures c ON c.person = p.id
    LEFT JOIN duplicates d ON d.person = p.id
    LEFT JOIN people o ON o.id = d.other
    LEFT JOIN mails m ON m.person = p.id";

impl Reader {
    /// The version of the privacy policy in force, if the site has named one.
    ///
    /// # Errors
    /// Those of a read.
    pub fn policy_in_force(&self) -> Result<Option<String>, StoreError> {
        let value = self.setting(SettingKey::POLICY_VERSION)?;
        let text = value.and_then(|bytes| String::from_utf8(bytes).ok());
        Ok(text.filter(|text| !text.is_empty()))
    }

    /// How far a person's enrolment is, by external id; none if nobody is called so.
    ///
    /// # Errors
    /// Those of a read.
    pub fn enrolment(
        &self,
        external_id: &str,
        now_unix_s: i64,
    ) -> Result<Option<Enrolment>, StoreError> {
        self.one_enrolment("p.external_id = ?1", external_id, now_unix_s)
    }

    /// How far the enrolment is that an invitation's token is for; none for a token that is none.
    ///
    /// # Errors
    /// Those of a read.
    pub fn enrolment_by_token(
        &self,
        token: TokenHash,
        now_unix_s: i64,
    ) -> Result<Option<Enrolment>, StoreError> {
        self.one_enrolment("i.token = ?1", token.0, now_unix_s)
    }

    /// A page of the enrolments that an administrator follows: of everyone who has an invitation
    /// or is not enrolled, by id, after `after`, at most `limit` (1,000 at most).
    ///
    /// # Errors
    /// Those of a read.
    pub fn enrolments_page(
        &self,
        after: Option<PersonId>,
        limit: usize,
        now_unix_s: i64,
    ) -> Result<Vec<Enrolment>, StoreError> {
        let policy = self.policy_in_force()?;
        let mut select = self.db.prepare_cached(&enrolments_sql())?;
        let after = after.map_or(0, |person| key(person.0));
        let limit = key(limit.clamp(1, PAGE_ROWS_MAX) as u64);
        let page = select
            .query_map([after, limit], |row| {
                enrolment_of(row, policy.as_deref(), now_unix_s)
            })?
            .collect::<Result<_, _>>()?;
        Ok(page)
    }

    /// A capture by its name on the wire.
    ///
    /// # Errors
    /// Those of a read.
    pub fn capture(&self, name: &[u8; 16]) -> Result<Option<Capture>, StoreError> {
        let capture = self
            .db
            .prepare_cached(
                "SELECT name, device, code, tries, expires, person FROM captures WHERE name = ?1",
            )?
            .query_row([name], |row| {
                capture_of(row, 0, PersonId(number(row.get(5)?)))
            })
            .optional()?;
        Ok(capture)
    }

    /// The external id of a person.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; those of a read.
    pub fn external_id(&self, person: PersonId) -> Result<String, StoreError> {
        let text = self
            .db
            .prepare_cached("SELECT external_id FROM people_visible WHERE id = ?1")?
            .query_row([key(person.0)], |row| row.get(0))
            .optional()?;
        text.ok_or(StoreError::NotFound {
            entity: Entity::Person,
        })
    }

    fn one_enrolment(
        &self,
        condition: &str,
        value: impl rusqlite::ToSql,
        now_unix_s: i64,
    ) -> Result<Option<Enrolment>, StoreError> {
        let policy = self.policy_in_force()?;
        let found = self
            .db
            .prepare_cached(&format!("{ENROLMENT} WHERE {condition}"))?
            .query_row([value], |row| {
                enrolment_of(row, policy.as_deref(), now_unix_s)
            })
            .optional()?;
        Ok(found)
    }
}

/// Among very many who are enrolled: from the invitations and the index of who is to enrol.
pub(super) fn enrolments_sql() -> String {
    // A number in the text: only so is the index of this state taken.
    let invited = PersonState::Invited as i64;
    format!(
        "{ENROLMENT} WHERE p.id IN (
             SELECT person FROM invitations WHERE person > ?1
             UNION SELECT id FROM people WHERE state = {invited} AND id > ?1
             ORDER BY 1 LIMIT ?2)
         ORDER BY p.id"
    )
}

fn enrolment_of(
    row: &Row<'_>,
    policy: Option<&str>,
    now_unix_s: i64,
) -> rusqlite::Result<Enrolment> {
    let person = PersonId(number(row.get(0)?));
    let given: Option<String> = row.get(5)?;
    let consent = consent_standing(given.as_deref(), policy);
    let invitation = match row.get::<_, Option<i64>>(6)? {
        Some(created_unix_s) => Some(Invitation {
            created_unix_s,
            device: row.get::<_, Option<i64>>(7)?.map(|id| DeviceId(number(id))),
            language: row.get(8)?,
            expires_unix_s: row.get(9)?,
            sent_unix_s: row.get(10)?,
            outcome: outcome_of(row.get(11)?)?,
            allowed: row.get(12)?,
        }),
        None => None,
    };
    let capture = match row.get::<_, Option<[u8; 16]>>(13)? {
        Some(_) => Some(capture_of(row, 13, person)?),
        None => None,
    };
    let duplicate = match row.get::<_, Option<i64>>(18)? {
        Some(other) => Some(Duplicate {
            other: PersonId(number(other)),
            other_external_id: row.get(19)?,
            score: row.get(20)?,
            at_unix_s: row.get(21)?,
        }),
        None => None,
    };
    let mail = match row.get::<_, Option<u32>>(22)? {
        Some(tries) => Some(MailStanding {
            tries,
            due_unix_s: row.get(23)?,
            error: row.get(24)?,
        }),
        None => None,
    };
    let state = state_of(row.get(4)?)?;
    Ok(Enrolment {
        person,
        external_id: row.get(1)?,
        name: row.get(2)?,
        email: row.get(3)?,
        stage: stage_of(state, consent, invitation.as_ref(), now_unix_s),
        consent,
        invitation,
        capture,
        duplicate,
        mail,
    })
}

fn capture_of(row: &Row<'_>, first: usize, person: PersonId) -> rusqlite::Result<Capture> {
    Ok(Capture {
        name: row.get(first)?,
        person,
        device: DeviceId(number(row.get(first + 1)?)),
        code: row.get(first + 2)?,
        tries: row.get(first + 3)?,
        expires_unix_s: row.get(first + 4)?,
    })
}

fn outcome_of(stored: i64) -> rusqlite::Result<EnrolmentOutcome> {
    let mut all = EnrolmentOutcome::ALL.into_iter();
    let found = all.find(|outcome| *outcome as i64 == stored);
    found.ok_or(rusqlite::Error::IntegralValueOutOfRange(11, stored))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outcome_is_found_by_its_number() {
        for outcome in EnrolmentOutcome::ALL {
            assert_eq!(outcome_of(outcome as i64).ok(), Some(outcome));
        }
        assert!(outcome_of(12).is_err());
    }
}
