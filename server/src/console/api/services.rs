//! Connect, and the mail relay of the Enrolment Service.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Operation, schema};
use crate::console::call::Call;
use crate::console::desk::Desk;
use crate::console::integrations::connect::{self, Joining};
use crate::console::integrations::{self, Name, service};
use crate::console::reply::{self, Failure};
use crate::enrol::{MailSetup, MailTls};
use crate::net::{Method, Response};
use crate::store::{Scope, SettingKey};
use crate::whole::whole;

const CONNECT: &str = "/api/v1/integrations/connect";
const MAIL: &str = "/api/v1/integrations/enrolment/mail";

pub(super) const OPERATIONS: &[Operation] = &[
    Operation::new(
        (Method::Get, CONNECT, Scope::Read),
        ("connectShow", "How Connect is."),
        (200, connect_schema),
        connect_show,
    ),
    Operation::new(
        (Method::Post, CONNECT, Scope::Integrations),
        (
            "connectJoin",
            "Joins with a code; `waits` if the authority takes longer than an answer may.",
        ),
        (200, schema::done),
        connect_join,
    )
    .body(code_schema),
    Operation::new(
        (Method::Delete, CONNECT, Scope::Integrations),
        ("connectLeave", "Leaves: key and certificate are removed."),
        (200, schema::done),
        connect_leave,
    ),
    Operation::new(
        (Method::Get, MAIL, Scope::Read),
        ("mailShow", "The mail relay, and what became of all mails."),
        (200, mail_schema),
        mail_show,
    ),
    Operation::new(
        (Method::Put, MAIL, Scope::Integrations),
        (
            "mailSet",
            "Sets the mail relay and tries it; a password that is left out is kept.",
        ),
        (200, tried_schema),
        mail_set,
    )
    .body(new_mail_schema),
    Operation::new(
        (Method::Delete, MAIL, Scope::Integrations),
        ("mailRemove", "Sends no more mail."),
        (200, schema::done),
        mail_remove,
    ),
];

fn connect_schema() -> Value {
    schema::object(&[
        ("joined", schema::boolean()),
        ("status", schema::one_of(&super::integrations::INDICATORS)),
        ("why", schema::text()),
        ("site", schema::text()),
        ("broker", schema::text()),
        ("certificate_until", schema::text()),
    ])
}

fn code_schema() -> Value {
    schema::object(&[("code", schema::name(4_096))])
}

fn mail_schema() -> Value {
    schema::object(&[
        ("host", schema::text_or_null()),
        ("port", schema::integer_or_null()),
        ("sent", schema::integer()),
        ("waiting", schema::integer()),
        ("failing", schema::integer()),
        ("refused", schema::integer()),
        ("error", schema::text()),
    ])
}

fn tried_schema() -> Value {
    schema::object(&[("works", schema::boolean()), ("why", schema::text())])
}

fn new_mail_schema() -> Value {
    let port = json!({"type": "integer", "minimum": 1, "maximum": 65_535});
    let mut object = schema::partial(&[
        ("host", schema::name(253)),
        ("port", port),
        ("tls", schema::one_of(&["tls", "starttls", "none"])),
        ("from", schema::name(254)),
        ("user", schema::text_or_null()),
        ("password", schema::text_or_null()),
        ("ca_pem", schema::text_or_null()),
    ]);
    object["required"] = json!(["host", "port", "tls", "from"]);
    object
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewCode {
    code: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewMail {
    host: String,
    #[serde(deserialize_with = "whole")]
    port: u16,
    tls: MailTls,
    from: String,
    user: Option<String>,
    password: Option<String>,
    ca_pem: Option<String>,
}

fn done(text: &str) -> Response {
    reply::json(200, &json!({"done": text}))
}

fn connect_show(desk: &mut Desk, call: &Call) -> Result<Response, Failure> {
    let states = integrations::states(desk, call)?;
    let state = states.into_iter().find(|state| state.name == Name::Connect);
    let state = state.ok_or(Failure::NotFound)?;
    let facts = connect::facts(desk, call)?;
    let body = json!({
        "joined": state.configured,
        "status": state.indicator.name(),
        "why": state.why,
        "site": connect::fact(&facts, "site"),
        "broker": connect::fact(&facts, "broker"),
        "certificate_until": connect::fact(&facts, "certificate until"),
    });
    Ok(reply::json(200, &body))
}

fn connect_join(desk: &mut Desk, call: &Call) -> Result<Response, Failure> {
    let new: NewCode = call.json()?;
    Ok(match connect::join(desk, call, &new.code)? {
        Joining::Joined => done("joined"),
        Joining::Waits => done("waits"),
    })
}

fn connect_leave(desk: &mut Desk, call: &Call) -> Result<Response, Failure> {
    if desk
        .read
        .store
        .setting(SettingKey::CONNECT_SEALED)?
        .is_none()
    {
        return Err(Failure::NotFound);
    }
    connect::leave(desk, call)?;
    Ok(done("left"))
}

fn mail_show(desk: &mut Desk, call: &Call) -> Result<Response, Failure> {
    // Only who may change the relay sees how it is reached.
    let setup = match call.who.may(Scope::Integrations) {
        true => service::mail_setup(desk)?,
        false => None,
    };
    let counts = service::mail_state(desk)?.counts;
    let body = json!({
        "host": setup.as_ref().map(|mail| mail.host.clone()),
        "port": setup.as_ref().map(|mail| mail.port),
        "sent": counts.sent,
        "waiting": counts.waiting,
        "failing": counts.failing,
        "refused": counts.refused,
        "error": counts.error,
    });
    Ok(reply::json(200, &body))
}

fn mail_set(desk: &mut Desk, call: &Call) -> Result<Response, Failure> {
    let new: NewMail = call.json()?;
    if new.port == 0 {
        return Err(Failure::BadRequest("the port is 1 to 65535".to_owned()));
    }
    let setup = MailSetup {
        host: new.host,
        port: new.port,
        tls: new.tls,
        from: new.from,
        user: new.user,
        password: new.password,
        ca_pem: new.ca_pem,
    };
    let why = service::save_mail(desk, call, setup)?;
    let body = json!({"works": why.is_none(), "why": why.unwrap_or_default()});
    Ok(reply::json(200, &body))
}

fn mail_remove(desk: &mut Desk, call: &Call) -> Result<Response, Failure> {
    service::remove_mail(desk, call)?;
    Ok(done("removed: invitations are printed"))
}
