//! People: who is enrolled or is to be, found by name or external id.

use askama::Template;

use crate::console::call::Call;
use crate::console::desk::Desk;
use crate::console::frame::Frame;
use crate::console::people;
use crate::console::reply::{Failure, html};
use crate::console::route::{Route, encoded, get};
use crate::limits::TABLE_ROWS;
use crate::net::Response;
use crate::store::Scope;

pub(super) const ROUTES: &[Route] = &[get("/console/people", Scope::Read, page)];

#[derive(Template)]
#[template(path = "people.html")]
struct PeoplePage {
    f: Frame,
    total: u64,
    search: String,
    rows: Vec<Row>,
    next: Option<String>,
}

struct Row {
    name: String,
    external_id: String,
    path: String,
    kind: &'static str,
    state: &'static str,
    references: u64,
}

fn page(desk: &mut Desk, call: &Call) -> Result<Response, Failure> {
    let search = call.query.text("search");
    let after = call.query.text("after").parse().ok();
    let (found, by) = people::page(desk, search, call.query.text("by"), after, TABLE_ROWS)?;
    let mut rows = Vec::with_capacity(found.people.len());
    for person in found.people {
        let state = people::state(desk, call, &person.external_id, person.state)?;
        rows.push(Row {
            path: encoded(&person.external_id),
            name: person.name,
            external_id: person.external_id,
            kind: people::kind(state),
            state,
            references: person.references,
        });
    }
    let search_path = encoded(search);
    let next = found.next.map(|last| {
        let last = last.0;
        format!("/console/people?search={search_path}&by={by}&after={last}")
    });
    html(&PeoplePage {
        f: Frame::new(desk, call, "people"),
        total: desk.read.store.counts()?.people,
        search: search.to_owned(),
        rows,
        next,
    })
}
