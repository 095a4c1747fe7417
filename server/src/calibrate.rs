//! Calibration: the site's own gallery searched by itself, leave one out, beside the server.
//!
//! Each of a sample of references is a probe; the best score of another person is what a stranger
//! at the door might reach. Who measures is a thread of its own at the lowest priority, with a
//! searcher of its own; it holds one view. What the numbers mean is `cardea_engine::calibration`'s.

use cardea_engine::{Candidate, Embedding, Kernel, PersonId, Row, SearchError, Searcher};
use cardea_engine::{GalleryError, KernelError, Threshold, View};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;

use crate::limits::{CALIBRATION_SEARCHES_MAX, NEAR_PAIRS_MAX, PROBES_IN_BATCH_MAX};

/// Two persons this much alike are to be looked at: between persons as good as never, between two
/// captures of one person usual.
pub const NEAR_DUPLICATE_SCORE: f32 = 0.6;
/// References that find out how low to search, so that about half of the searches find somebody.
const PILOT: usize = 128;
/// What is tried for it: the higher, the fewer rows survive the plane, the faster.
const FLOORS: [f32; 6] = [0.4, 0.3, 0.2, 0.1, 0.0, -0.99];
/// The score of a search that found nobody above the floor: below every threshold.
const NOBODY: f32 = -1.0;

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CalibrationAsk {
    /// References to search with, spread evenly; at most `CALIBRATION_SEARCHES_MAX`.
    pub searches: usize,
}

/// What was found, for the administrator.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CalibrationReport {
    /// Persons in the gallery.
    pub persons: u64,
    /// References in the gallery.
    pub references: u64,
    /// Best score of another person, for each search; -1 where none reached `floor`.
    pub scores: Vec<f32>,
    /// The same without near-duplicates, where there are any.
    pub distinct_scores: Option<Vec<f32>>,
    /// Scores were looked at from here up.
    pub floor: f32,
    /// Near-duplicates among the references searched, most alike first.
    pub near: Vec<NearPair>,
    /// More near-duplicates than the list holds.
    pub near_left_out: u64,
    /// The threshold in force, and the people it was set for: 0 if it never was calibrated.
    pub threshold: f32,
    /// See `threshold`.
    pub threshold_people: u64,
    /// Attempts a day that matched nobody, from the audit; none if it has less than a day.
    pub strangers_a_day: Option<f64>,
}

/// Two persons that look like one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NearPair {
    /// External id.
    pub one: String,
    /// External id.
    pub other: String,
    /// The score between two of their references.
    pub score: f32,
}

/// The searches' part of the report.
#[derive(Debug, Clone, PartialEq)]
pub struct Measured {
    /// See [`CalibrationReport::scores`].
    pub scores: Vec<f32>,
    /// See [`CalibrationReport::distinct_scores`].
    pub distinct_scores: Option<Vec<f32>>,
    /// See [`CalibrationReport::floor`].
    pub floor: f32,
    /// Best score of each pair of persons that look like one.
    pub near: BTreeMap<(PersonId, PersonId), f32>,
    /// Pairs beyond the bound.
    pub near_left_out: u64,
}

/// Why there is no calibration.
#[derive(Debug)]
pub enum CalibrationError {
    /// Fewer than two persons.
    TooFew,
    /// Not one search to as many as one calibration may make.
    Searches {
        /// How many were asked.
        found: usize,
    },
    /// No kernel on this CPU.
    Kernel(KernelError),
    /// It took too long, or the server is stopping.
    Interrupted,
    /// A search failed.
    Search(SearchError),
    /// The gallery is damaged.
    Gallery(GalleryError),
}

/// Searches a view by itself on the calling thread, as long as `may_go_on` says so.
///
/// # Errors
/// See [`CalibrationError`].
pub fn measure(
    view: &View,
    searches: usize,
    may_go_on: impl Fn() -> bool,
) -> Result<Measured, CalibrationError> {
    if !(1..=CALIBRATION_SEARCHES_MAX).contains(&searches) {
        return Err(CalibrationError::Searches { found: searches });
    }
    let kernel = Kernel::best().map_err(CalibrationError::Kernel)?;
    let searcher = Searcher::new(kernel, 1).map_err(CalibrationError::Search)?;
    let sample = view.sample(searches).map_err(CalibrationError::Gallery)?;
    if view.persons() < 2 {
        return Err(CalibrationError::TooFew);
    }
    let pilot: Vec<Row> = sample
        .iter()
        .step_by(sample.len().div_ceil(PILOT))
        .cloned()
        .collect();
    let mut floor = FLOORS[FLOORS.len() - 1];
    for tried in FLOORS {
        let found = others(&searcher, view, &pilot, tried)?;
        if found.iter().filter(|list| !list.is_empty()).count() * 2 >= pilot.len() {
            floor = tried;
            break;
        }
    }
    let mut measured = Measured {
        scores: Vec::with_capacity(sample.len()),
        distinct_scores: None,
        floor,
        near: BTreeMap::new(),
        near_left_out: 0,
    };
    let mut distinct = Vec::with_capacity(sample.len());
    for rows in sample.chunks(PROBES_IN_BATCH_MAX) {
        if !may_go_on() {
            return Err(CalibrationError::Interrupted);
        }
        for (row, list) in rows.iter().zip(others(&searcher, view, rows, floor)?) {
            let best = |list: &mut dyn Iterator<Item = &Candidate>| {
                list.next().map_or(NOBODY, |candidate| candidate.score)
            };
            let is_near = |candidate: &&Candidate| candidate.score >= NEAR_DUPLICATE_SCORE;
            measured.scores.push(best(&mut list.iter()));
            distinct.push(best(&mut list.iter().skip_while(is_near)));
            for near in list.iter().take_while(is_near) {
                measured.note(row.person, near);
            }
        }
    }
    if distinct != measured.scores {
        measured.distinct_scores = Some(distinct);
    }
    Ok(measured)
}

impl Measured {
    fn note(&mut self, person: PersonId, near: &Candidate) {
        let pair = (person.min(near.person), person.max(near.person));
        let has_room = self.near.len() < NEAR_PAIRS_MAX;
        match self.near.entry(pair) {
            Entry::Occupied(mut score) => {
                *score.get_mut() = score.get().max(near.score);
            }
            Entry::Vacant(place) if has_room => {
                place.insert(near.score);
            }
            Entry::Vacant(_) => self.near_left_out += 1,
        }
    }
}

/// Other persons at or above a score, for each row as a probe, best first.
fn others(
    searcher: &Searcher,
    view: &View,
    rows: &[Row],
    floor: f32,
) -> Result<Vec<Vec<Candidate>>, CalibrationError> {
    let threshold = Threshold::new(floor).expect("the floors are thresholds");
    let mut lists = Vec::with_capacity(rows.len());
    for rows in rows.chunks(PROBES_IN_BATCH_MAX) {
        let probes: Vec<Embedding> = rows.iter().map(|row| row.embedding.clone()).collect();
        let found = searcher
            .search(view, &probes, threshold)
            .map_err(CalibrationError::Search)?;
        lists.extend(rows.iter().zip(found).map(|(row, list)| {
            let others = list.as_slice().iter();
            let others = others.filter(|candidate| candidate.person != row.person);
            others.copied().collect()
        }));
    }
    Ok(lists)
}

impl fmt::Display for CalibrationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooFew => f.write_str("a calibration takes at least two people"),
            Self::Searches { found } => {
                write!(f, "{found} searches, not 1 to {CALIBRATION_SEARCHES_MAX}")
            }
            Self::Kernel(error) => error.fmt(f),
            Self::Interrupted => f.write_str("the calibration was interrupted: ask fewer searches"),
            Self::Search(error) => error.fmt(f),
            Self::Gallery(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for CalibrationError {}

#[cfg(test)]
mod tests {
    use super::*;
    use cardea_engine::synthetic::{Shape, Synthetic};
    use cardea_engine::{ModelId, ReferenceId, score};

    /// Persons 0..150 with two references each, and a twin of person 7.
    fn gallery() -> (View, Vec<Row>) {
        let people = Synthetic::new(8, Shape::Realistic);
        let mut rows = Vec::new();
        for person in 0..150 {
            for index in 0..2 {
                rows.push(Row {
                    reference: ReferenceId(person * 2 + index),
                    person: PersonId(person),
                    embedding: people.reference(person, index),
                });
            }
        }
        rows.push(Row {
            reference: ReferenceId(900),
            person: PersonId(900),
            embedding: people.probe_at(7, 1, 0.9),
        });
        let view = View::empty(ModelId([0; 16]));
        (view.with_enrolled(&rows, 1).expect("in order"), rows)
    }

    /// Fails if a person's own references count, or if the twin is taken for the best stranger.
    #[test]
    fn finds_the_best_other_person_of_each() {
        let (view, rows) = gallery();
        let measured = measure(&view, 1000, || true).expect("searched");
        assert_eq!(measured.scores.len(), rows.len());
        let distinct = measured.distinct_scores.expect("there is a twin");
        for (at, row) in rows.iter().enumerate() {
            let others = rows.iter().filter(|other| other.person != row.person);
            let scores: Vec<f32> = others
                .map(|o| score(&row.embedding, &o.embedding))
                .collect();
            let best = scores.iter().copied().fold(-1.0, f32::max);
            let far = scores.iter().copied().filter(|&s| s < NEAR_DUPLICATE_SCORE);
            for (found, best) in [
                (measured.scores[at], best),
                (distinct[at], far.fold(-1.0, f32::max)),
            ] {
                let expected = if best >= measured.floor { best } else { NOBODY };
                assert_eq!(found, expected, "row {at}");
            }
        }
        let pairs: Vec<_> = measured.near.keys().copied().collect();
        assert_eq!(pairs, [(PersonId(7), PersonId(900))]);
        let reached = measured.scores.iter().filter(|&&s| s > NOBODY).count();
        assert!(reached * 3 > rows.len(), "{reached} at {}", measured.floor);
    }

    #[test]
    fn refuses_what_says_nothing() {
        let (view, rows) = gallery();
        for found in [0, CALIBRATION_SEARCHES_MAX + 1] {
            let refused = measure(&view, found, || true);
            assert!(
                matches!(refused, Err(CalibrationError::Searches { .. })),
                "{found}"
            );
        }
        assert!(measure(&view, CALIBRATION_SEARCHES_MAX, || true).is_ok());
        let alone = View::empty(ModelId([0; 16]));
        let alone = alone.with_enrolled(&rows[..2], 1).expect("in order");
        let stopped = measure(&view, 5, || false);
        assert!(matches!(stopped, Err(CalibrationError::Interrupted)));
        assert!(matches!(
            measure(&alone, 5, || true),
            Err(CalibrationError::TooFew)
        ));
    }

    /// Fails if `note` does not count what it leaves out.
    #[test]
    fn the_list_of_near_pairs_is_bounded() {
        let mut measured = Measured {
            scores: Vec::new(),
            distinct_scores: None,
            floor: 0.0,
            near: BTreeMap::new(),
            near_left_out: 0,
        };
        for other in 1..=NEAR_PAIRS_MAX as u64 + 3 {
            let near = Candidate {
                person: PersonId(other),
                reference: ReferenceId(other),
                score: 0.7,
            };
            measured.note(PersonId(0), &near);
        }
        assert_eq!(
            (measured.near.len(), measured.near_left_out),
            (NEAR_PAIRS_MAX, 3)
        );
    }
}
