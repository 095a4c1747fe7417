//! The integrations: how they are, and how they are set up.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Operation, schema};
use crate::admin::message::{Request, SpaceKey};
use crate::console::call::Call;
use crate::console::desk::Desk;
use crate::console::integrations::space::{self, Saved};
use crate::console::integrations::{self, Name};
use crate::console::reply::{self, Failure};
use crate::net::{Method, Response};
use crate::space::{SpaceSetup, SpaceTrust, Transport};
use crate::store::Scope;
use crate::whole::{whole, whole_or_null};

const SPACE: &str = "/api/v1/integrations/space";

pub(super) const OPERATIONS: &[Operation] = &[
    Operation::new(
        (Method::Get, "/api/v1/integrations", Scope::Read),
        ("integrations", "How every integration is."),
        (200, states_schema),
        states,
    ),
    Operation::new(
        (Method::Get, SPACE, Scope::Integrations),
        ("spaceShow", "How Space is reached, with both keys."),
        (200, space_schema),
        space_show,
    ),
    Operation::new(
        (Method::Put, SPACE, Scope::Integrations),
        (
            "spaceSet",
            "Sets Space up and asks it; keys that are left out are kept or made.",
        ),
        (200, saved_schema),
        space_set,
    )
    .body(new_space_schema),
    Operation::new(
        (Method::Delete, SPACE, Scope::Integrations),
        (
            "spaceRemove",
            "Takes Space's set-up away: the store's own rights decide.",
        ),
        (200, schema::done),
        space_remove,
    ),
    Operation::new(
        (
            Method::Post,
            "/api/v1/integrations/space/test",
            Scope::Integrations,
        ),
        ("spaceTest", "Asks Space as it is set up."),
        (200, saved_schema),
        space_test,
    ),
    Operation::new(
        (
            Method::Post,
            "/api/v1/integrations/space/sync",
            Scope::Integrations,
        ),
        ("spaceSync", "Begins a sync with Space."),
        (200, schema::done),
        space_sync,
    ),
    Operation::new(
        (
            Method::Post,
            "/api/v1/integrations/space/keys/{}",
            Scope::Integrations,
        ),
        ("spaceKey", "Makes the key `ship` or `face` anew."),
        (200, key_schema),
        space_key,
    )
    .places(&["key=ship|face"]),
    Operation::new(
        (
            Method::Get,
            "/api/v1/integrations/space/install-script",
            Scope::Integrations,
        ),
        (
            "spaceInstallScript",
            "The script for Space's machine, as a text in JSON.",
        ),
        (200, script_schema),
        script,
    ),
];

pub(super) const INDICATORS: [&str; 4] = ["connected", "unauthorized", "disconnected", "no-status"];

fn states_schema() -> Value {
    schema::list(schema::object(&[
        ("name", schema::one_of(&["space", "enrolment", "connect"])),
        ("added", schema::boolean()),
        ("configured", schema::boolean()),
        ("status", schema::one_of(&INDICATORS)),
        ("why", schema::text()),
        ("since_unix_s", schema::integer_or_null()),
    ]))
}

fn space_fields() -> Vec<(&'static str, Value)> {
    vec![
        ("host", schema::name(253)),
        (
            "port",
            json!({"type": "integer", "minimum": 1, "maximum": 65_535}),
        ),
        ("transport", schema::one_of(&["https", "tcp"])),
        ("fingerprint", schema::text_or_null()),
        ("ca_pem", schema::text_or_null()),
        (
            "email_field",
            json!({"type": ["integer", "null"], "minimum": 1, "maximum": 5}),
        ),
        ("ship_key", schema::text_or_null()),
    ]
}

fn new_space_schema() -> Value {
    let mut object = schema::partial(&space_fields());
    object["required"] = json!(["host", "port", "transport"]);
    object
}

fn space_schema() -> Value {
    let mut fields = space_fields();
    fields.push(("face_key", schema::text()));
    schema::object(&fields)
}

fn saved_schema() -> Value {
    schema::object(&[
        ("status", schema::one_of(&INDICATORS)),
        ("why", schema::text()),
    ])
}

fn key_schema() -> Value {
    schema::object(&[("key", schema::text())])
}

fn script_schema() -> Value {
    schema::object(&[("script", schema::text())])
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewSpace {
    host: String,
    #[serde(deserialize_with = "whole")]
    port: u16,
    transport: Transport,
    fingerprint: Option<String>,
    ca_pem: Option<String>,
    #[serde(default, deserialize_with = "whole_or_null")]
    email_field: Option<u8>,
    ship_key: Option<String>,
}

fn done(text: &str) -> Response {
    reply::json(200, &json!({"done": text}))
}

fn states(desk: &mut Desk, call: &Call) -> Result<Response, Failure> {
    let states = integrations::states(desk, call)?;
    let states = states.iter().map(|state| {
        json!({
            "name": state.name.name(),
            "added": state.added,
            "configured": state.configured,
            "status": state.indicator.name(),
            "why": state.why,
            "since_unix_s": state.since_unix_s,
        })
    });
    Ok(reply::json(200, &states.collect()))
}

fn space_show(desk: &mut Desk, _call: &Call) -> Result<Response, Failure> {
    let setup = space::setup(desk)?.ok_or(Failure::NotFound)?;
    let (fingerprint, ca_pem) = match setup.trust {
        Some(SpaceTrust::Fingerprint(text)) => (Some(text), None),
        Some(SpaceTrust::CaPem(pem)) => (None, Some(pem)),
        None => (None, None),
    };
    let body = json!({
        "host": setup.host,
        "port": setup.port,
        "transport": setup.transport,
        "fingerprint": fingerprint,
        "ca_pem": ca_pem,
        "email_field": setup.email_field,
        "ship_key": setup.ship_key,
        "face_key": setup.face_key,
    });
    Ok(reply::json(200, &body))
}

fn space_set(desk: &mut Desk, call: &Call) -> Result<Response, Failure> {
    let new: NewSpace = call.json()?;
    if new.host.is_empty() || new.port == 0 {
        return Err(Failure::BadRequest("host or port is missing".to_owned()));
    }
    let trust = match (new.ca_pem, new.fingerprint) {
        (Some(pem), _) => Some(SpaceTrust::CaPem(pem)),
        (None, Some(text)) => Some(SpaceTrust::Fingerprint(text)),
        (None, None) => None,
    };
    let setup = SpaceSetup {
        host: new.host,
        port: new.port,
        transport: new.transport,
        trust,
        email_field: new.email_field,
        ship_key: new.ship_key.unwrap_or_default(),
        face_key: String::new(),
    };
    match space::save(desk, call, setup)? {
        Saved::Shows(fingerprint) => Err(Failure::Refused(format!(
            "nothing says by what to trust Space; it shows the certificate {fingerprint}"
        ))),
        Saved::Hidden(why) => Err(Failure::Refused(format!(
            "nothing says by what to trust Space, and its certificate cannot be seen: {why}"
        ))),
        saved => Ok(saved_json(&saved)),
    }
}

fn saved_json(saved: &Saved) -> Response {
    let (status, why) = match saved {
        Saved::Connected => ("connected", ""),
        Saved::Unauthorized => ("unauthorized", "Space refuses the SHIP key (HTTP 401)"),
        Saved::Disconnected(why) | Saved::Hidden(why) => ("disconnected", why.as_str()),
        Saved::Shows(_) => ("no-status", ""),
    };
    reply::json(200, &json!({"status": status, "why": why}))
}

fn space_remove(desk: &mut Desk, call: &Call) -> Result<Response, Failure> {
    desk.ask(call, Request::SpaceRemove)?;
    integrations::forget(desk, call, Name::Space)?;
    Ok(done("removed: the store's own rights decide now"))
}

fn space_test(desk: &mut Desk, call: &Call) -> Result<Response, Failure> {
    Ok(saved_json(&space::test(desk, call.deadline)?))
}

fn space_sync(desk: &mut Desk, call: &Call) -> Result<Response, Failure> {
    desk.ask(call, Request::SpaceSync)?;
    Ok(done("begun"))
}

fn space_key(desk: &mut Desk, call: &Call) -> Result<Response, Failure> {
    let key = match call.place() {
        "ship" => SpaceKey::Ship,
        "face" => SpaceKey::Face,
        _ => return Err(Failure::NotFound),
    };
    let key = space::rotate(desk, call, key)?;
    Ok(reply::json(200, &json!({"key": key})))
}

fn script(desk: &mut Desk, call: &Call) -> Result<Response, Failure> {
    let script = space::install_script(desk, call)?;
    let script = String::from_utf8_lossy(&script);
    Ok(reply::json(200, &json!({"script": script})))
}
