//! The options of the Enrolment Service: the company in charge, its privacy policy, what else
//! people are told, and the mail relay that brings invitations.

use askama::Template;

use crate::console::call::Call;
use crate::console::desk::Desk;
use crate::console::frame::{Frame, Notice};
use crate::console::integrations::State;
use crate::console::integrations::policy::{self, Check, Found, Settings};
use crate::console::integrations::service::{self, MailState, Outdated};
use crate::console::reply::{Failure, html_with, redirect};
use crate::console::route::{Route, get, post};
use crate::enrol::{EnrolmentSetup, MailSetup, MailTls};
use crate::net::Response;
use crate::store::Scope;

pub(super) const ROUTES: &[Route] = &[
    get(HERE, Scope::Read, page),
    post(HERE, Scope::Integrations, save),
    post(
        "/console/integrations/enrolment/check",
        Scope::Integrations,
        check,
    ),
    post(
        "/console/integrations/enrolment/mail",
        Scope::Integrations,
        save_mail,
    ),
    post(
        "/console/integrations/enrolment/mail-remove",
        Scope::Integrations,
        remove_mail,
    ),
];

const HERE: &str = "/console/integrations/enrolment";
/// The port of a relay that takes letters over STARTTLS.
const SUBMISSION: u16 = 587;

#[derive(Template)]
#[template(path = "enrolment_service.html")]
struct EnrolmentServicePage {
    f: Frame,
    state: State,
    settings: Settings,
    version: String,
    alternative: String,
    device: String,
    pages_url: String,
    devices: Vec<String>,
    outdated: Outdated,
    mail: MailForm,
    mail_state: MailState,
}

/// What the form of the relay shows; never the password.
struct MailForm {
    host: String,
    port: String,
    /// The name of a choice in the form.
    tls: &'static str,
    from: String,
    user: String,
    ca_pem: String,
}

impl MailForm {
    fn of(setup: Option<MailSetup>) -> Self {
        let known = setup.as_ref();
        let text = |field: Option<&String>| field.cloned().unwrap_or_default();
        Self {
            host: text(known.map(|mail| &mail.host)),
            port: known.map_or(SUBMISSION, |mail| mail.port).to_string(),
            tls: known.map_or("starttls", |mail| tls_name(mail.tls)),
            from: text(known.map(|mail| &mail.from)),
            user: text(known.and_then(|mail| mail.user.as_ref())),
            ca_pem: text(known.and_then(|mail| mail.ca_pem.as_ref())),
        }
    }
}

fn tls_name(tls: MailTls) -> &'static str {
    match tls {
        MailTls::Tls => "tls",
        MailTls::Starttls => "starttls",
        MailTls::None => "none",
    }
}

fn page(desk: &mut Desk, call: &Call) -> Result<Response, Failure> {
    let settings = policy::settings(desk)?;
    show(desk, call, settings, None)
}

fn show(
    desk: &Desk,
    call: &Call,
    settings: Settings,
    wrong: Option<String>,
) -> Result<Response, Failure> {
    let status = if wrong.is_some() { 422 } else { 200 };
    let mut f = Frame::new(desk, call, "integrations");
    f.notice = wrong.map(Notice::bad).or(f.notice);
    let more = service::settings(desk)?;
    // Only who may change the relay sees how it is reached.
    let mail = match call.who.may(Scope::Integrations) {
        true => service::mail_setup(desk)?,
        false => None,
    };
    let devices = desk.read.store.devices()?;
    let page = EnrolmentServicePage {
        f,
        state: policy::state(desk)?,
        settings,
        version: more.policy_version.unwrap_or_default(),
        alternative: more.alternative.unwrap_or_default(),
        device: more.device.unwrap_or_default(),
        pages_url: more.pages_url.unwrap_or_default(),
        devices: devices.into_iter().map(|device| device.name).collect(),
        outdated: service::outdated(desk)?,
        mail: MailForm::of(mail),
        mail_state: service::mail_state(desk)?,
    };
    html_with(status, &page)
}

fn save(desk: &mut Desk, call: &Call) -> Result<Response, Failure> {
    let (company, address) = (call.form.text("company"), call.form.text("policy_address"));
    let sent = |name: &str| call.form.has(name).then(|| call.form.text(name).to_owned());
    let setup = EnrolmentSetup {
        company: None,
        policy_url: None,
        policy_version: sent("policy_version"),
        alternative: sent("alternative"),
        device: sent("device"),
        pages_url: sent("pages_url"),
    };
    match service::save(desk, call, (company, address), setup) {
        Ok(check) => {
            desk.tell(call, notice(call, &check));
            Ok(redirect(HERE))
        }
        Err(Failure::Refused(why)) => {
            let entered = Settings {
                company: company.to_owned(),
                policy_address: address.to_owned(),
                check: None,
            };
            show(desk, call, entered, Some(why))
        }
        Err(failure) => Err(failure),
    }
}

fn check(desk: &mut Desk, call: &Call) -> Result<Response, Failure> {
    let settings = policy::settings(desk)?;
    let first = (&*settings.company, &*settings.policy_address);
    let check = policy::save(desk, call, first, EnrolmentSetup::default())?;
    desk.tell(call, notice(call, &check));
    Ok(redirect(HERE))
}

fn save_mail(desk: &mut Desk, call: &Call) -> Result<Response, Failure> {
    let saved = mail_of(call).and_then(|setup| service::save_mail(desk, call, setup));
    match saved {
        Ok(None) => desk.tell(call, Notice::good(call.t("mail.saved"))),
        Ok(Some(why)) => {
            let text = call.language.filled("mail.saved-fails", &[("0", &why)]);
            desk.tell(call, Notice::warning(text));
        }
        Err(Failure::Refused(why)) => {
            let settings = policy::settings(desk)?;
            return show(desk, call, settings, Some(why));
        }
        Err(failure) => return Err(failure),
    }
    Ok(redirect(HERE))
}

/// The relay that the form describes.
fn mail_of(call: &Call) -> Result<MailSetup, Failure> {
    let text = |name: &str| call.form.text(name).to_owned();
    let given = |name: &str| Some(text(name)).filter(|text| !text.is_empty());
    let tls = match call.form.text("tls") {
        "tls" => MailTls::Tls,
        "none" => MailTls::None,
        _ => MailTls::Starttls,
    };
    let port = text("port").parse().ok().filter(|port| *port > 0);
    let port = port.ok_or_else(|| Failure::Refused(call.t("space.no-port").to_owned()))?;
    // Blanks may belong to a password.
    let password = call.form.raw("password").unwrap_or_default();
    Ok(MailSetup {
        host: text("host"),
        port,
        tls,
        from: text("from"),
        user: given("user"),
        password: Some(password.to_owned()).filter(|text| !text.is_empty()),
        ca_pem: given("ca_pem"),
    })
}

fn remove_mail(desk: &mut Desk, call: &Call) -> Result<Response, Failure> {
    service::remove_mail(desk, call)?;
    desk.tell(call, Notice::good(call.t("mail.removed")));
    Ok(redirect(HERE))
}

fn notice(call: &Call, check: &Check) -> Notice {
    let found = call.t(&format!("policy.{}", check.found.name()));
    let text = match check.why.is_empty() {
        true => found.to_owned(),
        false => format!("{found} ({})", check.why),
    };
    match check.found {
        Found::Good => Notice::good(text),
        Found::Silent | Found::Closed | Found::Unreachable | Found::NotHttps => {
            Notice::warning(text)
        }
    }
}
