//! How fast the store is on this disk; run by hand: `cargo test --release -p cardea measure --
//! --ignored --nocapture --test-threads 1`.

use std::time::Instant;

use super::fixture::{Fixture, NOW, person};
use crate::limits::IMPORT_BATCH_MAX;
use crate::store::{DoorId, LogErased, ReferenceId, RightScope, Store, StoreError};

const PEOPLE: u64 = 100_000;

#[test]
#[ignore = "measures this disk"]
fn measure_an_import_and_reading_it() {
    let mut fixture = Fixture::new();
    let store = &mut fixture.store;
    let doors: Vec<_> = (0..10)
        .map(|n| store.door_add(&format!("Door {n}"), None).expect("door").id)
        .collect();
    import(store, &doors);
    changes(store, &doors);
    reads(&fixture);
    let erase = Instant::now();
    assert_eq!(fixture.store.erase_log(), Ok(LogErased::Done));
    println!("log erased in {:?}", erase.elapsed());
    let bytes =
        |name: &str| std::fs::metadata(fixture.directory.file(name)).map_or(0, |file| file.len());
    println!(
        "store.db {} MB, log {} MB",
        bytes("store.db") >> 20,
        bytes("store.db-wal") >> 20
    );
    let reopen = Instant::now();
    let fixture = fixture.reopened();
    println!("reopened in {:?}", reopen.elapsed());
    drop(fixture);
}

fn import(store: &mut Store, doors: &[DoorId]) {
    let import = store.import_begin(NOW).expect("begun");
    let start = Instant::now();
    let mut slowest_us = 0;
    let seeds: Vec<u64> = (0..PEOPLE).collect();
    for seeds in seeds.chunks(IMPORT_BATCH_MAX) {
        let batch: Vec<_> = seeds
            .iter()
            .map(|seed| person(&format!("person-{seed:06}"), &doors[..2], &[*seed]))
            .collect();
        let batch_start = Instant::now();
        let refused = store.import_add(import, &batch, NOW).expect("staged");
        slowest_us = slowest_us.max(batch_start.elapsed().as_micros());
        assert!(refused.is_empty());
    }
    println!(
        "staged {PEOPLE} in {:?}, slowest batch {slowest_us} us",
        start.elapsed()
    );
    let commit = Instant::now();
    store.import_commit(import).expect("committed");
    println!(
        "committed in {:?}, all {:?}",
        commit.elapsed(),
        start.elapsed()
    );
}

fn changes(store: &mut Store, doors: &[DoorId]) {
    let enrol = Instant::now();
    for n in 0..200 {
        store
            .person_enrol(
                &person(&format!("more-{n}"), &doors[..2], &[PEOPLE + n]),
                NOW,
            )
            .expect("enrolled");
    }
    println!("enrol {:?} each", enrol.elapsed() / 200);
    let grant = Instant::now();
    for n in 0..200 {
        store
            .right_grant(&format!("more-{n}"), RightScope::Door(doors[5]))
            .expect("granted");
    }
    println!("grant {:?} each", grant.elapsed() / 200);
    let withdraw = Instant::now();
    for n in 0..200 {
        store
            .person_withdraw(&format!("more-{n}"))
            .expect("withdrawn");
    }
    println!("withdraw {:?} each", withdraw.elapsed() / 200);
}

fn reads(fixture: &Fixture) {
    let reader = fixture.store.open_reader().expect("reader");
    for _ in 0..3 {
        let read = Instant::now();
        let mut sum = 0_u64;
        let rows = reader
            .references_each::<StoreError>(ReferenceId(0), |_, _, bytes| {
                sum += u64::from(bytes[100]);
                Ok(())
            })
            .expect("read");
        let seconds = read.elapsed().as_secs_f64();
        println!(
            "{rows} references read, {:.0} rows/s ({sum})",
            rows as f64 / seconds
        );
    }
    let walk = Instant::now();
    let people = reader.people_each::<StoreError>(|_| Ok(())).expect("read");
    println!("{people} people in {:?}", walk.elapsed());
    let backup = Instant::now();
    reader
        .backup_to(&fixture.folder.path().join("copy.db"))
        .expect("copied");
    println!("backup in {:?}", backup.elapsed());
}

#[test]
#[ignore = "measures this disk"]
fn measure_aborting_an_import() {
    let mut fixture = Fixture::new();
    let store = &mut fixture.store;
    let import = store.import_begin(NOW).expect("begun");
    for first in (0..20_000).step_by(250) {
        let batch: Vec<_> = (first..first + 250)
            .map(|seed| person(&format!("person-{seed:06}"), &[], &[seed]))
            .collect();
        store.import_add(import, &batch, NOW).expect("staged");
    }
    let start = Instant::now();
    store.import_abort(import).expect("aborted");
    println!(
        "20,000 people of an import removed in {:?}",
        start.elapsed()
    );
}
