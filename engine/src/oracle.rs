//! The exhaustive f32 search: what every answer of the engine must equal.
//!
//! [`exhaustive`] is the plainest: every pair, one after another, then a full sort. [`Exhaustive`]
//! computes the same for thousands of probes over millions of rows that never lie in memory at
//! once; it shares the score's fixed order and nothing of the passes, bounds or files.

use crate::candidate::{Candidate, CandidateList, Shortlist};
use crate::kernel::{Kernel, Scores, Work};
use crate::{DIM, Embedding, Row, Threshold, score};

/// Rows scored together: their 256 KiB stay in the second-level cache.
const ROW_BLOCK: usize = 128;
/// Probes scored together: 128 KiB.
const PROBE_BLOCK: usize = 63;

/// The candidates of each probe among `rows`, by scoring every pair.
pub fn exhaustive(rows: &[Row], probes: &[Embedding], threshold: Threshold) -> Vec<CandidateList> {
    let search = |probe: &Embedding| {
        let mut list = Shortlist::default();
        for row in rows {
            let score = score(probe, &row.embedding);
            if score >= threshold.value() {
                list.push(Candidate {
                    person: row.person,
                    reference: row.reference,
                    score,
                });
            }
        }
        list.finish()
    };
    probes.iter().map(search).collect()
}

/// An exhaustive search that takes the gallery in pieces, in any order.
#[derive(Debug)]
pub struct Exhaustive<'a> {
    kernel: Kernel,
    probes: &'a [Embedding],
    threshold: Threshold,
    lists: Vec<Shortlist>,
    scores: Vec<f32>,
}

impl<'a> Exhaustive<'a> {
    /// A search for any number of probes.
    pub fn new(kernel: Kernel, probes: &'a [Embedding], threshold: Threshold) -> Self {
        let lists = vec![Shortlist::default(); probes.len()];
        Self {
            kernel,
            probes,
            threshold,
            lists,
            scores: vec![0.0; ROW_BLOCK * PROBE_BLOCK],
        }
    }

    /// Scores every probe with every one of these rows.
    pub fn add(&mut self, rows: &[Row]) {
        for rows in rows.chunks(ROW_BLOCK) {
            let embeddings: Vec<&[f32; DIM]> =
                rows.iter().map(|row| row.embedding.as_array()).collect();
            let mut first = 0;
            for probes in self.probes.chunks(PROBE_BLOCK) {
                let probes: Vec<&[f32; DIM]> = probes.iter().map(Embedding::as_array).collect();
                let scores = &mut self.scores[..rows.len() * probes.len()];
                let work = Scores {
                    rows: &embeddings,
                    probes: &probes,
                    scores,
                };
                self.kernel.run(Work::Scores(work));
                let scores = &self.scores[..rows.len() * probes.len()];
                for (row, scores) in rows.iter().zip(scores.chunks_exact(probes.len())) {
                    for (list, &score) in self.lists[first..].iter_mut().zip(scores) {
                        if score >= self.threshold.value() {
                            let (person, reference) = (row.person, row.reference);
                            list.push(Candidate {
                                person,
                                reference,
                                score,
                            });
                        }
                    }
                }
                first += probes.len();
            }
        }
    }

    /// Joins a search of the same probes over other rows, made on another thread.
    pub fn merge(&mut self, other: Self) {
        assert_eq!(
            self.probes.len(),
            other.probes.len(),
            "searches of the same probes"
        );
        self.lists
            .iter_mut()
            .zip(other.lists)
            .for_each(|(list, other)| list.merge(&other));
    }

    /// The candidates of each probe.
    pub fn finish(mut self) -> Vec<CandidateList> {
        self.lists.iter_mut().map(Shortlist::finish).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic::{Shape, Synthetic};

    #[test]
    fn in_blocks_as_by_the_letter() {
        let people = Synthetic::new(8, Shape::Realistic);
        let rows: Vec<Row> = (0..700).map(|p| people.row(p)).collect();
        let probes: Vec<Embedding> = (0..130).map(|p| people.mated_probe(p, 0)).collect();
        for threshold in [-0.9, 0.1, 0.41] {
            let threshold = Threshold::new(threshold).expect("in range");
            let expected = exhaustive(&rows, &probes, threshold);
            for name in Kernel::names() {
                let Ok(kernel) = Kernel::by_name(name) else {
                    continue;
                };
                let mut whole = Exhaustive::new(kernel, &probes, threshold);
                whole.add(&rows[300..]);
                let mut part = Exhaustive::new(kernel, &probes, threshold);
                part.add(&rows[..300]);
                whole.merge(part);
                assert_eq!(whole.finish(), expected);
            }
        }
    }
}
