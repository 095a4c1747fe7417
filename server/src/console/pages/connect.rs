//! Connect: joining with a code, how the connection is, and leaving.

use askama::Template;

use crate::console::call::Call;
use crate::console::desk::Desk;
use crate::console::frame::{Frame, Notice};
use crate::console::integrations::connect::{self, Joining};
use crate::console::integrations::{self, Name, State};
use crate::console::reply::{Failure, html_with, redirect};
use crate::console::route::{Route, get, post};
use crate::net::Response;
use crate::store::Scope;

const HERE: &str = "/console/integrations/connect";

pub(super) const ROUTES: &[Route] = &[
    get(HERE, Scope::Read, page),
    post(HERE, Scope::Integrations, join),
    post(
        "/console/integrations/connect/leave",
        Scope::Integrations,
        leave,
    ),
];

#[derive(Template)]
#[template(path = "connect.html")]
struct ConnectPage {
    f: Frame,
    state: State,
    broker: String,
    site: String,
    until: String,
    waiting: String,
    leaving: bool,
}

fn page(desk: &mut Desk, call: &Call) -> Result<Response, Failure> {
    show(desk, call, None)
}

fn show(desk: &Desk, call: &Call, wrong: Option<String>) -> Result<Response, Failure> {
    let states = integrations::states(desk, call)?;
    let state = states.into_iter().find(|state| state.name == Name::Connect);
    let facts = connect::facts(desk, call)?;
    let text = |name: &str| connect::fact(&facts, name).to_owned();
    let status = if wrong.is_some() { 422 } else { 200 };
    let mut f = Frame::new(desk, call, "integrations");
    f.notice = wrong.map(Notice::bad).or(f.notice);
    let page = ConnectPage {
        f,
        state: state.ok_or(Failure::NotFound)?,
        broker: text("broker"),
        site: text("site"),
        until: text("certificate until"),
        waiting: text("messages that wait"),
        leaving: call.query.text("dialog") == "leave" && call.who.may(Scope::Integrations),
    };
    html_with(status, &page)
}

fn join(desk: &mut Desk, call: &Call) -> Result<Response, Failure> {
    match connect::join(desk, call, call.form.text("code")) {
        Ok(Joining::Joined) => desk.tell(call, Notice::good(call.t("connect.joined"))),
        Ok(Joining::Waits) => desk.tell(call, Notice::warning(call.t("connect.waits"))),
        Err(Failure::Refused(why)) => {
            let text = call.language.filled("connect.refused", &[("0", &why)]);
            return show(desk, call, Some(text));
        }
        Err(failure) => return Err(failure),
    }
    Ok(redirect(HERE))
}

fn leave(desk: &mut Desk, call: &Call) -> Result<Response, Failure> {
    connect::leave(desk, call)?;
    desk.tell(call, Notice::good(call.t("connect.left")));
    Ok(redirect(HERE))
}
