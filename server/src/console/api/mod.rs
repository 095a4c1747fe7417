//! The JSON API: what the console does, for scripts. An operation is a route and its description;
//! the OpenAPI document is made of them, so that neither can be without the other.

mod devices;
mod enrolment;
mod integrations;
mod invitations;
mod logs;
mod openapi;
mod people;
pub(super) mod schema;
mod services;
mod site;
mod team;

use serde_json::{Value, json};

use super::reply::{self, Failure};
use super::route::{Handle, Needs, Route};
use crate::net::{Method, Response};
use crate::store::Scope;

/// An operation of the API.
pub(super) struct Operation {
    /// Path, method, who may, what serves it.
    pub route: Route,
    /// Its name in the document, unique.
    pub id: &'static str,
    /// What it does, in a sentence.
    pub summary: &'static str,
    /// What stands in the places of the path, by name; `name=a|b` is one of these words.
    pub places: &'static [&'static str],
    /// Parameters of the query.
    pub query: &'static [Parameter],
    /// The body's schema, if it takes one.
    pub body: Option<fn() -> Value>,
    /// The status and the schema of the answer.
    pub answer: (u16, fn() -> Value),
}

impl Operation {
    /// An operation that takes nothing but its path.
    pub(super) const fn new(
        (method, path, scope): (Method, &'static str, Scope),
        (id, summary): (&'static str, &'static str),
        answer: (u16, fn() -> Value),
        handle: Handle,
    ) -> Self {
        let needs = Needs::Scope(scope);
        let route = Route {
            method,
            path,
            needs,
            handle,
        };
        Self {
            route,
            id,
            summary,
            places: &[],
            query: &[],
            body: None,
            answer,
        }
    }

    /// The same with names for the places of the path.
    pub(super) const fn places(mut self, places: &'static [&'static str]) -> Self {
        self.places = places;
        self
    }

    /// The same with parameters of the query.
    pub(super) const fn query(mut self, query: &'static [Parameter]) -> Self {
        self.query = query;
        self
    }

    /// The same with a body.
    pub(super) const fn body(mut self, body: fn() -> Value) -> Self {
        self.body = Some(body);
        self
    }
}

/// A parameter of the query: its name, its schema, and what it says. Read it by [`Call::number`] or
/// [`Call::word`], which refuse what the schema does.
pub(super) type Parameter = (&'static str, fn() -> Value, &'static str);

/// Go on before this number, and at most so many rows.
const PAGING: &[Parameter] = &[
    ("before", schema::number, "Go on before this number."),
    (
        "limit",
        schema::rows,
        "At most this many; 100 if it is left out.",
    ),
];

/// Every operation: to add some, add a file with `OPERATIONS` and its name here.
const ALL: &[&[Operation]] = &[
    invitations::OPERATIONS,
    devices::OPERATIONS,
    enrolment::OPERATIONS,
    integrations::OPERATIONS,
    logs::OPERATIONS,
    openapi::OPERATIONS,
    people::OPERATIONS,
    services::OPERATIONS,
    site::OPERATIONS,
    team::OPERATIONS,
];

pub(super) fn operations() -> impl Iterator<Item = &'static Operation> {
    ALL.iter().flat_map(|operations| operations.iter())
}

/// Every route of the API.
pub(super) fn routes() -> impl Iterator<Item = &'static Route> {
    operations().map(|operation| &operation.route)
}

/// Who asks shows no token, or one that does not hold.
pub(super) fn unauthorized() -> Response {
    let body = json!({
        "title": "Unauthorized",
        "status": 401,
        "detail": "show a token of the API as `Authorization: Bearer ..`",
    });
    reply::json(401, &body).with_field("www-authenticate", "Bearer")
}

/// The path is known and the method is not.
pub(super) fn method(allowed: &[Method]) -> Response {
    let body = json!({
        "title": "Method not allowed",
        "status": 405,
        "detail": "the header Allow names the methods of this path",
    });
    reply::json(405, &body).with_field("allow", &reply::allow(allowed))
}

/// What went wrong, as RFC 9457 has it.
pub(super) fn problem(failure: &Failure) -> Response {
    let (title, detail) = match failure {
        Failure::NotFound => ("Not found", "there is no such thing"),
        Failure::Forbidden => ("Forbidden", "the token's scopes do not allow this"),
        Failure::BadRequest(why) => ("Bad request", why.as_str()),
        Failure::Refused(why) => ("Refused", why.as_str()),
        Failure::Busy => ("Busy", "the server is busy; try again"),
        Failure::Broken(_) => ("Broken", "something failed; the log says what"),
    };
    let status = failure.status();
    let body = json!({"title": title, "status": status, "detail": detail});
    reply::json(status, &body)
}
