//! Where the programs under test are.

use std::env;
use std::path::PathBuf;

/// Names another folder of programs than the one of the test's own build: an installed package.
const FOLDER: &str = "CARDEA_PROGRAMS";

/// The path of a built program.
///
/// # Panics
/// If it has not been built.
#[must_use]
pub fn program(name: &str) -> PathBuf {
    let folder = env::var_os(FOLDER).map_or_else(beside_the_test, PathBuf::from);
    let path = folder.join(name);
    assert!(
        path.exists(),
        "{} is not there: cargo build --release --bins",
        path.display()
    );
    path
}

/// Tests run in `target/release/deps`, programs, also those that start others, in `target/release`.
fn beside_the_test() -> PathBuf {
    let test = env::current_exe().expect("a running test has a path");
    let folder = test.parent().expect("a file is in a folder");
    match folder.parent() {
        Some(release) if folder.ends_with("deps") => release.to_owned(),
        Some(_) | None => folder.to_owned(),
    }
}
