//! Enrolling and withdrawing: by the running server and without one, good files and bad ones; in
//! force at once, and erased.

use cardea_tests::device::tag;
use cardea_tests::files::{json_line, write_csv, write_lines};
use cardea_tests::{Device, Face, Site, face};
use cardea_wire::{Decision, Reason};

fn decided(device: &mut Device, face: &Face) -> (Decision, Reason, u64) {
    let reply = device.access(face);
    (reply.decision, reply.reason, reply.person)
}

fn granted(name: &str) -> (Decision, Reason, u64) {
    (Decision::Granted, Reason::None, tag(name))
}

const NO_MATCH: (Decision, Reason, u64) = (Decision::Denied, Reason::NoMatch, 0);

/// Fails if `Writer::import_commit` answers without `self.follow()`.
#[test]
fn both_kinds_of_files_are_imported_and_in_force_on_return() {
    let site = Site::new();
    let server = site.serve();
    let mut device = site.device("front");
    let (lines, csv, npy) = (site.file("a.jsonl"), site.file("b.csv"), site.file("b.npy"));
    write_lines(
        &lines,
        &[
            json_line("A1", "*", &face(1)),
            json_line("A2", "main", &face(2)),
        ],
    );
    // Rows of one external id that follow each other are references of one person.
    write_csv(
        &csv,
        &npy,
        &[("B3", face(3)), ("B4", face(4)), ("B4", face(5))],
    );
    assert_eq!(decided(&mut device, &face(1)), NO_MATCH);

    let import = site.done(&["people", "import", lines.to_str().expect("UTF-8")]);
    assert!(import.contains("2 people enrolled"), "{import}");
    assert_eq!(decided(&mut device, &face(1)), granted("A1"));
    assert_eq!(decided(&mut device, &face(2)), granted("A2"));

    let paths = [&csv, &npy].map(|path| path.to_str().expect("UTF-8"));
    let import = site.done(&["people", "import", paths[0], "--embeddings", paths[1]]);
    assert!(import.contains("2 people enrolled"), "{import}");
    for (number, name) in [(3, "B3"), (4, "B4"), (5, "B4")] {
        assert_eq!(decided(&mut device, &face(number)), granted(name));
    }
    let shown = site.done(&["people", "show", "B4"]);
    assert!(
        shown.contains("references\t2") && shown.contains("policy 1 on 2026-01-01"),
        "{shown}"
    );
    server.stop();
}

/// Fails if `Import` commits although rows were bad, or the socket's end does not take an import
/// back that was not committed.
#[test]
fn a_bad_file_is_refused_whole_by_line_and_skip_bad_takes_the_rest() {
    let site = Site::with(&[("erasure_period_s", "1")]);
    let server = site.serve();
    let mut device = site.device("front");
    // What a start of the server empties anyway is over once this is done.
    server.admin().enrol("C0", &face(0)).expect("enrolled");
    site.done(&["people", "withdraw", "C0"]);
    wait_until_erased(&site, &mut device, &face(0));

    let file = site.file("people.jsonl");
    let path = file.to_str().expect("UTF-8");
    let no_consent =
        json_line("C3", "*", &face(3)).replace(r#""policy_version":"1""#, r#""policy_version":"""#);
    let mut zero = face(4);
    zero.fill(0);
    write_lines(
        &file,
        &[
            json_line("C1", "*", &face(1)),
            "{\"external_id\": \"C2\"".to_owned(),
            no_consent,
            json_line("C4", "*", &zero),
            json_line("C5", "no such door", &face(5)),
            json_line("C1", "*", &face(6)),
            json_line("C7", "*", &face(7)),
        ],
    );
    let error = site.refused(&["people", "import", path]);
    for line in 2..=6 {
        assert!(
            error.contains(&format!("people.jsonl:{line}: ")),
            "line {line}: {error}"
        );
    }
    for line in [1, 7] {
        assert!(
            !error.contains(&format!("people.jsonl:{line}: ")),
            "line {line}: {error}"
        );
    }
    assert!(
        error.contains("5 bad rows: nothing was imported"),
        "{error}"
    );
    assert!(
        !error.contains("C3") && !error.contains("no such door"),
        "repeats the file: {error}"
    );
    for number in [1, 7] {
        assert_eq!(
            decided(&mut device, &face(number)),
            NO_MATCH,
            "face {number}"
        );
    }
    assert_eq!(
        site.done(&["people", "list"]).lines().count(),
        1,
        "only the head"
    );
    // What was staged is personal data, too.
    wait_until_erased(&site, &mut device, &face(7));

    let import = site.done(&["people", "import", path, "--skip-bad"]);
    assert!(import.contains("2 people enrolled"), "{import}");
    assert_eq!(decided(&mut device, &face(1)), granted("C1"));
    assert_eq!(decided(&mut device, &face(7)), granted("C7"));
    // The whole file again: everybody is there already.
    let error = site.refused(&["people", "import", path]);
    assert!(
        error.contains("people.jsonl:1: ") && error.contains("7 bad rows"),
        "{error}"
    );
    assert_eq!(decided(&mut device, &face(7)), granted("C7"));
    server.stop();
}

/// Fails if `Writer::right` answers without `self.follow()`, or the default is to grant.
#[test]
fn rights_are_granted_and_revoked_at_once() {
    let site = Site::new();
    let server = site.serve();
    let mut device = site.device("front");
    site.done(&["door", "add", "other"]);
    let file = site.file("people.jsonl");
    write_lines(
        &file,
        &[
            json_line("E1", "", &face(1)),
            json_line("E2", "other", &face(2)),
        ],
    );
    site.done(&["people", "import", file.to_str().expect("UTF-8")]);
    let no_right = |name| (Decision::Denied, Reason::NoRight, tag(name));
    for (number, name) in [(1, "E1"), (2, "E2")] {
        assert_eq!(decided(&mut device, &face(number)), no_right(name));
        site.done(&["right", "grant", name, "main"]);
        assert_eq!(decided(&mut device, &face(number)), granted(name));
        site.done(&["right", "revoke", name, "main"]);
        assert_eq!(decided(&mut device, &face(number)), no_right(name));
        site.done(&["right", "grant", name, "--every-door"]);
        assert_eq!(decided(&mut device, &face(number)), granted(name));
        site.done(&["right", "revoke", name, "--every-door"]);
        assert_eq!(decided(&mut device, &face(number)), no_right(name));
    }
    assert!(
        site.refused(&["right", "grant", "E1", "no such door"])
            .contains("no door")
    );
    site.refused(&["right", "grant", "nobody", "main"]);
    server.stop();
}

/// Fails if `Snapshots::tick` does not erase the snapshot before, or does not empty the log.
#[test]
fn who_withdraws_is_denied_at_once_and_erased_from_every_file() {
    let site = Site::with(&[("erasure_period_s", "2")]);
    let server = site.serve();
    let mut admin = server.admin();
    (1..=20).for_each(|number| {
        admin
            .enrol(&format!("F{number}"), &face(number))
            .expect("done")
    });
    drop(admin);
    // A restart puts everybody into the snapshot's file as well.
    server.stop();
    let server = site.serve();
    server.stop();
    let server = site.serve();
    let mut device = site.device("front");
    let mut admin = server.admin();
    admin.enrol("F21", &face(21)).expect("in the overlay");
    for (number, name) in [(7, "F7"), (21, "F21")] {
        assert_eq!(decided(&mut device, &face(number)), granted(name));
        assert!(
            !remains(&site, &face(number)).is_empty(),
            "the search is blind"
        );
        site.done(&["people", "withdraw", name]);
        assert_eq!(decided(&mut device, &face(number)), NO_MATCH, "{name}");
        assert!(
            site.refused(&["people", "show", name])
                .contains("no such person")
        );
        site.refused(&["people", "withdraw", name]);
    }
    for number in [7, 21] {
        wait_until_erased(&site, &mut device, &face(number));
    }
    // Nobody else is gone.
    assert_eq!(decided(&mut device, &face(8)), granted("F8"));
    assert!(!remains(&site, &face(8)).is_empty());
    server.stop();
    assert!(
        remains(&site, &face(7)).is_empty(),
        "it came back: {:?}",
        remains(&site, &face(7))
    );
    let server = site.serve();
    device.follow(server.address);
    assert_eq!(decided(&mut device, &face(7)), NO_MATCH);
    assert_eq!(decided(&mut device, &face(8)), granted("F8"));
    server.stop();
}

/// Fails if `Writer::person_withdraw` does not call `erase_all` where no server runs.
#[test]
fn who_withdraws_while_no_server_runs_is_erased_too() {
    let site = Site::new();
    let server = site.serve();
    let mut admin = server.admin();
    admin.enrol("I1", &face(1)).expect("enrolled");
    admin.enrol("I2", &face(2)).expect("enrolled");
    drop(admin);
    let mut device = site.device("front");
    // Without its snapshot the next start writes one, with both of them.
    server.stop();
    let gallery = site.data().join("gallery");
    std::fs::remove_dir_all(&gallery).expect("removed");
    site.serve().stop();
    let in_gallery = |face: &Face| {
        let remains = remains(&site, face);
        remains.iter().any(|file| file.starts_with(&gallery))
    };
    assert!(in_gallery(&face(1)), "the search is blind");
    site.done(&["people", "withdraw", "I1"]);
    assert!(
        remains(&site, &face(1)).is_empty(),
        "{:?}",
        remains(&site, &face(1))
    );
    let server = site.serve();
    device.follow(server.address);
    assert_eq!(decided(&mut device, &face(1)), NO_MATCH);
    assert_eq!(decided(&mut device, &face(2)), granted("I2"));
    assert!(in_gallery(&face(2)));
    server.stop();
}

/// Fails if `Desk::open` asks for a server where there is none.
#[test]
fn every_command_works_without_a_server() {
    let site = Site::new();
    let file = site.file("people.jsonl");
    write_lines(
        &file,
        &[
            json_line("G1", "main", &face(1)),
            json_line("G2", "*", &face(2)),
        ],
    );
    let import = site.done(&["people", "import", file.to_str().expect("UTF-8")]);
    assert!(import.contains("2 people enrolled"), "{import}");
    assert!(
        site.done(&["people", "list"])
            .contains("G1\tName of G1\tenrolled\t1")
    );
    site.done(&["door", "add", "second", "third"]);
    assert_eq!(
        site.done(&["door", "list"]).lines().count(),
        4,
        "head and three doors"
    );
    assert!(site.code("spare").starts_with("cardea1."));
    assert!(site.done(&["device", "list"]).contains("spare\tmain"));
    site.done(&["right", "revoke", "G1", "main"]);
    site.done(&["people", "withdraw", "G2"]);
    let audit = site.done(&["audit", "tail"]);
    let right = audit.contains("right.revoke") && audit.contains("G1, main");
    assert!(audit.starts_with("number\t") && right, "{audit}");
    assert!(site.done(&["check-config"]).contains("erasure_period_s"));

    let server = site.serve();
    let mut device = site.device("front");
    let no_right = (Decision::Denied, Reason::NoRight, tag("G1"));
    assert_eq!(decided(&mut device, &face(1)), no_right);
    assert_eq!(decided(&mut device, &face(2)), NO_MATCH);
    server.stop();
    site.done(&["right", "grant", "G1", "main"]);
    let server = site.serve();
    device.follow(server.address);
    assert_eq!(decided(&mut device, &face(1)), granted("G1"));
    server.stop();
}

/// Fails if `DataDirectory::lock` does not lock.
#[test]
fn a_second_server_on_the_directory_is_refused() {
    let site = Site::new();
    let server = site.serve();
    let error = site.refused(&["serve"]);
    assert!(error.contains("in use"), "{error}");
    // The first is none the worse for it.
    server.admin().enrol("H1", &face(1)).expect("enrolled");
    assert_eq!(decided(&mut site.device("front"), &face(1)), granted("H1"));
    site.refused(&["init", "--ip", "127.0.0.1"]);
    server.stop();
}

/// Pieces of an embedding, from its beginning to its end, that are in some file.
fn remains(site: &Site, face: &Face) -> Vec<std::path::PathBuf> {
    let pieces = (0..8).map(|piece| &face[piece * 256 + 100..][..16]);
    pieces.flat_map(|piece| site.files_with(piece)).collect()
}

/// Asks the server for a sign of life, which takes a moment, until nothing of a face is left.
fn wait_until_erased(site: &Site, device: &mut Device, face: &Face) {
    let begun = std::time::Instant::now();
    loop {
        let remains = remains(site, face);
        if remains.is_empty() {
            return;
        }
        assert!(begun.elapsed().as_secs() < 60, "still in {remains:?}");
        assert_eq!(device.heartbeat().0, 200);
    }
}
