//! The Enrolment Service: who is in charge, and what people are told.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Operation, schema};
use crate::console::call::Call;
use crate::console::desk::Desk;
use crate::console::integrations::{policy, service};
use crate::console::reply::{self, Failure};
use crate::enrol::EnrolmentSetup;
use crate::net::{Method, Response};
use crate::store::Scope;

pub(super) const OPERATIONS: &[Operation] = &[
    Operation::new(
        (Method::Get, "/api/v1/integrations/enrolment", Scope::Read),
        (
            "enrolmentServiceShow",
            "The company in charge and its privacy policy.",
        ),
        (200, enrolment_schema),
        enrolment_show,
    ),
    Operation::new(
        (
            Method::Put,
            "/api/v1/integrations/enrolment",
            Scope::Integrations,
        ),
        (
            "enrolmentServiceSet",
            "Sets company and privacy policy, which must say how biometric data is used. \
             Null leaves the rest as it is.",
        ),
        (200, check_schema),
        enrolment_set,
    )
    .body(new_enrolment_schema),
];

const FOUND: [&str; 5] = ["good", "silent", "closed", "unreachable", "not-https"];

fn check_schema() -> Value {
    schema::object(&[("found", schema::one_of(&FOUND)), ("why", schema::text())])
}

fn enrolment_schema() -> Value {
    schema::object(&[
        ("company", schema::text()),
        ("policy_address", schema::text()),
        ("policy_version", schema::text()),
        ("alternative", schema::text()),
        ("device", schema::text()),
        ("pages_url", schema::text()),
        ("outdated_consents", schema::integer()),
        ("found", json!({"type": ["string", "null"]})),
        ("why", schema::text()),
    ])
}

fn new_enrolment_schema() -> Value {
    let mut object = schema::partial(&[
        ("company", schema::name(200)),
        ("policy_address", schema::name(1_024)),
        ("policy_version", schema::text_or_null()),
        ("alternative", schema::text_or_null()),
        ("device", schema::text_or_null()),
        ("pages_url", schema::text_or_null()),
    ]);
    object["required"] = json!(["company", "policy_address"]);
    object
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewEnrolment {
    company: String,
    policy_address: String,
    policy_version: Option<String>,
    alternative: Option<String>,
    device: Option<String>,
    pages_url: Option<String>,
}

fn enrolment_show(desk: &mut Desk, _call: &Call) -> Result<Response, Failure> {
    let settings = policy::settings(desk)?;
    let check = settings.check;
    let more = service::settings(desk)?;
    let body = json!({
        "company": settings.company,
        "policy_address": settings.policy_address,
        "policy_version": more.policy_version,
        "alternative": more.alternative,
        "device": more.device,
        "pages_url": more.pages_url,
        "outdated_consents": service::outdated(desk)?.people,
        "found": check.as_ref().map(|check| check.found.name()),
        "why": check.map(|check| check.why).unwrap_or_default(),
    });
    Ok(reply::json(200, &body))
}

fn enrolment_set(desk: &mut Desk, call: &Call) -> Result<Response, Failure> {
    let new: NewEnrolment = call.json()?;
    let more = EnrolmentSetup {
        company: None,
        policy_url: None,
        policy_version: new.policy_version,
        alternative: new.alternative,
        device: new.device,
        pages_url: new.pages_url,
    };
    let first = (new.company.as_str(), new.policy_address.as_str());
    let check = service::save(desk, call, first, more)?;
    let body = json!({"found": check.found.name(), "why": check.why});
    Ok(reply::json(200, &body))
}
