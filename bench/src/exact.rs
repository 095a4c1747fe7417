//! Counts wrong answers: candidate lists that differ from the exhaustive f32 search in any bit.

use crate::machine::kernels;
use crate::population::{SEED, probe, view};
use cardea_engine::oracle::Exhaustive;
use cardea_engine::synthetic::{Shape, Synthetic};
use cardea_engine::{CandidateList, Embedding, Kernel, Row, Searcher, Threshold};
use std::error::Error;
use std::path::Path;

/// Probes whose answers are computed together.
const PART: u64 = 4096;
/// Rows that lie in memory at a time.
const ROWS_AT_ONCE: u64 = 8192;

/// Searches `count` probes with every SIMD tier of this CPU, and about `scalar` of them, spread
/// evenly, with the scalar tier; the number of wrong answers.
pub fn run(
    folder: &Path,
    shape: Shape,
    rows: u64,
    (count, scalar): (u64, u64),
    threshold: Threshold,
) -> Result<u64, Box<dyn Error>> {
    let people = Synthetic::new(SEED, shape);
    let view = view(folder, shape, rows)?;
    let searchers: Vec<Searcher> = kernels()
        .into_iter()
        .map(|kernel| Searcher::new(kernel, 2))
        .collect::<Result<_, _>>()?;
    let plain = Searcher::new(Kernel::by_name("scalar")?, 2)?;
    let every = count.div_ceil(scalar.clamp(1, count));
    let mut wrong = 0;
    for first in (0..count).step_by(PART as usize) {
        let part: Vec<Embedding> = (first..count.min(first + PART))
            .map(|number| probe(&people, rows, threshold.value(), number))
            .collect();
        let expected = exhaustive(&people, rows, &part, threshold)?;
        for searcher in &searchers {
            // Batches of every size from 1 to 64, one after another.
            let (mut at, mut batch) = (0, 1);
            while at < part.len() {
                let end = part.len().min(at + batch);
                let found = searcher.search(&view, &part[at..end], threshold)?;
                let differ = found
                    .iter()
                    .zip(&expected[at..end])
                    .filter(|(a, b)| a != b)
                    .count();
                if differ > 0 {
                    eprintln!(
                        "{}: {differ} wrong from probe {}",
                        searcher.kernel().name(),
                        first + at as u64
                    );
                }
                wrong += differ as u64;
                (at, batch) = (end, batch % 64 + 1);
            }
        }
        // One probe at a time: the oracle of tiers is slow, its batches are the tiers' own tests.
        for at in (0..part.len()).filter(|&at| (first + at as u64).is_multiple_of(every)) {
            let found = plain.search(&view, &part[at..=at], threshold)?;
            if scalar > 0 && found[..] != expected[at..=at] {
                eprintln!("scalar: wrong at probe {}", first + at as u64);
                wrong += 1;
            }
        }
        eprintln!(
            "{shape:?} {rows} rows: {} of {count} probes, {wrong} wrong",
            first + part.len() as u64
        );
    }
    Ok(wrong)
}

/// The oracle on two threads, each with half of the rows, which are made anew piece by piece.
pub fn exhaustive(
    people: &Synthetic,
    rows: u64,
    probes: &[Embedding],
    threshold: Threshold,
) -> Result<Vec<CandidateList>, Box<dyn Error>> {
    let kernel = Kernel::best()?;
    let half = |range: std::ops::Range<u64>| {
        let mut search = Exhaustive::new(kernel, probes, threshold);
        let mut first = range.start;
        while first < range.end {
            let end = range.end.min(first + ROWS_AT_ONCE);
            let rows: Vec<Row> = (first..end).map(|person| people.row(person)).collect();
            search.add(&rows);
            first = end;
        }
        search
    };
    std::thread::scope(|scope| {
        let upper = scope.spawn(|| half(rows / 2..rows));
        let mut search = half(0..rows / 2);
        match upper.join() {
            Ok(upper) => search.merge(upper),
            Err(panic) => std::panic::resume_unwind(panic),
        }
        Ok(search.finish())
    })
}
