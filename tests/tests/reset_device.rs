//! The reset of a device that cannot reach its server, on both sides: the device shows colours,
//! the site signs the last code for them, and the device believes nobody else.

use std::fs;
use std::process::Command;

use cardea_tests::programs::program;
use cardea_tests::{Process, Server, Site};
use cardea_wire::reset::{HEALTH_CODE, RESET_BEGIN};
use serde_json::json;

/// The colours of a line of the simulator.
fn colours_of(line: &str) -> Option<String> {
    line.trim().strip_prefix("colours: ").map(str::to_owned)
}

/// The last code for these colours, as the console makes it.
fn last_code(server: &Server, colours: &str) -> String {
    let ask = json!({"do": "devices", "ask":
        {"devices": "reset", "name": "lost", "colours": colours}});
    let answer = server.admin().ask(&ask).expect("answered");
    answer["rows"][0][1].as_str().expect("a code").to_owned()
}

/// Signing without the certificate's fingerprint, a device that checks no signature, or one that
/// takes a code for colours of before fails this.
#[test]
fn only_the_code_for_the_colours_it_shows_resets_a_device() {
    let site = Site::new();
    let server = site.serve();
    let (camera, identity) = (site.file("camera"), site.file("lost.identity"));
    let mut command = Command::new(program("cardea-device-sim"));
    command
        .arg("--identity")
        .arg(&identity)
        .args(["--code", &site.code("lost"), "--heartbeat-every", "1"])
        .arg("--camera")
        .arg(&camera);
    let mut device = Process::start(&mut command);
    device.line(|line| line.contains("paired with door"));
    let show = |code: &str| {
        // Whole at once: a camera reads no half of a code.
        let half = site.file("camera.half");
        fs::write(&half, code).expect("written");
        fs::rename(&half, &camera).expect("renamed");
    };
    show(HEALTH_CODE);
    device.line(|line| line.contains("self-test passed"));
    show(RESET_BEGIN);
    let first = device.line(|line| colours_of(line).is_some());
    let first = colours_of(&first).expect("colours");
    let code = last_code(&server, &first);

    // A code of another site is red, and draws other colours: the code made before is void.
    let other = Site::new();
    let other_server = other.serve();
    let _ = other.device("lost");
    show(&last_code(&other_server, &first));
    device.line(|line| line.contains("wrong code"));
    let second = device.line(|line| colours_of(line).is_some());
    let second = colours_of(&second).expect("colours");
    assert_ne!(first, second);
    show(&code);
    let third = device.line(|line| colours_of(line).is_some());
    let third = colours_of(&third).expect("colours");
    assert!(identity.exists(), "not reset");

    show(&last_code(&server, &third));
    device.line(|line| line.contains("key and certificate are forgotten"));
    assert!(device.wait().success());
    assert!(!identity.exists());
}
