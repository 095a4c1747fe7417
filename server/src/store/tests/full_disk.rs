//! On a full disk everything is refused but withdrawing. Needs a disk of its own, so it runs where
//! a file system can be mounted (root), and says so elsewhere.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};

use cardea_results::record;

use super::fixture::{NOW, person};
use crate::limits::LOG_BYTES_MAX;
use crate::store::small_disk::{SmallDisk, fill};
use crate::store::{DataDirectory, ImportId, LogErased, Store, StoreError};

#[test]
fn withdrawing_works_on_a_full_disk_and_nothing_else_does() {
    let Some(disk) = SmallDisk::new(160 << 20) else {
        println!("skipped: no file system can be mounted here");
        return;
    };
    let directory = DataDirectory::lock(&disk.path().join("data")).expect("lock");
    let mut store = Store::open(&directory).expect("store");
    assert_eq!(store.reserve_log(), Ok(true));
    for n in 0..20 {
        store
            .person_enrol(&person(&format!("e{n}"), &[], &[n]), NOW)
            .expect("enrolled");
    }
    assert_eq!(store.erase_log(), Ok(LogErased::Done));
    fill(&disk.path().join("filler"));

    let refused = store.person_enrol(&person("more", &[], &[99]), NOW);
    assert_eq!(refused, Err(StoreError::DiskFull));
    for n in 0..20 {
        store
            .person_withdraw(&format!("e{n}"))
            .expect("withdrawn on a full disk");
        let held = store.log_reserve.held_bytes();
        assert!(held < LOG_BYTES_MAX, "the reserve was used: {held}");
        assert_eq!(store.erase_log(), Ok(LogErased::Done));
        // Somebody else takes whatever becomes free.
        fill(&disk.path().join(format!("filler-{n}")));
    }
    record("Disk", "withdrawals on a full disk", 20, 0);
    let held = store.log_reserve.held_bytes();
    assert!(
        held > LOG_BYTES_MAX / 2,
        "most of the reserve is left: {held}"
    );
    assert_eq!(store.read().counts().expect("counts").people, 0);
    store.check().expect("sound");

    for file in fs::read_dir(disk.path()).expect("folder") {
        let path = file.expect("file").path();
        if path.is_file() {
            fs::remove_file(path).expect("room again");
        }
    }
    store
        .person_enrol(&person("more", &[], &[99]), NOW)
        .expect("enrolled");
    assert_eq!(store.reserve_log(), Ok(true));
    drop((store, directory));
}

/// In each there is room for three blocks more.
const ROUNDS: u64 = 20;
const BLOCK: u64 = 4_096;

/// Fails if a withdrawal does not take the reserve, or a change that failed leaves a part.
#[test]
fn full_after_any_block_nothing_is_half_and_withdrawing_works() {
    let Some(disk) = SmallDisk::new(160 << 20) else {
        println!("skipped: no file system can be mounted here");
        return;
    };
    let directory = DataDirectory::lock(&disk.path().join("data")).expect("lock");
    let mut store = Store::open(&directory).expect("store");
    let mut there = BTreeSet::new();
    for n in 0..ROUNDS {
        let name = format!("old{n}");
        store
            .person_enrol(&person(&name, &[], &[n]), NOW)
            .expect("enrolled");
        there.insert(name);
    }
    let filler = disk.path().join("filler");
    let (mut refused, mut done) = (0, 0);
    for round in 0..ROUNDS {
        // The thread that checkpoints may be at it.
        while store.erase_log().expect("room") == LogErased::ReaderInTheWay {}
        assert_eq!(store.reserve_log(), Ok(true));
        fill(&filler);
        let file = OpenOptions::new().write(true).open(&filler);
        let file = file.expect("the filler");
        let length = file.metadata().expect("its length").len();
        file.set_len(length - round * 3 * BLOCK).expect("some room");
        drop(file);
        // One person after another until there is no room, then several at once.
        for n in 0..200 {
            let name = format!("new{round}-{n}");
            let seeds = [1_000 + round * 1_000 + n];
            match store.person_enrol(&person(&name, &[], &seeds), NOW) {
                Ok(_) => {
                    there.insert(name);
                    done += 1;
                }
                Err(StoreError::DiskFull) => break,
                Err(other) => panic!("round {round}: {other}"),
            }
            assert!(n < 199, "never full");
        }
        let batch: Vec<_> = (0..20)
            .map(|n| person(&format!("i{round}-{n}"), &[], &[500_000 + round * 100 + n]))
            .collect();
        let import = store.import_begin(NOW).and_then(|import| {
            store.import_add(import, &batch, NOW)?;
            store.import_commit(import)
        });
        assert_eq!(import.err(), Some(StoreError::DiskFull), "round {round}");
        refused += 2;
        let name = format!("old{round}");
        store.person_withdraw(&name).expect("on a full disk");
        there.remove(&name);
        fs::remove_file(&filler).expect("room again");
        let open = match store.import_begin(NOW) {
            Err(StoreError::ImportOpen { import }) => ImportId(import),
            begun => begun.expect("room again"),
        };
        store.import_abort(open).expect("taken back");
        let mut found = BTreeSet::new();
        store
            .read()
            .people_each::<StoreError>(|person| {
                found.insert(person.external_id);
                Ok(())
            })
            .expect("people");
        assert_eq!(found, there, "round {round}");
        store.check().expect("sound");
    }
    println!("{refused} changes refused, {done} done, {ROUNDS} withdrawals on a full disk");
    record(
        "Disk",
        "disk full after any block: enrolling and importing are refused whole",
        refused,
        0,
    );
    record("Disk", "withdrawals on a full disk", ROUNDS, 0);
    drop((store, directory));
}
