//! PROTOCOL.md is enough to write a device: what it shows by hand works, word for word, and its
//! table of reasons is the one in force.

use std::fs;
use std::path::Path;
use std::process::Command;

use cardea_tests::Site;
use cardea_wire::reason;

fn page() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../PROTOCOL.md");
    fs::read_to_string(path).expect("PROTOCOL.md at the root")
}

/// Fails if, for example, `Reply::to_bytes` puts the score at another offset, or `Api::access`
/// answers a request without a certificate with another status.
#[test]
fn the_transcript_works_against_a_running_server() {
    let page = page();
    let script = page.split("```bash\n").nth(1).expect("a transcript");
    let script = script.split("```").next().expect("it ends");
    let site = Site::new();
    let server = site.serve();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let output = Command::new("bash")
        .args(["-c", script])
        .env("CODE", site.code("by hand"))
        .current_dir(folder.path())
        .output()
        .expect("bash runs");
    let (shown, error) = (output.stdout, String::from_utf8_lossy(&output.stderr));
    let shown = String::from_utf8_lossy(&shown);
    assert!(output.status.success(), "{shown}\n{error}");
    assert!(
        shown.contains("4352 4441 0100"),
        "no reply is shown:\n{shown}"
    );

    // The script sent one attempt twice: it is in the audit once, and names nobody.
    assert_eq!(site.attempts(), 1);
    let audit = site.done(&["audit", "tail"]);
    let attempts: Vec<_> = audit
        .lines()
        .filter(|line| line.contains("no match"))
        .collect();
    assert_eq!(attempts.len(), 1, "{audit}");
    assert!(attempts[0].contains("by hand") && attempts[0].ends_with("denied: no match\t"));
    server.stop();
}

/// Fails if a number, or the words for it, changes on one side only.
#[test]
fn the_table_of_reasons_is_the_one_in_force() {
    let page = page();
    let rows = page.lines().filter_map(|line| {
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        let (code, status): (u16, u16) = (cells.get(1)?.parse().ok()?, cells.get(2)?.parse().ok()?);
        let words = (*cells.get(3)?).to_owned();
        (200..600).contains(&status).then_some((code, words))
    });
    let rows: Vec<_> = rows.collect();
    for (code, words) in &rows {
        let known = cardea_wire::Reason::from_code(*code).unwrap_or_else(|| panic!("{code}"));
        assert!(*code == 0 || known.text() == words, "{code}: {words}");
    }
    for known in reason::ALL {
        assert!(
            rows.iter().any(|(code, _)| *code == known.code()),
            "{known:?} is not explained"
        );
    }
}
