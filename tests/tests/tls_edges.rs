//! TLS 1.3 at its edges, with other TLS libraries than the server's: a table of records and
//! handshakes that break the rules (`tests/tls`, on PyPI's tlslite-ng), and the scanner sslyze.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use cardea_tests::badges::badges;
use cardea_tests::device::{heartbeat, new_id};
use cardea_tests::load::done;
use cardea_tests::metrics::value;
use cardea_tests::python::python_with;
use cardea_tests::results::record;
use cardea_tests::{Device, Server, Site, face};
use cardea_wire::{Decision, path};
use serde_json::{Value, json};

const TLSLITE: &str = "tlslite-ng==0.8.2";
const SSLYZE: &str = "sslyze==6.3.1";
/// Fewer, and part of the table was not run.
const CASES_MIN: usize = 145;
/// What sslyze tries.
const SCANS: [&str; 18] = [
    "sslv2",
    "sslv3",
    "tlsv1",
    "tlsv1_1",
    "tlsv1_2",
    "tlsv1_3",
    "reneg",
    "robot",
    "heartbleed",
    "openssl_ccs",
    "fallback",
    "compression",
    "early_data",
    "elliptic_curves",
    "resum",
    "ems",
    "http_headers",
    "certinfo",
];
/// Versions that the server must not speak, as sslyze calls their scans.
const OLD: [&str; 5] = ["ssl_2_0", "ssl_3_0", "tls_1_0", "tls_1_1", "tls_1_2"];

/// A site, its server, a device of it, and a folder with badges of others.
struct Scene {
    server: Server,
    site: Site,
    front: Device,
    folder: PathBuf,
}

impl Scene {
    fn new() -> Scene {
        let site = Site::new();
        let (folder, server) = badges(&site);
        server.admin().enrol("Anna", &face(1)).expect("enrolled");
        fs::write(folder.join("request"), request()).expect("written");
        let mut front = site.device("front");
        assert_eq!(front.access(&face(1)).decision, Decision::Granted);
        Scene {
            server,
            site,
            front,
            folder,
        }
    }

    /// The device is served over the connection that it has had all the time, and over a new one.
    fn is_served(&mut self) {
        let session = self.front.session().expect("open");
        let message = heartbeat(new_id());
        let answer = session.exchange(path::HEARTBEAT, &message);
        assert_eq!(answer.expect("on the open connection").status, 200);
        self.front.disconnect();
        let reply = self.front.access(&face(1));
        assert_eq!(reply.decision, Decision::Granted);
    }
}

/// What every case asks: a heartbeat. A stranger is answered 401, a removed device 403.
fn request() -> Vec<u8> {
    let body = heartbeat(new_id());
    let length = body.len();
    let head = format!(
        "POST {} HTTP/1.1\r\nhost: a\r\ncontent-type: application/octet-stream\r\n\
         content-length: {length}\r\n\r\n",
        path::HEARTBEAT
    );
    [head.as_bytes(), &body].concat()
}

/// Fails with any version but TLS 1.3 in `server_config`, if `Session::receive` drops the alert, if
/// `Session::keep` has no bound, if a ticket is good twice, or if `Api::device` trusts a resumed
/// session.
#[test]
fn each_edge_case_ends_as_it_should_and_devices_are_served() {
    let mut scene = Scene::new();
    let python = python_with(TLSLITE);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tls/edges.py");
    let address = scene.server.address;
    let table = done(
        Command::new(python)
            .arg("-B")
            .arg(script)
            .args([address.ip().to_string(), address.port().to_string()])
            .arg(&scene.folder),
    );
    let rows: Vec<Vec<&str>> = table.lines().map(|row| row.split('\t').collect()).collect();
    let differ: Vec<_> = rows.iter().filter(|row| row[1] != row[2]).collect();
    println!("{} cases, {} end otherwise", rows.len(), differ.len());
    let (tried, wrong) = (rows.len() as u64, differ.len() as u64);
    record("Hostile peers", "TLS edge cases", tried, wrong);
    assert!(rows.len() >= CASES_MIN, "{} cases", rows.len());
    assert!(differ.is_empty(), "case, expected, found: {differ:#?}");
    scene.is_served();
    let metrics = scene.server.metrics();
    for guard in [
        "cardea_front_end_handshake_broken_total",
        "cardea_front_end_certificate_refused_total",
        "cardea_front_end_tls_broken_total",
    ] {
        assert!(value(&metrics, guard) > 0.0, "{guard} was never needed");
    }
    scene.server.stop();
}

/// Fails if the server offers an old version, renegotiates, compresses or takes early data, or
/// shows a certificate of another kind or a longer life than Mozilla's strictest profile has.
#[test]
fn the_scanner_finds_nothing_to_complain_of() {
    let mut scene = Scene::new();
    let (report, ca) = (scene.site.file("sslyze.json"), scene.site.ca_pem());
    let mut command = Command::new(python_with(SSLYZE));
    command
        .args([
            "-m",
            "sslyze",
            "--slow_connection",
            "--mozilla_config",
            "modern",
        ])
        .args(SCANS.map(|scan| format!("--{scan}")))
        .arg(format!("--certinfo_ca_file={}", ca.display()))
        .arg(format!("--json_out={}", report.display()))
        .arg(scene.server.address.to_string());
    let output = command.output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    let report = fs::read(&report).expect("it was written");
    let report: Value = serde_json::from_slice(&report).expect("JSON");
    let found = &report["server_scan_results"][0];
    assert_eq!(found["scan_status"], "COMPLETED", "{found}");
    let complaints = complaints(&found["scan_result"]);
    record(
        "Hostile peers",
        "scans by sslyze",
        SCANS.len() as u64,
        complaints.len() as u64,
    );
    assert!(complaints.is_empty(), "{complaints:#?}");
    scene.is_served();
    scene.server.stop();
}

/// What the scans say beyond Mozilla's profile.
fn complaints(scans: &Value) -> Vec<String> {
    let mut due: Vec<(String, Value)> = OLD
        .map(|version| {
            let accepted = format!("/{version}_cipher_suites/result/accepted_cipher_suites");
            (accepted, json!([]))
        })
        .into();
    for (place, value) in [
        ("tls_compression/result/supports_compression", json!(false)),
        (
            "tls_1_3_early_data/result/supports_early_data",
            json!(false),
        ),
        (
            "openssl_ccs_injection/result/is_vulnerable_to_ccs_injection",
            json!(false),
        ),
        (
            "heartbleed/result/is_vulnerable_to_heartbleed",
            json!(false),
        ),
        (
            "robot/result/robot_result",
            json!("NOT_VULNERABLE_RSA_NOT_SUPPORTED"),
        ),
        (
            "session_renegotiation/result/is_vulnerable_to_client_renegotiation_dos",
            json!(false),
        ),
        (
            "tls_fallback_scsv/result/supports_fallback_scsv",
            json!(true),
        ),
        (
            "tls_extended_master_secret/result/supports_ems_extension",
            json!(true),
        ),
        (
            "tls_1_3_cipher_suites/result/is_tls_version_supported",
            json!(true),
        ),
    ] {
        due.push((format!("/{place}"), value));
    }
    due.into_iter()
        .filter(|(place, value)| scans.pointer(place) != Some(value))
        .map(|(place, value)| format!("{place}: {:?}, not {value}", scans.pointer(&place)))
        .collect()
}
