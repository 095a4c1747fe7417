//! Planes: the few bytes a row that the first pass reads.
//!
//! Rows are turned by a rotation `R` that gathers their variance in the leading dimensions, then
//! kept as codes of few bits, and nothing for the last dimensions. There are two kinds. The *lone*
//! plane is for a search that waits for memory: 4 bits for the first `dims4` dimensions, 2 for the
//! next `dims2`. The *batch* plane is for one that waits for arithmetic: 6 bits, a byte each, for
//! the first `dims6` dimensions alone. [`Plan`] holds what all rows of a plane share.
//!
//! # Codes
//! With `y = fl(R x)` and a step `s_i` per dimension, a code `u_i` in `0..2^b` stands for
//! `Y_i = (u_i - o) s_i`, `o = (2^b - 1) / 2`; dropped dimensions have `Y_i = 0`. Four numbers go
//! with each row, rounded up into 7 bits by a minimum and a step of their own: the residual norms
//! `r4, r2` of the 4-bit and 2-bit blocks of `y - Y`, the norm `r0` of the dropped block of `y`,
//! and `m4 = |u - o|` over the 4-bit block. What is said of 4 bits holds for the 6 of a batch
//! plane.
//!
//! # Proof that discarding is safe
//! Let `p = fl(R q)` be the turned probe. Three steps lead from the score to integers.
//!
//! 1. *Rotation.* `<q, x> = <R q, R x> - q'(R'R - I)x`, and `p, y` differ from `R q, R x` by at
//!    most `delta` in norm, so `<q, x> <= <p, y> + slack` with `slack` from [`crate::rotation`].
//! 2. *Row.* Block by block, Cauchy-Schwarz:
//!    `<p, y> <= <p, Y> + |p4| r4 + |p2| r2 + |p0| r0`.
//! 3. *Probe.* `<p, Y> = sum (u_i - o) w_i` with `w_i = s_i p_i`. In groups of dimensions `w_i` is
//!    rounded to `S 2^k c_i`, `|c_i| <= 127`, the errors `e_i` computed in f64. Then
//!    `<p, Y> <= S sum 2^k c_i u_i - S sum 2^k c_i o + |e4| m4 + |e2| M2`, where `M2` is the
//!    largest `|u - o|` over the 2-bit block of any row.
//!
//! With weights `|p4|, |p2|, |p0|, |e4|` rounded up to `S c` per step of the row's four numbers,
//! everything that depends on the row is one integer
//! `I = sum 2^k c_i u_i + sum c_j n_j`, and a row can score `t` only if
//! `S I >= t - SCORE_ERROR_MAX - slack - |e2| M2 + S sum 2^k c_i o - sum weight_j minimum_j`.
//! The right side divided by `S`, less one for the rounding of f64 (sizes below 2^31, so the
//! error is below 2^-20), rounded down, is [`PlaneProbe::floor`]; `I` is exact in every tier.
//!
//! # Range
//! A 4-bit group is 32 dimensions: 8 additions of pairs of at most `2 * 15 * 127 = 3,810` stay
//! below 30,481 < 2^15. A 2-bit group is 64: 16 of at most 762. Of 6 bits 2 pairs of at most
//! 16,002. The numbers: pairs of at most `2 * 127 * 127 = 32,258`. With `k <= 10`, 16 groups stay
//! below `16 * 60,960 * 1,024 < 2^30`, and of 6 bits with `k <= 8` below
//! `16 * 256,032 * 256 < 2^30`.

mod geometry;

pub(crate) use geometry::{GROUP4, GROUPS_MAX, Geometry};

use crate::bound::{nearest, nearest_f64, norm_up, up};
use crate::score::SCORE_ERROR_MAX;
use crate::{DIM, Threshold};
use bytemuck::{Pod, Zeroable};
use geometry::{SHIFT_MAX, SHIFT6_MAX};

/// Rows whose bytes are interleaved.
pub(crate) const BLOCK_ROWS: usize = 16;
/// Four bytes of each row of a block.
pub(crate) type Line = [u8; 4 * BLOCK_ROWS];
/// Largest value of a row's four numbers, and of every code of a probe.
const NUMBER_MAX: u8 = 127;

const _: () = assert!(size_of::<Plan>() == 4144);
const _: () = assert!(8 * 2 * 15 * 127 <= i16::MAX as i32);
const _: () = assert!(16 * 2 * 3 * 127 <= i16::MAX as i32);
const _: () = assert!(2 * 127 * 127 <= i16::MAX as i32);
const _: () = assert!(2 * 2 * 63 * 127 <= i16::MAX as i32);
const _: () = assert!(((GROUPS_MAX as i64) * 32 * 15 * 127) << SHIFT_MAX < 1 << 30);
const _: () = assert!(((GROUPS_MAX as i64) * 32 * 63 * 127) << SHIFT6_MAX < 1 << 30);

/// What all rows of a plane share, as section `plan` stores it.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct Plan {
    dims4: u32,
    dims2: u32,
    /// Value of one code step of each dimension.
    steps: [f32; DIM],
    /// Variance along each dimension, of the rows that the rotation was made from.
    pub(crate) spectrum: [f32; DIM],
    /// Smallest of each of the four numbers `r4, r2, r0, m4`.
    minima: [f32; 4],
    /// Value of one step above it.
    number_steps: [f32; 4],
    /// `M2`.
    largest_m2: f32,
    dims6: u32,
}

/// One row of a plane, before its numbers are rounded.
#[derive(Clone, Debug)]
pub(crate) struct PlaneRow {
    codes: [u8; DIM],
    /// `r4, r2, r0, m4` of the module's doc, rounded up.
    pub(crate) numbers: [f32; 4],
    m2: f32,
}

/// The rows of a scan.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PlaneRows<'a> {
    pub(crate) geometry: Geometry,
    /// Codes, [`Geometry::lines`] a block.
    pub(crate) lines: &'a [Line],
    /// The four numbers, one line a block.
    pub(crate) numbers: &'a [Line],
    /// Rows; the last block may be padded.
    pub(crate) rows: usize,
}

/// A probe as the plane's pass needs it, for one plan and one threshold.
#[derive(Clone, Debug)]
#[repr(C, align(64))]
pub(crate) struct PlaneProbe {
    /// Codes by dimension.
    pub(crate) codes: [i8; DIM],
    /// Weights of the four numbers.
    pub(crate) weights: [i8; 4],
    /// Exponent `k` of each group; of a batch plane never rising from group to group.
    pub(crate) shifts: [u8; GROUPS_MAX],
    /// Sums below this cannot reach the threshold.
    pub(crate) floor: i32,
}

impl Plan {
    /// A plan for rows of this spectrum; the numbers' ranges come once all rows are known.
    pub(crate) fn new(geometry: Geometry, spectrum: &[f32; DIM]) -> Self {
        assert!(geometry.is_sound(), "{geometry:?}");
        let mut plan = Self::zeroed();
        (plan.dims4, plan.dims2) = (geometry.dims4 as u32, geometry.dims2 as u32);
        plan.dims6 = geometry.dims6 as u32;
        plan.spectrum = *spectrum;
        for (dim, step) in plan.steps.iter_mut().enumerate() {
            // The uniform quantiser of least error for a normal distribution (Max 1960).
            let ideal = if dim < geometry.dims6 {
                0.1041
            } else if dim < geometry.dims4 {
                0.3352
            } else {
                0.9957
            };
            *step = ideal * spectrum[dim].sqrt().max(1e-3);
        }
        plan
    }

    /// Sets the numbers' ranges from their least and largest values, and `M2`.
    pub(crate) fn set_ranges(&mut self, least: [f32; 4], largest: [f32; 4], largest_m2: f32) {
        self.minima = least;
        self.largest_m2 = largest_m2;
        for number in 0..4 {
            let range = f64::from(largest[number]) - f64::from(least[number]);
            // Rounded up twice over, so that 127 steps reach the largest.
            self.number_steps[number] = (range / 127.0 * (1.0 + 1e-6)) as f32;
        }
    }

    pub(crate) fn geometry(&self) -> Geometry {
        Geometry {
            dims6: self.dims6 as usize,
            dims4: self.dims4 as usize,
            dims2: self.dims2 as usize,
        }
    }

    /// The first thing that is wrong with a plan read from a file.
    pub(crate) fn problem(&self) -> Option<&'static str> {
        let within = |x: &f32, most: f32| (0.0..=most).contains(x);
        // Bounded first, so that the sums in `is_sound` cannot overflow.
        let most = self.dims6.max(self.dims4).max(self.dims2);
        if most > DIM as u32 || !self.geometry().is_sound() {
            Some("geometry")
        } else if !self
            .steps
            .iter()
            .all(|step| within(step, 4.0) && *step > 0.0)
        {
            Some("steps")
        } else if !self.spectrum.iter().all(|variance| within(variance, 2.0)) {
            Some("spectrum")
        } else if !self
            .minima
            .iter()
            .chain(&self.number_steps)
            .all(|x| within(x, 1e3))
        {
            Some("ranges")
        } else if !within(&self.largest_m2, 1e3) {
            Some("range of 2-bit codes")
        } else {
            None
        }
    }

    /// Codes of a turned row.
    pub(crate) fn quantise(&self, y: &[f32; DIM]) -> PlaneRow {
        let (first, most) = self.geometry().first_block();
        let end = self.geometry().dims();
        let mut row = PlaneRow {
            codes: [0; DIM],
            numbers: [0.0; 4],
            m2: 0.0,
        };
        let (codes4, codes2) = row.codes.split_at_mut(first);
        let (residual4, offset4) = quantise(&y[..first], &self.steps[..first], most, codes4);
        let two = first..end;
        let (residual2, offset2) = quantise(
            &y[two.clone()],
            &self.steps[two],
            3,
            &mut codes2[..end - first],
        );
        let rest: f64 = y[end..].iter().map(|&y| f64::from(y) * f64::from(y)).sum();
        row.numbers = [residual4, residual2, rest, offset4].map(|square| up(norm_up(square)));
        row.m2 = up(norm_up(offset2));
        row
    }

    /// A row's four numbers as the file has them.
    pub(crate) fn encode_numbers(&self, numbers: [f32; 4]) -> [u8; 4] {
        std::array::from_fn(|i| {
            let above = f64::from(numbers[i]) - f64::from(self.minima[i]);
            if above <= 0.0 {
                return 0;
            }
            let steps = (above / f64::from(self.number_steps[i])).ceil();
            let mut code = steps.min(f64::from(NUMBER_MAX)) as u8;
            // Division may round down across an integer: look again.
            if self.number(i, code) < f64::from(numbers[i]) && code < NUMBER_MAX {
                code += 1;
            }
            assert!(
                self.number(i, code) >= f64::from(numbers[i]),
                "rounded up, in range"
            );
            code
        })
    }

    fn number(&self, which: usize, code: u8) -> f64 {
        f64::from(self.minima[which]) + f64::from(code) * f64::from(self.number_steps[which])
    }
}

/// Codes in `0..=most` of one block of dimensions; the squared norms of `y - Y` and of `u - o`.
fn quantise(y: &[f32], steps: &[f32], most: u8, codes: &mut [u8]) -> (f64, f64) {
    let offset = f32::from(most) / 2.0;
    let (mut residuals, mut offsets) = ([0.0f64; 8], [0.0f32; 8]);
    let chunks = y.as_chunks::<8>().0.iter().zip(steps.as_chunks::<8>().0);
    for ((y, steps), codes) in chunks.zip(codes.as_chunks_mut::<8>().0) {
        for lane in 0..8 {
            let code = nearest(y[lane] / steps[lane] + offset).clamp(0.0, f32::from(most));
            let above = code - offset;
            let residual = f64::from(y[lane]) - f64::from(above) * f64::from(steps[lane]);
            residuals[lane] += residual * residual;
            // Quarters of integers below 2^24: exact.
            offsets[lane] += above * above;
            codes[lane] = code as u8;
        }
    }
    (
        residuals.iter().sum(),
        offsets.iter().map(|&square| f64::from(square)).sum(),
    )
}

impl PlaneRow {
    pub(crate) fn m2(&self) -> f32 {
        self.m2
    }

    /// Puts a row's codes in its place of its block's lines.
    pub(crate) fn place(&self, geometry: Geometry, lines: &mut [Line], place: usize) {
        for (line, bytes) in lines.iter_mut().enumerate() {
            for byte in 0..4 {
                bytes[place * 4 + byte] = if geometry.is_batch() {
                    self.codes[line * 4 + byte]
                } else if line < geometry.dims4 / 8 {
                    let first = line * 8 + byte;
                    self.codes[first] | self.codes[first + 4] << 4
                } else {
                    let first = geometry.dims4 + (line - geometry.dims4 / 8) * 16 + byte;
                    let code = |pair: usize| self.codes[first + pair * 4] << (2 * pair);
                    code(0) | code(1) | code(2) | code(3)
                };
            }
        }
    }
}

impl PlaneProbe {
    /// Prepares a turned probe `p`; `slack` bounds what rotation may cost a score.
    pub(crate) fn new(plan: &Plan, p: &[f32; DIM], threshold: Threshold, slack: f64) -> Self {
        let geometry = plan.geometry();
        let (first_block, most) = geometry.first_block();
        let mut probe = Self {
            codes: [0; DIM],
            weights: [0; 4],
            shifts: [0; GROUPS_MAX],
            floor: 0,
        };
        let w: [f64; DIM] =
            std::array::from_fn(|dim| f64::from(plan.steps[dim]) * f64::from(p[dim]));
        let mut squares = [0.0f64; 3];
        for (dim, &p) in p.iter().enumerate() {
            let block = usize::from(dim >= first_block) + usize::from(dim >= geometry.dims());
            squares[block] += f64::from(p) * f64::from(p);
        }
        // A block without dimensions adds nothing, not even the rounding of its sum.
        let [p4, p2, p0] = squares.map(|sum| if sum == 0.0 { 0.0 } else { norm_up(sum) });
        let largest =
            |(first, end): (usize, usize)| w[first..end].iter().fold(0.0f64, |m, w| m.max(w.abs()));

        // The unit: as fine as the weights of the numbers and the exponents allow.
        let finest = geometry.groups().map(largest).fold(0.0, f64::max);
        let finest = finest / f64::from(1 << geometry.shift_max());
        let steps = plan.number_steps.map(f64::from);
        let heaviest = [p4 * steps[0], p2 * steps[1], p0 * steps[2]]
            .into_iter()
            .fold(0.0, f64::max);
        let unit = (finest.max(heaviest).max(1e-9) / 126.0) * (1.0 + 1e-9);

        let (mut errors4, mut errors2, mut offsets) = (0.0f64, 0.0f64, 0.0f64);
        probe.shifts = shifts(geometry, unit, largest);
        for (group, (first, end)) in geometry.groups().enumerate() {
            let shift = probe.shifts[group];
            let scale = unit * f64::from(1u32 << shift);
            let (errors, sum) = round(&w[first..end], scale, &mut probe.codes[first..end]);
            if first < first_block {
                errors4 += errors;
                offsets += sum * f64::from(most) / 2.0;
            } else {
                errors2 += errors;
                offsets += sum * 1.5;
            }
        }
        let (e4, e2) = (norm_up(errors4), norm_up(errors2));
        let weights = [p4, p2, p0, e4];
        let mut fixed = e2 * f64::from(plan.largest_m2);
        for number in 0..4 {
            let code = (weights[number] * steps[number] / unit).ceil();
            if code <= 127.0 {
                probe.weights[number] = code as i8;
                fixed += weights[number] * f64::from(plan.minima[number]);
            } else {
                // Only `m4` of a strange gallery weighs so much: take its largest for every row.
                fixed += weights[number] * plan.number(number, NUMBER_MAX);
            }
        }
        let reach = f64::from(threshold.value()) - SCORE_ERROR_MAX - slack - fixed + offsets;
        probe.floor = ((reach / unit).floor() - 1.0) as i32;
        probe
    }
}

/// The least exponent of each group whose largest weight is given; of a batch plane none above the
/// one before.
fn shifts(
    geometry: Geometry,
    unit: f64,
    largest: impl Fn((usize, usize)) -> f64,
) -> [u8; GROUPS_MAX] {
    let mut shifts = [0; GROUPS_MAX];
    for (shift, range) in shifts.iter_mut().zip(geometry.groups()) {
        let least = (largest(range) / (127.0 * unit)).log2().ceil();
        *shift = least.clamp(0.0, f64::from(geometry.shift_max())) as u8;
    }
    if geometry.is_batch() {
        for group in (1..GROUPS_MAX).rev() {
            shifts[group - 1] = shifts[group - 1].max(shifts[group]);
        }
    }
    shifts
}

/// Rounds a group's weights to codes of a scale; the squares of the errors, and what the codes
/// stand for in sum.
fn round(w: &[f64], scale: f64, codes: &mut [i8]) -> (f64, f64) {
    let (mut errors, mut sum) = (0.0, 0.0);
    for (&w, code) in w.iter().zip(codes) {
        let nearest = nearest_f64(w / scale).clamp(-127.0, 127.0);
        *code = nearest as i8;
        errors += (w - nearest * scale) * (w - nearest * scale);
        sum += nearest * scale;
    }
    (errors, sum)
}

impl PlaneProbe {
    /// One that no row reaches, to fill a tile.
    pub(crate) fn nobody() -> Self {
        Self {
            codes: [0; DIM],
            weights: [0; 4],
            shifts: [0; GROUPS_MAX],
            floor: i32::MAX,
        }
    }

    /// Random codes and a floor that hardly any row reaches, for benches.
    pub(crate) fn random(random: &mut crate::synthetic::Stream) -> Self {
        let code = |_| (random.bits() % 255) as u8 as i16 as i8;
        let codes: [i8; DIM] = std::array::from_fn(code).map(|c: i8| c.max(-127));
        Self {
            codes,
            weights: [20; 4],
            shifts: [3; GROUPS_MAX],
            floor: 1 << 29,
        }
    }
}

#[cfg(test)]
mod tests;
