//! The licences of every crate that is linked into `cardea`: its name, its licence and the notices
//! that the licence wants kept.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// Begins of the names of files that hold a licence or a notice.
const FILES: [&str; 5] = ["license", "licence", "copying", "notice", "copyright"];

/// The text, the same for the same lock file.
pub(crate) fn text() -> io::Result<String> {
    let linked = linked()?;
    let packages = metadata()?;
    let mut text = String::from(
        "Cardea is linked with the following crates. Each is named with its licence; the texts\n\
         of the licences and notices that came with them follow, each once.\n\n",
    );
    let mut notices: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for package in packages {
        let name = format!("{} {}", word(&package, "name"), word(&package, "version"));
        // Those without a source are our own.
        if !linked.contains(&name) || package["source"].is_null() {
            continue;
        }
        let licence = package["license"].as_str().unwrap_or("see its notice");
        // Nothing can be written wrong to a string.
        let _ = writeln!(text, "{name}: {licence}");
        let manifest = word(&package, "manifest_path");
        let folder = Path::new(&manifest).parent().unwrap_or(Path::new(""));
        for notice in notices_of(folder)? {
            notices.entry(notice).or_default().insert(name.clone());
        }
    }
    for (notice, names) in notices {
        let names: Vec<_> = names.into_iter().collect();
        let _ = write!(
            text,
            "\n{}\n{}\n\n{notice}\n",
            "-".repeat(72),
            names.join(", ")
        );
    }
    Ok(text)
}

/// Name and version of what cargo links into the program.
fn linked() -> io::Result<BTreeSet<String>> {
    let tree = cargo(&[
        "tree", "--locked", "-p", "cardea", "--edges", "normal", "--prefix", "none", "--format",
        "{p}",
    ])?;
    Ok(tree
        .lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            let (name, version) = (words.next()?, words.next()?);
            Some(format!("{name} {}", version.trim_start_matches('v')))
        })
        .collect())
}

fn metadata() -> io::Result<Vec<Value>> {
    let metadata: Value =
        serde_json::from_str(&cargo(&["metadata", "--locked", "--format-version=1"])?)?;
    let packages = metadata["packages"].as_array();
    packages
        .cloned()
        .ok_or_else(|| io::Error::other("cargo metadata names no packages"))
}

fn cargo(arguments: &[&str]) -> io::Result<String> {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(program).args(arguments).output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(io::Error::other(said));
    }
    String::from_utf8(output.stdout).map_err(io::Error::other)
}

fn notices_of(folder: &Path) -> io::Result<Vec<String>> {
    let mut notices = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().to_lowercase();
        if FILES.iter().any(|begin| name.starts_with(begin)) && entry.file_type()?.is_file() {
            let bytes = fs::read(entry.path())?;
            notices.push(String::from_utf8_lossy(&bytes).trim().to_owned());
        }
    }
    Ok(notices)
}

fn word(package: &Value, key: &str) -> String {
    package[key].as_str().unwrap_or_default().to_owned()
}
