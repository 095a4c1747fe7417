//! The first page: how the server and its integrations are, and how much there is.

use askama::Template;

use crate::console::call::Call;
use crate::console::desk::Desk;
use crate::console::frame::Frame;
use crate::console::integrations::{self, State};
use crate::console::reply::{Failure, html};
use crate::console::route::{Route, get};
use crate::net::Response;
use crate::store::Scope;

pub(super) const ROUTES: &[Route] = &[get("/console/", Scope::Read, page)];

#[derive(Template)]
#[template(path = "dashboard.html")]
struct DashboardPage {
    f: Frame,
    tiles: Vec<Tile>,
    states: Vec<State>,
    ready: bool,
    address: String,
}

/// One number. Its name is the text `tile.NAME` and a symbol.
struct Tile {
    name: &'static str,
    value: u64,
}

fn page(desk: &mut Desk, call: &Call) -> Result<Response, Failure> {
    let counts = desk.read.store.counts()?;
    let parts = desk.parts();
    let site = &parts.site;
    let enrolled = site.directory().people();
    let tile = |name, value| Tile { name, value };
    let page = DashboardPage {
        f: Frame::new(desk, call, "dashboard"),
        tiles: vec![
            tile("devices", counts.devices),
            tile("doors", counts.doors),
            tile("requests", counts.people),
            tile("completed", u64::try_from(enrolled).unwrap_or(u64::MAX)),
        ],
        states: integrations::states(desk, call)?,
        ready: site.is_ready() && !site.is_stopping(),
        address: std::net::SocketAddr::from((parts.address(), parts.port)).to_string(),
    };
    html(&page)
}
