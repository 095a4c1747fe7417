//! Faces that come in for people who are to be enrolled, from a device or from a photo: searched
//! for first, so that nobody is enrolled twice, and then in force.

use cardea_engine::{Embedding, Kernel, Searcher, score};
use cardea_wire::{CaptureCode, CaptureId, CaptureOrder, Decision, Kind, Reason, Reply};

use super::carry_out::{Refusal, unix_s, words};
use super::error::WriterError;
use super::{Asker, Writer};
use crate::api::{Completion, device_response};
use crate::enrol::Link;
use crate::limits::{CAPTURE_LIFE_S, CAPTURE_TRIES_MAX};
use crate::metrics::events::WRITER_FAILED;
use crate::secrets::random;
use crate::store::{
    Capture, ConsentStanding, Enrolment, EnrolmentOutcome, EnrolmentStage, NewCapture,
    NewReference, PersonId,
};

/// What a device has captured.
pub struct DeviceCapture {
    /// The device.
    pub device: u64,
    /// Which capture.
    pub capture: CaptureId,
    /// The code that the person showed.
    pub code: CaptureCode,
    /// The device suspected a presentation attack.
    pub pad_failed: bool,
    /// One to four embeddings.
    pub embeddings: Vec<Embedding>,
    /// Who waits.
    pub asker: Asker,
}

impl Writer {
    /// Asks the device of a person who consented for a capture; returns the code to be shown.
    pub(super) fn capture_begin(&mut self, standing: &Enrolment) -> Result<String, Refusal> {
        if standing.stage != EnrolmentStage::Consented {
            return Err(Refusal::Words(format!(
                "only who has consented and is not enrolled is captured; this person is {}",
                standing.stage.word()
            )));
        }
        let invitation = standing.invitation.as_ref();
        if invitation
            .and_then(|invitation| invitation.device)
            .is_none()
        {
            return Err(words("the invitation names no device"));
        }
        let now = unix_s();
        let name = *random::<16>()?;
        let digits = u32::from_le_bytes(*random::<4>()?) % 1_000_000;
        let order = CaptureOrder {
            capture: CaptureId(name),
            until_unix_ms: u64::try_from(now + CAPTURE_LIFE_S).unwrap_or(0) * 1_000,
        };
        let capture = NewCapture {
            name,
            code: format!("{digits:06}"),
            expires_unix_s: now + CAPTURE_LIFE_S,
            order: order.to_bytes(),
        };
        self.store.capture_begin(standing.person, &capture, now)?;
        self.follow()?;
        Ok(capture.code)
    }

    pub(super) fn device_captured(&mut self, captured: DeviceCapture) {
        let (decision, reason) = match self.take_capture(&captured) {
            Ok(None) => (Decision::Served, Reason::None),
            Ok(Some(reason)) if reason == Reason::CaptureRefused => (Decision::Refused, reason),
            Ok(Some(reason)) => (Decision::Denied, reason),
            Err(error) => {
                if WRITER_FAILED.is_logged() {
                    tracing::error!(%error, "an enrolment at a device");
                }
                (Decision::Refused, Reason::NotStored)
            }
        };
        let asker = captured.asker;
        let reply = Reply::new(Kind::Enrol, asker.request_id, decision, reason);
        asker.done.send(Completion::Served {
            exchange: asker.exchange,
            response: device_response(&reply),
        });
    }

    /// Takes a capture; says why not, where it is not enrolled.
    fn take_capture(&mut self, captured: &DeviceCapture) -> Result<Option<Reason>, WriterError> {
        let now = unix_s();
        let wanted = self.store.read().capture(&captured.capture.0)?;
        let wanted = wanted
            .filter(|wanted| wanted.device.0 == captured.device && wanted.expires_unix_s > now);
        let Some(wanted) = wanted else {
            return Ok(Some(Reason::CaptureRefused));
        };
        let person = wanted.person;
        if !self.is_code(&wanted, captured.code)? {
            if self.store.capture_tried(person)? >= CAPTURE_TRIES_MAX {
                self.store
                    .capture_end(person, EnrolmentOutcome::WrongCode)?;
                self.follow()?;
            }
            return Ok(Some(Reason::WrongCode));
        }
        if captured.pad_failed {
            self.store.capture_end(person, EnrolmentOutcome::Attack)?;
            self.follow()?;
            return Ok(Some(Reason::PadFailed));
        }
        let outcome = self.enrol_faces(person, &captured.embeddings)?;
        Ok(match outcome {
            EnrolmentOutcome::Enrolled => None,
            EnrolmentOutcome::Held => Some(Reason::EnrolmentHeld),
            EnrolmentOutcome::Differ => Some(Reason::CapturesDiffer),
            EnrolmentOutcome::None => Some(Reason::NoConsent),
            EnrolmentOutcome::UnderWay
            | EnrolmentOutcome::WrongCode
            | EnrolmentOutcome::Attack
            | EnrolmentOutcome::TimedOut
            | EnrolmentOutcome::NotOneFace
            | EnrolmentOutcome::PoorPhoto
            | EnrolmentOutcome::NotAPhoto
            | EnrolmentOutcome::Failed => Some(Reason::CaptureRefused),
        })
    }

    /// Six digits from the person's page, or the token of the printed invitation.
    fn is_code(&self, wanted: &Capture, code: CaptureCode) -> Result<bool, WriterError> {
        let code = code.as_bytes();
        // Hashes are equal in constant time by their own `==`.
        if blake3::hash(wanted.code.as_bytes()) == blake3::hash(code) {
            return Ok(true);
        }
        let link = std::str::from_utf8(code).ok().and_then(Link::parse);
        let Some(link) = link else {
            return Ok(false);
        };
        // Found by its hash: how long that takes says nothing of the token.
        let owner = self
            .store
            .read()
            .enrolment_by_token(link.hash(), unix_s())?;
        Ok(owner.is_some_and(|owner| owner.person == wanted.person))
    }

    /// Enrols a person by these faces, or holds them for an administrator; the outcome is stored.
    /// `None` says that the person may not be enrolled as things stand now.
    pub(super) fn enrol_faces(
        &mut self,
        person: PersonId,
        faces: &[Embedding],
    ) -> Result<EnrolmentOutcome, WriterError> {
        let now = unix_s();
        let external_id = self.store.read().external_id(person)?;
        let standing = self.store.read().enrolment(&external_id, now)?;
        let Some(standing) = standing.filter(|standing| {
            standing.stage == EnrolmentStage::Consented
                && standing.consent == ConsentStanding::Current
        }) else {
            self.store.capture_end(person, EnrolmentOutcome::None)?;
            self.follow()?;
            return Ok(EnrolmentOutcome::None);
        };
        if !self.are_of_one(faces) {
            self.store.capture_end(person, EnrolmentOutcome::Differ)?;
            self.follow()?;
            return Ok(EnrolmentOutcome::Differ);
        }
        let allowed = standing
            .invitation
            .is_some_and(|invitation| invitation.allowed);
        let alike = if allowed {
            None
        } else {
            self.somebody_like(person, faces)?
        };
        if let Some((other, score)) = alike {
            self.store.duplicate_hold(person, other, score, now)?;
            self.follow()?;
            self.note("Enrolment Service", "enrol.held", external_id);
            return Ok(EnrolmentOutcome::Held);
        }
        let references: Vec<_> = faces
            .iter()
            .map(|face| NewReference {
                embedding: Box::new(face.to_le_bytes()),
                quality: None,
            })
            .collect();
        self.store.invited_enrol(person, &references, now)?;
        self.follow()?;
        self.note("Enrolment Service", "enrol.enrolled", external_id);
        Ok(EnrolmentOutcome::Enrolled)
    }

    /// Whether faces of one capture match each other.
    fn are_of_one(&self, faces: &[Embedding]) -> bool {
        let Some(online) = &self.online else {
            return false;
        };
        let threshold = online.published.site().searched.load().threshold.value();
        let rest = |at: usize| faces.iter().skip(at + 1);
        faces
            .iter()
            .enumerate()
            .all(|(at, one)| rest(at).all(|other| score(one, other) >= threshold))
    }

    /// Who else is enrolled at or above the threshold. What is in force is all that is enrolled:
    /// the writer is one thread, and publishes before it does anything else.
    fn somebody_like(
        &mut self,
        person: PersonId,
        faces: &[Embedding],
    ) -> Result<Option<(PersonId, f32)>, WriterError> {
        let kernel = self.config.kernel.clone();
        let online = self.online.as_mut().ok_or(WriterError::Ended)?;
        if online.published.in_force_with_snapshot().is_some() {
            let why = "an import is being brought into force; enrol again in a moment";
            return Err(WriterError::Gallery(why.to_owned()));
        }
        let failed = |error: &dyn std::fmt::Display| WriterError::Gallery(error.to_string());
        if online.service.searcher.is_none() {
            let kernel = match kernel.as_str() {
                "best" => Kernel::best(),
                name => Kernel::by_name(name),
            };
            let kernel = kernel.map_err(|error| failed(&error))?;
            let searcher = Searcher::new(kernel, 1).map_err(|error| failed(&error))?;
            online.service.searcher = Some(searcher);
        }
        let Some(searcher) = &online.service.searcher else {
            return Ok(None);
        };
        let searched = online.published.site().searched.load_full();
        let lists = searcher
            .search(&searched.view, faces, searched.threshold)
            .map_err(|error| failed(&error))?;
        let candidates = lists.iter().flat_map(|list| list.as_slice());
        let others = candidates.filter(|candidate| candidate.person != person);
        let best = others.max_by(|one, other| one.score.total_cmp(&other.score));
        Ok(best.map(|best| (best.person, best.score)))
    }
}
