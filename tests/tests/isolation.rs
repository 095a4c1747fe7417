//! The access path beside everything else, shortly: `isolation` measures it on a quiet machine.

use std::fs;
use std::process::Command;

use cardea_tests::programs::program;
use cardea_tests::results::record;
use serde_json::Value;

/// Sides that every machine has; the slow disk needs control groups.
const SIDES: usize = 5;

fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

/// Every answer right and within 2 s, beside each side. Fails if an opener holds the loop while
/// Space hangs, if the audit waits for the writer's import, or if a backup holds a lock of the
/// store.
#[test]
fn access_goes_on_beside_everything_else() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let report = folder.path().join("report.json");
    let short = ["pairs=1", "seconds=3", "people=2000", "rate=40", "ratio=0"];
    let mut command = Command::new(program("isolation"));
    let command = command.args(short).arg("--json").arg(&report);
    // Its status is asked for below, once what went wrong is written down.
    let output = command.output().expect("it runs");
    println!("{}", String::from_utf8_lossy(&output.stdout));
    eprintln!("{}", String::from_utf8_lossy(&output.stderr));
    let report = fs::read(&report).expect("it was written");
    let report: Value = serde_json::from_slice(&report).expect("JSON");
    let rows = report["rows"].as_array().expect("rows");
    for row in rows {
        let beside = &row["pairs"][0]["beside"];
        let number = |name: &str| beside[name].as_u64().expect("a number");
        let (side, lane) = (text(&row["side"]), text(&row["lane"]));
        let what = format!("requests beside: {side} ({lane})");
        record(
            "Side isolation",
            &what,
            number("count"),
            number("wrong") + number("failed"),
        );
    }
    assert!(output.status.success(), "{}", output.status);
    assert_eq!(report["holds"], true, "{report}");
    assert!(rows.len() >= 2 * SIDES, "{report}");
    for row in rows {
        let beside = &row["pairs"][0]["beside"];
        assert!(beside["count"].as_u64() > Some(10), "{row}");
    }
}
