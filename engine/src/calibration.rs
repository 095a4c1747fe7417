//! Which decision threshold for which rate of false identifications, from a site's own gallery.
//!
//! Each reference is searched as a probe among the other persons' references ("leave one out"), and
//! the best score of each search is kept. For a stranger at the door the false positive
//! identification rate (FPIR) at threshold t is the part of such searches whose best score reaches
//! t. Pure functions: who searches, and how often people come to the doors, are arguments.

/// Best non-mated scores of leave-one-out searches in a gallery of some number of persons.
#[derive(Clone, Debug)]
pub struct Calibration {
    /// Rising.
    scores: Vec<f32>,
    persons: u64,
}

/// A rate with the ends of its 95 % confidence interval (Wilson score interval).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// Searches that reach the threshold, divided by all.
    pub rate: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// Two-sided 95 % of the normal distribution.
const Z95: f64 = 1.959_964;

impl Calibration {
    /// From the best non-mated score of each search, in any order; scores are finite.
    pub fn new(mut best_scores: Vec<f32>, persons: u64) -> Self {
        best_scores.retain(|score| score.is_finite());
        best_scores.sort_by(f32::total_cmp);
        Self {
            scores: best_scores,
            persons,
        }
    }

    /// Searches made.
    pub fn searches(&self) -> usize {
        self.scores.len()
    }

    /// Persons that were in the gallery.
    pub fn persons(&self) -> u64 {
        self.persons
    }

    /// FPIR at a threshold.
    pub fn fpir(&self, threshold: f32) -> Rate {
        let reach = self.scores.len() - self.scores.partition_point(|&score| score < threshold);
        wilson(reach as f64, self.scores.len() as f64)
    }

    /// FPIR at a threshold if `persons` were enrolled: each person adds the same chance, so the
    /// chance that none reaches is raised to the power of the ratio. Strangers differ in how easily
    /// they are mistaken; counting them as equal errs on the high side.
    pub fn fpir_for(&self, threshold: f32, persons: u64) -> Rate {
        let power = persons as f64 / (self.persons.max(1)) as f64;
        let grow = |rate: f64| 1.0 - (1.0 - rate).powf(power);
        let Rate { rate, low, high } = self.fpir(threshold);
        Rate {
            rate: grow(rate),
            low: grow(low),
            high: grow(high),
        }
    }

    /// The lowest threshold, in steps of 0.001, whose FPIR at `persons` is at most `wanted`; none
    /// if even 1 is too low a threshold, as with one person enrolled twice.
    pub fn threshold_for(&self, wanted: f64, persons: u64) -> Option<f32> {
        let thresholds = (0..=1000).map(|step| step as f32 / 1000.0);
        thresholds
            .into_iter()
            .find(|&t| self.fpir_for(t, persons).rate <= wanted)
    }

    /// The lowest threshold, in steps of 0.001, whose FPIR at `persons` is at most `wanted` even at
    /// the upper end of its confidence; none if so few searches cannot show that rate.
    pub fn sure_threshold_for(&self, wanted: f64, persons: u64) -> Option<f32> {
        let thresholds = (0..=1000).map(|step| step as f32 / 1000.0);
        thresholds
            .into_iter()
            .find(|&t| self.fpir_for(t, persons).high <= wanted)
    }

    /// Doors opened to strangers in a year, when `strangers_a_day` try.
    pub fn false_opens_a_year(&self, threshold: f32, persons: u64, strangers_a_day: f64) -> Rate {
        let tries = strangers_a_day * 365.25;
        let Rate { rate, low, high } = self.fpir_for(threshold, persons);
        Rate {
            rate: rate * tries,
            low: low * tries,
            high: high * tries,
        }
    }

    /// Points of the tail for a chart: threshold and FPIR, from the median score upwards.
    pub fn tail(&self, points: usize) -> Vec<(f32, Rate)> {
        let (Some(&low), Some(&high)) =
            (self.scores.get(self.scores.len() / 2), self.scores.last())
        else {
            return Vec::new();
        };
        let step = (high - low) / points.max(2).saturating_sub(1) as f32;
        (0..points)
            .map(|at| low + step * at as f32)
            .map(|t| (t, self.fpir(t)))
            .collect()
    }
}

/// The Wilson score interval of `hits` of `total`.
fn wilson(hits: f64, total: f64) -> Rate {
    if total == 0.0 {
        return Rate {
            rate: 0.0,
            low: 0.0,
            high: 1.0,
        };
    }
    let rate = hits / total;
    let z2 = Z95 * Z95;
    let middle = (rate + z2 / (2.0 * total)) / (1.0 + z2 / total);
    let spread = Z95 * (rate * (1.0 - rate) / total + z2 / (4.0 * total * total)).sqrt();
    let spread = spread / (1.0 + z2 / total);
    Rate {
        rate,
        low: (middle - spread).max(0.0),
        high: (middle + spread).min(1.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score;
    use crate::synthetic::{Shape, Synthetic};

    #[test]
    fn counts_what_reaches_and_says_how_sure() {
        let scores: Vec<f32> = (0..1000).map(|i| i as f32 / 1000.0).collect();
        let calibration = Calibration::new(scores, 100);
        let at = calibration.fpir(0.9);
        assert_eq!(at.rate, 0.1);
        // The interval as the textbooks give it for 100 of 1,000.
        assert!(
            (at.low - 0.0829).abs() < 1e-3 && (at.high - 0.1201).abs() < 1e-3,
            "{at:?}"
        );
        let never = calibration.fpir(1.5);
        assert!(never.rate == 0.0 && never.low < 1e-12 && (0.003..0.005).contains(&never.high));
        assert_eq!(calibration.threshold_for(0.1, 100), Some(0.9));
        let ten_times = calibration.fpir_for(0.9, 1000);
        assert!((ten_times.rate - (1.0 - 0.9f64.powi(10))).abs() < 1e-12);
        assert!(calibration.threshold_for(0.1, 1000) > Some(0.98));
        // 95 of 1,000 would do for one in ten; to be sure of it takes fewer.
        let sure = calibration.sure_threshold_for(0.1, 100);
        assert!(sure > Some(0.91) && sure < Some(0.93), "{sure:?}");
        assert_eq!(calibration.sure_threshold_for(1e-3, 100), None);
        let opens = calibration.false_opens_a_year(0.9, 100, 2.0);
        assert!((opens.rate - 73.05).abs() < 1e-9);
        assert_eq!(calibration.tail(11).len(), 11);
    }

    #[test]
    fn nothing_searched_promises_nothing() {
        let empty = Calibration::new(vec![f32::NAN], 0);
        assert_eq!(empty.searches(), 0);
        assert_eq!(
            empty.fpir(0.5),
            Rate {
                rate: 0.0,
                low: 0.0,
                high: 1.0
            }
        );
        assert!(empty.tail(5).is_empty());
    }

    #[test]
    fn predicts_a_larger_gallery_of_the_same_people() {
        let people = Synthetic::new(12, Shape::Realistic);
        let strangers: Vec<_> = (0..400).map(|n| people.stranger(n)).collect();
        let best = |persons: u64| {
            let rows: Vec<_> = (0..persons).map(|p| people.reference(p, 0)).collect();
            let best = |probe| {
                rows.iter()
                    .map(|row| score(probe, row))
                    .fold(-1.0, f32::max)
            };
            Calibration::new(strangers.iter().map(best).collect(), persons)
        };
        let (small, large) = (best(300), best(3000));
        for threshold in [0.25, 0.3] {
            let predicted = small.fpir_for(threshold, 3000);
            let found = large.fpir(threshold);
            assert!(
                predicted.high >= found.low,
                "{threshold}: {predicted:?} {found:?}"
            );
            assert!(
                predicted.low <= 2.0 * found.high,
                "{threshold}: {predicted:?} {found:?}"
            );
        }
    }
}
