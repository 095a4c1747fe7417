//! The time: the package's chrony serves the devices, the server says how right its clock is, and
//! a clock that is set does not disturb anybody.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use cardea_tests::netns::Netns;
use cardea_tests::programs::program;
use cardea_tests::space::until;
use cardea_tests::{Process, Site, face};
use cardea_wire::Decision;
use serde_json::Value;

const FAKETIME: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1";

/// chrony in a namespace, with the package's own configuration but for its folders.
fn chrony(site: &Site, netns: &Netns, name: &str, conf: &str) -> Process {
    let folder = site.file(name);
    fs::create_dir_all(folder.join("cardea.d")).expect("a folder");
    let file = folder.join("chrony.conf");
    fs::write(&file, conf).expect("written");
    let mut command = netns.command("chronyd");
    // -x: the test's machine keeps its clock. -d: in the foreground.
    command.args(["-x", "-d", "-u", "root", "-f"]).arg(file);
    Process::start(&mut command)
}

fn packaged(site: &Site, name: &str) -> String {
    let conf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tools/package/chrony/cardea.conf");
    let conf = fs::read_to_string(conf).expect("the package's file");
    let folder = site.file(name);
    let folder = folder.to_str().expect("UTF-8");
    let conf = ["/etc/chrony", "/var/lib/chrony", "/var/log/chrony"]
        .iter()
        .fold(conf, |conf, place| conf.replace(place, folder));
    format!("{conf}\npidfile {folder}/pid\nbindcmdaddress {folder}/socket\ncmdport 0\n")
}

fn health(netns: &Netns, address: &str) -> Value {
    let text = netns.done("curl", &["-sk", &format!("https://{address}/health")]);
    serde_json::from_str(&text).expect("JSON")
}

/// Fails if chrony serves anybody, or nobody; if it follows nothing and the server does not say so.
#[test]
fn devices_get_the_time_and_health_says_how_right_it_is() {
    if let Some(why) = Netns::impossible() {
        println!("SKIPPED: no network namespaces here: {why}");
        return;
    }
    let (server, internet, devices) = (
        Netns::new("server"),
        Netns::new("internet"),
        Netns::new("devices"),
    );
    Netns::wire(
        &server,
        &["10.78.1.1/24", "10.78.9.1/24"],
        &devices,
        &["10.78.1.2/24", "10.78.9.2/24"],
    );
    Netns::wire(&server, &["10.78.2.1/24"], &internet, &["10.78.2.2/24"]);
    let site = Site::new();
    fs::create_dir_all(site.file("ours/cardea.d")).expect("a folder");
    // As `cardea setup` writes it, with a source that is asked more often.
    fs::write(
        site.file("ours/cardea.d/site.conf"),
        "server 10.78.2.2 iburst minpoll 0 maxpoll 1\nallow 10.78.1.0/24\n",
    )
    .expect("written");
    let _ours = chrony(&site, &server, "ours", &packaged(&site, "ours"));

    let mut command = server.command(program("cardea").to_str().expect("UTF-8"));
    let running = site.serve_command(command.arg("--data").arg(site.data()).arg("serve"));
    let address = running.address.to_string();
    until("a clock that follows nothing is said to", || {
        health(&server, &address)["clock"]["state"] == "unsynchronised"
    });
    // A site that is cut off keeps one time: devices are served all the same.
    let ask = |from: &Netns, at: &str| {
        let source = format!("server {at} iburst maxsamples 1");
        let args = [
            "-Q",
            "-t",
            "8",
            "-u",
            "root",
            "-f",
            "/dev/null",
            source.as_str(),
        ];
        let output = from.output("chronyd", &args);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.success(), said)
    };
    let (served, said) = ask(&devices, "10.78.1.1");
    assert!(served, "{said}");
    assert!(said.contains("System clock wrong by"), "{said}");
    let (served, said) = ask(&devices, "10.78.9.1");
    assert!(!served, "not a network of devices: {said}");

    let upstream = format!(
        "local stratum 3\nallow\npidfile {0}/pid\nbindcmdaddress {0}/socket\ncmdport 0\n",
        site.file("upstream").display()
    );
    let _upstream = chrony(&site, &internet, "upstream", &upstream);
    until("the clock follows its source", || {
        health(&server, &address)["clock"]["state"] == "synchronised"
    });
    let clock = health(&server, &address)["clock"].clone();
    assert_eq!(clock["stratum"], 4, "{clock}");
    assert!(
        clock["error_ms"].as_f64().is_some_and(|ms| ms < 1_000.0),
        "{clock}"
    );
    assert!(
        clock["offset_ms"]
            .as_f64()
            .is_some_and(|ms| ms.abs() < 1_000.0),
        "{clock}"
    );
    running.stop();
}

/// Fails if a deadline, or the order of the audit, hangs on the calendar.
#[test]
fn a_clock_that_is_set_disturbs_nobody() {
    if !Path::new(FAKETIME).exists() {
        println!("SKIPPED: {FAKETIME} is not there: apt-get install faketime");
        return;
    }
    let site = Site::new();
    let clock = site.file("clock");
    let set = |offset: &str| {
        let beside = site.file("clock.new");
        fs::write(&beside, offset).expect("written");
        fs::rename(&beside, &clock).expect("renamed");
    };
    set("+0");
    let mut command = site.command(&["serve"]);
    command
        .env("LD_PRELOAD", FAKETIME)
        .env("FAKETIME_TIMESTAMP_FILE", &clock)
        .env("FAKETIME_NO_CACHE", "1")
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    let server = site.serve_command(&mut command);
    server.admin().enrol("Anna", &face(1)).expect("enrolled");
    let mut device = site.device("front");
    let mut slowest = Duration::ZERO;
    for offset in ["+0", "+7200", "-10800", "+86400", "-86400", "+0"] {
        set(offset);
        for _ in 0..5 {
            let begun = Instant::now();
            let reply = device.access(&face(1));
            slowest = slowest.max(begun.elapsed());
            assert_eq!(reply.decision, Decision::Granted, "{offset}: {reply:?}");
        }
    }
    println!("slowest answer {slowest:?}");
    assert!(slowest < Duration::from_secs(2), "{slowest:?}");
    // The device asked one after the other: the numbers say so, whatever the calendar said.
    let audit = site.audit();
    let mut rows = audit
        .prepare("SELECT at_us FROM records WHERE kind = 1 ORDER BY sequence")
        .expect("SQL");
    let times: Vec<i64> = rows
        .query_map([], |row| row.get(0))
        .expect("rows")
        .map(|row| row.expect("a row"))
        .collect();
    assert_eq!(times.len(), 30);
    let hours = |index: usize| (times[index] - times[0] + 1_800_000_000).div_euclid(3_600_000_000);
    let seen: Vec<_> = (0..6).map(|step| hours(step * 5)).collect();
    assert_eq!(seen, [0, 2, -3, 24, -24, 0], "{times:?}");
    until("the steps are in the audit", || {
        let steps = "SELECT count(*) FROM records WHERE action = 'clock.step'";
        let noted: i64 = audit
            .query_row(steps, [], |row| row.get(0))
            .expect("a count");
        if noted == 0 {
            set("+500000");
        }
        noted > 0
    });
    let curl = ["-sk", &format!("https://{}/health", server.address)];
    let health = Command::new("curl").args(curl).output().expect("curl runs");
    let health: Value = serde_json::from_slice(&health.stdout).expect("JSON");
    assert!(health["clock"]["steps"].as_u64() >= Some(1), "{health}");
    server.stop();
}
