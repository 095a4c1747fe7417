//! In chromium: the first sign-in, then Salto Space added, configured, refused, lost, and its key
//! made anew.

use std::fs;

use cardea_tests::Site;
use cardea_tests::browser::PASSWORD;
use cardea_tests::space::Space;
use cardea_tests::webdriver::{Chromium, pictures};

/// Taking `type="module"` off `console.js`, or a class off the switch, fails this.
#[test]
fn an_installer_signs_in_and_connects_space() {
    let (site, space) = (Site::new(), Space::start(&[]));
    let server = site.serve();
    let Some(chromium) = Chromium::start(&format!("https://{}", server.address)) else {
        return;
    };
    let folder = pictures("browser_space");
    chromium.go("/");
    chromium.screenshot(&folder.join("sign-in.png"));
    chromium.fill("#name", "admin");
    chromium.fill("#password", &site.password);
    chromium.click("main button.primary");
    chromium.fill("#old", &site.password);
    chromium.fill("#new", PASSWORD);
    chromium.fill("#again", PASSWORD);
    chromium.click("main button.primary");
    chromium.wait_for("h1", "Dashboard");

    chromium.go("/console/integrations");
    chromium.click(".head a.primary");
    chromium.wait_for("dialog:modal h2", "Add Integration");
    chromium.screenshot(&folder.join("add-integration.png"));
    chromium.click("dialog label.switch:has([name=space])");
    chromium.click("dialog button.primary");
    chromium.wait_for("#details", "Space Server Details");
    chromium.go("/console/integrations");
    chromium.wait_for(".cards", "Not configured");

    let (host, port) = space.host_and_port("https");
    let key = fs::read_to_string(space.key_file(&site)).expect("a key");
    let enter = |ship_key: &str| {
        chromium.go("/console/integrations/space");
        chromium.fill("#host", &host);
        chromium.fill("#port", &port);
        chromium.fill("#fingerprint", &space.fingerprint());
        chromium.fill("#ship_key", ship_key.trim());
        chromium.click("form[action='/console/integrations/space'] button.primary");
        chromium.wait_for(".notice", "Space");
    };
    enter("WRONGKEYWRONGKEYWRONGKEYWRONGKEY");
    chromium.go("/console/integrations");
    chromium.wait_for(".cards .pill.warning", "Unauthorized");
    chromium.screenshot(&folder.join("unauthorized.png"));
    enter(&key);
    chromium.go("/console/integrations");
    chromium.wait_for(".cards .pill.good", "Connected");
    chromium.screenshot(&folder.join("connected.png"));

    // The refresh icon: a confirmation, then another key.
    chromium.go("/console/integrations/space");
    let shown = "return document.getElementById('option-key').value";
    let before = chromium.run(shown, &serde_json::json!([]));
    chromium.click("a[href$='dialog=key-face']");
    chromium.wait_for("dialog:modal", "refused");
    chromium.screenshot(&folder.join("refresh-key.png"));
    chromium.click("dialog button.danger");
    chromium.wait_for(".notice", "new key");
    assert_ne!(chromium.run(shown, &serde_json::json!([])), before);
    chromium.screenshot(&folder.join("space.png"));

    // The card changes by itself, without a new visit.
    chromium.go("/console/integrations");
    chromium.wait_for(".cards .pill.good", "Connected");
    drop(space);
    chromium.wait_for(".cards .pill.bad", "Disconnected");
    chromium.screenshot(&folder.join("disconnected.png"));
}
