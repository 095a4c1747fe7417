//! People and their rights.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Operation, schema};
use crate::admin::message::{NewPerson, Request, Response as Answer};
use crate::console::call::Call;
use crate::console::desk::Desk;
use crate::console::people;
use crate::console::reply::{self, Failure};
use crate::limits::{ADMIN_PEOPLE_MAX, NUMBER_MAX};
use crate::net::{Method, Response};
use crate::store::Scope;

pub(super) const OPERATIONS: &[Operation] = &[
    Operation::new(
        (Method::Get, "/api/v1/people", Scope::Read),
        ("peopleList", "People, by name or external id."),
        (200, list_schema),
        list,
    )
    .query(&[
        (
            "search",
            schema::text,
            "Only those whose name, or else external id, begins so.",
        ),
        ("by", by_schema, "The order; as the answer before says it."),
        ("after", schema::number, "Go on after this number."),
        (
            "limit",
            schema::rows,
            "At most this many; 100 if it is left out.",
        ),
    ]),
    Operation::new(
        (Method::Post, "/api/v1/people", Scope::People),
        ("peopleEnrol", "Enrols people, all or none of them."),
        (201, enrolled_schema),
        enrol,
    )
    .body(new_people_schema),
    Operation::new(
        (Method::Get, "/api/v1/people/{}", Scope::Read),
        ("personShow", "One person, without their references."),
        (200, person_schema),
        show,
    )
    .places(&["external_id"]),
    Operation::new(
        (Method::Delete, "/api/v1/people/{}", Scope::People),
        (
            "personWithdraw",
            "Withdraws a person and erases their data.",
        ),
        (200, schema::done),
        withdraw,
    )
    .places(&["external_id"]),
    Operation::new(
        (Method::Put, "/api/v1/people/{}/rights", Scope::People),
        ("rightGrant", "Gives a person a right; `*` is every door."),
        (200, schema::done),
        grant,
    )
    .places(&["external_id"])
    .body(right_schema),
    Operation::new(
        (Method::Delete, "/api/v1/people/{}/rights/{}", Scope::People),
        (
            "rightRevoke",
            "Takes a right from a person; `*` is every door.",
        ),
        (200, schema::done),
        revoke,
    )
    .places(&["external_id", "door"]),
];

const BY: [&str; 2] = ["name", "external_id"];

fn by_schema() -> Value {
    schema::one_of(&BY)
}

fn list_schema() -> Value {
    let person = schema::object(&[
        ("external_id", schema::text()),
        ("name", schema::text()),
        ("state", schema::one_of(&people::STATES)),
        ("references", schema::integer()),
    ]);
    schema::object(&[
        ("people", schema::list(person)),
        ("by", by_schema()),
        ("next", schema::integer_or_null()),
    ])
}

fn person_schema() -> Value {
    schema::object(&[
        ("external_id", schema::text()),
        ("name", schema::text()),
        ("email", schema::text_or_null()),
        ("state", schema::one_of(&people::STATES)),
        ("policy_version", schema::text_or_null()),
        ("consented_unix_s", schema::integer_or_null()),
        ("since_unix_s", schema::integer()),
        ("references", schema::integer()),
        ("every_door", schema::boolean()),
        ("doors", schema::list(schema::text())),
    ])
}

fn new_people_schema() -> Value {
    let reference = json!({
        "type": "string",
        "contentEncoding": "base64",
        "description": "512 little-endian f32 of unit length",
    });
    let mut person = schema::object(&[
        ("external_id", schema::name(128)),
        ("name", schema::name(256)),
        ("doors", schema::text()),
        ("policy_version", schema::name(64)),
        (
            "consented_at",
            json!({"type": "string", "format": "date-time"}),
        ),
        ("references", schema::list(reference)),
    ]);
    person["required"] = json!([
        "external_id",
        "name",
        "policy_version",
        "consented_at",
        "references"
    ]);
    let mut people = schema::list(person);
    people["minItems"] = json!(1);
    people["maxItems"] = json!(ADMIN_PEOPLE_MAX);
    schema::object(&[("people", people)])
}

fn enrolled_schema() -> Value {
    schema::object(&[("enrolled", schema::integer())])
}

fn right_schema() -> Value {
    schema::object(&[("door", schema::name(64))])
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewPeople {
    people: Vec<NewPerson>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Right {
    door: String,
}

fn list(desk: &mut Desk, call: &Call) -> Result<Response, Failure> {
    let search = call.query.text("search");
    let after = call.number("after", 0..=NUMBER_MAX)?;
    let by = call.word("by", &BY)?.unwrap_or_default();
    let (page, by) = people::page(desk, search, by, after, call.rows()?)?;
    let mut rows = Vec::with_capacity(page.people.len());
    for person in &page.people {
        rows.push(json!({
            "external_id": person.external_id,
            "name": person.name,
            "state": people::state(desk, call, &person.external_id, person.state)?,
            "references": person.references,
        }));
    }
    let next = page.next.map(|last| last.0);
    let body = json!({"people": rows, "by": by, "next": next});
    Ok(reply::json(200, &body))
}

fn show(desk: &mut Desk, call: &Call) -> Result<Response, Failure> {
    let person = people::person(desk, call.place())?;
    let doors = people::doors(desk, &person)?;
    let consent = person.consent;
    let body = json!({
        "external_id": person.external_id,
        "name": person.name,
        "email": person.email,
        "state": people::state(desk, call, &person.external_id, person.state)?,
        "policy_version": consent.as_ref().map(|consent| consent.policy_version.clone()),
        "consented_unix_s": consent.map(|consent| consent.at_unix_s),
        "since_unix_s": person.created_unix_s,
        "references": person.references.len(),
        "every_door": person.every_door,
        "doors": doors,
    });
    Ok(reply::json(200, &body))
}

fn enrol(desk: &mut Desk, call: &Call) -> Result<Response, Failure> {
    let new: NewPeople = call.json()?;
    let count = new.people.len();
    if !(1..=ADMIN_PEOPLE_MAX).contains(&count) {
        let why = format!("people: 1 to {ADMIN_PEOPLE_MAX} at once");
        return Err(Failure::BadRequest(why));
    }
    let session = Desk::new_session();
    let enrolled = enrol_in(desk, call, session, new.people);
    desk.end_session(session);
    enrolled?;
    Ok(reply::json(201, &json!({"enrolled": count})))
}

fn enrol_in(
    desk: &Desk,
    call: &Call,
    session: crate::writer::Session,
    people: Vec<NewPerson>,
) -> Result<(), Failure> {
    desk.ask_in(call, session, Request::ImportBegin)?;
    let staged = desk.ask_in(call, session, Request::ImportAdd { people })?;
    if let Answer::Staged { refused } = &staged
        && let Some(first) = refused.first()
    {
        let (index, why) = (first.index, &first.why);
        return Err(Failure::Refused(format!("person {index}: {why}")));
    }
    desk.ask_in(call, session, Request::ImportCommit).map(drop)
}

fn withdraw(desk: &mut Desk, call: &Call) -> Result<Response, Failure> {
    let external_id = people::person(desk, call.place())?.external_id;
    desk.ask(call, Request::PersonWithdraw { external_id })?;
    Ok(reply::json(200, &json!({"done": "withdrawn"})))
}

fn grant(desk: &mut Desk, call: &Call) -> Result<Response, Failure> {
    let right: Right = call.json()?;
    let (external_id, door) = wanted(desk, call, &right.door)?;
    desk.ask(call, Request::RightGrant { external_id, door })?;
    Ok(reply::json(200, &json!({"done": "granted"})))
}

fn revoke(desk: &mut Desk, call: &Call) -> Result<Response, Failure> {
    let door = call.places.get(1).map_or("", String::as_str);
    let (external_id, door) = wanted(desk, call, door)?;
    desk.ask(call, Request::RightRevoke { external_id, door })?;
    Ok(reply::json(200, &json!({"done": "revoked"})))
}

fn wanted(desk: &Desk, call: &Call, door: &str) -> Result<(String, Option<String>), Failure> {
    if people::rights_from_space(desk)? {
        return Err(Failure::Refused(call.t("people.from-space").to_owned()));
    }
    let external_id = people::person(desk, call.place())?.external_id;
    Ok((external_id, (door != "*").then(|| door.to_owned())))
}
