//! What is refused, dropped, tried again or compacted: counted in `/metrics`, and not written to
//! the log each time.

use std::process::{Command, Stdio};

use cardea_loadtest::tls;
use cardea_tests::browser::Browser;
use cardea_tests::device::{self, access, new_id};
use cardea_tests::faulty::{Fault, FaultyDisk};
use cardea_tests::raw::{Raw, status};
use cardea_tests::space::{SpaceSite, denied, until, verdict};
use cardea_tests::{Device, Server, Site, face};
use cardea_wire::{CommissioningCode, Decision, Reason, path};

/// Attempts of each kind that must not be a line of the log each.
const ATTEMPTS: usize = 200;
/// Lines that so many attempts may cost: a few powers of two of what may go wrong at once.
const LINES_MAX: usize = 40;

/// The status of an answer to a request without a body.
fn asked(config: &std::sync::Arc<rustls::ClientConfig>, server: &Server, request: &str) -> u16 {
    let mut raw = Raw::connect(std::sync::Arc::clone(config), server.address);
    let length = if request.starts_with("POST") {
        "Content-Length: 0\r\n"
    } else {
        ""
    };
    let head = format!("{request} HTTP/1.1\r\nHost: a\r\n{length}Connection: close\r\n\r\n");
    raw.send(head.as_bytes()).expect("sent");
    status(&raw.read_to_end().expect("answered")).expect("a status")
}

/// Whether `/metrics` has this line.
fn shows(server: &Server, line: &str) -> bool {
    let line = format!("cardea_{line}");
    server.metrics().lines().any(|shown| shown == line)
}

/// Each row fails when its event is not counted where it happens; the end, when what is rendered
/// is not as Prometheus has it.
#[test]
fn what_is_refused_or_repeated_is_counted() {
    let site = Site::with(&[("erasure_period_s", "1")]);
    let server = site.serve();
    let mut admin = server.admin();
    admin.enrol("Anna", &face(1)).expect("enrolled");
    admin.enrol("Bert", &face(2)).expect("enrolled");
    drop(admin);
    server.stop();
    // Written anew at the start, a snapshot holds Bert: his withdrawal writes another.
    std::fs::remove_dir_all(site.data().join("gallery")).expect("removed");
    let server = site.serve();
    server.admin().withdraw("Bert").expect("withdrawn");
    let code = site.code("front");
    let mut device = Device::commission(&code);
    let mine = tls::commissioned(&device.identity, false).expect("key and certificate");
    let parsed = CommissioningCode::parse(&code).expect("a code");
    let nobodys = tls::uncommissioned(parsed.site_ca_sha256).expect("a configuration");

    let firmware = format!("/v1/firmware/{}", "ab".repeat(32));
    for (config, request, due) in [
        (&mine, "GET /v2/access".to_owned(), 404),
        (&mine, "GET /v1/access".to_owned(), 405),
        (&mine, format!("GET {firmware}"), 404),
        (&nobodys, format!("GET {firmware}"), 401),
        (&nobodys, "GET /api/space/v1/people/P1".to_owned(), 401),
        (&nobodys, "POST /v1/heartbeat".to_owned(), 401),
        (&mine, "POST /v1/renew".to_owned(), 400),
        (&mine, "POST /v1/enrol".to_owned(), 400),
    ] {
        assert_eq!(asked(config, &server, &request), due, "{request}");
    }
    // The writer refuses this one.
    assert!(device::commission(&code).is_err(), "used");
    let message = access(new_id(), &face(1));
    for _ in 0..3 {
        assert_eq!(
            device.send(path::ACCESS, &message).1.decision,
            Decision::Granted
        );
    }
    let mut browser = Browser::new(&site, &server);
    assert_eq!(browser.sign_in("admin", "not this one").location(), "");

    let reason = |reason: Reason| reason.text();
    let refused = |what: &str, why: &str| {
        let line = format!("refused_total{{what=\"{what}\",why=\"{why}\"}} 1");
        until(&line, || shows(&server, &line));
    };
    refused("path", "not found");
    refused("method", "not allowed");
    refused("/v1/firmware", "not found");
    refused("/v1/firmware", "no certificate");
    refused("/api/space/v1", "unauthorised");
    refused(path::HEARTBEAT, reason(Reason::NoCertificate));
    refused(path::RENEW, reason(Reason::BadLength));
    refused(path::ENROL, reason(Reason::BadLength));
    refused(path::COMMISSION, reason(Reason::TokenRefused));
    refused("sign-in", "wrong password");
    assert!(shows(&server, "retried_total{what=\"access request\"} 2"));
    assert!(shows(&server, "dropped_total{what=\"audit outcome\"} 0"));
    let snapshot = "compacted_total{what=\"snapshot\"} 1";
    until(snapshot, || shows(&server, snapshot));

    // The tool wants the metrics alone, without a head.
    let answer = server.metrics();
    let (_, text) = answer.split_once("\r\n\r\n").expect("a head");
    let mut tool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("promtool (Debian: prometheus): {error}"));
    let mut stdin = tool.stdin.take().expect("it was asked for");
    std::io::Write::write_all(&mut stdin, text.as_bytes()).expect("it reads");
    drop(stdin);
    let output = tool.wait_with_output().expect("it ends");
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{output:?}"
    );
    server.stop();
}

/// A full disk once wrote two lines for each attempt. Fails if `Writer::commit` of the audit, or
/// `Writer::seen`, logs each time.
#[test]
fn a_full_disk_does_not_make_attempts_lines_of_the_log() {
    let site = Site::new();
    let disk = FaultyDisk::of(&site);
    let server = disk.serve(&site);
    server.admin().enrol("Anna", &face(1)).expect("enrolled");
    let mut device = site.device("front");
    let before = server.process.log().lines().count();
    disk.set(Fault::Full(0));
    for _ in 0..ATTEMPTS {
        let reply = device.access(&face(1));
        assert_eq!(reply.reason, Reason::NotRecorded);
        assert_eq!(device.heartbeat().0, 200);
    }
    until("counted", || {
        let line = format!("refused_total{{what=\"audit batch\",why=\"not written\"}} {ATTEMPTS}");
        shows(&server, &line)
    });
    disk.set(Fault::None);
    let log = server.stop();
    assert!(
        log.contains("audit not written"),
        "the test is blind: {log}"
    );
    assert!(log.lines().count() <= before + LINES_MAX, "{log}");
}

/// Fails if `Api::opened` logs, at the level that sites run with, each door that Space does not
/// open.
#[test]
fn a_refusing_space_does_not_make_attempts_lines_of_the_log() {
    let mut site = SpaceSite::start(5, &[], &["--users", "5", "--doors", "5"]);
    let mut device = site.device(20_001);
    assert_eq!(device.heartbeat().0, 200);
    let before = site.server.process.log().lines().count();
    site.space
        .command(&format!("fault door-error:401 on=open count={ATTEMPTS}"));
    for _ in 0..ATTEMPTS {
        let reply = device.access(&face(1));
        assert_eq!(verdict(&reply), denied(Reason::SpaceRefused));
    }
    let line = format!("space_openings_total{{outcome=\"refused\"}} {ATTEMPTS}");
    until(&line, || shows(&site.server, &line));
    let log = site.server.stop();
    assert!(
        log.contains("Space did not open"),
        "the test is blind: {log}"
    );
    assert!(log.lines().count() <= before + LINES_MAX, "{log}");
}

/// Fails if `sign_in` logs each wrong password.
#[test]
fn wrong_passwords_are_counted_and_seldom_logged() {
    let site = Site::new();
    let server = site.serve();
    let mut browser = Browser::new(&site, &server);
    // As many as are looked at before an address has to wait; in one second only some are.
    let (mut wrong, mut waits) = (0, 0);
    while wrong < 5 || waits == 0 {
        match browser.sign_in("admin", "not this one").status {
            429 => waits += 1,
            _ => wrong += 1,
        }
    }
    for (why, count) in [("wrong password", wrong), ("told to wait", waits)] {
        let line = format!("refused_total{{what=\"sign-in\",why=\"{why}\"}} {count}");
        until(&line, || shows(&server, &line));
    }
    let log = server.stop();
    let lines = log.lines().filter(|line| line.contains("a wrong password"));
    assert_eq!(
        lines.count(),
        3,
        "the first, the second and the fourth: {log}"
    );
}
