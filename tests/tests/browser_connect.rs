//! In chromium: joining Connect with the operator's code, its status, and leaving; with a real
//! broker and the authority of the tests.

use cardea_tests::Site;
use cardea_tests::broker::Broker;
use cardea_tests::browser::PASSWORD;
use cardea_tests::webdriver::{Chromium, pictures};
use cardea_tests::{Browser, space::until};

/// Keeping the code from `connect::join`, or `data-live` off the status, fails this.
#[test]
fn an_installer_joins_connect_with_a_code() {
    let (site, mut broker) = (Site::new(), Broker::new());
    let server = site.serve();
    let mut browser = Browser::administrator(&site, &server);
    let Some(chromium) = Chromium::start(&format!("https://{}", server.address)) else {
        return;
    };
    let folder = pictures("browser_connect");
    chromium.go("/console/");
    chromium.fill("#name", "admin");
    chromium.fill("#password", PASSWORD);
    chromium.click("main button.primary");
    chromium.wait_for("h1", "Dashboard");
    chromium.go("/console/integrations?dialog=add");
    chromium.click("dialog label.switch:has([name=connect])");
    chromium.click("dialog button.primary");
    chromium.wait_for("h1", "Connect");
    chromium.wait_for("#state", "Not configured");

    let enter = |code: &str| {
        chromium.fill("#code", code);
        chromium.click("form[action='/console/integrations/connect'] button.primary");
    };
    enter("CONNECT1-none");
    chromium.wait_for(".notice.bad", "no code");
    chromium.screenshot(&folder.join("no-code.png"));
    enter(&broker.code("site-7"));
    chromium.wait_for(".notice.good", "Joined");
    chromium.wait_for("#state .pill.good", "Connected");
    chromium.wait_for("#state", "site-7");
    chromium.screenshot(&folder.join("connected.png"));
    // The status changes by itself.
    broker.stop();
    chromium.wait_for("#state .pill.bad", "Disconnected");
    broker.start();
    chromium.wait_for("#state .pill.good", "Connected");
    until("the card says so too", || {
        browser.get("/api/v1/integrations/connect").json()["status"] == "connected"
    });

    chromium.click("a[href$='dialog=leave']");
    chromium.wait_for("dialog:modal", "Leave Connect?");
    chromium.click("dialog button.danger");
    chromium.wait_for(".notice.good", "has left Connect");
    chromium.wait_for("#state", "Not configured");
    assert!(site.done(&["connect", "status"]).contains("has not joined"));
    // A code holds once: a used one is refused in the authority's words.
    let changes = browser.get("/console/changes");
    assert!(
        changes.says("admin") && changes.says("site-7"),
        "{}",
        changes.body
    );
}
