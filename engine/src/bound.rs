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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn up_and_down_enclose_tightly(x in -2.0f64..2.0) {
            prop_assert!(f64::from(up(x)) >= x && f64::from(up(x).next_down()) < x);
            prop_assert!(f64::from(down(x)) <= x && f64::from(down(x).next_up()) > x);
        }
    }
}
