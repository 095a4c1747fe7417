//! Power fails at every step of a gallery's life, with every part of what was not synced on the
//! disk or not; and every step fails.
//!
//! Canaries: without `sync` in `Writer::finish` a file under its final name is not whole, without
//! `sync_folder` there an acknowledged snapshot is gone; `a_disk_that_does_not_sync_is_seen` has
//! them fail.

use super::recorded::{Fault, Step, steps_of};
use super::replay::{Disk, Found, Kept, lay_out};
use crate::gallery::{Writer, WriterError, file_name};
use crate::limits::PLANE_ROWS_MIN;
use crate::synthetic::{Shape, Stream, Synthetic};
use crate::{Gallery, Kernel, ModelId, Row, SearchError, Searcher, Threshold, View, erase, oracle};
use cardea_results::record;
use rustix::io::Errno;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const MODEL: ModelId = ModelId([7; 16]);
/// Few writes, so that each of their subsets can be tried.
const FEW: u64 = 6;
/// With a plane; of the subsets some are tried.
const MANY: u64 = PLANE_ROWS_MIN + 76;
const SUBSETS: u64 = 40;

fn rows(generation: u64, count: u64) -> Vec<Row> {
    let people = Synthetic::new(generation, Shape::Realistic);
    (0..count).map(|person| people.row(person)).collect()
}

fn path(folder: &Path, generation: u64) -> PathBuf {
    folder.join(file_name(generation))
}

fn write(folder: &Path, generation: u64, rows: &[Row]) -> Result<(), WriterError> {
    let count = rows.len() as u64;
    let mut writer = Writer::create(&path(folder, generation), MODEL, generation, count)?;
    rows.iter().try_for_each(|row| writer.push(row))?;
    writer.finish()
}

/// A snapshot, the next one beside it, and the first one erased; with the steps of each.
fn life(folder: &Path, count: u64) -> [Vec<Step>; 3] {
    let commit = |generation| {
        let (written, steps) =
            steps_of(None, || write(folder, generation, &rows(generation, count)));
        written.expect("written");
        steps
    };
    let erase = || {
        let (erased, steps) = steps_of(None, || erase::file(&path(folder, 1)));
        erased.expect("erased");
        steps
    };
    [commit(1), commit(2), erase()]
}

/// Opens a file and searches for everybody: `None` if it is refused. Whatever it is, it never
/// gives a wrong answer.
fn used(path: &Path, searcher: &Searcher, all: &[Vec<Row>; 2]) -> Option<u64> {
    let gallery = Gallery::open(path).ok()?;
    let generation = gallery.generation();
    let rows = &all[usize::try_from(generation).ok()? - 1];
    let view = View::of_snapshot(Arc::new(gallery));
    let threshold = Threshold::new(0.41).expect("in range");
    let probes: Vec<_> = rows.iter().map(|row| row.embedding.clone()).collect();
    // All embeddings of a small one; of a large one the first and the last.
    let ends = [&probes[..probes.len().min(16)], &probes[probes.len() - 1..]].concat();
    match searcher.search(&view, &ends, threshold) {
        Ok(found) => assert_eq!(found, oracle::exhaustive(rows, &ends, threshold)),
        Err(SearchError::Gallery(_)) => return None,
        Err(other) => panic!("{other}"),
    }
    Some(generation)
}

/// What the states after a power failure came to.
#[derive(Debug, Default)]
struct Tally {
    states: u64,
    /// Files that are half, under a name that only a whole one has.
    half: u64,
    /// Nothing whole left of what was acknowledged.
    lost: u64,
    seen: BTreeSet<u64>,
}

/// Who looks at states: the searcher, what was written, and a folder to lay them out in.
struct Look {
    searcher: Searcher,
    all: [Vec<Row>; 2],
    tally: Tally,
}

impl Look {
    fn new(count: u64) -> Self {
        Self {
            searcher: Searcher::new(Kernel::fastest(), 1).expect("one thread"),
            all: [rows(1, count), rows(2, count)],
            tally: Tally::default(),
        }
    }

    /// `acknowledged`: how many parts of the life were over; the third is the first's end.
    fn at(&mut self, found: &Found, acknowledged: usize, erasing: bool) {
        let folder = tempfile::tempdir().expect("a folder");
        let paths = lay_out(found, folder.path());
        self.tally.states += 1;
        let mut newest = None;
        for path in &paths {
            let generation = used(path, &self.searcher, &self.all);
            let is_final = path.extension().is_some_and(|name| name == "cardea");
            let being_erased = erasing && path.ends_with(file_name(1));
            self.tally.half += u64::from(is_final && generation.is_none() && !being_erased);
            newest = newest.max(generation.filter(|_| is_final));
        }
        let least = [None, Some(1), Some(2), Some(2)][acknowledged];
        self.tally.lost += u64::from(newest < least);
        self.tally.seen.extend(newest);
    }

    /// Every prefix of the steps; at each what `subsets` gives of the changes that are not synced.
    /// A prefix that ends before a sync is a subset of the one that ends at it.
    fn life(&mut self, life: &[Vec<Step>], mut subsets: impl FnMut(usize) -> Vec<Subset>) {
        let mut disk = Disk::default();
        for (part, steps) in life.iter().enumerate() {
            for (at, step) in steps.iter().enumerate() {
                disk.take(step);
                let synced = |step: &Step| matches!(step, Step::Sync(_) | Step::SyncFolder);
                let next = steps.get(at + 1);
                if !(next.is_none_or(synced) || synced(step)) {
                    continue;
                }
                let acknowledged = part + usize::from(next.is_none());
                let (changes, names) = disk.unsynced();
                for (number, (changes, torn)) in subsets(changes).into_iter().enumerate() {
                    // Who looks by an older name does not see what became of the newest file.
                    let oldest = if number == 0 { 0 } else { names };
                    for names in oldest..=names {
                        let kept = Kept {
                            changes,
                            torn,
                            names,
                        };
                        self.at(&disk.after(kept), acknowledged, part == 2);
                    }
                }
            }
        }
    }
}

/// Which changes are kept, and where the last of them is torn.
type Subset = (u128, Option<usize>);

fn every(changes: usize) -> Vec<Subset> {
    assert!(changes <= 16, "{changes} are too many to try all");
    (0..1 << changes).map(|kept| (kept, None)).collect()
}

fn some(dice: &mut Stream) -> impl FnMut(usize) -> Vec<Subset> + use<'_> {
    move |changes| {
        let count = if changes == 0 { 1 } else { SUBSETS };
        let any = |dice: &mut Stream| u128::from(dice.bits()) << 64 | u128::from(dice.bits());
        let kept = |at: u64, dice: &mut Stream| match at % 3 {
            // All but one or two, one or two, any.
            0 => !(1 << dice.below(128)) & !(1 << dice.below(128)),
            1 => any(dice) & any(dice) & any(dice),
            _ => any(dice),
        };
        let torn = |dice: &mut Stream| (dice.below(2) == 0).then(|| dice.below(33) as usize);
        (0..count).map(|at| (kept(at, dice), torn(dice))).collect()
    }
}

#[test]
fn power_fails_anywhere_and_what_was_acknowledged_is_whole() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut few = Look::new(FEW);
    few.life(&life(folder.path(), FEW), every);
    let folder = tempfile::tempdir().expect("a folder");
    let mut many = Look::new(MANY);
    let mut dice = Stream::new(1);
    many.life(&life(folder.path(), MANY), some(&mut dice));
    for (tally, what) in [
        (
            &few.tally,
            "power failure in a gallery's commit or erasure: every subset of unsynced writes",
        ),
        (
            &many.tally,
            "power failure in a gallery with a plane: random subsets, torn writes",
        ),
    ] {
        record("Crash", what, tally.states, tally.half + tally.lost);
        println!("{what}: {tally:?}");
        assert_eq!((tally.half, tally.lost), (0, 0));
        assert_eq!(tally.seen, BTreeSet::from([1, 2]));
    }
    assert!(few.tally.states > 8_000 && many.tally.states > 100);
}

/// The test above would see it.
#[test]
fn a_disk_that_does_not_sync_is_seen() {
    let without = |unwanted: fn(&Step) -> bool| {
        let folder = tempfile::tempdir().expect("a folder");
        let mut life = life(folder.path(), FEW);
        life[1..].iter_mut().for_each(Vec::clear);
        life[0].retain(|step| !unwanted(step));
        let mut look = Look::new(FEW);
        let mut dice = Stream::new(2);
        look.life(&life[..1], some(&mut dice));
        look.tally
    };
    let tally = without(|step| matches!(step, Step::Sync(_)));
    assert!(tally.half > 20, "{tally:?}");
    let tally = without(|step| *step == Step::SyncFolder);
    assert!(tally.half == 0 && tally.lost > 0, "{tally:?}");
}

/// Each step fails, once or from there on, with a full disk or a broken one: the error is named,
/// the snapshot before is unharmed, and the next try is as if nothing had been.
///
/// Fails if `Writer`'s drop forgets the file, or a step's error is not looked at.
#[test]
fn every_step_that_fails_is_named_and_harms_nothing() {
    let mut tried = 0;
    for count in [FEW, MANY] {
        let all = [rows(1, count), rows(2, count)];
        let searcher = Searcher::new(Kernel::fastest(), 1).expect("one thread");
        let folder = tempfile::tempdir().expect("a folder");
        let folder = folder.path();
        write(folder, 1, &all[0]).expect("written");
        let (written, steps) = steps_of(None, || write(folder, 2, &all[1]));
        written.expect("written");
        erase::file(&path(folder, 2)).expect("erased");
        let stride = if count == FEW { 1 } else { 40 };
        for at in (0..steps.len()).step_by(stride) {
            for (for_good, errno) in [
                (false, Errno::NOSPC),
                (true, Errno::NOSPC),
                (false, Errno::IO),
                (true, Errno::IO),
            ] {
                let fault = Fault {
                    at,
                    for_good,
                    errno,
                };
                let (failed, _) = steps_of(Some(fault), || write(folder, 2, &all[1]));
                let Err(WriterError::Io { source, .. }) = &failed else {
                    panic!("step {at} failed and {failed:?}");
                };
                assert_eq!(source.raw_os_error(), Some(errno.raw_os_error()));
                tried += 1;
                if !for_good {
                    let mut left = std::fs::read_dir(folder).expect("a folder").flatten();
                    assert!(!left.any(|file| file.path().extension() == Some("tmp".as_ref())));
                }
                assert_eq!(used(&path(folder, 1), &searcher, &all), Some(1));
                // Named already, though its name may not be on the disk yet: whole then.
                if path(folder, 2).exists() {
                    assert_eq!(used(&path(folder, 2), &searcher, &all), Some(2));
                    erase::file(&path(folder, 2)).expect("erased");
                }
                write(folder, 2, &all[1]).expect("there is room again");
                assert_eq!(used(&path(folder, 2), &searcher, &all), Some(2));
                erase::file(&path(folder, 2)).expect("erased");
            }
        }
        assert_eq!(std::fs::read_dir(folder).expect("a folder").count(), 1);
    }
    let what = "each step of writing a gallery fails, disk full or broken, once or for good";
    record("Disk", what, tried, 0);
    assert!(tried > 80, "{tried}");
}

/// Fails if `erase::file` goes on after a step that failed.
#[test]
fn an_erasure_that_fails_says_so_and_the_next_one_erases() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = path(folder.path(), 1);
    let mut tried = 0;
    for (at, errno) in (0..4).flat_map(|at| [(at, Errno::NOSPC), (at, Errno::IO)]) {
        write(folder.path(), 1, &rows(1, FEW)).expect("written");
        let fault = Fault {
            at,
            for_good: false,
            errno,
        };
        let (failed, steps) = steps_of(Some(fault), || erase::file(&path));
        let error = failed.expect_err("a step failed");
        assert_eq!(error.raw_os_error(), Some(errno.raw_os_error()));
        assert_eq!(steps.len(), at + 1, "it went on");
        // Only the last step has no file to try again on.
        assert_eq!(path.exists(), at < 3);
        if path.exists() {
            erase::file(&path).expect("erased");
        }
        assert!(!path.exists());
        tried += 1;
    }
    record(
        "Disk",
        "each step of erasing a gallery fails: said, and tried again",
        tried,
        0,
    );
}
