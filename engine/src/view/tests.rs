//! A view against a `BTreeMap`, through random edits and snapshots.

use super::*;
use crate::gallery::Writer;
use crate::limits::{OVERLAY_ROWS_MAX, WITHDRAWALS_MAX};
use crate::synthetic::{Shape, Synthetic};
use crate::{Kernel, PersonId, Searcher, Threshold, oracle};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::path::Path;

const MODEL: ModelId = ModelId([7; 16]);

/// The store, as simple as can be.
#[derive(Clone, Default)]
struct Store {
    rows: BTreeMap<ReferenceId, Row>,
    next: u64,
    generation: u64,
}

#[derive(Clone, Debug)]
enum Edit {
    Enrol(usize),
    Withdraw(Vec<u64>),
    BeginSnapshot,
    SwapSnapshot,
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let edit = prop_oneof![
        4 => (1usize..300).prop_map(Edit::Enrol),
        4 => proptest::collection::vec(0u64..2000, 1..20).prop_map(Edit::Withdraw),
        1 => Just(Edit::BeginSnapshot),
        2 => Just(Edit::SwapSnapshot),
    ];
    proptest::collection::vec(edit, 1..30)
}

fn write(store: &Store, folder: &Path) -> Arc<Gallery> {
    let path = folder.join(crate::gallery::file_name(store.generation));
    if !path.exists() {
        let rows = store.rows.len() as u64;
        let writer = Writer::create(&path, MODEL, store.generation, rows);
        let mut writer = writer.expect("created");
        store
            .rows
            .values()
            .for_each(|row| writer.push(row).expect("pushed"));
        writer.finish().expect("finished");
    }
    Arc::new(Gallery::open(&path).expect("opened"))
}

fn check(view: &View, store: &Store, searcher: &Searcher, people: &Synthetic) {
    assert_eq!(view.rows(), store.rows.len());
    let rows: Vec<Row> = store.rows.values().cloned().collect();
    let probes: Vec<_> = [1, 5, 300]
        .map(|person| people.mated_probe(person, 0))
        .into();
    for threshold in [0.2, 0.41] {
        let threshold = Threshold::new(threshold).expect("in range");
        let expected = oracle::exhaustive(&rows, &probes, threshold);
        assert_eq!(
            searcher.search(view, &probes, threshold).expect("searched"),
            expected
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn a_view_equals_the_store_after_any_edits(edits in edits()) {
        let folder = tempfile::tempdir().expect("a folder");
        let people = Synthetic::new(77, Shape::Realistic);
        let searcher = Searcher::new(Kernel::best().expect("avx2"), 1).expect("one thread");
        let mut store = Store::default();
        let mut view = View::empty(MODEL);
        let mut writing: Option<Arc<Gallery>> = None;
        for edit in edits {
            match edit {
                Edit::Enrol(count) => {
                    store.generation += 1;
                    let rows: Vec<Row> = (0..count as u64).map(|i| Row {
                        reference: ReferenceId(store.next + i),
                        person: PersonId((store.next + i) / 2),
                        embedding: people.reference((store.next + i) / 2, (store.next + i) % 2),
                    }).collect();
                    store.next += count as u64;
                    view = view.with_enrolled(&rows, store.generation).expect("enrolled");
                    store.rows.extend(rows.into_iter().map(|row| (row.reference, row)));
                }
                Edit::Withdraw(ids) => {
                    store.generation += 1;
                    let ids: Vec<ReferenceId> = ids.into_iter().map(ReferenceId).collect();
                    view = view.with_withdrawn(&ids, store.generation).expect("withdrawn");
                    ids.iter().for_each(|id| { store.rows.remove(id); });
                }
                Edit::BeginSnapshot => writing = Some(write(&store, folder.path())),
                Edit::SwapSnapshot => if let Some(snapshot) = writing.take() {
                    view = view.with_snapshot(snapshot).expect("swapped");
                },
            }
            prop_assert_eq!(view.generation(), store.generation);
        }
        check(&view, &store, &searcher, &people);
        // A restart: the last snapshot alone.
        let reopened = View::of_snapshot(write(&store, folder.path()));
        check(&reopened, &store, &searcher, &people);
    }
}

#[test]
fn an_older_view_does_not_change() {
    let people = Synthetic::new(1, Shape::Realistic);
    let before = View::empty(MODEL)
        .with_enrolled(&[people.row(1)], 1)
        .expect("enrolled");
    let after = before.with_enrolled(&[people.row(2)], 2).expect("enrolled");
    let without = after
        .with_withdrawn(&[ReferenceId(1)], 3)
        .expect("withdrawn");
    assert_eq!((before.rows(), after.rows(), without.rows()), (1, 2, 1));
    assert_eq!((before.generation(), without.generation()), (1, 3));
}

#[test]
fn refuses_what_goes_backwards() {
    let people = Synthetic::new(1, Shape::Realistic);
    let view = View::empty(MODEL)
        .with_enrolled(&[people.row(5)], 3)
        .expect("enrolled");
    assert!(matches!(
        view.with_enrolled(&[people.row(5)], 4),
        Err(ViewError::ReferenceOrder { .. })
    ));
    let twice = [people.row(7), people.row(6)];
    assert!(matches!(
        view.with_enrolled(&twice, 4),
        Err(ViewError::ReferenceOrder { .. })
    ));
    assert!(matches!(
        view.with_withdrawn(&[], 2),
        Err(ViewError::GenerationOrder { .. })
    ));
    let folder = tempfile::tempdir().expect("a folder");
    let old = write(&Store::default(), folder.path());
    let newer = write(
        &Store {
            generation: 9,
            ..Store::default()
        },
        folder.path(),
    );
    let view = view.with_snapshot(newer).expect("swapped");
    assert_eq!((view.rows(), view.generation()), (0, 9));
    assert!(matches!(
        view.with_snapshot(old.clone()),
        Err(ViewError::SnapshotOrder { .. })
    ));
    let other = View::empty(ModelId([0; 16]));
    assert!(matches!(
        other.with_snapshot(old),
        Err(ViewError::Model { .. })
    ));
}

#[test]
fn both_logs_are_bounded() {
    assert_eq!(check_overlay(OVERLAY_ROWS_MAX), Ok(()));
    let rows = OVERLAY_ROWS_MAX + 1;
    assert_eq!(check_overlay(rows), Err(ViewError::OverlayFull { rows }));
    let ids = vec![ReferenceId(0); WITHDRAWALS_MAX];
    let full = View::empty(MODEL)
        .with_withdrawn(&ids, 1)
        .expect("up to the bound");
    let withdrawals = WITHDRAWALS_MAX + 1;
    let found = full.with_withdrawn(&ids[..1], 2).map(|view| view.rows());
    assert_eq!(found, Err(ViewError::WithdrawalsFull { withdrawals }));
}
