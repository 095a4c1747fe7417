//! People, devices and probes with known answers, for a load test of a site.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use cardea_wire::CommissioningCode;

use crate::programs::program;
use crate::site::{Site, THRESHOLD};

/// Enrols so many synthetic people; gives the folder of probes for so many requests.
///
/// # Panics
/// If a program fails.
#[must_use]
pub fn people(site: &Site, people: u32, requests: u32) -> PathBuf {
    let (synth, probes) = (site.file("synth"), site.file("probes"));
    let synthesizer = |what: &str| {
        let mut command = Command::new(program("cardea-synth"));
        command.args([what, "--seed", "1", "--people", &people.to_string()]);
        command
    };
    done(synthesizer("people").arg("--out").arg(&synth));
    done(
        synthesizer("probes")
            .args(["--threshold", THRESHOLD])
            .args(["--requests", &requests.to_string()])
            .arg("--out")
            .arg(&probes),
    );
    let paths = ["people.csv", "people.npy"].map(|name| synth.join(name));
    let [csv, npy] = paths.map(|path| path.to_string_lossy().into_owned());
    site.done(&["people", "import", &csv, "--embeddings", &npy]);
    probes
}

/// Adds and commissions so many devices at door `main`, named with this prefix. Gives the folder
/// of their identities, and one of their codes for what it says of the site.
///
/// # Panics
/// If a program fails.
#[must_use]
pub fn devices(site: &Site, prefix: &str, count: u32) -> (PathBuf, CommissioningCode) {
    let rows: String = (0..count)
        .map(|number| format!("{prefix}{number},main\n"))
        .collect();
    let file = site.file("devices.csv");
    fs::write(&file, format!("name,door\n{rows}")).expect("written");
    let table = site.done(&["device", "add", "--file", &file.to_string_lossy()]);
    let codes: Vec<String> = table.lines().skip(1).map(str::to_owned).collect();
    let codes_file = site.file("codes");
    crate::files::write_lines(&codes_file, &codes);
    let identities = site.file(&format!("identities-{prefix}"));
    done(
        Command::new(program("loadtest"))
            .arg("commission")
            .arg("--codes")
            .arg(&codes_file)
            .arg("--identities")
            .arg(&identities),
    );
    let code = codes[0].split_whitespace().next_back();
    let code = CommissioningCode::parse(code.expect("a table with codes"));
    (identities, code.expect("a commissioning code"))
}

/// Runs a program to its good end and gives what it printed.
///
/// # Panics
/// If it fails.
pub fn done(command: &mut Command) -> String {
    let output = command.output().expect("it runs");
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {shown}\n{error}");
    shown
}
