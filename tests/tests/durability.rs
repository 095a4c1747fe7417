//! `kill -9` while people are enrolled, withdrawn, lose rights and pass doors, twenty times in one
//! data directory: what was acknowledged is there and in force after each restart, and no door was
//! opened that the audit does not know of.

use std::collections::HashMap;
use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use cardea_tests::device::{access, new_id, tag};
use cardea_tests::{Admin, Device, Server, Site, face};
use cardea_wire::{Decision, Reason, Reply, RequestId, path};
use serde_json::json;

const KILLS: u64 = 20;

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
    Revoked,
    Withdrawn,
    Granted,
}

#[derive(Default)]
struct Ledger {
    people: Mutex<Vec<Known>>,
    grants: Mutex<Vec<(RequestId, usize)>>,
}

impl Ledger {
    fn people(&self) -> MutexGuard<'_, Vec<Known>> {
        self.people.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, person: usize, known: Known) {
        self.people()[person] = known;
    }

    fn grants(&self) -> MutexGuard<'_, Vec<(RequestId, usize)>> {
        self.grants.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn name(person: usize) -> String {
    format!("D{person:05}")
}

fn face_of(person: usize) -> cardea_tests::Face {
    face(5_000 + person as u64)
}

/// Fails if, for example, `import_commit` answers before its transaction is committed,
/// `Published::follow` leaves withdrawals to the next snapshot, or the audit answers `begin`
/// before it commits.
#[test]
fn twenty_kills_lose_nothing_that_was_acknowledged() {
    let site = Site::new();
    let ledger = Ledger::default();
    let mut server = site.serve();
    let mut device = site.device("front");
    let mut told: HashMap<Event, u64> = HashMap::new();
    let mut settled = 0;
    for round in 0..KILLS {
        // Another moment each time, the same in each run of the test.
        let wanted = 25 + round.wrapping_mul(0x9e37_79b9) % 37;
        for (event, count) in work_and_kill(&mut server, &mut device, &ledger, wanted) {
            *told.entry(event).or_default() += count;
        }
        server = site.serve();
        device.follow(server.address);
        check_people(&mut device, &ledger, settled);
        check_grants(&site, &mut device, &ledger);
        settled = ledger.people().len();
    }
    check_people(&mut device, &ledger, 0);
    let listed = site.done(&["people", "list", "--limit", "1000"]);
    let there = ledger
        .people()
        .iter()
        .filter(|known| **known != Known::Withdrawn)
        .count();
    assert_eq!(listed.lines().skip(1).count(), there);
    println!("{KILLS} kills; acknowledged before them: {told:?}");
    server.stop();
}

/// Has four threads work until they were told `wanted` things, and each kind at least once; then
/// kills the server under them. Gives how often each was told.
fn work_and_kill(
    server: &mut Server,
    device: &mut Device,
    ledger: &Ledger,
    wanted: u64,
) -> HashMap<Event, u64> {
    let (events, told) = channel();
    let (enrolled, candidates) = channel();
    let (one, other) = (server.admin(), server.admin());
    let mut counts = HashMap::new();
    thread::scope(|scope| {
        let others = events.clone();
        scope.spawn(move || enrol(one, ledger, &events, &enrolled));
        let passing = others.clone();
        scope.spawn(move || change(other, ledger, &others, &candidates));
        scope.spawn(move || pass(device, ledger, &passing));
        for event in &told {
            *counts.entry(event).or_default() += 1;
            if counts.values().sum::<u64>() >= wanted && counts.len() == 4 {
                break;
            }
        }
        server.process.kill();
    });
    told.try_iter()
        .for_each(|event| *counts.entry(event).or_default() += 1);
    counts
}

/// Enrols one person after another until the server is gone.
fn enrol(mut admin: Admin, ledger: &Ledger, events: &Sender<Event>, enrolled: &Sender<usize>) {
    loop {
        let person = ledger.people().len();
        ledger.people().push(Known::Enrolling);
        if admin.enrol(&name(person), &face_of(person)).is_err() {
            return;
        }
        ledger.set(person, Known::Enrolled);
        // Nobody listens any more once the server is gone.
        let _ = (events.send(Event::Enrolled), enrolled.send(person));
    }
}

/// Withdraws every third person and takes the right of every other third.
fn change(mut admin: Admin, ledger: &Ledger, events: &Sender<Event>, enrolled: &Receiver<usize>) {
    for person in enrolled {
        let before = [Known::Withdrawing, Known::Revoking, Known::Enrolled][person % 3];
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
            ledger.grants().push((id, person));
            let _ = events.send(Event::Granted);
        }
    }
}

/// Asks for everybody from `first` on. Who was on the way is from here on what they turn out to be.
fn check_people(device: &mut Device, ledger: &Ledger, first: usize) {
    let people = ledger.people().len();
    for person in first..people {
        let known = ledger.people()[person];
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
}

/// Every grant that a device was told is in the audit, once, with that person, and asking again
/// opens nothing.
fn check_grants(site: &Site, device: &mut Device, ledger: &Ledger) {
    let audit = site.audit();
    let records = |id: RequestId| -> (i64, Option<String>) {
        let sql = "SELECT count(*), max(external_id) FROM records
            WHERE request_id = ?1 AND decision = 1";
        audit
            .query_row(sql, [&id.0], |row| Ok((row.get(0)?, row.get(1)?)))
            .expect("a count")
    };
    let grants = std::mem::take(&mut *ledger.grants());
    for (id, person) in grants {
        assert_eq!(
            records(id),
            (1, Some(name(person))),
            "a grant that the audit does not know"
        );
        let (status, again): (u16, Reply) = device.send(path::ACCESS, &access(id, &face(1)));
        assert_eq!(status, 200);
        let recorded = (again.decision, again.reason);
        let right = [
            (Decision::Granted, Reason::None),
            (Decision::Denied, Reason::Interrupted),
        ];
        assert!(right.contains(&recorded), "{recorded:?}");
        assert_eq!(records(id).0, 1, "a repeat is no attempt");
    }
}
