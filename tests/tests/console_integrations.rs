//! The integrations page as the requirements describe it, with the simulator of Space.

use std::fs;
use std::net::TcpListener;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cardea_tests::space::{Space, until};
use cardea_tests::{Browser, Site};
use serde_json::json;

/// Waits until the card of Space says so.
fn card_says(browser: &mut Browser, indicator: &str) {
    until(indicator, || {
        let states = browser.get("/api/v1/integrations").json();
        states[0]["status"] == indicator
    });
}

fn pill(kind: &str, text: &str) -> String {
    format!(
        "<span class=\"pill {kind}\"><span class=\"dot\" aria-hidden=\"true\"></span>{text}</span>"
    )
}

/// Removing the fourth arm of `Indicator::name`, or `!state.configured` from the template, fails
/// this.
#[test]
fn cards_are_added_in_a_dialog_and_say_that_they_are_not_configured() {
    let site = Site::new();
    let server = site.serve();
    let mut browser = Browser::administrator(&site, &server);
    let page = browser.get("/console/integrations");
    assert!(page.says("No integration has been added yet."));
    assert!(page.says("Add Integration") && !page.says("<dialog"));
    for (kind, status, explanation) in [
        ("good", "Connected", "is established"),
        ("warning", "Unauthorized", "the API key is incorrect"),
        ("bad", "Disconnected", "cannot establish a connection"),
        ("none", "No status", "has not been configured yet"),
    ] {
        assert!(
            page.says(&pill(kind, status)) && page.says(explanation),
            "{status}"
        );
    }
    let page = browser.get("/console/integrations?dialog=add");
    assert!(page.says("<dialog open") && page.says("role=\"switch\"") && page.says("Continue"));
    let none = browser.post("/console/integrations", &[]);
    assert_eq!(none.location(), "/console/integrations?dialog=add");
    assert!(
        browser
            .get(none.location())
            .says("Choose at least one integration.")
    );
    let fields = [("space", "on"), ("enrolment", "on")];
    let page = browser.post("/console/integrations", &fields);
    assert_eq!(page.location(), "/console/integrations/space");
    let page = browser.get("/console/integrations/space");
    assert!(page.says("Space Server Details") && page.says("Enrolment Service"));
    let page = browser.get("/console/integrations");
    assert_eq!(page.body.matches("Not configured").count(), 2);
    assert!(
        page.says("href=\"/console/integrations/enrolment\""),
        "a card opens its options"
    );
    // What is added is offered no more.
    let page = browser.get("/console/integrations?dialog=add");
    assert!(!page.says("name=\"space\"") && page.says("name=\"connect\""));
}

/// Leaving `space::test` out of `space::save` fails this.
#[test]
fn space_is_set_up_and_each_state_shows_on_its_card() {
    let (site, space) = (Site::new(), Space::start(&[]));
    let server = site.serve();
    let mut browser = Browser::administrator(&site, &server);
    let (host, port) = space.host_and_port("https");
    let key = fs::read_to_string(space.key_file(&site)).expect("a key");
    browser.get("/console/integrations/space");
    let here = [
        ("host", host.as_str()),
        ("port", port.as_str()),
        ("transport", "https"),
    ];

    // Without a fingerprint the server shows the one that Space has, and stores nothing.
    let page = browser.post(
        "/console/integrations/space",
        &[&here[..], &[("ship_key", &key)]].concat(),
    );
    assert_eq!(page.status, 200, "{page:?}");
    assert!(page.says("Compare it with the one"));
    let fingerprint = page.field("fingerprint");
    assert_eq!(fingerprint.replace(':', ""), space.fingerprint());
    assert_eq!(
        browser.get("/api/v1/integrations").json()[0]["configured"],
        false
    );

    // A wrong key: stored, and Unauthorized in words and on the card.
    let pinned = [&here[..], &[("fingerprint", fingerprint.as_str())]].concat();
    let wrong = [
        &pinned[..],
        &[("ship_key", "WRONGKEYWRONGKEYWRONGKEYWRONGKEY")],
    ]
    .concat();
    assert_eq!(
        browser.post("/console/integrations/space", &wrong).status,
        303
    );
    let page = browser.get("/console/integrations/space");
    assert!(page.says("Space refuses the key"), "{page:?}");
    card_says(&mut browser, "unauthorized");
    let page = browser.get("/console/integrations");
    assert!(page.says(&pill("warning", "Unauthorized")));
    let page = browser.get("/console/integrations/space");
    let check = |state: &str, text: &str| {
        let items = page.body.split("<li class=\"").skip(1);
        items
            .map(|item| item.split("</li>").next().unwrap_or_default())
            .any(|item| item.starts_with(state) && item.contains(text))
    };
    assert!(
        check("yes", "runs on HTTPS"),
        "the server has seen a certificate"
    );
    assert!(check("no", "custom authentication"));
    assert!(check("unknown", "go to sleep"));

    // The right key: Connected, and ticks in the list.
    let right = [&pinned[..], &[("ship_key", key.as_str())]].concat();
    browser.post("/console/integrations/space", &right);
    assert!(
        browser
            .get("/console/integrations/space")
            .says("Space answers: connected.")
    );
    card_says(&mut browser, "connected");
    let page = browser.get("/console/integrations/space");
    assert!(
        page.body.matches("<li class=\"yes\">").count() >= 3,
        "{page:?}"
    );
    assert!(browser.get("/console/").says(&pill("good", "Connected")));

    // Its machine stops: Disconnected, and saving says so in words.
    drop(space);
    card_says(&mut browser, "disconnected");
    browser.get("/console/integrations/space");
    assert_eq!(
        browser.post("/console/integrations/space", &right).status,
        303
    );
    assert!(
        browser
            .get("/console/integrations/space")
            .says("Space does not answer: ")
    );
    // And removed: no status.
    let page = browser.get("/console/integrations/space?dialog=remove");
    assert!(page.says("<dialog open"));
    browser.post("/console/integrations/space/remove", &[]);
    let states = browser.get("/api/v1/integrations").json();
    assert_eq!(
        (&states[0]["status"], &states[0]["added"]),
        (&json!("no-status"), &json!(false))
    );
}

/// Leaving `Request::SpaceRotateKey` out of `space::rotate` fails this.
#[test]
fn keys_are_shown_to_be_copied_and_made_anew_after_a_confirmation() {
    let (site, space) = (Site::new(), Space::start(&[]));
    let server = site.serve();
    space.connect(&site, &space.fingerprint());
    let mut browser = Browser::administrator(&site, &server);
    let page = browser.get("/console/integrations/space");
    let (ship, face) = (page.field("ship_key"), page.field("option-key"));
    assert_eq!(
        (page.field("option-address").as_str(), face.len()),
        ("127.0.0.1", 32)
    );
    assert_eq!(page.field("option-port"), server.address.port().to_string());
    assert!(page.says("data-copy=\"option-key\"") && page.says("Space General Options"));

    let person = "/api/space/v1/people/P1";
    let as_space = |browser: &mut Browser, key: &str| browser.api("GET", person, key, None).status;
    let page = browser.get("/console/integrations/space");
    assert!(!page.says("<li class=\"yes\"><svg class=\"icon\" aria-hidden=\"true\"><use href=\"x"));
    assert_ne!(as_space(&mut browser, &face), 401);
    let page = browser.get("/console/integrations/space?dialog=key-face");
    assert!(page.says("<dialog open") && page.says("The old key is refused from then on."));
    browser.post("/console/integrations/space/key/face", &[]);
    let page = browser.get("/console/integrations/space");
    assert!(page.says("There is a new key."));
    let new = page.field("option-key");
    assert_ne!(new, face);
    assert_eq!(page.field("ship_key"), ship, "the other key stays");
    assert_eq!(as_space(&mut browser, &face), 401);
    assert_ne!(as_space(&mut browser, &new), 401);

    let script = browser.get("/console/integrations/space/install-script");
    assert!(
        script
            .header("content-disposition")
            .is_some_and(|value| value.contains("attachment"))
    );
    assert!(script.says("127.0.0.1") && !script.says(&new) && !script.says(&ship));
    // The change names who made it.
    assert!(
        browser
            .get("/console/changes")
            .says("Made a key of Space anew")
    );
}

/// Storing nothing when the page cannot be reached, or not looking at it, fails this.
#[test]
fn company_and_policy_are_required_and_the_policy_is_looked_at() {
    let site = Site::new();
    let ca = site.ca_pem();
    let server = site.serve_command(site.command(&["serve"]).env("SSL_CERT_FILE", ca));
    let mut browser = Browser::administrator(&site, &server);
    let here = "/console/integrations/enrolment";
    browser.get(here);
    for fields in [
        [("company", ""), ("policy_address", "https://a.example/")],
        [("company", "ACME"), ("policy_address", "")],
    ] {
        let page = browser.post(here, &fields);
        assert_eq!(page.status, 422);
        assert!(page.says("both required"));
    }
    // A server that this machine trusts, pages that everybody can see: our own.
    let own = format!("https://{}", server.address);
    let names_it = format!("{own}/api/v1/openapi.json");
    let silent = format!("{own}/console/sign-in");
    for (address, word, found, status) in [
        (
            names_it.as_str(),
            "mentions biometric data",
            "good",
            "connected",
        ),
        (&silent, "does not seem to mention", "silent", "connected"),
        (
            &format!("{own}/none"),
            "cannot be reached",
            "unreachable",
            "disconnected",
        ),
        (
            &format!("{own}/api/v1/site"),
            "not open to everybody",
            "closed",
            "unauthorized",
        ),
        (
            "https://127.0.0.1:1/",
            "cannot be reached",
            "unreachable",
            "disconnected",
        ),
        (
            "http://a.example/",
            "not one of HTTPS",
            "not-https",
            "disconnected",
        ),
    ] {
        browser.get(here);
        let fields = [("company", "ACME & Sons"), ("policy_address", address)];
        assert_eq!(browser.post(here, &fields).status, 303, "{address}");
        let page = browser.get(here);
        assert!(page.says(word), "{address}: {page:?}");
        assert!(
            page.says("ACME &#38; Sons") || page.says("ACME &amp; Sons"),
            "stored"
        );
        let state = browser.get("/api/v1/integrations").json();
        assert_eq!(state[1]["status"], status, "{address} {state}");
        let shown = browser.get("/api/v1/integrations/enrolment").json();
        assert_eq!(shown["found"], found);
    }
}

/// Comparing with the address of now instead of `ADDRESS_AT_SETUP` fails this.
#[test]
fn a_server_whose_address_is_another_one_says_so() {
    let site = Site::new();
    let server = site.serve();
    let mut browser = Browser::administrator(&site, &server);
    assert!(!browser.get("/console/").says("was set up with the address"));
    server.stop();
    let address = ("address", "\"127.0.0.2\"");
    site.configure(&[address, ("listen", "\"127.0.0.2:0\"")]);
    let server = site.serve();
    // Its certificate names the new address within a second; the browser looks at the name.
    until("the server's certificate was renewed", || {
        server.process.log().contains("certificate was renewed")
    });
    let mut browser = Browser::new(&site, &server);
    browser.sign_in("admin", cardea_tests::browser::PASSWORD);
    let page = browser.get("/console/");
    assert!(
        page.says("was set up with the address 127.0.0.1"),
        "{page:?}"
    );
}

/// Why a code failed was told to nobody when the authority took longer than the page. Taking
/// `self.failure = ..` out of `connect::Over::ended_with` fails this.
#[test]
fn why_a_code_failed_is_told_after_the_page_has_gone_and_until_the_next_try() {
    let site = Site::new();
    let server = site.serve();
    let mut browser = Browser::administrator(&site, &server);
    let here = "/console/integrations/connect";
    browser.get("/console/integrations");
    browser.post("/console/integrations", &[("connect", "on")]);
    // The system takes its connection, and nobody answers.
    let authority = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("https://{}", authority.local_addr().expect("bound"));
    let code = json!({"u": url, "f": "ab".repeat(32), "t": "token"});
    let code = format!("CONNECT1-{}", URL_SAFE_NO_PAD.encode(code.to_string()));
    browser.get(here);
    assert_eq!(browser.post(here, &[("code", &code)]).status, 303);
    let page = browser.get(here);
    assert!(page.says("has not answered yet"), "{page:?}");
    let why = "Not joined: the authority cannot be reached";
    assert!(!page.says(why));
    drop(authority);
    until("the page and the card say why", || {
        browser.get(here).says(why) && browser.get("/console/integrations").says(why)
    });
    browser.get(here);
    assert_eq!(browser.post(here, &[("code", "another")]).status, 422);
    let page = browser.get(here);
    assert!(
        page.says("Not joined: this is no code to join with") && !page.says(why),
        "{page:?}"
    );
}
