//! Firmware at the devices: served in parts to who may have it; fetched by the simulated device
//! over a network that breaks, shown in the console while it comes.

use std::fs;
use std::process::Command;

use cardea_loadtest::identity::Identity;
use cardea_loadtest::tls;
use cardea_tests::browser::Browser;
use cardea_tests::programs::program;
use cardea_tests::raw::{Raw, status};
use cardea_tests::relay::Relay;
use cardea_tests::space::until;
use cardea_tests::updates::{Updates, payload};
use cardea_tests::{Device, Process};
use cardea_wire::reply::CommandKind;
use serde_json::{Value, json};

/// Status, head and body of a part that a device fetches.
fn fetch(device: &Device, path: &str, range: &str) -> (u16, String, Vec<u8>) {
    let config = tls::commissioned(&device.identity, false).expect("a configuration");
    let mut raw = Raw::connect(config, device.identity.server);
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: cardea\r\n{range}Connection: close\r\n\r\n");
    raw.send(request.as_bytes()).expect("sent");
    let answer = raw.read_to_end().expect("answered");
    let end = answer
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .expect("a head");
    let head = String::from_utf8_lossy(&answer[..end]).to_lowercase();
    (
        status(&answer).expect("a status"),
        head,
        answer[end + 4..].to_vec(),
    )
}

/// Fails when firmware is served whole, out of place, or to somebody without a certificate; or
/// when the command is not done by the device that says so.
#[test]
fn devices_fetch_firmware_by_ranges_when_their_reply_tells_them_to() {
    let mut updates = Updates::new("u2", &[]);
    let mut device = updates.site.device("d1");
    let firmware = payload(600_000);
    let mut file = updates.file("device.bin", "firmware", &firmware);
    file["firmware"] = json!("2.1.0");
    updates.manifest("fw.json", "0.1.0", json!([file]), |_| {});
    let end = updates.update("f-1", json!({"manifest": "fw.json"}));
    assert_eq!(end["result"]["devices_told"], 1, "{end}");
    assert!(!updates.staged(), "no package came with it");

    let (_, reply) = device.heartbeat();
    let told = reply.command.expect("a command");
    assert_eq!(told.kind, CommandKind::Update);
    let body: Value = serde_json::from_slice(&told.body).expect("JSON");
    assert_eq!(body["version"], "2.1.0");
    let path = body["path"].as_str().expect("a path");
    let (whole, head, _) = fetch(&device, path, "");
    assert_eq!(whole, 416, "{head}");
    let mut fetched = Vec::new();
    while fetched.len() < firmware.len() {
        let range = format!("Range: bytes={}-\r\n", fetched.len());
        let (partial, head, part) = fetch(&device, path, &range);
        assert_eq!(partial, 206, "{head}");
        let expected = format!("content-range: bytes {}-", fetched.len());
        assert!(
            head.contains(&expected) && head.contains("/600000"),
            "{head}"
        );
        fetched.extend_from_slice(&part);
        let shown = updates.site.done(&["update", "status"]);
        let far = format!("fetched {} of 600000 bytes", fetched.len());
        assert!(shown.contains(&far), "{shown}");
    }
    assert!(fetched == firmware, "another firmware than was offered");
    assert_eq!(fetch(&device, "/v1/firmware/../store.db", "").0, 404);
    let stranger = tls::uncommissioned(
        cardea_wire::CommissioningCode::parse(&updates.site.code("d2"))
            .expect("a code")
            .site_ca_sha256,
    );
    let mut raw = Raw::connect(stranger.expect("a configuration"), updates.server.address);
    let request = format!("GET {path} HTTP/1.1\r\nHost: cardea\r\nConnection: close\r\n\r\n");
    raw.send(request.as_bytes()).expect("sent");
    assert_eq!(status(&raw.read_to_end().expect("answered")), Some(401));

    let mut message = cardea_tests::device::heartbeat(cardea_tests::device::new_id());
    // PROTOCOL: firmware at 48, the command that is done at 52.
    message[48..52].copy_from_slice(&0x0002_0100_u32.to_le_bytes());
    message[52..56].copy_from_slice(&told.id.to_le_bytes());
    let (taken, reply) = device.send(cardea_wire::path::HEARTBEAT, &message);
    assert_eq!((taken, reply.command), (200, None));
    until("the device is done", || {
        let shown = updates.site.done(&["update", "status"]);
        shown.contains("2.1.0\t2.1.0\tdone")
    });
    let Updates { server, .. } = updates;
    server.stop();
}

/// A run of the simulated device that has this identity.
fn simulator(identity: &std::path::Path, more: &[&str]) -> Process {
    let mut command = Command::new(program("cardea-device-sim"));
    command.arg("--identity").arg(identity);
    Process::start(command.args(["--heartbeat-every", "3600"]).args(more))
}

/// A device's row in the console's data.
fn row(browser: &mut Browser, device: &str) -> Value {
    let listed = browser.get("/api/v1/devices").json();
    let rows = listed.as_array().cloned().unwrap_or_default();
    let found = rows.into_iter().find(|row| row["name"] == device);
    found.expect("a device of this name")
}

/// Fails if what has come is fetched again after a cut or a restart of the device, if the console
/// does not show how far it is, or if the device says that it is done before it is.
#[test]
fn a_device_fetches_its_firmware_over_a_network_that_breaks() {
    let mut updates = Updates::new("u3", &[]);
    let mut browser = Browser::administrator(&updates.site, &updates.server);
    let path = updates.site.file("front.identity");
    let save = |mut identity: Identity, server| {
        identity.server = server;
        identity.save(&path).expect("saved");
    };
    let server = updates.server.address;
    save(updates.site.device("front").identity, server);
    let firmware = payload(900_000);
    let mut file = updates.file("device.bin", "firmware", &firmware);
    file["firmware"] = json!("2.1.0");
    updates.manifest("fw.json", "0.1.0", json!([file]), |_| {});
    let end = updates.update("f-1", json!({"manifest": "fw.json"}));
    assert_eq!(end["result"]["devices_told"], 1, "{end}");

    // A heartbeat that brings the command, one part, and the device is switched off.
    let (ended, lines, log) = simulator(&path, &["--messages", "2"]).finish();
    assert!(ended.success(), "{log}");
    let told = "  command: update to 2.1.0, 0 of 900000 bytes are here";
    assert!(lines.iter().any(|line| line == told), "{lines:?}");
    let shown = row(&mut browser, "front");
    assert_eq!(shown["update_bytes"], 262_144, "{shown}");
    assert_eq!(shown["update_size"], 900_000, "{shown}");
    until("the console shows that it updates", || {
        let page = browser.get("/console/devices");
        page.says("Updating") && page.says("29 %")
    });

    // It goes on, over connections that end in the middle of their second part.
    let relay = Relay::start(server, 350_000);
    save(Identity::load(&path).expect("saved"), relay.address);
    let mut device = simulator(&path, &[]);
    device.line(|line| line.ends_with("262144 of 900000 bytes are here"));
    device.line(|line| line.ends_with("updated to 2.1.0"));
    until("the device is done", || {
        let shown = updates.site.done(&["update", "status"]);
        shown.contains("2.1.0\t2.1.0\tdone")
    });
    assert!(relay.cuts() >= 2, "{} cuts", relay.cuts());
    let most = 3 * 350_000;
    assert!(relay.passed() < most, "{} bytes", relay.passed());
    let installed = updates.site.file("front.identity.firmware");
    assert!(fs::read(installed).expect("there") == firmware, "another");
    let shown = row(&mut browser, "front");
    assert_eq!(shown["update_bytes"], Value::Null, "{shown}");
    assert_eq!(shown["version"], "2.1.0", "{shown}");
    drop(device);
    let Updates { server, .. } = updates;
    server.stop();
}
