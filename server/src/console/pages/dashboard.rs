//! The first page: how the server and its integrations are, and how much there is.

use askama::Template;

use crate::console::call::Call;
use crate::console::desk::Desk;
use crate::console::frame::Frame;
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
}

/// One number.
struct Tile {
    name: &'static str,
    value: u64,
    icon: &'static str,
}

fn page(desk: &mut Desk, call: &Call) -> Result<Response, Failure> {
    let counts = desk.read.store.counts()?;
    let tile = |name, value, icon| Tile { name, value, icon };
    html(&DashboardPage {
        f: Frame::new(desk, call, "dashboard"),
        tiles: vec![
            tile("devices", counts.devices, "devices"),
            tile("doors", counts.doors, "doors"),
            tile("people", counts.people, "people"),
        ],
    })
}
