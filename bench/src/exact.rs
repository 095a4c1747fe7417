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

/// Searches `count` probes with every SIMD tier of this CPU; the number of wrong answers.
pub fn run(
    folder: &Path,
    shape: Shape,
    rows: u64,
    count: u64,
    threshold: Threshold,
) -> Result<u64, Box<dyn Error>> {
    let people = Synthetic::new(SEED, shape);
    let view = view(folder, shape, rows)?;
    let searchers: Vec<Searcher> = kernels()
        .into_iter()
        .map(|kernel| Searcher::new(kernel, 2))
        .collect::<Result<_, _>>()?;
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
