//! The decision threshold: a comparison score at or above it is a match.

use std::fmt;

/// A decision threshold in (-1, 1]. It is chosen for a wanted FPIR at the number of people
/// enrolled; the engine has no default.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Threshold(f32);

/// A number that is no threshold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ThresholdError {
    /// What was given.
    pub found: f32,
}

impl Threshold {
    /// Parses a score: finite, above -1, at most 1.
    pub fn new(score: f32) -> Result<Self, ThresholdError> {
        if score > -1.0 && score <= 1.0 {
            Ok(Self(score))
        } else {
            Err(ThresholdError { found: score })
        }
    }

    /// The score.
    pub fn value(self) -> f32 {
        self.0
    }
}

impl TryFrom<f32> for Threshold {
    type Error = ThresholdError;

    fn try_from(score: f32) -> Result<Self, ThresholdError> {
        Self::new(score)
    }
}

impl fmt::Display for ThresholdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a decision threshold lies above -1 and is at most 1, not {}",
            self.found
        )
    }
}

impl std::error::Error for ThresholdError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_of_the_range() {
        for good in [(-1.0f32).next_up(), 0.0, 0.41, 1.0] {
            assert_eq!(Threshold::new(good).map(Threshold::value), Ok(good));
        }
        for bad in [
            -1.0,
            1.0f32.next_up(),
            f32::INFINITY,
            f32::NEG_INFINITY,
            f32::NAN,
        ] {
            assert!(Threshold::new(bad).is_err());
        }
    }
}
