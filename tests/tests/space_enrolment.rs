//! What Space asks of this server, with the face-recognition key; its stream of events; and the
//! script for its machine.

use std::io::Write as _;
use std::net::TcpStream;
use std::sync::atomic::{AtomicU32, Ordering};

use cardea_loadtest::tls;
use cardea_tests::mail::Relay;
use cardea_tests::raw::{Raw, status};
use cardea_tests::space::{GRANTED, SpaceSite, denied, until, verdict};
use cardea_tests::{Browser, face};
use cardea_wire::{CommissioningCode, Reason};
use serde_json::{Value, json};

const PEOPLE: &str = "/api/space/v1/people/";

/// Space's end of the interface.
struct Caller<'a> {
    site: &'a SpaceSite,
    site_ca_sha256: [u8; 32],
}

impl<'a> Caller<'a> {
    fn new(site: &'a SpaceSite) -> Self {
        // Any code says what the site's CA is.
        static CALLERS: AtomicU32 = AtomicU32::new(0);
        let name = format!("unused {}", CALLERS.fetch_add(1, Ordering::Relaxed));
        let code = CommissioningCode::parse(&site.site.code(&name)).expect("a code");
        Self {
            site,
            site_ca_sha256: code.site_ca_sha256,
        }
    }

    /// Status and body of one request.
    fn call(&self, method: &str, path: &str, key: Option<&str>, body: &str) -> (u16, Value) {
        let config = tls::uncommissioned(self.site_ca_sha256).expect("a configuration");
        let mut raw = Raw::connect(config, self.site.server.address);
        let key = key.map_or(String::new(), |key| {
            format!("Authorization: Bearer {key}\r\n")
        });
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: cardea\r\n{key}Connection: close\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        );
        raw.send(request.as_bytes()).expect("sent");
        let answer = raw.read_to_end().expect("answered");
        let status = status(&answer).expect("a status");
        let text = String::from_utf8(answer).expect("text");
        let (_, body) = text.split_once("\r\n\r\n").expect("a head");
        (status, serde_json::from_str(body).unwrap_or(Value::Null))
    }

    fn put(&self, key: &str, person: &str, body: &Value) -> (u16, Value) {
        let path = format!("{PEOPLE}{person}");
        self.call("PUT", &path, Some(key), &body.to_string())
    }

    fn get(&self, key: &str, person: &str) -> (u16, Value) {
        self.call("GET", &format!("{PEOPLE}{person}"), Some(key), "")
    }

    fn delete(&self, key: &str, person: &str) -> (u16, Value) {
        self.call("DELETE", &format!("{PEOPLE}{person}"), Some(key), "")
    }
}

/// A new face-recognition key.
fn new_key(site: &SpaceSite) -> String {
    let said = site.site.done(&["space", "rotate-key", "face"]);
    let key = said.split_whitespace().next_back().expect("a key");
    key.to_owned()
}

fn site(configuration: &[(&str, &str)]) -> SpaceSite {
    SpaceSite::start(5, configuration, &["--users", "50", "--doors", "5"])
}

/// Changes as the audit tells them: who, what, to what.
fn changes(site: &mut SpaceSite) -> Vec<[String; 3]> {
    let tail = site.ask(&json!({"do": "audit_tail", "count": 1_000}));
    let rows: Vec<Vec<String>> = serde_json::from_value(tail["rows"].clone()).expect("rows");
    let rows = rows.into_iter().filter(|row| row[2].is_empty());
    rows.map(|row| [row[3].clone(), row[4].clone(), row[5].clone()])
        .collect()
}

/// Fails if anybody without the key in force gets in, or the old key is taken after its rotation.
#[test]
fn only_the_key_in_force_is_taken() {
    let site = site(&[]);
    let caller = Caller::new(&site);
    let old = new_key(&site);
    assert_eq!(caller.get(&old, "P1").0, 200);
    let key = new_key(&site);
    let shown = site.site.done(&["space", "keys"]);
    assert!(shown.contains(&key) && !shown.contains(&old), "{shown}");
    let body = json!({"email": "a@example.org"}).to_string();
    for wrong in [None, Some(""), Some(old.as_str()), Some(&key[1..])] {
        for (method, body) in [("GET", ""), ("PUT", body.as_str()), ("DELETE", "")] {
            let (status, error) = caller.call(method, &format!("{PEOPLE}P1"), wrong, body);
            assert_eq!(
                (status, error["error"].as_str()),
                (401, Some("unauthorized"))
            );
        }
    }
    assert_eq!(caller.get(&key, "P1").0, 200);
    site.site.done(&["space", "remove"]);
    assert_eq!(caller.get(&key, "P1").0, 401, "no Space, no key");
}

/// Fails if an enrolment is not what the interface says, or if asking twice does something twice.
#[test]
fn a_person_is_enrolled_and_disenrolled_at_spaces_wish() {
    let mut site = site(&[]);
    let key = new_key(&site);
    let (before, answers) = {
        let caller = Caller::new(&site);
        let wish = json!({"email": "p9@example.org", "first_name": "Pia", "last_name": "Neun"});
        let none = caller.get(&key, "P9");
        assert_eq!(none.0, 200);
        assert_eq!(none.1["state"], "not_enrolled");
        let (status, created) = caller.put(&key, "P9", &wish);
        assert_eq!(
            (status, created["state"].as_str()),
            (201, Some("requested"))
        );
        assert_eq!(created["ext_user_id"], "P9");
        assert!(created["since"].is_string());
        let again = caller.put(&key, "P9", &wish);
        assert_eq!(again, (200, created.clone()));
        assert_eq!(caller.get(&key, "P9"), (200, created));
        let shown = site.site.done(&["people", "show", "P9"]);
        assert!(
            shown.contains("Pia Neun") && shown.contains("invited"),
            "{shown}"
        );

        // Somebody with a face is enrolled, whatever Space calls them from now on.
        let (status, enrolled) = caller.put(&key, "P1", &wish);
        assert_eq!(
            (status, enrolled["text"].as_str()),
            (200, Some("User enrolled"))
        );
        (none, caller.delete(&key, "P9"))
    };
    assert_eq!(answers, before, "nothing is left");
    let mut device = site.device(20_001);
    assert_eq!(verdict(&device.access(&face(1))), GRANTED);
    let caller = Caller::new(&site);
    for _ in 0..2 {
        let (status, gone) = caller.delete(&key, "P1");
        assert_eq!(
            (status, gone["state"].as_str()),
            (200, Some("not_enrolled"))
        );
    }
    assert_eq!(verdict(&device.access(&face(1))), denied(Reason::NoMatch));
    let by_space: Vec<_> = changes(&mut site)
        .into_iter()
        .filter(|[actor, ..]| actor == "Space")
        .map(|[_, action, subject]| (action, subject))
        .filter(|(action, _)| action.starts_with("person."))
        .collect();
    let expected = [
        ("person.invite", "P9"),
        ("person.edit", "P1"),
        ("person.withdraw", "P9"),
        ("person.withdraw", "P1"),
    ];
    let expected = expected.map(|(action, subject)| (action.to_owned(), subject.to_owned()));
    assert_eq!(by_space, expected);
}

/// Fails if a request that is none gets anything but its own error.
#[test]
fn what_is_no_request_is_refused() {
    let site = site(&[]);
    let caller = Caller::new(&site);
    let key = new_key(&site);
    let put = |path: &str, body: &str| {
        let (status, error) = caller.call("PUT", path, Some(&key), body);
        let word = error["error"].as_str().unwrap_or_default().to_owned();
        (status, word)
    };
    let good = json!({"email": "a@example.org"}).to_string();
    let path = format!("{PEOPLE}P2");
    let long = " ".repeat(9_000);
    for (path, body, status, word) in [
        (path.as_str(), "no JSON", 400, "malformed"),
        (&path, r#"{"email":"nowhere"}"#, 400, "bad_email"),
        (
            &path,
            r#"{"email":"a@b.c","first_name":"\u0007"}"#,
            400,
            "bad_name",
        ),
        (&path, &long, 413, "too_long"),
        (&format!("{PEOPLE}%zz"), &good, 404, "bad_path"),
        (PEOPLE, &good, 404, "bad_path"),
        // Space has no P77.
        (&format!("{PEOPLE}P77"), &good, 409, "unknown_user"),
    ] {
        assert_eq!(put(path, body), (status, word.to_owned()), "{path}");
    }
    let (status, _) = caller.call("POST", &path, Some(&key), "{}");
    assert_eq!(status, 405);
    let (status, document) = caller.call("GET", "/api/space/v1/openapi.json", None, "");
    assert_eq!((status, document["openapi"].as_str()), (200, Some("3.1.0")));
}

/// Fails if what happens at a door does not show beside our own attempts, or if a stream from
/// elsewhere is heard.
#[test]
fn events_of_space_show_beside_our_own_attempts() {
    let events = r#"{ listen = "127.0.0.1:0", from = "127.0.0.1" }"#;
    let mut site = site(&[("space_events", events)]);
    let told = site.status("events");
    let address = told
        .split_whitespace()
        .nth(2)
        .expect("an address")
        .to_owned();
    let mut stream = TcpStream::connect(&address).expect("it listens");
    let notable = [
        (60, "intrusion"),
        (61, "tamper"),
        (62, "door left open"),
        (63, "door left open, ended"),
        (82, "denied at the door: key expired"),
        (84, "denied at the door: not allowed here"),
        (85, "denied at the door: outside time"),
        (90, "denied at the door: anti-passback"),
        (103, "denied at the door by the host"),
        (115, "low battery"),
    ];
    let of_no_note = [17, 28].map(|operation| json!({"OperationID": operation}));
    let mut events = of_no_note.to_vec();
    for (operation, _) in notable {
        let door = format!("Door {operation}");
        events.push(json!({"EventID": "1", "OperationID": operation, "DoorName": door}));
    }
    events.push(json!({"OperationID": 60, "DoorName": "Back", "UserExtID": "P3"}));
    write!(stream, "{}", Value::from(events)).expect("it reads");
    let said = |action: &str, subject: &str| ["Space", action, subject].map(str::to_owned);
    let mut expected = notable
        .map(|(operation, words)| said(words, &format!("Door {operation}")))
        .to_vec();
    expected.push(said("intrusion", "Back, P3"));
    until("the events show", || {
        let changes = changes(&mut site);
        expected.iter().all(|event| changes.contains(event))
    });
    let of_no_note = ["key used", "online command"];
    assert!(
        !changes(&mut site)
            .iter()
            .any(|[_, action, _]| of_no_note.contains(&action.as_str()))
    );
    assert!(changes(&mut site).contains(&said("status: Connected", "")));
}

/// Changes of the status had the same share of the audit as the stream, which has no key: a flood
/// of events hid that Space was gone. `minute.take` in `Journal::note` fails this.
#[test]
fn a_flood_of_events_hides_no_change_of_the_status() {
    let events = r#"{ listen = "127.0.0.1:0", from = "127.0.0.1" }"#;
    let mut site = site(&[("space_events", events)]);
    let told = site.status("events");
    let address = told.split_whitespace().nth(2).expect("an address");
    let mut stream = TcpStream::connect(address).expect("it listens");
    let event = r#"{"EventID":"1","OperationID":62,"DoorName":"Front"}"#;
    let flood = vec![event; 400].join(",");
    write!(stream, "[{flood}]").expect("it reads");
    let of_the_flood = |site: &mut SpaceSite| {
        let changes = changes(site).into_iter();
        let left_open = changes.filter(|[_, action, _]| action == "door left open");
        left_open.count()
    };
    // With the first status that is what a minute takes, or nearly.
    until("the minute is full", || of_the_flood(&mut site) >= 119);
    site.space.command("fault gone");
    site.await_status("Disconnected");
    until("the audit says that it is gone, and why", || {
        let mut changes = changes(&mut site).into_iter();
        changes.any(|[_, action, why]| action == "status: Disconnected" && !why.is_empty())
    });
    let before = changes(&mut site).len();
    site.space.command("clear");
    site.await_status("Connected");
    until("the audit says that it is back", || {
        let changes = changes(&mut site);
        let after = changes.get(before..).unwrap_or_default();
        after
            .iter()
            .any(|[_, action, _]| action == "status: Connected")
    });
}

#[test]
fn events_from_another_address_are_not_heard() {
    let events = r#"{ listen = "127.0.0.1:0", from = "127.0.0.77" }"#;
    let mut site = site(&[("space_events", events)]);
    let told = site.status("events");
    let address = told
        .split_whitespace()
        .nth(2)
        .expect("an address")
        .to_owned();
    let mut stream = TcpStream::connect(&address).expect("it listens");
    // It may be closed before this is written.
    let _ = stream.write_all(br#"[{"EventID":"1","OperationID":62,"DoorName":"Front"}]"#);
    until("refused", || {
        site.status("events").ends_with("1 others refused")
    });
    let changes = changes(&mut site);
    assert!(
        !changes
            .iter()
            .any(|[_, action, _]| action == "door left open")
    );
}

/// Fails if the script is not this site's, or holds a key.
#[test]
fn the_install_script_is_of_this_site_and_holds_no_secret() {
    let site = site(&[("site", "\"O'Neill's\"")]);
    let script = site.site.done(&["space", "install-script"]);
    let (host, port) = site.space.host_and_port("https");
    for value in [
        "'O''Neill''s'",
        &format!("'{host}'"),
        &port,
        &site.server.address.port().to_string(),
        "-WhatIf",
    ] {
        assert!(script.contains(value), "{value}");
    }
    let key = std::fs::read_to_string(site.site.file("ship.key")).expect("the set-up wrote it");
    assert!(!script.contains(&key) && !script.contains(&new_key(&site)));
    site.site.done(&["space", "remove"]);
    let why = site.site.refused(&["space", "install-script"]);
    assert!(why.contains("not set up"), "{why}");
}

/// A site that sends mail, and its relay.
fn site_with_mail() -> (SpaceSite, Relay) {
    let relay = Relay::start(&[]);
    let site = site(&[]);
    let set = ["enrol", "set", "--company", "Acme", "--policy-version", "1"];
    let policy = ["--policy-url", "https://acme.example/privacy"];
    site.site.done(&[&set[..], &policy].concat());
    let port = relay.port.to_string();
    let relay_set = [
        "enrol",
        "set-mail",
        "--host",
        "127.0.0.1",
        "--port",
        port.as_str(),
    ];
    let from = ["--tls", "none", "--from", "doors@acme.example"];
    site.site.done(&[&relay_set[..], &from].concat());
    (site, relay)
}

/// Fails if nobody writes to who is enrolled at Space's wish, or Space is not told how far it is.
#[test]
fn who_space_enrols_is_invited_by_mail() {
    let (site, mut relay) = site_with_mail();
    let caller = Caller::new(&site);
    let key = new_key(&site);
    let wish = json!({"email": "p9@example.org", "first_name": "Pia", "language": "de"});
    let (status, created) = caller.put(&key, "P9", &wish);
    assert_eq!((status, created["ext_user_id"].as_str()), (201, Some("P9")));
    let mail = relay.message();
    assert_eq!(mail.0["to"][0], "p9@example.org");
    assert!(mail.text("subject").contains("Ihre Einladung"), "{mail:?}");
    until("Space is told", || {
        let (_, told) = caller.get(&key, "P9");
        told["state"] == "invited"
    });
    // The same words again invite nobody again.
    assert_eq!(caller.put(&key, "P9", &wish).0, 200);
    assert_eq!(caller.delete(&key, "P9").0, 200);
}

/// Another address only changed the record: the invitation stayed with whoever got it. Leaving
/// `invitation_cancel` or `invite_for_space` out of `change_for_space` fails this.
#[test]
fn another_address_is_invited_anew_and_the_first_link_leads_nowhere() {
    let (mut site, mut relay) = site_with_mail();
    let mut browser = Browser::new(&site.site, &site.server);
    let key = new_key(&site);
    let wish = |email: &str, language: &str| json!({"email": email, "language": language});
    let put = |site: &SpaceSite, person: &str, wish: &Value| {
        let (status, told) = Caller::new(site).put(&key, person, wish);
        assert_eq!(status / 100, 2, "{told}");
        told["state"].as_str().unwrap_or_default().to_owned()
    };
    put(&site, "P9", &wish("wrong@example.org", "de"));
    let wrong = relay.message().path();
    let page = browser.get(&wrong);
    let version = page.field("version");
    let consent = [("consent", "yes"), ("version", version.as_str())];
    browser.post(&format!("{wrong}/consent"), &consent);
    assert_eq!(
        put(&site, "P9", &wish("wrong@example.org", "de")),
        "consented"
    );

    let right = wish("right@example.org", "nl");
    assert_eq!(
        put(&site, "P9", &right),
        "requested",
        "nobody has consented"
    );
    let mail = relay.message();
    assert_eq!(mail.0["to"][0], "right@example.org");
    assert!(mail.text("subject").contains("uitnodiging"), "{mail:?}");
    assert_eq!(browser.get(&wrong).status, 404);
    assert_eq!(browser.get(&mail.path()).status, 200);
    until("Space is told", || put(&site, "P9", &right) == "invited");
    // Who is enrolled is not invited, wherever they are written to.
    assert_eq!(put(&site, "P1", &wish("p1@example.org", "en")), "enrolled");
    let invited: Vec<_> = changes(&mut site)
        .into_iter()
        .filter(|[_, action, _]| action == "person.invite")
        .map(|[_, _, person]| person)
        .collect();
    assert_eq!(invited, ["P9", "P9"]);
}

/// The field that holds the e-mail address had no effect. Returning none from
/// `SpaceLink::email_of` fails this.
#[test]
fn who_is_invited_without_an_address_is_written_to_at_the_one_in_space() {
    let (mut site, mut relay) = site_with_mail();
    let invite = ["enrol", "invite", "P9", "--name", "Pia Neun"];
    let why = site.site.refused(&invite);
    assert!(why.contains("no e-mail address"), "{why}");
    let (host, port) = site.space.host_and_port("https");
    let fingerprint = site.space.fingerprint();
    let set = ["space", "set", "--host", &host, "--port", &port];
    let how = ["--fingerprint", &fingerprint, "--email-field", "1"];
    site.site.done(&[&set[..], &how].concat());
    site.await_syncs(1);
    site.site.done(&invite);
    assert_eq!(relay.message().0["to"][0], "person9@example.org");
    let why = site
        .site
        .refused(&["enrol", "invite", "P77", "--name", "Nobody"]);
    assert!(why.contains("no e-mail address"), "{why}");
    site.site.done(&["enrol", "resend", "P9"]);
    assert_eq!(relay.message().0["to"][0], "person9@example.org");
}
