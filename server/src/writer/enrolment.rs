//! Enrolments that Space asks for: a person is invited, withdrawn, or looked at. Each may be asked
//! again without harm.

use cardea_space::enrolment::{EnrolRequest, EnrolmentState, Language, PersonStatus};
use cardea_space::ext_id::ExtId;

use super::carry_out::{Refusal, unix_s};
use super::error::WriterError;
use super::invite::Way;
use super::{Session, Writer};
use crate::api::{Completion, space_error};
use crate::completions::CompletionSender;
use crate::limits::PERSON_NAME_BYTES_MAX;
use crate::metrics::events::WRITER_FAILED;
use crate::net::{ExchangeId, Response};
use crate::store::{EnrolmentStage, NewInvitation, Person, PersonState};

/// What Space asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EnrolmentAsk {
    /// Creates the enrolment request, or changes it.
    Enrol(EnrolRequest),
    /// Withdraws, and erases.
    Disenrol,
    /// How far is it?
    Status,
}

/// A request of Space's about a person, and where the answer goes.
pub struct Enrolment {
    /// Whom it is about.
    pub person: ExtId,
    /// What is asked.
    pub ask: EnrolmentAsk,
    /// The exchange that waits.
    pub exchange: ExchangeId,
    /// Its loop.
    pub done: CompletionSender<Completion>,
}

impl Writer {
    pub(super) fn enrolment(&mut self, enrolment: &Enrolment) {
        let person = &enrolment.person;
        let answered = match &enrolment.ask {
            EnrolmentAsk::Enrol(request) => self.enrol(person, request),
            EnrolmentAsk::Disenrol => self.disenrol(person),
            EnrolmentAsk::Status => self.enrolment_status(person).map(|status| (200, status)),
        };
        let response = match answered {
            Ok((status, person)) => {
                Response::new(status, "application/json", person.to_json().into_bytes())
            }
            Err(Refusal::Words(why)) => space_error(409, "unknown_user", &why),
            Err(Refusal::Failed(error)) => {
                if WRITER_FAILED.is_logged() {
                    tracing::error!(%error, "an enrolment that Space asked for failed");
                }
                let why = "nothing can be recorded now; nothing was changed";
                space_error(503, "unavailable", why)
            }
        };
        let exchange = enrolment.exchange;
        enrolment
            .done
            .send(Completion::Served { exchange, response });
    }

    fn enrol(
        &mut self,
        person: &ExtId,
        request: &EnrolRequest,
    ) -> Result<(u16, PersonStatus), Refusal> {
        let name = name_of(request);
        let email = Some(request.email.as_str());
        let status = match self.known(person)? {
            Some(known) => {
                // Who asks again with the same words changes nothing.
                if known.name != name || known.email.as_deref() != email {
                    self.change_for_space(&known, &name, request)?;
                }
                200
            }
            None => {
                self.require_in_space(person)?;
                let external_id = person.as_str().to_owned();
                let invitation = NewInvitation {
                    external_id: external_id.clone(),
                    name,
                    email: email.map(str::to_owned),
                };
                self.store.person_invite(&invitation, unix_s())?;
                if let Some(invited) = self.known(person)? {
                    self.invite_for_space(&invited, language_of(request.language))?;
                }
                self.note("Space", "person.invite", external_id);
                201
            }
        };
        self.follow()?;
        Ok((status, self.enrolment_status(person)?))
    }

    /// Changes what a person is called. Another address is invited anew, unless the person is
    /// enrolled: who got the link by mistake can do nothing with it from then on, and has not
    /// consented for the other.
    fn change_for_space(
        &mut self,
        known: &Person,
        name: &str,
        request: &EnrolRequest,
    ) -> Result<(), Refusal> {
        let external_id = &known.external_id;
        let email = Some(request.email.as_str());
        let again = known.email.as_deref() != email
            && known.state == PersonState::Invited
            && self.require_setup(Way::Mail).is_ok();
        if again && self.standing(external_id)?.invitation.is_some() {
            self.store.invitation_cancel(external_id)?;
        }
        self.store.person_edit(external_id, name, email)?;
        self.note("Space", "person.edit", external_id.clone());
        if again {
            self.invite_for_space(known, language_of(request.language))?;
            self.note("Space", "person.invite", external_id.clone());
        }
        Ok(())
    }

    fn disenrol(&mut self, person: &ExtId) -> Result<(u16, PersonStatus), Refusal> {
        if let Some(known) = self.known(person)? {
            self.person_withdraw(&known.external_id)?;
            self.note("Space", "person.withdraw", known.external_id);
        }
        Ok((200, self.enrolment_status(person)?))
    }

    fn enrolment_status(&self, person: &ExtId) -> Result<PersonStatus, Refusal> {
        let Some(known) = self.known(person)? else {
            return Ok(PersonStatus::new(person, EnrolmentState::NotEnrolled, None));
        };
        let standing = self.standing(&known.external_id)?;
        let consent = known.consent.map(|consent| consent.at_unix_s);
        let invitation = standing.invitation.as_ref();
        let invited = invitation.map(|invitation| invitation.created_unix_s);
        let (state, since) = match standing.stage {
            EnrolmentStage::Requested => (EnrolmentState::Requested, None),
            EnrolmentStage::Invited => (EnrolmentState::Invited, invited),
            EnrolmentStage::Consented => (EnrolmentState::Consented, consent),
            EnrolmentStage::Enrolled => (EnrolmentState::Enrolled, consent),
            EnrolmentStage::Expired => (EnrolmentState::Failed, invited),
            EnrolmentStage::Withdrawn => (EnrolmentState::NotEnrolled, None),
        };
        let since = since.unwrap_or(known.created_unix_s);
        Ok(PersonStatus::new(person, state, Some(since)))
    }

    fn known(&self, person: &ExtId) -> Result<Option<Person>, WriterError> {
        let reader = self.store.read();
        match reader.space_person(person.as_str())? {
            Some(external_id) => Ok(reader.person_show(&external_id)?),
            None => Ok(None),
        }
    }

    /// Nobody is invited whom Space has not: he could pass nowhere. Whom it has only just made is
    /// found by a sync, which begins at once.
    fn require_in_space(&self, person: &ExtId) -> Result<(), Refusal> {
        if self.store.read().space_names(person.as_str())? {
            return Ok(());
        }
        if let Some(link) = self
            .online
            .as_ref()
            .and_then(|online| online.space.as_ref())
        {
            link.sync_now();
        }
        let why = "Space has no such user as of the last sync; another one begins, ask again";
        Err(Refusal::Words(why.to_owned()))
    }

    /// Notes a change for the audit.
    pub(super) fn note(&self, actor: &str, action: &'static str, subject: String) {
        self.note_change(Session::COMMAND_LINE, (action, subject), Some(actor));
    }
}

/// The two letters of a language.
fn language_of(language: Language) -> &'static str {
    match language {
        Language::Ar => "ar",
        Language::De => "de",
        Language::En => "en",
        Language::Es => "es",
        Language::Fr => "fr",
        Language::Nl => "nl",
    }
}

/// The name to be shown: e-mail where there is none, cut where Space's is longer than ours.
fn name_of(request: &EnrolRequest) -> String {
    let name = format!("{} {}", request.first_name, request.last_name);
    let name = match name.trim() {
        "" => request.email.as_str(),
        name => name,
    };
    name[..name.floor_char_boundary(PERSON_NAME_BYTES_MAX)].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_never_empty_and_never_too_long() {
        let mut request = EnrolRequest {
            email: "a@example.org".to_owned(),
            first_name: String::new(),
            last_name: String::new(),
            language: cardea_space::enrolment::Language::En,
        };
        assert_eq!(name_of(&request), "a@example.org");
        request.last_name = "Doe".to_owned();
        assert_eq!(name_of(&request), "Doe");
        request.first_name = "é".repeat(100);
        request.last_name = "é".repeat(100);
        let name = name_of(&request);
        assert!(name.len() <= PERSON_NAME_BYTES_MAX && name.starts_with(&request.first_name));
    }
}
