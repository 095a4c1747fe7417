//! The team: who works with the console, and as what.

use askama::Template;

use crate::console::call::Call;
use crate::console::desk::Desk;
use crate::console::frame::{Frame, Notice};
use crate::console::reply::{Failure, html_with, redirect};
use crate::console::route::{Route, encoded, get, post};
use crate::console::team;
use crate::net::Response;
use crate::store::{Member, Role, Scope};

pub(super) const ROUTES: &[Route] = &[
    get("/console/team", Scope::Team, page),
    post("/console/team", Scope::Team, add),
    post("/console/team/{}/role", Scope::Team, role),
    post("/console/team/{}/password", Scope::Team, password),
    post("/console/team/{}/remove", Scope::Team, remove),
];

const HERE: &str = "/console/team";

#[derive(Template)]
#[template(path = "team.html")]
struct TeamPage {
    f: Frame,
    members: Vec<Row>,
    roles: [&'static str; 3],
    name: String,
    /// Who is about to be removed.
    removing: Option<Row>,
}

#[derive(Clone)]
struct Row {
    name: String,
    /// The name in a path.
    path: String,
    role: &'static str,
    since: i64,
}

impl Row {
    fn of(member: &Member) -> Self {
        Self {
            name: member.name.clone(),
            path: encoded(&member.name),
            role: member.role.name(),
            since: member.created_unix_s,
        }
    }

    fn has(&self, role: &str) -> bool {
        self.role == role
    }
}

fn page(desk: &mut Desk, call: &Call) -> Result<Response, Failure> {
    show(desk, call, None)
}

fn show(desk: &Desk, call: &Call, wrong: Option<String>) -> Result<Response, Failure> {
    let mut f = Frame::new(desk, call, "team");
    let status = if wrong.is_some() { 422 } else { 200 };
    f.notice = wrong.map(Notice::bad).or(f.notice);
    let members: Vec<Row> = desk.read.store.team()?.iter().map(Row::of).collect();
    let about = call.query.text("remove");
    let removing = members.iter().find(|row| row.name == about).cloned();
    let page = TeamPage {
        f,
        members,
        roles: Role::ALL.map(Role::name),
        name: call.form.text("name").to_owned(),
        removing,
    };
    html_with(status, &page)
}

fn add(desk: &mut Desk, call: &Call) -> Result<Response, Failure> {
    let name = call.form.text("name");
    let wanted = Role::named(call.form.text("role"));
    let role = wanted.ok_or_else(|| Failure::BadRequest(call.t("team.no-role").to_owned()))?;
    match team::add(desk, call, name, role) {
        Ok(password) => {
            tell_password(desk, call, name, &password);
            Ok(redirect(HERE))
        }
        Err(Failure::Refused(why)) => show(desk, call, Some(why)),
        Err(failure) => Err(failure),
    }
}

fn tell_password(desk: &Desk, call: &Call, name: &str, password: &str) {
    let places = [("name", name), ("password", password)];
    let text = call.language.filled("team.password-is", &places);
    desk.tell(call, Notice::good(text));
}

fn role(desk: &mut Desk, call: &Call) -> Result<Response, Failure> {
    let wanted = Role::named(call.form.text("role"));
    let role = wanted.ok_or_else(|| Failure::BadRequest(call.t("team.no-role").to_owned()))?;
    back(desk, call, |desk| {
        team::set_role(desk, call, call.place(), role)
    })
}

fn password(desk: &mut Desk, call: &Call) -> Result<Response, Failure> {
    let password = team::reset(desk, call, call.place())?;
    tell_password(desk, call, call.place(), &password);
    Ok(redirect(HERE))
}

fn remove(desk: &mut Desk, call: &Call) -> Result<Response, Failure> {
    back(desk, call, |desk| team::remove(desk, call, call.place()))
}

/// Does it, and shows the page again, with why not if so.
fn back(
    desk: &Desk,
    call: &Call,
    what: impl FnOnce(&Desk) -> Result<(), Failure>,
) -> Result<Response, Failure> {
    match what(desk) {
        Ok(()) => desk.tell(call, Notice::good(call.t("team.changed"))),
        Err(Failure::Refused(why)) => desk.tell(call, Notice::bad(why)),
        Err(failure) => return Err(failure),
    }
    Ok(redirect(HERE))
}
