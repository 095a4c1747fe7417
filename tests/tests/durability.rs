//! `kill -9` while people are enrolled, imported, withdrawn, lose rights and pass doors, while a
//! snapshot is written, and while the server starts, again and again in one data directory: what
//! was acknowledged is there and in force after each restart, what was not is whole or absent, the
//! gallery holds what the store holds, and no door was opened that the audit does not know of.
//! `CARDEA_CRASHES=500` makes it ten times as long.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::ops::Range;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use cardea_tests::admin::person as imported;
use cardea_tests::device::{access, new_id, tag};
use cardea_tests::results::record;
use cardea_tests::{Admin, Device, Process, Server, Site, face};
use cardea_wire::{Decision, Reason, Reply, RequestId, path};
use rusqlite::{Connection, OpenFlags};
use serde_json::json;

/// Without `CARDEA_CRASHES`.
const CRASHES: u64 = 50;
/// People of one import, in so many parts.
const IMPORTED: usize = 12;
const PARTS: usize = 3;
/// Every so many enrolments one is an import.
const IMPORT_EVERY: usize = 5;

/// When the server is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Moment {
    Working,
    /// A new gallery file is being written.
    Snapshot,
    /// Before it is ready; every other time it has to write the gallery anew.
    Starting,
}

const MOMENTS: [Moment; 5] = [
    Moment::Working,
    Moment::Snapshot,
    Moment::Working,
    Moment::Starting,
    Moment::Working,
];

/// How far a person is, as far as whoever asked for it was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    /// Asked, not answered: either is right.
    Enrolling,
    Enrolled,
    Revoking,
    Revoked,
    Withdrawing,
    Withdrawn,
}

/// What happened, for whoever decides when to kill.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Event {
    Enrolled,
    Imported,
    Revoked,
    Withdrawn,
    Granted,
}

const EVENTS: usize = 5;

#[derive(Default)]
struct Ledger {
    people: Mutex<Vec<Known>>,
    /// Imports that were not acknowledged.
    imports: Mutex<Vec<Range<usize>>>,
    grants: Mutex<Vec<(RequestId, usize)>>,
}

fn held<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Ledger {
    fn people(&self) -> MutexGuard<'_, Vec<Known>> {
        held(&self.people)
    }

    fn set(&self, person: usize, known: Known) {
        self.people()[person] = known;
    }

    /// The numbers of people who are being enrolled.
    fn begun(&self, count: usize) -> Range<usize> {
        let mut people = self.people();
        let first = people.len();
        people.resize(first + count, Known::Enrolling);
        first..first + count
    }
}

fn name(person: usize) -> String {
    format!("D{person:05}")
}

fn face_of(person: usize) -> cardea_tests::Face {
    face(5_000 + person as u64)
}

/// Another number for each round, the same in each run of the test.
fn any(round: u64, below: u64) -> u64 {
    let mixed = (round + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 33) % below
}

/// Fails if, for example, `import_commit` answers before its transaction is committed,
/// `Published::follow` leaves withdrawals to the next snapshot, the audit answers `begin` before
/// it commits, or `imports_sweep` is not called at the start.
#[test]
fn no_kill_loses_what_was_acknowledged() {
    let crashes = std::env::var("CARDEA_CRASHES").ok();
    let crashes = crashes.map_or(CRASHES, |crashes| crashes.parse().expect("a number"));
    let site = Site::with(&[("erasure_period_s", "1")]);
    let ledger = Ledger::default();
    let mut device = {
        let server = site.serve();
        let device = site.device("front");
        server.stop();
        device
    };
    let (mut told, mut killed) = (HashMap::<Event, u64>::new(), HashMap::<Moment, u64>::new());
    let (mut settled, mut ready) = (0, Duration::from_millis(100));
    for round in 0..crashes {
        let moment = MOMENTS[round as usize % MOMENTS.len()];
        let anew = moment == Moment::Snapshot || (moment == Moment::Starting && round % 2 == 0);
        if anew {
            // Then everybody is in the snapshot's file, also who is withdrawn next.
            fs::remove_dir_all(site.data().join("gallery")).expect("removed");
        }
        if moment == Moment::Starting {
            let after = ready.mul_f64(any(round, 1_000) as f64 / 800.0);
            *killed.entry(moment).or_default() += u64::from(kill_at_start(&site, after));
            continue;
        }
        let begun = Instant::now();
        let mut server = site.serve();
        ready = begun.elapsed();
        device.follow(server.address);
        check(&site, &mut device, &ledger, settled);
        settled = ledger.people().len();
        for (event, count) in work_and_kill(&mut server, &site, &mut device, &ledger, round) {
            *told.entry(event).or_default() += count;
        }
        let in_time = moment == Moment::Working || is_writing(&site);
        *killed.entry(moment).or_default() += u64::from(in_time);
    }
    let server = site.serve();
    device.follow(server.address);
    check(&site, &mut device, &ledger, 0);
    println!("{killed:?} kills; acknowledged before them: {told:?}");
    for (moment, what) in [
        (
            Moment::Working,
            "while enrolling, importing, withdrawing and opening doors",
        ),
        (
            Moment::Snapshot,
            "while a snapshot of the gallery is written",
        ),
        (
            Moment::Starting,
            "while the server starts, every other time writing the gallery",
        ),
    ] {
        let tried = killed.get(&moment).copied().unwrap_or(0);
        record("Crash", &format!("kill -9 of the server {what}"), tried, 0);
        assert!(tried >= crashes / 15, "of {crashes} only {tried} {what}");
    }
    server.stop();
}

/// Gives whether it was not ready yet.
fn kill_at_start(site: &Site, after: Duration) -> bool {
    let begun = Instant::now();
    let mut process = Process::start(&mut site.command(&["serve"]));
    while begun.elapsed() < after {
        thread::yield_now();
    }
    process.kill();
    let (_, lines, _) = process.finish();
    !lines.iter().any(|line| line.starts_with("ready on "))
}

/// Everything that must hold after a start, for the people from `first` on.
fn check(site: &Site, device: &mut Device, ledger: &Ledger, first: usize) {
    check_people(device, ledger, first);
    check_grants(site, device, ledger);
    let store = site.data().join("store.db");
    let store = Connection::open_with_flags(store, OpenFlags::SQLITE_OPEN_READ_ONLY);
    let store = store.expect("the store can be read");
    let count = |of: &str| -> i64 {
        let sql = format!("SELECT count(*) FROM {of}_visible");
        store
            .query_row(&sql, [], |row| row.get(0))
            .expect("a count")
    };
    let there = |known: &&Known| **known != Known::Withdrawn;
    let people = ledger.people().iter().filter(there).count();
    assert_eq!(count("people"), people as i64, "people in the store");
    assert_eq!(
        count("references"),
        people as i64,
        "references in the store"
    );
    let shown = site.done(&["gallery", "show"]);
    let references = shown
        .lines()
        .find_map(|line| line.strip_prefix("references\t"));
    assert_eq!(references, Some(people.to_string().as_str()), "the gallery");
}

/// Has three threads work until the round's moment has come; then kills the server under them.
/// Gives how often each thing was told.
fn work_and_kill(
    server: &mut Server,
    site: &Site,
    device: &mut Device,
    ledger: &Ledger,
    round: u64,
) -> HashMap<Event, u64> {
    let moment = MOMENTS[round as usize % MOMENTS.len()];
    let wanted = 25 + any(round, 37);
    let (events, told) = channel();
    let (enrolled, candidates) = channel();
    let (one, other) = (server.admin(), server.admin());
    let eldest = ledger
        .people()
        .iter()
        .position(|known| *known == Known::Enrolled);
    let mut counts = HashMap::new();
    thread::scope(|scope| {
        let others = events.clone();
        let passing = others.clone();
        let workers = [
            scope.spawn(move || enrol(one, ledger, &events, &enrolled)),
            scope.spawn(move || change(other, ledger, &others, (eldest, &candidates))),
            scope.spawn(move || pass(device, ledger, &passing)),
        ];
        let ended = || workers.iter().any(|worker| worker.is_finished());
        for event in &told {
            *counts.entry(event).or_default() += 1;
            let enough = counts.values().sum::<u64>() >= wanted && counts.len() == EVENTS;
            if ended() || (enough && (moment == Moment::Working || is_writing(site))) {
                break;
            }
        }
        // Anywhere in what is under way, not always at its beginning. An event is told anywhere in
        // the short time that a snapshot takes.
        if moment == Moment::Working {
            (0..any(round, 400_000)).for_each(|_| std::hint::spin_loop());
        }
        let all_worked = !ended();
        server.process.kill();
        assert!(all_worked, "something failed while the server ran");
    });
    told.try_iter()
        .for_each(|event| *counts.entry(event).or_default() += 1);
    counts
}

/// Whether a gallery file is on its way.
fn is_writing(site: &Site) -> bool {
    let folder = fs::read_dir(site.data().join("gallery")).expect("a folder");
    let mut files = folder.flatten().map(|entry| entry.path());
    files.any(|path| path.extension().is_some_and(|end| end == "tmp"))
}

/// Enrols one person after another, and now and then some at once, until the server is gone.
fn enrol(mut admin: Admin, ledger: &Ledger, events: &Sender<Event>, enrolled: &Sender<usize>) {
    for turn in 1.. {
        let several = turn % IMPORT_EVERY == 0;
        let people = ledger.begun(if several { IMPORTED } else { 1 });
        if several {
            held(&ledger.imports).push(people.clone());
        }
        if import(&mut admin, people.clone()).is_err() {
            return;
        }
        if several {
            held(&ledger.imports).pop();
        }
        people
            .clone()
            .for_each(|person| ledger.set(person, Known::Enrolled));
        // Nobody listens any more once the server is gone.
        let event = if several {
            Event::Imported
        } else {
            Event::Enrolled
        };
        let _ = events.send(event);
        let _ = people
            .into_iter()
            .try_for_each(|person| enrolled.send(person));
    }
}

fn import(admin: &mut Admin, people: Range<usize>) -> io::Result<()> {
    let expect = |reply: serde_json::Value, is: &str| assert_eq!(reply["is"], is, "{reply}");
    expect(admin.ask(&json!({"do": "import_begin"}))?, "done");
    let people: Vec<usize> = people.collect();
    for part in people.chunks(people.len().div_ceil(PARTS)) {
        let part = part
            .iter()
            .map(|person| imported(&name(*person), &face_of(*person)));
        let add = json!({"do": "import_add", "people": part.collect::<Vec<_>>()});
        expect(admin.ask(&add)?, "staged");
    }
    expect(admin.ask(&json!({"do": "import_commit"}))?, "done");
    Ok(())
}

/// Withdraws the eldest, who is in the snapshot, and every third of who comes; takes the right of
/// every other third.
fn change(
    mut admin: Admin,
    ledger: &Ledger,
    events: &Sender<Event>,
    (eldest, enrolled): (Option<usize>, &Receiver<usize>),
) {
    let elder = eldest
        .map(|person| (person, Known::Withdrawing))
        .into_iter();
    let younger = enrolled.iter().map(|person| {
        let before = [Known::Withdrawing, Known::Revoking, Known::Enrolled][person % 3];
        (person, before)
    });
    for (person, before) in elder.chain(younger) {
        ledger.set(person, before);
        let done: io::Result<_> = match before {
            Known::Withdrawing => admin
                .withdraw(&name(person))
                .map(|()| (Known::Withdrawn, Event::Withdrawn)),
            Known::Revoking => {
                let request = json!({"do": "right_revoke", "external_id": name(person)});
                admin.ask(&request).map(|reply| {
                    assert_eq!(reply["is"], "done", "{reply}");
                    (Known::Revoked, Event::Revoked)
                })
            }
            _ => continue,
        };
        let Ok((known, event)) = done else {
            return;
        };
        ledger.set(person, known);
        let _ = events.send(event);
    }
}

/// Has everybody pass the door, again and again, until the server is gone.
fn pass(device: &mut Device, ledger: &Ledger, events: &Sender<Event>) {
    for turn in 0.. {
        let (person, before) = {
            let people = ledger.people();
            // The youngest most often: they are what changes.
            let back = turn * 7 % people.len().clamp(1, 9);
            let person = (people.len() + 8 - back).saturating_sub(9);
            (person, people.get(person).copied())
        };
        let id = new_id();
        let Ok(response) = device.exchange(path::ACCESS, &access(id, &face_of(person))) else {
            return;
        };
        let reply = cardea_tests::device::parse(&response.body);
        if reply.decision == Decision::Granted {
            assert_eq!(
                reply.person,
                tag(&name(person)),
                "somebody else was granted"
            );
            let gone = matches!(before, None | Some(Known::Withdrawn | Known::Revoked));
            assert!(
                !gone,
                "{person} was granted after {before:?} was acknowledged"
            );
            held(&ledger.grants).push((id, person));
            let _ = events.send(Event::Granted);
        }
    }
}

/// Asks for everybody from `first` on, and whom something was asked for before. Who was on the way
/// is from here on what they turn out to be.
fn check_people(device: &mut Device, ledger: &Ledger, first: usize) {
    let people = ledger.people().len();
    for person in 0..people {
        let known = ledger.people()[person];
        let is_settled = matches!(known, Known::Enrolled | Known::Revoked | Known::Withdrawn);
        if is_settled && person < first {
            continue;
        }
        let reply = device.access(&face_of(person));
        let found = match (reply.decision, reply.reason) {
            (Decision::Granted, Reason::None) => Known::Enrolled,
            (Decision::Denied, Reason::NoRight) => Known::Revoked,
            (Decision::Denied, Reason::NoMatch) => Known::Withdrawn,
            other => panic!("{person}: {other:?}"),
        };
        let right: &[_] = match known {
            Known::Enrolling => &[Known::Enrolled, Known::Withdrawn],
            Known::Revoking => &[Known::Enrolled, Known::Revoked],
            Known::Withdrawing => &[Known::Enrolled, Known::Withdrawn],
            Known::Enrolled | Known::Revoked | Known::Withdrawn => &[known],
        };
        assert!(
            right.contains(&found),
            "{person} was {known:?} and is {found:?}"
        );
        let named = if found == Known::Withdrawn {
            0
        } else {
            tag(&name(person))
        };
        assert_eq!(reply.person, named);
        ledger.set(person, found);
    }
    for import in held(&ledger.imports).drain(..) {
        let people = &ledger.people()[import.clone()];
        let whole = people.iter().all(|known| *known == people[0]);
        assert!(
            whole,
            "a part of the import {import:?} is there: {people:?}"
        );
    }
}

/// Every grant that a device was told is in the audit, once, with that person, and asking again
/// opens nothing, nor says yes to who has lost the right.
fn check_grants(site: &Site, device: &mut Device, ledger: &Ledger) {
    let audit = site.audit();
    let records = |id: RequestId| -> (i64, Option<String>) {
        let sql = "SELECT count(*), max(external_id) FROM records
            WHERE request_id = ?1 AND decision = 1";
        audit
            .query_row(sql, [&id.0], |row| Ok((row.get(0)?, row.get(1)?)))
            .expect("a count")
    };
    let grants = std::mem::take(&mut *held(&ledger.grants));
    for (id, person) in grants {
        assert_eq!(
            records(id),
            (1, Some(name(person))),
            "a grant that the audit does not know"
        );
        let (status, again): (u16, Reply) = device.send(path::ACCESS, &access(id, &face(1)));
        assert_eq!(status, 200);
        // Who has lost the right since is not granted again.
        let known = ledger.people()[person];
        let is_right = match (again.decision, again.reason) {
            (Decision::Granted, Reason::None) => {
                !matches!(known, Known::Revoked | Known::Withdrawn)
            }
            (Decision::Denied, Reason::Interrupted) => true,
            (Decision::Denied, Reason::Withdrawn) => {
                matches!(known, Known::Withdrawing | Known::Withdrawn)
            }
            (Decision::Denied, Reason::NoRight) => {
                matches!(known, Known::Revoking | Known::Revoked)
            }
            _ => false,
        };
        assert!(
            is_right,
            "{known:?}: {:?} {:?}",
            again.decision, again.reason
        );
        assert_eq!(records(id).0, 1, "a repeat is no attempt");
    }
}
