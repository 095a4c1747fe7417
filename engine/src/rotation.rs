//! The rotation that gathers a gallery's variance in its leading dimensions.
//!
//! Its rows are the eigenvectors of the second moment of a sample of the gallery's rows, largest
//! eigenvalue first, rounded to f32. It need not be exactly orthogonal, nor fit the rows of today:
//! the bound holds for any matrix, [`slack`] measures this one, and a poor fit only costs time.
//!
//! # Slack
//! A turned vector is 512 dot products in the score's fixed order, each off by at most
//! `67.01 u |R_i| |v|`, so `|fl(R v) - R v| <= delta = 67.01 u |R|_F |v|`. With
//! `eta = |R R' - I|_F`, at least the spectral norm of `R'R - I`, `|R v| <= (1 + eta) |v|` and
//! `|<q, x> - <fl(R q), fl(R x)>| <= (eta + 2 delta (1 + eta) + delta^2) |q| |x|`.

use crate::DIM;
use crate::bound::UNIT_NORM_MAX;
use crate::kernel::{Kernel, Scores, Work};
use nalgebra::{DMatrix, SymmetricEigen};
use smallvec::SmallVec;

/// Rows of a gallery that the rotation is made from, at most.
pub(crate) const SAMPLE_ROWS: usize = 8192;
/// Relative error of one dot product in the score's order: `(1 + u)^67 - 1 < 67.01 u`.
const DOT_ERROR: f64 = 67.01 / (1u64 << 24) as f64;

/// The rotation for a sample of rows, and the variance along each turned dimension.
pub(crate) fn of_sample(sample: &[[f32; DIM]]) -> (Vec<[f32; DIM]>, [f32; DIM]) {
    let x = DMatrix::<f32>::from_fn(DIM, sample.len(), |dim, row| sample[row][dim]);
    let moment = (&x * x.transpose()).map(f64::from) / sample.len().max(1) as f64;
    let eigen = SymmetricEigen::new(moment);
    let mut order: Vec<usize> = (0..DIM).collect();
    order.sort_by(|&a, &b| eigen.eigenvalues[b].total_cmp(&eigen.eigenvalues[a]));
    let mut matrix = vec![[0.0f32; DIM]; DIM];
    let mut spectrum = [0.0; DIM];
    for (i, &which) in order.iter().enumerate() {
        spectrum[i] = eigen.eigenvalues[which].clamp(0.0, 1.0) as f32;
        for (dim, component) in matrix[i].iter_mut().enumerate() {
            *component = eigen.eigenvectors[(dim, which)] as f32;
        }
    }
    (matrix, spectrum)
}

/// What rotation may cost a score, derived above; infinite if the matrix is not a rotation at all.
pub(crate) fn slack(matrix: &[[f32; DIM]]) -> f64 {
    let rows: Vec<[f64; DIM]> = matrix.iter().map(|row| row.map(f64::from)).collect();
    let mut eta2 = 0.0;
    let mut norm2 = 0.0;
    for (i, a) in rows.iter().enumerate() {
        for b in &rows[..i] {
            eta2 += 2.0 * dot(a, b).powi(2);
        }
        let own = dot(a, a);
        norm2 += own;
        eta2 += (own - 1.0).powi(2);
    }
    // f64 sums of 512 terms of size at most 1 are off by 1e-13 each: 512 of them in norm.
    let eta = eta2.sqrt() + 1e-10;
    let delta = DOT_ERROR * norm2.sqrt() * (1.0 + 1e-9);
    let slack = (eta + 2.0 * delta * (1.0 + eta) + delta * delta) * UNIT_NORM_MAX * UNIT_NORM_MAX;
    if slack.is_finite() {
        slack
    } else {
        f64::INFINITY
    }
}

fn dot(a: &[f64; DIM], b: &[f64; DIM]) -> f64 {
    let mut lanes = [0.0; 8];
    for (a, b) in a.as_chunks::<8>().0.iter().zip(b.as_chunks::<8>().0) {
        (0..8).for_each(|lane| lanes[lane] += a[lane] * b[lane]);
    }
    lanes.iter().sum()
}

/// Turns some vectors; `turned` holds them afterwards.
pub(crate) fn turn(
    kernel: Kernel,
    matrix: &[[f32; DIM]],
    x: &[&[f32; DIM]],
    turned: &mut Vec<[f32; DIM]>,
) {
    let axes: SmallVec<[&[f32; DIM]; DIM]> = matrix.iter().collect();
    turned.clear();
    turned.resize(x.len(), [0.0; DIM]);
    if let [only] = x {
        // Axes as rows: four sums in flight.
        let scores = &mut turned[0][..];
        kernel.run(Work::Scores(Scores {
            rows: &axes,
            probes: &[only],
            scores,
        }));
    } else {
        let scores = turned.as_flattened_mut();
        kernel.run(Work::Scores(Scores {
            rows: x,
            probes: &axes,
            scores,
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic::{Shape, Synthetic};

    #[test]
    fn gathers_variance_and_keeps_scores() {
        let people = Synthetic::new(4, Shape::Realistic);
        let rows: Vec<[f32; DIM]> = (0..2000)
            .map(|p| *people.reference(p, 0).as_array())
            .collect();
        let (matrix, spectrum) = of_sample(&rows);
        assert!(spectrum.windows(2).all(|pair| pair[0] >= pair[1]));
        assert!(spectrum[..128].iter().sum::<f32>() > 0.6);
        let slack = slack(&matrix[..]);
        assert!(slack > 1e-5 && slack < 3e-4, "{slack}");
        let best = Kernel::best().expect("avx2");
        let (q, x) = (&rows[0], &rows[1]);
        let (mut turned, mut alone) = (Vec::new(), Vec::new());
        turn(best, &matrix[..], &[q, x], &mut turned);
        turn(best, &matrix[..], &[q], &mut alone);
        assert_eq!(alone[0], turned[0]);
        let exact = |a: &[f32; DIM], b: &[f32; DIM]| {
            a.iter()
                .zip(b)
                .map(|(&a, &b)| f64::from(a) * f64::from(b))
                .sum::<f64>()
        };
        let off = (exact(q, x) - exact(&turned[0], &turned[1])).abs();
        assert!(off < slack, "{off} is more than {slack}");
    }

    #[test]
    fn what_is_no_rotation_has_a_slack_that_says_so() {
        let mut matrix = vec![[0.0f32; DIM]; DIM];
        assert!(slack(&matrix[..]) >= 1.0);
        matrix[3][3] = f32::NAN;
        assert!(slack(&matrix[..]) == f64::INFINITY);
    }
}
