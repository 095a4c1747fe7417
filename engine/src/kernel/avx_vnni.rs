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

use super::{PlaneScan, Survivor, Work, avx2};
use crate::DIM;
use crate::plane::{BLOCK_ROWS, Line, PlaneProbe, PlaneRows};
use bytemuck::{must_cast, must_cast_ref};
use std::arch::x86_64::*;

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
        work @ (Work::Int8(_) | Work::Int8Listed(_) | Work::Scores(_)) => avx2::run(work),
    }
}

/// Blocks that stay in the second-level cache (200 KB) while all probes walk over them.
const TILE_BLOCKS: usize = 64;

#[target_feature(enable = "avx2,avxvnni")]
fn plane(
    PlaneScan {
        plane,
        probes,
        survivors,
    }: PlaneScan<'_>,
) {
    let lines = plane.geometry.lines();
    let tiles = plane
        .lines
        .chunks(lines * TILE_BLOCKS)
        .zip(plane.numbers.chunks(TILE_BLOCKS));
    for (tile, (tile_lines, tile_numbers)) in tiles.enumerate() {
        let part = PlaneRows {
            lines: tile_lines,
            numbers: tile_numbers,
            ..plane
        };
        let first = tile * TILE_BLOCKS;
        let (fours, rest) = probes.as_chunks::<4>();
        for (four, probes) in fours.iter().enumerate() {
            plane_tile(part, first, four * 4, probes.each_ref(), survivors);
        }
        for (i, probe) in rest.iter().enumerate() {
            plane_tile(part, first, fours.len() * 4 + i, [probe], survivors);
        }
    }
}

/// `P` probes over some blocks.
#[inline]
#[target_feature(enable = "avx2,avxvnni")]
fn plane_tile<const P: usize>(
    plane: PlaneRows<'_>,
    first_block: usize,
    first_probe: usize,
    probes: [&PlaneProbe; P],
    survivors: &mut Vec<Survivor>,
) {
    let lines4 = plane.geometry.dims4 / 8;
    let below = probes.map(|probe| _mm256_set1_epi32(probe.floor.saturating_sub(1)));
    let blocks = plane
        .lines
        .chunks_exact(plane.geometry.lines())
        .zip(plane.numbers);
    for (block, (lines, numbers)) in blocks.enumerate() {
        let (lines4, lines2) = lines.split_at(lines4);
        let sums_i32x8 = plane_block(lines4, lines2, numbers, probes);
        for p in 0..P {
            let mask = (0..2).fold(0, |mask, h| {
                let reach = _mm256_cmpgt_epi32(sums_i32x8[p][h], below[p]);
                mask | (_mm256_movemask_ps(_mm256_castsi256_ps(reach)) as u32) << (8 * h)
            });
            if mask != 0 {
                let (block, probe) = (first_block + block, first_probe + p);
                PlaneScan::keep(survivors, plane.rows, block, probe, mask);
            }
        }
    }
}

/// The integers `I` of a block.
#[inline]
#[target_feature(enable = "avx2,avxvnni")]
fn plane_block<const P: usize>(
    lines4: &[Line],
    lines2: &[Line],
    numbers: &Line,
    probes: [&PlaneProbe; P],
) -> [[__m256i; 2]; P] {
    let zero = _mm256_setzero_si256();
    let mut sums_i32x8 = [[zero; 2]; P];
    for p in 0..P {
        let weights_i8x32 = _mm256_set1_epi32(must_cast(probes[p].weights));
        for h in 0..2 {
            sums_i32x8[p][h] = _mm256_dpbusd_avx_epi32(zero, load(numbers, h), weights_i8x32);
        }
    }
    let fours = probes.map(|probe| must_cast_ref::<[i8; DIM], [[i8; 4]; DIM / 4]>(&probe.codes));
    let low4 = _mm256_set1_epi8(0x0f);
    let groups4 = lines4.as_chunks::<4>().0;
    for (group, lines) in groups4.iter().enumerate() {
        let mut group_i32x8 = [[zero; 2]; P];
        let codes = fours.map(|fours| &fours.as_chunks::<8>().0[group]);
        for (l, line) in lines.iter().enumerate() {
            for h in 0..2 {
                let bytes = load(line, h);
                let low_u8x32 = _mm256_and_si256(bytes, low4);
                let high_u8x32 = _mm256_and_si256(_mm256_srli_epi16::<4>(bytes), low4);
                for p in 0..P {
                    let low_i8x32 = _mm256_set1_epi32(must_cast(codes[p][l * 2]));
                    let high_i8x32 = _mm256_set1_epi32(must_cast(codes[p][l * 2 + 1]));
                    let sum = _mm256_dpbusd_avx_epi32(group_i32x8[p][h], low_u8x32, low_i8x32);
                    group_i32x8[p][h] = _mm256_dpbusd_avx_epi32(sum, high_u8x32, high_i8x32);
                }
            }
        }
        add_group(&mut sums_i32x8, group_i32x8, probes, group);
    }
    let low2 = _mm256_set1_epi8(0x03);
    for (group, lines) in lines2.as_chunks::<4>().0.iter().enumerate() {
        let mut group_i32x8 = [[zero; 2]; P];
        let skipped = groups4.len() * 8 + group * 16;
        let codes = fours.map(|fours| {
            fours[skipped..]
                .first_chunk::<16>()
                .expect("the geometry is sound")
        });
        for (l, line) in lines.iter().enumerate() {
            for h in 0..2 {
                let bytes = load(line, h);
                let parts_u8x32 = [
                    _mm256_and_si256(bytes, low2),
                    _mm256_and_si256(_mm256_srli_epi16::<2>(bytes), low2),
                    _mm256_and_si256(_mm256_srli_epi16::<4>(bytes), low2),
                    _mm256_and_si256(_mm256_srli_epi16::<6>(bytes), low2),
                ];
                for p in 0..P {
                    for part in 0..4 {
                        let codes_i8x32 = _mm256_set1_epi32(must_cast(codes[p][l * 4 + part]));
                        let sum = group_i32x8[p][h];
                        group_i32x8[p][h] =
                            _mm256_dpbusd_avx_epi32(sum, parts_u8x32[part], codes_i8x32);
                    }
                }
            }
        }
        add_group(&mut sums_i32x8, group_i32x8, probes, groups4.len() + group);
    }
    sums_i32x8
}

/// Scales a group's sums by its power of two.
#[inline]
#[target_feature(enable = "avx2,avxvnni")]
fn add_group<const P: usize>(
    sums_i32x8: &mut [[__m256i; 2]; P],
    group_i32x8: [[__m256i; 2]; P],
    probes: [&PlaneProbe; P],
    group: usize,
) {
    for p in 0..P {
        let shift = _mm_cvtsi32_si128(i32::from(probes[p].shifts[group]));
        for h in 0..2 {
            let scaled_i32x8 = _mm256_sll_epi32(group_i32x8[p][h], shift);
            sums_i32x8[p][h] = _mm256_add_epi32(sums_i32x8[p][h], scaled_i32x8);
        }
    }
}

/// Eight of the sixteen rows of a line.
#[inline]
#[target_feature(enable = "avx2,avxvnni")]
fn load(line: &Line, half: usize) -> __m256i {
    must_cast(line.as_chunks::<{ 2 * BLOCK_ROWS }>().0[half])
}
