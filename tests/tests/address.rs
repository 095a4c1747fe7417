//! Moving house: the server gets another address, and devices follow by themselves.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;

use cardea_tests::device::{heartbeat, new_id};
use cardea_tests::programs::program;
use cardea_tests::{Browser, Device, Process, Server, Site};
use cardea_wire::reply::CommandKind;
use cardea_wire::{CommissioningCode, path};

const OLD: &str = "127.0.0.1";
const NEW: &str = "127.0.0.2";

/// A site that listens on every address, at a port that stays.
fn site() -> (Site, u16) {
    let listener = std::net::TcpListener::bind("0.0.0.0:0").expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    (
        Site::with(&[("listen", &format!("\"0.0.0.0:{port}\""))]),
        port,
    )
}

fn at(address: &str, port: u16) -> SocketAddr {
    format!("{address}:{port}").parse().expect("an address")
}

fn simulator(site: &Site, name: &str) -> Process {
    let code = site.code(name);
    let mut command = Command::new(program("cardea-device-sim"));
    command
        .arg("--identity")
        .arg(site.file(name))
        .args(["--code", &code]);
    command.args(["--heartbeat-every", "1"]);
    let mut process = Process::start(&mut command);
    process.line(|line| line.contains("paired with door"));
    process
}

/// The state of each device, by name.
fn states(site: &Site) -> Vec<(String, String)> {
    let table = site.done(&["address", "status"]);
    let rows = table.lines().skip(1).map(|row| {
        let mut cells = row.split('\t').map(str::to_owned);
        (
            cells.next().unwrap_or_default(),
            cells.next().unwrap_or_default(),
        )
    });
    rows.collect()
}

fn state(site: &Site, device: &str) -> String {
    let found = states(site).into_iter().find(|(name, _)| name == device);
    found.expect("a device of this name").1
}

/// Asks until the server knows by which address a device comes: it notes that about every second.
fn wait_for(site: &Site, device: &str, due: &str) {
    let begun = std::time::Instant::now();
    while state(site, device) != due {
        assert!(begun.elapsed().as_secs() < 60, "{:?}", states(site));
    }
}

/// Whether the device does not take the server at that address for its own.
fn is_unknown(device: &mut Device) -> bool {
    let failure = device.exchange(path::HEARTBEAT, &heartbeat(new_id())).err();
    failure.is_some_and(|failure| failure.to_string().contains("certificate"))
}

/// Fails if, for example, the certificate does not name both addresses, the command is not given
/// to devices, the simulator does not follow, or `finish` forgets the configuration.
#[test]
fn devices_follow_the_server_to_its_new_address() {
    let (site, port) = site();
    let server: Server = site.serve();
    let mut follows = simulator(&site, "follows");
    let mut stays = site.device("stays");
    assert_eq!(stays.heartbeat().0, 200);
    let mut early = Device::of(site.device("early").identity);
    early.follow(at(NEW, port));
    assert!(is_unknown(&mut early), "no certificate for it yet");

    let said = site.done(&["address", "change", NEW]);
    assert!(said.contains("3 devices are told"), "{said}");
    let told = stays.heartbeat().1.command.expect("a command");
    assert_eq!(told.kind, CommandKind::Address);
    assert_eq!(
        told.body,
        format!(r#"{{"server":"{NEW}:{port}"}}"#).as_bytes()
    );
    follows.line(|line| line.contains(&format!("the server is at {NEW}:{port} now")));
    wait_for(&site, "follows", "followed");
    assert_eq!(state(&site, "stays"), "not told yet");
    // Both addresses are served meanwhile, by a certificate that names both.
    early.disconnect();
    assert_eq!(early.heartbeat().0, 200);
    stays.disconnect();
    assert_eq!(stays.heartbeat().0, 200);
    // Who is commissioned now is told too.
    let mut late = site.device("late");
    assert!(late.heartbeat().1.command.is_some());

    wait_for(&site, "early", "followed");
    let refused = site.refused(&["address", "finish"]);
    assert!(
        refused.contains("2 devices") && refused.contains("stays"),
        "{refused}"
    );
    stays.follow(at(NEW, port));
    late.follow(at(NEW, port));
    assert_eq!((stays.heartbeat().0, late.heartbeat().0), (200, 200));
    wait_for(&site, "stays", "followed");
    wait_for(&site, "late", "followed");
    site.done(&["address", "finish"]);
    assert!(site.refused(&["address", "finish"]).contains("no move"));

    let configuration = fs::read_to_string(site.data().join("cardea.toml")).expect("there");
    assert!(
        configuration.contains(&format!("address = \"{NEW}\"")),
        "{configuration}"
    );
    let code = CommissioningCode::parse(&site.code("next")).expect("a code");
    assert_eq!(code.server, at(NEW, port));
    // The console says so too, before a restart.
    let mut browser = Browser::at(&site, at(NEW, port));
    browser.sign_in("admin", &site.password);
    browser.choose_password(&site.password, "a new password");
    let dashboard = browser.get("/console/").body;
    let says = dashboard.contains(&at(NEW, port).to_string());
    assert!(says, "{dashboard}");
    let status = site.done(&["address", "status"]);
    assert!(status.starts_with("no move is under way"), "{status}");
    stays.follow(at(OLD, port));
    assert!(
        is_unknown(&mut stays),
        "its certificate names the new address only"
    );
    server.stop();
    let server = site.serve();
    stays.follow(at(NEW, port));
    assert_eq!(stays.heartbeat().0, 200);
    drop(follows);
    server.stop();
}

/// Fails if a move may begin while another is under way, or a server tells devices of an address
/// at which it does not listen.
#[test]
fn a_move_can_be_turned_back_and_a_wrong_one_is_refused() {
    let (site, port) = site();
    let server = site.serve();
    let mut device = site.device("front");
    assert!(
        site.refused(&["address", "change", OLD])
            .contains("is the server's address")
    );
    site.done(&["address", "change", NEW]);
    let why = site.refused(&["address", "change", "127.0.0.3"]);
    assert!(why.contains("under way"), "{why}");
    device.follow(at(NEW, port));
    assert_eq!(device.heartbeat().0, 200);
    site.done(&["address", "change", OLD]);
    let back = device.heartbeat().1.command.expect("a command");
    assert_eq!(
        back.body,
        format!(r#"{{"server":"{OLD}:{port}"}}"#).as_bytes()
    );
    device.follow(at(OLD, port));
    assert_eq!(device.heartbeat().0, 200);
    wait_for(&site, "front", "followed");
    site.done(&["address", "finish"]);
    server.stop();

    let narrow = Site::new();
    let server = narrow.serve();
    let why = narrow.refused(&["address", "change", NEW]);
    assert!(why.contains("would not be heard"), "{why}");
    server.stop();
}

/// Fails if the server does not look, or does not say so.
#[test]
fn an_address_that_is_not_this_machines_is_a_warning() {
    let site = Site::with(&[("address", "\"192.0.2.77\"")]);
    let server = site.serve();
    let begun = std::time::Instant::now();
    while !site.done(&["audit", "tail"]).contains("address.not-own") {
        assert!(begun.elapsed().as_secs() < 60);
    }
    server.stop();
}
