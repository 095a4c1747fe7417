//! The JSON API: what the console does, for scripts. An operation is a route and its description;
//! the OpenAPI document is made of them, so that neither can be without the other.

mod devices;
mod integrations;
mod invitations;
mod logs;
mod openapi;
mod people;
pub(super) mod schema;
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
    /// What stands in the places of the path, by name.
    pub places: &'static [&'static str],
    /// Parameters of the query: name and what they say.
    pub query: &'static [(&'static str, &'static str)],
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
    pub(super) const fn query(mut self, query: &'static [(&'static str, &'static str)]) -> Self {
        self.query = query;
        self
    }

    /// The same with a body.
    pub(super) const fn body(mut self, body: fn() -> Value) -> Self {
        self.body = Some(body);
        self
    }
}

/// Every operation: to add some, add a file with `OPERATIONS` and its name here.
const ALL: &[&[Operation]] = &[
    devices::OPERATIONS,
    integrations::OPERATIONS,
    logs::OPERATIONS,
    openapi::OPERATIONS,
    people::OPERATIONS,
    invitations::OPERATIONS,
    openapi::OPERATIONS,
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
