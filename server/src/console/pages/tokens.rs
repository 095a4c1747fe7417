//! Tokens of the API: for scripts of the site.

use askama::Template;

use crate::console::call::Call;
use crate::console::desk::Desk;
use crate::console::frame::{Frame, Notice};
use crate::console::reply::{Failure, html_with, redirect};
use crate::console::route::{Route, encoded, get, post};
use crate::console::team;
use crate::net::Response;
use crate::store::{Scope, Scopes};

pub(super) const ROUTES: &[Route] = &[
    get("/console/tokens", Scope::Team, page),
    post("/console/tokens", Scope::Team, add),
    post("/console/tokens/{}/remove", Scope::Team, remove),
];

const HERE: &str = "/console/tokens";

#[derive(Template)]
#[template(path = "tokens.html")]
struct TokensPage {
    f: Frame,
    tokens: Vec<Row>,
    scopes: Vec<&'static str>,
    name: String,
    /// A token that was just made: shown this once.
    secret: Option<String>,
}

struct Row {
    name: String,
    path: String,
    scopes: Vec<&'static str>,
    since: i64,
    until: Option<i64>,
    used: Option<i64>,
}

fn page(desk: &mut Desk, call: &Call) -> Result<Response, Failure> {
    show(desk, call, 200, None, None)
}

fn show(
    desk: &Desk,
    call: &Call,
    status: u16,
    notice: Option<Notice>,
    secret: Option<String>,
) -> Result<Response, Failure> {
    let mut f = Frame::new(desk, call, "tokens");
    f.notice = notice.or(f.notice);
    let tokens = desk.read.store.api_tokens()?.into_iter().map(|token| Row {
        path: encoded(&token.name),
        name: token.name,
        scopes: token.scopes.each().map(Scope::name).collect(),
        since: token.created_unix_s,
        until: token.expires_unix_s,
        used: token.used_unix_s,
    });
    let page = TokensPage {
        f,
        tokens: tokens.collect(),
        scopes: Scope::ALL.map(Scope::name).to_vec(),
        name: match secret {
            Some(_) => String::new(),
            None => call.form.text("name").to_owned(),
        },
        secret,
    };
    html_with(status, &page)
}

fn add(desk: &mut Desk, call: &Call) -> Result<Response, Failure> {
    let chosen: Vec<Scope> = call.form.all("scope").filter_map(Scope::named).collect();
    if chosen.is_empty() {
        let notice = Notice::bad(call.t("tokens.no-scope"));
        return show(desk, call, 422, Some(notice), None);
    }
    let days = call.form.text("days").parse().ok();
    let scopes = Scopes::of(&chosen);
    match team::add_token(desk, call, call.form.text("name"), scopes, days) {
        // No redirect: what is shown once must not wait anywhere.
        Ok(secret) => show(desk, call, 200, None, Some(secret)),
        Err(Failure::Refused(why)) => show(desk, call, 422, Some(Notice::bad(why)), None),
        Err(failure) => Err(failure),
    }
}

fn remove(desk: &mut Desk, call: &Call) -> Result<Response, Failure> {
    team::remove_token(desk, call, call.place())?;
    desk.tell(call, Notice::good(call.t("tokens.removed")));
    Ok(redirect(HERE))
}
