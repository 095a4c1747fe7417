//! What people do on their own pages, by the link of their invitation.

use cardea_engine::Embedding;
use crossbeam_channel::Sender;
use zeroize::Zeroizing;

use super::carry_out::{Refusal, unix_s};
use super::{Command, Writer};
use crate::enrol::extractor::ExtractorError;
use crate::enrol::photo::PhotoJob;
use crate::limits::PHOTO_BYTES_MAX;
use crate::metrics::events::WRITER_FAILED;
use crate::store::{
    Consent, ConsentHow, Enrolment, EnrolmentOutcome, EnrolmentStage, PersonId, TokenHash,
};

/// What a person asks.
pub enum PersonAsk {
    /// Consents to this version of the policy: the one that the page showed.
    Consent {
        /// The version.
        policy_version: String,
    },
    /// Stands at the device.
    Capture,
    /// Sends a photo; zeroed when this is dropped.
    Photo(Zeroizing<Vec<u8>>),
    /// Withdraws.
    Withdraw,
}

/// A person's ask, and where the answer goes.
pub struct PersonCall {
    /// The hash of the link's token: it says who asks.
    pub token: TokenHash,
    /// What.
    pub ask: PersonAsk,
    /// Told when it is done.
    pub reply: Sender<PersonAnswer>,
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PersonAnswer {
    /// Done; the page says the rest.
    Done,
    /// Everything is withdrawn and out of force.
    Withdrawn,
    /// Not possible as things stand: another policy, another stage. The page says how they stand.
    Refused,
    /// The link is none any more.
    Unknown,
    /// It could not be done now.
    Later,
}

impl Writer {
    pub(super) fn person_call(&mut self, call: PersonCall) {
        let answer = match self.person_ask(call.token, call.ask) {
            Ok(answer) => answer,
            Err(Refusal::Words(_)) => PersonAnswer::Refused,
            Err(Refusal::Failed(error)) => {
                if WRITER_FAILED.is_logged() {
                    tracing::error!(%error, "a person's own request");
                }
                PersonAnswer::Later
            }
        };
        // Who does not wait for the answer any more has lost only the answer.
        let _ = call.reply.send(answer);
    }

    fn person_ask(&mut self, token: TokenHash, ask: PersonAsk) -> Result<PersonAnswer, Refusal> {
        let now = unix_s();
        let standing = self.store.read().enrolment_by_token(token, now)?;
        let Some(standing) = standing else {
            return Ok(PersonAnswer::Unknown);
        };
        let external_id = standing.external_id.clone();
        match ask {
            PersonAsk::Consent { policy_version } => {
                if standing.stage == EnrolmentStage::Expired {
                    return Ok(PersonAnswer::Refused);
                }
                // Who read another version has consented to that, not to the one in force.
                let in_force = self.store.read().policy_in_force()?;
                if in_force.as_ref() != Some(&policy_version) {
                    return Ok(PersonAnswer::Refused);
                }
                let consent = Consent {
                    policy_version,
                    at_unix_s: now,
                    how: ConsentHow::Online,
                };
                self.store.consent_record(&external_id, &consent)?;
                self.follow()?;
                self.note("the person", "person.consent", external_id);
                Ok(PersonAnswer::Done)
            }
            PersonAsk::Capture => {
                self.capture_begin(&standing)?;
                self.note("the person", "enrol.capture", external_id);
                Ok(PersonAnswer::Done)
            }
            PersonAsk::Photo(photo) => self.take_photo(&standing, photo),
            PersonAsk::Withdraw => {
                self.person_withdraw(&external_id)?;
                self.note("the person", "person.withdraw", external_id);
                Ok(PersonAnswer::Withdrawn)
            }
        }
    }

    /// Gives a photo to the extractor; what comes of it comes as a command.
    fn take_photo(
        &mut self,
        standing: &Enrolment,
        photo: Zeroizing<Vec<u8>>,
    ) -> Result<PersonAnswer, Refusal> {
        let outcome = standing
            .invitation
            .as_ref()
            .map(|invitation| invitation.outcome);
        // One at a time, and none while an administrator has to look.
        let waits = matches!(
            outcome,
            Some(EnrolmentOutcome::UnderWay | EnrolmentOutcome::Held)
        ) && standing.capture.is_none();
        let Some(online) = &self.online else {
            return Ok(PersonAnswer::Refused);
        };
        let (Some(photos), EnrolmentStage::Consented, false, false) = (
            &online.service.photos,
            standing.stage,
            waits,
            photo.is_empty() || photo.len() > PHOTO_BYTES_MAX,
        ) else {
            return Ok(PersonAnswer::Refused);
        };
        let (writer, person) = (online.handle.clone(), standing.person);
        let job = PhotoJob {
            photo,
            done: Box::new(move |faces| {
                // A writer that has ended settles it at its next start.
                let _ = writer.send(Command::PhotoRead { person, faces });
            }),
        };
        if !photos.give(job) {
            return Ok(PersonAnswer::Later);
        }
        self.store.capture_end(person, EnrolmentOutcome::UnderWay)?;
        self.follow()?;
        Ok(PersonAnswer::Done)
    }

    /// The extractor has answered for a photo.
    pub(super) fn photo_read(
        &mut self,
        person: PersonId,
        faces: Result<Vec<Embedding>, ExtractorError>,
    ) {
        if self.store.read().external_id(person).is_err() {
            // Withdrawn meanwhile.
            return;
        }
        let done = match faces {
            Ok(faces) => self.enrol_faces(person, &faces).map(drop),
            Err(error) => self
                .store
                .capture_end(person, error.outcome())
                .map_err(Into::into),
        };
        if let Err(error) = done {
            tracing::error!(%error, "an enrolment by photo");
            let failed = self.store.capture_end(person, EnrolmentOutcome::Failed);
            if let Err(error) = failed {
                tracing::error!(%error, "the outcome of a photo could not be stored");
            }
        }
    }
}
