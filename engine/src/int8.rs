//! The int8 pass: codes of a row and of a probe, and the proof that discarding is safe.
//!
//! # Codes
//! A vector `x` becomes integers `c` in -127..=127 and one scale `s`: `X = s c` is near `x`, and
//! `r >= |x - X|` is stored rounded up.
//!
//! # Proof
//! With probe `q = Q + e`, row `x = X + d`, `|e| <= rq`, `|d| <= rx`, by Cauchy-Schwarz
//!
//! `<q, x> = <Q, X> + <Q, d> + <e, x> <= <Q, X> + |Q| rx + rq |x|`.
//!
//! `<Q, X> = sq sx D` with the integer `D = sum cq cx`, `|D| <= 512 * 127^2 < 2^23`, exact in i32
//! and in f32. The f32 score is at most `<q, x> + SCORE_ERROR_MAX`. So the score can reach the
//! threshold `t` only if
//!
//! `sq sx D + |Q| rx >= t - rq |x| - SCORE_ERROR_MAX`.
//!
//! The left side is computed in f32: `sq sx` one rounding, times `D` one, `|Q| rx` one, the sum
//! one. A code is off by at most half a scale, and a scale is at most 1.0005/127, so
//! `rx, rq <= sqrt(512)/253.8 < 0.0893`, `|Q|, |X| <= 1.09`, and the computed side lacks at most
//! `u (2 * 1.09^2 + 1.09 * 0.09 + 1.29) < 3.8 u < ESTIMATE_ERROR_MAX`. The right side,
//! less that, is rounded down: [`Int8Probe::floor`]. What lies below the floor is below the
//! threshold; everything else is scored in f32.

use crate::bound::{UNIT_NORM_MAX, down, nearest, norm_up, up};
use crate::score::SCORE_ERROR_MAX;
use crate::{DIM, Threshold};
use bytemuck::{Pod, Zeroable};

/// Rounding of the estimate and its bound in f32, as the proof above counts it.
const ESTIMATE_ERROR_MAX: f64 = 3e-7;

/// What a row's codes need beside them.
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct Int8Norm {
    /// Value of one code step.
    pub(crate) scale: f32,
    /// At least the distance between the row and its codes.
    pub(crate) residual: f32,
}

/// Rows to be scanned.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Int8Rows<'a> {
    /// Codes, row after row.
    pub(crate) codes: &'a [[i8; DIM]],
    /// As many norms.
    pub(crate) norms: &'a [Int8Norm],
}

/// A probe as the int8 pass needs it, for one threshold.
#[derive(Clone, Debug)]
#[repr(C, align(64))]
pub(crate) struct Int8Probe {
    pub(crate) codes: [i8; DIM],
    /// 128 times the sum of the codes.
    pub(crate) sum128: i32,
    /// Value of one code step.
    scale: f32,
    /// At least the norm of the dequantised probe: what a row's residual weighs.
    weight: f32,
    /// Estimate and bound below this cannot reach the threshold.
    floor: f32,
}

/// Codes of a vector of norm at most about 1.
pub(crate) fn quantise(x: &[f32; DIM]) -> ([i8; DIM], Int8Norm) {
    let largest = x.iter().fold(0.0f32, |largest, x| largest.max(x.abs()));
    let scale = up(f64::from(largest) / 127.0).max(f32::MIN_POSITIVE);
    let inverse = 1.0 / scale;
    let mut codes = [0i8; DIM];
    for (code, x) in codes.iter_mut().zip(x) {
        *code = nearest(x * inverse).clamp(-127.0, 127.0) as i8;
    }
    let mut lanes = [0.0f64; 8];
    for (x, codes) in x.as_chunks::<8>().0.iter().zip(codes.as_chunks::<8>().0) {
        for lane in 0..8 {
            let off = f64::from(x[lane]) - f64::from(codes[lane]) * f64::from(scale);
            lanes[lane] += off * off;
        }
    }
    let residual = up(norm_up(lanes.iter().sum()));
    (codes, Int8Norm { scale, residual })
}

impl Int8Probe {
    /// Prepares a probe whose f32 vector is off from the true one by at most `slack` in the scores
    /// it gives (0 where nothing was rotated).
    pub(crate) fn new(q: &[f32; DIM], threshold: Threshold, slack: f64) -> Self {
        let (codes, Int8Norm { scale, residual }) = quantise(q);
        let codes2: f64 = codes.iter().map(|&c| f64::from(c) * f64::from(c)).sum();
        let weight = up(norm_up(codes2) * f64::from(scale));
        let reach = f64::from(threshold.value())
            - f64::from(residual) * UNIT_NORM_MAX
            - SCORE_ERROR_MAX
            - ESTIMATE_ERROR_MAX
            - slack;
        let sum128 = codes.iter().map(|&c| i32::from(c) * 128).sum();
        Self {
            codes,
            sum128,
            scale,
            weight,
            floor: down(reach),
        }
    }

    /// Whether a row with integer dot product `dot` may reach the threshold.
    #[inline]
    pub(crate) fn may_reach(&self, dot: i32, row: Int8Norm) -> bool {
        let estimate = (self.scale * row.scale) * dot as f32;
        estimate + self.weight * row.residual >= self.floor
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Embedding;
    use crate::score::score;
    use proptest::prelude::*;

    fn unit(components: &[f32]) -> Option<Embedding> {
        let norm = components
            .iter()
            .map(|&x| f64::from(x).powi(2))
            .sum::<f64>()
            .sqrt();
        let near: Vec<f32> = components
            .iter()
            .map(|&x| (f64::from(x) / norm) as f32)
            .collect();
        Embedding::new(&near).ok()
    }

    fn dot(a: &[i8; DIM], b: &[i8; DIM]) -> i32 {
        a.iter()
            .zip(b)
            .map(|(&a, &b)| i32::from(a) * i32::from(b))
            .sum()
    }

    proptest! {
        /// The threshold is the score itself, so the bound must keep the row; and the bound is
        /// not idle: far above the score it discards.
        #[test]
        fn a_row_at_the_threshold_is_kept(
            a in proptest::collection::vec(-1.0f32..1.0, DIM),
            b in proptest::collection::vec(-1.0f32..1.0, DIM),
            like in 0.0f32..1.0, sparse in 1usize..512,
        ) {
            let mixed: Vec<f32> = a.iter().zip(&b).enumerate()
                .map(|(i, (a, b))| if i % sparse == 0 { like * a + (1.0 - like) * b } else { 0.0 })
                .collect();
            if let (Some(q), Some(x)) = (unit(&a), unit(&mixed)) {
                let found = score(&q, &x);
                let (codes, norm) = quantise(x.as_array());
                if let Ok(threshold) = Threshold::new(found) {
                    let probe = Int8Probe::new(q.as_array(), threshold, 0.0);
                    prop_assert!(probe.may_reach(dot(&probe.codes, &codes), norm));
                }
                if let Ok(threshold) = Threshold::new(found + 0.2) {
                    let probe = Int8Probe::new(q.as_array(), threshold, 0.0);
                    prop_assert!(!probe.may_reach(dot(&probe.codes, &codes), norm));
                }
            }
        }
    }

    #[test]
    fn one_hot_rows_take_the_whole_range() {
        let mut x = [0.0f32; DIM];
        x[100] = -1.0;
        let (codes, norm) = quantise(&x);
        assert_eq!(codes[100], -127);
        assert!(norm.residual < 1e-6 && norm.scale * 127.0 >= 1.0);
    }
}
