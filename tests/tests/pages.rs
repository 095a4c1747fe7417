//! The pages of devices, doors, people, logs and latency, as a browser without scripts sees them.

use std::fs;
use std::process::Command;
use std::time::Instant;

use cardea_tests::browser::Page;
use cardea_tests::device::{commission, heartbeat, new_id};
use cardea_tests::files::json_line;
use cardea_tests::space::until;
use cardea_tests::{Browser, Device, Site, face};
use cardea_wire::reply::CommandKind;
use cardea_wire::{Decision, Head, Kind, Reason, path, reset};
use serde_json::json;

/// The largest page.
const PAGE_BYTES_MAX: usize = 100_000;

fn upload(browser: &mut Browser, people: &str, skip_bad: bool) -> Page {
    browser.get("/console/people-import");
    let part = |name: &str, more: &str, content: &str| {
        format!(
            "--XX\r\nContent-Disposition: form-data; name=\"{name}\"{more}\r\n\r\n{content}\r\n"
        )
    };
    let mut body = part("people", "; filename=\"people.jsonl\"", people);
    body.push_str(&part("embeddings", "; filename=\"\"", ""));
    if skip_bad {
        body.push_str(&part("skip_bad", "", "on"));
    }
    body.push_str("--XX--\r\n");
    let path = format!("/console/people-import?csrf={}", browser.csrf);
    let kind = "multipart/form-data; boundary=XX";
    browser.ask("POST", &path, &[], kind, body.as_bytes())
}

fn imported(browser: &mut Browser) -> Page {
    let mut page = browser.get("/console/people-import");
    until("imported", || {
        page = browser.get("/console/people-import");
        !page.says("<progress")
    });
    page
}

/// The text of the code that the page shows.
fn code_text(page: &Page) -> String {
    let (_, after) = page.body.split_once("id=\"code-text\">").expect("a code");
    after.split('<').next().expect("text").to_owned()
}

/// Leaving `leaving_tick` out of the writer's tick, or the command out of `device_decommission`,
/// fails this.
#[test]
fn a_device_comes_by_its_code_and_leaves_at_its_next_contact() {
    let site = Site::new();
    let server = site.serve();
    let mut browser = Browser::administrator(&site, &server);
    browser.get("/console/devices?dialog=add");
    let page = browser.post(
        "/console/devices",
        &[("name", "front in"), ("door", "main")],
    );
    let commission_page = "/console/devices/front%20in/commission";
    assert_eq!(page.location(), commission_page, "{page:?}");
    let page = browser.get(commission_page);
    assert!(page.says("<svg class=\"qr\"") && page.says("Holds until"));
    assert!(browser.get("/console/devices").says("To be commissioned"));

    // Another code voids the one before.
    let first = code_text(&page);
    let again = browser.post("/console/devices/front%20in/code", &[]);
    let page = browser.get(again.location());
    let second = code_text(&page);
    assert_ne!(first, second);
    assert!(commission(&first).is_err(), "the first code is void");
    let mut device = Device::commission(&second);
    let page = browser.get(commission_page);
    assert!(page.says("Commissioned") && !page.says("<svg class=\"qr\""));
    assert!(browser.get("/console/devices").says("Not seen"));
    device.heartbeat();
    until("ready", || {
        browser.get("/console/devices").says("pill good")
    });

    // A viewer sees neither code nor buttons.
    let told = site.done(&["team", "add", "vera", "--role", "viewer"]);
    let mut viewer = Browser::new(&site, &server);
    let password = cardea_tests::site::password_in(&told);
    viewer.sign_in("vera", &password);
    viewer.choose_password(&password, "another password");
    assert_eq!(viewer.get(commission_page).status, 403);
    let page = viewer.get("/console/devices");
    assert!(page.says("front in") && !page.says("?delete="));

    let page = browser.get("/console/devices?delete=front%20in");
    assert!(page.says("Delete front in?"));
    browser.post("/console/devices/front%20in/delete", &[]);
    assert!(browser.get("/console/devices").says("Being decommissioned"));
    assert!(browser.get("/console/logs/pending").says("Decommission"));
    let command = device.heartbeat().1.command.expect("it is told");
    assert_eq!(command.kind, CommandKind::Decommission);
    let mut last = Vec::new();
    let head = Head {
        command_done: command.id,
        ..Head::new(Kind::Heartbeat, new_id(), 0)
    };
    head.write(&mut last);
    assert_eq!(device.send(path::HEARTBEAT, &last).0, 200);
    until("gone", || !browser.get("/console/devices").says("front in"));
    device.disconnect();
    let (status, reply) = device.send(path::HEARTBEAT, &heartbeat(new_id()));
    assert_eq!((status, reply.reason), (403, Reason::UnknownDevice));
}

/// Signing without the fingerprint, or for other colours, fails this.
#[test]
fn the_last_code_of_a_reset_is_signed_by_the_site_for_this_device_and_these_colours() {
    let site = Site::new();
    let server = site.serve();
    let device = site.device("lost");
    let mut browser = Browser::administrator(&site, &server);
    let page = browser.get("/console/devices/lost/reset");
    assert!(page.says("<svg class=\"qr\"") && page.says("Type the colours"));
    let wrong = browser.post("/console/devices/lost/reset", &[("colours", "RGBX")]);
    assert_eq!(wrong.status, 422);
    browser.get("/console/devices/lost/reset");
    let page = browser.post("/console/devices/lost/reset", &[("colours", "rgby wvrr")]);
    assert!(page.says("Show the last code"), "{page:?}");

    // What the console shows is a picture; the same code comes from the command socket.
    let ask = json!({"do": "devices", "ask":
        {"devices": "reset", "name": "lost", "colours": "RGBYWVRR"}});
    let answer = server.admin().ask(&ask).expect("answered");
    let code = answer["rows"][0][1].as_str().expect("a code").to_owned();
    let signature = reset::parse_reset_code(&code).expect("a reset code");
    let colours = reset::Colours::parse("RGBYWVRR").expect("colours");
    let certificate = cardea_loadtest::tls::sha256(&device.identity.certificate);
    let (message, file) = (site.file("message"), site.file("signature"));
    fs::write(&message, colours.message(&certificate)).expect("written");
    fs::write(&file, signature).expect("written");
    let key = site.file("ca.pub");
    let ca = site.data().join("pki/site-ca.der");
    let openssl = |arguments: &[&str]| {
        let output = Command::new("openssl")
            .args(arguments)
            .output()
            .expect("openssl");
        (output.status.success(), output.stdout)
    };
    let text = |path: &std::path::Path| path.to_str().expect("UTF-8").to_owned();
    let (_, public) = openssl(&[
        "x509",
        "-inform",
        "DER",
        "-in",
        &text(&ca),
        "-pubkey",
        "-noout",
    ]);
    fs::write(&key, public).expect("written");
    let verify = |message: &std::path::Path| {
        openssl(&[
            "dgst",
            "-sha256",
            "-verify",
            &text(&key),
            "-signature",
            &text(&file),
            &text(message),
        ])
        .0
    };
    assert!(verify(&message), "the site CA's key made it");
    let other = reset::Colours::parse("RGBYWVRG").expect("colours");
    fs::write(&message, other.message(&certificate)).expect("written");
    assert!(!verify(&message), "it holds for these colours only");
}

/// Taking `end_session` out of an import that failed leaves its people staged: the second fails.
#[test]
fn people_are_imported_found_given_rights_and_withdrawn() {
    let site = Site::new();
    let server = site.serve();
    let mut device = site.device("d");
    let mut browser = Browser::administrator(&site, &server);
    let lines = [
        json_line("p-1", "", &face(1)),
        "no person".to_owned(),
        json_line("p-2", "*", &face(2)),
    ];
    let file = lines.join("\n");
    assert_eq!(upload(&mut browser, &file, false).status, 303);
    let page = imported(&mut browser);
    assert!(
        page.says("Not imported") && page.says("<td class=\"number\">2</td>"),
        "{page:?}"
    );
    assert!(browser.get("/console/people").says("0 people in all"));
    assert_eq!(upload(&mut browser, &file, true).status, 303);
    let page = imported(&mut browser);
    assert!(
        page.says("pill good") && page.says("Lines that cannot be taken: 1"),
        "{page:?}"
    );
    assert_eq!(upload(&mut browser, "", false).status, 422);

    let page = browser.get("/console/people?search=name+of+p-2");
    assert!(page.says("Name of p-2") && !page.says("Name of p-1"));
    let page = browser.get("/console/people?search=p-1");
    assert!(
        page.says("Name of p-1") && !page.says("Name of p-2"),
        "by external id"
    );
    assert!(
        browser
            .get("/console/people?search=zz")
            .says("Nobody is called so")
    );

    let denied = device.access(&face(1));
    assert_eq!(
        (denied.decision, denied.reason),
        (Decision::Denied, Reason::NoRight)
    );
    browser.get("/console/people/p-1");
    browser.post("/console/people/p-1/grant", &[("door", "main")]);
    assert!(
        browser
            .get("/console/people/p-1")
            .says("<li><span>main</span>")
    );
    assert_eq!(device.access(&face(1)).decision, Decision::Granted);
    browser.post("/console/people/p-1/revoke", &[("door", "main")]);
    assert_eq!(device.access(&face(1)).reason, Reason::NoRight);

    let page = browser.get("/console/people/p-2?dialog=withdraw");
    assert!(page.says("Withdraw Name of p-2?"));
    assert_eq!(device.access(&face(2)).decision, Decision::Granted);
    let page = browser.post("/console/people/p-2/withdraw", &[]);
    assert_eq!(page.location(), "/console/people");
    assert!(
        browser
            .get("/console/people")
            .says("Withdrawn: refused from now on")
    );
    assert_eq!(device.access(&face(2)).reason, Reason::NoMatch);
    assert_eq!(browser.get("/console/people/p-2").status, 404);

    // The log: the decision first, a name only where somebody matched.
    let page = browser.get("/console/logs/attempts");
    assert_eq!(page.body.matches("href=\"/console/people/p-1\"").count(), 3);
    let (newest, _) = page
        .body
        .split_once("</tr>\n<tr>")
        .unwrap_or((&page.body, ""));
    assert!(
        newest.contains("no match") && !newest.contains("p-2"),
        "{newest}"
    );
    assert!(
        browser
            .get("/console/logs/events")
            .says("Withdrew a person")
    );
}

/// Dropping the part of a span fails `series`' own test; leaving the download's kind out this one.
#[test]
fn latency_is_shown_and_downloaded_and_no_page_is_large() {
    let site = Site::new();
    let server = site.serve();
    let mut device = site.device("d");
    let mut browser = Browser::administrator(&site, &server);
    assert!(
        browser
            .get("/console/latency")
            .says("No access request in this span.")
    );
    for number in 0..20 {
        device.access(&face(number));
    }
    until("logged", || {
        browser.get("/console/latency").says("<svg class=\"chart\"")
    });
    let page = browser.get("/console/latency?span=1h&stage=search");
    assert!(page.says("p99.9") && page.says("Slowest requests") && page.says("<rect"));
    assert!(!page.says("style="), "the policy forbids inline style");
    let log = browser.get("/console/latency/download/hlog?span=1h");
    assert!(log.says("#[Histogram log format version 1.3]") && log.says("Tag=total,"));
    assert!(
        browser
            .get("/console/latency/download/hgrm?span=1h")
            .says("Total count")
    );
    let csv = browser.get("/console/latency/download/csv?span=1h");
    assert!(csv.body.starts_with("start_unix_s,stage,") && csv.says(",total,"));
    assert_eq!(browser.get("/console/latency/download/exe").status, 404);

    for number in 0..60 {
        let name = format!("a device with a rather long name, number {number}");
        site.done(&["device", "add", &name, "--door", "main"]);
    }
    for path in [
        "/console/",
        "/console/integrations",
        "/console/people",
        "/console/devices",
        "/console/doors",
        "/console/logs/attempts",
        "/console/logs/events",
        "/console/logs/pending",
        "/console/latency",
        "/console/people-import",
        "/console/health-check",
    ] {
        let begun = Instant::now();
        let page = browser.get(path);
        let took = begun.elapsed();
        assert_eq!(page.status, 200, "{path}: {page:?}");
        assert!(
            page.body.len() < PAGE_BYTES_MAX,
            "{path}: {} bytes",
            page.body.len()
        );
        println!(
            "{path}: {} bytes, {took:?} with a new connection",
            page.body.len()
        );
    }
    assert!(browser.get("/console/devices").says("Next page"));
}
