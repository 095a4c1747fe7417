//! The disk fails under a running server: full after any number of bytes, reads and syncs that
//! fail, an end at any write. Each is a refusal with a reason, and nothing that was acknowledged
//! is lost, nothing that was not is half there, and nobody is taken for another.
//! `CARDEA_CRASHES=500` makes it ten times as long.

use cardea_loadtest::blocking::Session;
use cardea_loadtest::commission::{CommissionError, renew};
use cardea_loadtest::tls;
use cardea_tests::admin::person;
use cardea_tests::device::{TIMEOUT, access, commission, new_id, parse, tag};
use cardea_tests::faulty::{Fault, FaultyDisk};
use cardea_tests::results::record;
use cardea_tests::{Admin, Device, Server, Site, face};
use cardea_wire::{Decision, Reason, path};
use serde_json::json;

/// Tries of each fault without `CARDEA_CRASHES`.
const TRIES: u64 = 50;
const FIRST: u64 = 10;
/// More requests than it takes to notice that a connection has ended.
const BEGUN_MAX: u64 = 10_000;

fn tries() -> u64 {
    let tries = std::env::var("CARDEA_CRASHES").ok();
    tries.map_or(TRIES, |tries| tries.parse().expect("a number"))
}

fn name(number: u64) -> String {
    format!("P{number:05}")
}

/// A site over a disk that works so far, with its people.
struct Tried {
    site: Site,
    disk: FaultyDisk,
    device: Device,
    /// Who is known to be enrolled.
    there: Vec<u64>,
    /// Who was asked for, without an answer.
    open: Vec<u64>,
    next: u64,
}

/// What became of a request to the server.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Done,
    /// Refused, in these words.
    Refused(String),
    Gone,
}

fn ask(admin: &mut Admin, request: &serde_json::Value) -> Answer {
    match admin.ask(request) {
        Ok(reply) if reply["is"] == "error" => Answer::Refused(reply["text"].to_string()),
        Ok(_) => Answer::Done,
        Err(_) => Answer::Gone,
    }
}

fn enrol(admin: &mut Admin, number: u64) -> Answer {
    let people = [person(&name(number), &face(number))];
    // The server may not have noticed yet that the connection before has ended.
    let mut begun = ask(admin, &json!({"do": "import_begin"}));
    for _ in 0..BEGUN_MAX {
        match &begun {
            Answer::Refused(why) if why.contains("another import is under way") => {
                begun = ask(admin, &json!({"do": "import_begin"}));
            }
            _ => break,
        }
    }
    if begun != Answer::Done {
        return begun;
    }
    for request in [
        json!({"do": "import_add", "people": people}),
        json!({"do": "import_commit"}),
    ] {
        let answer = ask(admin, &request);
        if answer != Answer::Done {
            return answer;
        }
    }
    Answer::Done
}

impl Tried {
    fn new() -> (Self, Server) {
        let site = Site::new();
        let disk = FaultyDisk::of(&site);
        let server = disk.serve(&site);
        let mut admin = server.admin();
        (0..FIRST).for_each(|number| {
            assert_eq!(enrol(&mut admin, number), Answer::Done);
        });
        let tried = Self {
            device: site.device("front"),
            site,
            disk,
            there: (0..FIRST).collect(),
            open: Vec::new(),
            next: FIRST,
        };
        (tried, server)
    }

    /// Enrols somebody, with an administrator's connection of its own, and has somebody pass.
    /// Gives what either was answered.
    fn work(&mut self) -> (Answer, Option<(Decision, Reason)>) {
        let number = self.next;
        self.next += 1;
        // It may have ended since the last work, at a write of its own.
        let admin = Admin::connect(&self.site.data());
        let enrolled = admin.map_or(Answer::Gone, |mut admin| enrol(&mut admin, number));
        match &enrolled {
            Answer::Done => self.there.push(number),
            Answer::Refused(_) | Answer::Gone => self.open.push(number),
        }
        let who = self.there[(number as usize * 7) % self.there.len()];
        let response = self
            .device
            .exchange(path::ACCESS, &access(new_id(), &face(who)));
        let reply = response.ok().map(|response| {
            let reply = parse(&response.body);
            if reply.reason == Reason::NotRecorded {
                assert_eq!(response.status, 503);
            }
            reply
        });
        if let Some(reply) = &reply {
            let right = reply.person == tag(&name(who)) || reply.person == 0;
            assert!(right, "{who} was taken for another: {reply:?}");
        }
        (enrolled, reply.map(|reply| (reply.decision, reply.reason)))
    }

    /// Starts again over a disk that works, and looks at everybody who is not yet settled and at
    /// some of the others.
    fn restarted(&mut self, server: Option<Server>) -> Server {
        self.disk.set(Fault::None);
        if let Some(mut server) = server {
            server.process.kill();
        }
        let server = self.disk.serve(&self.site);
        self.device.follow(server.address);
        let last = self.there.len().saturating_sub(20);
        for number in &self.there[last..] {
            let reply = self.device.access(&face(*number));
            let found = (reply.decision, reply.person);
            assert_eq!(found, (Decision::Granted, tag(&name(*number))), "lost");
        }
        for number in std::mem::take(&mut self.open) {
            let reply = self.device.access(&face(number));
            match (reply.decision, reply.reason) {
                (Decision::Granted, _) if reply.person == tag(&name(number)) => {
                    self.there.push(number);
                }
                (Decision::Denied, Reason::NoMatch) => {}
                half => panic!("{number} is half there: {half:?}"),
            }
        }
        let listed = format!("{}\n", self.site.done(&["gallery", "show"]));
        let references = format!("references\t{}\n", self.there.len());
        assert!(listed.contains(&references), "{references}{listed}");
        server
    }
}

/// Fails if a write's error is not looked at, in the store, the audit or the gallery's writer.
#[test]
fn a_disk_that_is_full_after_any_byte() {
    let (mut tried, mut server) = Tried::new();
    let (mut refused, mut unrecorded, mut hits) = (0, 0, 0);
    for turn in 0..tries() {
        // From nothing at all to more than several requests write.
        let left =
            [0, 1, 100, 511, 4_095, 4_096, 8_217][turn as usize % 7] + turn * 7_919 % 400_000;
        tried.disk.set(Fault::Full(left));
        for _ in 0..12 {
            let (enrolled, passed) = tried.work();
            if let Answer::Refused(why) = enrolled {
                assert!(why.contains("no space left"), "another reason: {why}");
                refused += 1;
            }
            let passed = passed.expect("answered all the same");
            match passed {
                (Decision::Granted, Reason::None) => {}
                (Decision::Refused, Reason::NotRecorded) => unrecorded += 1,
                other => panic!("{other:?} on a full disk"),
            }
        }
        hits += u64::from(tried.disk.hits() > 0);
        tried.disk.set(Fault::None);
        if turn % 5 == 4 {
            server = tried.restarted(Some(server));
        } else {
            // There is room again: no need to start anew.
            assert_eq!(tried.work().0, Answer::Done);
        }
    }
    server = tried.restarted(Some(server));
    println!("full {hits} times: {refused} enrolments and {unrecorded} attempts refused");
    assert!(refused > tries() / 2 && unrecorded > tries() / 2);
    record(
        "Disk",
        "disk full after any number of bytes under a running server",
        hits,
        0,
    );
    server.stop();
}

/// Fails if `Writer::issue_for_token` or `issue_again` passes over an error of the store (without
/// the `?` after `device_commission` or `device_renew`), or `reason` blames the device for it.
#[test]
fn a_certificate_that_cannot_be_stored_is_not_given_out() {
    let (tried, server) = Tried::new();
    let code = tried.site.code("second");
    let of_first = tls::commissioned(&tried.device.identity, false).expect("key and certificate");
    let mut session = Session::connect(of_first, server.address, TIMEOUT).expect("connected");
    tried.disk.set(Fault::Full(0));
    for refused in [
        commission(&code),
        renew(&tried.device.identity, &mut session),
    ] {
        match refused {
            Err(CommissionError::Refused { status, reason }) => {
                assert_eq!((status, reason), (503, Some(Reason::NotStored)));
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(tried.disk.hits() > 0, "the disk was not full");
    tried.disk.set(Fault::None);
    // The token is not used up, and the certificate is none the worse.
    assert_eq!(Device::commission(&code).heartbeat().0, 200);
    renew(&tried.device.identity, &mut session).expect("renewed");
    server.stop();
}

/// Fails if `Recorded::Failed` is taken for `New`, or a store's error for done.
#[test]
fn syncs_that_fail() {
    let (mut tried, mut server) = Tried::new();
    let (mut hits, mut refused) = (0, 0);
    for turn in 0..tries() {
        tried.disk.set(Fault::Sync(turn % 5));
        for _ in 0..3 {
            let (enrolled, passed) = tried.work();
            refused += u64::from(enrolled != Answer::Done);
            let passed = passed.expect("answered all the same");
            let right = matches!(
                passed,
                (Decision::Granted, Reason::None) | (Decision::Refused, Reason::NotRecorded)
            );
            assert!(right, "{passed:?}");
            refused += u64::from(passed.0 == Decision::Refused);
        }
        let failed = tried.disk.hits();
        hits += failed;
        server = tried.restarted(Some(server));
    }
    println!("{hits} syncs failed, {refused} requests were refused for it");
    assert!(
        hits >= tries() / 2 && refused >= hits / 2,
        "{hits} {refused}"
    );
    record(
        "Disk",
        "a sync of store or audit fails under a running server",
        hits,
        0,
    );
    server.stop();
}

/// Fails if, for example, `imports_sweep` is not called, or a gallery is opened unchecked.
#[test]
fn an_end_at_any_write() {
    let (mut tried, server) = Tried::new();
    let mut server = Some(server);
    let mut killed = 0;
    for turn in 0..tries() {
        let mut running = tried.restarted(server.take());
        tried.disk.set(Fault::Kill(turn));
        for _ in 0..40 {
            if tried.work().0 == Answer::Gone {
                break;
            }
        }
        if tried.disk.hits() > 0 {
            let status = running.process.wait();
            assert_eq!(status.code(), None, "it ended by itself: {status}");
            killed += 1;
        } else {
            server = Some(running);
        }
    }
    tried.restarted(server).stop();
    println!("killed at {killed} writes");
    assert!(killed > tries() * 9 / 10);
    record(
        "Crash",
        "an end at the nth write to the data directory, for each n",
        killed,
        0,
    );
}

/// Fails if a read's error is taken for an empty file or an end of one.
#[test]
fn reads_that_fail_at_the_start() {
    let (mut tried, server) = Tried::new();
    drop(tried.restarted(Some(server)));
    let (mut ended, mut served, mut hits) = (0, 0, 0);
    for turn in 0..tries() {
        // The first ones each, later ones further apart.
        tried.disk.set(Fault::Read(turn + turn * turn / 40));
        let started = tried.disk.try_serve(&tried.site);
        if tried.disk.hits() == 0 {
            // Past the last read of a start.
            break;
        }
        hits += 1;
        match started {
            Err((status, log)) => {
                assert!(
                    matches!(status.code(), Some(1..)),
                    "{turn}: {status}\n{log}"
                );
                assert!(log.lines().count() > 0, "{turn}: silence");
                ended += 1;
            }
            Ok(server) => {
                tried.device.follow(server.address);
                for number in 0..FIRST {
                    let reply = tried.device.access(&face(number));
                    assert_eq!(reply.person, tag(&name(number)), "{turn}");
                }
                served += 1;
            }
        }
    }
    println!("{hits} reads failed: {ended} starts ended with a reason, {served} served rightly");
    assert!(hits > 20 && ended > hits / 2, "{ended} of {hits}");
    record(
        "Disk",
        "a read fails while the server starts: a reason, or right answers",
        hits,
        0,
    );
    tried.restarted(None).stop();
}
