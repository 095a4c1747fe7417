//! A person's own pages, by the link of their invitation: what happens with their face, consent,
//! the way to enrol, everything about them to download, and the end of it. No script is needed.
//!
//! The link is the only credential. Its token is in the path, so: nothing logs a path, no answer is
//! stored, and no address is passed on with a link elsewhere.

use askama::Template;
use crossbeam_channel::bounded;
use zeroize::Zeroizing;

use super::enrol_data;
use crate::console::call::Call;
use crate::console::desk::Desk;
use crate::console::frame::{Frame, moment};
use crate::console::language::{self, Language};
use crate::console::reply::{Failure, html_with, redirect};
use crate::console::route::{Handle, Needs, Route};
use crate::enrol::Link;
use crate::enrol::link::qr_svg;
use crate::limits::PHOTO_BYTES_MAX;
use crate::net::{Method, Response};
use crate::store::{
    ConsentStanding, Enrolment, EnrolmentOutcome, EnrolmentStage, Person, SettingKey,
};
use crate::writer::{Command, PersonAnswer, PersonAsk, PersonCall};

pub(super) const ROUTES: &[Route] = &[
    open(Method::Get, "/enrol/{}", page),
    open(Method::Post, "/enrol/{}/consent", consent),
    open(Method::Post, "/enrol/{}/capture", capture),
    open(Method::Post, "/enrol/{}/photo", photo),
    open(Method::Get, "/enrol/{}/data", enrol_data::download),
    open(Method::Get, "/enrol/{}/withdraw", ask_withdraw),
    open(Method::Post, "/enrol/{}/withdraw", withdraw),
];

const fn open(method: Method, path: &'static str, handle: Handle) -> Route {
    Route {
        method,
        path,
        needs: Needs::Nothing,
        handle,
    }
}

/// A page that waits is asked for again after so many seconds.
const REFRESH_S: &str = "5";

#[derive(Template)]
#[template(path = "enrol.html")]
struct EnrolPage {
    f: Frame,
    /// The path of this page.
    here: String,
    name: String,
    company: String,
    policy: String,
    version: String,
    alternative: String,
    /// Empty for none.
    device: String,
    photos: bool,
    problem: Option<String>,
    expired: bool,
    enrolled: bool,
    choose: bool,
    waiting: bool,
    ask_consent: bool,
    outdated: bool,
    given: Option<String>,
    capture: Option<Code>,
}

/// A code to be shown to the device.
struct Code {
    code: String,
    qr: String,
}

#[derive(Template)]
#[template(path = "enrol_note.html")]
struct NotePage {
    f: Frame,
    title: String,
    text: String,
    /// The page that withdrawing is asked for at.
    ask: Option<String>,
}

/// Who the link is of.
pub(super) struct Visitor {
    /// The link.
    pub(super) link: Link,
    /// How far they are.
    pub(super) standing: Enrolment,
    /// All about them.
    pub(super) person: Person,
}

/// Finds whose link it is.
pub(super) fn visitor(desk: &Desk, call: &Call) -> Result<Option<Visitor>, Failure> {
    let Some(link) = Link::parse(call.place()) else {
        return Ok(None);
    };
    let reader = &desk.read.store;
    let standing = reader.enrolment_by_token(link.hash(), call.now_unix_s)?;
    let Some(standing) = standing else {
        return Ok(None);
    };
    let person = reader.person_show(&standing.external_id)?;
    Ok(person.map(|person| Visitor {
        link,
        standing,
        person,
    }))
}

/// The page in the language that was chosen, else the invitation's.
fn frame(desk: &Desk, call: &Call, standing: Option<&Enrolment>) -> Frame {
    let mut f = Frame::new(desk, call, "");
    let invitation = standing.and_then(|standing| standing.invitation.as_ref());
    let invited = invitation.and_then(|invitation| Language::named(&invitation.language));
    if let (None, Some(language)) = (call.cookies.value(language::COOKIE), invited) {
        f.language = language;
    }
    f
}

/// The page of a link that leads nowhere.
pub(super) fn unknown(desk: &Desk, call: &Call) -> Result<Response, Failure> {
    let f = frame(desk, call, None);
    let page = NotePage {
        title: f.t("enrol.invalid-title").to_owned(),
        text: f.t("enrol.invalid-text").to_owned(),
        ask: None,
        f,
    };
    html_with(404, &page)
}

fn page(desk: &mut Desk, call: &Call) -> Result<Response, Failure> {
    show(desk, call, 200, None)
}

fn show(desk: &Desk, call: &Call, status: u16, problem: Option<&str>) -> Result<Response, Failure> {
    let Some(visitor) = visitor(desk, call)? else {
        return unknown(desk, call);
    };
    let page = EnrolPage::of(desk, call, &visitor, problem)?;
    let waits = page.waiting || page.capture.is_some();
    let response = html_with(status, &page)?;
    Ok(match waits {
        true => response.with_field("refresh", REFRESH_S),
        false => response,
    })
}

impl EnrolPage {
    fn of(
        desk: &Desk,
        call: &Call,
        visitor: &Visitor,
        problem: Option<&str>,
    ) -> Result<Self, Failure> {
        let standing = &visitor.standing;
        let f = frame(desk, call, Some(standing));
        let company = desk.text(SettingKey::COMPANY)?;
        let said = desk.text(SettingKey::ALTERNATIVE)?;
        let alternative = match said.is_empty() {
            true => f.filled("enrol.alternative-default", "company", &company),
            false => said,
        };
        let invitation = standing.invitation.as_ref();
        let device = match invitation.and_then(|invitation| invitation.device) {
            Some(device) => desk.read.store.device(device)?,
            None => None,
        };
        let outcome = invitation.map_or(EnrolmentOutcome::None, |invitation| invitation.outcome);
        let (stage, consent) = (standing.stage, standing.consent);
        let consented = stage == EnrolmentStage::Consented;
        let told = tell(outcome).filter(|_| consented);
        let company_place = [("company", company.as_str())];
        let told = told.map(|key| f.language.filled(key, &company_place));
        let capture = standing.capture.as_ref().filter(|_| consented);
        Ok(Self {
            here: format!("/enrol/{}", visitor.link.text()),
            name: standing.name.clone(),
            policy: desk.text(SettingKey::POLICY_ADDRESS)?,
            version: desk.text(SettingKey::POLICY_VERSION)?,
            device: device.map_or_else(String::new, |device| device.name),
            photos: desk.parts().has_extractor,
            problem: problem.map(|key| f.t(key).to_owned()).or(told),
            expired: stage == EnrolmentStage::Expired,
            enrolled: stage == EnrolmentStage::Enrolled,
            choose: consented && outcome != EnrolmentOutcome::Held,
            waiting: consented && outcome == EnrolmentOutcome::UnderWay,
            ask_consent: consent != ConsentStanding::Current && stage != EnrolmentStage::Expired,
            outdated: consent == ConsentStanding::Outdated,
            given: visitor.person.consent.as_ref().map(|given| {
                let date = moment(given.at_unix_s);
                let places = [("date", date.as_str()), ("version", &given.policy_version)];
                f.language.filled("enrol.consent-given", &places)
            }),
            capture: capture.map(|capture| Code {
                code: capture.code.clone(),
                qr: qr_svg(&capture.code).unwrap_or_default(),
            }),
            company,
            alternative,
            f,
        })
    }
}

/// The text that tells a person what the last try came to, where it did not enrol them.
fn tell(outcome: EnrolmentOutcome) -> Option<&'static str> {
    let key = |key| Some(key);
    match outcome {
        EnrolmentOutcome::None | EnrolmentOutcome::UnderWay | EnrolmentOutcome::Enrolled => None,
        EnrolmentOutcome::Held => key("enrol.outcome-held"),
        EnrolmentOutcome::WrongCode => key("enrol.outcome-wrong-code"),
        EnrolmentOutcome::Differ => key("enrol.outcome-differ"),
        EnrolmentOutcome::Attack => key("enrol.outcome-attack"),
        EnrolmentOutcome::TimedOut => key("enrol.outcome-timed-out"),
        EnrolmentOutcome::NotOneFace => key("enrol.outcome-not-one-face"),
        EnrolmentOutcome::PoorPhoto => key("enrol.outcome-poor-photo"),
        EnrolmentOutcome::NotAPhoto => key("enrol.outcome-not-a-photo"),
        EnrolmentOutcome::Failed => key("enrol.outcome-failed"),
    }
}

fn consent(desk: &mut Desk, call: &Call) -> Result<Response, Failure> {
    if !call.form.has("consent") {
        return show(desk, call, 422, Some("enrol.tick"));
    }
    let policy_version = call.form.text("version").to_owned();
    ask(desk, call, PersonAsk::Consent { policy_version })
}

fn capture(desk: &mut Desk, call: &Call) -> Result<Response, Failure> {
    ask(desk, call, PersonAsk::Capture)
}

fn photo(desk: &mut Desk, call: &Call) -> Result<Response, Failure> {
    let parts = call.multipart()?;
    let photo = parts.iter().find(|part| part.name == "photo");
    let photo = photo.map(|part| part.bytes).unwrap_or_default();
    if photo.is_empty() {
        return show(desk, call, 422, Some("enrol.outcome-not-a-photo"));
    }
    if photo.len() > PHOTO_BYTES_MAX {
        return show(desk, call, 413, Some("enrol.too-large"));
    }
    let photo = Zeroizing::new(photo.to_vec());
    ask(desk, call, PersonAsk::Photo(photo))
}

fn ask_withdraw(desk: &mut Desk, call: &Call) -> Result<Response, Failure> {
    let Some(visitor) = visitor(desk, call)? else {
        return unknown(desk, call);
    };
    let f = frame(desk, call, Some(&visitor.standing));
    let page = NotePage {
        title: f.t("enrol.withdraw-title").to_owned(),
        text: f.t("enrol.withdraw-text").to_owned(),
        ask: Some(format!("/enrol/{}", visitor.link.text())),
        f,
    };
    html_with(200, &page)
}

fn withdraw(desk: &mut Desk, call: &Call) -> Result<Response, Failure> {
    ask(desk, call, PersonAsk::Withdraw)
}

/// Has the writer do it, and shows how things stand then.
fn ask(desk: &Desk, call: &Call, ask: PersonAsk) -> Result<Response, Failure> {
    let Some(link) = Link::parse(call.place()) else {
        return unknown(desk, call);
    };
    let (reply, answer) = bounded(1);
    let command = Command::Person(Box::new(PersonCall {
        token: link.hash(),
        ask,
        reply,
    }));
    let sent = desk.parts().writer.try_send(command);
    sent.map_err(|_| Failure::Busy)?;
    let here = format!("/enrol/{}", link.text());
    match answer.recv_deadline(call.deadline) {
        // What stood in the way is on the page by now: another policy, another stage.
        Ok(PersonAnswer::Done | PersonAnswer::Refused) => Ok(redirect(&here)),
        Ok(PersonAnswer::Withdrawn) => {
            let f = frame(desk, call, None);
            let page = NotePage {
                title: f.t("enrol.withdrawn-title").to_owned(),
                text: f.t("enrol.withdrawn-text").to_owned(),
                ask: None,
                f,
            };
            html_with(200, &page)
        }
        Ok(PersonAnswer::Unknown) => unknown(desk, call),
        Ok(PersonAnswer::Later) => show(desk, call, 503, Some("enrol.later")),
        Err(_) => Err(Failure::Busy),
    }
}
