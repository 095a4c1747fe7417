//! Calibration: a site's gallery searched by itself, the threshold it gives in force at once, and
//! an event when the site has outgrown it.

use std::fs;
use std::ops::Range;

use cardea_tests::device::tag;
use cardea_tests::face::like;
use cardea_tests::files::{json_line, write_lines};
use cardea_tests::space::until;
use cardea_tests::{Device, Face, Site, face};
use cardea_wire::{Decision, Reason};

fn import(site: &Site, numbers: Range<u64>, more: &[(&str, Face)]) {
    let file = site.file("people.jsonl");
    let people = numbers.map(|number| json_line(&format!("P{number}"), "*", &face(number)));
    let more = more.iter().map(|(name, face)| json_line(name, "*", face));
    write_lines(&file, &people.chain(more).collect::<Vec<_>>());
    site.done(&["people", "import", file.to_str().expect("UTF-8")]);
}

/// Whether a face that is like person 5's to about 0.3 is taken for theirs.
fn is_person_5(device: &mut Device) -> bool {
    let reply = device.access(&like(5, 0.3));
    match (reply.decision, reply.reason) {
        (Decision::Granted, _) => reply.person == tag("P5"),
        (_, reason) => {
            assert_eq!(reason, Reason::NoMatch);
            false
        }
    }
}

fn changes(site: &Site, action: &str) -> i64 {
    let sql = "SELECT count(*) FROM records WHERE action = ?1";
    let count = site.audit().query_row(sql, [action], |row| row.get(0));
    count.expect("a count")
}

/// Fails if `threshold_set` does not publish, if `calibration_tick` notes nothing, or if the
/// report leaves near-duplicates unnamed.
#[test]
fn a_threshold_is_measured_set_in_force_at_once_and_outgrown() {
    let site = Site::new();
    let mut server = site.serve();
    import(&site, 0..400, &[("Twin of 3", like(3, 0.9))]);
    let mut device = site.device("front");
    assert!(!is_person_5(&mut device), "0.41 is in force");

    let svg = site.file("tail.svg");
    let rate = ["--fpir", "0.02", "--searches-per-day", "10"];
    let draw = ["--svg", svg.to_str().expect("UTF-8")];
    let look = [&["calibrate"], &rate[..], &draw].concat();
    let report = site.done(&look);
    for words in [
        "401 people, 401 references; 401 of them",
        "never calibrated",
        "Twin of 3",
    ] {
        assert!(report.contains(words), "{words} is not in\n{report}");
    }
    assert!(
        report.contains("FPIR at 4010 people") && report.contains("  P3  "),
        "{report}"
    );
    assert!(!is_person_5(&mut device), "without --set nothing changes");
    let drawn = fs::read_to_string(&svg).expect("drawn");
    assert!(drawn.starts_with("<svg") && drawn.matches("<polyline").count() >= 4);

    let set = site.done(&[&look[..], &["--set"]].concat());
    assert!(set.contains("in force, for 401 people"), "{set}");
    assert!(is_person_5(&mut device), "{set}");
    assert_eq!(changes(&site, "threshold.set"), 1);
    let refused = site.refused(&["calibrate", "--fpir", "1e-6", "--set"]);
    assert!(refused.contains("cannot show the wanted rate"), "{refused}");
    assert!(is_person_5(&mut device));

    // It holds, and the same is measured without a server.
    server.stop();
    let offline = site.done(&look);
    assert!(offline.contains("set for 401 people"), "{offline}");
    let figures = |text: &str| {
        let from = text.find("\nThreshold for").expect("a threshold");
        text[from..].lines().nth(1).map(str::to_owned)
    };
    assert_eq!(figures(&offline), figures(&report));
    server = site.serve();
    device.follow(server.address);
    assert!(is_person_5(&mut device));

    assert_eq!(changes(&site, "threshold.outgrown"), 0);
    import(&site, 400..610, &[]);
    until("the threshold is outgrown", || {
        changes(&site, "threshold.outgrown") == 1
    });
    server.stop();
}
