//! Starting, stopping and starting again; several loops; and a load that knows every right answer.

use std::process::Command;
use std::thread;
use std::time::Instant;

use cardea_tests::device::{access, heartbeat, new_id, tag};
use cardea_tests::programs::program;
use cardea_tests::space::until;
use cardea_tests::{Admin, Device, Process, Site, face, load};
use cardea_wire::{Decision, Reason, Reply, path};

/// Fails if, for example, `Snapshots::open_or_rebuild` takes a snapshot without what came after
/// it, or a damaged one.
#[test]
fn everybody_is_there_again_after_every_kind_of_end() {
    let site = Site::new();
    let mut server = site.serve();
    let mut admin = server.admin();
    (0..30).for_each(|person| {
        admin
            .enrol(&format!("P{person}"), &face(person))
            .expect("enrolled");
    });
    drop(admin);
    let mut device = site.device("front");
    let gallery = site.data().join("gallery");
    let files = || -> Vec<_> {
        let entries = std::fs::read_dir(&gallery).expect("a folder");
        entries
            .map(|entry| entry.expect("an entry").path())
            .collect()
    };
    let ends: [(&str, &dyn Fn()); 5] = [
        ("nothing", &|| {}),
        ("the gallery is gone", &|| {
            std::fs::remove_dir_all(&gallery).expect("removed")
        }),
        ("a bit is flipped", &|| {
            for file in files() {
                let mut bytes = std::fs::read(&file).expect("read");
                let middle = bytes.len() / 2;
                bytes[middle] ^= 0x10;
                std::fs::write(&file, bytes).expect("written");
            }
        }),
        ("it is cut short", &|| {
            for file in files() {
                let bytes = std::fs::read(&file).expect("read");
                std::fs::write(&file, &bytes[..bytes.len() / 2]).expect("written");
            }
        }),
        ("a stranger's file", &|| {
            std::fs::write(gallery.join("gallery-zzzz.cgal"), b"hostile").expect("written");
        }),
    ];
    for (what, happens) in ends {
        for killed in [false, true] {
            if killed {
                server.process.kill();
            } else {
                server.stop();
            }
            happens();
            server = site.serve();
            device.follow(server.address);
            for person in 0..30 {
                let reply = answered(&mut device, person);
                let due = (Decision::Granted, tag(&format!("P{person}")));
                let when = format!("{what}, killed: {killed}");
                assert_eq!((reply.decision, reply.person), due, "{when}");
            }
            assert_eq!(device.access(&face(99)).reason, Reason::NoMatch);
        }
    }
    server.stop();
}

/// The answer to a face. Damage in rows that are read only when they are scored is met by a search:
/// that one is refused, never guessed, and the gallery is rebuilt meanwhile.
fn answered(device: &mut Device, person: u64) -> Reply {
    loop {
        let reply = device.access(&face(person));
        match (reply.decision, reply.reason) {
            (Decision::Refused, Reason::GalleryUnavailable) => {}
            _ => return reply,
        }
    }
}

/// Fails if `EventLoop` drops connections at SIGTERM, or the writer ends before the loops.
#[test]
fn sigterm_answers_what_is_in_flight() {
    for loops in ["1", "2"] {
        answered_at_the_end(&Site::with(&[("loops", loops)]));
    }
}

fn answered_at_the_end(site: &Site) {
    let mut answered = 0;
    for _ in 0..3 {
        let server = site.serve();
        let mut admin = server.admin();
        // The first round enrols; the others find her there.
        let _ = site.output(&["people", "show", "Anna"]).status.success()
            || admin.enrol("Anna", &face(1)).is_ok();
        let devices: Vec<_> = (0..8)
            .map(|number| site.device(&format!("{:?} {number}", server.address)))
            .collect();
        let (ready, go) = std::sync::mpsc::channel();
        let workers: Vec<_> = devices
            .into_iter()
            .map(|mut device| {
                let ready = ready.clone();
                thread::spawn(move || until_refused(&mut device, &ready))
            })
            .collect();
        drop(ready);
        // Each has had answers and has another request on the way most of the time.
        assert!(go.iter().take(8 * 3).count() == 8 * 3);
        let log = server.stop();
        for worker in workers {
            let (granted, end) = worker.join().expect("only such answers as are right");
            assert!(granted > 0, "{end}\n{log}");
            answered += i64::from(granted);
        }
        // What was taken on is in the audit, and whatever is there was answered.
        assert_eq!(site.attempts(), answered, "attempts, and answers to them");
    }
}

/// Asks until the server is gone: each answer is a grant, or a refusal because the server stops.
fn until_refused(device: &mut Device, ready: &std::sync::mpsc::Sender<()>) -> (u32, String) {
    let mut answered = 0;
    loop {
        let response = match device.exchange(path::ACCESS, &access(new_id(), &face(1))) {
            Ok(response) => response,
            Err(failure) => {
                let gone = ["closed", "refused", "reset", "Broken pipe"];
                let gone = gone.iter().any(|gone| failure.text.contains(gone));
                assert!(gone, "{failure}");
                return (answered, failure.to_string());
            }
        };
        let reply = cardea_tests::device::parse(&response.body);
        match (response.status, reply.decision) {
            (200, Decision::Granted) => answered += 1,
            (503, _) if reply.reason == Reason::Stopping => {}
            other => panic!("{other:?}"),
        }
        // Who waited for it waits no longer once the server is told to stop.
        let _ = ready.send(());
    }
}

/// A log whose reader had gone once ended each thread that wrote to it: SIGTERM ended the thread
/// that waits for signals instead of the server. Fails without `log_internal_errors(false)`.
#[test]
fn a_server_whose_log_nobody_reads_serves_on_and_stops_when_it_is_told() {
    let site = Site::new();
    let (mut process, first) = Process::unheard(&mut site.command(&["serve"]));
    assert!(first.starts_with("ready on "), "{first}");
    Admin::connect(&site.data())
        .expect("a server listens")
        .enrol("Anna", &face(1))
        .expect("enrolled");
    let mut device = site.device("front");
    assert_eq!(device.access(&face(1)).decision, Decision::Granted);
    process.terminate();
    let begun = Instant::now();
    while let Ok(response) = device.exchange(path::HEARTBEAT, &heartbeat(new_id())) {
        assert!(
            begun.elapsed().as_secs() < 60,
            "it does not stop: {}",
            response.status
        );
    }
    assert!(process.wait().success());
}

/// Fails if loops do not share the listener, the session cache or what is in force.
#[test]
fn two_loops_answer_as_one() {
    let site = Site::with(&[("loops", "2")]);
    let server = site.serve();
    let mut admin = server.admin();
    let mut devices: Vec<_> = (0..12)
        .map(|number| site.device(&format!("d{number}")))
        .collect();
    for person in 1..=5 {
        admin
            .enrol(&format!("P{person}"), &face(person))
            .expect("enrolled");
        for device in &mut devices {
            device.disconnect();
            let reply = device.access(&face(person));
            let due = (Decision::Granted, tag(&format!("P{person}")));
            assert_eq!((reply.decision, reply.person), due);
        }
        admin.withdraw(&format!("P{person}")).expect("withdrawn");
        for device in &mut devices {
            assert_eq!(device.access(&face(person)).reason, Reason::NoMatch);
        }
    }
    // A repeat over another connection, perhaps another loop, is one attempt all the same.
    let message = access(new_id(), &face(9));
    let first = devices[0].send(path::ACCESS, &message).1;
    for _ in 0..8 {
        devices[0].disconnect();
        let again = devices[0].send(path::ACCESS, &message).1;
        assert_eq!(
            (again.decision, again.reason),
            (first.decision, first.reason)
        );
    }
    assert_eq!(site.attempts(), 12 * 5 * 2 + 1);
    server.stop();
}

/// Fails if an attempt of one loop is numbered before it is taken by the audit, or answered before
/// it is recorded: then a later one may have the lower number.
#[test]
fn two_loops_record_in_the_order_of_their_answers() {
    let site = Site::with(&[("loops", "2")]);
    let server = site.serve();
    server.admin().enrol("Anna", &face(1)).expect("enrolled");
    let asking: Vec<_> = (0..8)
        .map(|number| {
            let mut device = site.device(&format!("d{number}"));
            thread::spawn(move || {
                let mut asked = Vec::new();
                for _ in 0..40 {
                    let (id, began) = (new_id(), Instant::now());
                    let (status, _) = device.send(path::ACCESS, &access(id, &face(1)));
                    assert_eq!(status, 200);
                    asked.push((id, began, Instant::now()));
                }
                asked
            })
        })
        .collect();
    let mut asked: Vec<_> = asking
        .into_iter()
        .flat_map(|device| device.join().expect("a device does not panic"))
        .collect();
    server.stop();
    let audit = site.audit();
    let mut select = audit
        .prepare("SELECT sequence FROM records WHERE request_id = ?1")
        .expect("a statement");
    asked.sort_by_key(|(_, began, _)| *began);
    let numbered: Vec<(i64, Instant, Instant)> = asked
        .iter()
        .map(|(id, began, answered)| {
            let number = select.query_row([id.0], |row| row.get(0));
            (number.expect("recorded"), *began, *answered)
        })
        .collect();
    for (at, (number, _, answered)) in numbered.iter().enumerate() {
        let later = numbered[at..]
            .iter()
            .filter(|(_, began, _)| began > answered);
        for (later, ..) in later {
            assert!(
                number < later,
                "{number} was answered before {later} was asked"
            );
        }
    }
}

/// Fails if a reload of certificates or configuration ends a loop's connections.
#[test]
fn sighup_leaves_the_connections_of_two_loops() {
    let site = Site::with(&[("loops", "2")]);
    let server = site.serve();
    server.admin().enrol("Anna", &face(1)).expect("enrolled");
    let mut devices: Vec<_> = (0..12)
        .map(|number| site.device(&format!("d{number}")))
        .collect();
    for device in &mut devices {
        assert_eq!(device.access(&face(1)).decision, Decision::Granted);
    }
    for turn in 1..=3 {
        server.process.hang_up();
        until("read again", || {
            let log = server.process.log();
            log.matches("configuration read again").count() == turn
        });
        for device in &mut devices {
            // The session itself: a device would connect anew.
            let session = device.session().expect("it is open");
            let response = session.exchange(path::ACCESS, &access(new_id(), &face(1)));
            let response = response.expect("on the same connection");
            let reply = cardea_tests::device::parse(&response.body);
            assert_eq!((response.status, reply.decision), (200, Decision::Granted));
            assert!(!response.close, "it stays");
        }
    }
    server.stop();
}

/// Fails if any kernel, batch or path gives another answer than the exhaustive search: `wrong`
/// counts them.
#[test]
fn a_load_with_known_answers_finds_none_wrong() {
    let site = Site::with(&[("loops", "2")]);
    let probes = load::people(&site, 2_000, 600);
    for kernel in ["scalar", "avx2"] {
        let server = site.serve_with(&["--kernel", kernel]);
        let (identities, _) = load::devices(&site, kernel, 20);
        let plan = [
            "--requests",
            "600",
            "--window",
            "2s",
            "--lanes",
            "kept-alive=60,resumed=20,cold=20",
        ];
        let verdict = load::done(
            Command::new(program("loadtest"))
                .arg("run")
                .arg("--identities")
                .arg(&identities)
                .arg("--probes")
                .arg(&probes)
                .args(plan)
                .args(["--assert", "wrong=0,errors=0,refused=0"]),
        );
        println!("{kernel}: {verdict}");
        server.stop();
    }
}
