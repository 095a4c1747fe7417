//! THREATS.md names, for every attack, a test that is there, or says why there is none.

use std::fs;
use std::path::{Path, PathBuf};

/// Where a file may lie that is named without more.
const FOLDERS: [&str; 3] = ["", "server/src", "server"];
/// Fewer, and the page was not read.
const ROWS_MIN: usize = 90;

fn root() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().expect("it lies in the project").to_owned()
}

/// The file or folder that a cell names, if there is one. In a cell a name without a folder lies
/// beside the one before it.
fn found(root: &Path, name: &str, before: Option<&Path>) -> Option<PathBuf> {
    let beside = before
        .and_then(Path::parent)
        .map(|folder| folder.join(name));
    let named = FOLDERS.iter().map(|folder| root.join(folder).join(name));
    beside.into_iter().chain(named).find(|path| path.exists())
}

/// What is wrong with the cell of a row.
fn complaint(root: &Path, cell: &str) -> Option<String> {
    if cell == "the same" {
        return None;
    }
    if let Some(why) = cell.strip_prefix("none: ") {
        let reason = why.split_whitespace().count() >= 3;
        return (!reason).then(|| format!("no reason: {cell}"));
    }
    let mut last: Option<PathBuf> = None;
    for name in cell
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|name| is_file(name))
    {
        match found(root, name, last.as_deref()) {
            Some(path) => last = Some(path),
            None => return Some(format!("there is no {name}")),
        }
    }
    match last {
        Some(_) => None,
        None => Some(format!("no test is named: {cell:?}")),
    }
}

fn is_file(name: &str) -> bool {
    name.contains('/') || name.ends_with(".rs")
}

/// Fails if a row's test is taken out, moved or renamed, or a row comes without one.
#[test]
fn every_threat_names_a_test_that_is_there() {
    let root = root();
    let page = fs::read_to_string(root.join("THREATS.md")).expect("the page");
    let rows: Vec<Vec<&str>> = page
        .lines()
        .filter(|line| line.starts_with("| "))
        .map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect())
        .filter(|row: &Vec<&str>| row[0] != "---" && !row.contains(&"test"))
        .collect();
    let mut complaints = Vec::new();
    for row in &rows {
        let cell = row.last().copied().unwrap_or_default();
        if row.len() != 3 {
            complaints.push(format!("{}: {} cells", row[0], row.len()));
        } else if let Some(complaint) = complaint(&root, cell) {
            complaints.push(format!("{}: {complaint}", row[0]));
        }
    }
    assert!(rows.len() >= ROWS_MIN, "{} rows", rows.len());
    assert!(complaints.is_empty(), "{complaints:#?}");
}
