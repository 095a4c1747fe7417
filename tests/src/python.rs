//! Public Python libraries that read our files, in an environment below the target folder.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::programs::program;

/// A Python that has `requirement` (name and version, as PyPI knows it) installed.
///
/// # Panics
/// If there is no Python with `venv`, or the library cannot be had: the message says so.
#[must_use]
pub fn python_with(requirement: &str) -> PathBuf {
    let folder = environment(requirement);
    let python = folder.join("bin/python");
    let lock = File::create(folder.with_extension("lock")).expect("a file in the target folder");
    // Two tests may want it at once; the lock goes with the file.
    lock.lock().expect("a file can be locked");
    let whole = folder.join("whole");
    if !whole.exists() {
        run(Command::new("python3").args(["-m", "venv"]).arg(&folder));
        run(Command::new(&python)
            .args([
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
            ])
            .arg(requirement));
        fs::write(&whole, requirement).expect("written");
    }
    python
}

/// Runs a script with arguments to its good end and gives what it printed.
///
/// # Panics
/// If it fails.
#[must_use]
pub fn script(python: &Path, text: &str, arguments: &[&Path]) -> String {
    run(Command::new(python).arg("-c").arg(text).args(arguments))
}

/// Below the folder of the programs, so that a clean build begins anew.
fn environment(requirement: &str) -> PathBuf {
    let name: String = requirement
        .chars()
        .map(|letter| {
            if letter.is_ascii_alphanumeric() {
                letter
            } else {
                '-'
            }
        })
        .collect();
    let programs = program("cardea");
    let folder = programs.parent().expect("a file is in a folder");
    folder.join(format!("python-{name}"))
}

fn run(command: &mut Command) -> String {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}; tools/test installs what it needs"));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {error}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
