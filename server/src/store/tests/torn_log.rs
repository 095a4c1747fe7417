//! Power fails while the log is written: whatever length of it reached the disk, the store is as
//! it was after one of its operations, and opens without a word.

use std::collections::BTreeSet;
use std::fs;

use cardea_results::record;

use super::fixture::{Fixture, NOW, person};
use crate::store::{DataDirectory, ReferenceId, Store, StoreError};

const CUTS: usize = 60;

/// Everything that is visible, in a form to compare.
fn visible(store: &Store) -> Vec<String> {
    let read = store.read();
    let mut all = vec![format!(
        "generation {}",
        read.generation().expect("generation")
    )];
    read.people_each::<StoreError>(|person| {
        all.push(format!("{person:?}"));
        Ok(())
    })
    .expect("people");
    read.references_each::<StoreError>(ReferenceId(0), |id, person, bytes| {
        all.push(format!("{id:?} {person:?} {:x}", crc32c::crc32c(bytes)));
        Ok(())
    })
    .expect("references");
    all
}

#[test]
fn any_length_of_the_log_is_the_state_after_some_operation() {
    let mut fixture = Fixture::new();
    fixture.store.erase_log().expect("empty log");
    let base = fs::read(fixture.directory.file("store.db")).expect("database");
    let mut states = BTreeSet::from([visible(&fixture.store)]);
    let store = &mut fixture.store;
    for n in 0..12 {
        store
            .person_enrol(&person(&format!("e{n}"), &[], &[n, 100 + n]), NOW)
            .expect("enrolled");
        states.insert(visible(store));
        if n % 3 == 2 {
            store
                .person_withdraw(&format!("e{}", n - 1))
                .expect("withdrawn");
            states.insert(visible(store));
        }
    }
    let log = fs::read(fixture.directory.file("store.db-wal")).expect("log");
    let mut seen = BTreeSet::new();
    for cut in 0..=CUTS {
        let length = log.len() * cut / CUTS;
        let folder = tempfile::tempdir().expect("temporary folder");
        fs::write(folder.path().join("store.db"), &base).expect("written");
        fs::write(folder.path().join("store.db-wal"), &log[..length]).expect("written");
        let directory = DataDirectory::lock(folder.path()).expect("lock");
        let store = Store::open(&directory).expect("opens");
        let state = visible(&store);
        assert!(states.contains(&state), "{length} of {} bytes", log.len());
        store.check().expect("sound");
        seen.insert(state);
    }
    assert_eq!(seen.len(), states.len(), "cuts fall between all operations");
    let what = "store: power failure while the log is written: any length of it";
    record("Crash", what, CUTS as u64 + 1, 0);
}
