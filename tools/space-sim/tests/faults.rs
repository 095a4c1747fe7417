//! Every way in which the simulated Space misbehaves, against the promise that an open is sent at
//! most once and granted only when Space says so.
#![allow(clippy::unwrap_used)]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use cardea_space::client::{ClientConfig, Event, OpenRefused, Outcome, SpaceClient};
use cardea_space::limits::{CONNECTIONS_MAX, OPEN_QUEUE_MAX, RECOVERY_TIME_MAX};
use cardea_space::status::Connection;
use common::{LONG, config, https, ready, request, simulator, tcp};

/// For faults whose end is the deadline.
const SHORT: Duration = Duration::from_millis(400);

/// What comes of one open while a fault is on, over HTTPS and over TCP, and whether the door
/// opened all the same.
struct Case {
    fault: &'static str,
    timeout: Duration,
    https: fn(&Outcome) -> bool,
    tcp: fn(&Outcome) -> bool,
    opens: bool,
}

fn opened(outcome: &Outcome) -> bool {
    *outcome == Outcome::Opened
}

fn unknown(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Unknown(_))
}

fn refused<const CODE: i32>(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Refused { code, .. } if *code == CODE)
}

const CASES: [Case; 15] = [
    Case {
        fault: "401",
        timeout: LONG,
        https: refused::<401>,
        tcp: unknown,
        opens: false,
    },
    Case {
        fault: "500",
        timeout: LONG,
        https: unknown,
        tcp: unknown,
        opens: false,
    },
    Case {
        fault: "hang",
        timeout: SHORT,
        https: unknown,
        tcp: unknown,
        opens: false,
    },
    Case {
        fault: "reset",
        timeout: LONG,
        https: unknown,
        tcp: unknown,
        opens: false,
    },
    Case {
        fault: "exception:4",
        timeout: LONG,
        https: refused::<4>,
        tcp: refused::<4>,
        opens: false,
    },
    Case {
        fault: "door-error:403",
        timeout: LONG,
        https: refused::<403>,
        tcp: refused::<403>,
        opens: false,
    },
    Case {
        fault: "close-idle",
        timeout: LONG,
        https: opened,
        tcp: opened,
        opens: true,
    },
    Case {
        fault: "chunked",
        timeout: LONG,
        https: opened,
        tcp: opened,
        opens: true,
    },
    Case {
        fault: "trickle:100",
        timeout: SHORT,
        https: unknown,
        tcp: unknown,
        opens: true,
    },
    Case {
        fault: "garbage",
        timeout: LONG,
        https: unknown,
        tcp: unknown,
        opens: true,
    },
    Case {
        fault: "doctype",
        timeout: LONG,
        https: unknown,
        tcp: unknown,
        opens: true,
    },
    Case {
        fault: "half-page",
        timeout: LONG,
        https: unknown,
        tcp: unknown,
        opens: true,
    },
    Case {
        fault: "wrong-length",
        timeout: LONG,
        https: unknown,
        tcp: unknown,
        opens: true,
    },
    Case {
        fault: "lost-reply",
        timeout: LONG,
        https: unknown,
        tcp: unknown,
        opens: true,
    },
    Case {
        fault: "late:5000",
        timeout: SHORT,
        https: unknown,
        tcp: unknown,
        opens: true,
    },
];

#[test]
fn each_fault_ends_as_it_must_and_no_open_is_sent_twice_over_https() {
    let simulator = simulator();
    let endpoint = https(&simulator);
    let (site, _) = ready(simulator, config(endpoint));
    for case in CASES {
        check(&site, &case, case.https);
    }
}

#[test]
fn each_fault_ends_as_it_must_and_no_open_is_sent_twice_over_tcp() {
    let simulator = simulator();
    let endpoint = tcp(&simulator);
    let (site, _) = ready(simulator, config(endpoint));
    for case in CASES {
        check(&site, &case, case.tcp);
    }
}

fn check(site: &common::Site, case: &Case, expected: fn(&Outcome) -> bool) {
    let fault = case.fault;
    site.execute("ledger-clear");
    site.execute(&format!("fault {fault} on=open"));
    let outcome = site.open("20001", case.timeout);
    assert!(expected(&outcome), "{fault}: {outcome:?}");
    assert_eq!(
        site.asked_and_opened(),
        (1, usize::from(case.opens)),
        "{fault}"
    );
    site.execute("clear");
    if fault == "close-idle" {
        // The monitor's connection stays.
        site.settled(1);
    }
    // What comes after a fault is not harmed by it.
    assert_eq!(site.open("20002", LONG), Outcome::Opened, "after {fault}");
    let ledger = site.simulator.ledger();
    assert_eq!(ledger.len(), 2, "after {fault}");
    assert!(
        ledger[1].answered && ledger[1].door == "20002",
        "after {fault}"
    );
}

#[test]
fn a_kept_connection_that_is_reset_at_the_first_byte_is_not_tried_again() {
    for over_tcp in [false, true] {
        let simulator = simulator();
        let endpoint = if over_tcp {
            tcp(&simulator)
        } else {
            https(&simulator)
        };
        let (site, _) = ready(simulator, config(endpoint));
        assert_eq!(site.open("20001", LONG), Outcome::Opened);
        // The monitor's connection is idle for 10 s from now, so that the next to use a kept one
        // is the open.
        site.execute("fault stale count=1");
        let outcome = site.open("20001", LONG);
        assert!(matches!(outcome, Outcome::Unknown(_)), "{outcome:?}");
        assert_eq!(site.asked_and_opened(), (1, 1));
        assert_eq!(site.open("20001", LONG), Outcome::Opened);
        assert_eq!(site.asked_and_opened(), (2, 2));
    }
}

#[test]
fn a_connection_that_space_closed_while_it_was_idle_is_replaced_unnoticed() {
    let simulator = simulator();
    let endpoint = https(&simulator);
    let (site, _) = ready(simulator, config(endpoint));
    for round in 1..=5 {
        site.execute("fault close-idle on=open");
        assert_eq!(site.open("20001", LONG), Outcome::Opened);
        site.execute("clear");
        site.settled(1);
        assert_eq!(site.open("20001", LONG), Outcome::Opened);
        assert_eq!(site.asked_and_opened(), (2 * round, 2 * round));
    }
}

#[test]
fn an_open_that_the_last_look_forbids_is_not_sent() {
    let simulator = simulator();
    let endpoint = https(&simulator);
    let (site, _) = ready(simulator, config(endpoint));
    for kept_connection in [false, true] {
        let withdrawn = Arc::new(AtomicBool::new(true));
        let look = Arc::clone(&withdrawn);
        let mut open = request(1, "20001", LONG);
        open.may_send = Box::new(move || !look.load(Ordering::Acquire));
        site.client.open(open).unwrap();
        let outcome = site.completion().outcome;
        assert!(
            matches!(outcome, Outcome::NotSent(_)),
            "{kept_connection}: {outcome:?}"
        );
        assert!(site.simulator.ledger().is_empty());
        if !kept_connection {
            assert_eq!(site.open("20001", LONG), Outcome::Opened);
            site.execute("ledger-clear");
        }
    }
}

#[test]
fn a_full_queue_and_a_deadline_that_is_over_are_refused_without_asking_space() {
    let simulator = simulator();
    let endpoint = https(&simulator);
    let mut config = config(endpoint);
    config.queue = 2;
    let (site, _) = ready(simulator, config);
    let past = request(9, "20001", Duration::ZERO);
    site.client.open(past).unwrap();
    let completion = site.completion();
    assert_eq!(completion.ticket, 9);
    assert!(matches!(completion.outcome, Outcome::NotSent(_)));
    assert!(site.simulator.ledger().is_empty());

    site.execute("fault hang on=open");
    let mut taken = 0;
    let refused = loop {
        match site.client.open(request(taken, "20001", SHORT)) {
            Ok(()) => taken += 1,
            Err(refused) => break refused,
        }
    };
    assert_eq!(refused, OpenRefused::QueueFull);
    assert!((2..=3).contains(&taken), "{taken}");
    let mut tickets: Vec<_> = (0..taken).map(|_| site.completion().ticket).collect();
    tickets.sort_unstable();
    assert_eq!(tickets, (0..taken).collect::<Vec<_>>());
}

#[test]
fn a_panic_in_what_the_server_handed_in_harms_only_that_one_open() {
    let simulator = simulator();
    let endpoint = https(&simulator);
    let (site, _) = ready(simulator, config(endpoint));
    let mut open = request(1, "20001", LONG);
    open.may_send = Box::new(|| panic!("this is part of the test"));
    site.client.open(open).unwrap();
    let outcome = site.completion().outcome;
    assert!(matches!(outcome, Outcome::Unknown(_)), "{outcome:?}");
    assert_eq!(site.open("20001", LONG), Outcome::Opened);
    assert_eq!(site.asked_and_opened(), (1, 1));
}

#[test]
fn a_panic_in_the_servers_notice_of_a_change_does_not_end_the_watch() {
    let simulator = simulator();
    let (sender, events) = crossbeam_channel::unbounded();
    let is_first = AtomicBool::new(true);
    let notify = move |event| {
        assert!(
            !is_first.swap(false, Ordering::AcqRel),
            "this is part of the test"
        );
        drop(sender.send(event));
    };
    let client = SpaceClient::start(config(https(&simulator)), Arc::new(notify)).unwrap();
    // The sync follows the first change, whose notice panicked.
    let synced = events.recv_timeout(LONG).unwrap();
    assert!(matches!(synced, Event::Synced(_)), "{synced:?}");
    simulator.execute("fault 500").unwrap();
    let changed = events.recv_timeout(LONG).unwrap();
    assert!(matches!(changed, Event::StatusChanged(_)), "{changed:?}");
    client.stop();
}

#[test]
fn stopping_breaks_off_a_sync_and_a_probe_that_hang() {
    for scope in ["list", "info"] {
        let simulator = simulator();
        let endpoint = https(&simulator);
        let (site, _) = ready(simulator, config(endpoint));
        site.execute(&format!("fault hang on={scope}"));
        let before = requests(&site);
        site.client.sync_now();
        if scope == "info" {
            // An open that fails makes the monitor look.
            site.execute("fault hang");
            let _ = site.open("20001", SHORT);
        }
        while requests(&site) == before {
            std::thread::yield_now();
        }
        let began = Instant::now();
        drop(site.client);
        // A page may take 30 s.
        assert!(began.elapsed() < Duration::from_secs(10), "{scope}");
    }
}

fn requests(site: &common::Site) -> serde_json::Value {
    site.simulator.execute("status").unwrap()["requests"].clone()
}

#[test]
fn a_client_beyond_its_limits_does_not_start() {
    let simulator = simulator();
    let changes: [fn(&mut ClientConfig); 6] = [
        |config| config.connections = 0,
        |config| config.connections = CONNECTIONS_MAX + 1,
        |config| config.queue = 0,
        |config| config.queue = OPEN_QUEUE_MAX + 1,
        |config| config.sync.page_size = 0,
        |config| config.sync.email_field = Some(6),
    ];
    for change in changes {
        let mut config = config(https(&simulator));
        change(&mut config);
        assert!(SpaceClient::start(config, Arc::new(|_| ())).is_err());
    }
    let mut config = config(https(&simulator));
    (config.connections, config.queue) = (CONNECTIONS_MAX, OPEN_QUEUE_MAX);
    let (site, _) = ready(simulator, config);
    assert_eq!(site.open("20001", LONG), Outcome::Opened);
}

#[test]
fn stopping_completes_whatever_was_taken() {
    let simulator = simulator();
    let endpoint = https(&simulator);
    let (site, _) = ready(simulator, config(endpoint));
    site.execute("fault hang on=open");
    for ticket in 0..5 {
        site.client.open(request(ticket, "20001", SHORT)).unwrap();
    }
    // Stopping waits for the open that hangs.
    drop(site.client);
    let mut outcomes = Vec::new();
    while let Ok(event) = site.events.try_recv() {
        if let Event::Opened(completion) = event {
            outcomes.push(completion.outcome);
        }
    }
    assert_eq!(outcomes.len(), 5);
    assert!(!outcomes.contains(&Outcome::Opened));
    assert!(site.simulator.ledger().len() <= 1);
}

#[test]
fn a_space_that_is_gone_or_hangs_is_disconnected_and_comes_back_in_time() {
    for fault in ["gone", "hang", "500", "garbage"] {
        let simulator = simulator();
        let endpoint = https(&simulator);
        let (site, _) = ready(simulator, config(endpoint));
        site.execute(&format!("fault {fault}"));
        // The first open after it finds out; nobody has to wait for the next probe.
        let outcome = site.open("20001", SHORT);
        assert!(!opened(&outcome), "{fault}: {outcome:?}");
        let status = site.until(Connection::Disconnected);
        assert!(!status.why.is_empty(), "{fault}");
        let refused = site.client.open(request(2, "20001", LONG)).unwrap_err();
        assert_eq!(
            refused,
            OpenRefused::Unavailable(Connection::Disconnected),
            "{fault}"
        );
        assert!(
            refused
                .to_string()
                .starts_with("access control unavailable")
        );
        let returned = Instant::now();
        site.execute("clear");
        assert_eq!(site.status().connection, Connection::Connected, "{fault}");
        let took = returned.elapsed();
        assert!(
            took < RECOVERY_TIME_MAX + Duration::from_secs(2),
            "{fault}: {took:?}"
        );
        site.execute("ledger-clear");
        assert_eq!(site.open("20001", LONG), Outcome::Opened, "{fault}");
        assert_eq!(site.asked_and_opened(), (1, 1), "{fault}");
    }
}
