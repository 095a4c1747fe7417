//! The shape of the code: which crate may know which, which file may name which foreign world,
//! and how long files, functions and lines may be. Each rule names what breaks it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// This file names what it looks for.
const SELF: &str = "tests/tests/tidy.rs";
const FILE_LINES_MAX: usize = 500;
const FUNCTION_LINES_MAX: usize = 70;
const LINE_COLUMNS_MAX: usize = 100;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every Rust file of the project, with its path from the root.
fn rust_files() -> Vec<(String, String)> {
    let mut files = Vec::new();
    for folder in ["engine", "server", "loadtest", "bench", "tests", "tools"] {
        collect(&root().join(folder), &mut files);
    }
    assert!(
        files.len() > 50,
        "only {} files found: the walk is broken",
        files.len()
    );
    files
}

fn collect(folder: &Path, files: &mut Vec<(String, String)>) {
    let mut entries: Vec<_> = fs::read_dir(folder)
        .expect("a folder of the project")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            if path.file_name().is_some_and(|name| name != "target") {
                collect(&path, files);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).expect("UTF-8");
            let name = path.strip_prefix(root()).expect("below the root");
            files.push((name.to_string_lossy().into_owned(), text));
        }
    }
}

fn none(broken: &[String]) {
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

#[test]
fn dependencies_point_one_way() {
    // (crate's folder, the crates of the project that it may know)
    let allowed: [(&str, &[&str]); 13] = [
        ("server/wire", &[]),
        ("engine", &[]),
        ("server/space", &["cardea-wire"]),
        ("server/connect", &["cardea-wire"]),
        (
            "server",
            &[
                "cardea-wire",
                "cardea-engine",
                "cardea-space",
                "cardea-connect",
            ],
        ),
        ("loadtest", &["cardea-wire"]),
        (
            "bench",
            &["cardea-engine", "cardea-wire", "cardea", "cardea-loadtest"],
        ),
        (
            "tests",
            &[
                "cardea-engine",
                "cardea-wire",
                "cardea",
                "cardea-loadtest",
                "cardea-results",
                "cardea-space",
            ],
        ),
        ("tests/results", &[]),
        ("tools/connect-authority", &[]),
        ("tools/device-sim", &["cardea-wire", "cardea-loadtest"]),
        ("tools/space-sim", &["cardea-space", "cardea-wire"]),
        (
            "tools/synth",
            &["cardea-engine", "cardea-wire", "cardea-loadtest"],
        ),
    ];
    let mut broken = Vec::new();
    for (folder, allowed) in allowed {
        let manifest = fs::read_to_string(root().join(folder).join("Cargo.toml")).expect("there");
        // What only the crate's own tests need does not reach who depends on it.
        let manifest = manifest
            .split("[dev-dependencies]")
            .next()
            .unwrap_or_default();
        for line in manifest.lines().filter(|line| line.starts_with("cardea")) {
            let name = line.split(['.', ' ', '=']).next().unwrap_or_default();
            if !allowed.contains(&name) {
                broken.push(format!("{folder} must not know {name}"));
            }
        }
    }
    none(&broken);
}

#[test]
fn each_foreign_world_has_its_home() {
    // (what a file says when it names the world, the places that may; tests may name any)
    let homes: [(&str, &[&str]); 6] = [
        ("mio::", &["server/src/net/", "loadtest/src/run", "tests/"]),
        (
            "rustls::",
            &[
                "server/src/tls",
                "server/tests/",
                "server/space/",
                "server/connect/",
                "loadtest/src/",
                "tests/",
                "tools/",
                "bench/",
            ],
        ),
        (
            "rusqlite::",
            &["server/src/store/", "server/src/audit/", "tests/"],
        ),
        ("rayon::", &["engine/src/", "bench/"]),
        // A peer that the front end is measured beside, outside the workspace.
        ("tokio::", &["server/connect/", "bench/peers/https/"]),
        ("memmap2::", &["engine/src/gallery/"]),
    ];
    let mut broken = Vec::new();
    for (file, text) in rust_files() {
        let code = before_tests(&text);
        for (world, places) in homes {
            let named = file != SELF
                && code.lines().any(|line| {
                    let line = line.trim_start();
                    !line.starts_with("//") && names(line, world)
                });
            if named && !places.iter().any(|place| file.starts_with(place)) {
                broken.push(format!("{file} names {world}"));
            }
        }
    }
    none(&broken);
}

/// Whether a line names a crate's path, not the end of a longer name.
fn names(line: &str, world: &str) -> bool {
    line.match_indices(world).any(|(at, _)| {
        !line[..at].ends_with(|before: char| before.is_alphanumeric() || "_:".contains(before))
    })
}

#[test]
fn unsafe_code_keeps_to_its_four_sites() {
    let mut sites = Vec::new();
    for (file, text) in rust_files() {
        let code: Vec<_> = text.lines().collect();
        for (number, line) in code.iter().enumerate() {
            let line = line.trim_start();
            if file == SELF || line.starts_with("//") || !line.contains("unsafe {") {
                continue;
            }
            let above = code[number.saturating_sub(14)..number].join("\n");
            assert!(
                above.contains("SAFETY:"),
                "{file}:{} has no SAFETY",
                number + 1
            );
            sites.push(file.clone());
        }
    }
    sites.dedup();
    assert!(
        sites.iter().all(|file| file.starts_with("engine/src/")),
        "{sites:?}"
    );
    assert!(sites.len() <= 4, "unsafe in {sites:?}");
}

#[test]
fn files_functions_and_lines_stay_short() {
    let mut broken = Vec::new();
    for (file, text) in rust_files() {
        let lines: Vec<_> = text.lines().collect();
        if lines.len() > FILE_LINES_MAX {
            broken.push(format!("{file} has {} lines", lines.len()));
        }
        for (number, line) in lines.iter().enumerate() {
            if line.chars().count() > LINE_COLUMNS_MAX {
                broken.push(format!(
                    "{file}:{} has {} columns",
                    number + 1,
                    line.chars().count()
                ));
            }
        }
        // A test tells one story from top to bottom; the product's functions fit on a screen.
        if !file.contains("tests") {
            long_functions(&file, &lines, &mut broken);
        }
    }
    none(&broken);
}

fn long_functions(file: &str, lines: &[&str], broken: &mut Vec<String>) {
    for (number, line) in lines.iter().enumerate() {
        let bare = line.trim_start();
        let indent = line.len() - bare.len();
        let begins = [
            "fn ",
            "pub fn ",
            "pub(crate) fn ",
            "pub(super) fn ",
            "pub const fn ",
        ];
        if !begins.iter().any(|begin| bare.starts_with(begin)) || bare.ends_with('}') {
            continue;
        }
        let close = format!("{}}}", " ".repeat(indent));
        let length = lines[number..]
            .iter()
            .position(|line| **line == close)
            .unwrap_or(0);
        if length > FUNCTION_LINES_MAX {
            broken.push(format!(
                "{file}:{} is a function of {length} lines",
                number + 1
            ));
        }
    }
}

#[test]
fn nothing_is_left_undone_or_unwrapped() {
    let mut broken = Vec::new();
    for (file, text) in rust_files() {
        if file.starts_with("tests/") {
            continue;
        }
        let code = if file.contains("tests") {
            ""
        } else {
            before_tests(&text)
        };
        for (number, line) in code.lines().enumerate() {
            for word in [
                ".unwrap()",
                "todo!(",
                "unimplemented!(",
                "#[ignore",
                "FIXME",
                "XXX",
            ] {
                if line.contains(word) {
                    broken.push(format!("{file}:{} says {word}", number + 1));
                }
            }
        }
    }
    none(&broken);
}

/// A file's text up to its tests, which stand at the bottom.
fn before_tests(text: &str) -> &str {
    text.find("#[cfg(test)]\nmod ")
        .map_or(text, |at| &text[..at])
}

#[test]
fn one_crypto_provider_and_no_openssl() {
    assert!(
        in_the_tree("aws-lc-rs"),
        "the provider itself is not found: the test is blind"
    );
    // The MQTT library names an error of an older webpki, which is built with ring by default. It
    // checks nothing with it: its TLS configuration is ours.
    assert_eq!(dependents("ring"), ["rustls-webpki v0.102.8"]);
    for unwanted in ["openssl", "openssl-sys", "native-tls", "boring"] {
        assert!(!in_the_tree(unwanted), "{unwanted} is in the tree");
    }
}

/// Whether a package is built into anything of ours.
fn in_the_tree(package: &str) -> bool {
    let output = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--workspace",
            "--locked",
            "--edges",
            "normal,build",
            "--invert",
            package,
        ])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    output.status.success() && !output.stdout.is_empty()
}

/// Who depends on a package directly, with the version.
fn dependents(package: &str) -> Vec<String> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--workspace", "--locked", "--edges", "normal,build"])
        .args(["--prefix", "depth", "--depth", "1", "--invert", package])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let direct = text.lines().filter_map(|line| line.strip_prefix('1'));
    direct.map(|line| line.trim().to_owned()).collect()
}
