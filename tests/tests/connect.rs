//! Connect against a real broker with client certificates: joining, what is told, commands.

use std::collections::BTreeSet;
use std::fs;
use std::time::Instant;

use cardea_tests::broker::{Broker, Listener, command, command_until, done, fact, status, why};
use cardea_tests::space::until;
use cardea_tests::{Device, Site};
use serde_json::{Value, json};

/// Events while the broker is away, as in an hour of a busy site.
const EVENTS: usize = 10_000;
/// All are delivered within this time of its return.
const DELIVERED_S: u64 = 60;
/// The module's memory.
const MEMORY_KIB_MAX: u64 = 30 * 1_024;

fn devices_added(listener: &Listener) -> Vec<(String, u64)> {
    let added = listener
        .heard
        .iter()
        .filter(|(_, m)| m["event"] == "device.added");
    added
        .map(|(_, message)| {
            let id = message["id"].as_str().expect("an id").to_owned();
            (id, message["device"].as_u64().expect("a number"))
        })
        .collect()
}

/// Fails when the event is not in the device's transaction, when the status is not retained, or
/// when leaving keeps the key.
#[test]
fn a_site_joins_is_seen_and_leaves() {
    let broker = Broker::new();
    let mut listener = broker.listen();
    let site = Site::new();
    let server = site.serve();
    assert!(status(&site).starts_with("No status"));
    let code = broker.code("s1");
    site.done(&["connect", "join", &code]);
    let online = listener.hear_of("status", |_| true);
    assert_eq!(
        (&online["state"], &online["v"]),
        (&json!("online"), &json!(1))
    );
    assert!(
        site.refused(&["connect", "join", &code])
            .contains("was used")
    );
    until("connected", || status(&site) == "Connected");

    let device = site.device("d1");
    let added = listener.hear_of("event", |event| event["event"] == "device.added");
    let commissioned = listener.hear_of("event", |e| e["event"] == "device.commissioned");
    assert_eq!(added["device"], commissioned["device"]);
    assert_ne!(added["id"], commissioned["id"]);
    let heartbeat = listener.hear_of("heartbeat", |_| true);
    assert_eq!(heartbeat["integrations"]["connect"], "Connected");
    assert_eq!(heartbeat["integrations"]["space"], "No status");
    drop(device);

    // Lost without a word, it is offline by its will; stopped in good order it says so.
    let mut server = server;
    server.process.kill();
    listener.hear_of("status", |status| status["state"] == "offline");
    let server = site.serve();
    listener.hear_of("status", |status| status["state"] == "online");
    listener.hear_of("event", |event| event["event"] == "server.started");
    server.stop();
    listener.hear_of("status", |status| status["state"] == "stopped");

    let server = site.serve();
    listener.hear_of("status", |status| status["state"] == "online");
    site.done(&["connect", "leave"]);
    listener.hear_of("status", |status| status["state"] == "stopped");
    assert!(status(&site).starts_with("No status"));
    assert!(site.refused(&["connect", "leave"]).contains("not joined"));
    server.stop();
}

/// Fails when the outbox forgets on a lost connection, or gives rows in another order.
#[test]
fn what_happens_while_the_broker_is_away_is_told_in_order() {
    let mut broker = Broker::new();
    let site = Site::new();
    let server = site.serve();
    let before_kib = server.process.resident_kib_max();
    broker.join(&site, "s2");
    let mut listener = broker.listen();
    broker.stop();
    until("the loss is seen", || status(&site) == "Disconnected");
    let mut admin = server.admin();
    for batch in 0..EVENTS / 500 {
        let devices: Vec<_> = (0..500)
            .map(|number| json!({"name": format!("d{batch}-{number}"), "door": "main"}))
            .collect();
        let reply = admin.ask(&json!({"do": "device_add", "devices": devices}));
        assert_eq!(reply.expect("it answers")["is"], "table");
    }
    let pending = site.done(&["connect", "pending", "--limit", "3"]);
    assert!(pending.contains("device.added"), "{pending}");
    broker.start();
    let back = Instant::now();
    let mut heard = BTreeSet::new();
    while heard.len() < EVENTS {
        let event = listener.hear_of("event", |event| event["event"] == "device.added");
        heard.insert(event["device"].as_u64().expect("a number"));
    }
    let took = back.elapsed();
    assert!(took.as_secs() < DELIVERED_S, "{took:?}");

    let mut seen = BTreeSet::new();
    let mut last = 0;
    for (id, device) in devices_added(&listener) {
        if seen.insert(id) {
            assert!(device > last, "{device} after {last}");
            last = device;
        }
    }
    assert_eq!(seen.len(), EVENTS, "one id for each event");
    until("nothing waits", || {
        fact(&site.done(&["connect", "status"]), "messages that wait") == "0"
    });
    let grown = server.process.resident_kib_max() - before_kib;
    println!("{EVENTS} events in {took:?}; the server grew by {grown} KiB");
    assert!(grown < MEMORY_KIB_MAX, "{grown} KiB");
    server.stop();
}

/// Fails when a repeat is carried out again, also after a restart, or when a result is missing.
#[test]
fn a_command_is_carried_out_once_and_answered() {
    let broker = Broker::new();
    let site = Site::new();
    let server = site.serve();
    broker.join(&site, "s3");
    let mut listener = broker.listen();
    let add = command(
        "c-1",
        "device.commission",
        json!({"name": "d1", "door": "main"}),
    );
    broker.command("s3", &add);
    let accepted = listener.hear_of("result", |result| result["command"] == "c-1");
    assert_eq!(accepted["state"], "accepted");
    let ended = listener.end_of("c-1");
    assert_eq!(ended["state"], "done", "{ended}");
    let code = ended["result"]["code"].as_str().expect("a code");
    let device = Device::commission(code);
    drop(device);
    let number = ended["result"]["device"].clone();

    // The same again, also after a restart: nothing happens, nothing is said.
    broker.command("s3", &add);
    server.stop();
    broker.command("s3", &add);
    let server = site.serve();
    let delete = command("c-2", "device.delete", json!({"device": number}));
    broker.command("s3", &delete);
    assert_eq!(listener.end_of("c-2")["state"], "done");
    // What the broker had not acknowledged when the server stopped comes again, under its own id.
    let results: BTreeSet<String> = listener
        .heard
        .iter()
        .filter(|(topic, message)| topic.ends_with("/result") && message["command"] == "c-1")
        .map(|(_, message)| message["id"].to_string())
        .collect();
    assert_eq!(results.len(), 2, "accepted and done, once each");
    assert!(!site.done(&["device", "list"]).contains("d1"));
    // Who did it is in the audit.
    assert!(
        site.done(&["audit", "tail"])
            .contains("connect\tdevice.remove")
    );

    let ends = |listener: &mut Listener, id: &str, what: &str, with: Value| {
        broker.command("s3", &command(id, what, with));
        listener.end_of(id)
    };
    let failed = ends(&mut listener, "c-3", "device.delete", json!({"device": 99}));
    assert_eq!(failed["reason"], "no such device");
    let failed = ends(&mut listener, "c-4", "sync", json!({}));
    assert_eq!(failed["state"], "failed", "{failed}");
    let setup = json!({"host": "127.0.0.1", "port": 1, "transport": "https",
        "trust": {"fingerprint": "ab".repeat(32)}});
    let with = json!({"integration": "space", "setup": setup});
    let set = ends(&mut listener, "c-5", "integration.set", with);
    assert_eq!(set["state"], "done", "{set}");
    assert_eq!(set.get("result"), None, "keys stay here");
    listener.hear_of("event", |event| {
        event["event"] == "integration.status" && event["status"] == "Disconnected"
    });
    let keys = site.done(&["space", "keys"]);
    let rotated = ends(&mut listener, "c-6", "key.rotate", json!({"key": "ship"}));
    assert_eq!(rotated["state"], "done");
    assert_ne!(site.done(&["space", "keys"]), keys);
    assert_eq!(
        ends(&mut listener, "c-7", "sync", json!({}))["state"],
        "done"
    );
    server.stop();
}

/// Each row fails when its check is taken out of `command::parse`, or when it is not answered.
#[test]
fn what_is_no_command_is_refused_by_name_and_does_nothing() {
    let broker = Broker::new();
    let site = Site::new();
    let server = site.serve();
    broker.join(&site, "s4");
    let mut listener = broker.listen();
    let good = |id: &str| command(id, "device.commission", json!({"name": id, "door": "main"}));
    let with = |id: &str, key: &str, value: Value| {
        let mut changed = good(id);
        changed[key] = value;
        changed
    };
    let answered = [
        (with("b-1", "v", json!(2)), "unknown version"),
        (with("b-2", "do", json!("shell")), "unknown command"),
        (with("b-3", "with", json!({"name": "x"})), "bad parameters"),
        (with("b-4", "more", json!(1)), "malformed"),
        (command_until("b-5", "sync", json!({}), 1_000), "expired"),
        (
            command_until("b-6", "sync", json!({}), 4_000_000_000),
            "expires too late",
        ),
    ];
    for (message, reason) in answered {
        broker.command("s4", &message);
        let id = message["id"].as_str().expect("an id");
        let end = listener.end_of(id);
        assert_eq!(
            (&end["state"], &end["reason"]),
            (&json!("refused"), &json!(reason))
        );
    }
    let unnamed: [(&[u8], &str); 4] = [
        (b"{", "malformed"),
        (b"\xff\xfe", "malformed"),
        (&[b'x'; 70_000], "too long"),
        (&[b'y'; (1 << 20) + 4_096], "too long for this site"),
    ];
    for (payload, reason) in unnamed {
        broker.publish("cardea/v1/s4/command", payload);
        listener.hear_of("event", |event| {
            let said = event["reason"].as_str().unwrap_or_default();
            event["event"] == "command.refused" && said.starts_with(reason)
        });
    }
    // It goes on, and none of them did anything.
    broker.command("s4", &good("b-9"));
    assert_eq!(listener.end_of("b-9")["state"], "done");
    let devices = site.done(&["device", "list"]);
    assert_eq!(devices.lines().count(), 2, "{devices}");
    let shown = site.done(&["connect", "status"]);
    assert_eq!(fact(&shown, "commands refused"), "10", "{shown}");
    server.stop();
}

/// Each row fails when that side does not look at the other's certificate.
#[test]
fn a_wrong_certificate_on_either_side_is_refused_and_shown() {
    let mut broker = Broker::new();
    let site = Site::new();
    let server = site.serve();
    let mut admin = server.admin();
    let other = Broker::new();
    other.issue("client", "s5", "foreign", 86_400);
    for name in ["foreign.pem", "foreign.key"] {
        fs::copy(other.folder().join(name), broker.folder().join(name)).expect("copied");
    }
    broker.issue("client", "s5", "expired", -10);
    broker.issue("client", "s5", "revoked", 86_400);
    broker.issue("client", "s5", "good", 86_400);
    broker.revoke("revoked");
    broker.stop();
    broker.start();
    for certificate in ["foreign", "expired", "revoked"] {
        done(&mut admin, &broker.setup("s5", certificate));
        until(certificate, || status(&site) == "Unauthorized");
    }
    done(&mut admin, &broker.setup("s5", "good"));
    until("the good one", || status(&site) == "Connected");

    broker.issue("server", "broker.example", "elsewhere", 86_400);
    broker.issue("server", "127.0.0.1", "old", -10);
    broker.issue("server", "127.0.0.1", "stolen", 86_400);
    broker.revoke("stolen");
    for (certificate, reason) in [
        ("elsewhere", "it is for another name"),
        ("old", "it has expired"),
        ("stolen", "it is revoked"),
    ] {
        broker.stop();
        broker.write_config(certificate);
        broker.start();
        done(&mut admin, &broker.setup("s5", "good"));
        until(certificate, || {
            status(&site) == "Disconnected" && why(&site).ends_with(reason)
        });
    }
    // A broker of another authority, where the site's own should be.
    broker.stop();
    for (from, to) in [("broker.pem", "fake.pem"), ("broker.key", "fake.key")] {
        fs::copy(other.folder().join(from), broker.folder().join(to)).expect("copied");
    }
    broker.write_config("fake");
    broker.start();
    until("a broker of another authority", || {
        why(&site).starts_with("the broker's certificate is refused")
    });
    server.stop();
}

/// Fails when the certificate is not renewed before its end, or the new one is not used.
#[test]
fn the_sites_certificate_is_renewed_before_it_ends() {
    let broker = Broker::with(&["--life-s", "12"]);
    let site = Site::new();
    let server = site.serve();
    broker.join(&site, "s6");
    let mut listener = broker.listen();
    for _ in 0..2 {
        listener.hear_of("event", |event| event["event"] == "certificate.renewed");
    }
    until("connected", || status(&site) == "Connected");
    server.stop();
}
