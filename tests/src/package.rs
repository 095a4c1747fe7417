//! Our Debian package: built once, and installed on a machine of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::machine::{Machine, Tree};
use crate::netns::Netns;
use crate::programs::program;

/// The machine's address.
pub const ADDRESS: &str = "10.9.0.1";
/// Where the package lies on the machine.
pub const DEB: &str = "/root/cardea.deb";
/// `cardea setup`, with all that it asks.
pub const SETUP: [&str; 9] = [
    "cardea",
    "setup",
    "--ip",
    ADDRESS,
    "--devices",
    "10.9.0.0/24",
    "--ssh",
    "10.9.1.0/24",
    "--firewall=now",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The target folder of the programs under test.
fn target() -> PathBuf {
    let program = program("cardea");
    let release = program.parent().and_then(Path::parent);
    release.expect("target/release/cardea").to_owned()
}

/// Builds the package from the programs that are there, once.
///
/// # Panics
/// If it cannot be built.
pub fn build() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let output = Command::new(root().join("tools/package/build"))
            .env("CARGO_TARGET_DIR", target())
            .output()
            .expect("the script runs");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{error}");
        PathBuf::from(String::from_utf8_lossy(&output.stdout).trim())
    })
}

/// The package as another one: of this version, with files of the tree changed.
///
/// # Panics
/// If it cannot be taken apart or put together.
#[must_use]
pub fn changed(deb: &Path, version: &str, change: impl Fn(&Path)) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a folder");
    let (tree, other) = (folder.path().join("tree"), folder.path().join("other.deb"));
    let dpkg_deb = |arguments: &[&Path]| {
        let status = Command::new("dpkg-deb").args(arguments).status();
        assert!(status.is_ok_and(|status| status.success()), "{arguments:?}");
    };
    dpkg_deb(&[Path::new("-R"), deb, &tree]);
    let control = tree.join("DEBIAN/control");
    let text = fs::read_to_string(&control).expect("a control file");
    let lines = text.lines().map(|line| match line.starts_with("Version:") {
        true => format!("Version: {version}\n"),
        false => format!("{line}\n"),
    });
    fs::write(&control, lines.collect::<String>()).expect("written");
    change(&tree);
    dpkg_deb(&[Path::new("-Znone"), Path::new("-b"), &tree, &other]);
    fs::read(other).expect("built")
}

/// Why there is no machine here, in words; none if there is.
#[must_use]
pub fn no_machine() -> Option<String> {
    if let Some(why) = Netns::impossible() {
        return Some(why);
    }
    Tree::prepare(&target().join("debian")).err()
}

/// A machine with the package installed, not set up.
///
/// # Panics
/// If it does not start, or the package cannot be installed.
#[must_use]
pub fn installed(deb: &Path) -> Machine {
    let tree = Tree::new(&target().join("debian")).expect("prepared");
    fs::copy(deb, tree.file(DEB)).expect("copied");
    let machine = tree.boot();
    machine.done(&["ip", "addr", "add", &format!("{ADDRESS}/24"), "dev", "lo"]);
    let said = machine.done(&["dpkg", "-i", DEB]);
    assert!(said.contains("Next: cardea setup"), "{said}");
    machine
}

/// What the server says of itself; nothing unless it is ready.
#[must_use]
pub fn health(machine: &Machine) -> Option<String> {
    let url = format!("https://{ADDRESS}/health");
    let output = machine.output(&["curl", "-sk", "--max-time", "10", &url]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.contains("\"ready\":true").then_some(text)
}
