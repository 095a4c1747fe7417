//! What happened: access attempts, events, messages that wait; and latency.

use serde_json::{Value, json};

use super::{Operation, PAGING, schema};
use crate::console::call::Call;
use crate::console::desk::Desk;
use crate::console::latency;
use crate::console::log;
use crate::console::reply::{self, Failure};
use crate::histograms::stage::STAGES;
use crate::limits::{API_ROWS, NUMBER_MAX};
use crate::net::{Method, Response};
use crate::store::Scope;

pub(super) const OPERATIONS: &[Operation] = &[
    Operation::new(
        (Method::Get, "/api/v1/attempts", Scope::Read),
        ("attemptList", "Access attempts, newest first."),
        (200, attempts_schema),
        attempts,
    )
    .query(PAGING),
    Operation::new(
        (Method::Get, "/api/v1/events", Scope::Read),
        ("eventList", "The event log, newest first."),
        (200, events_schema),
        events,
    )
    .query(PAGING),
    Operation::new(
        (Method::Get, "/api/v1/pending", Scope::Read),
        ("pendingList", "Messages that wait for a device."),
        (200, pending_schema),
        pending,
    ),
    Operation::new(
        (Method::Get, "/api/v1/latency", Scope::Read),
        ("latency", "Percentiles by stage."),
        (200, latency_schema),
        percentiles,
    )
    .query(&[(
        "span",
        span_schema,
        "The last ten minutes if it is left out.",
    )]),
];

fn span_schema() -> Value {
    schema::one_of(&latency::SPANS.map(|(name, _)| name))
}

fn attempts_schema() -> Value {
    let attempt = schema::object(&[
        ("sequence", schema::integer()),
        (
            "decision",
            schema::one_of(&["granted", "denied", "in-flight", "interrupted"]),
        ),
        ("reason", schema::text()),
        ("at_unix_s", schema::integer()),
        ("door", schema::text()),
        ("device", schema::text()),
        ("person", schema::text_or_null()),
    ]);
    paged("attempts", attempt)
}

fn event_schema() -> Value {
    schema::object(&[
        ("at_unix_s", schema::integer()),
        ("event", schema::text()),
        ("message", schema::text()),
    ])
}

fn events_schema() -> Value {
    paged("events", event_schema())
}

fn pending_schema() -> Value {
    schema::list(event_schema())
}

fn paged(name: &str, of: Value) -> Value {
    schema::object(&[
        (name, schema::list(of)),
        ("next", schema::integer_or_null()),
    ])
}

fn latency_schema() -> Value {
    let number = json!({"type": "number"});
    schema::list(schema::object(&[
        ("stage", schema::text()),
        ("count", schema::integer()),
        ("p50_ms", number.clone()),
        ("p90_ms", number.clone()),
        ("p99_ms", number.clone()),
        ("p999_ms", number.clone()),
        ("max_ms", number),
    ]))
}

fn paging(call: &Call) -> Result<(Option<u64>, usize), Failure> {
    Ok((call.number("before", 0..=NUMBER_MAX)?, call.rows()?))
}

fn attempts(desk: &mut Desk, call: &Call) -> Result<Response, Failure> {
    let (before, limit) = paging(call)?;
    let (rows, next) = log::attempts(desk, before, limit)?;
    let rows = rows.into_iter().map(|row| {
        json!({
            "sequence": row.sequence,
            "decision": row.decision,
            "reason": row.reason,
            "at_unix_s": row.at,
            "door": row.door,
            "device": row.device,
            "person": row.person.map(|person| person.external_id),
        })
    });
    let rows: Vec<_> = rows.collect();
    Ok(reply::json(200, &json!({"attempts": rows, "next": next})))
}

fn described(row: &log::EventRow) -> Value {
    json!({"at_unix_s": row.at, "event": row.event, "message": row.message})
}

fn events(desk: &mut Desk, call: &Call) -> Result<Response, Failure> {
    let (before, limit) = paging(call)?;
    let (rows, next) = log::events(desk, before, limit, str::to_owned)?;
    let rows: Vec<_> = rows.iter().map(described).collect();
    Ok(reply::json(200, &json!({"events": rows, "next": next})))
}

fn pending(desk: &mut Desk, _call: &Call) -> Result<Response, Failure> {
    let rows: Vec<_> = log::pending(desk, API_ROWS)?
        .iter()
        .map(described)
        .collect();
    Ok(reply::json(200, &json!(rows)))
}

fn percentiles(desk: &mut Desk, call: &Call) -> Result<Response, Failure> {
    call.word("span", &latency::SPANS.map(|(name, _)| name))?;
    let series = latency::read(desk, call, latency::span(call))?;
    let rows: Vec<_> = STAGES
        .into_iter()
        .map(|stage| {
            let histogram = series.merged.of(stage);
            let ms = |quantile| histogram.value_at_quantile(quantile) as f64 / 1e3;
            json!({
                "stage": stage.name(),
                "count": histogram.len(),
                "p50_ms": ms(0.5),
                "p90_ms": ms(0.9),
                "p99_ms": ms(0.99),
                "p999_ms": ms(0.999),
                "max_ms": ms(1.0),
            })
        })
        .collect();
    Ok(reply::json(200, &json!(rows)))
}
