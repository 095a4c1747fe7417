//! The comparison score: one f32 dot product in one fixed order.
//!
//! Eight lanes; lane `l` adds the products of components `l, l + 8, l + 16, ..` in rising order,
//! each product rounded before it is added (no fused multiply-add); then the tree
//! `((0+4) + (2+6)) + ((1+5) + (3+7))`. Every tier computes exactly this, so that the bits agree:
//! it is also what a processor without vector units, or another language, can repeat.
//!
//! # Error
//! Each product passes one rounding of its own, at most 63 additions in its lane (the first, to
//! zero, is exact) and 3 in the tree, so with u = 2^-24
//! `|score - exact| <= ((1+u)^67 - 1) * sum |a_i b_i| <= 67.01 u * |a| |b| < 4.1e-6`
//! for parsed embeddings (norms at most 1 + 2^-21), underflow adding less than 512 * 2^-149.
//! [`SCORE_ERROR_MAX`] rounds this up.

use crate::{DIM, Embedding};

/// Lanes of the fixed order.
pub(crate) const LANES: usize = 8;

/// Largest distance of a score from the exact dot product of two parsed embeddings.
pub(crate) const SCORE_ERROR_MAX: f64 = 4.1e-6;

/// The comparison score of two embeddings: about their cosine similarity, -1..1. The same bits on
/// every machine and tier; may be past 1 by rounding.
pub fn score(a: &Embedding, b: &Embedding) -> f32 {
    dot(a.as_array(), b.as_array())
}

/// The score before parsing: what every kernel's own version is compared with.
#[inline]
pub(crate) fn dot(a: &[f32; DIM], b: &[f32; DIM]) -> f32 {
    let mut sums = [0.0f32; LANES];
    for (a, b) in a
        .as_chunks::<LANES>()
        .0
        .iter()
        .zip(b.as_chunks::<LANES>().0)
    {
        for lane in 0..LANES {
            sums[lane] += a[lane] * b[lane];
        }
    }
    fold(sums)
}

/// The tree that adds the lanes.
#[inline]
pub(crate) fn fold(s: [f32; LANES]) -> f32 {
    ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic::{Shape, Synthetic};

    /// The order as the module states it, one number at a time.
    fn by_the_letter(a: &[f32], b: &[f32]) -> f32 {
        let mut lanes = [0.0f32; 8];
        for i in 0..512 {
            let product = a[i] * b[i];
            lanes[i % 8] += product;
        }
        let pairs: Vec<f32> = (0..4).map(|l| lanes[l] + lanes[l + 4]).collect();
        (pairs[0] + pairs[2]) + (pairs[1] + pairs[3])
    }

    #[test]
    fn follows_the_stated_order_and_error() {
        let people = Synthetic::new(3, Shape::Realistic);
        for person in 0..200 {
            let (a, b) = (people.reference(person, 0), people.reference(person + 1, 0));
            for b in [&a, &b] {
                let found = score(&a, b);
                assert_eq!(
                    found.to_bits(),
                    by_the_letter(a.as_slice(), b.as_slice()).to_bits()
                );
                let pairs = a.as_slice().iter().zip(b.as_slice());
                let exact: f64 = pairs.map(|(&a, &b)| f64::from(a) * f64::from(b)).sum();
                assert!((f64::from(found) - exact).abs() < SCORE_ERROR_MAX);
            }
        }
    }
}
