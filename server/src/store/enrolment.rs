//! How far a person's enrolment is, in one place: from what is stored of them, the policy in
//! force, and the time.

use super::id::{DeviceId, PersonId};
use super::person::PersonState;

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
}
