//! The AVX-VNNI tier: AVX2 with `vpdpbusd` in 256-bit registers.
//!
//! | instruction | does | Zen 5: latency, per cycle | Golden Cove, Gracemont |
//! | --- | --- | --- | --- |
//! | `vpdpbusd` | u8 x s8, four products added to i32 | 4, 2 | 5, 2; 4, 1 |
//!
//! # Plane
//! As on AVX2, but four products go straight into i32: no 16-bit range to watch, no widening.
//! A group's sum is shifted left by its `k` once. Every sum is exact, so it equals AVX2's.
//!
//! int8 and f32 are AVX2's: survivors are few, and a scan of int8 alone waits for memory.

use super::tile::{GROUP_LINES, Tile, Tiles, cached_parts};
use super::{PEAK_CHAINS, PlaneScan, Work, avx2};
use crate::plane::{BLOCK_ROWS, Line};
use bytemuck::must_cast;
use std::arch::x86_64::*;
use std::hint::black_box;

/// The feature that this CPU lacks.
pub(super) fn missing() -> Option<&'static str> {
    if !is_x86_feature_detected!("avx2") {
        Some("avx2")
    } else if !is_x86_feature_detected!("avxvnni") {
        Some("avx_vnni")
    } else {
        None
    }
}

/// The tier's entry.
#[target_feature(enable = "avx2,avxvnni")]
pub(super) fn run(work: Work<'_>) {
    match work {
        Work::Plane(scan) => plane(scan),
        Work::Peak(rounds) => peak(rounds),
        work @ (Work::Int8(_) | Work::Int8Listed(_) | Work::Scores(_)) => avx2::run(work),
    }
}

#[target_feature(enable = "avx2,avxvnni")]
fn plane(scan: PlaneScan<'_>) {
    let tiles = Tiles::<Spread, 8>::new(&scan, |four| [four; 8], i32::from);
    let PlaneScan {
        plane, survivors, ..
    } = scan;
    for (first, part) in cached_parts(plane) {
        for tile in &tiles.many {
            tile.walk(part, first, survivors, |tile, l4, l2, n| {
                masks(tile, l4, l2, n)
            });
        }
        if let Some(tile) = &tiles.four {
            tile.walk(part, first, survivors, |tile, l4, l2, n| {
                masks(tile, l4, l2, n)
            });
        }
        if let Some(tile) = &tiles.two {
            tile.walk(part, first, survivors, |tile, l4, l2, n| {
                masks(tile, l4, l2, n)
            });
        }
        if let Some(tile) = &tiles.one {
            tile.walk(part, first, survivors, |tile, l4, l2, n| {
                masks(tile, l4, l2, n)
            });
        }
    }
}

/// Per chain and round one `vpdpbusd`: 64 operations.
#[target_feature(enable = "avx2,avxvnni")]
fn peak(rounds: u32) {
    let codes_i8x32 = black_box(_mm256_set1_epi8(3));
    let mut sums = [black_box(_mm256_setzero_si256()); 2 * PEAK_CHAINS];
    for _ in 0..rounds {
        for sum in &mut sums {
            *sum = _mm256_dpbusd_avx_epi32(*sum, codes_i8x32, codes_i8x32);
        }
    }
    black_box(sums);
}

/// The rows of a block that may reach the threshold, 8 at a time.
#[inline]
#[target_feature(enable = "avx2,avxvnni")]
fn masks<const P: usize>(
    tile: &Tile<Spread, P>,
    lines4: &[Line],
    lines2: &[Line],
    numbers: &Line,
) -> [u32; P] {
    let mut masks = [0u32; P];
    for half in 0..2 {
        let sums_i32x8 = plane_sums(tile, lines4, lines2, numbers, half);
        for p in 0..P {
            let below_i32x8 = _mm256_set1_epi32(tile.floors[p].saturating_sub(1));
            let reach = _mm256_cmpgt_epi32(sums_i32x8[p], below_i32x8);
            let mask = _mm256_movemask_ps(_mm256_castsi256_ps(reach)) as u32;
            masks[p] |= mask << (8 * half);
        }
    }
    masks
}

/// The integers `I` of one half of a block.
#[inline]
#[target_feature(enable = "avx2,avxvnni")]
fn plane_sums<const P: usize>(
    tile: &Tile<Spread, P>,
    lines4: &[Line],
    lines2: &[Line],
    numbers: &Line,
    half: usize,
) -> [__m256i; P] {
    let zero = _mm256_setzero_si256();
    let mut sums_i32x8 = [zero; P];
    for p in 0..P {
        let numbers_u8x32 = load(numbers, half);
        sums_i32x8[p] = _mm256_dpbusd_avx_epi32(zero, numbers_u8x32, must_cast(tile.weights[p]));
    }
    let low4 = _mm256_set1_epi8(0x0f);
    let group = GROUP_LINES;
    let groups4 = lines4
        .chunks_exact(group)
        .zip(tile.codes4.chunks_exact(group * 2));
    for ((lines, codes), scales) in groups4.zip(&tile.scales4) {
        let mut group_i32x8 = [zero; P];
        for (line, codes) in lines.iter().zip(codes.as_chunks::<2>().0) {
            let bytes = load(line, half);
            let low_u8x32 = _mm256_and_si256(bytes, low4);
            let high_u8x32 = _mm256_and_si256(_mm256_srli_epi16::<4>(bytes), low4);
            for p in 0..P {
                let (low, high) = (codes[0][p], codes[1][p]);
                let sum = _mm256_dpbusd_avx_epi32(group_i32x8[p], low_u8x32, must_cast(low));
                group_i32x8[p] = _mm256_dpbusd_avx_epi32(sum, high_u8x32, must_cast(high));
            }
        }
        add_group(&mut sums_i32x8, group_i32x8, scales);
    }
    let low2 = _mm256_set1_epi8(0x03);
    let groups2 = lines2
        .chunks_exact(group)
        .zip(tile.codes2.chunks_exact(group * 4));
    for ((lines, codes), scales) in groups2.zip(&tile.scales2) {
        let mut group_i32x8 = [zero; P];
        for (line, codes) in lines.iter().zip(codes.as_chunks::<4>().0) {
            let bytes = load(line, half);
            let parts_u8x32 = [
                _mm256_and_si256(bytes, low2),
                _mm256_and_si256(_mm256_srli_epi16::<2>(bytes), low2),
                _mm256_and_si256(_mm256_srli_epi16::<4>(bytes), low2),
                _mm256_and_si256(_mm256_srli_epi16::<6>(bytes), low2),
            ];
            for p in 0..P {
                for (part_u8x32, four) in parts_u8x32.into_iter().zip(codes) {
                    let sum = group_i32x8[p];
                    group_i32x8[p] = _mm256_dpbusd_avx_epi32(sum, part_u8x32, must_cast(four[p]));
                }
            }
        }
        add_group(&mut sums_i32x8, group_i32x8, scales);
    }
    sums_i32x8
}

/// Scales a group's sums by its power of two.
#[inline]
#[target_feature(enable = "avx2,avxvnni")]
fn add_group<const P: usize>(
    sums_i32x8: &mut [__m256i; P],
    group_i32x8: [__m256i; P],
    scales: &[i32; P],
) {
    for p in 0..P {
        let scaled_i32x8 = _mm256_sll_epi32(group_i32x8[p], _mm_cvtsi32_si128(scales[p]));
        sums_i32x8[p] = _mm256_add_epi32(sums_i32x8[p], scaled_i32x8);
    }
}

/// Eight of the sixteen rows of a line.
#[inline]
#[target_feature(enable = "avx2,avxvnni")]
fn load(line: &Line, half: usize) -> __m256i {
    must_cast(line.as_chunks::<{ 2 * BLOCK_ROWS }>().0[half])
}

/// Four codes repeated for eight rows, so that `dpbusd` reads them from memory.
type Spread = [[i8; 4]; 8];
