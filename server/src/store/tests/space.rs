//! Who came to Space, who went, who is held and who is due.

use super::fixture::{Fixture, NOW};
use crate::limits::SPACE_BATCH_MAX;
use crate::store::{SpaceGone, SpaceUser, StoreError};

const DAY_S: i64 = 86_400;

fn user(external_id: &str, digest: u64) -> SpaceUser {
    SpaceUser {
        external_id: external_id.into(),
        digest,
    }
}

fn gone(external_id: &str, since_unix_s: i64, held: bool) -> SpaceGone {
    SpaceGone {
        external_id: external_id.into(),
        since_unix_s,
        held,
    }
}

#[test]
fn who_goes_is_due_after_a_day_unless_held_or_back() {
    let mut fixture = Fixture::new();
    let store = &mut fixture.store;
    let all = ["a", "B", "c", "d"].map(|id| user(id, u64::MAX));
    store.space_seen(&all).expect("noted");
    store.space_gone(&["a".into()], false, NOW).expect("noted");
    store
        .space_gone(&["a".into(), "c".into(), "d".into()], true, NOW + 9)
        .expect("noted");

    let mut fixture = fixture.reopened();
    let store = &mut fixture.store;
    assert_eq!(store.read().space_known(), Ok(vec![user("B", u64::MAX)]));
    let due = |store: &crate::store::Store, held| {
        store
            .read()
            .space_gone_until(NOW + DAY_S, held, 10)
            .expect("read")
    };
    assert_eq!(due(store, false), [gone("a", NOW, false)]);
    assert_eq!(due(store, true).len(), 3);
    assert_eq!(store.read().space_gone_until(NOW - 1, true, 10), Ok(vec![]));
    store.space_seen(&[user("d", 5)]).expect("back");
    assert_eq!(store.read().space_held(), Ok(1));
    assert_eq!(store.space_confirm(), Ok(1));
    assert_eq!(
        due(store, false),
        [gone("a", NOW, false), gone("c", NOW + 9, false)]
    );
    store.space_forget("a").expect("forgotten");
    store.space_forget("B").expect("still there: not forgotten");
    assert_eq!(
        store.read().space_known(),
        Ok(vec![user("B", u64::MAX), user("d", 5)])
    );
    assert_eq!(due(store, true), [gone("c", NOW + 9, false)]);
}

#[test]
fn batches_are_bounded() {
    let mut fixture = Fixture::new();
    let store = &mut fixture.store;
    let many: Vec<_> = (0..=SPACE_BATCH_MAX)
        .map(|n| user(&format!("u{n}"), 1))
        .collect();
    store.space_seen(&many[1..]).expect("at the limit");
    assert!(matches!(
        store.space_seen(&many),
        Err(StoreError::Invalid { .. })
    ));
    let ids: Vec<_> = many.into_iter().map(|user| user.external_id).collect();
    store
        .space_gone(&ids[1..], true, NOW)
        .expect("at the limit");
    assert!(matches!(
        store.space_gone(&ids, true, NOW),
        Err(StoreError::Invalid { .. })
    ));
    assert_eq!(store.read().space_held(), Ok(SPACE_BATCH_MAX as u64));
}
