//! Withdrawn is erased: no eight bytes of a withdrawn embedding are left in any file.

use std::collections::HashSet;
use std::path::Path;

use cardea_results::record;

use super::fixture::{Fixture, NOW, embedding, person, reference};
use crate::store::{LogErased, ReferenceId, Store};

/// The eight-byte words of every file of a folder, at any offset, that are in `words`.
fn words_left(folder: &Path, words: &HashSet<u64>) -> usize {
    let mut left = 0;
    for file in std::fs::read_dir(folder).expect("folder") {
        let path = file.expect("file").path();
        let bytes = std::fs::read(&path).expect("bytes");
        left += bytes
            .windows(8)
            .filter_map(|window| window.try_into().ok())
            .filter(|window| words.contains(&u64::from_le_bytes(*window)))
            .count();
    }
    left
}

fn words_of(seeds: impl IntoIterator<Item = u64>) -> HashSet<u64> {
    seeds
        .into_iter()
        .flat_map(|seed| {
            let bytes = embedding(seed);
            let words = bytes.as_chunks::<8>().0.iter();
            words
                .map(|word| u64::from_le_bytes(*word))
                .collect::<Vec<_>>()
        })
        .collect()
}

fn erased(store: &mut Store) {
    assert_eq!(store.erase_log(), Ok(LogErased::Done));
}

#[test]
fn no_word_of_a_withdrawn_embedding_is_left() {
    let mut fixture = Fixture::new();
    let store = &mut fixture.store;
    store
        .person_enrol(&person("stays", &[], &[1]), NOW)
        .expect("enrolled");
    store
        .person_enrol(&person("goes", &[], &[2, 3]), NOW)
        .expect("enrolled");
    let (stays, goes) = (words_of([1]), words_of([2, 3]));
    erased(store);
    assert_eq!(
        words_left(fixture.folder.path(), &goes),
        2 * 256,
        "seen while enrolled"
    );
    store.person_withdraw("goes").expect("withdrawn");
    erased(store);
    assert_eq!(words_left(fixture.folder.path(), &goes), 0);
    assert_eq!(words_left(fixture.folder.path(), &stays), 256);
}

/// People come and go in a shuffled order, so that pages of every table merge and split.
/// Canary: leave out the `UPDATE embeddings` of `erase_reference`, and this fails.
#[test]
fn nothing_is_left_after_much_coming_and_going() {
    let mut fixture = Fixture::new();
    let store = &mut fixture.store;
    let mut state = 0x1234_5678_u64;
    let mut random = move |below: u64| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let mut seed = 0;
    let mut here: Vec<(String, Vec<u64>)> = Vec::new();
    let mut gone = Vec::new();
    for round in 0..700 {
        let growing = here.len() < 20 || (round < 500 && random(3) > 0);
        if growing {
            let seeds: Vec<u64> = (seed..=seed + random(4)).collect();
            seed += 10;
            let name = format!("{:04}-{round}", random(10_000));
            store
                .person_enrol(&person(&name, &[], &seeds), NOW)
                .expect("enrolled");
            here.push((name, seeds));
        } else {
            let place = random(here.len() as u64) as usize;
            let (name, seeds) = here.swap_remove(place);
            store.person_withdraw(&name).expect("withdrawn");
            gone.extend(seeds);
        }
    }
    erased(store);
    let withdrawn = gone.len();
    assert!(withdrawn > 300, "{withdrawn} withdrawn");
    let left = words_left(fixture.folder.path(), &words_of(gone));
    let what = "store: any eight bytes of a withdrawn embedding, after much coming and going";
    record("Erasure", what, 256 * withdrawn as u64, left as u64);
    assert_eq!(left, 0);
    let kept = words_of(here.into_iter().flat_map(|(_, seeds)| seeds));
    assert_eq!(
        words_left(fixture.folder.path(), &kept),
        kept.len(),
        "each once"
    );
    store.check().expect("sound");
}

#[test]
fn an_aborted_import_leaves_nothing() {
    let mut fixture = Fixture::new();
    let store = &mut fixture.store;
    let import = store.import_begin(NOW).expect("begun");
    let batch: Vec<_> = (0..50)
        .map(|n| person(&format!("n{n}"), &[], &[n]))
        .collect();
    store.import_add(import, &batch, NOW).expect("staged");
    store.import_abort(import).expect("aborted");
    erased(store);
    assert_eq!(words_left(fixture.folder.path(), &words_of(0..50)), 0);
}

#[test]
fn one_reference_of_a_person_is_erased_alone() {
    let mut fixture = Fixture::new();
    let store = &mut fixture.store;
    store
        .person_enrol(&person("e1", &[], &[1]), NOW)
        .expect("enrolled");
    store
        .references_add("e1", &[reference(2)], NOW)
        .expect("added");
    store.reference_withdraw(ReferenceId(1)).expect("withdrawn");
    erased(store);
    assert_eq!(words_left(fixture.folder.path(), &words_of([1])), 0);
    assert_eq!(words_left(fixture.folder.path(), &words_of([2])), 256);
}

#[test]
fn a_reader_in_the_way_is_said() {
    let mut fixture = Fixture::new();
    let reader = fixture.store.open_reader().expect("reader");
    let snapshot = reader.snapshot().expect("snapshot");
    fixture
        .store
        .person_enrol(&person("e1", &[], &[1]), NOW)
        .expect("enrolled");
    assert_eq!(fixture.store.erase_log(), Ok(LogErased::ReaderInTheWay));
    drop(snapshot);
    erased(&mut fixture.store);
}
