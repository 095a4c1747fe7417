//! Who came to Space, who went, who is held and who is due.

use super::fixture::{Fixture, NOW};
use crate::limits::SPACE_BATCH_MAX;
use crate::store::{SpaceBatch, StoreError};

fn named(people: &[(&str, u64)]) -> SpaceBatch {
    SpaceBatch {
        named: people
            .iter()
            .map(|(person, digest)| ((*person).to_owned(), *digest))
            .collect(),
        ..SpaceBatch::default()
    }
}

fn gone(people: &[&str], held: bool) -> SpaceBatch {
    SpaceBatch {
        gone: people.iter().map(|person| (*person).to_owned()).collect(),
        held,
        ..SpaceBatch::default()
    }
}

fn known(people: &[(&str, u64)]) -> Result<Vec<(String, u64)>, StoreError> {
    Ok(named(people).named)
}

fn due(people: &[&str]) -> Result<Vec<String>, StoreError> {
    Ok(gone(people, false).gone)
}

#[test]
fn who_goes_is_due_later_unless_held_or_back() {
    let mut fixture = Fixture::new();
    let store = &mut fixture.store;
    let all = [("a", u64::MAX), ("B", 2), ("c", 3), ("d", 4)];
    store.space_synced(&named(&all), NOW).expect("noted");
    store
        .space_synced(&gone(&["a"], false), NOW)
        .expect("noted");
    store
        .space_synced(&gone(&["a", "c", "d"], true), NOW + 9)
        .expect("noted");

    let mut fixture = fixture.reopened();
    let store = &mut fixture.store;
    assert_eq!(store.read().space_known(), known(&[("B", 2)]));
    assert_eq!(store.read().space_gone(NOW), due(&[]));
    assert_eq!(
        store.read().space_gone(NOW + 99),
        due(&["a"]),
        "the others are held"
    );
    assert_eq!(store.read().space_held(), Ok(2));
    store
        .space_synced(&named(&[("d", 5)]), NOW + 10)
        .expect("back");
    assert_eq!(store.space_release(), Ok(1));
    assert_eq!(store.read().space_gone(NOW + 9), due(&["a"]));
    assert_eq!(store.read().space_gone(NOW + 99), due(&["a", "c"]));
    store.space_forget("a").expect("forgotten");
    assert_eq!(store.read().space_gone(NOW + 99), due(&["c"]));
    assert_eq!(store.read().space_known(), known(&[("B", 2), ("d", 5)]));
}

#[test]
fn batches_are_bounded() {
    let mut fixture = Fixture::new();
    let store = &mut fixture.store;
    let ids: Vec<_> = (0..=SPACE_BATCH_MAX).map(|n| format!("u{n}")).collect();
    let all: Vec<_> = ids.iter().map(|id| (id.as_str(), 1)).collect();
    store
        .space_synced(&named(&all[1..]), NOW)
        .expect("at the limit");
    let refused = store.space_synced(&named(&all), NOW);
    assert!(matches!(refused, Err(StoreError::Invalid { .. })));
    store
        .space_synced(&named(&all[..1]), NOW)
        .expect("one more");
    let ids: Vec<_> = ids.iter().map(String::as_str).collect();
    store
        .space_synced(&gone(&ids[1..], false), NOW)
        .expect("at the limit");
    store
        .space_synced(&gone(&ids[..1], false), NOW)
        .expect("one more");
    let due = store.read().space_gone(NOW + 1).expect("read");
    assert_eq!(due.len(), SPACE_BATCH_MAX);
}
