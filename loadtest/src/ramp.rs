//! A ramp: the same load at rising rates, until the server no longer holds what is asked. Pure.

use std::fmt;

use crate::limits::RAMP_STEPS_MAX;
use crate::verdict::Verdict;

/// The rates of a ramp.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ramp {
    /// Requests a second of the first step.
    pub from: f64,
    /// Each step's rate is the one before times this, above 1.
    pub factor: f64,
    /// Steps at most.
    pub steps: usize,
}

/// Why numbers are no ramp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RampError;

/// How a ramp ended.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum End {
    /// All steps hold; the knee lies above the last one.
    NotReached {
        /// The last rate.
        held: f64,
    },
    /// The knee lies between two rates.
    Knee {
        /// The highest rate that held; `None` where the first step failed.
        held: Option<f64>,
        /// The rate that did not.
        failed: f64,
    },
    /// The generator was the limit, not the server.
    Void {
        /// The highest rate that held.
        held: Option<f64>,
        /// The rate that the generator could not send.
        void: f64,
    },
}

impl Ramp {
    /// The rates, rising.
    ///
    /// # Errors
    /// [`RampError`] for a rate that is not above 0, a factor not above 1, no or too many steps.
    pub fn rates(&self) -> Result<Vec<f64>, RampError> {
        let sound = self.from > 0.0
            && self.from.is_finite()
            && self.factor > 1.0
            && self.factor.is_finite()
            && (1..=RAMP_STEPS_MAX).contains(&self.steps);
        if !sound {
            return Err(RampError);
        }
        let rate = |step: usize| self.from * self.factor.powi(step as i32);
        Ok((0..self.steps).map(rate).collect())
    }
}

/// Goes up the rates until one does not hold.
///
/// # Errors
/// The first error of `step`.
pub fn climb<E>(rates: &[f64], mut step: impl FnMut(f64) -> Result<Verdict, E>) -> Result<End, E> {
    let mut held = None;
    for rate in rates.iter().copied() {
        match step(rate)? {
            Verdict::Holds => held = Some(rate),
            Verdict::Fails => return Ok(End::Knee { held, failed: rate }),
            Verdict::Void(_) => return Ok(End::Void { held, void: rate }),
        }
    }
    let held = held.unwrap_or(0.0);
    Ok(End::NotReached { held })
}

impl End {
    /// The highest rate that held.
    #[must_use]
    pub fn held(&self) -> f64 {
        match *self {
            Self::NotReached { held } => held,
            Self::Knee { held, .. } | Self::Void { held, .. } => held.unwrap_or(0.0),
        }
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let held = self.held();
        match self {
            Self::NotReached { .. } => {
                write!(f, "no knee: {held:.0} requests a second still hold")
            }
            Self::Knee { failed, .. } => {
                write!(
                    f,
                    "knee between {held:.0} and {failed:.0} requests a second"
                )
            }
            Self::Void { void, .. } => write!(
                f,
                "{held:.0} requests a second hold; at {void:.0} the generator was the limit"
            ),
        }
    }
}

impl fmt::Display for RampError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a ramp begins above 0, rises by a factor above 1, in 1 to {RAMP_STEPS_MAX} steps"
        )
    }
}

impl std::error::Error for RampError {}

#[cfg(test)]
mod tests {
    use super::*;

    const RAMP: Ramp = Ramp {
        from: 100.0,
        factor: 2.0,
        steps: 4,
    };

    fn climbed(verdict: impl Fn(f64) -> Verdict) -> End {
        let rates = RAMP.rates().expect("a ramp");
        let end: Result<End, ()> = climb(&rates, |rate| Ok(verdict(rate)));
        end.expect("no step errs")
    }

    #[test]
    fn the_knee_lies_between_the_last_that_held_and_the_first_that_did_not() {
        let server = |limit: f64| {
            move |rate: f64| {
                if rate <= limit {
                    Verdict::Holds
                } else {
                    Verdict::Fails
                }
            }
        };
        let held = Some(200.0);
        let failed = 400.0;
        assert_eq!(climbed(server(250.0)), End::Knee { held, failed });
        assert_eq!(climbed(server(1e9)), End::NotReached { held: 800.0 });
        let (held, failed) = (None, 100.0);
        assert_eq!(climbed(server(1.0)), End::Knee { held, failed });
    }

    #[test]
    fn a_generator_at_its_limit_is_not_the_servers_knee() {
        let end = climbed(|rate| match rate < 300.0 {
            true => Verdict::Holds,
            false => Verdict::Void(String::new()),
        });
        let (held, void) = (Some(200.0), 400.0);
        assert_eq!(end, End::Void { held, void });
    }

    #[test]
    fn numbers_that_are_no_ramp_are_refused() {
        assert_eq!(RAMP.rates(), Ok(vec![100.0, 200.0, 400.0, 800.0]));
        let steps = RAMP_STEPS_MAX + 1;
        for bad in [
            Ramp { from: 0.0, ..RAMP },
            Ramp {
                factor: 1.0,
                ..RAMP
            },
            Ramp {
                factor: f64::NAN,
                ..RAMP
            },
            Ramp { steps: 0, ..RAMP },
            Ramp { steps, ..RAMP },
        ] {
            assert_eq!(bad.rates(), Err(RampError), "{bad:?}");
        }
    }
}
