//! Probes with known answers: what an exhaustive f32 search finds among the site's people.
//!
//! Of the probes, 80 % are mated, 15 % of strangers, and 5 % made so that their score with one
//! person lies within [`NEAR_ULPS_MAX`] units in the last place of the threshold, above, on and
//! below it. Somebody else may score higher: the answer is always the search's, never the
//! intention's.

use std::error::Error;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use cardea_engine::oracle::Exhaustive;
use cardea_engine::synthetic::Stream;
use cardea_engine::{CandidateList, Embedding, Kernel, Row, Threshold, score};
use cardea_loadtest::probes::{Known, Match, Origin, ProbeKind, Probes};

use crate::limits::{NEAR_ATTEMPTS, NEAR_ULPS_MAX, ROWS_AT_ONCE};
use crate::site::{Site, tagged};
use crate::threads::in_any_order;

/// Seeds the choice of people apart from the people themselves.
const CHOICE: u64 = 0x7072_6f62_6573;

/// A probe before its answer is known.
struct Made {
    embedding: Embedding,
    kind: ProbeKind,
    truth: Option<u64>,
}

/// Makes `count` probes, searches all people for each, and writes the file. `done` is told how many
/// rows have been searched.
///
/// # Errors
/// A threshold out of range, a CPU without AVX2, or the file system's.
pub(crate) fn write(
    site: &Site,
    (threshold, model): (f32, [u8; 16]),
    count: usize,
    path: &Path,
    done: &(dyn Fn(u64) + Sync),
) -> Result<(), Box<dyn Error>> {
    let limit = Threshold::new(threshold)?;
    let kernel = Kernel::best()?;
    let made = make(site, threshold, count);
    let embeddings: Vec<Embedding> = made.iter().map(|probe| probe.embedding.clone()).collect();
    let answers = search(site, kernel, limit, &embeddings, done);
    let known = made.iter().zip(&answers).map(|(probe, list)| Known {
        kind: probe.kind,
        answer: list.best().map(|best| Match {
            person: tagged(best.person.0),
            score_bits: best.score.to_bits(),
        }),
        truth: probe.truth.map(tagged),
        granted: Some(list.best().is_some()),
    });
    let rows = embeddings.iter().map(Embedding::to_le_bytes).zip(known);
    let origin = Origin {
        seed: site.seed,
        people: site.people,
        threshold,
        model,
    };
    let probes = Probes::new(origin, rows.collect())?;
    let mut out = BufWriter::new(File::create(path)?);
    probes.write(&mut out)?;
    out.flush()?;
    Ok(())
}

fn make(site: &Site, threshold: f32, count: usize) -> Vec<Made> {
    let mut chance = Stream::new(site.seed ^ CHOICE);
    let people = site.population();
    let probe = |number: u64| {
        let person = chance.below(site.people);
        match number % 20 {
            0..16 => Made {
                embedding: people.mated_probe(person, number),
                kind: ProbeKind::Mated,
                truth: Some(person),
            },
            16..19 => Made {
                embedding: people.stranger(number),
                kind: ProbeKind::NonMated,
                truth: None,
            },
            _ => Made {
                embedding: near_threshold(site, threshold, person, number),
                kind: ProbeKind::NearThreshold,
                truth: Some(person),
            },
        }
    };
    (0..count as u64).map(probe).collect()
}

/// A probe of `person` with a score near the threshold: of many attempts, each in another direction
/// and aimed a little higher, the one whose rounding comes out closest to the offset wanted. Aiming
/// higher in one direction alone skips some offsets: the components are too coarse.
fn near_threshold(site: &Site, threshold: f32, person: u64, number: u64) -> Embedding {
    let people = site.population();
    let reference = people.reference(person, 0);
    let span = i64::from(2 * NEAR_ULPS_MAX + 1);
    let wanted = (number / 20) as i64 % span - i64::from(NEAR_ULPS_MAX);
    let distance = |probe: &Embedding| {
        let found = score(&reference, probe);
        (ulps(found, threshold) - wanted).unsigned_abs()
    };
    let attempt = |step: u32| {
        let offset = (f64::from(step % 33) - 16.0) * 1e-8;
        let direction = number << 16 | u64::from(step);
        people.probe_at(person, direction, f64::from(threshold) + offset)
    };
    let mut best = attempt(0);
    for step in 1..NEAR_ATTEMPTS {
        let probe = attempt(step);
        if distance(&probe) < distance(&best) {
            best = probe;
        }
        if distance(&best) == 0 {
            break;
        }
    }
    best
}

/// How many units in the last place `a` lies above `b`, both of the same sign.
fn ulps(a: f32, b: f32) -> i64 {
    i64::from(a.to_bits()) - i64::from(b.to_bits())
}

fn search(
    site: &Site,
    kernel: Kernel,
    threshold: Threshold,
    probes: &[Embedding],
    done: &(dyn Fn(u64) + Sync),
) -> Vec<CandidateList> {
    let pieces = site.rows().div_ceil(ROWS_AT_ONCE);
    let searches = in_any_order(pieces, &|mine| {
        let mut search = Exhaustive::new(kernel, probes, threshold);
        for piece in mine {
            let last = ((piece + 1) * ROWS_AT_ONCE).min(site.rows());
            let rows: Vec<Row> = (piece * ROWS_AT_ONCE..last)
                .map(|row| site.row(row))
                .collect();
            search.add(&rows);
            done(rows.len() as u64);
        }
        search
    });
    let mut whole = Exhaustive::new(kernel, probes, threshold);
    for search in searches {
        whole.merge(search);
    }
    whole.finish()
}

#[cfg(test)]
mod tests {
    use cardea_engine::oracle;

    use super::*;

    #[test]
    fn answers_are_those_of_the_plain_search_and_kinds_have_their_shares() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("probes");
        let site = Site::new(11, 5_000, 2, false).expect("a site");
        write(&site, (0.41, [1; 16]), 200, &path, &|_| {}).expect("written");
        let bytes = std::fs::read(&path).expect("there");
        let probes = Probes::parse(&bytes).expect("sound");
        assert_eq!(probes.count(), 200);

        let rows: Vec<Row> = (0..site.rows()).map(|row| site.row(row)).collect();
        let threshold = Threshold::new(0.41).expect("in range");
        let mut kinds = [0; 3];
        for number in 0..probes.count() {
            let embedding =
                Embedding::from_le_bytes(probes.embedding(number)).expect("unit length");
            let lists = oracle::exhaustive(&rows, &[embedding], threshold);
            let best = lists[0].best();
            let known = probes.known(number);
            let found = known.answer.as_ref();
            assert_eq!(found.is_some(), best.is_some());
            if let (Some(found), Some(best)) = (found, best) {
                assert_eq!(found.score_bits, best.score.to_bits());
                assert_eq!(found.person, tagged(best.person.0));
            }
            kinds[known.kind as usize] += 1;
        }
        assert_eq!(kinds, [160, 30, 10]);
    }

    #[test]
    fn probes_near_the_threshold_are_within_two_ulps_on_both_sides() {
        let site = Site::new(3, 1_000, 1, false).expect("a site");
        let mut offsets = Vec::new();
        for number in (19..20 * 40).step_by(20) {
            let person = number % 1_000;
            let probe = near_threshold(&site, 0.41, person, number);
            let found = score(&site.embedding(person), &probe);
            offsets.push(ulps(found, 0.41));
        }
        assert!(
            offsets.iter().all(|offset| offset.abs() <= 2),
            "{offsets:?}"
        );
        for wanted in -2..=2 {
            assert!(offsets.contains(&wanted), "none at {wanted}: {offsets:?}");
        }
    }
}
