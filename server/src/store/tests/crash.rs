//! A process that is killed at any moment loses nothing it acknowledged and leaves nothing half.
//!
//! The test starts itself again as a child, which works through a list of operations and says the
//! number of each once it is acknowledged; the parent kills it after some, opens the store and the
//! audit, and compares. `CARDEA_CRASHES=500` makes it ten times as long.
//! Canary: acknowledge (`say`) before the call in `Child::run`, and this fails.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use cardea_results::record;
use crossbeam_channel::unbounded;

use super::fixture::{NOW, embedding, person};
use crate::audit::{
    AttemptRecord, Audit, AuditHandle, Completion, Entry, Outcome, Progress, Recorded,
};
use crate::store::{DataDirectory, PersonId, ReferenceId, Store, StoreError};

const ROUNDS: u64 = 50;
/// A few milliseconds.
const SPINS: u64 = 200_000;
const FOLDER: &str = "CARDEA_CRASH_FOLDER";
const ROUND: &str = "CARDEA_CRASH_ROUND";
const CHILD: &str = "store::tests::crash::child_that_is_killed";
const IMPORT_PEOPLE: u64 = 40;
const NOW_US: i64 = NOW * 1_000_000;

/// External id -> seeds of the references, in order.
type People = BTreeMap<String, Vec<u64>>;

/// One step of the list that child and parent both know.
enum Step {
    Enrol(String, Vec<u64>),
    Withdraw(String),
    Import(Vec<(String, Vec<u64>)>),
    Attempt(u64),
    Outcome(u64),
}

fn step(round: u64, number: u64) -> Step {
    let name = |number: u64| format!("r{round}-{number}");
    let seed = (round * 100_000 + number) * 100;
    match number % 6 {
        0 | 1 => Step::Enrol(name(number), (seed..=seed + number % 3).collect()),
        2 => Step::Withdraw(name(number - 1)),
        3 => Step::Import(
            (0..IMPORT_PEOPLE)
                .map(|place| (format!("{}-{place}", name(number)), vec![seed + place]))
                .collect(),
        ),
        4 => Step::Attempt(round * 100_000 + number),
        _ => Step::Outcome(round * 100_000 + number - 1),
    }
}

impl Step {
    fn apply(self, people: &mut People, attempts: &mut BTreeMap<u64, bool>) {
        match self {
            Self::Enrol(name, seeds) => {
                people.insert(name, seeds);
            }
            Self::Withdraw(name) => {
                people.remove(&name);
            }
            Self::Import(imported) => people.extend(imported),
            Self::Attempt(name) => {
                attempts.insert(name, false);
            }
            Self::Outcome(name) => {
                attempts.insert(name, true);
            }
        }
    }
}

struct Child {
    store: Store,
    _audit: Audit,
    handle: AuditHandle,
    completions: crossbeam_channel::Receiver<Completion>,
    sequence: u64,
}

impl Child {
    fn run(&mut self, step: Step) {
        match step {
            Step::Enrol(name, seeds) => {
                self.store
                    .person_enrol(&person(&name, &[], &seeds), NOW)
                    .expect("enrolled");
            }
            Step::Withdraw(name) => {
                self.store.person_withdraw(&name).expect("withdrawn");
            }
            Step::Import(people) => {
                let import = self.store.import_begin(NOW).expect("begun");
                for batch in people.chunks(8) {
                    let batch: Vec<_> = batch
                        .iter()
                        .map(|(name, seeds)| person(name, &[], seeds))
                        .collect();
                    self.store.import_add(import, &batch, NOW).expect("staged");
                }
                self.store.import_commit(import).expect("committed");
            }
            Step::Attempt(name) => {
                self.handle.begin(attempt(name), 0).expect("room");
                match self.completions.recv().expect("completion").recorded {
                    Recorded::New { sequence } => self.sequence = sequence,
                    other => panic!("{other:?}"),
                }
            }
            Step::Outcome(_) => {
                let outcome = Outcome {
                    decision: 1,
                    reason: 0,
                    at_unix_us: NOW_US,
                };
                self.handle
                    .outcome(self.sequence, outcome, Some(0))
                    .expect("room");
                self.completions.recv().expect("completion");
            }
        }
    }
}

fn attempt(name: u64) -> AttemptRecord {
    let mut request_id = [0; 16];
    request_id[..8].copy_from_slice(&name.to_le_bytes());
    AttemptRecord {
        device: 1,
        request_id,
        at_unix_us: NOW_US,
        door: 1,
        decision: 1,
        reason: 0,
        matched: None,
        is_final: false,
    }
}

#[test]
#[ignore = "the child of the test below"]
fn child_that_is_killed() {
    let (Ok(folder), Ok(round)) = (std::env::var(FOLDER), std::env::var(ROUND)) else {
        return;
    };
    let round = round.parse().expect("a number");
    let directory = DataDirectory::lock(Path::new(&folder)).expect("lock");
    let audit = Audit::open(&directory, NOW_US).expect("audit");
    let (sender, completions) = unbounded();
    let deliver = move |completion| {
        let _ = sender.send(completion);
    };
    let mut child = Child {
        store: Store::open(&directory).expect("store"),
        handle: audit.handle(deliver, || {}),
        _audit: audit,
        completions,
        sequence: 0,
    };
    let mut say = std::io::stdout();
    for number in 0.. {
        child.run(step(round, number));
        writeln!(say, "\nacknowledged {number}").expect("a parent");
        say.flush().expect("a parent");
    }
}

/// Runs a child until it has acknowledged `after` steps, kills it; returns how many it did.
fn killed_child(folder: &Path, round: u64, after: u64, spins: u64) -> u64 {
    let mut child = Command::new(std::env::current_exe().expect("this test"))
        .args([
            "--exact",
            CHILD,
            "--ignored",
            "--nocapture",
            "--test-threads",
            "1",
        ])
        .env(FOLDER, folder)
        .env(ROUND, round.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("a child");
    let output = BufReader::new(child.stdout.take().expect("piped"));
    let mut done = 0;
    for line in output.lines() {
        let line = line.expect("a line");
        let Some(number) = line.strip_prefix("acknowledged ") else {
            continue;
        };
        done = number.parse::<u64>().expect("a number") + 1;
        if done == after {
            // The kill is to fall anywhere in the next step, not always at its beginning.
            (0..spins).for_each(|_| std::hint::spin_loop());
            child.kill().expect("killed");
        }
    }
    let status = child.wait().expect("waited for");
    assert!(
        !status.success() && done >= after,
        "the child ended by itself: {status}"
    );
    done
}

fn people_of(store: &Store) -> People {
    let mut names: BTreeMap<PersonId, String> = BTreeMap::new();
    let mut people = People::new();
    let read = store.read();
    read.people_each::<StoreError>(|entry| {
        people.insert(entry.external_id.clone(), Vec::new());
        names.insert(entry.id, entry.external_id);
        Ok(())
    })
    .expect("people");
    read.references_each::<StoreError>(ReferenceId(0), |_, owner, bytes| {
        let seeds = people.get_mut(&names[&owner]).expect("owner");
        seeds.push(seed_of(bytes));
        Ok(())
    })
    .expect("references");
    people
}

// The seed whose embedding these bytes are.
fn seed_of(bytes: &[u8; 2048]) -> u64 {
    const INVERSE: u64 = 0xF1DE_83E1_9937_733D;
    let word = u64::from_le_bytes(*bytes.first_chunk().expect("eight bytes"));
    let seed = (word.wrapping_mul(INVERSE) - 1) / 256;
    assert!(*bytes == *embedding(seed), "whole");
    seed
}

fn attempts_of(directory: &DataDirectory) -> BTreeMap<u64, bool> {
    let audit = Audit::open(directory, NOW_US).expect("audit");
    let reader = audit.open_reader().expect("reader");
    let mut attempts = BTreeMap::new();
    let mut before = None;
    loop {
        let page = reader
            .page(crate::audit::AuditFilter::default(), before, 1_000)
            .expect("page");
        for entry in page.entries {
            let Entry::Attempt(record, progress) = entry.entry else {
                panic!("an attempt");
            };
            let name = u64::from_le_bytes(*record.request_id.first_chunk().expect("eight"));
            assert!(matches!(
                progress,
                Progress::Outcome(_) | Progress::Interrupted
            ));
            attempts.insert(name, progress != Progress::Interrupted);
        }
        before = page.next;
        if before.is_none() {
            return attempts;
        }
    }
}

#[test]
fn acknowledged_is_there_and_nothing_is_half() {
    let rounds = std::env::var("CARDEA_CRASHES").ok();
    let rounds = rounds.map_or(ROUNDS, |rounds| rounds.parse().expect("a number"));
    let folder = tempfile::tempdir().expect("temporary folder");
    let (mut people, mut attempts) = (People::new(), BTreeMap::new());
    let mut state = 7_u64;
    for round in 0..rounds {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let (after, spins) = (1 + (state >> 40) % 40, (state >> 20) % SPINS);
        let done = killed_child(folder.path(), round, after, spins);
        for number in 0..done {
            step(round, number).apply(&mut people, &mut attempts);
        }
        let directory = DataDirectory::lock(folder.path()).expect("lock");
        let store = Store::open(&directory).expect("store");
        let found = (people_of(&store), attempts_of(&directory));
        if found != (people.clone(), attempts.clone()) {
            // The step under way may have been done: then all of it.
            step(round, done).apply(&mut people, &mut attempts);
        }
        assert!(
            found == (people.clone(), attempts.clone()),
            "round {round}, {done} steps"
        );
        store.check().expect("sound");
    }
    let what = "kill -9 of a process that enrols, withdraws, imports and records attempts";
    record("Crash", what, rounds, 0);
}
