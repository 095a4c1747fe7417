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
//! Of a batch plane the exponents `k` never rise from group to group, so one sum serves: after each
//! group it is shifted by how much the next `k` is less, after the last by that group's `k`. What
//! it holds after group `g` is `sum over i <= g of 2^(k_i - k_g) S_i`, in size at most
//! `sum of 2^k_i |S_i| < 2^30` (`crate::plane`), and shifting by no more than `k_g` keeps it there.
//!
//! # int8
//! `vpdpbusd` wants one side unsigned: `c + 128` is `c` with its highest bit flipped, and
//! `sum (c + 128) q = sum c q + 128 sum q`, whose last term the probe knows. Sums stay below
//! `512 * 255 * 127 < 2^24`.
//!
//! f32 is AVX2's.

use super::avx2::plane::unpack;
use super::tile::{GROUP_LINES, Part, Step, Tile, Tiles, scan_parts};
use super::{Int8Scan, PEAK_CHAINS, PlaneScan, Survivor, Work, avx2};
use crate::DIM;
use crate::int8::Int8Probe;
use crate::plane::Line;
use bytemuck::{must_cast, must_cast_ref};
use std::arch::x86_64::*;
use std::hint::black_box;

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
        Work::Plane(scan, memory) => plane(scan, &mut memory.eights),
        Work::Peak(rounds) => peak(rounds),
        Work::Int8(scan) => int8(scan),
        work @ Work::Scores(_) => avx2::run(work),
    }
}

#[target_feature(enable = "avx2,avx512f,avx512bw,avx512vnni")]
fn int8(
    Int8Scan {
        rows,
        probes,
        survivors,
    }: Int8Scan<'_>,
) {
    for (row, (codes, &norm)) in rows.codes.iter().zip(rows.norms).enumerate() {
        for (probe, prepared) in probes.iter().enumerate() {
            if prepared.may_reach(int8_dot(codes, prepared), norm) {
                survivors.push(Survivor {
                    row: row as u32,
                    probe: probe as u32,
                });
            }
        }
    }
}

/// One row, one probe.
#[inline]
#[target_feature(enable = "avx2,avx512f,avx512bw,avx512vnni")]
fn int8_dot(row: &[i8; DIM], probe: &Int8Probe) -> i32 {
    let offset = _mm512_set1_epi8(i8::MIN);
    let mut sums_i32x16 = [_mm512_setzero_si512(); 2];
    let row: &[[i8; 64]; DIM / 64] = must_cast_ref(row);
    let codes: &[[i8; 64]; DIM / 64] = must_cast_ref(&probe.codes);
    for step in 0..DIM / 64 {
        let c_u8x64 = _mm512_xor_si512(must_cast(row[step]), offset);
        let sum_i32x16 = sums_i32x16[step % 2];
        sums_i32x16[step % 2] = _mm512_dpbusd_epi32(sum_i32x16, c_u8x64, must_cast(codes[step]));
    }
    let sum_i32x16 = _mm512_add_epi32(sums_i32x16[0], sums_i32x16[1]);
    _mm512_reduce_add_epi32(sum_i32x16) - probe.sum128
}

#[target_feature(enable = "avx2,avx512f,avx512bw,avx512vnni")]
fn plane(scan: PlaneScan<'_>, tiles: &mut Tiles<i32, 8>) {
    let is_batch = scan.plane.geometry.is_batch();
    tiles.fill(&scan, must_cast, i32::from);
    let walk = |part: Part<'_>, survivors: &mut Vec<Survivor>| {
        part.walk_unpacked(
            &tiles.many,
            survivors,
            |lines4, lines2, steps| unpack(lines4, lines2, steps),
            |tile, steps4, steps2, n| match is_batch {
                true => batch_masks(tile, steps4, n),
                false => unpacked_masks(tile, steps4, steps2, n),
            },
        );
        for tile in &tiles.four {
            part.walk(tile, survivors, |tile, l4, l2, n| masks(tile, l4, l2, n));
        }
        for tile in &tiles.two {
            part.walk(tile, survivors, |tile, l4, l2, n| masks(tile, l4, l2, n));
        }
        for tile in &tiles.one {
            part.walk(tile, survivors, |tile, l4, l2, n| masks(tile, l4, l2, n));
        }
    };
    scan_parts(scan, walk, |row, probe| int8_dot(row, probe));
}

/// Per chain and round one `vpdpbusd`: 128 operations.
#[target_feature(enable = "avx2,avx512f,avx512bw,avx512vnni")]
fn peak(rounds: u32) {
    let codes_i8x64 = black_box(_mm512_set1_epi8(3));
    let mut sums = [black_box(_mm512_setzero_si512()); 2 * PEAK_CHAINS];
    for _ in 0..rounds {
        for sum in &mut sums {
            *sum = _mm512_dpbusd_epi32(*sum, codes_i8x64, codes_i8x64);
        }
    }
    black_box(sums);
}

/// The rows of a block that may reach the threshold.
#[inline]
#[target_feature(enable = "avx2,avx512f,avx512bw,avx512vnni")]
fn masks<const P: usize>(
    tile: &Tile<i32, P>,
    lines4: &[Line],
    lines2: &[Line],
    numbers: &Line,
) -> [u32; P] {
    let zero = _mm512_setzero_si512();
    let mut sums_i32x16 = number_sums(tile, numbers);
    let low4 = _mm512_set1_epi8(0x0f);
    let group = GROUP_LINES;
    let groups4 = lines4
        .chunks_exact(group)
        .zip(tile.codes4().chunks_exact(group * 2));
    for ((lines, codes), scales) in groups4.zip(tile.scales4()) {
        let mut group_i32x16 = [zero; P];
        for (line, codes) in lines.iter().zip(codes.as_chunks::<2>().0) {
            let bytes: __m512i = must_cast(*line);
            let low_u8x64 = _mm512_and_si512(bytes, low4);
            let high_u8x64 = _mm512_and_si512(_mm512_srli_epi16::<4>(bytes), low4);
            for p in 0..P {
                let (low, high) = (codes[0][p], codes[1][p]);
                let sum = _mm512_dpbusd_epi32(group_i32x16[p], low_u8x64, _mm512_set1_epi32(low));
                group_i32x16[p] = _mm512_dpbusd_epi32(sum, high_u8x64, _mm512_set1_epi32(high));
            }
        }
        add_group(&mut sums_i32x16, group_i32x16, scales);
    }
    let low2 = _mm512_set1_epi8(0x03);
    let groups2 = lines2
        .chunks_exact(group)
        .zip(tile.codes2().chunks_exact(group * 4));
    for ((lines, codes), scales) in groups2.zip(tile.scales2()) {
        let mut group_i32x16 = [zero; P];
        for (line, codes) in lines.iter().zip(codes.as_chunks::<4>().0) {
            let bytes: __m512i = must_cast(*line);
            let parts_u8x64 = [
                _mm512_and_si512(bytes, low2),
                _mm512_and_si512(_mm512_srli_epi16::<2>(bytes), low2),
                _mm512_and_si512(_mm512_srli_epi16::<4>(bytes), low2),
                _mm512_and_si512(_mm512_srli_epi16::<6>(bytes), low2),
            ];
            for p in 0..P {
                for (part_u8x64, four) in parts_u8x64.into_iter().zip(codes) {
                    let codes_i8x64 = _mm512_set1_epi32(four[p]);
                    group_i32x16[p] = _mm512_dpbusd_epi32(group_i32x16[p], part_u8x64, codes_i8x64);
                }
            }
        }
        add_group(&mut sums_i32x16, group_i32x16, scales);
    }
    reaching(tile, sums_i32x16)
}

/// The same of an unpacked block: per step one load, and for each probe one `vpdpbusd` whose codes
/// are broadcast from memory.
#[inline]
#[target_feature(enable = "avx2,avx512f,avx512bw,avx512vnni")]
fn unpacked_masks<const P: usize>(
    tile: &Tile<i32, P>,
    steps4: &[Step],
    steps2: &[Step],
    numbers: &Line,
) -> [u32; P] {
    let mut sums_i32x16 = number_sums(tile, numbers);
    let steps4 = steps4.as_chunks::<{ GROUP_LINES * 2 }>().0;
    let codes4 = tile.codes4().as_chunks::<{ GROUP_LINES * 2 }>().0;
    for ((steps, codes), scales) in steps4.iter().zip(codes4).zip(tile.scales4()) {
        add_group(&mut sums_i32x16, group_sums(steps, codes), scales);
    }
    let steps2 = steps2.as_chunks::<{ GROUP_LINES * 4 }>().0;
    let codes2 = tile.codes2().as_chunks::<{ GROUP_LINES * 4 }>().0;
    for ((steps, codes), scales) in steps2.iter().zip(codes2).zip(tile.scales2()) {
        add_group(&mut sums_i32x16, group_sums(steps, codes), scales);
    }
    reaching(tile, sums_i32x16)
}

/// The same of a batch plane. Its exponents never rise, so that the products are added to the sum
/// of all groups before, which is shifted on after each: no group has a sum of its own.
#[inline]
#[target_feature(enable = "avx2,avx512f,avx512bw,avx512vnni")]
fn batch_masks<const P: usize>(tile: &Tile<i32, P>, steps: &[Step], numbers: &Line) -> [u32; P] {
    let mut sums_i32x16 = [_mm512_setzero_si512(); P];
    let groups = steps.as_chunks::<{ GROUP_LINES * 2 }>().0;
    let codes = tile.codes4().as_chunks::<{ GROUP_LINES * 2 }>().0;
    for ((steps, codes), falls) in groups.iter().zip(codes).zip(tile.falls()) {
        add_steps(&mut sums_i32x16, steps, codes);
        for p in 0..P {
            sums_i32x16[p] = _mm512_sll_epi32(sums_i32x16[p], _mm_cvtsi32_si128(falls[p]));
        }
    }
    let numbers_i32x16 = number_sums(tile, numbers);
    for p in 0..P {
        sums_i32x16[p] = _mm512_add_epi32(sums_i32x16[p], numbers_i32x16[p]);
    }
    reaching(tile, sums_i32x16)
}

#[inline]
#[target_feature(enable = "avx2,avx512f,avx512bw,avx512vnni")]
fn group_sums<const P: usize, const N: usize>(
    steps: &[Step; N],
    codes: &[[i32; P]; N],
) -> [__m512i; P] {
    let mut group_i32x16 = [_mm512_setzero_si512(); P];
    add_steps(&mut group_i32x16, steps, codes);
    group_i32x16
}

/// Adds the products of some steps of 4 dimensions.
#[inline]
#[target_feature(enable = "avx2,avx512f,avx512bw,avx512vnni")]
fn add_steps<const P: usize, const N: usize>(
    sums_i32x16: &mut [__m512i; P],
    steps: &[Step; N],
    codes: &[[i32; P]; N],
) {
    for (step, codes) in steps.iter().zip(codes) {
        let rows_u8x64: __m512i = must_cast(step.0);
        for p in 0..P {
            let codes_i8x64 = _mm512_set1_epi32(codes[p]);
            sums_i32x16[p] = _mm512_dpbusd_epi32(sums_i32x16[p], rows_u8x64, codes_i8x64);
        }
    }
}

/// The numbers' part of the integers, with which they begin.
#[inline]
#[target_feature(enable = "avx2,avx512f,avx512bw,avx512vnni")]
fn number_sums<const P: usize>(tile: &Tile<i32, P>, numbers: &Line) -> [__m512i; P] {
    let zero = _mm512_setzero_si512();
    let mut sums_i32x16 = [zero; P];
    for p in 0..P {
        let weights_i8x64 = _mm512_set1_epi32(tile.weights[p]);
        sums_i32x16[p] = _mm512_dpbusd_epi32(zero, must_cast(*numbers), weights_i8x64);
    }
    sums_i32x16
}

#[inline]
#[target_feature(enable = "avx2,avx512f,avx512bw,avx512vnni")]
fn reaching<const P: usize>(tile: &Tile<i32, P>, sums_i32x16: [__m512i; P]) -> [u32; P] {
    let mut masks = [0; P];
    for p in 0..P {
        let floor_i32x16 = _mm512_set1_epi32(tile.floors[p]);
        masks[p] = _mm512_cmpge_epi32_mask(sums_i32x16[p], floor_i32x16).into();
    }
    masks
}

/// Scales a group's sums by its power of two. (Of `sllv` by a broadcast the compiler makes a
/// compare, a move, a shift and a masked addition.)
#[inline]
#[target_feature(enable = "avx2,avx512f,avx512bw,avx512vnni")]
fn add_group<const P: usize>(
    sums_i32x16: &mut [__m512i; P],
    group_i32x16: [__m512i; P],
    scales: &[i32; P],
) {
    for p in 0..P {
        let scaled_i32x16 = _mm512_sll_epi32(group_i32x16[p], _mm_cvtsi32_si128(scales[p]));
        sums_i32x16[p] = _mm512_add_epi32(sums_i32x16[p], scaled_i32x16);
    }
}
