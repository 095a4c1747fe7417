use std::time::SystemTime;

use cardea_wire::{Reason, RequestId, StageTimes};

use super::*;
use crate::probes::{Known, Match, Origin, Person, ProbeKind};

/// Probe 0 is of person 7, probe 1 of a stranger.
fn probes() -> Probes {
    let person = Person {
        tag: 7,
        external_id: "p-7".to_owned(),
    };
    let mated = Known {
        kind: ProbeKind::Mated,
        answer: Some(Match {
            person: person.clone(),
            score_bits: 0.6_f32.to_bits(),
        }),
        truth: Some(person),
        granted: Some(true),
    };
    let stranger = Known {
        kind: ProbeKind::NonMated,
        answer: None,
        truth: None,
        granted: Some(false),
    };
    let origin = Origin {
        seed: 1,
        people: 1,
        threshold: 0.5,
        model: [0; 16],
    };
    Probes::new(origin, vec![([0; 2_048], mated), ([1; 2_048], stranger)]).expect("two probes")
}

fn sample(start: u32, response_us: u64, outcome: Outcome) -> Sample {
    let intended_us = u64::from(start) * 1_000;
    Sample {
        start,
        message: Message::Access,
        probe: start % 2,
        burst: 0,
        lane: Lane::KeptAlive,
        request_id: RequestId([0; 16]),
        intended_us,
        noticed_us: intended_us + 10,
        began_us: intended_us + 20,
        ended_us: intended_us + response_us,
        handshake_us: None,
        resumed: None,
        outcome,
    }
}

fn answer(person: u64) -> Outcome {
    let granted = person != 0;
    Outcome::Answered(Answer {
        granted,
        reason: match granted {
            true => Reason::None,
            false => Reason::NoMatch,
        },
        person,
        score_bits: match granted {
            true => 0.6_f32.to_bits(),
            false => 0,
        },
        times: StageTimes::default(),
    })
}

fn summary(samples: Vec<Sample>) -> Summary {
    let run = Run {
        began: SystemTime::UNIX_EPOCH,
        cpu_us: 500,
        samples,
        failures: Vec::new(),
    };
    Summary::new(&run, &probes())
}

fn count(summary: &Summary, name: &str) -> f64 {
    summary.quantity(name).expect(name).number()
}

#[test]
fn every_outcome_is_counted_where_it_belongs() {
    let mut beat = sample(8, 900, Outcome::Served);
    beat.message = Message::Heartbeat;
    let refused = |reason| Outcome::Refused {
        status: 503,
        reason,
    };
    let summary = summary(vec![
        sample(0, 100, answer(7)),
        sample(1, 200, answer(0)),
        sample(2, 300, answer(0)),
        sample(3, 400, answer(7)),
        sample(4, 500, refused(Some(Reason::Overloaded))),
        sample(5, 600, refused(None)),
        sample(6, 700, Outcome::Failed(Stage::Handshake)),
        beat,
    ]);
    let table = [
        ("requests", 7.0),
        ("granted", 2.0),
        ("denied", 2.0),
        ("refused", 2.0),
        ("errors", 1.0),
        ("errors.handshake", 1.0),
        ("errors.parse", 0.0),
        ("wrong", 2.0),
        ("unexpected", 0.0),
        ("wrong_person", 0.0),
        ("fnir", 0.5),
        ("fpir", 0.5),
        ("heartbeats.requests", 1.0),
        ("heartbeats.p100", 900.0),
        ("p100", 700.0),
        ("max", 700.0),
        ("p50", 400.0),
        ("service.p100", 680.0),
        ("kept-alive.p100", 700.0),
        ("kept-alive.errors", 1.0),
        ("cold.requests", 0.0),
        ("lateness", 10.0),
        ("lateness.p50", 10.0),
        ("server.total.p100", 0.0),
        ("cpu_per_request", 62.0),
    ];
    for (name, expected) in table {
        assert_eq!(count(&summary, name), expected, "{name}");
    }
    assert_eq!(
        summary.reasons.get("refused 503: no reason given"),
        Some(&1)
    );
    assert_eq!(summary.reasons.get("denied: no match"), Some(&2));
}

#[test]
fn a_name_that_means_nothing_is_none() {
    let summary = summary(vec![sample(0, 1, answer(7))]);
    for name in [
        "",
        "p",
        "p101",
        "pNaN",
        "errors.",
        "server.total",
        "cold",
        "cold.",
        "wrongs",
    ] {
        assert_eq!(summary.quantity(name), None, "{name}");
    }
}

#[test]
fn the_spread_of_bursts_is_that_of_the_widest() {
    let mut samples: Vec<Sample> = (0..4).map(|start| sample(start, 50, answer(7))).collect();
    for (sample, (burst, noticed_us)) in
        samples
            .iter_mut()
            .zip([(1, 100), (1, 160), (2, 9_000), (2, 9_070)])
    {
        sample.burst = burst;
        sample.noticed_us = noticed_us;
    }
    assert_eq!(summary(samples).burst_spread_us, 70);
}

#[test]
fn the_worst_are_the_slowest_in_order() {
    let samples = (0..100).map(|start| sample(start, u64::from(start * 37 % 101) + 1, answer(7)));
    let worst = summary(samples.collect()).worst;
    let times: Vec<u64> = worst.iter().map(Sample::response_us).collect();
    assert_eq!(times.len(), WORST_REQUESTS);
    assert!(times.is_sorted_by(|a, b| a >= b));
    assert!(times[WORST_REQUESTS - 1] >= 90, "{times:?}");
}
