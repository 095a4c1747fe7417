//! What the Enrolment Service needs while a server runs: mail that goes out, photos that are
//! looked at, captures whose time ends.

use std::sync::Arc;

use cardea_engine::Searcher;
use time::OffsetDateTime;

use super::carry_out::{Refusal, done, unix_s, words};
use super::error::WriterError;
use super::invite::{TOKEN_NAME, Way, english};
use super::{Command, Writer};
use crate::admin::message::Response;
use crate::console::language::Language;
use crate::enrol::letter::{self, Facts};
use crate::enrol::mail::{MailFailure, MailJob, Mailer, back_off_s};
use crate::enrol::photo::Photos;
use crate::enrol::{Link, MailSetup};
use crate::limits::INVITATION_DAYS;
use crate::metrics::events;
use crate::store::{Mail, Person, PersonId, SettingKey, TokenHash};

/// The threads and what they need.
#[derive(Default)]
pub(super) struct Service {
    mailer: Option<Mailer>,
    /// How mail is sent; none while it is not set up.
    mail: Option<Arc<MailSetup>>,
    /// A letter is with the thread.
    mailing: bool,
    /// None where the site has no extractor.
    pub(super) photos: Option<Photos>,
    /// For looking for duplicates; made when it is first needed.
    pub(super) searcher: Option<Searcher>,
}

impl Writer {
    /// Starts the threads, and settles what the last run left under way.
    pub(super) fn service_start(&mut self) -> Result<(), WriterError> {
        self.store.outcomes_settle()?;
        let mail = self.mail_setup().unwrap_or_else(|_| {
            tracing::error!("the mail relay's set-up cannot be read: no mail is sent");
            None
        });
        let extractor = self.config.extractor.clone();
        let Some(online) = &mut self.online else {
            return Ok(());
        };
        let model = online.published.site().model.0;
        online.service = Service {
            mailer: Some(Mailer::start()?),
            mail: mail.map(Arc::new),
            mailing: false,
            photos: match extractor {
                Some(extractor) => Some(Photos::start(extractor, model)?),
                None => None,
            },
            searcher: None,
        };
        Ok(())
    }

    /// How mail is sent, if it is set up.
    pub(super) fn mail_setup(&self) -> Result<Option<MailSetup>, Refusal> {
        Ok(self.sealed_setup(SettingKey::MAIL_SEALED)?)
    }

    pub(super) fn enrol_set_mail(&mut self, mail: Option<&MailSetup>) -> Result<Response, Refusal> {
        let key = SettingKey::MAIL_SEALED;
        match mail {
            Some(mail) => {
                mail.check().map_err(Refusal::Words)?;
                let json = serde_json::to_vec(mail);
                let json = zeroize::Zeroizing::new(json.map_err(|_| words("not a set-up"))?);
                let sealed = self.sealer.seal(key.0, &json)?;
                self.store.setting_set(key, &sealed)?;
            }
            None => drop(self.store.setting_remove(key)?),
        }
        self.store.mails_hasten(unix_s())?;
        self.follow()?;
        if let Some(online) = &mut self.online {
            online.service.mail = mail.cloned().map(Arc::new);
        }
        self.mail_next();
        Ok(done(match mail {
            Some(_) => "set: invitations are mailed",
            None => "removed: no mail is sent",
        }))
    }

    /// Hands the mail that is due to the thread, if that is idle.
    pub(super) fn mail_next(&mut self) {
        if let Err(Refusal::Failed(error)) = self.hand_over_mail() {
            tracing::error!(%error, "a mail could not be made");
        }
    }

    fn hand_over_mail(&mut self) -> Result<(), Refusal> {
        let online = self.online.as_ref();
        let idle = online.filter(|online| !online.service.mailing);
        let Some(setup) = idle.and_then(|online| online.service.mail.clone()) else {
            return Ok(());
        };
        let now = unix_s();
        let Some(mail) = self.store.read().mail_due(now)? else {
            return Ok(());
        };
        let (person, token) = (mail.person, mail.token);
        let job = match self.job(mail, setup) {
            Ok(job) => job,
            // Sealed by another key, in a restored copy: nobody can send it.
            Err(Refusal::Failed(error)) => {
                let why = "the link cannot be read any more";
                self.store.mail_failed(person, token, None, why)?;
                return Err(Refusal::Failed(error));
            }
            Err(refusal) => return Err(refusal),
        };
        if let Some(online) = &mut self.online
            && let Some(mailer) = &online.service.mailer
        {
            online.service.mailing = mailer.give(job);
        }
        Ok(())
    }

    fn job(&self, mail: Mail, setup: Arc<MailSetup>) -> Result<MailJob, Refusal> {
        let token = self.sealer.unseal(TOKEN_NAME, &mail.sealed)?;
        let bad = WriterError::BadSetting { key: TOKEN_NAME };
        let token = token.as_slice().try_into().map_err(|_| bad)?;
        let address = Link::from_token(token).address(&self.pages_url()?);
        let company = self.text_setting(SettingKey::COMPANY)?.unwrap_or_default();
        let alternative = self.text_setting(SettingKey::ALTERNATIVE)?;
        let until = OffsetDateTime::from_unix_timestamp(mail.expires_unix_s);
        let until = until.map_or_else(|_| String::new(), |moment| moment.date().to_string());
        let letter = letter::write(&Facts {
            language: Language::named(&mail.language).unwrap_or_else(english),
            company: &company,
            name: &mail.name,
            address: &address,
            until: &until,
            alternative: alternative.as_deref(),
            again: self.asks_again(mail.consent_policy.as_deref())?,
        });
        let online = self.online.as_ref().ok_or(WriterError::Ended)?;
        let (writer, person, token) = (online.handle.clone(), mail.person, mail.token);
        let tries = mail.tries;
        Ok(MailJob {
            setup,
            company,
            name: mail.name,
            email: mail.email,
            letter,
            done: Box::new(move |sent| {
                // Without a writer the mail stays in the queue, and goes once more.
                let _ = writer.send(Command::MailDone {
                    person,
                    token,
                    tries,
                    sent,
                });
            }),
        })
    }

    /// A mail has gone, or not.
    pub(super) fn mail_done(
        &mut self,
        person: PersonId,
        token: TokenHash,
        tries: u32,
        sent: Result<(), MailFailure>,
    ) {
        if let Some(online) = &mut self.online {
            online.service.mailing = false;
        }
        let now = unix_s();
        let noted = match sent {
            Ok(()) => self.store.mail_sent(person, token, now),
            Err(failure) => {
                tracing::warn!(why = failure.why, tries, "an invitation was not sent");
                let event = match failure.permanent {
                    true => &events::MAILS_DROPPED,
                    false => &events::MAILS_RETRIED,
                };
                event.count();
                let due = (!failure.permanent).then(|| now + back_off_s(tries));
                self.store.mail_failed(person, token, due, &failure.why)
            }
        };
        if let Err(error) = noted {
            tracing::error!(%error, "what became of a mail could not be stored");
            return;
        }
        self.mail_next();
    }

    /// Once a second: mails that are due, captures whose time is over.
    pub(super) fn service_tick(&mut self) -> Result<(), WriterError> {
        if self.store.captures_expire(unix_s())? > 0 {
            self.follow()?;
        }
        match self.asking_tick() {
            Ok(()) => {}
            Err(Refusal::Failed(error)) => return Err(error),
            Err(Refusal::Words(why)) => tracing::error!(why, "asking for consent again"),
        }
        self.mail_next();
        Ok(())
    }

    /// Whether mail is set up.
    pub(super) fn sends_mail(&self) -> bool {
        let online = self.online.as_ref();
        online.is_some_and(|online| online.service.mail.is_some())
    }

    /// Invites a person whom Space asked for, where invitations can be mailed; who cannot be
    /// invited yet stays requested.
    pub(super) fn invite_for_space(
        &mut self,
        person: &Person,
        language: &str,
    ) -> Result<(), Refusal> {
        if self.require_setup(Way::Mail).is_err() {
            return Ok(());
        }
        let language = Language::named(language).unwrap_or_else(english);
        let device = match self.text_setting(SettingKey::ENROL_DEVICE)? {
            Some(name) => self.device_named(&name).ok().map(|device| device.id),
            None => None,
        };
        let external_id = &person.external_id;
        self.put_invitation(external_id, device, language, INVITATION_DAYS, Way::Mail)?;
        self.mail_next();
        Ok(())
    }
}
