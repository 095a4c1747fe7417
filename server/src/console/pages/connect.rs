//! Connect: whether this site has joined, and where to.

use askama::Template;

use crate::console::call::Call;
use crate::console::desk::Desk;
use crate::console::frame::Frame;
use crate::console::integrations::{self, Name, State, connect};
use crate::console::reply::{Failure, html};
use crate::console::route::{Route, get};
use crate::net::Response;
use crate::store::Scope;

pub(super) const ROUTES: &[Route] = &[get("/console/integrations/connect", Scope::Read, page)];

#[derive(Template)]
#[template(path = "connect.html")]
struct ConnectPage {
    f: Frame,
    state: State,
    broker: String,
    site: String,
    until: String,
    waiting: String,
}

fn page(desk: &mut Desk, call: &Call) -> Result<Response, Failure> {
    let states = integrations::states(desk, call)?;
    let state = states.into_iter().find(|state| state.name == Name::Connect);
    let facts = connect::facts(desk, call)?;
    let text = |name: &str| connect::fact(&facts, name).to_owned();
    html(&ConnectPage {
        f: Frame::new(desk, call, "integrations"),
        state: state.ok_or(Failure::NotFound)?,
        broker: text("broker"),
        site: text("site"),
        until: text("certificate until"),
        waiting: text("messages that wait"),
    })
}
