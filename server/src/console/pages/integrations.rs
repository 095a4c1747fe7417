//! The integrations: a card each, and the dialog that adds them.

use askama::Template;

use crate::console::call::Call;
use crate::console::desk::Desk;
use crate::console::frame::{Frame, Notice};
use crate::console::integrations::{self, Indicator, Name, State};
use crate::console::reply::{Failure, html, redirect};
use crate::console::route::{Route, get, post};
use crate::net::Response;
use crate::store::Scope;

pub(super) const ROUTES: &[Route] = &[
    get("/console/integrations", Scope::Read, page),
    post("/console/integrations", Scope::Integrations, add),
];

const INDICATORS: [Indicator; 4] = [
    Indicator::Connected,
    Indicator::Unauthorized,
    Indicator::Disconnected,
    Indicator::NoStatus,
];

#[derive(Template)]
#[template(path = "integrations.html")]
struct IntegrationsPage {
    f: Frame,
    cards: Vec<State>,
    others: Vec<Name>,
    indicators: [Indicator; 4],
    adding: bool,
}

fn page(desk: &mut Desk, call: &Call) -> Result<Response, Failure> {
    let states = integrations::states(desk, call)?;
    let (cards, others): (Vec<_>, Vec<_>) = states.into_iter().partition(|state| state.added);
    html(&IntegrationsPage {
        f: Frame::new(desk, call, "integrations"),
        cards,
        others: others.into_iter().map(|state| state.name).collect(),
        indicators: INDICATORS,
        adding: call.query.text("dialog") == "add" && call.who.may(Scope::Integrations),
    })
}

fn add(desk: &mut Desk, call: &Call) -> Result<Response, Failure> {
    let wanted = Name::ALL.into_iter();
    let wanted: Vec<Name> = wanted.filter(|name| call.form.has(name.name())).collect();
    let Some(first) = wanted.first() else {
        desk.tell(call, Notice::bad(call.t("integrations.none-chosen")));
        return Ok(redirect("/console/integrations?dialog=add"));
    };
    integrations::add(desk, call, &wanted)?;
    if let [_, rest @ ..] = wanted.as_slice()
        && !rest.is_empty()
    {
        let names: Vec<_> = rest.iter().map(|name| title(call, *name)).collect();
        let places = [("names", &*names.join(", "))];
        let text = call.language.filled("integrations.next", &places);
        desk.tell(call, Notice::good(text));
    }
    Ok(redirect(first.path()))
}

/// What an integration is called.
pub(super) fn title(call: &Call, name: Name) -> &'static str {
    call.t(&format!("integration.{}", name.name()))
}
