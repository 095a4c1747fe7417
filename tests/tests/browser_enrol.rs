//! In chromium: from the invitation's mail to an open door, and back to nothing.

use cardea_tests::enrol::{COMPANY, EnrolSite};
use cardea_tests::face;
use cardea_tests::mail::Relay;
use cardea_tests::space::until;
use cardea_tests::webdriver::{Chromium, pictures};
use cardea_wire::{Decision, Reason};

/// Leaving the page's refresh or its consent box out fails this.
#[test]
fn a_person_enrols_and_withdraws_on_their_own_page() {
    let mut relay = Relay::start(&[]);
    let mut site = EnrolSite::start(&[("erasure_period_s", "1")]);
    site.set_mail(relay.port);
    let Some(chromium) = Chromium::start(&format!("https://{}", site.server.address)) else {
        return;
    };
    let folder = pictures("browser_enrol");
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
    let path = relay.message().path();

    chromium.go(&path);
    chromium.wait_for("main", COMPANY);
    chromium.screenshot(&folder.join("invitation.png"));
    chromium.click("#consent");
    chromium.click("form[action$='/consent'] button.primary");
    chromium.click("form[action$='/capture'] button.primary");
    let code = chromium.text("#code strong");
    chromium.screenshot(&folder.join("code.png"));
    std::fs::write(&shown, code.trim()).expect("the person shows it");
    device.line(|line| line.trim() == "enrolled");
    chromium.go(&path);
    chromium.wait_for("main", "You are enrolled");
    chromium.screenshot(&folder.join("enrolled.png"));
    assert_eq!(site.other.access(&face(5)).decision, Decision::Granted);

    chromium.go(&format!("{path}/withdraw"));
    chromium.wait_for("main", "Withdraw and delete everything?");
    chromium.click("form[action$='/withdraw'] button");
    chromium.wait_for("main", "Your data is deleted");
    chromium.screenshot(&folder.join("withdrawn.png"));
    assert_eq!(site.other.access(&face(5)).reason, Reason::NoMatch);
    until("no byte of the face or the name is left", || {
        let left = |bytes: &[u8]| !site.site.files_with(bytes).is_empty();
        !left(&face(5)[100..140]) && !left(b"Unmistakable") && !left(b"zoe@example.org")
    });
}
