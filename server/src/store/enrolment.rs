//! How far a person's enrolment is, in one place: from what is stored of them, the policy in
//! force, and the time.

use rusqlite::{OptionalExtension as _, Row};

use super::error::StoreError;
use super::id::{DeviceId, PersonId, key, number};
use super::person::{PersonState, state_of};
use super::reader::Reader;
use super::settings::SettingKey;
use super::{Entity, TokenHash};
use crate::limits::PAGE_ROWS_MAX;

/// How far a person's enrolment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EnrolmentStage {
    /// Asked for; no invitation has been sent or printed.
    Requested,
    /// The invitation was sent or printed.
    Invited,
    /// They consented to the policy in force, and are to be captured.
    Consented,
    /// References of theirs are in the gallery.
    Enrolled,
    /// The invitation's time is over, and they have not enrolled.
    Expired,
    /// Nothing is left of them.
    Withdrawn,
}

impl EnrolmentStage {
    /// The stage in one word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Invited => "invited",
            Self::Consented => "consented",
            Self::Enrolled => "enrolled",
            Self::Expired => "expired",
            Self::Withdrawn => "withdrawn",
        }
    }
}

/// What the last try to enrol came to, for the person's page and the administrator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum EnrolmentOutcome {
    /// Nothing was tried yet.
    None = 0,
    /// The device captures, or the extractor looks at a photo.
    UnderWay = 1,
    /// Enrolled.
    Enrolled = 2,
    /// An administrator has to look at it: somebody enrolled looks alike.
    Held = 3,
    /// A wrong code was shown at the device.
    WrongCode = 4,
    /// What was captured is not of one person.
    Differ = 5,
    /// The device suspected a presentation attack.
    Attack = 6,
    /// The capture's time ran out.
    TimedOut = 7,
    /// No face in the photo, or more than one.
    NotOneFace = 8,
    /// The photo is too dark, too small, or turned away.
    PoorPhoto = 9,
    /// The file is no photo that can be read.
    NotAPhoto = 10,
    /// The server could not do its part; to be tried again.
    Failed = 11,
}

impl EnrolmentOutcome {
    /// Every outcome, by number.
    pub const ALL: [Self; 12] = [
        Self::None,
        Self::UnderWay,
        Self::Enrolled,
        Self::Held,
        Self::WrongCode,
        Self::Differ,
        Self::Attack,
        Self::TimedOut,
        Self::NotOneFace,
        Self::PoorPhoto,
        Self::NotAPhoto,
        Self::Failed,
    ];

    /// The outcome in a few words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::None => "",
            Self::UnderWay => "under way",
            Self::Enrolled => "enrolled",
            Self::Held => "held: somebody enrolled looks alike",
            Self::WrongCode => "wrong code at the device",
            Self::Differ => "captures differ",
            Self::Attack => "presentation attack suspected",
            Self::TimedOut => "capture timed out",
            Self::NotOneFace => "not one face in the photo",
            Self::PoorPhoto => "poor photo",
            Self::NotAPhoto => "not a photo",
            Self::Failed => "failed, to be tried again",
        }
    }
}

/// Whether a person has consented to the policy in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConsentStanding {
    /// Never.
    Missing,
    /// To an older version: they are asked again.
    Outdated,
    /// To the one in force.
    Current,
}

/// An invitation, without its token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invitation {
    /// The device that captures; none takes photos only.
    pub device: Option<DeviceId>,
    /// The language of mail and pages, two letters.
    pub language: String,
    /// When it was made, Unix time in seconds.
    pub created_unix_s: i64,
    /// Until when enrolling works, Unix time in seconds.
    pub expires_unix_s: i64,
    /// When the mail relay took it, or it was printed, Unix time in seconds.
    pub sent_unix_s: Option<i64>,
    /// What the last try came to.
    pub outcome: EnrolmentOutcome,
    /// An administrator has said that a likely duplicate is none.
    pub allowed: bool,
}

/// A capture that is wanted of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capture {
    /// Its name on the wire.
    pub name: [u8; 16],
    /// Whose face.
    pub person: PersonId,
    /// Which device.
    pub device: DeviceId,
    /// The code that the person shows.
    pub code: String,
    /// Wrong codes so far.
    pub tries: u32,
    /// Until when, Unix time in seconds.
    pub expires_unix_s: i64,
}

/// A likely duplicate that waits for an administrator.
#[derive(Debug, Clone, PartialEq)]
pub struct Duplicate {
    /// Who is enrolled and looks alike.
    pub other: PersonId,
    /// Their external id.
    pub other_external_id: String,
    /// The comparison score.
    pub score: f32,
    /// When it was found, Unix time in seconds.
    pub at_unix_s: i64,
}

/// A mail that has not been sent, as administrators see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailStanding {
    /// How often it was tried.
    pub tries: u32,
    /// When it is tried next, Unix time in seconds; none if the relay refused it for good.
    pub due_unix_s: Option<i64>,
    /// Why the last try failed.
    pub error: String,
}

/// All about a person's enrolment.
#[derive(Debug, Clone, PartialEq)]
pub struct Enrolment {
    /// The person.
    pub person: PersonId,
    /// What the site calls them.
    pub external_id: String,
    /// Their name.
    pub name: String,
    /// Their e-mail address.
    pub email: Option<String>,
    /// How far it is.
    pub stage: EnrolmentStage,
    /// Their consent, as of the policy in force.
    pub consent: ConsentStanding,
    /// Their invitation.
    pub invitation: Option<Invitation>,
    /// A capture that is under way.
    pub capture: Option<Capture>,
    /// A likely duplicate.
    pub duplicate: Option<Duplicate>,
    /// A mail that waits.
    pub mail: Option<MailStanding>,
}

/// How consent stands.
#[must_use]
pub fn consent_standing(given: Option<&str>, in_force: Option<&str>) -> ConsentStanding {
    match (given, in_force) {
        (None, _) => ConsentStanding::Missing,
        (Some(given), Some(in_force)) if given == in_force => ConsentStanding::Current,
        // A site that has named no policy asks nobody again.
        (Some(_), None) => ConsentStanding::Current,
        (Some(_), Some(_)) => ConsentStanding::Outdated,
    }
}

/// How far the enrolment of a person is who is in the store.
#[must_use]
pub fn stage_of(
    state: PersonState,
    consent: ConsentStanding,
    invitation: Option<&Invitation>,
    now_unix_s: i64,
) -> EnrolmentStage {
    match (state, invitation) {
        (PersonState::Enrolled | PersonState::Suspended, _) => EnrolmentStage::Enrolled,
        (PersonState::Invited, None) => EnrolmentStage::Requested,
        (PersonState::Invited, Some(invitation)) => {
            if invitation.expires_unix_s <= now_unix_s {
                EnrolmentStage::Expired
            } else if consent == ConsentStanding::Current {
                EnrolmentStage::Consented
            } else if invitation.sent_unix_s.is_some() {
                EnrolmentStage::Invited
            } else {
                EnrolmentStage::Requested
            }
        }
    }
}

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
        let mut select = self.db.prepare_cached(&format!(
            "{ENROLMENT} WHERE p.id > ?1 AND (i.person IS NOT NULL OR p.state = ?2)
             ORDER BY p.id LIMIT ?3"
        ))?;
        let after = after.map_or(0, |person| key(person.0));
        let limit = key(limit.clamp(1, PAGE_ROWS_MAX) as u64);
        let invited = PersonState::Invited as i64;
        let page = select
            .query_map([after, invited, limit], |row| {
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

    fn invitation(sent: Option<i64>, expires: i64) -> Invitation {
        Invitation {
            device: None,
            language: "en".to_owned(),
            created_unix_s: 0,
            expires_unix_s: expires,
            sent_unix_s: sent,
            outcome: EnrolmentOutcome::None,
            allowed: false,
        }
    }

    // Fails if any line of `stage_of` or `consent_standing` says something else.
    #[test]
    fn the_stage_follows_from_state_consent_invitation_and_time() {
        use ConsentStanding::{Current, Missing, Outdated};
        let unsent = invitation(None, 100);
        let sent = invitation(Some(5), 100);
        let stage =
            |consent, invitation, now| stage_of(PersonState::Invited, consent, invitation, now);
        assert_eq!(stage(Missing, None, 10), EnrolmentStage::Requested);
        assert_eq!(stage(Missing, Some(&unsent), 10), EnrolmentStage::Requested);
        assert_eq!(stage(Missing, Some(&sent), 10), EnrolmentStage::Invited);
        assert_eq!(stage(Outdated, Some(&sent), 10), EnrolmentStage::Invited);
        assert_eq!(stage(Current, Some(&sent), 99), EnrolmentStage::Consented);
        assert_eq!(stage(Current, Some(&sent), 100), EnrolmentStage::Expired);
        for state in [PersonState::Enrolled, PersonState::Suspended] {
            let stage = stage_of(state, Outdated, Some(&sent), 1_000);
            assert_eq!(stage, EnrolmentStage::Enrolled);
        }
        assert_eq!(consent_standing(None, Some("2")), Missing);
        assert_eq!(consent_standing(Some("1"), Some("2")), Outdated);
        assert_eq!(consent_standing(Some("2"), Some("2")), Current);
        assert_eq!(consent_standing(Some("2"), None), Current);
    }

    #[test]
    fn an_outcome_is_found_by_its_number() {
        for outcome in EnrolmentOutcome::ALL {
            assert_eq!(outcome_of(outcome as i64).ok(), Some(outcome));
        }
        assert!(outcome_of(12).is_err());
    }
}
