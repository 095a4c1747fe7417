//! A store in a temporary folder, and people to put into it.

use crate::store::{Consent, ConsentHow, DataDirectory, DoorId, NewPerson, NewReference, Store};

/// A store, and its folder that goes away with it.
pub(super) struct Fixture {
    pub(super) store: Store,
    pub(super) directory: DataDirectory,
    pub(super) folder: tempfile::TempDir,
}

pub(super) const NOW: i64 = 1_790_000_000;

impl Fixture {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().expect("temporary folder");
        let directory = DataDirectory::lock(folder.path()).expect("lock");
        let store = Store::open(&directory).expect("store");
        Self {
            store,
            directory,
            folder,
        }
    }

    /// Closes the store and opens it again.
    pub(super) fn reopened(self) -> Self {
        let Self {
            store,
            directory,
            folder,
        } = self;
        drop(store);
        let store = Store::open(&directory).expect("store, again");
        Self {
            store,
            directory,
            folder,
        }
    }
}

/// An embedding that is recognised by its seed: no eight bytes of two seeds agree.
pub(super) fn embedding(seed: u64) -> Box<[u8; 2048]> {
    let mut bytes = Box::new([0; 2048]);
    for (place, chunk) in (0_u64..).zip(bytes.chunks_exact_mut(8)) {
        let word = (seed * 256 + place + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        chunk.copy_from_slice(&word.to_le_bytes());
    }
    bytes
}

pub(super) fn reference(seed: u64) -> NewReference {
    NewReference {
        embedding: embedding(seed),
        quality: Some(0.5),
    }
}

pub(super) fn consent() -> Consent {
    Consent {
        policy_version: "2026-01".into(),
        at_unix_s: NOW,
        how: ConsentHow::InPerson,
    }
}

/// A person with one reference for each seed.
pub(super) fn person(external_id: &str, doors: &[DoorId], seeds: &[u64]) -> NewPerson {
    NewPerson {
        external_id: external_id.into(),
        name: format!("Name of {external_id}"),
        email: None,
        consent: consent(),
        every_door: false,
        doors: doors.to_vec(),
        references: seeds.iter().map(|seed| reference(*seed)).collect(),
    }
}
