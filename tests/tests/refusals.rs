//! Refused before a message is looked at: a path or a method that is none, and a device that asks
//! for more at once than it may.

use std::time::{Duration, Instant};

use cardea_loadtest::tls;
use cardea_tests::device::{access, new_id};
use cardea_tests::raw::{Raw, status};
use cardea_tests::space::{GRANTED, SpaceSite, denied, until, verdict};
use cardea_tests::{Site, face};
use cardea_wire::{Decision, Reason, path};

/// `limits::ATTEMPTS_PER_DEVICE_MAX` of the server.
const ATTEMPTS_PER_DEVICE_MAX: usize = 4;
/// `limits::ANSWER_DEADLINE_MS_MAX`: so long Space may hold an attempt.
const ANSWER_DEADLINE: Duration = Duration::from_secs(2);
/// A machine on which four attempts always take longer than their deadline is of no use.
const ROUNDS_MAX: usize = 30;

/// Fails without `self.attempts.admit(device.id)?` in `Api::take_on`: four connections are all that
/// a device has, but the attempt of one that was closed for a fifth goes on while Space opens.
#[test]
fn a_device_with_four_attempts_in_flight_is_told_so_and_no_other() {
    let mut site = SpaceSite::start(5, &[], &["--users", "5", "--doors", "5"]);
    let mut devices = site.devices(20_001..=20_002).into_iter();
    let (mut device, mut other) = (devices.next().expect("one"), devices.next().expect("two"));
    assert_eq!(other.heartbeat().0, 200);
    site.space.command("fault hang on=open");
    let mut rounds = 0;
    let refused = loop {
        rounds += 1;
        assert!(rounds <= ROUNDS_MAX, "a fifth attempt is taken");
        let (begun, asked) = (Instant::now(), site.space.ledger().len());
        let ask = |person| Raw::ask(&device.identity, site.server.address, person);
        let held: Vec<Raw> = (0..4).map(ask).collect();
        until("Space is asked", || {
            site.space.ledger().len() == asked + ATTEMPTS_PER_DEVICE_MAX
        });
        let fifth = device.send(path::ACCESS, &access(new_id(), &face(4)));
        if fifth.0 == 429 {
            // Whom else the door of another device would open for is looked at as ever.
            assert_eq!(other.access(&face(999)).reason, Reason::NoMatch);
            break fifth.1;
        }
        // Only time makes room: the first of them was answered, late.
        assert!(begun.elapsed() >= ANSWER_DEADLINE, "{fifth:?}");
        device.disconnect();
        drop(held);
    };
    assert_eq!(
        (refused.decision, refused.reason, refused.person),
        (Decision::Refused, Reason::DeviceBudget, 0)
    );
    site.space.command("clear");
    until("there is room again", || {
        let verdict = verdict(&device.access(&face(4)));
        let waits = (Decision::Refused, Reason::DeviceBudget);
        let space = denied(Reason::SpaceUnavailable);
        assert!([GRANTED, waits, space].contains(&verdict), "{verdict:?}");
        verdict == GRANTED
    });
    site.compare();
}

/// Fails without `Err(Response::empty(404))` in `route::find`, or with another `Allow` than the
/// method that is served.
#[test]
fn a_path_or_method_that_is_none_is_told_which_is() {
    let site = Site::new();
    let server = site.serve();
    let mut device = site.device("front");
    let config = tls::commissioned(&device.identity, false).expect("key and certificate");
    let ask = |method: &str, path: &str| {
        let mut raw = Raw::connect(config.clone(), server.address);
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        );
        raw.send(head.as_bytes()).expect("sent");
        let answer = raw.read_to_end().expect("answered");
        let text = String::from_utf8_lossy(&answer).into_owned();
        let mut fields = text.lines().filter_map(|line| line.split_once(": "));
        let allow = fields.find(|(name, _)| name.eq_ignore_ascii_case("allow"));
        (
            status(&answer).expect("a status"),
            allow.map(|(_, methods)| methods.to_owned()),
        )
    };
    let paths = [
        path::ACCESS,
        path::HEARTBEAT,
        path::COMMISSION,
        path::RENEW,
        path::ENROL,
    ];
    for path in paths {
        for method in ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"] {
            let told = ask(method, path);
            assert_eq!(told, (405, Some("POST".to_owned())), "{method} {path}");
        }
    }
    let told = ask("POST", "/v1/firmware/1.0.0");
    assert_eq!(told, (405, Some("GET, HEAD".to_owned())));
    for path in ["/v1", "/v1/", "/v1/access/", "/v1/Access", "/v2/access"] {
        assert_eq!(ask("POST", path), (404, None), "{path}");
    }
    assert_eq!(device.heartbeat().0, 200);
    server.stop();
}
