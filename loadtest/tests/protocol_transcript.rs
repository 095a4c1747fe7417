//! The transcript at the end of PROTOCOL.md works, word for word, against the mirror.

use std::process::Command;

use cardea_loadtest::mirror::{Answers, Mirror};
use cardea_wire::{Decision, Kind, Reason, Reply};

const PAGE: &str = include_str!("../../PROTOCOL.md");

/// Fails if PROTOCOL.md's transcript names another offset, length or status than `cardea_wire` has.
#[test]
fn the_transcript_of_the_protocol_page_can_be_replayed() {
    for tool in ["bash", "curl", "openssl", "xxd"] {
        let there = Command::new(tool).arg("--version").output().is_ok();
        if !there {
            println!("skipped: {tool} is not installed");
            return;
        }
    }
    let after = PAGE.split("```bash\n").nth(1).expect("one transcript");
    let script = after.split("```").next().expect("the transcript ends");
    let answers: Box<Answers> = Box::new(|request| {
        let (denied, no_match) = (Decision::Denied, Reason::NoMatch);
        Reply::new(Kind::Access, request.request_id, denied, no_match)
    });
    let mirror = Mirror::start(answers).expect("a mirror");
    let folder = tempfile::tempdir().expect("a folder");
    let output = Command::new("bash")
        .arg("-c")
        .arg(script)
        .env("CODE", mirror.code("Front door").to_text())
        .current_dir(folder.path())
        .output()
        .expect("bash runs");
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}\n{errors}");
    assert!(
        text.contains("43 5244 4101") || text.contains("4352 4441 0100"),
        "{text}"
    );
}
