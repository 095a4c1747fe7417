//! Importing people from a file, and how far that is.

use askama::Template;

use crate::console::call::Call;
use crate::console::desk::Desk;
use crate::console::frame::{Frame, Notice};
use crate::console::imports::{self, File, Progress};
use crate::console::multipart;
use crate::console::reply::{Failure, html_with, redirect};
use crate::console::route::{Route, get, post};
use crate::net::Response;
use crate::store::Scope;

pub(super) const ROUTES: &[Route] = &[
    get("/console/people-import", Scope::People, page),
    post("/console/people-import", Scope::People, start),
];

#[derive(Template)]
#[template(path = "people_import.html")]
struct ImportPage {
    f: Frame,
    progress: Progress,
}

fn page(desk: &mut Desk, call: &Call) -> Result<Response, Failure> {
    show(desk, call, None)
}

fn show(desk: &Desk, call: &Call, wrong: Option<String>) -> Result<Response, Failure> {
    let mut f = Frame::new(desk, call, "people");
    let status = if wrong.is_some() { 422 } else { 200 };
    f.notice = wrong.map(Notice::bad).or(f.notice);
    let progress = desk.shared.imports.progress();
    html_with(status, &ImportPage { f, progress })
}

fn start(desk: &mut Desk, call: &Call) -> Result<Response, Failure> {
    let parts = call.multipart()?;
    let fields = multipart::fields(&parts);
    let file = |name: &str| {
        let part = parts.iter().find(|part| part.name == name)?;
        (!part.bytes.is_empty()).then(|| part.bytes.to_vec())
    };
    let Some(people) = file("people") else {
        return show(desk, call, Some(call.t("people.no-file").to_owned()));
    };
    let file = File {
        people,
        embeddings: file("embeddings"),
        skip_bad: fields.has("skip_bad"),
    };
    match imports::start(desk, call, file) {
        Ok(()) => Ok(redirect("/console/people-import")),
        Err(Failure::Refused(why)) => show(desk, call, Some(why)),
        Err(failure) => Err(failure),
    }
}
