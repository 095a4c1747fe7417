//! The site as a whole.

use serde_json::{Value, json};

use super::{Operation, schema};
use crate::console::call::Call;
use crate::console::desk::Desk;
use crate::console::reply::{self, Failure};
use crate::net::{Method, Response};
use crate::store::Scope;

pub(super) const OPERATIONS: &[Operation] = &[Operation::new(
    (Method::Get, "/api/v1/site", Scope::Read),
    ("site", "How much there is, and how the server is."),
    (200, site_schema),
    site,
)];

fn site_schema() -> Value {
    schema::object(&[
        ("name", schema::text()),
        ("address", schema::text()),
        ("ready", schema::boolean()),
        ("people", schema::integer()),
        ("devices", schema::integer()),
        ("doors", schema::integer()),
        ("references", schema::integer()),
    ])
}

fn site(desk: &mut Desk, _call: &Call) -> Result<Response, Failure> {
    let counts = desk.read.store.counts()?;
    let parts = desk.parts();
    let body = json!({
        "name": parts.site_name,
        "address": parts.address().to_string(),
        "ready": parts.site.is_ready() && !parts.site.is_stopping(),
        "people": counts.people,
        "devices": counts.devices,
        "doors": counts.doors,
        "references": counts.references,
    });
    Ok(reply::json(200, &body))
}
