//! What was changed, by whom: the audit's administrative part.

use askama::Template;

use crate::audit::{AuditFilter, Entry};
use crate::console::call::Call;
use crate::console::desk::Desk;
use crate::console::frame::Frame;
use crate::console::reply::{Failure, html};
use crate::console::route::{Route, get};
use crate::net::Response;
use crate::store::Scope;

pub(super) const ROUTES: &[Route] = &[get("/console/changes", Scope::Read, page)];

/// Changes of one page.
const ROWS: usize = 50;

#[derive(Template)]
#[template(path = "changes.html")]
struct ChangesPage {
    f: Frame,
    rows: Vec<Row>,
    next: Option<u64>,
}

struct Row {
    at: i64,
    actor: String,
    action: String,
    subject: String,
}

fn page(desk: &mut Desk, call: &Call) -> Result<Response, Failure> {
    let filter = AuditFilter {
        changes_only: true,
        ..AuditFilter::default()
    };
    let before = call.query.text("before").parse().ok();
    let page = desk.read.audit.page(filter, before, ROWS)?;
    let rows = page
        .entries
        .into_iter()
        .filter_map(|entry| match entry.entry {
            Entry::Attempt(..) => None,
            Entry::Change(change) => Some(Row {
                at: change.at_unix_us / 1_000_000,
                action: words(call, &change.action),
                actor: change.actor,
                subject: change.subject,
            }),
        });
    html(&ChangesPage {
        f: Frame::new(desk, call, "changes"),
        rows: rows.collect(),
        next: page.next,
    })
}

/// An action in words; what has none speaks for itself.
fn words(call: &Call, action: &str) -> String {
    let known = call.language.known(&format!("change.{action}"));
    known.map_or_else(|| action.to_owned(), str::to_owned)
}
