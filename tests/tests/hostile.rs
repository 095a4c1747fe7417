//! Hostile peers beside real devices: the devices are answered, in time and rightly, memory stays
//! small, no cap is passed, and every lie gets the status that PROTOCOL.md names.

use std::process::Command;
use std::thread;
use std::time::Duration;

use cardea_tests::badges::badges;
use cardea_tests::metrics::value;
use cardea_tests::programs::program;
use cardea_tests::results::record;
use cardea_tests::{Process, Server, Site, load};
use rustix::process::{Resource, getrlimit, setrlimit};

const DEVICES: u32 = 70;
const PEOPLE: u32 = 1_000;
const REQUESTS: u32 = 490;
/// Resident memory of the server with everybody connected, in KiB.
const RESIDENT_KIB_MAX: u64 = 400 * 1_024;
/// Connections that idle, and that trickle.
const IDLE: usize = 5_000;
const TRICKLE: usize = 1_000;
/// Files that this process, the peers and the server each may need for all that.
const OPEN_FILES: u64 = 8_192;
/// What the server holds at most: `CONNECTIONS_MAX`, `HANDSHAKES_MAX`, `REQUESTS_IN_FLIGHT_MAX`
/// and `BYTES_IN_FLIGHT_MAX` of its `limits`, for its one loop.
const CAPS: [(&str, f64); 4] = [
    ("cardea_connections ", 16_384.0),
    ("cardea_handshakes ", 4_096.0),
    ("cardea_requests_in_flight ", 4_096.0),
    ("cardea_bytes_in_flight ", 67_108_864.0),
];
/// Between two looks at the server, which shows new numbers each second.
const BETWEEN_LOOKS: Duration = Duration::from_millis(200);

/// Fails if `EventLoop::expire_connection` lets a late head, body or handshake go on, if
/// `Head::parse` takes one of the lies, if a certificate is not looked at, if a quiet connection
/// costs 60 KiB, or if the server turns those away who only hold a connection.
#[test]
fn devices_are_answered_while_strangers_hold_trickle_flood_and_lie() {
    raise_open_files();
    let site = Site::new();
    let probes = load::people(&site, PEOPLE, REQUESTS);
    let (badges, server) = badges(&site);
    let (identities, _) = load::devices(&site, "d", DEVICES);
    let mut hostile = Process::start(
        Command::new(program("hostile"))
            .arg(server.address.to_string())
            .args([format!("idle={IDLE}"), format!("trickle={TRICKLE}")])
            .args(["stall=300", "deaf=50", "rate=100", "seconds=14"])
            .arg(format!("badges={}", badges.display())),
    );
    hostile.line(|line| line == "in place");
    let (verdict, highest) = looking_at(&server, || {
        load::done(
            Command::new(program("loadtest"))
                .arg("run")
                .arg("--identities")
                .arg(identities)
                .arg("--probes")
                .arg(probes)
                .args(["--requests", &REQUESTS.to_string(), "--window", "7s"])
                .args(["--lanes", "kept-alive=40,resumed=30,cold=30"])
                .args(["--assert", "p100<=2s,wrong=0,errors=0,refused=0"]),
        )
    });
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
    for ((name, cap), highest) in CAPS.iter().zip(&highest) {
        assert!(highest <= cap, "{name}: {highest} of {cap}");
    }
    // A few come back after their deadline has let them go.
    let held = (IDLE + TRICKLE) as f64 * 0.9;
    let connections = value("cardea_connections ");
    assert!(connections >= held, "{connections} connections are held");
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

/// Does something, and looks meanwhile what the server holds; gives the most of each of [`CAPS`].
fn looking_at<T: Send>(server: &Server, work: impl FnOnce() -> T + Send) -> (T, [f64; CAPS.len()]) {
    let mut highest = [0.0_f64; CAPS.len()];
    thread::scope(|scope| {
        let work = scope.spawn(work);
        loop {
            let done = work.is_finished();
            let metrics = server.metrics();
            for (highest, (name, _)) in highest.iter_mut().zip(CAPS) {
                *highest = highest.max(value(&metrics, name));
            }
            if done {
                break;
            }
            thread::park_timeout(BETWEEN_LOOKS);
        }
        (work.join().expect("a load test does not panic"), highest)
    })
}

/// Lets this process, and those it starts, open as many files as the machine allows.
fn raise_open_files() {
    let mut open = getrlimit(Resource::Nofile);
    open.current = open.maximum;
    setrlimit(Resource::Nofile, open).expect("a limit may be raised to its maximum");
    let enough = open.maximum.is_none_or(|most| most >= OPEN_FILES);
    assert!(enough, "{open:?}: `ulimit -Hn` must be {OPEN_FILES}");
}
