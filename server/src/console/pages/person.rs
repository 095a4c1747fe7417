//! One person: what is known, where they may enter, and the way out.

use askama::Template;

use crate::admin::message::Request;
use crate::console::call::Call;
use crate::console::desk::Desk;
use crate::console::frame::{Frame, Notice};
use crate::console::people;
use crate::console::reply::{Failure, html, redirect};
use crate::console::route::{Route, encoded, get, post};
use crate::net::Response;
use crate::store::{ConsentHow, Scope};

pub(super) const ROUTES: &[Route] = &[
    get("/console/people/{}", Scope::Read, page),
    post("/console/people/{}/withdraw", Scope::People, withdraw),
    post("/console/people/{}/grant", Scope::People, grant),
    post("/console/people/{}/revoke", Scope::People, revoke),
];

#[derive(Template)]
#[template(path = "person.html")]
struct PersonPage {
    f: Frame,
    name: String,
    external_id: String,
    path: String,
    email: String,
    kind: &'static str,
    state: &'static str,
    since: i64,
    consent: Option<ConsentLine>,
    references: Vec<i64>,
    every_door: bool,
    doors: Vec<String>,
    /// Doors at which a right can be granted.
    others: Vec<String>,
    from_space: bool,
    withdrawing: bool,
}

struct ConsentLine {
    version: String,
    at: i64,
    how: &'static str,
    /// It is to another version than the one in force.
    outdated: bool,
}

fn page(desk: &mut Desk, call: &Call) -> Result<Response, Failure> {
    let person = people::person(desk, call.place())?;
    let state = people::state(desk, call, &person.external_id, person.state)?;
    let doors = people::doors(desk, &person)?;
    let mut others: Vec<_> = desk
        .read
        .store
        .doors()?
        .into_iter()
        .filter(|door| !person.doors.contains(&door.id))
        .map(|door| door.name)
        .collect();
    others.sort();
    let in_force = desk.read.store.policy_in_force()?;
    let consent = person.consent.map(|consent| ConsentLine {
        outdated: in_force.is_some_and(|in_force| in_force != consent.policy_version),
        version: consent.policy_version,
        at: consent.at_unix_s,
        how: match consent.how {
            ConsentHow::InPerson => "in-person",
            ConsentHow::Online => "online",
            ConsentHow::Imported => "imported",
        },
    });
    html(&PersonPage {
        f: Frame::new(desk, call, "people"),
        path: encoded(&person.external_id),
        name: person.name,
        external_id: person.external_id,
        email: person.email.unwrap_or_default(),
        kind: people::kind(state),
        state,
        since: person.created_unix_s,
        consent,
        references: person
            .references
            .iter()
            .map(|one| one.created_unix_s)
            .collect(),
        every_door: person.every_door,
        doors,
        others,
        from_space: people::rights_from_space(desk)?,
        withdrawing: call.query.text("dialog") == "withdraw",
    })
}

fn withdraw(desk: &mut Desk, call: &Call) -> Result<Response, Failure> {
    let external_id = call.place().to_owned();
    let here = format!("/console/people/{}", encoded(&external_id));
    match desk.ask(call, Request::PersonWithdraw { external_id }) {
        Ok(_) => {
            desk.tell(call, Notice::good(call.t("people.withdrawn")));
            Ok(redirect("/console/people"))
        }
        Err(Failure::Refused(why)) => {
            desk.tell(call, Notice::bad(why));
            Ok(redirect(&here))
        }
        Err(failure) => Err(failure),
    }
}

fn grant(desk: &mut Desk, call: &Call) -> Result<Response, Failure> {
    let (external_id, door) = right(desk, call)?;
    back(desk, call, Request::RightGrant { external_id, door })
}

fn revoke(desk: &mut Desk, call: &Call) -> Result<Response, Failure> {
    let (external_id, door) = right(desk, call)?;
    back(desk, call, Request::RightRevoke { external_id, door })
}

/// The person of the path and the door of the form; `*` is every door.
fn right(desk: &Desk, call: &Call) -> Result<(String, Option<String>), Failure> {
    if people::rights_from_space(desk)? {
        return Err(Failure::Refused(call.t("people.from-space").to_owned()));
    }
    let door = call.form.text("door");
    let door = (door != "*").then(|| door.to_owned());
    Ok((call.place().to_owned(), door))
}

fn back(desk: &Desk, call: &Call, request: Request) -> Result<Response, Failure> {
    match desk.ask(call, request) {
        Ok(_) => desk.tell(call, Notice::good(call.t("people.changed"))),
        Err(Failure::Refused(why)) => desk.tell(call, Notice::bad(why)),
        Err(failure) => return Err(failure),
    }
    let name = encoded(call.place());
    Ok(redirect(&format!("/console/people/{name}")))
}
