//! The gallery's file is cut, overwritten or damaged, stopped and while it serves: a named error
//! or a rebuild, never a wrong answer, never silence.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use cardea_engine::gallery::GALLERY_FAULT_EXIT_CODE;
use cardea_tests::device::{access, new_id, tag};
use cardea_tests::gallery::{Section, sections};
use cardea_tests::results::record;
use cardea_tests::space::until;
use cardea_tests::{Device, Server, Site, face};
use cardea_wire::{Decision, Reason, path};

const PEOPLE: u64 = 40;
/// More requests than an answer to a damage takes.
const ASKED_MAX: usize = 100_000;

fn name(person: u64) -> String {
    format!("P{person}")
}

/// A site whose people are all in the snapshot's file.
fn site() -> (Site, Device) {
    let site = Site::new();
    let server = site.serve();
    let mut admin = server.admin();
    for person in 0..PEOPLE {
        admin.enrol(&name(person), &face(person)).expect("enrolled");
    }
    drop(admin);
    let device = site.device("front");
    server.stop();
    fs::remove_dir_all(site.data().join("gallery")).expect("removed");
    site.serve().stop();
    (site, device)
}

/// The one gallery file.
fn file_of(site: &Site) -> PathBuf {
    let folder = fs::read_dir(site.data().join("gallery")).expect("a folder");
    let mut files: Vec<_> = folder.flatten().map(|entry| entry.path()).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    files.remove(0)
}

/// Everybody is found and no stranger; meanwhile a search may be refused, never guessed. Gives how
/// many were.
fn all_right(device: &mut Device, when: &str) -> usize {
    let mut refused = 0;
    for person in 0..PEOPLE {
        let reply = loop {
            let message = access(new_id(), &face(person));
            let (status, reply) = device.send(path::ACCESS, &message);
            if reply.reason != Reason::GalleryUnavailable {
                break reply;
            }
            let found = (status, reply.decision, reply.person);
            assert_eq!(found, (503, Decision::Refused, 0));
            refused += 1;
            assert!(refused < ASKED_MAX, "not rebuilt {when}");
        };
        let found = (reply.decision, reply.person);
        assert_eq!(found, (Decision::Granted, tag(&name(person))), "{when}");
    }
    assert_eq!(device.access(&face(999)).reason, Reason::NoMatch, "{when}");
    refused
}

fn serve(site: &Site, device: &mut Device) -> Server {
    let server = site.serve();
    device.follow(server.address);
    server
}

/// Changes a bit of a file in place, as a foreign hand or a disk would.
fn flip(path: &Path, at: usize) {
    let bytes = fs::read(path).expect("read");
    let file = OpenOptions::new().write(true).open(path).expect("opened");
    file.write_all_at(&[bytes[at] ^ 0x20], at as u64)
        .expect("changed");
}

/// Fails if `gallery::install_sigbus_handler` is not called, or `Writer::load` does not look for
/// what the handler wrote.
#[test]
fn a_file_cut_while_it_serves_ends_the_server_by_name_and_the_next_start_rebuilds() {
    let (site, mut device) = site();
    let report = site.data().join("gallery.fault");
    let mut tried = 0;
    for keep in [0, 1, 2, 5] {
        let mut server = serve(&site, &mut device);
        let path = file_of(&site);
        let file = OpenOptions::new().write(true).open(&path).expect("opened");
        file.set_len(keep * 4_096).expect("cut");
        // Whoever asks is not answered; if the pages are not missed, rightly.
        for person in 0..PEOPLE {
            let Ok(response) = device.exchange(path::ACCESS, &access(new_id(), &face(person)))
            else {
                break;
            };
            let reply = cardea_tests::device::parse(&response.body);
            assert!(
                reply.person == tag(&name(person)) || reply.decision == Decision::Refused,
                "{reply:?}"
            );
        }
        let status = server.process.wait();
        assert_eq!(
            status.code(),
            Some(GALLERY_FAULT_EXIT_CODE),
            "cut to {keep}"
        );
        let said = fs::read_to_string(&report).expect("a report");
        assert!(said.starts_with("cardea: gallery page "), "{said}");
        let server = serve(&site, &mut device);
        all_right(&mut device, "after a cut");
        assert_eq!(fs::read(&report).expect("it stays"), b"");
        assert!(server.stop().contains("gallery file: rebuilding"));
        tried += 1;
    }
    record(
        "Disk",
        "gallery cut under the map while serving: exit status 74, rebuilt",
        tried,
        0,
    );
}

/// A disk that cannot give rows which opening does not read: what the handler wrote is all that
/// the next start knows of it. It had opened the same file, and died of it again.
#[test]
fn what_could_not_be_read_is_not_opened_again() {
    let (site, mut device) = site();
    let before = file_of(&site);
    fs::write(
        site.data().join("gallery.fault"),
        "cardea: gallery page 9 cannot be read\n",
    )
    .expect("written");
    let server = serve(&site, &mut device);
    assert_ne!(file_of(&site), before, "the same file is in use");
    all_right(&mut device, "after a read error");
    let after = file_of(&site);
    let log = server.stop();
    assert!(log.contains("gallery page 9 cannot be read"), "{log}");
    // Once is enough.
    let server = serve(&site, &mut device);
    assert_eq!(file_of(&site), after);
    server.stop();
    record(
        "Disk",
        "start after an unreadable gallery page: rebuilt, not opened again",
        1,
        0,
    );
}

/// Fails if `Gallery::embedding` does not check, `Snapshots::recheck` does not look, or a search
/// that failed is answered otherwise than by `SearchEnd::Failed`.
#[test]
fn a_file_overwritten_while_it_serves_is_noticed_and_rebuilt() {
    let (site, mut device) = site();
    let (mut tried, mut refused) = (0, 0);
    for (name, at_end) in [
        ("f32r", false),
        ("f32r", true),
        ("i8cd", false),
        ("i8cd", true),
        ("i8nm", false),
        ("refs", true),
        ("pers", true),
    ] {
        let server = serve(&site, &mut device);
        let path = file_of(&site);
        let bytes = fs::read(&path).expect("read");
        let Section { offset, length, .. } = sections(&bytes)
            .into_iter()
            .find(|section| section.name == name)
            .expect("each has one");
        let at = if at_end {
            offset + length - 2
        } else {
            offset + 3
        };
        flip(&path, at);
        // An embedding is met by the search that needs it, all else by the look that comes with
        // each second.
        if name != "f32r" {
            until("gallery: rebuilding", || {
                assert_eq!(device.heartbeat().0, 200);
                server.process.log().contains("gallery: rebuilding")
            });
        }
        refused += all_right(&mut device, name);
        let log = server.stop();
        let damage = format!("section {name} is damaged");
        assert!(log.contains(&damage), "silence:\n{log}");
        tried += 1;
    }
    assert!(refused > 0, "the search that needed it was not refused");
    record(
        "Disk",
        "gallery overwritten under the map while serving: refused, rebuilt",
        tried,
        0,
    );
}

/// Fails if `open_or_rebuild` takes a file without `Gallery::open`'s checks.
#[test]
fn a_bit_flipped_in_each_region_is_noticed_at_the_start() {
    let (site, mut device) = site();
    let mut tried = 0;
    let regions: Vec<usize> = {
        let bytes = fs::read(file_of(&site)).expect("read");
        let header = [0, 8, 16, 24, 32, 48, 56, 4_093];
        let of_section = sections(&bytes).into_iter().enumerate();
        let places = of_section.flat_map(|(entry, section)| {
            let last = section.offset + section.length - 1;
            [64 + entry * 64, section.offset, last, section.sums]
        });
        header.into_iter().chain(places).collect()
    };
    for at in regions {
        let path = file_of(&site);
        flip(&path, at);
        let server = serve(&site, &mut device);
        all_right(&mut device, &format!("bit of byte {at}"));
        let log = server.stop();
        assert!(
            log.contains("rebuilding") || log.contains("damaged"),
            "silence at {at}: {log}"
        );
        assert_ne!(file_of(&site), path, "byte {at}: the same file is in use");
        tried += 1;
    }
    record(
        "Disk",
        "gallery: a bit flipped in each region before the start: rebuilt",
        tried,
        0,
    );
}
