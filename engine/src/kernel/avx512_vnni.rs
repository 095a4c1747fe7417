//! The AVX-512 VNNI tier: `vpdpbusd` in 512-bit registers, a whole line at a time.
//!
//! | instruction | does | Zen 4: latency, per cycle | Ice Lake, Golden Cove |
//! | --- | --- | --- | --- |
//! | `vpdpbusd zmm` | u8 x s8, four products added to i32 | 4, 1 | 5, 2 (1 on small parts) |
//! | `vpcmpgtd k` | the rows that reach, as a mask | 3, 1 | 3, 1 |
//!
//! # Plane
//! As AVX-VNNI, with 16 rows a register and the probe's four codes as a broadcast operand. Every
//! sum is exact, so it equals AVX2's.
//!
//! int8 and f32 are AVX2's: survivors are few, and a scan of int8 alone waits for memory.

use super::{PlaneScan, Survivor, Work, avx2};
use crate::DIM;
use crate::plane::{Line, PlaneProbe, PlaneRows};
use bytemuck::{must_cast, must_cast_ref};
use std::arch::x86_64::*;

/// The feature that this CPU lacks.
pub(super) fn missing() -> Option<&'static str> {
    if !is_x86_feature_detected!("avx2") {
        Some("avx2")
    } else if !is_x86_feature_detected!("avx512f") {
        Some("avx512f")
    } else if !is_x86_feature_detected!("avx512bw") {
        Some("avx512bw")
    } else if !is_x86_feature_detected!("avx512vnni") {
        Some("avx512_vnni")
    } else {
        None
    }
}

/// The tier's entry.
#[target_feature(enable = "avx2,avx512f,avx512bw,avx512vnni")]
pub(super) fn run(work: Work<'_>) {
    match work {
        Work::Plane(scan) => plane(scan),
        work @ (Work::Int8(_) | Work::Int8Listed(_) | Work::Scores(_)) => avx2::run(work),
    }
}

/// Blocks that stay in the second-level cache (200 KB) while all probes walk over them.
const TILE_BLOCKS: usize = 64;
/// Probes that share the unpacking: as many sums, and room for what they share.
const TILE_PROBES: usize = 8;

#[target_feature(enable = "avx2,avx512f,avx512bw,avx512vnni")]
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
        let (many, rest) = probes.as_chunks::<TILE_PROBES>();
        for (number, probes) in many.iter().enumerate() {
            plane_tile(
                part,
                first,
                number * TILE_PROBES,
                probes.each_ref(),
                survivors,
            );
        }
        let done = many.len() * TILE_PROBES;
        let (pairs, rest) = rest.as_chunks::<2>();
        for (number, probes) in pairs.iter().enumerate() {
            plane_tile(part, first, done + number * 2, probes.each_ref(), survivors);
        }
        for probe in rest {
            plane_tile(part, first, done + pairs.len() * 2, [probe], survivors);
        }
    }
}

/// `P` probes over some blocks.
#[inline]
#[target_feature(enable = "avx2,avx512f,avx512bw,avx512vnni")]
fn plane_tile<const P: usize>(
    plane: PlaneRows<'_>,
    first_block: usize,
    first_probe: usize,
    probes: [&PlaneProbe; P],
    survivors: &mut Vec<Survivor>,
) {
    let lines4 = plane.geometry.dims4 / 8;
    let floors = probes.map(|probe| _mm512_set1_epi32(probe.floor));
    let blocks = plane
        .lines
        .chunks_exact(plane.geometry.lines())
        .zip(plane.numbers);
    for (block, (lines, numbers)) in blocks.enumerate() {
        let (lines4, lines2) = lines.split_at(lines4);
        let sums_i32x16 = plane_block(lines4, lines2, numbers, probes);
        for p in 0..P {
            let mask = _mm512_cmpge_epi32_mask(sums_i32x16[p], floors[p]);
            if mask != 0 {
                let (block, probe) = (first_block + block, first_probe + p);
                PlaneScan::keep(survivors, plane.rows, block, probe, mask.into());
            }
        }
    }
}

/// The integers `I` of a block.
#[inline]
#[target_feature(enable = "avx2,avx512f,avx512bw,avx512vnni")]
fn plane_block<const P: usize>(
    lines4: &[Line],
    lines2: &[Line],
    numbers: &Line,
    probes: [&PlaneProbe; P],
) -> [__m512i; P] {
    let zero = _mm512_setzero_si512();
    let numbers_u8x64: __m512i = must_cast(*numbers);
    let mut sums_i32x16 = probes.map(|probe| {
        _mm512_dpbusd_epi32(
            zero,
            numbers_u8x64,
            _mm512_set1_epi32(must_cast(probe.weights)),
        )
    });
    let fours = probes.map(|probe| must_cast_ref::<[i8; DIM], [[i8; 4]; DIM / 4]>(&probe.codes));
    let low4 = _mm512_set1_epi8(0x0f);
    let groups4 = lines4.as_chunks::<4>().0;
    for (group, lines) in groups4.iter().enumerate() {
        let mut group_i32x16 = [zero; P];
        let codes = fours.map(|fours| &fours.as_chunks::<8>().0[group]);
        for (l, line) in lines.iter().enumerate() {
            let bytes: __m512i = must_cast(*line);
            let low_u8x64 = _mm512_and_si512(bytes, low4);
            let high_u8x64 = _mm512_and_si512(_mm512_srli_epi16::<4>(bytes), low4);
            for p in 0..P {
                let low_i8x64 = _mm512_set1_epi32(must_cast(codes[p][l * 2]));
                let high_i8x64 = _mm512_set1_epi32(must_cast(codes[p][l * 2 + 1]));
                let sum = _mm512_dpbusd_epi32(group_i32x16[p], low_u8x64, low_i8x64);
                group_i32x16[p] = _mm512_dpbusd_epi32(sum, high_u8x64, high_i8x64);
            }
        }
        add_group(&mut sums_i32x16, group_i32x16, probes, group);
    }
    let low2 = _mm512_set1_epi8(0x03);
    for (group, lines) in lines2.as_chunks::<4>().0.iter().enumerate() {
        let mut group_i32x16 = [zero; P];
        let skipped = groups4.len() * 8 + group * 16;
        let codes = fours.map(|fours| {
            fours[skipped..]
                .first_chunk::<16>()
                .expect("the geometry is sound")
        });
        for (l, line) in lines.iter().enumerate() {
            let bytes: __m512i = must_cast(*line);
            let parts_u8x64 = [
                _mm512_and_si512(bytes, low2),
                _mm512_and_si512(_mm512_srli_epi16::<2>(bytes), low2),
                _mm512_and_si512(_mm512_srli_epi16::<4>(bytes), low2),
                _mm512_and_si512(_mm512_srli_epi16::<6>(bytes), low2),
            ];
            for p in 0..P {
                for part in 0..4 {
                    let codes_i8x64 = _mm512_set1_epi32(must_cast(codes[p][l * 4 + part]));
                    group_i32x16[p] =
                        _mm512_dpbusd_epi32(group_i32x16[p], parts_u8x64[part], codes_i8x64);
                }
            }
        }
        add_group(
            &mut sums_i32x16,
            group_i32x16,
            probes,
            groups4.len() + group,
        );
    }
    sums_i32x16
}

/// Scales a group's sums by its power of two.
#[inline]
#[target_feature(enable = "avx2,avx512f,avx512bw,avx512vnni")]
fn add_group<const P: usize>(
    sums_i32x16: &mut [__m512i; P],
    group_i32x16: [__m512i; P],
    probes: [&PlaneProbe; P],
    group: usize,
) {
    for p in 0..P {
        let shift = _mm_cvtsi32_si128(i32::from(probes[p].shifts[group]));
        let scaled_i32x16 = _mm512_sll_epi32(group_i32x16[p], shift);
        sums_i32x16[p] = _mm512_add_epi32(sums_i32x16[p], scaled_i32x16);
    }
}
