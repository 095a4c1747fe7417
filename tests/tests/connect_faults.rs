//! Connect while things go wrong: the server killed, the broker coming and going; and what must
//! never be heard on any topic.

use std::collections::BTreeSet;
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use cardea_loadtest::tls;
use cardea_tests::admin::person;
use cardea_tests::broker::{Broker, command, fact, status};
use cardea_tests::face::numbers;
use cardea_tests::mail::Relay;
use cardea_tests::raw::{self, Raw};
use cardea_tests::site::contains;
use cardea_tests::space::{SpaceSite, until};
use cardea_tests::{Site, face};
use cardea_wire::{CommissioningCode, Decision, Reason};
use rusqlite::{Connection, OpenFlags};
use serde_json::json;

/// Runs the long forms: 200 kills, five minutes of a flapping broker.
const LONG: &str = "CARDEA_LONG";
/// No access request takes longer, whatever the broker does.
const ANSWER_MAX: Duration = Duration::from_secs(2);

fn is_long() -> bool {
    std::env::var_os(LONG).is_some()
}

/// Numbers that differ from run to run are of no use when one of them fails; these do not.
fn random(state: &mut u64) -> u64 {
    *state = state
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1);
    *state >> 33
}

/// Every device that was added has its event, whenever the server was killed. Fails when the
/// event is written in a transaction of its own after the device's.
#[test]
fn no_event_is_lost_when_the_server_is_killed() {
    let rounds = if is_long() { 200 } else { 20 };
    let broker = Broker::new();
    let site = Site::new();
    let server = site.serve();
    broker.join(&site, "k1");
    let mut listener = broker.listen();
    server.stop();
    let mut state = 7;
    for round in 0..rounds {
        let mut server = site.serve();
        let mut admin = server.admin();
        let adder = thread::spawn(move || {
            for number in 0.. {
                let device = json!({"name": format!("d{round}-{number}"), "door": "main"});
                let add = json!({"do": "device_add", "devices": [device]});
                match admin.ask(&add) {
                    Ok(reply) => assert_eq!(reply["is"], "table", "{reply}"),
                    Err(_) => return number,
                }
            }
            unreachable!("a server that is killed answers no more")
        });
        // The moment of death; nothing waits for it.
        thread::park_timeout(Duration::from_millis(20 + random(&mut state) % 400));
        server.process.kill();
        adder.join().expect("the adder ends with the server");
    }
    let server = site.serve();
    let store = site.data().join("store.db");
    let store = Connection::open_with_flags(store, OpenFlags::SQLITE_OPEN_READ_ONLY);
    let store = store.expect("the store can be read");
    let mut select = store.prepare("SELECT id FROM devices").expect("a table");
    let rows = select
        .query_map([], |row| row.get::<_, i64>(0))
        .expect("rows");
    let added: BTreeSet<u64> = rows.map(|row| row.expect("a row") as u64).collect();
    assert!(
        added.len() > rounds,
        "the kills came too early: {}",
        added.len()
    );
    let mut heard = BTreeSet::new();
    while heard.len() < added.len() {
        let event = listener.hear_of("event", |event| event["event"] == "device.added");
        let device = event["device"].as_u64().expect("a number");
        assert!(added.contains(&device), "device {device} was never added");
        heard.insert(device);
    }
    println!(
        "{} devices added in {rounds} lives, {} told",
        added.len(),
        heard.len()
    );
    server.stop();
}

/// Fails when anything of the access path waits for the module.
#[test]
fn a_flapping_broker_does_not_slow_access() {
    let (rounds, pause) = if is_long() { (150, 1_000) } else { (10, 300) };
    let mut broker = Broker::new();
    let site = Site::new();
    let server = site.serve();
    broker.join(&site, "k2");
    let known = face(1);
    let mut admin = server.admin();
    admin.enrol("P1", &known).expect("enrolled");
    let mut device = site.device("d1");
    let flapper = thread::spawn(move || {
        for _ in 0..rounds {
            broker.stop();
            thread::park_timeout(Duration::from_millis(pause));
            broker.start();
            thread::park_timeout(Duration::from_millis(pause));
        }
        broker
    });
    let (mut asked, mut worst) = (0_u32, Duration::ZERO);
    while !flapper.is_finished() {
        let begun = Instant::now();
        let reply = device.access(&known);
        let answer = (reply.decision, reply.reason);
        assert_eq!(answer, (Decision::Granted, Reason::None), "after {asked}");
        worst = worst.max(begun.elapsed());
        asked += 1;
        if asked.is_multiple_of(50) {
            let name = format!("e{asked}");
            site.done(&["device", "add", &name, "--door", "main"]);
        }
    }
    println!("{asked} requests beside {rounds} losses of the broker, the slowest {worst:?}");
    assert!(worst < ANSWER_MAX, "{worst:?}");
    let broker = flapper.join().expect("the broker is there");
    until("connected again", || status(&site) == "Connected");
    until("nothing waits", || {
        fact(&site.done(&["connect", "status"]), "messages that wait") == "0"
    });
    server.stop();
    drop(broker);
}

/// Everything that may name a person, in every form it could take.
fn secrets_of_people(people: u64) -> Vec<(String, Vec<u8>)> {
    let mut secrets = Vec::new();
    for number in 0..people {
        let embedding = face(number);
        let listed: Vec<_> = numbers(&embedding)[..4]
            .iter()
            .map(f32::to_string)
            .collect();
        let mut reversed = embedding[..16].to_vec();
        reversed.chunks_exact_mut(4).for_each(<[u8]>::reverse);
        let hex = embedding[..16].iter().map(|byte| format!("{byte:02x}"));
        // Base64 of the whole, but for the ends that depend on what is beside it.
        let in_base64 = |text: String| text.as_bytes()[3..60].to_vec();
        let name = |what: &str| format!("{what} of P{number}");
        secrets.push((name("embedding"), embedding[..16].to_vec()));
        secrets.push((name("big-endian embedding"), reversed));
        secrets.push((
            name("embedding in hex"),
            hex.collect::<String>().into_bytes(),
        ));
        secrets.push((name("listed embedding"), listed.join(",").into_bytes()));
        for skip in 0..3 {
            let shifted = STANDARD.encode(&embedding[skip..]);
            secrets.push((name("embedding in base64"), in_base64(shifted)));
            let shifted = URL_SAFE_NO_PAD.encode(&embedding[skip..]);
            secrets.push((name("embedding in base64url"), in_base64(shifted)));
        }
        secrets.push((name("name"), format!("Name of P{number}").into_bytes()));
        secrets.push((name("external id"), format!("\"P{number}\"").into_bytes()));
    }
    for word in [
        "Luna",
        "Lovegood",
        "luna@example.org",
        "EXT-88-SECRET",
        "Hermione",
        "Granger",
        "hermione@example.org",
        "EXT-77-SECRET",
    ] {
        secrets.push((word.to_owned(), word.as_bytes().to_vec()));
    }
    secrets
}

/// A person as Space asks for one: with a name and an e-mail address.
fn invite(site: &SpaceSite) {
    let said = site.site.done(&["space", "rotate-key", "face"]);
    let key = said.split_whitespace().next_back().expect("a key");
    let code = CommissioningCode::parse(&site.site.code("unused")).expect("a code");
    let config = tls::uncommissioned(code.site_ca_sha256).expect("a configuration");
    let body = json!({"email": "hermione@example.org", "first_name": "Hermione",
        "last_name": "Granger"})
    .to_string();
    let length = body.len();
    let mut raw = Raw::connect(config, site.server.address);
    raw.send(
        format!(
            "PUT /api/space/v1/people/P40 HTTP/1.1\r\nHost: cardea\r\n\
             Authorization: Bearer {key}\r\nConnection: close\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        )
        .as_bytes(),
    )
    .expect("sent");
    let answer = raw.read_to_end().expect("answered");
    let taken = raw::status(&answer).expect("a status");
    assert!(
        (200..300).contains(&taken),
        "{}",
        String::from_utf8_lossy(&answer)
    );
}

/// Somebody who is invited by mail, to an address that the relay refuses in so many words: the log
/// says that it was not sent.
fn invite_by_mail(site: &SpaceSite) -> Relay {
    let relay = Relay::start(&["--refuse", "550"]);
    let port = relay.port.to_string();
    let policy = ["--policy-url", "https://acme.example/privacy"];
    let set = ["enrol", "set", "--company", "Acme", "--policy-version", "1"];
    site.site.done(&[&set[..], &policy].concat());
    let mail = ["enrol", "set-mail", "--host", "127.0.0.1", "--port", &port];
    let rest = ["--tls", "none", "--from", "doors@acme.example"];
    site.site.done(&[&mail[..], &rest].concat());
    let who = [
        "enrol",
        "invite",
        "EXT-88-SECRET",
        "--name",
        "Luna Lovegood",
    ];
    let more = ["--email", "luna@example.org", "--doors", "*"];
    site.site.done(&[&who[..], &more].concat());
    until("the invitation was refused", || {
        let listed = site.site.done(&["enrol", "list"]);
        listed.contains("the relay said 550")
    });
    relay
}

/// A whole site at work, and nothing of anybody on any topic or in the bundle of diagnostics.
/// Fails when an event, a result, a log line or a file of the bundle names a person or a key:
/// `external_id` in `Event::PeopleImported`, or `store.db` in `diagnostics::bundle`.
#[test]
fn nobody_is_named_on_any_topic_nor_in_the_diagnostics() {
    let people = 5;
    let broker = Broker::new();
    let mut site = SpaceSite::start(people, &[], &["--users", "50", "--doors", "5"]);
    broker.join(&site.site, "k3");
    let mut listener = broker.listen();
    let mut one = person("EXT-77-SECRET", &face(people));
    one["name"] = json!("Hermione Granger");
    for request in [
        json!({"do": "import_begin"}),
        json!({"do": "import_add", "people": [one]}),
        json!({"do": "import_commit"}),
    ] {
        let reply = site.ask(&request);
        assert_ne!(reply["is"], "error", "{reply}");
    }
    let imported = listener.hear_of("event", |event| event["event"] == "people.imported");
    assert_eq!(imported["people"], 1);
    invite(&site);
    let _relay = invite_by_mail(&site);
    let mut device = site.device(20_001);
    for number in 0..people + 2 {
        device.access(&face(number));
    }
    site.site.done(&["people", "withdraw", "EXT-77-SECRET"]);
    site.site.done(&["right", "grant", "P1", "--every-door"]);
    let stages = |m: &serde_json::Value| m["stages"]["total"]["count"].as_u64() > Some(0);
    let telemetry = listener.hear_of("telemetry", stages);
    assert!(
        telemetry["answers"]["no match"].as_u64() >= Some(1),
        "{telemetry}"
    );
    listener.hear_of("heartbeat", |beat| {
        beat["integrations"]["space"] == "Connected"
    });

    let keys = site.site.done(&["space", "keys"]);
    for (id, what, with) in [
        ("p-1", "sync", json!({})),
        ("p-2", "diagnostics", json!({})),
        ("p-3", "key.rotate", json!({"key": "face"})),
        ("p-4", "update", json!({"manifest": "none.json"})),
    ] {
        broker.command("k3", &command(id, what, with));
        let end = listener.end_of(id);
        assert_eq!(
            end["state"],
            if id == "p-4" { "failed" } else { "done" },
            "{end}"
        );
    }
    let mut secrets = secrets_of_people(people + 2);
    for key in keys.lines().filter_map(|line| line.rsplit('\t').next()) {
        if key.len() == 32 {
            secrets.push(("a key of Space's".to_owned(), key.as_bytes().to_vec()));
        }
    }
    let heard: Vec<u8> = listener
        .heard
        .iter()
        .flat_map(|(topic, message)| format!("{topic} {message}\n").into_bytes())
        .collect();
    for (what, bytes) in &secrets {
        assert!(!contains(&heard, bytes), "{what} was told");
    }

    let uploaded = broker.folder().join("diagnostics").join("k3-p-2.tar");
    let uploaded = std::fs::read(uploaded).expect("the bundle was uploaded");
    let file = site.site.file("bundle.tar");
    let path = file.to_str().expect("a path in ASCII");
    site.site.done(&["diagnostics", path]);
    let written = std::fs::read(&file).expect("the bundle was written");
    let key_files = [
        site.site.data().join("sealing.key"),
        site.site.data().join("pki").join("site-ca.key.sealed"),
    ];
    for key in key_files {
        let bytes = std::fs::read(&key).expect("a key file");
        secrets.push((key.display().to_string(), bytes[..32].to_vec()));
    }
    secrets.push(("a private key".to_owned(), b"PRIVATE KEY".to_vec()));
    for bundle in [&uploaded, &written] {
        for (what, bytes) in &secrets {
            assert!(!contains(bundle, bytes), "{what} is in the bundle");
        }
        for present in [
            "state.json",
            "cardea.toml",
            "metrics.txt",
            "log.txt",
            "versions.json",
        ] {
            assert!(contains(bundle, present.as_bytes()), "{present} is missing");
        }
        assert!(contains(bundle, b"latency/latency-"), "no histograms");
        let said = b"an invitation was not sent";
        assert!(contains(bundle, said), "the log has no line of the mail");
    }
    assert!(site.site.refused(&["diagnostics", path]).contains("exists"));
}
