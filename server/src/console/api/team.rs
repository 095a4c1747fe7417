//! The team, the tokens of the API, and what was changed by whom.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Operation, PAGING, schema};
use crate::audit::{AuditFilter, Entry};
use crate::console::call::Call;
use crate::console::desk::Desk;
use crate::console::reply::{self, Failure};
use crate::console::team;
use crate::limits::NUMBER_MAX;
use crate::net::{Method, Response};
use crate::store::{Role, Scope, Scopes};
use crate::whole::whole_or_null;

pub(super) const OPERATIONS: &[Operation] = &[
    Operation::new(
        (Method::Get, "/api/v1/team", Scope::Team),
        ("teamList", "The team."),
        (200, team_schema),
        list,
    ),
    Operation::new(
        (Method::Post, "/api/v1/team", Scope::Team),
        ("teamAdd", "Adds a member; the password is shown this once."),
        (201, password_schema),
        add,
    )
    .body(new_member_schema),
    Operation::new(
        (Method::Put, "/api/v1/team/{}", Scope::Team),
        ("teamRole", "Gives a member another role."),
        (200, schema::done),
        set_role,
    )
    .places(&["name"])
    .body(role_schema),
    Operation::new(
        (Method::Delete, "/api/v1/team/{}", Scope::Team),
        ("teamRemove", "Removes a member, whose sessions end."),
        (200, schema::done),
        remove,
    )
    .places(&["name"]),
    Operation::new(
        (Method::Post, "/api/v1/team/{}/password", Scope::Team),
        ("teamPassword", "Makes a new password for a member."),
        (200, password_schema),
        reset,
    )
    .places(&["name"]),
    Operation::new(
        (Method::Get, "/api/v1/tokens", Scope::Team),
        ("tokenList", "The tokens of the API."),
        (200, tokens_schema),
        tokens,
    ),
    Operation::new(
        (Method::Post, "/api/v1/tokens", Scope::Team),
        ("tokenAdd", "Adds a token; its secret is shown this once."),
        (201, secret_schema),
        token_add,
    )
    .body(new_token_schema),
    Operation::new(
        (Method::Delete, "/api/v1/tokens/{}", Scope::Team),
        (
            "tokenRemove",
            "Removes a token: it is refused from then on.",
        ),
        (200, schema::done),
        token_remove,
    )
    .places(&["name"]),
    Operation::new(
        (Method::Get, "/api/v1/changes", Scope::Read),
        ("changes", "What was changed by whom, newest first."),
        (200, changes_schema),
        changes,
    )
    .query(PAGING),
];

const ROLES: [&str; 3] = ["administrator", "installer", "viewer"];
const SCOPES: [&str; 5] = ["read", "devices", "people", "integrations", "team"];
/// The longest life of a token that ends, days.
const DAYS_MAX: u16 = 3_650;

fn team_schema() -> Value {
    schema::list(schema::object(&[
        ("name", schema::text()),
        ("role", schema::one_of(&ROLES)),
        ("since_unix_s", schema::integer()),
    ]))
}

fn new_member_schema() -> Value {
    schema::object(&[("name", schema::name(64)), ("role", schema::one_of(&ROLES))])
}

fn role_schema() -> Value {
    schema::object(&[("role", schema::one_of(&ROLES))])
}

fn password_schema() -> Value {
    schema::object(&[("name", schema::text()), ("password", schema::text())])
}

fn tokens_schema() -> Value {
    schema::list(schema::object(&[
        ("name", schema::text()),
        ("scopes", schema::list(schema::one_of(&SCOPES))),
        ("since_unix_s", schema::integer()),
        ("until_unix_s", schema::integer_or_null()),
        ("used_unix_s", schema::integer_or_null()),
    ]))
}

fn new_token_schema() -> Value {
    let mut scopes = schema::list(schema::one_of(&SCOPES));
    scopes["minItems"] = json!(1);
    let days = json!({"type": ["integer", "null"], "minimum": 1, "maximum": DAYS_MAX});
    let mut object = schema::partial(&[
        ("name", schema::name(64)),
        ("scopes", scopes),
        ("days", days),
    ]);
    object["required"] = json!(["name", "scopes"]);
    object
}

fn secret_schema() -> Value {
    schema::object(&[("name", schema::text()), ("secret", schema::text())])
}

fn changes_schema() -> Value {
    let change = schema::object(&[
        ("number", schema::integer()),
        ("at_unix_s", schema::integer()),
        ("actor", schema::text()),
        ("action", schema::text()),
        ("subject", schema::text()),
    ]);
    schema::object(&[
        ("changes", schema::list(change)),
        ("next", schema::integer_or_null()),
    ])
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewMember {
    name: String,
    role: Role,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OtherRole {
    role: Role,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Token {
    name: String,
    scopes: Vec<Scope>,
    #[serde(default, deserialize_with = "whole_or_null")]
    days: Option<u16>,
}

fn done(text: &str) -> Response {
    reply::json(200, &json!({"done": text}))
}

fn list(desk: &mut Desk, _call: &Call) -> Result<Response, Failure> {
    let members = desk.read.store.team()?;
    let members = members.iter().map(|member| {
        json!({
            "name": member.name,
            "role": member.role.name(),
            "since_unix_s": member.created_unix_s,
        })
    });
    Ok(reply::json(200, &members.collect()))
}

fn add(desk: &mut Desk, call: &Call) -> Result<Response, Failure> {
    let member: NewMember = call.json()?;
    let password = team::add(desk, call, &member.name, member.role)?;
    let body = json!({"name": member.name, "password": password});
    Ok(reply::json(201, &body))
}

fn set_role(desk: &mut Desk, call: &Call) -> Result<Response, Failure> {
    let other: OtherRole = call.json()?;
    team::set_role(desk, call, call.place(), other.role)?;
    Ok(done("the role is another one now"))
}

fn remove(desk: &mut Desk, call: &Call) -> Result<Response, Failure> {
    team::remove(desk, call, call.place())?;
    Ok(done("removed, and signed out"))
}

fn reset(desk: &mut Desk, call: &Call) -> Result<Response, Failure> {
    let password = team::reset(desk, call, call.place())?;
    let body = json!({"name": call.place(), "password": password});
    Ok(reply::json(200, &body))
}

fn tokens(desk: &mut Desk, _call: &Call) -> Result<Response, Failure> {
    let tokens = desk.read.store.api_tokens()?;
    let tokens = tokens.iter().map(|token| {
        json!({
            "name": token.name,
            "scopes": token.scopes.each().map(Scope::name).collect::<Vec<_>>(),
            "since_unix_s": token.created_unix_s,
            "until_unix_s": token.expires_unix_s,
            "used_unix_s": token.used_unix_s,
        })
    });
    Ok(reply::json(200, &tokens.collect()))
}

fn token_add(desk: &mut Desk, call: &Call) -> Result<Response, Failure> {
    let token: Token = call.json()?;
    if token
        .days
        .is_some_and(|days| !(1..=DAYS_MAX).contains(&days))
    {
        return Err(Failure::BadRequest(format!("days is 1 to {DAYS_MAX}")));
    }
    let scopes = Scopes::of(&token.scopes);
    let secret = team::add_token(desk, call, &token.name, scopes, token.days)?;
    let body = json!({"name": token.name, "secret": secret});
    Ok(reply::json(201, &body))
}

fn token_remove(desk: &mut Desk, call: &Call) -> Result<Response, Failure> {
    team::remove_token(desk, call, call.place())?;
    Ok(done("removed: it is refused from now on"))
}

fn changes(desk: &mut Desk, call: &Call) -> Result<Response, Failure> {
    let filter = AuditFilter {
        changes_only: true,
        ..AuditFilter::default()
    };
    let before = call.number("before", 0..=NUMBER_MAX)?;
    let page = desk.read.audit.page(filter, before, call.rows()?)?;
    let changes: Vec<Value> = page
        .entries
        .into_iter()
        .filter_map(|entry| match entry.entry {
            Entry::Attempt(..) => None,
            Entry::Change(change) => Some(json!({
                "number": entry.sequence,
                "at_unix_s": change.at_unix_us / 1_000_000,
                "actor": change.actor,
                "action": change.action,
                "subject": change.subject,
            })),
        })
        .collect();
    Ok(reply::json(
        200,
        &json!({"changes": changes, "next": page.next}),
    ))
}
