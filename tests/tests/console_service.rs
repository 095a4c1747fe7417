//! The Enrolment Service set up in the browser alone: what people are told, the mail relay, what
//! became of the mails; and another version of the policy, which asks everybody again.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cardea_tests::enrol::{EnrolSite, photo};
use cardea_tests::mail::{Relay, free_port};
use cardea_tests::space::until;
use cardea_tests::{Browser, Face, Site};
use cardea_wire::Decision;

const HERE: &str = "/console/integrations/enrolment";
const MAIL: &str = "/console/integrations/enrolment/mail";
const CARDS: &str = "/console/integrations";

/// A relay without TLS at this port, as the form has it.
fn relay_at(port: u16) -> [(&'static str, String); 4] {
    [
        ("host", "127.0.0.1".to_owned()),
        ("port", port.to_string()),
        ("tls", "none".to_owned()),
        ("from", "doors@acme.example".to_owned()),
    ]
}

fn save_relay(browser: &mut Browser, port: u16, more: &[(&str, &str)]) -> u16 {
    browser.get(HERE);
    let fixed = relay_at(port);
    let fixed = fixed.iter().map(|(name, value)| (*name, value.as_str()));
    let fields: Vec<_> = fixed.chain(more.iter().copied()).collect();
    browser.post(MAIL, &fields).status
}

fn invite(browser: &mut Browser, external_id: &str, email: &str) {
    browser.get("/console/invitations");
    let name = format!("Name of {external_id}");
    let fields = [
        ("external_id", external_id),
        ("name", &name),
        ("email", email),
        ("doors", "*"),
        ("way", "mail"),
    ];
    let page = browser.post("/console/invitations", &fields);
    assert_eq!(page.status, 303, "{page:?}");
}

/// Leaving `test` out of `service::save_mail`, the count out of `mail_sent`, or the reason out of
/// `mail_counts` fails this; so does a password that is shown, or that goes to another relay.
#[test]
fn an_installer_sets_the_service_up_without_the_command_line() {
    let site = Site::new();
    let server = site.serve();
    let mut browser = Browser::administrator(&site, &server);
    browser.get(HERE);
    let fields = [
        ("company", "ACME"),
        ("policy_address", "https://127.0.0.1:1/policy"),
        ("alternative", "Ask the reception for a card."),
        ("policy_version", ""),
    ];
    assert_eq!(browser.post(HERE, &fields).status, 303);
    let shown = browser.get("/api/v1/integrations/enrolment").json();
    let version = shown["policy_version"].as_str().expect("a version");
    assert_eq!(version.len(), "2026-11-22".len(), "today: {version}");
    assert_eq!(shown["alternative"], "Ask the reception for a card.");
    assert!(browser.get(CARDS).says("No mail relay is set up"));

    // A relay that is not there: stored, and said in words; the mail waits, and the card says why.
    drop(Relay::start(&[]));
    let port = free_port();
    assert_eq!(save_relay(&mut browser, port, &[]), 303);
    let page = browser.get(HERE);
    assert!(
        page.says("no mail can go out: the relay cannot be reached"),
        "{}",
        page.body
    );
    invite(&mut browser, "P1", "pia@example.org");
    until("the failure is on the card", || {
        let page = browser.get(CARDS);
        page.says("Failing: 1.") && page.says("the relay cannot be reached")
    });
    let mut relay = Relay::start_at(port, &[]);
    let letter = relay.message();
    assert!(
        letter
            .text("text")
            .contains("Ask the reception for a card.")
    );
    until("it is counted", || {
        browser.get(CARDS).says("Mails sent: 1.")
    });
    let page = browser.get(CARDS);
    assert!(
        page.says("Waiting: 0.") && !page.says("Failing"),
        "{}",
        page.body
    );
    assert!(page.says("Last sent "), "{}", page.body);
    assert_eq!(save_relay(&mut browser, port, &[]), 303);
    assert!(browser.get(HERE).says("Saved. The relay answers."));

    // A password is never shown, stays for its account, and goes to no other relay.
    let secret = "a password for the relay";
    let account = [("user", "doors"), ("password", secret)];
    assert_eq!(save_relay(&mut browser, port, &account), 303);
    let page = browser.get(HERE);
    assert!(page.says("value=\"doors\"") && !page.says(secret));
    assert_eq!(save_relay(&mut browser, port, &[("user", "doors")]), 303);
    let page = {
        browser.get(HERE);
        let mut fields = relay_at(free_port()).to_vec();
        fields.push(("user", "doors".to_owned()));
        let fields: Vec<_> = fields.iter().map(|(name, text)| (*name, &**text)).collect();
        browser.post(MAIL, &fields)
    };
    assert_eq!(page.status, 422, "{page:?}");
    assert!(page.says("user and password go together"), "{page:?}");
    let page = browser.post("/console/integrations/enrolment/mail-remove", &[]);
    assert_eq!(page.status, 303);
    assert!(browser.get(CARDS).says("No mail relay is set up"));

    // A viewer sees that there is mail, not where it goes.
    let told = site.done(&["team", "add", "vera", "--role", "viewer"]);
    assert_eq!(save_relay(&mut browser, port, &[]), 303);
    let mut viewer = Browser::new(&site, &server);
    let password = cardea_tests::site::password_in(&told);
    viewer.sign_in("vera", &password);
    viewer.choose_password(&password, "another password");
    let page = viewer.get(HERE);
    assert!(page.says("Mails sent: 1.") && !page.says("doors@acme.example"));
    assert_eq!(viewer.post(MAIL, &[]).status, 403);
}

/// The first template in a person's own download.
fn template(data: &serde_json::Value) -> Face {
    let text = data["references"][0]["template"]
        .as_str()
        .expect("a template");
    let bytes = STANDARD.decode(text).expect("base64");
    bytes.try_into().expect("512 f32")
}

/// Leaving `asking_tick` out of the writer's tick, `consent_policy <> ?3` out of `to_ask_again`, or
/// ending access with the policy fails this.
#[test]
fn another_policy_asks_again_by_mail_and_doors_open_as_before() {
    let mut relay = Relay::start(&[]);
    let mut site = EnrolSite::with_extractor();
    site.set_mail(relay.port);
    let mut admin = Browser::administrator(&site.site, &site.server);
    let mut person = site.browser();
    invite(&mut admin, "P1", "pia@example.org");
    let first = relay.message().path();
    site.consent(&mut person, &first);
    site.photo(&mut person, &first, &photo(1));
    until("enrolled", || person.get(&first).says("You are enrolled"));
    let face = template(&person.get(&format!("{first}/data")).json());
    assert_eq!(site.other.access(&face).decision, Decision::Granted);
    // Without an address nobody is asked by mail; with the new version neither.
    let on_paper = site.invite("P2", &[]);
    site.consent(&mut person, &on_paper);

    admin.get(HERE);
    let fields = [
        ("company", "Acme & Sons"),
        ("policy_address", "https://127.0.0.1:1/policy"),
        ("policy_version", "2"),
    ];
    assert_eq!(admin.post(HERE, &fields).status, 303);
    let letter = relay.message();
    assert_eq!(letter.0["to"][0], "pia@example.org");
    assert!(
        letter
            .text("text")
            .contains("has changed since you consented"),
        "{letter:?}"
    );
    let second = letter.path();
    assert_ne!(first, second);
    assert_eq!(person.get(&first).status, 404, "the new link replaces it");
    let page = person.get(&second);
    assert!(page.says("The privacy policy has changed") && page.says("You are enrolled"));

    // Where an administrator sees it: whose consent is to another version, and what that means.
    let outdated = |admin: &mut Browser| {
        let shown = admin.get("/api/v1/integrations/enrolment").json();
        shown["outdated_consents"].as_u64()
    };
    assert_eq!(outdated(&mut admin), Some(2));
    let page = admin.get(HERE);
    assert!(
        page.says("another version of the policy: 2."),
        "{}",
        page.body
    );
    assert!(page.says("Their access does not end by itself"));
    assert!(
        admin
            .get("/console/people/P1")
            .says("This is not the version in force")
    );
    assert_eq!(
        site.other.access(&face).decision,
        Decision::Granted,
        "as before"
    );

    site.consent(&mut person, &second);
    assert_eq!(outdated(&mut admin), Some(1));
    assert!(
        !admin
            .get("/console/people/P1")
            .says("This is not the version in force")
    );
    until("all were asked, and it is noted", || {
        admin.get("/console/changes").says("version 2: 1 people")
    });
    let waiting = admin.get("/api/v1/integrations/enrolment/mail").json();
    assert_eq!(
        (waiting["sent"].as_u64(), waiting["waiting"].as_u64()),
        (Some(2), Some(0))
    );
}
