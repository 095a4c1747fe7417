//! What a search returns: persons at or above the threshold, best first.

use crate::limits::{CANDIDATES_MAX, SHORTLIST_MAX};
use crate::{PersonId, ReferenceId};
use smallvec::SmallVec;
use std::cmp::Ordering;

/// A person at or above the threshold, with the best of their references.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Candidate {
    /// Who.
    pub person: PersonId,
    /// The reference that scored best; the lowest id among equals.
    pub reference: ReferenceId,
    /// Its comparison score.
    pub score: f32,
}

/// Persons at or above the threshold, each once, best first, ties by lower reference id.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CandidateList {
    /// Hardly ever more than two, which take no memory of their own.
    candidates: SmallVec<[Candidate; 2]>,
    truncated: bool,
}

/// Collects hits in any order, in bounded memory, into the one list they make.
///
/// Folding early is safe: a person leaves only while [`CANDIDATES_MAX`] others are better, and a
/// better reference of theirs brings them back.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shortlist {
    hits: Vec<Candidate>,
    truncated: bool,
}

impl CandidateList {
    /// The candidates by rank.
    pub fn as_slice(&self) -> &[Candidate] {
        &self.candidates
    }

    /// The best candidate.
    pub fn best(&self) -> Option<&Candidate> {
        self.candidates.first()
    }

    /// True if nobody reached the threshold.
    pub fn is_empty(&self) -> bool {
        self.candidates.is_empty()
    }

    /// Persons in the list.
    pub fn len(&self) -> usize {
        self.candidates.len()
    }

    /// True if more than [`CANDIDATES_MAX`] persons reached the threshold, so that some are left
    /// out.
    pub fn is_truncated(&self) -> bool {
        self.truncated
    }
}

impl Shortlist {
    /// Takes one reference at or above the threshold.
    pub(crate) fn push(&mut self, hit: Candidate) {
        if self.hits.len() == SHORTLIST_MAX {
            self.fold();
        }
        self.hits.push(hit);
    }

    /// Takes what another part of the gallery gave.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.truncated |= other.truncated;
        for hit in &other.hits {
            self.push(*hit);
        }
    }

    /// The list; the memory is kept for the next one, which begins with [`Self::clear`].
    pub(crate) fn finish(&mut self) -> CandidateList {
        self.fold();
        CandidateList {
            candidates: SmallVec::from_slice(&self.hits),
            truncated: self.truncated,
        }
    }

    /// Nobody yet.
    pub(crate) fn clear(&mut self) {
        self.hits.clear();
        self.truncated = false;
    }

    fn fold(&mut self) {
        self.hits
            .sort_unstable_by(|a, b| a.person.cmp(&b.person).then_with(|| by_rank(a, b)));
        self.hits.dedup_by_key(|hit| hit.person);
        self.hits.sort_unstable_by(by_rank);
        if self.hits.len() > CANDIDATES_MAX {
            self.hits.truncate(CANDIDATES_MAX);
            self.truncated = true;
        }
    }
}

/// Higher score first, then lower reference id. Scores are finite.
fn by_rank(a: &Candidate, b: &Candidate) -> Ordering {
    let by_score = b.score.partial_cmp(&a.score).unwrap_or(Ordering::Equal);
    by_score.then_with(|| a.reference.cmp(&b.reference))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    /// Sorts everything, keeps the first of each person.
    fn by_the_letter(hits: &[Candidate]) -> (Vec<Candidate>, bool) {
        let mut best: BTreeMap<PersonId, Candidate> = BTreeMap::new();
        for hit in hits {
            let held = best.entry(hit.person).or_insert(*hit);
            if by_rank(hit, held) == Ordering::Less {
                *held = *hit;
            }
        }
        let mut list: Vec<Candidate> = best.into_values().collect();
        list.sort_by(by_rank);
        let truncated = list.len() > CANDIDATES_MAX;
        list.truncate(CANDIDATES_MAX);
        (list, truncated)
    }

    proptest! {
        #[test]
        fn any_order_any_split_one_list(
            scores in proptest::collection::vec((0u8..40, 0u64..300), 0..5000), parts in 1usize..5,
        ) {
            let scored = scores.iter().enumerate();
            let hits: Vec<Candidate> = scored.map(|(i, &(score, person))| Candidate {
                person: PersonId(person),
                reference: ReferenceId(i as u64),
                score: f32::from(score) / 40.0,
            }).collect();
            let mut whole = Shortlist::default();
            for part in hits.rchunks(hits.len() / parts + 1) {
                let mut shortlist = Shortlist::default();
                part.iter().for_each(|&hit| shortlist.push(hit));
                whole.merge(&shortlist);
            }
            let (expected, truncated) = by_the_letter(&hits);
            let found = whole.finish();
            prop_assert_eq!(found.as_slice(), &expected[..]);
            prop_assert_eq!(found.is_truncated(), truncated);
        }
    }
}
