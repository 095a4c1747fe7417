//! Invitations to enrol, and how far people are.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Operation, schema};
use crate::admin::enrol::Invitee;
use crate::console::call::Call;
use crate::console::desk::Desk;
use crate::console::frame::moment;
use crate::console::invitations::{self, Step};
use crate::console::reply::{self, Failure};
use crate::net::{Method, Response};
use crate::store::{Enrolment, Scope};

pub(super) const OPERATIONS: &[Operation] = &[
    Operation::new(
        (Method::Get, "/api/v1/invitations", Scope::Read),
        ("invitationList", "Who is to enrol, and how far they are."),
        (200, list_schema),
        list,
    )
    .query(&[
        ("after", schema::text, "Begin after this external id."),
        (
            "limit",
            schema::rows,
            "At most this many; 100 if it is left out.",
        ),
    ]),
    Operation::new(
        (Method::Post, "/api/v1/invitations", Scope::People),
        (
            "invitationAdd",
            "Invites a person; the answer has the link of one on paper.",
        ),
        (201, invited_schema),
        add,
    )
    .body(new_schema),
    Operation::new(
        (Method::Delete, "/api/v1/invitations/{}", Scope::People),
        ("invitationCancel", "Takes an invitation back."),
        (200, schema::done),
        cancel,
    )
    .places(&["external_id"]),
    Operation::new(
        (Method::Post, "/api/v1/invitations/{}/{}", Scope::People),
        (
            "invitationStep",
            "resend or reprint: disenrols, invites again; allow: no duplicate; consent: on paper.",
        ),
        (200, invited_schema),
        step,
    )
    .places(&["external_id", "step=resend|reprint|allow|consent"]),
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct New {
    person: Invitee,
    #[serde(default)]
    paper: bool,
}

fn new_schema() -> Value {
    let person = schema::partial(&[
        ("external_id", schema::name(128)),
        ("name", schema::text()),
        ("email", schema::text()),
        ("device", schema::text()),
        ("doors", schema::text()),
        ("language", schema::text()),
        (
            "days",
            json!({"type": "integer", "minimum": 0, "maximum": 365}),
        ),
    ]);
    let mut body = schema::partial(&[("person", person), ("paper", schema::boolean())]);
    body["required"] = json!(["person"]);
    body
}

fn invited_schema() -> Value {
    schema::object(&[("link", schema::text_or_null())])
}

fn list_schema() -> Value {
    let row = schema::object(&[
        ("external_id", schema::text()),
        ("name", schema::text()),
        ("stage", schema::text()),
        ("consent", schema::text()),
        ("expires", schema::text_or_null()),
        ("outcome", schema::text_or_null()),
        ("looks_like", schema::text_or_null()),
        ("mail_error", schema::text_or_null()),
    ]);
    schema::object(&[("invitations", schema::list(row))])
}

fn list(desk: &mut Desk, call: &Call) -> Result<Response, Failure> {
    let (reader, now) = (&desk.read.store, call.now_unix_s);
    let after = match call.query.text("after") {
        "" => None,
        external_id => {
            let found = reader.enrolment(external_id, now)?;
            Some(found.ok_or(Failure::NotFound)?.person)
        }
    };
    let page = reader.enrolments_page(after, call.rows()?, now)?;
    let rows: Vec<Value> = page.iter().map(row).collect();
    Ok(reply::json(200, &json!({"invitations": rows})))
}

fn row(standing: &Enrolment) -> Value {
    let invitation = standing.invitation.as_ref();
    let mail = standing.mail.as_ref();
    json!({
        "external_id": standing.external_id,
        "name": standing.name,
        "stage": standing.stage.word(),
        "consent": format!("{:?}", standing.consent).to_lowercase(),
        "expires": invitation.map(|invitation| moment(invitation.expires_unix_s)),
        "outcome": invitation.map(|invitation| invitation.outcome.words()),
        "looks_like": standing.duplicate.as_ref().map(|found| &found.other_external_id),
        "mail_error": mail.map(|mail| &mail.error),
    })
}

fn add(desk: &mut Desk, call: &Call) -> Result<Response, Failure> {
    let new: New = call.json()?;
    let link = invitations::invite(desk, call, new.person, new.paper)?;
    Ok(reply::json(201, &json!({"link": link})))
}

fn cancel(desk: &mut Desk, call: &Call) -> Result<Response, Failure> {
    invitations::step(desk, call, call.place(), Step::Cancel)?;
    Ok(reply::json(200, &json!({"done": "taken back"})))
}

fn step(desk: &mut Desk, call: &Call) -> Result<Response, Failure> {
    let step = call.places.get(1).and_then(|name| Step::named(name));
    let step = step.filter(|step| *step != Step::Cancel);
    let step = step.ok_or(Failure::NotFound)?;
    let link = invitations::step(desk, call, call.place(), step)?;
    Ok(reply::json(200, &json!({"link": link})))
}
