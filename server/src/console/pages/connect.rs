//! Connect: whether this site has joined, and where to.

use askama::Template;

use crate::console::call::Call;
use crate::console::desk::Desk;
use crate::console::frame::Frame;
use crate::console::integrations::{self, Name, State};
use crate::console::reply::{Failure, html};
use crate::console::route::{Route, get};
use crate::net::Response;
use crate::store::{Scope, SettingKey};

pub(super) const ROUTES: &[Route] = &[get("/console/integrations/connect", Scope::Read, page)];

#[derive(Template)]
#[template(path = "connect.html")]
struct ConnectPage {
    f: Frame,
    state: State,
    broker: String,
    site: String,
}

fn page(desk: &mut Desk, call: &Call) -> Result<Response, Failure> {
    let states = integrations::states(desk)?;
    let state = states.into_iter().find(|state| state.name == Name::Connect);
    let stored = desk.sealed(SettingKey::CONNECT_SEALED)?;
    let stored: serde_json::Value = stored
        .and_then(|json| serde_json::from_slice(&json).ok())
        .unwrap_or_default();
    let text = |name: &str| stored[name].as_str().unwrap_or_default().to_owned();
    let broker = match stored["broker_port"].as_u64() {
        Some(port) => format!("{}:{port}", text("broker_host")),
        None => String::new(),
    };
    html(&ConnectPage {
        f: Frame::new(desk, call, "integrations"),
        state: state.ok_or(Failure::NotFound)?,
        broker,
        site: text("site"),
    })
}
