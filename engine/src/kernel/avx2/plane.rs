//! The plane's pass on AVX2.
//!
//! A line holds 4 bytes of each of 16 rows, so that sums of different rows lie in different lanes
//! and nothing is added across; 8 rows are one half, one register. Codes are unsigned; `maddubs` by
//! the probe's codes gives pairs of at most 3,810 (4 bits) or 762 (2 bits), added in i16 for a
//! group of 4 lines (range in `crate::plane`), then `maddwd` by `2^k` widens and scales at once.
//!
//! One or two probes: unpacked by mask and shift in registers. Per half and 4-bit line 1 load, 3 to
//! unpack, and for each probe 2 `maddubs`, 2 `paddw`; the memory is what it waits for.
//!
//! A batch plane's codes have 6 bits, and pairs of products at most 16,002: two fit in i16, so that
//! `maddwd` comes after every second step instead of every eighth.
//!
//! Four probes and more: a block is unpacked once into 8 KB of first-level cache, then each four
//! probes walk over it. Per step (4 dimensions of 16 rows): 2 loads, 4 broadcasts, 8 `maddubs`,
//! 8 `paddw`: 22 instructions in 4 cycles, which the two ports of `maddubs` set. Unpacking in
//! registers for four or eight probes reached 210 Gop/s against 300, because it needs more
//! registers than there are.

use super::super::tile::{GROUP_LINES, Part, Step, Steps, Tile, Tiles, scan_parts};
use super::super::{PEAK_CHAINS, PlaneScan, Survivor};
use super::int8_dot;
use crate::plane::{BLOCK_ROWS, Line};
use bytemuck::must_cast;
use std::arch::x86_64::*;
use std::hint::black_box;

/// Probes that walk over an unpacked block together.
const MANY: usize = 4;

#[target_feature(enable = "avx2")]
pub(super) fn plane(scan: PlaneScan<'_>, tiles: &mut Tiles<i32, MANY>) {
    let is_batch = scan.plane.geometry.is_batch();
    tiles.fill(&scan, must_cast, |shift| must_cast([1i16 << shift; 2]));
    let walk = |part: Part<'_>, survivors: &mut Vec<Survivor>| {
        part.walk_unpacked(
            &tiles.many,
            survivors,
            |lines4, lines2, steps| unpack(lines4, lines2, steps),
            |tile, steps4, steps2, n| {
                let sums_i32x8 = match is_batch {
                    true => batch_sums(tile, steps4, n),
                    false => unpacked_sums(tile, steps4, steps2, n),
                };
                reaching(tile, sums_i32x8)
            },
        );
        for tile in &tiles.two {
            part.walk(tile, survivors, |tile, l4, l2, n| {
                reaching(tile, packed_sums(tile, l4, l2, n))
            });
        }
        for tile in &tiles.one {
            part.walk(tile, survivors, |tile, l4, l2, n| {
                reaching(tile, packed_sums(tile, l4, l2, n))
            });
        }
    };
    scan_parts(scan, walk, |row, probe| int8_dot(row, &probe.codes));
}

/// The rows of a block that may reach the threshold, by probe.
#[inline]
#[target_feature(enable = "avx2")]
fn reaching<const P: usize>(tile: &Tile<i32, P>, sums_i32x8: [[__m256i; 2]; P]) -> [u32; P] {
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

/// One code a byte.
#[inline]
#[target_feature(enable = "avx2")]
pub(in super::super) fn unpack(lines4: &[Line], lines2: &[Line], steps: &mut Steps) {
    let (steps4, steps2) = steps.0.split_at_mut(lines4.len() * 2);
    for (line, steps) in lines4.iter().zip(steps4.as_chunks_mut::<2>().0) {
        for half in 0..2 {
            let parts = parts4(load(line, half));
            (0..2).for_each(|part| steps[part].0[half] = must_cast(parts[part]));
        }
    }
    for (line, steps) in lines2.iter().zip(steps2.as_chunks_mut::<4>().0) {
        for half in 0..2 {
            let parts = parts2(load(line, half));
            (0..4).for_each(|part| steps[part].0[half] = must_cast(parts[part]));
        }
    }
}

/// The integers `I` of an unpacked block.
#[inline]
#[target_feature(enable = "avx2")]
fn unpacked_sums<const P: usize>(
    tile: &Tile<i32, P>,
    steps4: &[Step],
    steps2: &[Step],
    numbers: &Line,
) -> [[__m256i; 2]; P] {
    let mut sums_i32x8 = number_sums(tile, numbers);
    let steps4 = steps4.as_chunks::<{ GROUP_LINES * 2 }>().0;
    let codes4 = tile.codes4().as_chunks::<{ GROUP_LINES * 2 }>().0;
    for ((steps, codes), scales) in steps4.iter().zip(codes4).zip(tile.scales4()) {
        add_group(&mut sums_i32x8, group_sums(steps, codes), scales);
    }
    let steps2 = steps2.as_chunks::<{ GROUP_LINES * 4 }>().0;
    let codes2 = tile.codes2().as_chunks::<{ GROUP_LINES * 4 }>().0;
    for ((steps, codes), scales) in steps2.iter().zip(codes2).zip(tile.scales2()) {
        add_group(&mut sums_i32x8, group_sums(steps, codes), scales);
    }
    sums_i32x8
}

/// The same of 6-bit codes: two steps of at most 16,002 fit in i16, then `maddwd` widens.
#[inline]
#[target_feature(enable = "avx2")]
fn batch_sums<const P: usize>(
    tile: &Tile<i32, P>,
    steps: &[Step],
    numbers: &Line,
) -> [[__m256i; 2]; P] {
    let mut sums_i32x8 = number_sums(tile, numbers);
    let groups = steps.as_chunks::<{ GROUP_LINES * 2 }>().0;
    let codes = tile.codes4().as_chunks::<{ GROUP_LINES * 2 }>().0;
    for ((steps, codes), scales) in groups.iter().zip(codes).zip(tile.scales4()) {
        for (steps, codes) in steps
            .as_chunks::<2>()
            .0
            .iter()
            .zip(codes.as_chunks::<2>().0)
        {
            add_group(&mut sums_i32x8, group_sums(steps, codes), scales);
        }
    }
    sums_i32x8
}

#[inline]
#[target_feature(enable = "avx2")]
fn group_sums<const P: usize, const N: usize>(
    steps: &[Step; N],
    codes: &[[i32; P]; N],
) -> [[__m256i; 2]; P] {
    let mut group_i16x16 = [[_mm256_setzero_si256(); 2]; P];
    for (step, codes) in steps.iter().zip(codes) {
        add_step(&mut group_i16x16, step.0.map(must_cast), codes);
    }
    group_i16x16
}

/// The integers `I` of a packed block.
#[inline]
#[target_feature(enable = "avx2")]
fn packed_sums<const P: usize>(
    tile: &Tile<i32, P>,
    lines4: &[Line],
    lines2: &[Line],
    numbers: &Line,
) -> [[__m256i; 2]; P] {
    let mut sums_i32x8 = number_sums(tile, numbers);
    let zero = _mm256_setzero_si256();
    let group = hidden_group_lines();
    let groups4 = lines4
        .chunks_exact(group)
        .zip(tile.codes4().chunks_exact(group * 2));
    for ((lines, codes), scales) in groups4.zip(tile.scales4()) {
        let mut group_i16x16 = [[zero; 2]; P];
        for (line, codes) in lines.iter().zip(codes.as_chunks::<2>().0) {
            let halves = [parts4(load(line, 0)), parts4(load(line, 1))];
            for part in 0..2 {
                add_step(
                    &mut group_i16x16,
                    [halves[0][part], halves[1][part]],
                    &codes[part],
                );
            }
        }
        add_group(&mut sums_i32x8, group_i16x16, scales);
    }
    let groups2 = lines2
        .chunks_exact(group)
        .zip(tile.codes2().chunks_exact(group * 4));
    for ((lines, codes), scales) in groups2.zip(tile.scales2()) {
        let mut group_i16x16 = [[zero; 2]; P];
        for (line, codes) in lines.iter().zip(codes.as_chunks::<4>().0) {
            let halves = [parts2(load(line, 0)), parts2(load(line, 1))];
            for part in 0..4 {
                add_step(
                    &mut group_i16x16,
                    [halves[0][part], halves[1][part]],
                    &codes[part],
                );
            }
        }
        add_group(&mut sums_i32x8, group_i16x16, scales);
    }
    sums_i32x8
}

/// Lines of a group, kept from the compiler: it would unroll whole groups, and with 16 registers
/// that cost a third of the speed.
#[inline]
fn hidden_group_lines() -> usize {
    black_box(GROUP_LINES)
}

/// The numbers' part of the integers, with which they begin.
#[inline]
#[target_feature(enable = "avx2")]
fn number_sums<const P: usize>(tile: &Tile<i32, P>, numbers: &Line) -> [[__m256i; 2]; P] {
    let ones_i16x16 = _mm256_set1_epi16(1);
    let mut sums_i32x8 = [[ones_i16x16; 2]; P];
    for p in 0..P {
        let weights_i8x32 = _mm256_set1_epi32(tile.weights[p]);
        for half in 0..2 {
            let pairs_i16x16 = _mm256_maddubs_epi16(load(numbers, half), weights_i8x32);
            sums_i32x8[p][half] = _mm256_madd_epi16(pairs_i16x16, ones_i16x16);
        }
    }
    sums_i32x8
}

/// Adds the products of 4 dimensions of 16 rows with each probe's codes.
#[inline]
#[target_feature(enable = "avx2")]
fn add_step<const P: usize>(
    group_i16x16: &mut [[__m256i; 2]; P],
    halves_u8x32: [__m256i; 2],
    codes: &[i32; P],
) {
    for p in 0..P {
        let codes_i8x32 = _mm256_set1_epi32(codes[p]);
        for half in 0..2 {
            let pairs_i16x16 = _mm256_maddubs_epi16(halves_u8x32[half], codes_i8x32);
            group_i16x16[p][half] = _mm256_add_epi16(group_i16x16[p][half], pairs_i16x16);
        }
    }
}

/// Widens a group's sums and scales them by `2^k`.
#[inline]
#[target_feature(enable = "avx2")]
fn add_group<const P: usize>(
    sums_i32x8: &mut [[__m256i; 2]; P],
    group_i16x16: [[__m256i; 2]; P],
    scales: &[i32; P],
) {
    for p in 0..P {
        let scale_i16x16 = _mm256_set1_epi32(scales[p]);
        for half in 0..2 {
            let scaled_i32x8 = _mm256_madd_epi16(group_i16x16[p][half], scale_i16x16);
            sums_i32x8[p][half] = _mm256_add_epi32(sums_i32x8[p][half], scaled_i32x8);
        }
    }
}

/// The two 4-bit codes of each byte.
#[inline]
#[target_feature(enable = "avx2")]
fn parts4(bytes: __m256i) -> [__m256i; 2] {
    let low4 = _mm256_set1_epi8(0x0f);
    [
        _mm256_and_si256(bytes, low4),
        _mm256_and_si256(_mm256_srli_epi16::<4>(bytes), low4),
    ]
}

/// The four 2-bit codes of each byte.
#[inline]
#[target_feature(enable = "avx2")]
fn parts2(bytes: __m256i) -> [__m256i; 4] {
    let low2 = _mm256_set1_epi8(0x03);
    [
        _mm256_and_si256(bytes, low2),
        _mm256_and_si256(_mm256_srli_epi16::<2>(bytes), low2),
        _mm256_and_si256(_mm256_srli_epi16::<4>(bytes), low2),
        _mm256_and_si256(_mm256_srli_epi16::<6>(bytes), low2),
    ]
}

/// Per chain and round one `maddubs` and one `paddw`: 64 operations.
#[target_feature(enable = "avx2")]
pub(super) fn peak(rounds: u32) {
    let codes_i8x32 = black_box(_mm256_set1_epi8(3));
    let mut products = [black_box(_mm256_set1_epi8(1)); PEAK_CHAINS];
    let mut sums = [_mm256_setzero_si256(); PEAK_CHAINS];
    for _ in 0..rounds {
        for chain in 0..PEAK_CHAINS {
            products[chain] = _mm256_maddubs_epi16(products[chain], codes_i8x32);
            sums[chain] = _mm256_add_epi16(sums[chain], products[chain]);
        }
    }
    black_box(sums);
}

/// Eight of the sixteen rows of a line.
#[inline]
#[target_feature(enable = "avx2")]
fn load(line: &Line, half: usize) -> __m256i {
    must_cast(line.as_chunks::<{ 2 * BLOCK_ROWS }>().0[half])
}
