//! Slips of those who run a site: each is said, and does no harm.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use cardea_tests::programs::program;
use cardea_tests::{Site, face};
use cardea_wire::{CommissioningCode, Decision};

/// Fails if `Writer::device_add` adds devices one by one: the codes of those before the bad row
/// would be lost.
#[test]
fn a_file_of_devices_with_a_bad_row_is_refused_whole() {
    let site = Site::new();
    let server = site.serve();
    site.done(&["device", "add", "there", "--door", "main"]);
    let file = site.file("devices.csv");
    let path = file.to_string_lossy().into_owned();
    for (bad, why) in [
        ("b,nowhere", "device 2 of 3, \"b\": no door \"nowhere\""),
        (
            "there,main",
            "device 2 of 3, \"there\": there is a device of this name already",
        ),
        (
            "a,main",
            "device 2 of 3, \"a\": there is a device of this name already",
        ),
        (",main", "device 2 of 3, \"\": device name"),
    ] {
        fs::write(&file, format!("name,door\na,main\n{bad}\nc,main\n")).expect("written");
        let said = site.refused(&["device", "add", "--file", &path]);
        assert!(said.contains(why), "{said}");
        let list = site.done(&["device", "list"]);
        assert_eq!(list.lines().count(), 2, "{bad}: {list}");
    }
    fs::write(&file, "name,door\na,main\nc,main\n").expect("written");
    let codes = site.done(&["device", "add", "--file", &path]);
    let good = |line: &str| CommissioningCode::parse(line.split('\t').nth(1)?).ok();
    assert_eq!(codes.lines().skip(1).filter_map(good).count(), 2, "{codes}");
    server.stop();
}

/// Some of these were once lost: the audit's thread had ended before they were noted. Fails if
/// `Writer::offline` does not keep the audit.
#[test]
fn what_is_changed_without_a_server_is_in_the_audit() {
    let site = Site::new();
    for number in 0..8 {
        let output = site.output(&["door", "add", &format!("side {number}")]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.is_empty(), "{said}");
    }
    let audit = site.done(&["audit", "tail", "-n", "100"]);
    for number in 0..8 {
        let line = |line: &&str| line.contains(&format!("side {number}"));
        let noted = audit
            .lines()
            .find(line)
            .unwrap_or_else(|| panic!("{audit}"));
        assert!(noted.contains("command line, without a server"), "{noted}");
    }
    // Paged back: fails if `--before` is left out on its way to the audit's reader.
    let rows: Vec<_> = audit.lines().skip(1).collect();
    let number = rows[4].split('\t').next().expect("a number");
    let before = site.done(&["audit", "tail", "-n", "2", "--before", number]);
    assert_eq!(before.lines().skip(1).collect::<Vec<_>>(), rows[2..4]);
}

/// Fails if `DataDirectory::of_site` makes what is not there, or takes any directory for a site.
#[test]
fn a_directory_that_is_no_site_is_neither_made_nor_touched() {
    let site = Site::new();
    let elsewhere = site.file("elsewhere");
    for command in [
        &["door", "list"][..],
        &["serve"],
        &["people", "list"],
        &["pki", "show"],
    ] {
        let said = refused(&elsewhere, command);
        assert!(said.contains("is no site"), "{command:?}: {said}");
        assert!(!elsewhere.exists(), "{command:?} made it");
    }
    fs::create_dir(&elsewhere).expect("a folder");
    let said = refused(&elsewhere, &["door", "list"]);
    assert!(said.contains("is no site"), "{said}");
    assert_eq!(fs::read_dir(&elsewhere).expect("a folder").count(), 0);
}

/// Has a command on another directory refused and gives what it said.
fn refused(data: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new(program("cardea"));
    let output = command.arg("--data").arg(data).args(arguments).output();
    let output = output.expect("it runs");
    assert_eq!(output.status.code(), Some(1), "{arguments:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Fails if `check-config` looks at the form of `cardea.toml` only.
#[test]
fn a_configuration_that_no_server_could_run_with_is_refused_when_checked() {
    for (bad, why) in [
        (
            ("timetables", "{ 1 = [\"mon-fri 25:00-26:00\"] }"),
            "timetables",
        ),
        (
            ("timetables", "{ first = [\"mon-fri 08:00-17:00\"] }"),
            "first is no table",
        ),
        (("server_certificate_life_s", "0"), "at least 1"),
    ] {
        let site = Site::new();
        site.done(&["check-config"]);
        site.configure(&[bad]);
        let said = site.refused(&["check-config"]);
        assert!(said.contains(why), "{bad:?}: {said}");
    }
}

/// SIGHUP once took the address over while the log said that it takes a restart: codes then named
/// an address that the server's certificate does not. Fails if `Writer::reload` takes it.
#[test]
fn sighup_takes_what_it_says_and_no_more() {
    let site = Site::new();
    let server = site.serve();
    server.admin().enrol("Anna", &face(1)).expect("enrolled");
    let mut device = site.device("front");
    assert_eq!(device.access(&face(1)).decision, Decision::Granted);
    site.configure(&[
        ("address", "\"127.0.0.9\""),
        ("device_certificate_life_s", "77"),
        ("answer_deadline_ms", "900"),
    ]);
    server.process.hang_up();
    let begun = Instant::now();
    while !server.process.log().contains("configuration read again") {
        assert!(begun.elapsed().as_secs() < 60, "{}", server.process.log());
        assert_eq!(device.heartbeat().0, 200);
    }
    let mut log = server.process.log();
    assert!(log.contains("take a restart"), "{log}");
    let code = CommissioningCode::parse(&site.code("next")).expect("a code");
    assert_eq!(
        code.server, server.address,
        "the address waits for a restart"
    );
    let next = site.device("after next");
    let (from, to) = next.identity.life().expect("a certificate");
    assert!(
        (77..90).contains(&(to - from)),
        "the life holds at once: {}",
        to - from
    );
    log = server.stop();
    assert!(!log.contains("ERROR"), "{log}");

    // At the next start the address is in force, and in the server's certificate.
    site.configure(&[("listen", "\"0.0.0.0:0\"")]);
    let server = site.serve();
    let begun = Instant::now();
    while !site
        .done(&["audit", "tail"])
        .contains("upkeep\tpki.renew-server")
    {
        assert!(begun.elapsed().as_secs() < 60, "{}", server.process.log());
    }
    let code = CommissioningCode::parse(&site.code("moved")).expect("a code");
    assert_eq!(code.server.ip().to_string(), "127.0.0.9");
    let mut moved = cardea_tests::Device::commission(&site.code("moved too"));
    assert_eq!(
        moved.heartbeat().0,
        200,
        "over TLS that names the new address"
    );
    server.stop();
}
