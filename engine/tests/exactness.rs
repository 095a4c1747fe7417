//! The promise: the candidate list equals that of the exhaustive f32 search, bit for bit, for
//! every kernel, batch size and thread count, also with scores within one ulp of the threshold.

mod common;

use cardea_engine::oracle::{Exhaustive, exhaustive};
use cardea_engine::synthetic::{Shape, Synthetic};
use cardea_engine::{Embedding, Kernel, Row, SearchError, Searcher, Threshold, View, score};
use common::*;

fn kernels() -> Vec<Kernel> {
    let by_name = |name| {
        Kernel::by_name(name)
            .map_err(|why| println!("skipped: {why}"))
            .ok()
    };
    Kernel::names().filter_map(by_name).collect()
}

/// 0.41, and the exact scores that some rows have with some probes, one ulp up and down.
fn thresholds(rows: &[Row], probes: &[Embedding]) -> Vec<Threshold> {
    let mut thresholds = vec![threshold(0.41)];
    for (probe, row) in [
        (0, 0),
        (probes.len() - 1, rows.len() / 2),
        (probes.len() / 2, rows.len() - 1),
    ] {
        let exact = score(&probes[probe], &rows[row].embedding);
        let near = [exact.next_down(), exact, exact.next_up()];
        thresholds.extend(
            near.into_iter()
                .filter_map(|near| Threshold::new(near).ok()),
        );
    }
    thresholds
}

fn check(
    view: &View,
    searcher: &Searcher,
    probes: &[Embedding],
    at: Threshold,
    expected: &[cardea_engine::CandidateList],
) {
    let found = searcher.search(view, probes, at).expect("searched");
    assert_eq!(
        found,
        expected,
        "{searcher:?} batch {} at {at:?}",
        probes.len()
    );
}

#[test]
fn small_galleries_every_kernel_batch_and_thread_count() {
    for shape in SHAPES {
        let people = Synthetic::new(41, shape);
        for count in [1, 7, 255, 256, 257] {
            let rows = rows(&people, count);
            let probes = probes(&people, &rows, 64);
            for in_snapshot in [0, count * 3 / 4, count] {
                let folder = tempfile::tempdir().expect("a folder");
                let (view, left) = mixed_view(folder.path(), &rows, in_snapshot);
                for at in thresholds(&rows, &probes) {
                    let expected = exhaustive(&left, &probes, at);
                    for kernel in kernels() {
                        let searcher = Searcher::new(kernel, 2).expect("threads");
                        for batch in [1, 2, 3, 7, 8, 33, 64] {
                            check(&view, &searcher, &probes[..batch], at, &expected[..batch]);
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn ten_thousand_rows_every_batch() {
    for shape in SHAPES {
        let people = Synthetic::new(42, shape);
        let rows = rows(&people, 10_000);
        let probes = probes(&people, &rows, 64);
        let folder = tempfile::tempdir().expect("a folder");
        let (view, left) = mixed_view(folder.path(), &rows, 8_000);
        for at in thresholds(&rows, &probes) {
            let expected = exhaustive(&left, &probes, at);
            for kernel in kernels() {
                if kernel.name() == "scalar" && at != threshold(0.41) {
                    continue;
                }
                let searcher = Searcher::new(kernel, 1).expect("threads");
                check(&view, &searcher, &probes, at, &expected);
                check(&view, &searcher, &probes[3..4], at, &expected[3..4]);
            }
        }
        let at = threshold(0.3);
        let expected = exhaustive(&left, &probes, at);
        let searcher = Searcher::new(Kernel::best().expect("avx2"), 1).expect("threads");
        for batch in 1..=64 {
            check(
                &view,
                &searcher,
                &probes[64 - batch..],
                at,
                &expected[64 - batch..],
            );
        }
    }
}

#[test]
fn a_hundred_thousand_rows_one_to_eight_threads() {
    let people = Synthetic::new(43, Shape::Realistic);
    let rows = rows(&people, 100_000);
    let probes = probes(&people, &rows, 64);
    let folder = tempfile::tempdir().expect("a folder");
    let (view, left) = mixed_view(folder.path(), &rows, 95_000);
    for at in thresholds(&rows, &probes).into_iter().take(4) {
        let best = Kernel::best().expect("avx2");
        let mut oracle = Exhaustive::new(best, &probes, at);
        oracle.add(&left);
        let expected = oracle.finish();
        for kernel in kernels()
            .into_iter()
            .filter(|kernel| kernel.name() != "scalar")
        {
            for threads in 1..=8 {
                let searcher = Searcher::new(kernel, threads).expect("threads");
                check(
                    &view,
                    &searcher,
                    &probes[..threads],
                    at,
                    &expected[..threads],
                );
                if threads % 4 == 2 {
                    check(&view, &searcher, &probes, at, &expected);
                }
            }
        }
    }
}

#[test]
fn everything_above_a_low_threshold() {
    // Thousands of hits a probe: the lists are cut at their bound, the same on any thread count.
    let people = Synthetic::new(44, Shape::Realistic);
    let rows = rows(&people, 20_000);
    let probes = probes(&people, &rows, 5);
    let folder = tempfile::tempdir().expect("a folder");
    let (view, left) = mixed_view(folder.path(), &rows, 15_000);
    for at in [threshold(-0.999), threshold(0.0)] {
        let expected = exhaustive(&left, &probes, at);
        assert!(
            expected
                .iter()
                .all(|list| list.is_truncated() && list.len() == 64)
        );
        for threads in [1, 3] {
            let searcher = Searcher::new(Kernel::best().expect("avx2"), threads).expect("threads");
            check(&view, &searcher, &probes, at, &expected);
        }
    }
}

#[test]
fn half_of_the_gallery_is_the_probe() {
    // The planner expects a thousandth to survive the plane and half does: the search changes to
    // int8 on the way and must not lose a row.
    let people = Synthetic::new(46, Shape::Realistic);
    let mut rows: Vec<Row> = (0..20_000).map(|person| people.row(person)).collect();
    let twin = people.reference(7, 0);
    rows.iter_mut()
        .step_by(2)
        .for_each(|row| row.embedding = twin.clone());
    let folder = tempfile::tempdir().expect("a folder");
    let (view, left) = mixed_view(folder.path(), &rows, 19_000);
    let prediction = view.snapshot().and_then(|s| s.prediction(threshold(0.41)));
    assert!(prediction.is_some_and(|prediction| prediction.uses_plane()));
    let probes = [twin, people.stranger(1), people.mated_probe(9, 0)];
    let expected = exhaustive(&left, &probes, threshold(0.41));
    for kernel in kernels() {
        for threads in [1, 2] {
            let searcher = Searcher::new(kernel, threads).expect("threads");
            check(&view, &searcher, &probes, threshold(0.41), &expected);
        }
    }
}

#[test]
fn identical_rows_are_ranked_by_reference() {
    let people = Synthetic::new(45, Shape::Realistic);
    let mut rows: Vec<Row> = (0..500).map(|person| people.row(person)).collect();
    let twin = rows[499].embedding.clone();
    rows.iter_mut()
        .step_by(5)
        .for_each(|row| row.embedding = twin.clone());
    let folder = tempfile::tempdir().expect("a folder");
    let (view, left) = mixed_view(folder.path(), &rows, 400);
    let at = threshold(score(&twin, &twin));
    let expected = exhaustive(&left, std::slice::from_ref(&twin), at);
    assert_eq!(expected[0].len(), 64);
    for kernel in kernels() {
        let searcher = Searcher::new(kernel, 1).expect("threads");
        check(&view, &searcher, std::slice::from_ref(&twin), at, &expected);
    }
}

#[test]
fn both_ends_of_the_bounds() {
    let best = Kernel::best().expect("avx2");
    assert!(matches!(
        Searcher::new(best, 0),
        Err(SearchError::Threads(_))
    ));
    assert!(matches!(
        Searcher::new(best, 65),
        Err(SearchError::Threads(_))
    ));
    let searcher = Searcher::new(best, 1).expect("threads");
    let view = View::empty(MODEL);
    let none = searcher.search(&view, &[], threshold(0.4));
    assert!(matches!(none, Err(SearchError::Probes { found: 0 })));
    let many = vec![one_hot(0); 65];
    let refused = searcher.search(&view, &many, threshold(0.4));
    assert!(matches!(refused, Err(SearchError::Probes { found: 65 })));
    let lists = searcher
        .search(&view, &many[..64], threshold(0.4))
        .expect("searched");
    assert!(lists.len() == 64 && lists.iter().all(|list| list.is_empty()));
}
