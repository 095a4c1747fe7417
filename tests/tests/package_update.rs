//! Updates of the server under systemd: the package is installed on a Debian 12 of its own, a newer
//! one is staged as the server stages it, and cardea-update.service applies it or goes back.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use cardea_tests::machine::Machine;
use cardea_tests::package::{SETUP, build, changed, health, installed, no_machine};
use cardea_tests::space::until;
use cardea_tests::updates::{file, key_pair, manifest, sign};
use serde_json::json;

const KEYS: &str = "/etc/cardea/update.pub";
/// A conffile of the package.
const APT: &str = "etc/apt/apt.conf.d/52cardea-updates";
const UPDATES: &str = "/var/lib/cardea/updates";
/// The minute that a new server has, the stop of both, and dpkg twice on a busy machine.
const GOES_BACK_WITHIN: Duration = Duration::from_secs(240);
const BETWEEN_LOOKS: Duration = Duration::from_millis(500);

/// Stages a package as the server does when it has fetched and checked it.
fn stage(machine: &Machine, version: &str, package: &[u8], keys: &Path, key: &str) {
    let folder = format!("{UPDATES}/{version}");
    machine.done(&["mkdir", "-p", &folder]);
    let inside = machine.file(&folder);
    let name = format!("cardea_{version}_amd64.deb");
    let files = json!([file(&inside, &name, "server", package)]);
    let text = manifest(version, files).to_string();
    fs::write(keys.join("manifest.json"), text).expect("written");
    sign(keys, key, "manifest.json");
    for name in ["manifest.json", "manifest.json.minisig"] {
        fs::copy(keys.join(name), inside.join(name)).expect("copied");
    }
    machine.done(&["chown", "-R", "cardea:cardea", UPDATES]);
    let part = format!("{UPDATES}/apply.part");
    fs::write(machine.file(&part), format!("{version}\n")).expect("written");
    machine.done(&["mv", &part, &format!("{UPDATES}/apply")]);
}

fn version(machine: &Machine) -> String {
    let asked = ["dpkg-query", "-W", "-f", "${Version}", "cardea"];
    machine.done(&asked)
}

/// Waits for what the server says of an update; gives how long that took.
fn told(machine: &Machine, action: &str, version: &str) -> Duration {
    let begun = Instant::now();
    let line = format!("{action}\t{version}");
    loop {
        // A server that hangs is a command that hangs.
        let tail = machine.output(&["timeout", "10", "cardea", "audit", "tail"]);
        if String::from_utf8_lossy(&tail.stdout).contains(&line) {
            return begun.elapsed();
        }
        if begun.elapsed() > GOES_BACK_WITHIN {
            let log = machine.done(&["journalctl", "-u", "cardea-update", "-u", "cardea"]);
            panic!("never: {line}\n{log}");
        }
        std::thread::park_timeout(BETWEEN_LOOKS);
    }
}

/// Fails if the unit does not start, applies what root's keys did not sign, calls a server ready
/// that is the one before, waits for one that never is, or does not go back; or if the way back is
/// not the package that was there, or takes data back with it. A conffile changed by hand was lost
/// to the update after a way back, and one that was removed let no update through: with the
/// conffiles as they are in `present`, it fails.
#[test]
fn systemd_applies_an_update_and_goes_back_from_one_that_is_never_ready() {
    if let Some(why) = no_machine() {
        println!("SKIPPED: no Debian machine here: {why}");
        return;
    }
    let keys = tempfile::tempdir().expect("a folder");
    let keys = keys.path();
    key_pair(keys, "update");
    key_pair(keys, "other");
    let machine = installed(build());
    machine.done(&SETUP);
    until("the server answers", || health(&machine).is_some());
    let first = version(&machine);
    fs::copy(keys.join("update.pub"), machine.file(KEYS)).expect("copied");

    let marked = changed(build(), "0.2.0-1", |tree| {
        fs::write(tree.join("usr/share/doc/cardea/mark"), "0.2.0").expect("written");
    });
    stage(&machine, "0.2.0", &marked, keys, "other");
    until("what another has signed is refused", || {
        machine.property("cardea-update.service", "ActiveState") == "failed"
    });
    assert_eq!(version(&machine), first);
    machine.done(&["systemctl", "reset-failed", "cardea-update.service"]);

    let server = machine.property("cardea.service", "InvocationID");
    stage(&machine, "0.2.0", &marked, keys, "update");
    told(&machine, "update.applied", "0.2.0");
    assert_eq!(version(&machine), "0.2.0-1");
    assert_ne!(machine.property("cardea.service", "InvocationID"), server);
    assert!(health(&machine).is_some());
    machine.done(&["cardea", "door", "add", "Between"]);
    // What an administrator has changed or removed stays so, there and back.
    let apt = machine.file(&format!("/{APT}"));
    let changed_by_hand = fs::read_to_string(&apt).expect("there") + "// by hand\n";
    fs::write(&apt, &changed_by_hand).expect("written");
    let clock = machine.file("/etc/chrony/cardea.conf");
    fs::remove_file(&clock).expect("it was there");

    let hangs = changed(build(), "0.3.0-1", |tree| {
        fs::write(tree.join(APT), "// of 0.3.0\n").expect("written");
        let server = tree.join("usr/bin/cardea");
        fs::write(&server, "#!/bin/sh\nexec sleep infinity\n").expect("written");
        fs::set_permissions(&server, fs::Permissions::from_mode(0o755)).expect("ours");
        fs::remove_file(tree.join("usr/share/man/man1/cardea.1.gz")).expect("it was there");
    });
    stage(&machine, "0.3.0", &hangs, keys, "update");
    let took = told(&machine, "update.rolled-back", "0.3.0");
    assert!(
        took > Duration::from_secs(60),
        "it has its minute: {took:?}"
    );
    println!("gone back after {took:?}");
    assert_eq!(version(&machine), "0.2.0-1");
    let mark = machine.file("/usr/share/doc/cardea/mark");
    assert_eq!(fs::read_to_string(mark).expect("it is back"), "0.2.0");
    assert!(machine.file("/usr/share/man/man1/cardea.1.gz").exists());
    let as_left = || {
        assert_eq!(fs::read_to_string(&apt).expect("there"), changed_by_hand);
        assert!(!clock.exists(), "it was removed by hand");
    };
    as_left();
    assert!(health(&machine).is_some());
    let doors = machine.done(&["cardea", "door", "list"]);
    assert!(doors.contains("Between"), "data was taken back: {doors}");
    assert_eq!(
        machine.property("cardea-update.path", "ActiveState"),
        "active",
        "it waits for the next"
    );

    let newer = changed(build(), "0.4.0-1", |tree| {
        fs::write(tree.join(APT), "// of 0.4.0\n").expect("written");
    });
    stage(&machine, "0.4.0", &newer, keys, "update");
    told(&machine, "update.applied", "0.4.0");
    as_left();
}
