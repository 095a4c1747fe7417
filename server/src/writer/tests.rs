//! Publishing: what the writer has acknowledged is what a search finds, and what is erased is gone.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cardea_engine::{Embedding, Kernel, Searcher};

use crossbeam_channel::bounded;

mod asking;

use super::*;
use crate::admin::message::{NewPerson, Request};
use crate::cli::{InitArgs, init};
use crate::enrol::EnrolmentSetup;
use crate::limits::{ADMIN_PEOPLE_MAX, OVERLAY_ROWS_MAX};

/// A site that is online, its writer in the test's own hands instead of a thread's.
struct Online {
    writer: Writer,
    site: Arc<Site>,
    /// Keeps the queue open.
    _handle: WriterHandle,
    commands: Receiver<Command>,
    // Before the folder: it writes until it is dropped.
    _audit: Audit,
    folder: tempfile::TempDir,
}

const SESSION: Session = Session(1);

fn init() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let args = InitArgs {
        ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
        listen: None,
        site: "test".to_owned(),
        model: "0".repeat(31) + "1",
        threshold: 0.5,
    };
    init::run(folder.path(), &args).expect("a new site");
    folder
}

impl Online {
    fn over(folder: tempfile::TempDir) -> Self {
        let directory = DataDirectory::lock(folder.path()).expect("nobody else has it");
        let audit = Audit::open(&directory, 1).expect("an audit");
        let (handle, commands) = queue();
        let mut writer = Writer::open(directory, &audit).expect("a site");
        let site = writer.go_online(&handle).expect("online");
        Self {
            writer,
            site,
            _handle: handle,
            commands,
            _audit: audit,
            folder,
        }
    }

    /// Ends it as a crash would, and gives the folder for the next one.
    fn end(self) -> tempfile::TempDir {
        self.folder
    }

    /// Carries a request out; the answer may wait for a snapshot.
    fn administer(&mut self, request: Request) -> Receiver<Response> {
        let (reply, answer) = bounded(1);
        self.writer.take(Command::Administer {
            session: SESSION,
            request,
            reply,
        });
        answer
    }

    fn done(&mut self, request: Request) {
        let answer = self.administer(request).try_recv().expect("at once");
        assert!(matches!(answer, Response::Done { .. }), "{answer:?}");
    }

    fn stage(&mut self, people: std::ops::Range<u64>) {
        self.done(Request::ImportBegin);
        let people: Vec<_> = people.map(person).collect();
        for people in people.chunks(ADMIN_PEOPLE_MAX) {
            let people = people.to_vec();
            let answer = self.administer(Request::ImportAdd { people }).try_recv();
            assert_eq!(
                answer,
                Ok(Response::Staged {
                    refused: Vec::new()
                })
            );
        }
    }

    fn enrol(&mut self, people: std::ops::Range<u64>) {
        self.stage(people);
        self.done(Request::ImportCommit);
    }

    fn withdraw(&mut self, number: u64) {
        let external_id = name(number);
        self.done(Request::PersonWithdraw { external_id });
    }

    /// Whom a search in the view in force finds, by name; only people in force have one.
    fn found(&self, number: u64) -> Option<String> {
        let searched = self.site.searched.load();
        let searcher = Searcher::new(Kernel::best().expect("a kernel"), 1).expect("a thread");
        let lists = searcher.search(&searched.view, &[face(number)], searched.threshold);
        let lists = lists.expect("no damage");
        let best = lists[0].best()?;
        let directory = self.site.directory();
        directory
            .person(best.person.0)
            .map(|person| person.external_id.to_string())
    }

    /// Takes the next command that a thread of the writer's own sends.
    fn take_next(&mut self) {
        let command = self.commands.recv().expect("its sender lives");
        self.writer.take(command);
    }

    fn snapshots(&mut self) -> &mut Snapshots {
        &mut self.writer.online.as_mut().expect("online").snapshots
    }

    /// Files of the data directory that hold a piece of this face.
    fn files_with(&self, number: u64) -> Vec<String> {
        let bytes = face(number).to_le_bytes();
        let mut files = Vec::new();
        let mut folders = vec![self.folder.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).expect("a folder") {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    folders.push(path);
                } else if holds(&fs::read(&path).unwrap_or_default(), &bytes) {
                    files.push(path.display().to_string());
                }
            }
        }
        files
    }
}

fn holds(content: &[u8], face: &[u8]) -> bool {
    let pieces: Vec<_> = (0..8).map(|piece| &face[piece * 256..][..16]).collect();
    // The reserves are zeros, and no face has four of them in a row.
    content
        .windows(16)
        .any(|window| window[..4] != [0; 4] && pieces.contains(&window))
}

/// A direction for each number, with parts of a few bits, so that each is of unit length.
fn face(number: u64) -> Embedding {
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let numbers: Vec<f64> = (0..512)
        .map(|_| {
            state = state
                .wrapping_mul(0x5851_f42d_4c95_7f2d)
                .wrapping_add(0x1405_7b7e_f767_814f);
            (state >> 40) as f64 / f64::from(1 << 24) - 0.499_7
        })
        .collect();
    let norm = numbers
        .iter()
        .map(|number| number * number)
        .sum::<f64>()
        .sqrt();
    let numbers: Vec<f32> = numbers
        .iter()
        .map(|number| (number / norm) as f32)
        .collect();
    Embedding::new(&numbers).expect("of unit length")
}

fn name(number: u64) -> String {
    format!("W{number}")
}

fn person(number: u64) -> NewPerson {
    NewPerson {
        external_id: name(number),
        name: "Somebody".to_owned(),
        doors: "*".to_owned(),
        policy_version: "1".to_owned(),
        consented_at: "2026-01-01T00:00:00Z".to_owned(),
        references: vec![STANDARD.encode(face(number).to_le_bytes())],
    }
}

#[test]
fn who_is_enrolled_is_found_on_return_and_who_withdraws_is_not() {
    let mut online = Online::over(init());
    online.stage(1..4);
    assert_eq!(online.found(2), None, "staged is not in force");
    online.done(Request::ImportCommit);
    assert_eq!(
        (1..4).filter_map(|n| online.found(n)).collect::<Vec<_>>(),
        ["W1", "W2", "W3"]
    );
    online.withdraw(2);
    assert_eq!(online.found(2), None);
    assert_eq!(online.site.directory().people(), 2, "nor in the directory");
    assert_eq!(online.found(3), Some(name(3)));
    // Whoever comes back does so as somebody new.
    online.enrol(2..3);
    assert_eq!(online.found(2), Some(name(2)));

    // A session that ends takes its import back, and the next may begin.
    online.stage(8..9);
    online.writer.take(Command::SessionEnded(SESSION));
    assert_eq!(online.found(8), None);
    online.enrol(9..10);
    assert_eq!((online.found(8), online.found(9)), (None, Some(name(9))));

    let online = Online::over(online.end());
    let found: Vec<_> = (1..10).filter_map(|n| online.found(n)).collect();
    assert_eq!(found, ["W1", "W2", "W3", "W9"], "after a crash");
}

#[test]
fn an_import_past_the_overlay_is_acknowledged_with_its_snapshot() {
    let mut online = Online::over(init());
    let people = OVERLAY_ROWS_MAX as u64 + 4;
    online.stage(0..people);
    let answer = online.administer(Request::ImportCommit);
    assert!(
        answer.try_recv().is_err(),
        "it is not in force before its snapshot is"
    );
    assert_eq!(online.found(7), None);
    // A withdrawal meanwhile holds at once, and against the snapshot under way.
    let withdrawn = online.administer(Request::PersonWithdraw {
        external_id: name(5),
    });
    online.take_next();
    while answer.is_empty() || withdrawn.is_empty() {
        online.take_next();
    }
    assert!(matches!(answer.try_recv(), Ok(Response::Done { .. })));
    assert!(matches!(withdrawn.try_recv(), Ok(Response::Done { .. })));
    assert_eq!(online.found(5), None);
    assert_eq!(online.found(people - 1), Some(name(people - 1)));
    let view = online.site.searched.load().view.clone();
    assert!(view.overlay_rows() == 0 && view.snapshot().is_some());
}

#[test]
fn what_was_done_without_a_server_is_in_force_with_the_next_one() {
    let folder = init();
    let mut writer = Writer::offline(folder.path()).expect("nobody else has it");
    let requests = [
        Request::ImportBegin,
        Request::ImportAdd {
            people: (1..5).map(person).collect(),
        },
        Request::ImportCommit,
        Request::PersonWithdraw {
            external_id: name(3),
        },
    ];
    for request in requests {
        let answer = writer.carry_out(Session::COMMAND_LINE, request);
        assert!(!matches!(answer, Response::Error { .. }), "{answer:?}");
    }
    assert!(Writer::offline(folder.path()).is_err(), "one at a time");
    drop(writer);
    let online = Online::over(folder);
    let found: Vec<_> = (1..5).filter_map(|n| online.found(n)).collect();
    assert_eq!(found, ["W1", "W2", "W4"]);
}

#[test]
fn a_gallery_that_is_damaged_or_gone_is_rebuilt_from_the_store() {
    let mut online = Online::over(init());
    online.enrol(1..20);
    let mut folder = online.end();
    let damages: [&dyn Fn(&Path); 4] = [
        &|file| fs::write(file, b"").expect("written"),
        &|file| fs::remove_file(file).expect("removed"),
        &|file| {
            let mut bytes = fs::read(file).expect("read");
            bytes[9] ^= 1;
            fs::write(file, bytes).expect("written");
        },
        &|file| {
            let bytes = fs::read(file).expect("read");
            fs::write(file, &bytes[..bytes.len() - 1]).expect("written");
        },
    ];
    for damage in damages {
        let mut files = 0;
        for entry in fs::read_dir(folder.path().join("gallery")).expect("a folder") {
            damage(&entry.expect("an entry").path());
            files += 1;
        }
        assert!(files > 0, "nothing was damaged: the test is blind");
        let online = Online::over(folder);
        assert_eq!((1..20).filter_map(|n| online.found(n)).count(), 19);
        assert_eq!(online.found(99), None);
        folder = online.end();
    }
}

#[test]
fn damage_that_a_search_meets_is_answered_with_a_new_snapshot() {
    let mut online = Online::over(init());
    online.enrol(1..4);
    let before = online
        .site
        .searched
        .load()
        .view
        .snapshot()
        .map(|old| old.path().to_owned());
    online.writer.take(Command::GalleryDamaged);
    online.take_next();
    let after = online
        .site
        .searched
        .load()
        .view
        .snapshot()
        .map(|new| new.path().to_owned());
    assert_ne!(before, after);
    assert_eq!((1..4).filter_map(|n| online.found(n)).count(), 3);
    assert_eq!(online.site.searched.load().view.overlay_rows(), 0);
}

#[test]
fn no_file_holds_a_withdrawn_embedding_after_the_period() {
    let mut online = Online::over(init());
    online.enrol(1..4);
    // The next start has them in its snapshot.
    fs::remove_dir_all(online.folder.path().join("gallery")).expect("removed");
    let mut online = Online::over(online.end());
    online.enrol(4..6);
    for number in [2, 5] {
        assert!(!online.files_with(number).is_empty(), "the search is blind");
        online.withdraw(number);
    }
    assert!(online.site.is_erasure_pending());
    online.writer.tick().expect("upkeep");
    assert!(
        !online.files_with(2).is_empty(),
        "the period is an hour: not yet"
    );
    // The period is over: a snapshot without them, then the one before is erased, then the log.
    online.snapshots().erase_now();
    online.writer.tick().expect("upkeep");
    online.take_next();
    online.writer.tick().expect("upkeep");
    online.take_next();
    online.writer.tick().expect("upkeep");
    assert!(online.snapshots().all_erased());
    assert!(!online.site.is_erasure_pending());
    for number in [2, 5] {
        assert_eq!(
            online.files_with(number),
            Vec::<String>::new(),
            "face {number}"
        );
    }
    assert!(!online.files_with(3).is_empty(), "nobody else is gone");
    let kept: Vec<_> = (1..6).filter_map(|n| online.found(n)).collect();
    assert_eq!(kept, ["W1", "W3", "W4"]);
}

/// The Enrolment Service's form was two requests, so that half of it was kept; and the first
/// version of a policy asked everybody whose consent an import had brought. Storing the first three
/// before `enrol_store`, or `!=` on the bare options in `asking_begins`, fails this.
#[test]
fn the_form_is_kept_whole_or_not_and_the_first_version_asks_nobody() {
    let mut online = Online::over(init());
    let form = |version: &str, device: &str| Request::EnrolmentServiceSet {
        company: "ACME".to_owned(),
        policy_address: "https://acme.example/privacy".to_owned(),
        check: "{}".to_owned(),
        more: EnrolmentSetup {
            policy_version: Some(version.to_owned()),
            device: Some(device.to_owned()),
            ..EnrolmentSetup::default()
        },
    };
    let setting = |online: &Online, key| online.writer.store.read().setting(key).expect("read");
    let answer = online.administer(form("1", "nowhere")).try_recv();
    assert!(matches!(answer, Ok(Response::Error { .. })), "{answer:?}");
    for key in [SettingKey::COMPANY, SettingKey::POLICY_VERSION] {
        assert_eq!(setting(&online, key), None, "{key:?}");
    }
    for (version, asks) in [("1", false), ("1", false), ("2", true)] {
        online.done(form(version, ""));
        assert_eq!(
            setting(&online, SettingKey::POLICY_VERSION).as_deref(),
            Some(version.as_bytes())
        );
        let asking = setting(&online, SettingKey::ASKING);
        assert_eq!(asking.is_some(), asks, "version {version}");
    }
}

/// Who was withdrawn without a server stayed in what a cut backup had copied. Fails without
/// `sweep_all` in `person_withdraw`.
#[test]
fn a_withdrawal_without_a_server_leaves_no_copies_of_a_cut_backup() {
    let mut online = Online::over(init());
    online.enrol(1..3);
    let folder = online.end();
    let staging = folder.path().join("backup.staging");
    fs::create_dir(&staging).expect("made");
    fs::copy(folder.path().join("store.db"), staging.join("store.db")).expect("copied");
    let mut writer = Writer::offline(folder.path()).expect("nobody else has it");
    assert!(staging.exists(), "who only looks erases nothing");
    let external_id = name(1);
    let answer = writer.carry_out(
        Session::COMMAND_LINE,
        Request::PersonWithdraw { external_id },
    );
    assert!(matches!(answer, Response::Done { .. }), "{answer:?}");
    assert!(!staging.exists());
}

/// An import that the store did not know any more was tried with each tick, and no other could
/// begin. Fails without the arm for `NotFound` in `import_taken_back`.
#[test]
fn an_import_that_is_gone_already_holds_no_other_up() {
    let mut online = Online::over(init());
    online.stage(1..3);
    let (_, import) = online.writer.import.expect("under way");
    online
        .writer
        .store
        .import_abort(import)
        .expect("taken back");
    online.writer.take(Command::SessionEnded(SESSION));
    assert!(online.writer.import.is_none());
    online.enrol(3..4);
    assert_eq!((online.found(1), online.found(3)), (None, Some(name(3))));
}

/// An update's outcome went into audit and outbox each second while its file could not be removed.
/// Fails if `outcome_tell` tells whatever it finds.
#[test]
fn what_came_of_an_update_is_told_once() {
    let mut online = Online::over(init());
    let joined = online
        .writer
        .store
        .setting_set(SettingKey::CONNECT_SEALED, b"sealed");
    joined.expect("set");
    let file = online.folder.path().join("updates/outcome");
    fs::create_dir(online.folder.path().join("updates")).expect("made");
    let tick = |online: &mut Online, applied: bool| {
        let outcome = format!(r#"{{"version":"1.2.3","applied":{applied}}}"#);
        // As if nobody could have removed it before.
        fs::write(&file, outcome).expect("written");
        updates::outcome_tell(&mut online.writer);
        assert!(!file.exists(), "told, and removed where that can be");
        let counts = online.writer.store.read().outbox_counts();
        counts.expect("a read").waiting
    };
    let before = online.writer.store.read().outbox_counts();
    let before = before.expect("a read").waiting;
    assert_eq!(tick(&mut online, true) - before, 1);
    assert_eq!(tick(&mut online, true) - before, 1, "the same again");
    assert_eq!(tick(&mut online, false) - before, 2, "another");
    // Gone, and then there again: another update came to the same.
    updates::outcome_tell(&mut online.writer);
    assert_eq!(tick(&mut online, false) - before, 3);
}
