//! What administrators ask of the Enrolment Service: set up, invite, follow, take back.

use cardea_space::ext_id::ExtId;

use super::Writer;
use super::carry_out::{Refusal, date, done, table, unix_s, words};
use crate::admin::enrol::{EnrolAsk, Invitee};
use crate::admin::message::Response;
use crate::console::language::Language;
use crate::enrol::Link;
use crate::limits::{INVITATION_DAYS, INVITATION_DAYS_MAX, INVITEES_MAX};
use crate::store::{
    Consent, ConsentHow, DeviceId, Enrolment, EnrolmentStage, NewInvitation, NewLink, Person,
    PersonState, RightScope,
};

/// Under which name an invitation's token is sealed while its mail waits.
pub(super) const TOKEN_NAME: &str = "enrol.token";

/// How an invitation reaches its person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// By mail.
    Mail,
    /// On paper: the answer carries the link.
    Paper,
}

impl Way {
    fn of(paper: bool) -> Self {
        if paper { Self::Paper } else { Self::Mail }
    }
}

impl Writer {
    pub(super) fn enrol_ask(&mut self, ask: EnrolAsk) -> Result<Response, Refusal> {
        match ask {
            EnrolAsk::Show => self.enrol_show(),
            EnrolAsk::Set { setup } => self.enrol_store(Vec::new(), &setup),
            EnrolAsk::SetMail { mail } => self.enrol_set_mail(mail.as_ref()),
            EnrolAsk::Invite { people, paper } => self.invite(&people, Way::of(paper)),
            EnrolAsk::List { after, limit } => self.enrol_list(after.as_deref(), limit),
            EnrolAsk::Resend { external_id, paper } => self.resend(&external_id, Way::of(paper)),
            EnrolAsk::Cancel { external_id } => {
                self.store.invitation_cancel(&external_id)?;
                self.follow()?;
                Ok(done("taken back: its link leads nowhere from now on"))
            }
            EnrolAsk::Allow { external_id } => {
                self.store.duplicate_allow(&external_id)?;
                Ok(done("the next capture is enrolled"))
            }
            EnrolAsk::Consent { external_id } => self.consent_on_paper(&external_id),
            EnrolAsk::Capture { external_id } => {
                let standing = self.standing(&external_id)?;
                let code = self.capture_begin(&standing)?;
                Ok(done(&format!("the device waits; the code is {code}")))
            }
        }
    }

    /// Invites some; each is taken or refused alone.
    fn invite(&mut self, people: &[Invitee], way: Way) -> Result<Response, Refusal> {
        if people.len() > INVITEES_MAX {
            return Err(words("too many people in one request"));
        }
        self.require_setup(way)?;
        let mut rows = Vec::with_capacity(people.len());
        let mut refused = None;
        for invitee in people {
            let result = match self.invite_one(invitee, way) {
                Ok(result) => result,
                Err(Refusal::Failed(error)) => {
                    let why = format!("refused: {error}");
                    refused.get_or_insert_with(|| why.clone());
                    why
                }
                Err(Refusal::Words(why)) => {
                    let why = format!("refused: {why}");
                    refused.get_or_insert_with(|| why.clone());
                    why
                }
            };
            rows.push(vec![invitee.external_id.clone(), result]);
        }
        self.follow()?;
        match refused {
            Some(why) if people.len() == 1 => Err(Refusal::Words(why)),
            _ => {
                self.mail_next();
                Ok(table(&["external id", "invitation"], rows))
            }
        }
    }

    fn invite_one(&mut self, invitee: &Invitee, way: Way) -> Result<String, Refusal> {
        let device = match invitee.device.as_str() {
            "" => None,
            name => Some(self.device_named(name)?.id),
        };
        let rights = self.rights_of(&invitee.doors)?;
        let language = match invitee.language.as_str() {
            "" => english(),
            code => Language::named(code).ok_or_else(|| words("no such language"))?,
        };
        let days = match invitee.days {
            0 => INVITATION_DAYS,
            days if days <= INVITATION_DAYS_MAX => days,
            _ => return Err(words("an invitation holds 365 days at most")),
        };
        let email = Some(invitee.email.trim()).filter(|email| !email.is_empty());
        if email.is_some_and(|email| email.parse::<lettre::Address>().is_err()) {
            return Err(words("not an e-mail address"));
        }
        let known = self.store.read().person_show(&invitee.external_id)?;
        let mut email = email.map(str::to_owned);
        if way == Way::Mail && email.is_none() {
            let stored = known.as_ref().and_then(|person| person.email.clone());
            email = Some(self.address_of(&invitee.external_id, stored)?);
        }
        self.put_person(invitee, email.as_deref(), known)?;
        for right in rights {
            self.store.right_grant(&invitee.external_id, right)?;
        }
        self.put_invitation(&invitee.external_id, device, language, days, way)
    }

    /// The e-mail address that is stored of a person, else the one that Space has.
    fn address_of(&self, external_id: &str, stored: Option<String>) -> Result<String, Refusal> {
        let online = self.online.as_ref();
        let link = online.and_then(|online| online.space.as_ref());
        let in_space = || link?.email_of(&ExtId::parse(external_id)?);
        // Space takes any text for one.
        let in_space = || in_space().filter(|email| email.parse::<lettre::Address>().is_ok());
        stored
            .or_else(in_space)
            .ok_or_else(|| words("no e-mail address"))
    }

    /// Makes the person known, or changes what they are called.
    fn put_person(
        &mut self,
        invitee: &Invitee,
        email: Option<&str>,
        known: Option<Person>,
    ) -> Result<(), Refusal> {
        let external_id = &invitee.external_id;
        match known {
            Some(known) if known.state != PersonState::Invited => Err(words(
                "is enrolled already; `cardea enrol resend` disenrols and invites again",
            )),
            Some(known) => {
                let name = match invitee.name.trim() {
                    "" => known.name.as_str(),
                    name => name,
                };
                let email = email.or(known.email.as_deref());
                if (name, email) != (known.name.as_str(), known.email.as_deref()) {
                    self.store.person_edit(external_id, name, email)?;
                }
                Ok(())
            }
            None => {
                let invitation = NewInvitation {
                    external_id: external_id.clone(),
                    name: invitee.name.trim().to_owned(),
                    email: email.map(str::to_owned),
                };
                self.store.person_invite(&invitation, unix_s())?;
                Ok(())
            }
        }
    }

    /// Gives a person a new link; says it, or that it is mailed.
    pub(super) fn put_invitation(
        &mut self,
        external_id: &str,
        device: Option<DeviceId>,
        language: &'static Language,
        days: u32,
        way: Way,
    ) -> Result<String, Refusal> {
        let (link, new) = self.new_link(device, language, days, way)?;
        self.store.invitation_put(external_id, &new, unix_s())?;
        Ok(match way {
            Way::Mail => "mailed".to_owned(),
            Way::Paper => link.address(&self.pages_url()?),
        })
    }

    /// A link, and what the store keeps of it.
    pub(super) fn new_link(
        &self,
        device: Option<DeviceId>,
        language: &'static Language,
        days: u32,
        way: Way,
    ) -> Result<(Link, NewLink), Refusal> {
        let link = Link::new()?;
        let mail = match way {
            Way::Mail => Some(self.sealer.seal(TOKEN_NAME, link.token())?),
            Way::Paper => None,
        };
        let new = NewLink {
            token: link.hash(),
            device,
            language: language.code.to_owned(),
            expires_unix_s: unix_s() + i64::from(days) * 86_400,
            mail,
        };
        Ok((link, new))
    }

    /// Disenrols and invites again, with the rights and the invitation's terms as they were.
    fn resend(&mut self, external_id: &str, way: Way) -> Result<Response, Refusal> {
        self.require_setup(way)?;
        let person = self.store.read().person_show(external_id)?;
        let person = person.ok_or_else(|| words("no such person"))?;
        let email = match way {
            Way::Mail => Some(self.address_of(external_id, person.email)?),
            Way::Paper => person.email,
        };
        let before = self.standing(external_id)?.invitation;
        let device = before.as_ref().and_then(|invitation| invitation.device);
        let language = before.and_then(|invitation| Language::named(&invitation.language));
        self.person_withdraw(external_id)?;
        let now = unix_s();
        self.store.person_invite(
            &NewInvitation {
                external_id: external_id.to_owned(),
                name: person.name,
                email,
            },
            now,
        )?;
        if person.every_door {
            self.store.right_grant(external_id, RightScope::EveryDoor)?;
        }
        for door in person.doors {
            self.store
                .right_grant(external_id, RightScope::Door(door))?;
        }
        let language = language.unwrap_or_else(english);
        let said = self.put_invitation(external_id, device, language, INVITATION_DAYS, way)?;
        self.follow()?;
        self.mail_next();
        let rows = vec![vec![external_id.to_owned(), said]];
        Ok(table(&["external id", "invitation"], rows))
    }

    fn enrol_list(&self, after: Option<&str>, limit: u32) -> Result<Response, Refusal> {
        let reader = self.store.read();
        let after = match after {
            Some(external_id) => Some(self.standing(external_id)?.person),
            None => None,
        };
        let devices = reader.devices()?;
        let rows = reader
            .enrolments_page(after, limit as usize, unix_s())?
            .into_iter()
            .map(|standing| {
                let invitation = standing.invitation.as_ref();
                let device = invitation.and_then(|invitation| invitation.device);
                let device = devices.iter().find(|known| Some(known.id) == device);
                let until = invitation.map(|invitation| date(invitation.expires_unix_s));
                vec![
                    standing.external_id.clone(),
                    standing.name.clone(),
                    standing.stage.word().to_owned(),
                    format!("{:?}", standing.consent).to_lowercase(),
                    device.map_or_else(String::new, |device| device.name.clone()),
                    until.unwrap_or_default(),
                    notes(&standing),
                ]
            })
            .collect();
        let columns = [
            "external id",
            "name",
            "stage",
            "consent",
            "device",
            "until",
            "notes",
        ];
        Ok(table(&columns, rows))
    }

    fn consent_on_paper(&mut self, external_id: &str) -> Result<Response, Refusal> {
        let standing = self.standing(external_id)?;
        let invitation = standing.invitation.as_ref();
        let invitation = invitation.ok_or_else(|| words("nobody has invited this person"))?;
        let device = invitation.device;
        let policy = self.store.read().policy_in_force()?;
        let policy = policy.ok_or_else(|| words("the site has named no policy"))?;
        let consent = Consent {
            policy_version: policy,
            at_unix_s: unix_s(),
            how: ConsentHow::InPerson,
        };
        self.store.consent_record(external_id, &consent)?;
        self.follow()?;
        if device.is_none() || standing.stage == EnrolmentStage::Enrolled {
            return Ok(done("recorded"));
        }
        let standing = self.standing(external_id)?;
        let code = self.capture_begin(&standing)?;
        Ok(done(&format!(
            "recorded; the device waits for the printed code, or {code}"
        )))
    }

    /// How far a person's enrolment is.
    pub(super) fn standing(&self, external_id: &str) -> Result<Enrolment, Refusal> {
        let standing = self.store.read().enrolment(external_id, unix_s())?;
        standing.ok_or_else(|| words("no such person"))
    }

    fn rights_of(&self, doors: &str) -> Result<Vec<RightScope>, Refusal> {
        if doors.trim() == "*" {
            return Ok(vec![RightScope::EveryDoor]);
        }
        let names = doors.split(';').map(str::trim);
        names
            .filter(|name| !name.is_empty())
            .map(|name| Ok(RightScope::Door(self.door(name)?.id)))
            .collect()
    }
}

/// The language where nothing else is asked for.
pub(super) fn english() -> &'static Language {
    Language::choose(None, None)
}

/// What an administrator should know of an enrolment, in words.
fn notes(standing: &Enrolment) -> String {
    let mut notes = Vec::new();
    if let Some(duplicate) = &standing.duplicate {
        notes.push(format!(
            "looks like {} (score {:.3})",
            duplicate.other_external_id, duplicate.score
        ));
    }
    if let Some(mail) = &standing.mail {
        notes.push(match (mail.tries, mail.due_unix_s) {
            (0, _) => "mail waits".to_owned(),
            (tries, Some(due)) => {
                let error = &mail.error;
                format!(
                    "mail failed {tries} times ({error}), again at {}",
                    date(due)
                )
            }
            (_, None) => format!("mail refused for good ({})", mail.error),
        });
    }
    let outcome = standing
        .invitation
        .as_ref()
        .map(|invitation| invitation.outcome);
    notes.extend(outcome.map(|outcome| outcome.words().to_owned()));
    notes.retain(|note| !note.is_empty());
    notes.join("; ")
}
