//! The Enrolment Service from the invitation to the open door, and back to nothing.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cardea_tests::enrol::{COMPANY, EnrolSite, POLICY, photo};
use cardea_tests::mail::{Relay, free_port, path_of};
use cardea_tests::site::password_in;
use cardea_tests::space::until;
use cardea_tests::{Browser, Face, face};
use cardea_wire::{Decision, Reason};
use rusqlite::Connection;

/// The first template in a person's own download.
fn template(data: &serde_json::Value) -> Face {
    let text = data["references"][0]["template"]
        .as_str()
        .expect("a template");
    let bytes = STANDARD.decode(text).expect("base64");
    bytes.try_into().expect("512 f32")
}

fn stage(site: &EnrolSite, external_id: &str) -> String {
    let list = site.site.done(&["enrol", "list"]);
    let line = list.lines().find(|line| line.starts_with(external_id));
    line.unwrap_or_default().to_owned()
}

/// Fails if any step between the invitation's mail and the open door is missing; if a page may be
/// stored or passes its address on; if the token is logged; if anything is left after withdrawing.
#[test]
fn from_a_mail_to_an_open_door_and_back_to_nothing() {
    let mut relay = Relay::start(&[]);
    let mut site = EnrolSite::start(&[("erasure_period_s", "1")]);
    site.set_mail(relay.port);
    let (mut device, shown) = site.capturing("desk", &face(5));
    let invite = ["enrol", "invite", "P1", "--name", "Zoë Unmistakable"];
    let rest = [
        "--email",
        "zoe@example.org",
        "--device",
        "desk",
        "--doors",
        "*",
    ];
    site.site.done(&[&invite[..], &rest].concat());
    let mail = relay.message();
    assert_eq!(mail.0["to"][0], "zoe@example.org");
    assert!(mail.text("subject").contains(COMPANY), "{mail:?}");
    assert!(mail.text("text").contains("Zoë Unmistakable"));
    let path = mail.path();
    until("the mail is noted as sent", || {
        stage(&site, "P1").contains("invited")
    });

    let mut browser = site.browser();
    let page = browser.get(&path);
    assert_eq!(page.status, 200);
    for said in [
        "Acme &#38; Sons",
        POLICY,
        "biometric data is used",
        "card or a key",
    ] {
        assert!(page.says(said), "{said}: {}", page.body);
    }
    assert_eq!(page.header("cache-control"), Some("no-store"));
    assert_eq!(page.header("referrer-policy"), Some("no-referrer"));
    assert!(page.body.len() < 100_000);
    // Nobody is captured without consent, whatever is sent.
    assert_eq!(browser.post(&format!("{path}/capture"), &[]).status, 303);
    assert!(!browser.get(&path).says("id=\"code\""));
    let page = site.consent(&mut browser, &path);
    assert!(
        page.says("to version 1") && page.says("desk"),
        "{}",
        page.body
    );
    assert!(stage(&site, "P1").contains("consented"));

    assert_eq!(site.other.access(&face(5)).reason, Reason::NoMatch);
    let code = site.code(&mut browser, &path);
    std::fs::write(&shown, &code).expect("the person shows it");
    device.line(|line| line.trim() == "enrolled");
    assert!(browser.get(&path).says("You are enrolled"));
    let granted = site.other.access(&face(5));
    assert_eq!(granted.decision, Decision::Granted);

    let data = browser.get(&format!("{path}/data")).json();
    assert_eq!(data["person"]["name"], "Zoë Unmistakable");
    assert_eq!(data["person"]["consent"]["how"], "online");
    assert_eq!(data["access_attempts"][0]["granted"], true);
    let kept = template(&data);

    // Two clicks.
    let page = browser.get(&format!("{path}/withdraw"));
    assert!(page.says("Withdraw and delete everything?"));
    let page = browser.post(&format!("{path}/withdraw"), &[]);
    assert!(page.says("Your data is deleted"), "{page:?}");
    assert_eq!(site.other.access(&face(5)).reason, Reason::NoMatch);
    assert_eq!(browser.get(&path).status, 404);
    assert_eq!(browser.get(&format!("{path}/data")).status, 404);
    until("no byte of the face or the name is left", || {
        let left = |bytes: &[u8]| !site.site.files_with(bytes).is_empty();
        !left(&kept[100..140]) && !left(b"Unmistakable") && !left(b"zoe@example.org")
    });
    let token = path.rsplit('/').next().expect("a token").to_owned();
    drop(device);
    let log = site.server.stop();
    assert!(
        !log.contains(&token) && !log.contains("Unmistakable"),
        "{log}"
    );
}

/// Fails if a photo does not enrol, if its reasons do not reach the person, or if it is kept.
#[test]
fn a_photo_enrols_and_is_not_kept() {
    let mut site = EnrolSite::with_extractor();
    let path = site.invite("P1", &[]);
    let mut browser = site.browser();
    site.photo(&mut browser, &path, &photo(9));
    assert!(!stage(&site, "P1").contains("enrolled"), "without consent");
    site.consent(&mut browser, &path);
    for (bad, told) in [
        (
            b"GIF89a, not a photo of the kind".to_vec(),
            "cannot be read as a photo",
        ),
        (photo(9)[..40].to_vec(), "too dark, too small"),
        ([&photo(9)[..], b"two faces"].concat(), "must show one face"),
    ] {
        assert_eq!(site.photo(&mut browser, &path, &bad).status, 303);
        until(told, || browser.get(&path).says(told));
    }
    assert_eq!(site.photo(&mut browser, &path, b"").status, 422);
    let large = vec![1; 6 * 1_024 * 1_024 + 1];
    assert_eq!(site.photo(&mut browser, &path, &large).status, 413);
    assert_eq!(site.photo(&mut browser, &path, &photo(9)).status, 303);
    until("enrolled", || browser.get(&path).says("You are enrolled"));
    let data = browser.get(&format!("{path}/data")).json();
    let granted = site.other.access(&template(&data));
    assert_eq!(granted.decision, Decision::Granted);
    assert_eq!(
        site.site.files_with(&photo(9)[..64]),
        Vec::<std::path::PathBuf>::new()
    );
}

/// Fails if somebody is enrolled twice, if anybody but the administrator hears who they look
/// like, or if the administrator's word counts for nothing.
#[test]
fn a_likely_duplicate_waits_for_the_administrator() {
    let site = EnrolSite::with_extractor();
    let mut browser = site.browser();
    let (first, second) = (site.invite("Anna", &[]), site.invite("Bea", &[]));
    site.consent(&mut browser, &first);
    site.photo(&mut browser, &first, &photo(1));
    until("enrolled", || browser.get(&first).says("You are enrolled"));
    let mut other = site.browser();
    site.consent(&mut other, &second);
    site.photo(&mut other, &second, &photo(1));
    until("held", || {
        other.get(&second).says("has to look at your enrolment")
    });
    assert!(!other.get(&second).says("Anna"));
    assert!(!other.get(&format!("{second}/data")).says("Anna"));
    let line = stage(&site, "Bea");
    assert!(line.contains("looks like Anna"), "{line}");
    // Another photo does not get round it.
    site.photo(&mut other, &second, &photo(1));
    assert!(stage(&site, "Bea").contains("\tconsented\t"));
    site.site.done(&["enrol", "allow", "Bea"]);
    site.photo(&mut other, &second, &photo(1));
    until("enrolled", || other.get(&second).says("You are enrolled"));
}

/// Fails if the consent to an older policy counts for a newer one, or a newer one asks nobody.
#[test]
fn a_new_policy_asks_again() {
    let site = EnrolSite::with_extractor();
    let path = site.invite("P1", &["--language", "de"]);
    let mut browser = site.browser();
    let page = browser.get(&path);
    assert!(
        page.says("lang=\"de\"") && page.says("Ich willige ein"),
        "{}",
        page.body
    );
    let old = page.field("version");
    site.site.done(&["enrol", "set", "--policy-version", "2"]);
    // The page that was open shows version 1: who sends it has not read version 2.
    let fields = [("consent", "yes"), ("version", old.as_str())];
    browser.post(&format!("{path}/consent"), &fields);
    assert!(
        stage(&site, "P1").contains("missing"),
        "{}",
        stage(&site, "P1")
    );
    site.consent(&mut browser, &path);
    site.photo(&mut browser, &path, &photo(1));
    until("enrolled", || {
        browser.get(&path).says("Sie sind registriert")
    });
    site.site.done(&["enrol", "set", "--policy-version", "3"]);
    let page = browser.get(&path);
    assert!(
        page.says("hat sich seit Ihrer Einwilligung"),
        "{}",
        page.body
    );
    assert!(stage(&site, "P1").contains("outdated"));
    let page = site.consent(&mut browser, &path);
    assert!(page.says("Version 3") && !page.says("name=\"version\""));
    // A box that is not ticked is no consent.
    site.site.done(&["enrol", "set", "--policy-version", "4"]);
    browser.get(&path);
    let sent = browser.post(&format!("{path}/consent"), &[("version", "4")]);
    assert_eq!(sent.status, 422);
    assert!(stage(&site, "P1").contains("outdated"));
}

/// Fails if a link that was replaced, taken back, has expired or never was leads anywhere.
#[test]
fn links_end() {
    let site = EnrolSite::with_extractor();
    let mut browser = site.browser();
    let first = site.invite("P1", &[]);
    let second = site.invite("P1", &[]);
    assert_eq!(browser.get(&first).status, 404, "replaced");
    assert_eq!(browser.get(&second).status, 200);
    site.site.done(&["enrol", "cancel", "P1"]);
    assert_eq!(browser.get(&second).status, 404, "taken back");
    for none in ["/enrol/x", "/enrol/AAAAAAAAAAAAAAAAAAAAAA", "/enrol/a/b"] {
        assert_eq!(browser.get(none).status, 404, "{none}");
    }
    let third = site.invite("P1", &[]);
    site.consent(&mut browser, &third);
    let EnrolSite {
        site,
        server,
        reader,
        other,
    } = site;
    server.stop();
    let store = Connection::open(site.data().join("store.db")).expect("the store");
    let expired = store.execute("UPDATE invitations SET expires = 1000", []);
    assert_eq!(expired.expect("an update"), 1);
    drop(store);
    let server = site.serve();
    let site = EnrolSite {
        site,
        server,
        reader,
        other,
    };
    let mut browser = site.browser();
    let page = browser.get(&third);
    assert!(page.says("has expired"), "{}", page.body);
    site.photo(&mut browser, &third, &photo(1));
    assert!(stage(&site, "P1").contains("expired"));
    // Who is enrolled already is not invited over.
    // Another link, and the consent holds.
    let again = site.invite("P1", &[]);
    site.photo(&mut browser, &again, &photo(1));
    until("enrolled", || browser.get(&again).says("You are enrolled"));
    let why = site
        .site
        .refused(&["enrol", "invite", "P1", "--paper", "/nowhere"]);
    assert!(why.contains("enrolled already"), "{why}");
    // Sent again: disenrolled, and a new link.
    let folder = site.site.file("again");
    let folder = folder.to_str().expect("a plain path");
    site.site
        .done(&["enrol", "resend", "P1", "--paper", folder]);
    assert_eq!(browser.get(&again).status, 404, "used up");
    assert!(stage(&site, "P1").contains("invited"));
}

/// Fails if a mail is lost while the relay is away, or anything waits for it.
#[test]
fn a_mail_waits_for_the_relay() {
    // What it runs on is there: the pauses between tries stay short.
    drop(Relay::start(&[]));
    let port = free_port();
    let site = EnrolSite::start(&[]);
    site.set_mail(port);
    let invite = ["enrol", "invite", "P1", "--name", "Pia"];
    site.site
        .done(&[&invite[..], &["--email", "pia@example.org"]].concat());
    until("the failure shows", || {
        stage(&site, "P1").contains("cannot be reached")
    });
    assert!(stage(&site, "P1").contains("requested"));
    let mut relay = Relay::start_at(port, &[]);
    let mail = relay.message();
    assert_eq!(site.browser().get(&mail.path()).status, 200);
    until("it is noted", || stage(&site, "P1").contains("invited"));
    assert!(
        !stage(&site, "P1").contains("mail"),
        "nothing waits any more"
    );
}

/// Fails if a mail for good refused is tried for ever, or STARTTLS is left out, or believed
/// without the right authority.
#[test]
fn a_relay_with_starttls_and_one_that_refuses() {
    let site = EnrolSite::start(&[]);
    let (key, certificate) = (site.site.file("relay.key"), site.site.file("relay.pem"));
    let subject = [
        "-subj",
        "/CN=relay",
        "-addext",
        "subjectAltName=IP:127.0.0.1",
    ];
    let made = std::process::Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
        ])
        .args([
            "-nodes",
            "-days",
            "2",
            "-addext",
            "basicConstraints=critical,CA:FALSE",
        ])
        .args(subject)
        .arg("-keyout")
        .arg(&key)
        .arg("-out")
        .arg(&certificate)
        .output();
    assert!(made.expect("openssl is there").status.success());
    let path = |file: &std::path::Path| file.to_str().expect("a plain path").to_owned();
    let (key, certificate) = (path(&key), path(&certificate));
    let mut relay = Relay::start(&["--starttls", &certificate, &key]);
    let port = relay.port.to_string();
    let set = [
        "enrol",
        "set-mail",
        "--host",
        "127.0.0.1",
        "--port",
        port.as_str(),
    ];
    let from = ["--from", "doors@acme.example"];
    site.site.done(&[&set[..], &from].concat());
    let invite = ["enrol", "invite", "P1", "--name", "Pia"];
    site.site
        .done(&[&invite[..], &["--email", "pia@example.org"]].concat());
    until("nobody vouches for it", || {
        stage(&site, "P1").contains("mail failed")
    });
    site.site
        .done(&[&set[..], &from, &["--ca", certificate.as_str()]].concat());
    assert_eq!(relay.message().0["tls"], true);

    let refusing = Relay::start(&["--refuse", "550"]);
    site.set_mail(refusing.port);
    let invite = ["enrol", "invite", "P2", "--name", "Per"];
    site.site
        .done(&[&invite[..], &["--email", "per@example.org"]].concat());
    until("refused for good", || {
        stage(&site, "P2").contains("refused for good")
    });
    assert!(stage(&site, "P2").contains("550"));
}

/// Fails if one bad row takes the good ones along, if a bad row is taken, or without the bound of
/// people in one request.
#[test]
fn a_file_of_people_is_invited_row_by_row() {
    let site = EnrolSite::start(&[]);
    let file = site.site.file("people.csv");
    let rows = "external_id,name,email,device,doors,language,days\n\
                P1,Pia,,reader,main,fr,3\n\
                P2,Per,,no such device,,,\n\
                P3,Pol,,,no such door,,\n\
                P4,Pam,,,,xx,\n\
                P5,Pat,,,,,\n";
    std::fs::write(&file, rows).expect("written");
    let folder = site.site.file("sheets");
    let text = |path: &std::path::Path| path.to_str().expect("a plain path").to_owned();
    let (file, folder) = (text(&file), text(&folder));
    let said = site
        .site
        .done(&["enrol", "invite", "--file", &file, "--paper", &folder]);
    for (who, result) in [
        ("P1", "P1.svg"),
        ("P2", "no device of this name"),
        ("P3", "no door of this name"),
        ("P4", "no such language"),
        ("P5", "P5.svg"),
    ] {
        let line = said.lines().find(|line| line.starts_with(who));
        let line = line.unwrap_or_else(|| panic!("no {who}: {said}"));
        assert!(line.contains(result), "{line}");
    }
    assert_eq!(stage(&site, "P2"), "", "refused, and not half known");
    let person = serde_json::json!({"external_id": "X", "name": "X"});
    let many = vec![person; 65];
    let ask = serde_json::json!({
        "do": "enrol",
        "ask": {"enrol": "invite", "people": many, "paper": true},
    });
    let reply = site.server.admin().ask(&ask).expect("an answer");
    assert_eq!(reply["is"], "error", "{reply}");
    assert_eq!(stage(&site, "X"), "");
}

/// Fails if the console does not invite, print and take back, or lets a viewer do it.
#[test]
fn the_console_invites_and_prints() {
    let site = EnrolSite::start(&[]);
    let mut admin = Browser::administrator(&site.site, &site.server);
    let page = admin.get("/console/invitations");
    assert!(page.says("Nobody is invited yet"), "{}", page.body);
    let fields = [
        ("external_id", "P1"),
        ("name", "Pia"),
        ("device", "reader"),
        ("doors", "*"),
        ("language", "en"),
        ("way", "paper"),
    ];
    let sheet = admin.post("/console/invitations", &fields);
    assert!(sheet.says("<svg") && sheet.says(COMPANY.split(' ').next().expect("a word")));
    let at = sheet.body.find("https://").expect("the address in letters");
    let path = path_of(sheet.body[at..].split('<').next().expect("it ends"));
    assert_eq!(site.browser().get(&path).status, 200);
    let page = admin.get("/console/invitations");
    assert!(page.says("Pia") && page.says("Invited") && page.says("reader"));
    assert!(!page.says(&path), "a link is shown once");
    // By mail there is no way yet: the words say what to do.
    let mail = [
        ("external_id", "P2"),
        ("name", "Per"),
        ("email", "per@example.org"),
    ];
    let refused = admin.post("/console/invitations", &mail);
    assert_eq!(refused.status, 422);
    assert!(refused.says("no mail relay"), "{}", refused.body);
    let cancelled = admin.post("/console/invitations/P1/cancel", &[]);
    assert_eq!(cancelled.status, 303);
    assert_eq!(site.browser().get(&path).status, 404);
    assert_eq!(
        admin.post("/console/invitations/P1/nothing", &[]).status,
        404
    );

    let said = site.site.done(&["team", "add", "vera", "--role", "viewer"]);
    let password = &password_in(&said);
    let mut viewer = site.browser();
    viewer.sign_in("vera", password);
    viewer.choose_password(password, "another password");
    let page = viewer.get("/console/invitations");
    assert!(page.says("Pia") && !page.says("/console/invitations/P1/resend"));
    let refused = viewer.post("/console/invitations", &fields);
    assert_eq!(refused.status, 403);
}
