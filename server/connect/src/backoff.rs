//! When to try again after a connection failed. Pure: randomness is an argument.

use std::time::Duration;

use crate::limits::{BACKOFF_MAX, BACKOFF_MIN};

/// The pause before the next attempt after this many failures in a row (from 1): twice as long
/// each time up to [`BACKOFF_MAX`], and between half and all of that, so that many sites do not
/// come back at once.
#[must_use]
pub fn pause(failures: u32, random: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    let longest = BACKOFF_MIN.saturating_mul(1 << doublings).min(BACKOFF_MAX);
    let share = f64::from(random) / f64::from(u32::MAX);
    longest.mul_f64(0.5 + 0.5 * share)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fails without `min(BACKOFF_MAX)`, and without the jitter.
    #[test]
    fn pauses_grow_to_a_bound_and_differ_between_sites() {
        assert_eq!(pause(1, u32::MAX), BACKOFF_MIN);
        assert_eq!(pause(1, 0), BACKOFF_MIN / 2);
        assert_eq!(pause(3, u32::MAX), BACKOFF_MIN * 4);
        for failures in [10, 1_000, u32::MAX] {
            assert_eq!(pause(failures, u32::MAX), BACKOFF_MAX);
            assert_eq!(pause(failures, 0), BACKOFF_MAX / 2);
        }
    }
}
