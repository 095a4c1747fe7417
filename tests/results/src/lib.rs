//! What the tests tried, how often, and what came out wrong: a line for each test that says so,
//! and a page of all lines.
//!
//! A test calls [`record`] when it is through. `CARDEA_RESULTS=FILE ./tools/test` gathers the
//! lines in FILE; the program `results` turns them into `tests/RESULTS.md`.

pub mod page;

use std::fs::OpenOptions;
use std::io::Write as _;

use serde::{Deserialize, Serialize};

/// Names the file that lines are appended to; without it nothing is written.
pub const FILE: &str = "CARDEA_RESULTS";

/// One line of the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// A heading of the page: Crash, Disk, Erasure, ..
    pub area: String,
    /// The fault, in words that a reader understands without the test.
    pub what: String,
    /// How often it was tried.
    pub tried: u64,
    /// How often something was wrong or lost.
    pub wrong: u64,
}

/// Appends a line to the file that `CARDEA_RESULTS` names. Call it before the assertion that
/// nothing was wrong, so that the page says what was.
///
/// # Panics
/// If there is such a file and it cannot be written: the page would be wrong.
pub fn record(area: &str, what: &str, tried: u64, wrong: u64) {
    let Some(path) = std::env::var_os(FILE) else {
        return;
    };
    let line = Line {
        area: area.to_owned(),
        what: what.to_owned(),
        tried,
        wrong,
    };
    let line = serde_json::to_string(&line).expect("text and numbers are JSON") + "\n";
    let file = OpenOptions::new().create(true).append(true).open(path);
    // One write: tests that run beside each other do not mix their lines.
    file.and_then(|mut file| file.write_all(line.as_bytes()))
        .expect("the file of results can be written");
}
