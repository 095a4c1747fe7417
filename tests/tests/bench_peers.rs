//! Whether the comparison of front ends still runs: small counts, no judgement of speed.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// Fails if a server of the comparison does not start or answers otherwise than 200 with 64 bytes,
/// or `report` leaves one out.
#[test]
fn ours_nginx_and_hyper_are_measured_in_one_run() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let json = folder.path().join("figures.json");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../bench/peers/https/run");
    let mut command = Command::new(script);
    let output = command.arg("--smoke").arg("--json").arg(&json).output();
    let output = output.expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let figures: Value =
        serde_json::from_slice(&std::fs::read(&json).expect("written")).expect("JSON");
    let servers = figures["servers"].as_array().expect("a list");
    let names: Vec<_> = servers
        .iter()
        .map(|server| server["server"].as_str())
        .collect();
    assert_eq!(names, [Some("ours"), Some("nginx"), Some("hyper")]);
    for server in servers {
        for figure in [
            "request_cpu_us",
            "handshake_cpu_us",
            "burst_70_cold_last_ms",
        ] {
            let value = server[figure][0].as_f64().expect("a number");
            assert!(value > 0.0, "{figure} of {server}");
        }
    }
}
