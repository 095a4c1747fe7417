//! Two servers, or two versions of one, held against each other over runs taken in turn (A B A B).
//!
//! One run of each says little on a machine that others use too: differences below
//! [`NOISE_OF_ONE_PAIR`] mean nothing. Of several pairs the median of the ratios B / A counts, and
//! only where the pairs agree on the direction: with five pairs all of them, of more all but a few
//! (a sign test at 5 %). Pure.

use std::fmt;

use serde_json::Value;

use crate::limits::PAIRS_MAX;

/// A change of one pair, up or down, that may be the machine's.
pub const NOISE_OF_ONE_PAIR: f64 = 0.25;
/// A median change that is too small to speak of, however sure.
pub const TOO_SMALL: f64 = 0.03;
/// Pairs from which on their agreement says something.
const PAIRS_FOR_A_SIGN_TEST: usize = 5;
/// The chance that pairs of equals agree so well on one given direction.
const SIGN_TEST_LEVEL: f64 = 0.05;

/// Figures that are compared: a name, and where a report has it.
pub const FIGURES: [(&str, &str); 12] = [
    ("p50", "/all/response/p50"),
    ("p90", "/all/response/p90"),
    ("p99", "/all/response/p99"),
    ("p99.9", "/all/response/p99.9"),
    ("p100", "/all/response/p100"),
    ("service.p50", "/all/service/p50"),
    ("service.p99", "/all/service/p99"),
    ("handshake.p50", "/all/handshake/p50"),
    ("server.search.p50", "/server/search/p50"),
    ("server.record.p50", "/server/record/p50"),
    ("server.total.p50", "/server/total/p50"),
    ("server.total.p99", "/server/total/p99"),
];

/// What the pairs say of one figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finding {
    /// No difference that could be told from noise.
    Alike,
    /// B is lower: faster.
    Lower,
    /// B is higher: slower.
    Higher,
    /// A large difference in too few pairs, or pairs that do not agree: run more.
    Unclear,
}

/// One figure over all pairs.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// The figure's name.
    pub name: &'static str,
    /// Median of A.
    pub a: f64,
    /// Median of B.
    pub b: f64,
    /// Median of the pairs' ratios B / A.
    pub ratio: f64,
    /// The least and the greatest ratio.
    pub range: (f64, f64),
    /// What they say.
    pub finding: Finding,
}

/// Why reports cannot be compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CompareError {
    /// Not as many reports of A as of B, or none, or more than [`PAIRS_MAX`].
    Unpaired {
        /// Of A.
        a: usize,
        /// Of B.
        b: usize,
    },
    /// A report of a run that says nothing: void, or with wrong answers or errors.
    Unsound {
        /// The pair, from 0.
        pair: usize,
        /// Why.
        why: &'static str,
    },
}

/// Compares reports (the JSON of `loadtest run`) pair by pair.
///
/// # Errors
/// [`CompareError`].
pub fn compare(a: &[Value], b: &[Value]) -> Result<Vec<Comparison>, CompareError> {
    let (of_a, of_b) = (a.len(), b.len());
    if of_a != of_b || a.is_empty() || of_a > PAIRS_MAX {
        return Err(CompareError::Unpaired { a: of_a, b: of_b });
    }
    for (pair, (a, b)) in a.iter().zip(b).enumerate() {
        for report in [a, b] {
            if let Some(why) = unsound(report) {
                return Err(CompareError::Unsound { pair, why });
            }
        }
    }
    let figures = FIGURES.iter().filter_map(|(name, place)| {
        let values = |reports: &[Value]| -> Option<Vec<f64>> {
            let value = |report: &Value| report.pointer(place)?.as_f64().filter(|us| *us > 0.0);
            reports.iter().map(value).collect()
        };
        Some(one_figure(name, &values(a)?, &values(b)?))
    });
    Ok(figures.collect())
}

fn unsound(report: &Value) -> Option<&'static str> {
    let zero = |place| report.pointer(place).and_then(Value::as_u64) == Some(0);
    if report.get("format").and_then(Value::as_str) != Some("cardea-loadtest-1") {
        Some("no report of this program")
    } else if report.get("verdict").and_then(Value::as_str) == Some("void") {
        Some("a void run")
    } else if !zero("/wrong") || !zero("/all/errors") || !zero("/all/refused") {
        Some("a run with wrong answers, errors or refusals")
    } else {
        None
    }
}

/// `a` and `b` have the same length, at least 1, and positive values.
fn one_figure(name: &'static str, a: &[f64], b: &[f64]) -> Comparison {
    let ratios: Vec<f64> = a.iter().zip(b).map(|(a, b)| b / a).collect();
    let ratio = median(&ratios);
    let least = ratios.iter().copied().fold(f64::INFINITY, f64::min);
    let greatest = ratios.iter().copied().fold(0.0, f64::max);
    Comparison {
        name,
        a: median(a),
        b: median(b),
        ratio,
        range: (least, greatest),
        finding: find(&ratios, ratio),
    }
}

fn find(ratios: &[f64], ratio: f64) -> Finding {
    let change = (ratio - 1.0).abs();
    if change < TOO_SMALL {
        return Finding::Alike;
    }
    if ratios.len() < PAIRS_FOR_A_SIGN_TEST {
        return if change <= NOISE_OF_ONE_PAIR {
            Finding::Alike
        } else {
            Finding::Unclear
        };
    }
    let agreeing = ratios.iter().filter(|r| (**r > 1.0) == (ratio > 1.0));
    if chance_of_agreement(agreeing.count(), ratios.len()) <= SIGN_TEST_LEVEL {
        if ratio < 1.0 {
            Finding::Lower
        } else {
            Finding::Higher
        }
    } else if change <= NOISE_OF_ONE_PAIR {
        Finding::Alike
    } else {
        Finding::Unclear
    }
}

/// The chance that at least `agreeing` of `pairs` fair coins fall on one given side.
fn chance_of_agreement(agreeing: usize, pairs: usize) -> f64 {
    let mut ways = 1.0;
    let mut sum = 0.0;
    for heads in 0..=pairs {
        if heads >= agreeing {
            sum += ways;
        }
        ways = ways * (pairs - heads) as f64 / (heads + 1) as f64;
    }
    sum / 2_f64.powi(i32::try_from(pairs).unwrap_or(i32::MAX))
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 {
        sorted[middle]
    } else {
        f64::midpoint(sorted[middle - 1], sorted[middle])
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Alike => "alike",
            Self::Lower => "B faster",
            Self::Higher => "B slower",
            Self::Unclear => "unclear: run more pairs",
        })
    }
}

impl fmt::Display for CompareError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unpaired { a, b } => write!(
                f,
                "{a} reports of A and {b} of B; 1 to {PAIRS_MAX} of each, as many of both"
            ),
            Self::Unsound { pair, why } => write!(f, "pair {}: {why}", pair + 1),
        }
    }
}

impl std::error::Error for CompareError {}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn report(p99: f64) -> Value {
        json!({
            "format": "cardea-loadtest-1", "verdict": "holds", "wrong": 0,
            "all": {"errors": 0, "refused": 0, "response": {"p99": p99}},
        })
    }

    fn finding(a: &[f64], b: &[f64]) -> Finding {
        let reports = |values: &[f64]| values.iter().map(|v| report(*v)).collect::<Vec<_>>();
        let found = compare(&reports(a), &reports(b)).expect("sound reports");
        assert_eq!(found.len(), 1, "figures that are absent or 0 are left out");
        found[0].finding
    }

    #[test]
    fn one_pair_says_nothing_below_a_quarter_and_little_above() {
        assert_eq!(finding(&[100.0], &[124.0]), Finding::Alike);
        assert_eq!(finding(&[100.0], &[180.0]), Finding::Unclear);
    }

    #[test]
    fn five_pairs_that_agree_tell_a_small_difference_and_noise_does_not() {
        let a = [100.0, 130.0, 90.0, 110.0, 105.0];
        assert_eq!(finding(&a, &a.map(|v| v * 1.1)), Finding::Higher);
        assert_eq!(finding(&a, &a.map(|v| v * 0.9)), Finding::Lower);
        assert_eq!(finding(&a, &a.map(|v| v * 1.01)), Finding::Alike);
        let mixed = [110.0, 120.0, 99.0, 100.0, 116.0];
        assert_eq!(finding(&a, &mixed), Finding::Alike);
        let wild = [200.0, 60.0, 200.0, 50.0, 300.0];
        assert_eq!(finding(&a, &wild), Finding::Unclear);
    }

    #[test]
    fn the_sign_test_counts_as_tables_do() {
        assert!((chance_of_agreement(5, 5) - 1.0 / 32.0).abs() < 1e-12);
        assert!((chance_of_agreement(9, 10) - 11.0 / 1_024.0).abs() < 1e-12);
        assert!((chance_of_agreement(0, 7) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn unsound_and_unpaired_reports_are_refused() {
        let sound = report(5.0);
        let unpaired = compare(std::slice::from_ref(&sound), &[]);
        assert_eq!(unpaired, Err(CompareError::Unpaired { a: 1, b: 0 }));
        for (place, value) in [
            ("wrong", json!(1)),
            ("verdict", json!("void")),
            ("format", json!(0)),
        ] {
            let mut other = sound.clone();
            other[place] = value;
            let found = compare(std::slice::from_ref(&sound), &[other]);
            assert!(
                matches!(found, Err(CompareError::Unsound { pair: 0, .. })),
                "{place}"
            );
        }
        let many = vec![sound; PAIRS_MAX + 1];
        assert!(matches!(
            compare(&many, &many),
            Err(CompareError::Unpaired { .. })
        ));
    }
}
