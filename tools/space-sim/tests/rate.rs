//! Many doors at once, and faults in between: the simulated Space's ledger against what the
//! client said.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::HashMap;
use std::time::Duration;

use cardea_space::client::Outcome;
use cardea_space_sim::latency::Latency;
use cardea_space_sim::site::SiteConfig;
use cardea_space_sim::{SimConfig, Simulator};
use common::{Site, config, https, ready, request};

/// With this seed the 21st open meets a tail of 1 %.
const SEED: u64 = 27;

fn site(doors: usize, connections: usize, latency: Latency) -> Site {
    let site = SiteConfig {
        doors,
        seed: SEED,
        ..SiteConfig::default()
    };
    let simulator = Simulator::start(SimConfig {
        site,
        latency,
        ..SimConfig::default()
    })
    .unwrap();
    let endpoint = https(&simulator);
    let mut config = config(endpoint);
    config.connections = connections;
    ready(simulator, config).0
}

/// Opens each door once, all at one instant.
fn open_all(site: &Site, doors: std::ops::Range<u64>, timeout: Duration) -> HashMap<u64, Outcome> {
    let count = doors.clone().count();
    for door in doors {
        site.client
            .open(request(door, &door.to_string(), timeout))
            .unwrap();
    }
    let ends = (0..count).map(|_| site.completion());
    let ends: HashMap<_, _> = ends.map(|end| (end.ticket, end.outcome)).collect();
    assert_eq!(ends.len(), count, "each open ends once");
    ends
}

#[test]
fn seventy_doors_at_one_instant_open_within_two_seconds() {
    let latency = Latency::parse("150,50,1,900").unwrap();
    let site = site(70, 32, latency);
    let ends = open_all(&site, 20_001..20_071, Duration::from_secs(2));
    assert!(
        ends.values().all(|outcome| *outcome == Outcome::Opened),
        "{ends:?}"
    );
    let ledger = site.simulator.ledger();
    let slow = ledger.iter().filter(|entry| entry.held_ms == 900);
    assert!(slow.count() > 0, "no open met the tail: {ledger:?}");
    let mut doors: Vec<_> = ledger.into_iter().map(|entry| entry.door).collect();
    doors.sort_unstable();
    doors.dedup();
    assert_eq!((doors.len(), site.asked_and_opened()), (70, (70, 70)));
}

#[test]
fn under_any_fault_the_ledger_bears_out_what_the_client_says() {
    const OPENS: u64 = 24;
    let faults = [
        "401",
        "500",
        "hang",
        "reset",
        "stale",
        "exception:4",
        "door-error:401",
        "close-idle",
        "trickle:40",
        "garbage",
        "doctype",
        "half-page",
        "wrong-length",
        "lost-reply",
        "late:900",
        "chunked",
    ];
    let site = site(
        faults.len() * OPENS as usize,
        8,
        Latency::parse("3,2,5,30").unwrap(),
    );
    let mut next = 20_001;
    let mut kinds = HashMap::new();
    for (round, fault) in faults.iter().enumerate() {
        site.execute("ledger-clear");
        site.execute(&format!("fault {fault} on=open skip={round} count=6"));
        let ends = open_all(&site, next..next + OPENS, Duration::from_millis(700));
        next += OPENS;
        let ledger = site.simulator.ledger();
        for (door, outcome) in &ends {
            let door = door.to_string();
            let asked: Vec<_> = ledger.iter().filter(|entry| entry.door == door).collect();
            assert!(
                asked.len() <= 1,
                "{fault}: door {door} was asked to open twice"
            );
            let opened = asked.first().is_some_and(|entry| entry.opened);
            match outcome {
                Outcome::Opened => assert!(opened, "{fault}: granted and not opened"),
                Outcome::Refused { .. } => assert!(!opened, "{fault}: refused and opened"),
                Outcome::NotSent(_) => assert!(asked.is_empty(), "{fault}: not sent, yet asked"),
                Outcome::Unknown(_) => {}
            }
            *kinds.entry(std::mem::discriminant(outcome)).or_insert(0) += 1;
        }
        site.execute("clear");
    }
    // The rounds were not all of one kind.
    assert!(kinds.len() >= 3, "{kinds:?}");
}
