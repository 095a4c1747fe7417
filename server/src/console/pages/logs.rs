//! Logs: access attempts as they come, events, and messages that wait for a device.

use askama::Template;

use crate::console::call::Call;
use crate::console::desk::Desk;
use crate::console::frame::Frame;
use crate::console::log::{self, AttemptRow, EventRow};
use crate::console::reply::{Failure, html, redirect};
use crate::console::route::{Route, get};
use crate::limits::TABLE_ROWS;
use crate::net::Response;
use crate::store::Scope;

pub(super) const ROUTES: &[Route] = &[
    get("/console/logs", Scope::Read, first),
    get("/console/logs/attempts", Scope::Read, attempts),
    get("/console/logs/events", Scope::Read, events),
    get("/console/logs/pending", Scope::Read, pending),
];

const TABS: [&str; 3] = ["attempts", "events", "pending"];

#[derive(Template)]
#[template(path = "logs.html")]
struct LogsPage {
    f: Frame,
    tabs: [&'static str; 3],
    tab: &'static str,
    /// The newest page changes by itself.
    live: bool,
    attempts: Vec<AttemptRow>,
    events: Vec<EventRow>,
    next: Option<u64>,
}

impl LogsPage {
    fn is_tab(&self, name: &str) -> bool {
        self.tab == name
    }
}

fn first(_: &mut Desk, _: &Call) -> Result<Response, Failure> {
    Ok(redirect("/console/logs/attempts"))
}

fn before(call: &Call) -> Option<u64> {
    call.query.text("before").parse().ok()
}

fn empty(desk: &Desk, call: &Call, tab: &'static str) -> LogsPage {
    LogsPage {
        f: Frame::new(desk, call, "logs"),
        tabs: TABS,
        tab,
        live: before(call).is_none(),
        attempts: Vec::new(),
        events: Vec::new(),
        next: None,
    }
}

fn attempts(desk: &mut Desk, call: &Call) -> Result<Response, Failure> {
    let (attempts, next) = log::attempts(desk, before(call), TABLE_ROWS)?;
    html(&LogsPage {
        attempts,
        next,
        ..empty(desk, call, TABS[0])
    })
}

fn events(desk: &mut Desk, call: &Call) -> Result<Response, Failure> {
    let words = |action: &str| {
        let known = call.language.known(&format!("change.{action}"));
        known.map_or_else(|| action.to_owned(), str::to_owned)
    };
    let (events, next) = log::events(desk, before(call), TABLE_ROWS, words)?;
    html(&LogsPage {
        events,
        next,
        ..empty(desk, call, TABS[1])
    })
}

fn pending(desk: &mut Desk, call: &Call) -> Result<Response, Failure> {
    let mut events = log::pending(desk, TABLE_ROWS)?;
    for row in &mut events {
        row.event = call.t(&format!("command.{}", row.event)).to_owned();
    }
    html(&LogsPage {
        events,
        ..empty(desk, call, TABS[2])
    })
}
