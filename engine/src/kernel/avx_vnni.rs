//! The AVX-VNNI tier: AVX2 with `vpdpbusd` in 256-bit registers.
//!
//! | instruction | does | Zen 5: latency, per cycle | Golden Cove, Gracemont |
//! | --- | --- | --- | --- |
//! | `vpdpbusd` | u8 x s8, four products added to i32 | 4, 2 | 5, 2; 4, 1 |
//!
//! # Plane
//! As on AVX2, but four products go straight into i32: no 16-bit range to watch, no widening.
//! A group's sum is shifted left by its `k` once, also a batch plane's. Every sum is exact, so it
//! equals AVX2's.
//!
//! int8 and f32 are AVX2's: survivors are few, and a scan of int8 alone waits for memory.

use super::avx2::plane::unpack;
use super::tile::{GROUP_LINES, Part, Step, Tile, Tiles, scan_parts};
use super::{PEAK_CHAINS, PlaneScan, Survivor, Work, avx2};
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
        Work::Plane(scan, memory) => plane(scan, &mut memory.spread),
        Work::Peak(rounds) => peak(rounds),
        work @ (Work::Int8(_) | Work::Scores(_)) => avx2::run(work),
    }
}

#[target_feature(enable = "avx2,avxvnni")]
fn plane(scan: PlaneScan<'_>, tiles: &mut Tiles<Spread, 4>) {
    tiles.fill(&scan, |four| [four; 8], i32::from);
    let walk = |part: Part<'_>, survivors: &mut Vec<Survivor>| {
        part.walk_unpacked(
            &tiles.many,
            survivors,
            |lines4, lines2, steps| unpack(lines4, lines2, steps),
            |tile, steps4, steps2, n| unpacked_masks(tile, steps4, steps2, n),
        );
        for tile in &tiles.two {
            part.walk(tile, survivors, |tile, l4, l2, n| masks(tile, l4, l2, n));
        }
        for tile in &tiles.one {
            part.walk(tile, survivors, |tile, l4, l2, n| masks(tile, l4, l2, n));
        }
    };
    scan_parts(scan, walk, |row, probe| avx2::int8_dot(row, &probe.codes));
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
    let halves = [0, 1].map(|half| plane_sums(tile, lines4, lines2, numbers, half));
    reaching(tile, std::array::from_fn(|p| [halves[0][p], halves[1][p]]))
}

#[inline]
#[target_feature(enable = "avx2,avxvnni")]
fn reaching<const P: usize>(tile: &Tile<Spread, P>, sums_i32x8: [[__m256i; 2]; P]) -> [u32; P] {
    let mut masks = [0; P];
    for p in 0..P {
        let below_i32x8 = _mm256_set1_epi32(tile.floors[p].saturating_sub(1));
        for (half, sum_i32x8) in sums_i32x8[p].into_iter().enumerate() {
            let reach = _mm256_cmpgt_epi32(sum_i32x8, below_i32x8);
            masks[p] |= (_mm256_movemask_ps(_mm256_castsi256_ps(reach)) as u32) << (8 * half);
        }
    }
    masks
}

/// The same of an unpacked block: per step two loads, and for each probe a load of its codes and
/// two `vpdpbusd`.
#[inline]
#[target_feature(enable = "avx2,avxvnni")]
fn unpacked_masks<const P: usize>(
    tile: &Tile<Spread, P>,
    steps4: &[Step],
    steps2: &[Step],
    numbers: &Line,
) -> [u32; P] {
    let zero = _mm256_setzero_si256();
    let mut sums_i32x8 = [[zero; 2]; P];
    for p in 0..P {
        for half in 0..2 {
            let numbers_u8x32 = load(numbers, half);
            let sum = _mm256_dpbusd_avx_epi32(zero, numbers_u8x32, must_cast(tile.weights[p]));
            sums_i32x8[p][half] = sum;
        }
    }
    let steps4 = steps4.as_chunks::<{ GROUP_LINES * 2 }>().0;
    let codes4 = tile.codes4().as_chunks::<{ GROUP_LINES * 2 }>().0;
    for ((steps, codes), scales) in steps4.iter().zip(codes4).zip(tile.scales4()) {
        add_steps(&mut sums_i32x8, steps, codes, scales);
    }
    let steps2 = steps2.as_chunks::<{ GROUP_LINES * 4 }>().0;
    let codes2 = tile.codes2().as_chunks::<{ GROUP_LINES * 4 }>().0;
    for ((steps, codes), scales) in steps2.iter().zip(codes2).zip(tile.scales2()) {
        add_steps(&mut sums_i32x8, steps, codes, scales);
    }
    reaching(tile, sums_i32x8)
}

/// Adds the unpacked steps of a group.
#[inline]
#[target_feature(enable = "avx2,avxvnni")]
fn add_steps<const P: usize, const N: usize>(
    sums_i32x8: &mut [[__m256i; 2]; P],
    steps: &[Step; N],
    codes: &[[Spread; P]; N],
    scales: &[i32; P],
) {
    let mut group_i32x8 = [[_mm256_setzero_si256(); 2]; P];
    for (step, codes) in steps.iter().zip(codes) {
        for p in 0..P {
            let codes_i8x32 = must_cast(codes[p]);
            for half in 0..2 {
                let sum = group_i32x8[p][half];
                let rows_u8x32 = must_cast(step.0[half]);
                group_i32x8[p][half] = _mm256_dpbusd_avx_epi32(sum, rows_u8x32, codes_i8x32);
            }
        }
    }
    for p in 0..P {
        let shift = _mm_cvtsi32_si128(scales[p]);
        for half in 0..2 {
            let scaled_i32x8 = _mm256_sll_epi32(group_i32x8[p][half], shift);
            sums_i32x8[p][half] = _mm256_add_epi32(sums_i32x8[p][half], scaled_i32x8);
        }
    }
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
        .zip(tile.codes4().chunks_exact(group * 2));
    for ((lines, codes), scales) in groups4.zip(tile.scales4()) {
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
        .zip(tile.codes2().chunks_exact(group * 4));
    for ((lines, codes), scales) in groups2.zip(tile.scales2()) {
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
