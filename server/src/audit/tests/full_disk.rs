//! On a full disk no attempt is recorded, so nothing opens; outcomes are held until there is room.

use std::fs;

use cardea_results::record;
use crossbeam_channel::unbounded;

use super::fixture::{NOW_US, attempt};
use crate::audit::{Audit, Completion, Entry, Outcome, Progress, Recorded};
use crate::limits::AUDIT_OUTCOMES_HELD_MAX;
use crate::store::small_disk::{SmallDisk, fill};
use crate::store::{DataDirectory, StoreError};

/// One outcome more than is held.
const HELD: u64 = AUDIT_OUTCOMES_HELD_MAX as u64 + 1;
const OUTCOME: Outcome = Outcome {
    decision: 1,
    reason: 0,
    at_unix_us: NOW_US,
};

#[test]
fn attempts_fail_and_outcomes_are_held() {
    let Some(disk) = SmallDisk::new(16 << 20) else {
        println!("skipped: no file system can be mounted here");
        return;
    };
    let directory = DataDirectory::lock(&disk.path().join("data")).expect("lock");
    let audit = Audit::open(&directory, NOW_US).expect("audit");
    let (sender, completions) = unbounded::<Completion>();
    let deliver = move |completion| {
        let _ = sender.send(completion);
    };
    let handle = audit.handle(deliver, || {});
    let begin = |name| {
        handle.begin(attempt(1, name), name).expect("room");
        completions.recv().expect("completion").recorded
    };
    assert_eq!(begin(0), Recorded::New { sequence: 1 });
    for name in 2..=HELD {
        handle.begin(attempt(2, name), name).expect("room");
    }
    completions.iter().take(HELD as usize - 1).for_each(drop);
    let filler = disk.path().join("filler");
    fill(&filler);
    let full = Recorded::Failed {
        why: StoreError::DiskFull,
    };
    // What the log's file has room for already still goes in.
    let failed = (1..100_000)
        .find(|name| begin(*name) == full)
        .expect("full at last");
    for sequence in 1..=HELD {
        handle.outcome(sequence, OUTCOME, Some(0)).expect("room");
        if sequence % 1_000 == 0 {
            completions
                .iter()
                .take(1_000)
                .for_each(|done| assert_eq!(done.recorded, full));
        }
    }
    completions
        .iter()
        .take(HELD as usize % 1_000)
        .for_each(|done| assert_eq!(done.recorded, full));

    fs::remove_file(&filler).expect("room again");
    // The number and the name of the failed attempt were not used up.
    let sequence = HELD + failed;
    assert_eq!(begin(failed), Recorded::New { sequence });
    let reader = audit.open_reader().expect("reader");
    let progress = |sequence| match reader.entry(sequence).expect("read").expect("there").entry {
        Entry::Attempt(_, progress) => progress,
        Entry::Change(_) => panic!("an attempt"),
    };
    let is_lost = |sequence: &u64| progress(*sequence) != Progress::Outcome(OUTCOME);
    let lost = (1..HELD).filter(is_lost).count() as u64;
    assert_eq!(progress(HELD), Progress::InFlight, "one more than is held");
    record(
        "Disk",
        "audit: an outcome on a full disk is held until there is room",
        HELD - 1,
        lost,
    );
    assert_eq!(lost, 0);
    drop((reader, handle, audit, directory));
}
