//! Rounding in the safe direction, and the small errors that every bound must count.

use crate::embedding::UNIT_NORM2_SLACK;

/// Largest norm of a parsed embedding: `sqrt(1 + 2^-20) < 1 + 2^-21`.
pub(crate) const UNIT_NORM_MAX: f64 = 1.0 + UNIT_NORM2_SLACK / 2.0;

/// What an f64 sum of 512 non-negative terms may lack, relatively: 512 * 2^-53 < 6e-14, twice for
/// the terms' own rounding and the square root, rounded up generously.
const F64_SUM_SLACK: f64 = 1e-12;

/// What the differences below the sum may lack: 512 components off by 2^-53 each, in norm.
const F64_DIFFERENCE_SLACK: f64 = 1e-14;

/// The smallest f32 at or above `x`.
pub(crate) fn up(x: f64) -> f32 {
    let rounded = x as f32;
    if f64::from(rounded) < x {
        rounded.next_up()
    } else {
        rounded
    }
}

/// The largest f32 at or below `x`.
pub(crate) fn down(x: f64) -> f32 {
    -up(-x)
}

/// An upper bound of a norm from the sum of squares that f64 arithmetic gave, of components of
/// size at most 1.
pub(crate) fn norm_up(sum_of_squares: f64) -> f64 {
    sum_of_squares.sqrt() * (1.0 + F64_SUM_SLACK) + F64_DIFFERENCE_SLACK
}

/// The nearest integer, ties to even, of a number of size below 2^22: adding 1.5 * 2^23 leaves no
/// room for a fraction. The baseline has no instruction for it, and a call would cost ten times.
#[inline]
pub(crate) fn nearest(x: f32) -> f32 {
    (x + 12_582_912.0) - 12_582_912.0
}

/// The same for f64 and 2^50.
#[inline]
pub(crate) fn nearest_f64(x: f64) -> f64 {
    (x + 6_755_399_441_055_744.0) - 6_755_399_441_055_744.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn nearest_is_round_ties_even(x in -1000.0f32..1000.0, half in -1000i16..1000) {
            let tie = f32::from(half) / 2.0;
            prop_assert_eq!(nearest(x), x.round_ties_even());
            prop_assert_eq!(nearest(tie), tie.round_ties_even());
            prop_assert_eq!(nearest_f64(x.into()), f64::from(x).round_ties_even());
            prop_assert_eq!(nearest_f64(tie.into()), f64::from(tie).round_ties_even());
        }

        #[test]
        fn up_and_down_enclose_tightly(x in -2.0f64..2.0) {
            prop_assert!(f64::from(up(x)) >= x && f64::from(up(x).next_down()) < x);
            prop_assert!(f64::from(down(x)) <= x && f64::from(down(x).next_up()) > x);
        }
    }
}
