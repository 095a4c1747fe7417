//! Copies while the store is in use, readers beside the writer, and a store that must not go on.

use std::sync::atomic::{AtomicBool, Ordering};

use super::fixture::{Fixture, NOW, person};
use crate::store::{DataDirectory, ReferenceId, Store, StoreError};

fn generation(store: &Store) -> u64 {
    store.read().generation().expect("generation")
}

#[test]
fn a_copy_made_while_people_come_and_go_is_sound_and_of_one_generation() {
    let mut fixture = Fixture::new();
    let store = &mut fixture.store;
    for n in 0..50 {
        store
            .person_enrol(&person(&format!("e{n}"), &[], &[n, 100 + n]), NOW)
            .expect("enrolled");
    }
    let reader = store.open_reader().expect("reader");
    let folder = tempfile::tempdir().expect("temporary folder");
    let (first, done) = (generation(store), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 50.. {
                if done.load(Ordering::Relaxed) {
                    break;
                }
                let name = format!("e{n}");
                store
                    .person_enrol(&person(&name, &[], &[n]), NOW)
                    .expect("enrolled");
                store
                    .person_withdraw(&format!("e{}", n - 50))
                    .expect("withdrawn");
            }
        });
        for copy in 0..5 {
            let path = folder.path().join(format!("{copy}.db"));
            reader.backup_to(&path).expect("copied");
        }
        done.store(true, Ordering::Relaxed);
    });
    for copy in 0..5 {
        let restored = tempfile::tempdir().expect("temporary folder");
        let directory = DataDirectory::lock(restored.path()).expect("lock");
        let path = folder.path().join(format!("{copy}.db"));
        std::fs::rename(path, directory.file("store.db")).expect("moved");
        let copied = Store::open(&directory).expect("opens");
        copied.check().expect("sound");
        let read = copied.read();
        assert!(generation(&copied) >= first);
        assert_ne!(read.lineage(), fixture.store.read().lineage());
        // Each enrolment is one generation and so is each withdrawal.
        let people = read.counts().expect("counts").people;
        assert_eq!(people, 50 + generation(&copied) % 2);
    }
}

#[test]
fn a_copy_never_overwrites() {
    let fixture = Fixture::new();
    let path = fixture.folder.path().join("copy.db");
    let reader = fixture.store.open_reader().expect("reader");
    reader.backup_to(&path).expect("copied");
    assert_eq!(reader.backup_to(&path), Err(StoreError::FileExists));
}

#[test]
fn a_snapshot_stays_while_the_store_goes_on() {
    let mut fixture = Fixture::new();
    let store = &mut fixture.store;
    store
        .person_enrol(&person("e1", &[], &[1]), NOW)
        .expect("enrolled");
    let reader = store.open_reader().expect("reader");
    let snapshot = reader.snapshot().expect("snapshot");
    store.person_withdraw("e1").expect("withdrawn");
    store
        .person_enrol(&person("e2", &[], &[2]), NOW)
        .expect("enrolled");
    let all = |reader: &crate::store::Reader| {
        let mut ids = Vec::new();
        reader
            .references_each::<StoreError>(ReferenceId(0), |id, _, _| {
                ids.push(id);
                Ok(())
            })
            .expect("read");
        (reader.generation(), ids)
    };
    assert_eq!(all(&snapshot), (Ok(1), vec![ReferenceId(1)]));
    assert!(snapshot.person_show("e1").expect("read").is_some());
    drop(snapshot);
    assert_eq!(all(&reader), (Ok(3), vec![ReferenceId(2)]));
}

#[test]
fn after_a_failed_sync_nothing_is_acknowledged() {
    let mut fixture = Fixture::new();
    let store = &mut fixture.store;
    assert_eq!(store.noted(StoreError::Poisoned), StoreError::Poisoned);
    let refused = store.person_enrol(&person("e1", &[], &[1]), NOW);
    assert_eq!(refused, Err(StoreError::Poisoned));
    assert_eq!(store.erase_log(), Err(StoreError::Poisoned));
    let mut fixture = fixture.reopened();
    fixture
        .store
        .person_enrol(&person("e1", &[], &[1]), NOW)
        .expect("opened anew");
}
