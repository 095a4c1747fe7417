//! The AVX2 tier.
//!
//! | instruction | does | Zen 4: latency, per cycle | Golden Cove |
//! | --- | --- | --- | --- |
//! | `vpmaddubsw` | u8 x s8, pairs added in saturating i16 | 3, 2 | 5, 2 |
//! | `vpmaddwd` | i16 x i16, pairs added in i32 | 3, 2 | 5, 2 |
//! | `vpsignb`, `vpabsb` | the sign trick below | 1, 2 | 1, 2 |
//! | `vmulps`, `vaddps` | f32 | 3, 2 (on different ports) | 4, 2 |
//!
//! # int8: algebra and range
//! `c q = |c| * (q sign(c))`, so `maddubs(abs c, sign(q, c))` gives pairs of exact products: each
//! product is at most 127 * 127 in size, a pair at most 32,258 < 32,767: nothing saturates. This
//! holds because codes are in -127..=127; -128, whose `abs` reads as 128 and whose sign flip of a
//! probe would overflow, is refused when a gallery is opened and never written. `maddwd` by ones
//! widens to i32; 512 products stay below 2^23.
//!
//! The plane's pass is in `avx2/plane.rs`.
//!
//! # f32
//! The fixed order of `score`: one register of 8 lanes a pair, multiply then add, then its tree.
//! Four rows by three probes keep 12 sums in flight, which hides the additions' latency.

pub(super) mod plane;

use super::{Int8Scan, Scores, Survivor, Work};
use crate::DIM;
use bytemuck::{must_cast, must_cast_ref};
use std::arch::x86_64::*;

/// The feature that this CPU lacks.
pub(super) fn missing() -> Option<&'static str> {
    if is_x86_feature_detected!("avx2") {
        None
    } else {
        Some("avx2")
    }
}

/// The tier's entry.
#[target_feature(enable = "avx2")]
pub(super) fn run(work: Work<'_>) {
    match work {
        Work::Int8(scan) => int8(scan),
        Work::Plane(scan, memory) => plane::plane(scan, &mut memory.fours),
        Work::Peak(rounds) => plane::peak(rounds),
        Work::Scores(scores) => self::scores(scores),
    }
}

type Bytes = [[u8; 32]; 16];
type Lanes = [[f32; 8]; 64];

#[target_feature(enable = "avx2")]
fn int8(
    Int8Scan {
        rows,
        probes,
        survivors,
    }: Int8Scan<'_>,
) {
    for (row, (codes, &norm)) in rows.codes.iter().zip(rows.norms).enumerate() {
        let codes: &Bytes = must_cast_ref(codes);
        let (fours, rest) = probes.as_chunks::<4>();
        let mut keep = |probe: usize, dot: i32| {
            if probes[probe].may_reach(dot, norm) {
                survivors.push(Survivor {
                    row: row as u32,
                    probe: probe as u32,
                });
            }
        };
        for (four, probes) in fours.iter().enumerate() {
            let sums = int8_dots(
                codes,
                probes.each_ref().map(|probe| must_cast_ref(&probe.codes)),
            );
            let dots: [i32; 4] = must_cast(sum_four(sums));
            (0..4).for_each(|i| keep(four * 4 + i, dots[i]));
        }
        for (i, probe) in rest.iter().enumerate() {
            let [sum] = int8_dots(codes, [must_cast_ref(&probe.codes)]);
            let dots: [i32; 4] = must_cast(sum_four([sum; 4]));
            keep(fours.len() * 4 + i, dots[0]);
        }
    }
}

/// Eight partial dot products of one row with each of `P` probes.
#[inline]
#[target_feature(enable = "avx2")]
fn int8_dots<const P: usize>(row: &Bytes, probes: [&Bytes; P]) -> [__m256i; P] {
    let ones_i16x16 = _mm256_set1_epi16(1);
    let mut sums_i32x8 = [_mm256_setzero_si256(); P];
    for step in 0..row.len() {
        let c_i8x32: __m256i = must_cast(row[step]);
        let c_u8x32 = _mm256_abs_epi8(c_i8x32);
        for p in 0..P {
            let q_i8x32 = _mm256_sign_epi8(must_cast(probes[p][step]), c_i8x32);
            let pairs_i16x16 = _mm256_maddubs_epi16(c_u8x32, q_i8x32);
            let fours_i32x8 = _mm256_madd_epi16(pairs_i16x16, ones_i16x16);
            sums_i32x8[p] = _mm256_add_epi32(sums_i32x8[p], fours_i32x8);
        }
    }
    sums_i32x8
}

/// The sums of four registers, in order.
#[inline]
#[target_feature(enable = "avx2")]
fn sum_four([a, b, c, d]: [__m256i; 4]) -> __m128i {
    let sums_i32x8 = _mm256_hadd_epi32(_mm256_hadd_epi32(a, b), _mm256_hadd_epi32(c, d));
    let upper_i32x4 = _mm256_extracti128_si256::<1>(sums_i32x8);
    _mm_add_epi32(_mm256_castsi256_si128(sums_i32x8), upper_i32x4)
}

/// One row, one probe.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn int8_dot(row: &[i8; DIM], probe: &[i8; DIM]) -> i32 {
    let [sum] = int8_dots(must_cast_ref(row), [must_cast_ref(probe)]);
    let dots: [i32; 4] = must_cast(sum_four([sum; 4]));
    dots[0]
}

#[target_feature(enable = "avx2")]
fn scores(
    Scores {
        rows,
        probes,
        scores,
    }: Scores<'_>,
) {
    let width = probes.len();
    let (fours, rest) = rows.as_chunks::<4>();
    for (four, rows) in fours.iter().enumerate() {
        score_rows(*rows, probes, &mut scores[four * 4 * width..][..4 * width]);
    }
    for (i, row) in rest.iter().enumerate() {
        let row_at = (fours.len() * 4 + i) * width;
        score_rows([*row], probes, &mut scores[row_at..][..width]);
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn score_rows<const R: usize>(rows: [&[f32; DIM]; R], probes: &[&[f32; DIM]], scores: &mut [f32]) {
    let width = probes.len();
    let (threes, rest) = probes.as_chunks::<3>();
    for (three, probes) in threes.iter().enumerate() {
        for (r, sums) in score_tile(rows, *probes).iter().enumerate() {
            scores[r * width + three * 3..][..3].copy_from_slice(&sums.map(|sum| fold(sum)));
        }
    }
    for (i, probe) in rest.iter().enumerate() {
        for (r, [sum]) in score_tile(rows, [*probe]).iter().enumerate() {
            scores[r * width + threes.len() * 3 + i] = fold(*sum);
        }
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn score_tile<const R: usize, const P: usize>(
    rows: [&[f32; DIM]; R],
    probes: [&[f32; DIM]; P],
) -> [[__m256; P]; R] {
    let rows: [&Lanes; R] = rows.map(must_cast_ref);
    let probes: [&Lanes; P] = probes.map(must_cast_ref);
    let mut sums = [[_mm256_setzero_ps(); P]; R];
    for step in 0..64 {
        for r in 0..R {
            let row: __m256 = must_cast(rows[r][step]);
            for p in 0..P {
                let product = _mm256_mul_ps(row, must_cast(probes[p][step]));
                sums[r][p] = _mm256_add_ps(sums[r][p], product);
            }
        }
    }
    sums
}

/// The tree of `score::fold`.
#[inline]
#[target_feature(enable = "avx2")]
fn fold(s: __m256) -> f32 {
    let s_f32x4 = _mm_add_ps(_mm256_castps256_ps128(s), _mm256_extractf128_ps::<1>(s));
    let s_f32x2 = _mm_add_ps(s_f32x4, _mm_movehl_ps(s_f32x4, s_f32x4));
    _mm_cvtss_f32(_mm_add_ss(s_f32x2, _mm_movehdup_ps(s_f32x2)))
}
