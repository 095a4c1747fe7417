//! What Space opens is what the audit grants: once, recorded before, and only for who may pass at
//! that moment. Each door is asked for by one device, so the ledger tells the attempts apart.

use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use cardea_tests::device::{access, new_id};
use cardea_tests::raw::Raw;
use cardea_tests::space::{GRANTED, SpaceSite, denied, until, verdict};
use cardea_tests::{Device, face};
use cardea_wire::{Reason, Reply, path};

/// From the request to the answer, for everyone: the promise of the product.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(2);
/// Connections that the server has to Space for opening doors.
const CONNECTIONS: usize = 32;

/// Each device asks for one person, all at one instant; the replies in the order of the devices,
/// and how long each took.
fn timed_at_once(devices: Vec<Device>, person: impl Fn(usize) -> u64) -> Vec<(Reply, Duration)> {
    let instant = Arc::new(Barrier::new(devices.len()));
    let asking: Vec<_> = devices
        .into_iter()
        .enumerate()
        .map(|(number, mut device)| {
            let (face, instant) = (face(person(number)), Arc::clone(&instant));
            thread::spawn(move || {
                instant.wait();
                let begun = Instant::now();
                (device.access(&face), begun.elapsed())
            })
        })
        .collect();
    asking
        .into_iter()
        .map(|device| device.join().expect("a device does not panic"))
        .collect()
}

fn at_once(devices: Vec<Device>, person: impl Fn(usize) -> u64) -> Vec<Reply> {
    let timed = timed_at_once(devices, person);
    timed.into_iter().map(|(reply, _)| reply).collect()
}

/// Fails if, for example, a ticket does not name its loop, so that Space's answer goes to another
/// attempt or to none; or if a grant leaves no record, which `compare` tells door by door.
#[test]
fn seventy_doors_at_one_instant_on_two_loops_open_once_each_in_time() {
    let site = ["--users", "70", "--doors", "70"];
    // With this seed the 21st open meets the tail.
    let latency = ["--latency", "150,50,1,900", "--seed", "27"];
    let simulator = [site, latency].concat();
    let mut site = SpaceSite::start(70, &[("loops", "2")], &simulator);
    let mut devices = site.devices(20_001..=20_070);
    for device in &mut devices {
        assert_eq!(device.heartbeat().0, 200);
    }
    let timed = timed_at_once(devices, |number| number as u64);
    for (reply, _) in &timed {
        assert_eq!(verdict(reply), GRANTED);
    }
    let slowest = timed.iter().map(|(_, took)| *took).max();
    assert!(slowest < Some(ANSWER_TIME_MAX), "{slowest:?}");
    let held: Vec<_> = site
        .space
        .ledger()
        .iter()
        .map(|entry| entry["held_ms"].as_u64())
        .collect();
    assert!(held.contains(&Some(900)), "no open met the tail: {held:?}");
    let by_door = site.space.by_door();
    assert_eq!(by_door.len(), 70);
    assert!(
        by_door
            .values()
            .all(|opens| (opens.asked, opens.opened) == (1, 1))
    );
    site.compare();
    site.server.stop();
}

/// Fails if an attempt's rights are not Space's: who is not in Space, and who is in no gallery.
#[test]
fn who_may_not_pass_is_denied_before_space_is_asked() {
    let mut site = SpaceSite::start(12, &[], &["--users", "10", "--doors", "5"]);
    let mut device = site.device(20_001);
    // P10 is enrolled here and not known there.
    let reply = device.access(&face(10));
    assert_eq!(verdict(&reply), denied(Reason::NotInSpace));
    assert_eq!(verdict(&device.access(&face(77))), denied(Reason::NoMatch));
    assert_eq!(verdict(&device.access(&face(1))), GRANTED);
    assert_eq!(site.space.ledger().len(), 1);
    site.compare();
}

/// Fails if the last look before the first byte is left out: every connection to Space is busy, the
/// next attempt is recorded and waits, and its person withdraws meanwhile.
#[test]
fn a_withdrawn_person_between_search_and_open_is_not_opened_for() {
    let last = 20_001 + CONNECTIONS as u32;
    let mut site = SpaceSite::start(40, &[], &["--users", "40", "--doors", "40"]);
    let mut devices = site.devices(20_001..=last);
    for device in &mut devices {
        assert_eq!(device.heartbeat().0, 200);
    }
    let mut waiting = devices.pop().expect("one more than there are connections");
    site.space.command("fault hang on=open");
    let busy = thread::spawn(move || at_once(devices, |number| number as u64));
    until("all connections are busy", || {
        site.space.ledger().len() == CONNECTIONS
    });
    let waits = thread::spawn(move || waiting.access(&face(39)));
    until("the last one is recorded", || {
        site.audit().len() == CONNECTIONS + 1
    });
    site.admin.withdraw("P39").expect("the server runs");
    site.space.command("clear");
    let reply = waits.join().expect("a device does not panic");
    assert_eq!(verdict(&reply), denied(Reason::Withdrawn));
    assert_eq!(reply.person, 0, "a withdrawn person is not named");
    let replies = busy.join().expect("devices do not panic");
    assert_eq!(replies.len(), CONNECTIONS);
    for reply in &replies {
        assert_eq!(verdict(reply), denied(Reason::OutcomeUnknown));
    }
    assert_eq!(site.space.ledger().len(), CONNECTIONS);
    site.compare();
}

/// Fails if an open that waits for a connection is told "outcome unknown" at its deadline, or is
/// sent after its device was told "denied".
#[test]
fn what_never_left_is_unavailable_and_never_leaves() {
    let last = 20_001 + CONNECTIONS as u32 + 7;
    let configuration = [("answer_deadline_ms", "1000")];
    let mut site = SpaceSite::start(40, &configuration, &["--users", "40", "--doors", "41"]);
    let mut devices = site.devices(20_001..=last);
    for device in &mut devices {
        assert_eq!(device.heartbeat().0, 200);
    }
    site.space.command("fault hang on=open");
    let replies = at_once(devices, |number| number as u64);
    let unknown = denied(Reason::OutcomeUnknown);
    let unavailable = denied(Reason::SpaceUnavailable);
    let verdicts: Vec<_> = replies.iter().map(verdict).collect();
    let sent = verdicts.iter().filter(|verdict| **verdict == unknown);
    assert_eq!(sent.count(), site.space.ledger().len());
    let kept = verdicts.iter().filter(|verdict| **verdict == unavailable);
    assert_eq!(kept.count(), verdicts.len() - site.space.ledger().len());
    site.space.command("clear");
    site.compare();
    // Whatever still waited would be sent before this one.
    let asked = site.space.ledger().len();
    let mut device = site.device(20_041);
    until("granted again", || {
        verdict(&device.access(&face(1))) == GRANTED
    });
    let others = site.space.by_door();
    let others = others.iter().filter(|(door, _)| *door != "20041");
    assert_eq!(others.map(|(_, opens)| opens.asked).sum::<usize>(), asked);
}

/// Fails if a door is opened for a device that went while its open still waited for a connection.
#[test]
fn a_device_that_goes_while_its_open_waits_leaves_the_door_shut() {
    let last = 20_001 + CONNECTIONS as u32;
    let mut site = SpaceSite::start(40, &[], &["--users", "40", "--doors", "40"]);
    let mut devices = site.devices(20_001..=last);
    for device in &mut devices {
        assert_eq!(device.heartbeat().0, 200);
    }
    let goes = devices.pop().expect("one more than there are connections");
    site.space.command("fault hang on=open");
    let busy = thread::spawn(move || at_once(devices, |number| number as u64));
    until("all connections are busy", || {
        site.space.ledger().len() == CONNECTIONS
    });
    let raw = Raw::ask(&goes.identity, site.server.address, 39);
    until("the last one is recorded", || {
        site.audit().len() == CONNECTIONS + 1
    });
    drop(raw);
    let replies = busy.join().expect("devices do not panic");
    assert_eq!(replies.len(), CONNECTIONS);
    site.settle();
    let audit = site.audit();
    let gone = audit.iter().find(|attempt| attempt.person == "P39");
    let decision = &gone.expect("recorded").decision;
    assert_eq!(decision, "denied: interrupted");
    site.space.command("clear");
    let mut device = goes;
    until("granted again", || {
        verdict(&device.access(&face(1))) == GRANTED
    });
    assert!(site.space.by_door()[&last.to_string()].opened == 1);
    site.compare();
}

/// Fails if the device's going ends the attempt without an outcome while Space is opening.
#[test]
fn a_device_that_goes_while_space_opens_leaves_its_outcome() {
    let mut site = SpaceSite::start(5, &[], &["--users", "5", "--doors", "5"]);
    let mut device = site.device(20_001);
    assert_eq!(device.heartbeat().0, 200);
    site.space.command("fault late:1000 on=open count=1");
    let raw = Raw::ask(&device.identity, site.server.address, 1);
    until("Space is asked", || site.space.ledger().len() == 1);
    drop(raw);
    site.settle();
    let audit = site.audit();
    assert_eq!(audit.len(), 1);
    assert_eq!(audit[0].decision, "granted", "the door did open");
    assert_eq!(site.space.ledger().len(), 1);
    site.compare();
    assert_eq!(verdict(&device.access(&face(2))), GRANTED);
}

/// Fails if the answers to opens of the old link are lost when Space is set up anew: their devices
/// then waited for their whole deadline and were told "outcome unknown".
#[test]
fn opens_under_way_outlive_a_new_set_up() {
    let mut site = SpaceSite::start(5, &[], &["--users", "5", "--doors", "5"]);
    let mut device = site.device(20_001);
    assert_eq!(device.heartbeat().0, 200);
    site.space.command("fault late:700 on=open count=1");
    let asking = thread::spawn(move || (device.access(&face(1)), device));
    until("Space is asked", || site.space.ledger().len() == 1);
    let setup = ["space", "rotate-key", "ship"];
    site.site.done(&setup);
    let (reply, mut device) = asking.join().expect("a device does not panic");
    assert_eq!(verdict(&reply), GRANTED);
    site.compare();
    // The new link has no rights before its first sync, and its key is not Space's yet.
    let reply = device.access(&face(1));
    assert_eq!(verdict(&reply), denied(Reason::SpaceUnavailable));
    site.await_status("Unauthorized");
    let fingerprint = site.space.fingerprint();
    site.space.connect(&site.site, &fingerprint);
    site.await_syncs(1);
    assert_eq!(verdict(&device.access(&face(1))), GRANTED);
    site.compare();
}

/// Fails if a change that does not concern the connection ends it: nobody passed until the next
/// sync then.
#[test]
fn a_new_face_key_does_not_shut_the_doors() {
    let mut site = SpaceSite::start(5, &[], &["--users", "5", "--doors", "5"]);
    let mut device = site.device(20_001);
    site.space.command("fault hang on=list");
    site.site.done(&["space", "rotate-key", "face"]);
    assert_eq!(verdict(&device.access(&face(1))), GRANTED);
    assert_eq!(site.syncs(), 1, "the link is the same");
    site.space.command("clear");
    site.compare();
}

/// Fails if a repeat is decided anew: the door did open, and nobody knows it but Space.
#[test]
fn after_a_crash_while_opening_a_repeat_is_interrupted() {
    let mut site = SpaceSite::start(5, &[], &["--users", "5", "--doors", "5"]);
    let mut device = site.device(20_001);
    assert_eq!(device.heartbeat().0, 200);
    site.space.command("fault late:60000 on=open count=1");
    let message = access(new_id(), &face(1));
    let sent = message.clone();
    let asking = thread::spawn(move || (device.exchange(path::ACCESS, &sent).is_err(), device));
    until("Space is asked", || site.space.ledger().len() == 1);
    assert_eq!(site.audit()[0].decision, "in flight");
    site.server.process.kill();
    let (failed, mut device) = asking.join().expect("a device does not panic");
    assert!(failed, "no reply without a decision");

    let server = site.site.serve();
    device.follow(server.address);
    site.follow(server);
    site.await_syncs(1);
    for _ in 0..2 {
        let (_, reply) = device.send(path::ACCESS, &message);
        assert_eq!(verdict(&reply), denied(Reason::Interrupted));
    }
    assert_eq!(site.space.ledger().len(), 1, "never again");
    assert_eq!(site.audit()[0].decision, "interrupted");
    site.compare();
    assert_eq!(verdict(&device.access(&face(1))), GRANTED);
    site.compare();
}

/// Fails if rights are taken for granted before Space has told them.
#[test]
fn before_the_first_sync_nobody_passes() {
    let mut site = SpaceSite::unconnected(5, &[], &["--users", "5", "--doors", "5"]);
    let mut device = site.site.device("standalone");
    assert_eq!(verdict(&device.access(&face(1))), GRANTED);
    site.space.command("fault hang on=list");
    let fingerprint = site.space.fingerprint();
    site.space.connect(&site.site, &fingerprint);
    site.await_status("Connected");
    let reply = device.access(&face(1));
    assert_eq!(verdict(&reply), denied(Reason::SpaceUnavailable));
    site.space.command("clear");
    site.await_syncs(1);
    // The door `main` is none of Space's.
    let reply = device.access(&face(1));
    assert_eq!(verdict(&reply), denied(Reason::DoorNotInSpace));
    assert!(site.space.ledger().is_empty());
}
