//! A run for people (text) and for programs (JSON).

use std::fmt::Write;
use std::time::UNIX_EPOCH;

use serde_json::{Value, json};

use crate::histogram::Times;
use crate::sample::{Outcome, Sample};
use crate::summary::{Summary, Tally};
use crate::verdict::{Checked, Quantity, Verdict};

const PERCENTS: [(&str, f64); 6] = [
    ("p50", 50.0),
    ("p90", 90.0),
    ("p99", 99.0),
    ("p99.9", 99.9),
    ("p99.99", 99.99),
    ("p100", 100.0),
];

/// The table, the worst requests, the conditions and the verdict.
#[must_use]
pub fn text(summary: &Summary, checked: &[Checked], verdict: &Verdict) -> String {
    let mut out = String::new();
    push_counts(&mut out, summary);
    push_times(&mut out, summary);
    push_worst(&mut out, summary);
    for (text, count) in &summary.failures {
        line(&mut out, format_args!("failure ({count} times): {text}"));
    }
    for checked in checked {
        let word = if checked.holds { "holds" } else { "FAILS" };
        let text = format_args!("{word}  {}  (found {})", checked.condition, checked.found);
        line(&mut out, text);
    }
    let word = match verdict {
        Verdict::Holds if checked.is_empty() => "nothing asserted".to_owned(),
        Verdict::Holds => "all assertions hold".to_owned(),
        Verdict::Fails => "an assertion FAILS".to_owned(),
        Verdict::Void(why) => format!("VOID: {why}"),
    };
    line(&mut out, format_args!("verdict: {word}"));
    out
}

/// The same as JSON. Times are microseconds.
#[must_use]
pub fn json(summary: &Summary, checked: &[Checked], verdict: &Verdict) -> Value {
    let since_epoch = summary.began.duration_since(UNIX_EPOCH).unwrap_or_default();
    let lanes = summary.lanes.iter();
    let lanes: serde_json::Map<String, Value> = lanes
        .map(|(lane, tally)| (lane.name().to_owned(), tally_json(tally)))
        .collect();
    let stages = summary.server.stages().into_iter();
    let stages: serde_json::Map<String, Value> = stages
        .map(|(name, times)| (name.to_owned(), times_json(times)))
        .collect();
    let errors = summary.errors.iter();
    let errors: serde_json::Map<String, Value> = errors
        .map(|(stage, count)| (stage.name().to_owned(), json!(count)))
        .collect();
    let checked: Vec<Value> = checked
        .iter()
        .map(|checked| {
            json!({
                "condition": checked.condition.to_string(),
                "found": checked.found.number(),
                "holds": checked.holds,
            })
        })
        .collect();
    json!({
        "format": "cardea-loadtest-1",
        "began_unix_ms": since_epoch.as_millis() as u64,
        "duration_us": summary.duration_us,
        "generator_cpu_us": summary.cpu_us,
        "all": tally_json(&summary.all),
        "lanes": lanes,
        "heartbeats": tally_json(&summary.heartbeats),
        "server": stages,
        "wrong": summary.judged.wrong,
        "unexpected": summary.judged.unexpected,
        "mated": summary.judged.mated,
        "false_negatives": summary.judged.false_negatives,
        "fnir": summary.judged.fnir().number(),
        "non_mated": summary.judged.non_mated,
        "false_positives": summary.judged.false_positives,
        "fpir": summary.judged.fpir().number(),
        "wrong_person": summary.judged.wrong_person,
        "errors_by_stage": errors,
        "reasons": summary.reasons,
        "lateness": times_json(&summary.lateness),
        "burst_spread_us": summary.burst_spread_us,
        "worst": summary.worst.iter().map(worst_json).collect::<Vec<_>>(),
        "failures": summary.failures,
        "assertions": checked,
        "verdict": match verdict {
            Verdict::Holds => "holds",
            Verdict::Fails => "fails",
            Verdict::Void(_) => "void",
        },
        "void_because": match verdict {
            Verdict::Void(why) => Some(why),
            Verdict::Holds | Verdict::Fails => None,
        },
    })
}

fn push_counts(out: &mut String, summary: &Summary) {
    let all = &summary.all;
    let seconds = summary.duration_us as f64 / 1e6;
    line(
        out,
        format_args!(
            "requests {} in {seconds:.2} s: granted {}, denied {}, refused {}, errors {}",
            all.requests, all.granted, all.denied, all.refused, all.errors
        ),
    );
    for (reason, count) in &summary.reasons {
        line(out, format_args!("  {reason}: {count}"));
    }
    for (stage, count) in &summary.errors {
        line(out, format_args!("  error at {}: {count}", stage.name()));
    }
    let judged = &summary.judged;
    line(
        out,
        format_args!(
            "against the exhaustive search: wrong {}, unexpected decision {}",
            judged.wrong, judged.unexpected
        ),
    );
    line(
        out,
        format_args!(
            "against the truth: FNIR {} ({} of {}), FPIR {} ({} of {}), wrong person {}",
            judged.fnir(),
            judged.false_negatives,
            judged.mated,
            judged.fpir(),
            judged.false_positives,
            judged.non_mated,
            judged.wrong_person
        ),
    );
}

fn push_times(out: &mut String, summary: &Summary) {
    let mut heading = format!("\n{:<26}{:>9}", "milliseconds", "count");
    for (name, _) in PERCENTS {
        let _ = write!(heading, "{name:>10}");
    }
    line(out, format_args!("{heading}"));
    push_row(out, "response time", &summary.all.response);
    push_row(out, "service time", &summary.all.service);
    for (lane, tally) in &summary.lanes {
        if summary.lanes.len() > 1 {
            push_row(out, &format!("{} response", lane.name()), &tally.response);
            push_row(out, &format!("{} service", lane.name()), &tally.service);
        }
        if tally.handshake.count() > 0 {
            push_row(out, &format!("{} handshake", lane.name()), &tally.handshake);
            let resumed = tally.resumed;
            line(out, format_args!("  of these resumed: {resumed}"));
        }
    }
    for (stage, times) in summary.server.stages() {
        push_row(out, &format!("server: {stage}"), times);
    }
    if summary.heartbeats.requests > 0 {
        push_row(out, "heartbeats", &summary.heartbeats.response);
        // A device has one connection: its heartbeat is sent after its own request's answer.
        push_row(out, "  once sent", &summary.heartbeats.service);
        let (refused, errors) = (summary.heartbeats.refused, summary.heartbeats.errors);
        line(
            out,
            format_args!("  of these refused: {refused}, errors: {errors}"),
        );
    }
    push_row(out, "generator's lateness", &summary.lateness);
    let spread = Quantity::TimeUs(summary.burst_spread_us);
    let cpu = summary.cpu_per_request_us();
    line(
        out,
        format_args!(
            "spread of a burst's starts: {spread}; generator's CPU a request: {cpu:.1} us"
        ),
    );
}

fn push_row(out: &mut String, name: &str, times: &Times) {
    let mut row = format!("{name:<26}{:>9}", times.count());
    for (_, percent) in PERCENTS {
        let _ = write!(row, "{:>10.3}", times.percentile_us(percent) as f64 / 1e3);
    }
    line(out, format_args!("{row}"));
}

fn push_worst(out: &mut String, summary: &Summary) {
    line(
        out,
        format_args!(
            "\nworst requests (ms)       at response   service handshake | queue  search  record \
             authorise  total  request id, outcome"
        ),
    );
    for sample in &summary.worst {
        let ms = |us: u64| us as f64 / 1e3;
        let mut row = format!(
            "{:>18.1} ms {:>14.3} {:>9.3} {:>9.3} |",
            ms(sample.intended_us),
            ms(sample.response_us()),
            ms(sample.service_us()),
            ms(sample.handshake_us.unwrap_or(0))
        );
        if let Outcome::Answered(answer) = &sample.outcome {
            let t = answer.times;
            for us in [
                t.queue_us,
                t.search_us,
                t.record_us,
                t.authorise_us,
                t.total_us,
            ] {
                let _ = write!(row, " {:>7.3}", ms(u64::from(us)));
            }
        } else {
            row.push_str(&" ".repeat(40));
        }
        let outcome = outcome_text(&sample.outcome);
        line(out, format_args!("{row}  {} {outcome}", sample.request_id));
    }
    line(out, format_args!(""));
}

fn outcome_text(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Answered(answer) if answer.granted => "granted".to_owned(),
        Outcome::Answered(answer) => format!("denied: {}", answer.reason),
        Outcome::Served => "served".to_owned(),
        Outcome::Refused { status, reason } => {
            let reason = reason.map_or("no reason given", cardea_wire::Reason::text);
            format!("refused {status}: {reason}")
        }
        Outcome::Failed(stage) => format!("failed at {}", stage.name()),
    }
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{text}");
}

fn tally_json(tally: &Tally) -> Value {
    json!({
        "requests": tally.requests,
        "granted": tally.granted,
        "denied": tally.denied,
        "refused": tally.refused,
        "errors": tally.errors,
        "resumed": tally.resumed,
        "response": times_json(&tally.response),
        "service": times_json(&tally.service),
        "handshake": times_json(&tally.handshake),
    })
}

fn times_json(times: &Times) -> Value {
    let mut fields = serde_json::Map::new();
    fields.insert("count".to_owned(), json!(times.count()));
    fields.insert("mean".to_owned(), json!(times.mean_us()));
    for (name, percent) in PERCENTS {
        fields.insert(name.to_owned(), json!(times.percentile_us(percent)));
    }
    Value::Object(fields)
}

fn worst_json(sample: &Sample) -> Value {
    let times = match &sample.outcome {
        Outcome::Answered(answer) => Some(answer.times),
        Outcome::Served | Outcome::Refused { .. } | Outcome::Failed(_) => None,
    };
    json!({
        "request_id": sample.request_id.to_string(),
        "start": sample.start,
        "lane": sample.lane.name(),
        "intended_us": sample.intended_us,
        "lateness_us": sample.lateness_us(),
        "response_us": sample.response_us(),
        "service_us": sample.service_us(),
        "handshake_us": sample.handshake_us,
        "outcome": outcome_text(&sample.outcome),
        "server_us": times.map(|t| json!({
            "queue": t.queue_us,
            "search": t.search_us,
            "record": t.record_us,
            "authorise": t.authorise_us,
            "total": t.total_us,
        })),
    })
}
