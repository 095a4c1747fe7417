//! Who withdraws is erased: a period later no form of the embedding is in any file of the data
//! directory, the write-ahead log, the log, the latency logs, what the broker keeps, a bundle of
//! diagnostics or a new backup; a probe that matched nobody never was.
//!
//! Fails if, for example, `Snapshots::tick` does not erase the retired snapshot or empty the log,
//! `erase_reference` leaves the slot's bytes, or a probe's embedding is logged.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use cardea_tests::admin::person;
use cardea_tests::broker::Broker;
use cardea_tests::device::tag;
use cardea_tests::face::like;
use cardea_tests::forms::{Forms, NAMES, PLANE};
use cardea_tests::results::record;
use cardea_tests::{Device, Site, face};
use cardea_wire::{Decision, Reason};
use serde_json::json;

/// Enough for a plane in the gallery.
const PEOPLE: u64 = 1_100;
/// People of one request.
const ADDED: u64 = 64;
const GOES: u64 = 500;
const STAYS: u64 = 501;
/// Withdrawn before they are in any gallery file.
const YOUNG: u64 = 5_000;
const STRANGER: u64 = 9_000;
/// More signs of life than any erasure takes.
const SIGNS_MAX: usize = 200_000;

fn name(number: u64) -> String {
    format!("P{number}")
}

fn enrol_all(site: &Site) {
    let server = site.serve();
    let mut admin = server.admin();
    let done = |reply: serde_json::Value| assert_ne!(reply["is"], "error", "{reply}");
    done(admin.ask(&json!({"do": "import_begin"})).expect("begun"));
    for first in (0..PEOPLE).step_by(ADDED as usize) {
        let people: Vec<_> = (first..PEOPLE.min(first + ADDED))
            .map(|number| person(&name(number), &face(number)))
            .collect();
        let add = json!({"do": "import_add", "people": people});
        done(admin.ask(&add).expect("staged"));
    }
    done(
        admin
            .ask(&json!({"do": "import_commit"}))
            .expect("committed"),
    );
    drop(admin);
    server.stop();
    // Without its snapshot the next start writes one, with everybody in it.
    fs::remove_dir_all(site.data().join("gallery")).expect("removed");
    site.serve().stop();
}

/// Every file below a folder.
fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            files(&path, found);
        } else {
            found.push(path);
        }
    }
}

/// The forms that are in the files of a folder, each with a file.
fn left_in(folder: &Path, forms: &Forms) -> Vec<(&'static str, PathBuf)> {
    let mut paths = Vec::new();
    files(folder, &mut paths);
    let found = paths.into_iter().flat_map(|path| {
        // A socket cannot be read, and a file may go meanwhile.
        let bytes = fs::read(&path).unwrap_or_default();
        let names = forms.found_in(&bytes);
        names.into_iter().map(move |name| (name, path.clone()))
    });
    found.collect()
}

fn gallery_of(site: &Site) -> Vec<u8> {
    let mut paths = Vec::new();
    files(&site.data().join("gallery"), &mut paths);
    fs::read(&paths[0]).expect("the one gallery file")
}

/// A backup as it is for whoever has its key: the bytes of its tar.
fn backup(site: &Site, name: &str) -> Vec<u8> {
    let (folder, key) = (site.file(name), site.file(&format!("{name}.key")));
    fs::create_dir(&folder).expect("a new folder");
    let text = |path: &Path| path.to_str().expect("UTF-8").to_owned();
    let public = site.done(&["backup-key", &text(&key)]);
    let said = site.done(&["backup", &text(&folder), "--to", public.trim()]);
    let file = said.split(": ").next().expect("a path first");
    let output = Command::new("age")
        .args(["--decrypt", "--identity", &text(&key), file])
        .output()
        .expect("age runs: tools/test installs it");
    assert!(output.status.success(), "{output:?}");
    output.stdout
}

fn reply(device: &mut Device, number: u64) -> (Decision, Reason, u64) {
    let reply = device.access(&face(number));
    (reply.decision, reply.reason, reply.person)
}

/// Asks for signs of life until the server has nothing left to erase.
fn wait_until_erased(site: &Site, device: &mut Device, all: &[&Forms]) {
    for _ in 0..SIGNS_MAX {
        if all
            .iter()
            .all(|forms| left_in(&site.data(), forms).is_empty())
        {
            return;
        }
        assert_eq!(device.heartbeat().0, 200);
    }
    let left: Vec<_> = all
        .iter()
        .map(|forms| left_in(&site.data(), forms))
        .collect();
    panic!("still there: {left:?}");
}

#[test]
fn no_form_of_a_withdrawn_embedding_is_left_anywhere() {
    let site = Site::with(&[("erasure_period_s", "2")]);
    enrol_all(&site);
    let gallery = gallery_of(&site);
    let [goes, stays] = [GOES, STAYS].map(|number| Forms::of(&face(number), &gallery));
    let mut broker = Broker::new();
    let server = site.serve();
    broker.join(&site, "e1");
    let mut listener = broker.listen();
    let mut device = site.device("front");
    listener.hear_of("event", |event| event["event"] == "device.commissioned");

    // Used in every way: found, not quite found, and by the search for faces alike.
    let granted = |number| (Decision::Granted, Reason::None, tag(&name(number)));
    assert_eq!(reply(&mut device, GOES), granted(GOES));
    device.access(&like(GOES, 0.7));
    device.access(&like(GOES, 0.3));
    let mut admin = server.admin();
    let young = name(YOUNG);
    admin.enrol(&young, &face(YOUNG)).expect("in the overlay");
    assert_eq!(reply(&mut device, YOUNG), granted(YOUNG));
    let no_match = (Decision::Denied, Reason::NoMatch, 0);
    assert_eq!(reply(&mut device, STRANGER), no_match);

    // The search sees what is there.
    let there = |forms: &Forms| {
        let mut names: Vec<_> = left_in(&site.data(), forms)
            .into_iter()
            .map(|(n, _)| n)
            .collect();
        names.sort_unstable();
        names.dedup();
        names
    };
    assert_eq!(there(&goes), ["f32", "int8", PLANE]);
    assert_eq!(goes.found_in(&backup(&site, "before")), ["f32"]);
    // Who was never in a gallery file, in the only form that a store has.
    let [young_face, stranger] = [face(YOUNG), face(STRANGER)];
    let pieces = |face: &[u8]| -> Vec<Vec<u8>> {
        (0..8)
            .map(|piece| face[piece * 256 + 100..][..16].to_vec())
            .collect()
    };
    let f32_left = |face: &[u8]| -> usize {
        pieces(face)
            .iter()
            .map(|piece| site.files_with(piece).len())
            .sum()
    };
    assert!(f32_left(&young_face) > 0, "the search is blind");
    assert_eq!(
        f32_left(&stranger),
        0,
        "a probe that matched nobody is in a file"
    );

    for withdrawn in [&name(GOES), &young] {
        site.done(&["people", "withdraw", withdrawn]);
    }
    assert_eq!(reply(&mut device, GOES), no_match);
    wait_until_erased(&site, &mut device, &[&goes]);
    for _ in 0..SIGNS_MAX {
        if f32_left(&young_face) == 0 {
            break;
        }
        assert_eq!(device.heartbeat().0, 200);
    }
    assert_eq!(reply(&mut device, STAYS), granted(STAYS));

    // Everything that leaves the server afterwards, and what the broker keeps of what left before.
    let bundle = site.file("bundle.tar");
    site.done(&["diagnostics", bundle.to_str().expect("UTF-8")]);
    let new_backup = backup(&site, "after");
    listener.hear_of("event", |event| event["event"] == "people.imported");
    broker.stop();
    let log = server.stop();
    let heard = format!("{:?}", listener.heard);
    let mut wrong = Vec::new();
    let mut places: Vec<(&str, Vec<u8>)> = vec![
        ("log", log.into_bytes()),
        ("messages", heard.into_bytes()),
        ("bundle of diagnostics", fs::read(&bundle).expect("written")),
        ("new backup", new_backup),
    ];
    for folder in [site.data(), broker.folder().to_owned()] {
        let mut paths = Vec::new();
        files(&folder, &mut paths);
        for path in paths {
            places.push(("file", fs::read(&path).unwrap_or_default()));
        }
    }
    for (place, bytes) in &places {
        let found = goes.found_in(bytes);
        wrong.extend(found.into_iter().map(|form| (*place, form)));
        for face in [&young_face, &stranger] {
            let here = |piece: &Vec<u8>| cardea_tests::site::contains(bytes, piece);
            wrong.extend(
                pieces(face)
                    .iter()
                    .any(here)
                    .then_some((*place, "another's f32")),
            );
        }
    }
    let tried = (places.len() * (NAMES.len() + 2)) as u64;
    let what = "a withdrawn embedding looked for in each form and file after the period";
    record("Erasure", what, tried, wrong.len() as u64);
    assert_eq!(wrong, []);
    let kept = |place: &str| {
        let (_, bytes) = places
            .iter()
            .find(|(name, _)| *name == place)
            .expect("looked at");
        stays.found_in(bytes)
    };
    assert_eq!(kept("new backup"), ["f32"], "nobody else is gone");
    assert!(there(&stays).contains(&"f32"));
    println!(
        "{} places, {} forms: nothing left",
        places.len(),
        NAMES.len() + 2
    );
}
