//! In chromium: a device by a QR code read off the screen, people in and out, languages, latency;
//! and every page in four looks, without a serious finding of axe.

use std::path::Path;
use std::process::Command;

use cardea_tests::browser::PASSWORD;
use cardea_tests::files::{json_line, write_lines};
use cardea_tests::space::until;
use cardea_tests::webdriver::{Chromium, DESKTOP, Look, pictures};
use cardea_tests::{Browser, Device, Server, Site, face};
use cardea_wire::{Decision, Reason};
use serde_json::{Value, json};

/// Pages to look at, by the picture's name.
const PAGES: [(&str, &str); 26] = [
    ("dashboard", "/console/"),
    ("integrations", "/console/integrations"),
    ("space", "/console/integrations/space"),
    ("enrolment-service", "/console/integrations/enrolment"),
    ("people", "/console/people"),
    ("person", "/console/people/p-1"),
    ("withdraw", "/console/people/p-1?dialog=withdraw"),
    ("import", "/console/people-import"),
    ("devices", "/console/devices"),
    ("add-device", "/console/devices?dialog=add"),
    ("commission", "/console/devices/side/commission"),
    ("reset", "/console/devices/front/reset"),
    ("health-check", "/console/health-check"),
    ("doors", "/console/doors"),
    ("attempts", "/console/logs/attempts"),
    ("events", "/console/logs/events"),
    ("latency", "/console/latency"),
    ("team", "/console/team"),
    ("connect", "/console/integrations/connect"),
    ("invitations", "/console/invitations"),
    ("pending", "/console/logs/pending"),
    ("tokens", "/console/tokens"),
    ("changes", "/console/changes"),
    ("account", "/console/account"),
    ("add-integration", "/console/integrations?dialog=add"),
    ("not-found", "/console/none"),
];

fn signed_in(site: &Site, server: &Server) -> Option<Chromium> {
    // The first password was changed already: that is the other test's.
    let _ = Browser::administrator(site, server);
    let chromium = Chromium::start(&format!("https://{}", server.address))?;
    chromium.go("/console/");
    chromium.fill("#name", "admin");
    chromium.fill("#password", PASSWORD);
    chromium.click("main button.primary");
    chromium.wait_for("h1", "Dashboard");
    Some(chromium)
}

/// What a camera before the screen would read.
fn read_code(picture: &Path) -> String {
    let output = Command::new("zbarimg")
        .args(["--quiet", "--raw"])
        .arg(picture)
        .output();
    let output = output.expect("zbarimg; tools/test console installs it");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Drawing the code light on dark, or taking `data-live` off its page, fails this.
#[test]
fn a_site_is_run_in_the_browser() {
    let site = Site::with(&[("erasure_period_s", "1")]);
    let server = site.serve();
    let Some(chromium) = signed_in(&site, &server) else {
        return;
    };
    let folder = pictures("browser_site");

    // A device, by the code on the screen; the page changes by itself.
    chromium.go("/console/devices");
    chromium.click(".head a.primary");
    chromium.wait_for("dialog:modal h2", "Add device");
    chromium.fill("dialog [name=name]", "front");
    chromium.click("dialog button.primary");
    chromium.wait_for("#code", "Holds until");
    let picture = folder.join("code.png");
    chromium.screenshot(&picture);
    let mut device = Device::commission(&read_code(&picture));
    chromium.wait_for("#code .pill.good", "Commissioned");
    device.heartbeat();
    chromium.go("/console/devices");
    chromium.wait_for("#devices .pill.good", "Ready");

    // People, from a file.
    let file = site.file("people.jsonl");
    let bad = "{\"external_id\": 7}".to_owned();
    let people = [
        json_line("p-1", "main", &face(1)),
        bad,
        json_line("p-2", "*", &face(2)),
    ];
    write_lines(&file, &people);
    chromium.go("/console/people-import");
    chromium.choose_file("#people", &file);
    chromium.click("[name=skip_bad]");
    chromium.click("main form button.primary");
    chromium.wait_for("#progress .pill.good", "Imported");
    chromium.wait_for("#progress", "Lines that cannot be taken: 1");
    chromium.screenshot(&folder.join("imported.png"));
    assert_eq!(device.access(&face(1)).decision, Decision::Granted);
    chromium.go("/console/logs/attempts");
    chromium.wait_for("#log .pill.good", "Granted");
    assert_eq!(device.access(&face(9)).reason, Reason::NoMatch);
    chromium.wait_for("#log .pill.bad", "Denied");

    // Out again: denied at once, and no byte is left.
    chromium.go("/console/people?search=p-1");
    chromium.click("tbody a");
    chromium.click("a[href$='dialog=withdraw']");
    chromium.wait_for("dialog:modal", "cannot be undone");
    chromium.click("dialog button.danger");
    chromium.wait_for(".notice.good", "Withdrawn");
    assert_eq!(device.access(&face(1)).reason, Reason::NoMatch);
    let bytes = &face(1)[100..116];
    until("erased", || site.files_with(bytes).is_empty());
    assert!(
        !site.files_with(&face(2)[100..116]).is_empty(),
        "the other stays"
    );

    // Another language, from right to left, and back.
    chromium.click("footer a[hreflang=ar]");
    chromium.wait_for("h1", "الأشخاص");
    let direction = "return document.documentElement.dir";
    assert_eq!(chromium.run(direction, &json!([])), json!("rtl"));
    chromium.click("footer a[hreflang=en]");
    chromium.wait_for("h1", "People");
}

fn load(site: &Site, device: &mut Device) {
    let lines: Vec<_> = (1..40)
        .map(|one| json_line(&format!("p-{one}"), "*", &face(one)))
        .collect();
    let file = site.file("people.jsonl");
    write_lines(&file, &lines);
    site.done(&["people", "import", file.to_str().expect("UTF-8")]);
    for number in 0..200 {
        device.access(&face(number % 60));
    }
}

/// Serious findings of axe on the page that is shown, as text; none where axe is not installed.
fn findings(chromium: &Chromium, axe: Option<&str>) -> Vec<String> {
    let Some(axe) = axe else {
        return Vec::new();
    };
    chromium.run(axe, &json!([]));
    let script = "const done = arguments[0];\
        axe.run(document, {resultTypes: ['violations']}).then((result) => done(\
        result.violations.filter((one) => ['serious', 'critical'].includes(one.impact))\
        .map((one) => one.id + ': ' + one.nodes.map((node) => node.html).join(' | '))),\
        (error) => done([String(error)]));";
    let found = chromium.run_async(script, &json!([]));
    let found = found.as_array().cloned().unwrap_or_default();
    found
        .iter()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}

/// `tools/test console` puts axe there.
fn axe() -> Option<String> {
    let program = std::env::current_exe().expect("a test is a program");
    let target = program.ancestors().nth(3).expect("target/release/deps");
    let file = target.join("axe/node_modules/axe-core/axe.min.js");
    let axe = std::fs::read_to_string(&file).ok();
    if axe.is_none() {
        println!(
            "no axe in {}: tools/test console installs it",
            file.display()
        );
    }
    axe
}

/// Removing an `aria-label`, or a colour's contrast, fails this where axe is installed; a table
/// outside `.scroll` fails it in any case.
#[test]
fn every_page_is_readable_in_every_look() {
    let site = Site::new();
    let server = site.serve();
    let mut device = site.device("front");
    load(&site, &mut device);
    let _ = site.code("side");
    let Some(chromium) = signed_in(&site, &server) else {
        return;
    };
    let folder = pictures("every_page");
    let axe = axe();
    chromium.go("/console/devices");
    chromium.click("a[href='/console/devices/side/commission']");
    chromium.click("#code button");
    let small = Look {
        width: 360,
        height: 780,
        ..DESKTOP
    };
    let dark = Look {
        dark: true,
        ..DESKTOP
    };
    let mut wrong = Vec::new();
    let mut look_at = |look: Look, what: &str| {
        chromium.look(look);
        for (name, path) in PAGES {
            chromium.go(path);
            let _shown = chromium.find("main h1");
            chromium.screenshot(&folder.join(format!("{name}-{what}.png")));
            let wide = "return document.documentElement.scrollWidth - window.innerWidth";
            let excess = chromium.run(wide, &json!([])).as_i64().unwrap_or(0);
            if excess > 0 {
                wrong.push(format!("{name} {what}: {excess} px too wide"));
            }
            let found = findings(&chromium, axe.as_deref());
            wrong.extend(found.iter().map(|one| format!("{name} {what}: {one}")));
        }
    };
    look_at(DESKTOP, "desktop");
    look_at(small, "small");
    look_at(dark, "dark");
    chromium.go("/console/");
    chromium.click("footer a[hreflang=ar]");
    chromium.wait_for("html[dir=rtl] h1", "");
    look_at(DESKTOP, "arabic");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
