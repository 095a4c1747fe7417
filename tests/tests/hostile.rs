//! Hostile peers beside real devices: the devices are answered, in time and rightly, memory stays
//! small, no cap is passed, and every lie gets the status that PROTOCOL.md names.

use std::fs;
use std::process::Command;

use cardea_tests::badges::badges;
use cardea_tests::metrics::value;
use cardea_tests::programs::program;
use cardea_tests::results::record;
use cardea_tests::{Process, Site, load};

const DEVICES: u32 = 70;
const PEOPLE: u32 = 1_000;
const REQUESTS: u32 = 490;
/// Resident memory of the server with everybody connected, in KiB.
const RESIDENT_KIB_MAX: u64 = 400 * 1_024;
/// `limits::CONNECTIONS_MAX` of the server.
const CONNECTIONS_MAX: f64 = 16_384.0;

/// Fails if `EventLoop::expire_connection` lets a late head, body or handshake go on, if
/// `Head::parse` takes one of the lies, if a certificate is not looked at, or if a quiet connection
/// costs 60 KiB.
#[test]
fn devices_are_answered_while_strangers_hold_trickle_flood_and_lie() {
    let site = Site::new();
    let probes = load::people(&site, PEOPLE, REQUESTS);
    let (badges, server) = badges(&site);
    let (identities, _) = load::devices(&site, "d", DEVICES);
    let (idle, trickle) = sizes();
    let mut hostile = Process::start(
        Command::new(program("hostile"))
            .arg(server.address.to_string())
            .args([format!("idle={idle}"), format!("trickle={trickle}")])
            .args(["stall=300", "deaf=50", "rate=100", "seconds=14"])
            .arg(format!("badges={}", badges.display())),
    );
    hostile.line(|line| line == "in place");
    let verdict = load::done(
        Command::new(program("loadtest"))
            .arg("run")
            .arg("--identities")
            .arg(identities)
            .arg("--probes")
            .arg(probes)
            .args(["--requests", &REQUESTS.to_string(), "--window", "7s"])
            .args(["--lanes", "kept-alive=40,resumed=30,cold=30"])
            .args(["--assert", "p100<=2s,wrong=0,errors=0,refused=0"]),
    );
    println!("{verdict}");
    let metrics = server.metrics();
    let resident_kib = server.process.resident_kib_max();
    let (ended, table, log) = hostile.finish();
    println!("{}\nresident at most {resident_kib} KiB", table.join("\n"));
    let beside = "requests of 70 devices beside thousands who hold, trickle, flood, lie and show \
                  certificates that let nobody in";
    record("Hostile peers", beside, REQUESTS.into(), 0);
    assert!(
        ended.success(),
        "a lie or a badge was answered wrongly\n{log}"
    );
    assert!(resident_kib <= RESIDENT_KIB_MAX, "{resident_kib} KiB");
    let value = |name: &str| value(&metrics, name);
    assert!(value("cardea_connections") <= CONNECTIONS_MAX);
    assert!(value("cardea_connections") >= trickle as f64);
    for guard in [
        "cardea_front_end_handshake_late_total",
        "cardea_front_end_handshake_broken_total",
        "cardea_front_end_certificate_refused_total",
        "cardea_requests_refused_total{why=\"head_late\"}",
        "cardea_requests_refused_total{why=\"body_late\"}",
        "cardea_requests_refused_total{why=\"length_and_coding\"}",
        "cardea_requests_refused_total{why=\"bare_line_feed\"}",
    ] {
        assert!(value(guard) > 0.0, "{guard} was never needed");
    }
    server.stop();
}

/// Connections that idle and that trickle: thousands, or what this process may open.
fn sizes() -> (usize, usize) {
    let limits = fs::read_to_string("/proc/self/limits").expect("the kernel tells");
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"));
    let number = line.and_then(|line| line.split_whitespace().next());
    let open: usize = number
        .and_then(|number| number.parse().ok())
        .unwrap_or(1_024);
    let (idle, trickle) = (5_000.min(open / 2), 1_000.min(open / 8));
    println!("{idle} idle and {trickle} trickling connections");
    (idle, trickle)
}
