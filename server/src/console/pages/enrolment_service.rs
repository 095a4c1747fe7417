//! The options of the Enrolment Service: the company in charge, and its privacy policy.

use askama::Template;

use crate::console::call::Call;
use crate::console::desk::Desk;
use crate::console::frame::{Frame, Notice};
use crate::console::integrations::State;
use crate::console::integrations::policy::{self, Check, Found, Settings};
use crate::console::reply::{Failure, html_with, redirect};
use crate::console::route::{Route, get, post};
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
];

const HERE: &str = "/console/integrations/enrolment";

#[derive(Template)]
#[template(path = "enrolment_service.html")]
struct EnrolmentServicePage {
    f: Frame,
    state: State,
    settings: Settings,
}

fn page(desk: &mut Desk, call: &Call) -> Result<Response, Failure> {
    let settings = policy::settings(desk)?;
    show(desk, call, 200, settings, None)
}

fn show(
    desk: &Desk,
    call: &Call,
    status: u16,
    settings: Settings,
    notice: Option<Notice>,
) -> Result<Response, Failure> {
    let mut f = Frame::new(desk, call, "integrations");
    f.notice = notice.or(f.notice);
    let state = policy::state(desk)?;
    let page = EnrolmentServicePage { f, state, settings };
    html_with(status, &page)
}

fn save(desk: &mut Desk, call: &Call) -> Result<Response, Failure> {
    let (company, address) = (call.form.text("company"), call.form.text("policy_address"));
    match policy::save(desk, call, company, address) {
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
            show(desk, call, 422, entered, Some(Notice::bad(why)))
        }
        Err(failure) => Err(failure),
    }
}

fn check(desk: &mut Desk, call: &Call) -> Result<Response, Failure> {
    let settings = policy::settings(desk)?;
    let (company, address) = (&settings.company, &settings.policy_address);
    let check = policy::save(desk, call, company, address)?;
    desk.tell(call, notice(call, &check));
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
