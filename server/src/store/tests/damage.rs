//! A damaged database is a typed error or unharmed content, never a panic, never another face.

use std::fs;

use cardea_results::record;

use super::fixture::{Fixture, NOW, embedding, person};
use crate::store::{DataDirectory, ReferenceId, Store, StoreError};

const FLIPS: u64 = 300;

#[test]
fn what_is_no_database_is_said() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let directory = DataDirectory::lock(folder.path()).expect("lock");
    fs::write(directory.file("store.db"), [0x55; 20_000]).expect("written");
    let what = "not a database";
    assert_eq!(
        Store::open(&directory).err(),
        Some(StoreError::Damaged { what })
    );
}

#[test]
fn a_truncated_database_is_said() {
    let mut fixture = Fixture::new();
    for n in 0..50 {
        fixture
            .store
            .person_enrol(&person(&format!("e{n}"), &[], &[n]), NOW)
            .expect("enrolled");
    }
    let Fixture {
        store,
        directory,
        folder: _folder,
    } = fixture;
    drop(store);
    let file = directory.file("store.db");
    let bytes = fs::read(&file).expect("bytes");
    fs::write(&file, &bytes[..bytes.len() / 2]).expect("written");
    let read = Store::open(&directory).and_then(|store| store.check());
    assert!(matches!(read, Err(StoreError::Damaged { .. })), "{read:?}");
}

#[test]
fn a_newer_database_is_refused() {
    let Fixture {
        store,
        directory,
        folder: _folder,
    } = Fixture::new();
    drop(store);
    let db = rusqlite::Connection::open(directory.file("store.db")).expect("opened");
    // And its release says that ours cannot use it.
    for number in ["user_version", "application_id"] {
        db.pragma_update(None, number, 999).expect("version");
    }
    drop(db);
    let refused = Store::open(&directory).err();
    assert!(
        matches!(refused, Some(StoreError::Newer { found: 999, .. })),
        "{refused:?}"
    );
}

#[test]
fn a_flipped_bit_never_shows_another_embedding() {
    let mut fixture = Fixture::new();
    for n in 1..=40 {
        fixture
            .store
            .person_enrol(&person(&format!("e{n}"), &[], &[n]), NOW)
            .expect("enrolled");
    }
    let Fixture {
        store,
        directory,
        folder: _folder,
    } = fixture;
    drop(store);
    let whole = fs::read(directory.file("store.db")).expect("bytes");
    let mut state = 99_u64;
    let mut damaged = 0;
    for _ in 0..FLIPS {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let bit = (state >> 16) as usize % (whole.len() * 8);
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        fs::write(directory.file("store.db"), &bytes).expect("written");
        damaged += u64::from(read_all(&directory).is_err());
        let _ = fs::remove_file(directory.file("store.db-wal"));
        let _ = fs::remove_file(directory.file("store.db-shm"));
    }
    assert!(damaged > FLIPS / 10, "{damaged} of {FLIPS} flips seen");
    let what = "store: a bit flipped anywhere: an error, or every embedding as it was";
    record("Disk", what, FLIPS, 0);
}

// Reads every reference; each that comes must be the one enrolled.
fn read_all(directory: &DataDirectory) -> Result<(), StoreError> {
    let store = Store::open(directory)?;
    store
        .read()
        .references_each::<StoreError>(ReferenceId(0), |id, _, bytes| {
            assert!((1..=40).any(|seed| *bytes == *embedding(seed)), "{id:?}");
            Ok(())
        })?;
    store.check()
}
