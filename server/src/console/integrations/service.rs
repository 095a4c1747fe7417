//! The rest of the Enrolment Service's settings: the policy's version, which way in there is
//! without biometrics, where people enrol; and the mail relay, which is tried when it is saved.

use super::policy;
use crate::admin::enrol::EnrolAsk;
use crate::admin::message::Request;
use crate::console::call::Call;
use crate::console::desk::Desk;
use crate::console::frame::moment;
use crate::console::reply::Failure;
use crate::enrol::{EnrolmentSetup, MailSetup, mail};
use crate::store::{MailCounts, SettingKey, two_numbers};

/// The day in a moment's text.
const DAY_CHARS: usize = 10;

/// What is set beside company and policy. Nothing is none.
///
/// # Errors
/// Those of a read.
pub(crate) fn settings(desk: &Desk) -> Result<EnrolmentSetup, Failure> {
    let text = |key| desk.text(key).map(Some);
    Ok(EnrolmentSetup {
        company: None,
        policy_url: None,
        policy_version: text(SettingKey::POLICY_VERSION)?,
        alternative: text(SettingKey::ALTERNATIVE)?,
        device: text(SettingKey::ENROL_DEVICE)?,
        pages_url: text(SettingKey::PAGES_URL)?,
    })
}

/// Stores company and policy, the page looked at, and the rest. A policy without a version keeps
/// the one before, or has today's date.
///
/// # Errors
/// [`Failure::Refused`] with what is wrong; those of the writer.
pub(crate) fn save(
    desk: &Desk,
    call: &Call,
    first: (&str, &str),
    mut setup: EnrolmentSetup,
) -> Result<policy::Check, Failure> {
    let version = setup.policy_version.take().filter(|text| !text.is_empty());
    setup.policy_version = match version {
        Some(version) => Some(version),
        None if desk.text(SettingKey::POLICY_VERSION)?.is_empty() => {
            let mut today = moment(call.now_unix_s);
            today.truncate(DAY_CHARS);
            Some(today)
        }
        None => None,
    };
    setup.check().map_err(Failure::Refused)?;
    policy::save(desk, call, first, setup)
}

/// How mail is sent, if it is set up.
///
/// # Errors
/// Those of a read.
pub(crate) fn mail_setup(desk: &Desk) -> Result<Option<MailSetup>, Failure> {
    let Some(json) = desk.sealed(SettingKey::MAIL_SEALED)? else {
        return Ok(None);
    };
    let setup = serde_json::from_slice(&json);
    setup
        .map(Some)
        .map_err(|_| Failure::Broken("the setting of the mail relay is damaged".to_owned()))
}

/// Stores how mail is sent, and tries it: why no letter could go, if none can. A password that is
/// left out stays as it was for the same account at the same relay.
///
/// # Errors
/// [`Failure::Refused`] with what is wrong; those of the writer.
pub(crate) fn save_mail(
    desk: &Desk,
    call: &Call,
    mut setup: MailSetup,
) -> Result<Option<String>, Failure> {
    if setup.user.is_some() && setup.password.is_none() {
        let before = mail_setup(desk)?;
        let same = before.filter(|before| {
            let relay = |mail: &MailSetup| (mail.host.clone(), mail.port, mail.user.clone());
            relay(before) == relay(&setup)
        });
        setup.password = same.and_then(|same| same.password.clone());
    }
    setup.check().map_err(Failure::Refused)?;
    let mail = Some(setup.clone());
    let ask = EnrolAsk::SetMail { mail };
    desk.ask(call, Request::Enrol { ask })?;
    Ok(mail::test(&setup).err().map(|failure| failure.why))
}

/// Sends no more mail.
///
/// # Errors
/// Those of the writer.
pub(crate) fn remove_mail(desk: &Desk, call: &Call) -> Result<(), Failure> {
    let ask = EnrolAsk::SetMail { mail: None };
    desk.ask(call, Request::Enrol { ask })?;
    Ok(())
}

/// How the mail goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MailState {
    /// A relay is set up.
    pub configured: bool,
    /// What became of all mails.
    pub counts: MailCounts,
}

/// How the mail goes.
///
/// # Errors
/// Those of a read.
pub(crate) fn mail_state(desk: &Desk) -> Result<MailState, Failure> {
    let reader = &desk.read.store;
    Ok(MailState {
        configured: reader.setting(SettingKey::MAIL_SEALED)?.is_some(),
        counts: reader.mail_counts()?,
    })
}

/// Whose consent is to another version than the one in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Outdated {
    /// People whose consent is to another version.
    pub people: u64,
    /// How many have been asked so far, while asking goes on.
    pub asked: Option<u64>,
}

/// Whose consent is to another version than the one in force.
///
/// # Errors
/// Those of a read.
pub(crate) fn outdated(desk: &Desk) -> Result<Outdated, Failure> {
    let reader = &desk.read.store;
    let mailed = reader.setting(SettingKey::MAIL_SEALED)?.is_some();
    let asking = reader.setting(SettingKey::ASKING)?.filter(|_| mailed);
    Ok(Outdated {
        people: reader.outdated_consents()?,
        asked: asking.map(|stored| two_numbers(Some(stored)).1),
    })
}
