//! In chromium, without a mouse: Tab reaches every control in the order of the page, each shows
//! that it has the focus, and a dialog keeps it until it is closed and gives it back.

use cardea_tests::browser::PASSWORD;
use cardea_tests::webdriver::{Chromium, ENTER, ESCAPE, TAB};
use cardea_tests::{Browser, Site};
use serde_json::{Value, json};

const PAGES: [&str; 9] = [
    "/console/",
    "/console/integrations",
    "/console/integrations/space",
    "/console/integrations/enrolment",
    "/console/integrations/connect",
    "/console/devices",
    "/console/people",
    "/console/invitations",
    "/console/team",
];
/// Numbers the controls that a keyboard must reach, in the order of the page; says how many. Of a
/// group of radio buttons, Tab reaches the chosen one.
const NUMBER: &str = "const wanted = 'a[href], button, input:not([type=hidden]), select, textarea,\
    summary, [tabindex=\"0\"]'; let count = 0;\
    for (const one of document.querySelectorAll(wanted)) {\
      const hidden = !one.checkVisibility() || one.disabled || one.hidden;\
      const other = one.type === 'radio' && !one.checked;\
      if (!hidden && !other) { one.dataset.number = count; count += 1; } }\
    document.activeElement.blur(); window.scrollTo(0, 0); return count;";
/// The number of what has the focus, and whether that is seen.
const FOCUS: &str = "const one = document.activeElement; const style = getComputedStyle(one);\
    return [one.dataset.number ?? null,\
    style.outlineStyle !== 'none' || style.boxShadow !== 'none',\
    one.outerHTML.slice(0, 120)];";
const IN_DIALOG: &str = "const one = document.activeElement;\
    return one === document.body || document.querySelector('dialog').contains(one);";
const OPENER: &str = "return document.activeElement.getAttribute('href');";

fn signed_in(site: &Site) -> Option<(cardea_tests::Server, Chromium)> {
    let server = site.serve();
    let _ = Browser::administrator(site, &server);
    let chromium = Chromium::start(&format!("https://{}", server.address))?;
    chromium.go("/console/");
    chromium.fill("#name", "admin");
    chromium.fill("#password", PASSWORD);
    chromium.press(ENTER);
    chromium.wait_for("h1", "Dashboard");
    Some((server, chromium))
}

/// A `tabindex` above zero, a control that is no button or link, or `outline: none` fails this.
#[test]
fn tab_reaches_every_control_in_order() {
    let site = Site::new();
    let Some((_server, chromium)) = signed_in(&site) else {
        return;
    };
    for path in PAGES {
        chromium.go(path);
        let _shown = chromium.find("main h1");
        let count = chromium.run(NUMBER, &json!([])).as_u64().expect("a number");
        assert!(count > 10, "{path}: {count} controls");
        let mut reached: Vec<u64> = Vec::new();
        // Something that is scrolled may take the focus between two controls.
        for _ in 0..count + 10 {
            chromium.press(TAB);
            let focus = chromium.run(FOCUS, &json!([]));
            let Some(number) = focus[0].as_str().and_then(|text| text.parse().ok()) else {
                continue;
            };
            assert_eq!(
                focus[1],
                json!(true),
                "{path}: the focus is not seen: {focus}"
            );
            if reached.contains(&number) {
                break;
            }
            reached.push(number);
        }
        let due: Vec<u64> = (0..count).collect();
        assert_eq!(reached, due, "{path}");
        println!("{path}: {count} controls");
    }
}

/// Showing the dialog without `showModal`, or leaving the opener's focus out of `console.js`, fails
/// this.
#[test]
fn a_dialog_keeps_the_focus_and_gives_it_back() {
    let site = Site::new();
    let Some((_server, chromium)) = signed_in(&site) else {
        return;
    };
    for (page, opener) in [
        ("/console/integrations", "/console/integrations?dialog=add"),
        ("/console/devices", "/console/devices?dialog=add"),
    ] {
        chromium.go(page);
        let focus = "document.querySelector(arguments[0]).focus(); return true;";
        chromium.run(focus, &json!([format!("main a[href='{opener}']")]));
        chromium.press(ENTER);
        chromium.wait_for("dialog:modal h2", "Add");
        for turn in 0..20 {
            let inside = chromium.run(IN_DIALOG, &json!([]));
            assert_eq!(inside, json!(true), "{page}: after {turn} of Tab");
            chromium.press(TAB);
        }
        chromium.press(ESCAPE);
        chromium.wait_for("html:not(:has(dialog)) h1", "");
        let back = chromium.run(OPENER, &json!([]));
        assert_eq!(back, Value::from(opener), "{page}: the focus is back");
    }
}
