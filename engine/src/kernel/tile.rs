//! Probes of a plane scan, grouped so that a group shares the loads of the rows, with their codes
//! in the order in which the lines come: the inner loop walks forward and checks nothing.
//!
//! Up to three probes unpack each line in registers ([`Part::walk`]). More share the unpacking of a
//! whole block into first-level cache, one code a byte ([`Part::walk_unpacked`]): it is paid once,
//! and what survives comes block by block, so that the next pass meets rows that are near in
//! memory. A batch plane is only walked that way: its lines are unpacked already, and what is left
//! of a tile is filled up with probes that no row reaches.

use super::{PlaneScan, Survivor, prefetch};
use crate::DIM;
use crate::int8::Int8Probe;
use crate::limits::PROBES_MAX;
use crate::plane::{BLOCK_ROWS, GROUP4, GROUPS_MAX, Geometry, Line, PlaneProbe, PlaneRows};
use bytemuck::{Pod, Zeroable, must_cast_ref, must_cast_slice};

/// Blocks that stay in the second-level cache (200 KB) while all probes walk over them.
const CACHED_BLOCKS: usize = 64;
/// Blocks whose int8 codes (256 KB) stay there until they are looked at.
const NEAR_BLOCKS: usize = 32;
/// Lines of a group of dimensions, of 4 or of 2 bits.
pub(super) const GROUP_LINES: usize = 4;

/// One code of 4 dimensions of 16 rows, a byte each: what a line of a batch plane is.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(transparent)]
pub(super) struct Step(pub(super) [[u8; 32]; 2]);

/// An unpacked block: 4-bit steps first.
#[repr(align(64))]
pub(super) struct Steps(pub(super) [Step; DIM / 4]);

/// `P` probes; `T` holds four codes of one probe in the form that a tier multiplies by.
#[derive(Debug)]
pub(super) struct Tile<T, const P: usize> {
    /// Number of the first probe.
    pub(super) first: usize,
    /// Codes of 4 dimensions each, in the order of the parts of 4-bit lines, then of 2-bit lines.
    codes: [[T; P]; DIM / 4],
    /// How many are of 4-bit lines, and how many there are.
    ends: [usize; 2],
    /// What scales each group's sums, for each probe: its exponent, as the tier wants it.
    scales: [[i32; P]; GROUPS_MAX],
    /// How many are of 4-bit lines, and how many there are.
    groups: [usize; 2],
    /// Of a batch plane, how much less than a group's exponent the next one's is; the last one's
    /// whole. A tier that shifts its sum by them after each group needs no sum of the group.
    falls: [[i32; P]; GROUPS_MAX],
    pub(super) weights: [T; P],
    pub(super) floors: [i32; P],
}

/// A batch as tiles: as many of `MANY` (4 or 8) as there are, then at most one of four, two, one.
/// Made anew for each unit of rows, in the same memory.
#[derive(Debug, Default)]
pub(super) struct Tiles<T, const MANY: usize> {
    pub(super) many: Vec<Tile<T, MANY>>,
    pub(super) four: Vec<Tile<T, 4>>,
    pub(super) two: Vec<Tile<T, 2>>,
    pub(super) one: Vec<Tile<T, 1>>,
}

/// A thread's memory for tiles, in the form of each tier; filled is that of the tier that runs.
#[derive(Debug, Default)]
pub(crate) struct TileMemory {
    pub(super) eights: Tiles<i32, 8>,
    pub(super) fours: Tiles<i32, 4>,
    pub(super) spread: Tiles<[[i8; 4]; 8], 4>,
}

impl<T: Copy, const MANY: usize> Tiles<T, MANY> {
    pub(super) fn fill(
        &mut self,
        scan: &PlaneScan<'_>,
        spread: impl Fn([i8; 4]) -> T,
        scale: fn(u8) -> i32,
    ) {
        const { assert!(MANY == 4 || MANY == 8) };
        let geometry = scan.plane.geometry;
        let (probes, nobody) = (scan.probes, PlaneProbe::nobody());
        let tiles = match geometry.is_batch() {
            true => probes.len().div_ceil(MANY),
            false => probes.len() / MANY,
        };
        let rest = probes.len().saturating_sub(tiles * MANY);
        let at_four = tiles * MANY;
        let at_two = at_four + (rest & 4);
        let at_one = at_two + (rest & 2);
        let form = Form {
            geometry,
            spread,
            scale,
        };
        refill(&mut self.many, 0, tiles, probes, &nobody, &form);
        refill(&mut self.four, at_four, rest >> 2, probes, &nobody, &form);
        refill(&mut self.two, at_two, rest >> 1 & 1, probes, &nobody, &form);
        refill(&mut self.one, at_one, rest & 1, probes, &nobody, &form);
    }
}

/// So many tiles of the probes from `first` on.
fn refill<T: Copy, F: Fn([i8; 4]) -> T, const P: usize>(
    tiles: &mut Vec<Tile<T, P>>,
    first: usize,
    count: usize,
    probes: &[PlaneProbe],
    nobody: &PlaneProbe,
    form: &Form<F>,
) {
    tiles.clear();
    let tile = |number| Tile::new(first + number * P, probes, nobody, form);
    tiles.extend((0..count).map(tile));
}

/// How a tier wants codes and exponents.
struct Form<F> {
    geometry: Geometry,
    spread: F,
    scale: fn(u8) -> i32,
}

impl<T: Copy, const P: usize> Tile<T, P> {
    /// Probes `first..first + P`; past their end, nobody.
    fn new<F: Fn([i8; 4]) -> T>(
        first: usize,
        probes: &[PlaneProbe],
        nobody: &PlaneProbe,
        form: &Form<F>,
    ) -> Self {
        let Form {
            geometry,
            spread,
            scale,
        } = form;
        let of_probes = std::array::from_fn::<usize, P, _>(|probe| probe);
        let probes = of_probes.map(|probe| probes.get(first + probe).unwrap_or(nobody));
        let fours: [&[[i8; 4]; DIM / 4]; P] = probes.map(|probe| must_cast_ref(&probe.codes));
        let end4 = (geometry.dims6 + geometry.dims4) / 4;
        let groups4 = end4 / (GROUP4 / 4);
        let exponent = |probe: usize, group: usize| match probes[probe].shifts.get(group) {
            Some(shift) if group < groups4 => i32::from(*shift),
            _ => 0,
        };
        Self {
            first,
            codes: std::array::from_fn(|at| of_probes.map(|probe| spread(fours[probe][at]))),
            ends: [end4, end4 + geometry.dims2 / 4],
            scales: std::array::from_fn(|group| {
                of_probes.map(|probe| scale(probes[probe].shifts[group]))
            }),
            groups: [groups4, groups4 + geometry.dims2 / 16 / GROUP_LINES],
            falls: std::array::from_fn(|group| {
                of_probes.map(|probe| exponent(probe, group) - exponent(probe, group + 1))
            }),
            weights: of_probes.map(|probe| spread(probes[probe].weights)),
            floors: of_probes.map(|probe| probes[probe].floor),
        }
    }

    #[inline(always)]
    pub(super) fn codes4(&self) -> &[[T; P]] {
        &self.codes[..self.ends[0]]
    }

    #[inline(always)]
    pub(super) fn codes2(&self) -> &[[T; P]] {
        &self.codes[self.ends[0]..self.ends[1]]
    }

    #[inline(always)]
    pub(super) fn scales4(&self) -> &[[i32; P]] {
        &self.scales[..self.groups[0]]
    }

    #[inline(always)]
    pub(super) fn scales2(&self) -> &[[i32; P]] {
        &self.scales[self.groups[0]..self.groups[1]]
    }

    #[inline(always)]
    pub(super) fn falls(&self) -> &[[i32; P]] {
        &self.falls[..self.groups[0]]
    }
}

/// Which rows of one block survive for which probe: four probes of 16 rows a word.
struct BlockMasks {
    words: [u64; PROBES_MAX / 4],
    /// What a block yields, and room for what [`Self::take`] writes too much.
    survivors: [Survivor; PROBES_MAX * BLOCK_ROWS + AT_ONCE],
}

/// Survivors that are written without looking whether there are as many: in a batch every word has
/// about three, and a branch for each would be guessed wrong half of the time.
const AT_ONCE: usize = 4;

impl BlockMasks {
    fn new() -> Self {
        Self {
            words: [0; PROBES_MAX / 4],
            survivors: [Survivor { row: 0, probe: 0 }; PROBES_MAX * BLOCK_ROWS + AT_ONCE],
        }
    }

    #[inline(always)]
    fn set<const P: usize>(&mut self, first: usize, masks: [u32; P]) {
        for (word, four) in masks.as_chunks::<4>().0.iter().enumerate() {
            let low = u64::from(four[0] | four[1] << 16);
            let high = u64::from(four[2] | four[3] << 16);
            self.words[first / 4 + word] = low | high << 32;
        }
    }

    /// Appends the survivors of the block whose first row is `row`, without padding.
    #[inline(always)]
    fn take(&mut self, survivors: &mut Vec<Survivor>, rows: usize, row: usize) {
        let valid = u64::MAX >> (64 - 16.min(rows - row)) & 0xffff;
        let valid = valid * 0x0001_0001_0001_0001;
        let mut count = 0;
        for (word, bits) in self.words.iter_mut().enumerate() {
            let mut left = std::mem::take(bits) & valid;
            while left != 0 {
                for _ in 0..AT_ONCE {
                    // Of no bits left this is 64 and not counted.
                    let bit = left.trailing_zeros();
                    self.survivors[count] = Survivor {
                        row: row as u32 + bit % 16,
                        probe: word as u32 * 4 + bit / 16,
                    };
                    count += usize::from(left != 0);
                    left &= left.wrapping_sub(1);
                }
            }
        }
        survivors.extend_from_slice(&self.survivors[..count]);
    }
}

/// Some blocks of a scan.
#[derive(Clone, Copy)]
pub(super) struct Part<'a> {
    plane: PlaneRows<'a>,
    first_block: usize,
    /// int8 codes of the part's rows if nearly each will be looked at.
    wanted: &'a [[i8; DIM]],
}

impl Part<'_> {
    /// Calls `masks` for each block, with its 4-bit lines, 2-bit lines and numbers, and keeps the
    /// rows of the mask that it gives for each probe.
    #[inline(always)]
    pub(super) fn walk<T: Copy, const P: usize>(
        self,
        tile: &Tile<T, P>,
        survivors: &mut Vec<Survivor>,
        masks: impl Fn(&Tile<T, P>, &[Line], &[Line], &Line) -> [u32; P],
    ) {
        for (block, (lines4, lines2, numbers)) in self.blocks().enumerate() {
            let masks = masks(tile, lines4, lines2, numbers);
            for (probe, &mask) in masks.iter().enumerate() {
                if mask != 0 {
                    let (block, probe) = (self.first_block + block, tile.first + probe);
                    PlaneScan::keep(survivors, self.plane.rows, block, probe, mask);
                }
            }
        }
    }

    /// Calls `unpack` for each block of a lone plane, and `masks` for each tile with its 4-bit
    /// steps, 2-bit steps and numbers; keeps the rows of the masks.
    #[inline(always)]
    pub(super) fn walk_unpacked<T: Copy, const P: usize>(
        self,
        tiles: &[Tile<T, P>],
        survivors: &mut Vec<Survivor>,
        unpack: impl Fn(&[Line], &[Line], &mut Steps),
        masks: impl Fn(&Tile<T, P>, &[Step], &[Step], &Line) -> [u32; P],
    ) {
        if tiles.is_empty() {
            return;
        }
        let mut steps = Steps([Step([[0; 32]; 2]); DIM / 4]);
        let mut kept = BlockMasks::new();
        let wanted_by_tile = BLOCK_ROWS.div_ceil(tiles.len());
        let geometry = self.plane.geometry;
        let stride = geometry.lines();
        let lines_by_tile = stride.div_ceil(tiles.len());
        for (block, (lines4, lines2, numbers)) in self.blocks().enumerate() {
            let (steps4, steps2) = if geometry.is_batch() {
                (must_cast_slice(lines4), &[][..])
            } else {
                unpack(lines4, lines2, &mut steps);
                let (steps4, rest) = steps.0.split_at(lines4.len() * 2);
                (steps4, &rest[..lines2.len() * 4])
            };
            let wanted = self
                .wanted
                .chunks(BLOCK_ROWS)
                .nth(block)
                .unwrap_or_default();
            let mut wanted = wanted.chunks(wanted_by_tile);
            let ahead = self
                .plane
                .lines
                .get((block + 1) * stride..)
                .unwrap_or_default();
            let ahead = &ahead[..ahead.len().min(stride)];
            let mut ahead = ahead.chunks(lines_by_tile);
            for tile in tiles {
                // Memory brings this block's int8 codes and the next block's lines while the
                // products are computed; that far apart, it does not guess them itself.
                prefetch(bytemuck::cast_slice(wanted.next().unwrap_or_default()));
                prefetch(bytemuck::cast_slice(ahead.next().unwrap_or_default()));
                kept.set(tile.first, masks(tile, steps4, steps2, numbers));
            }
            let row = (self.first_block + block) * BLOCK_ROWS;
            kept.take(survivors, self.plane.rows, row);
        }
    }

    /// The lines of each block, of 6 or 4 bits and of 2 bits, and its numbers.
    #[inline(always)]
    fn blocks(&self) -> impl Iterator<Item = (&[Line], &[Line], &Line)> {
        let geometry = self.plane.geometry;
        let first = geometry.dims6 / 4 + geometry.dims4 / 8;
        let blocks = self.plane.lines.chunks_exact(geometry.lines());
        blocks.zip(self.plane.numbers).map(move |(lines, numbers)| {
            let (first, two) = lines.split_at(first);
            (first, two, numbers)
        })
    }
}

/// Calls `walk` for parts of a scan that stay in the cache while all probes walk over them, and
/// lets int8 look at what is left by a tier's own dot product: after each part of a batch plane,
/// because then nearly every row is wanted and still near; at the end of a lone one, because then
/// few are, and are better called from memory many at a time.
#[inline(always)]
pub(super) fn scan_parts(
    scan: PlaneScan<'_>,
    walk: impl Fn(Part<'_>, &mut Vec<Survivor>),
    dot: impl Fn(&[i8; DIM], &Int8Probe) -> i32 + Copy,
) {
    let PlaneScan {
        plane,
        survivors,
        mut then,
        ..
    } = scan;
    let is_batch = plane.geometry.is_batch();
    let blocks = if is_batch { NEAR_BLOCKS } else { CACHED_BLOCKS };
    let lines = plane.lines.chunks(plane.geometry.lines() * blocks);
    let mut looked_at = survivors.len();
    for (number, (lines, numbers)) in lines.zip(plane.numbers.chunks(blocks)).enumerate() {
        let first_block = number * blocks;
        let wanted = match &then {
            Some(then) if is_batch => {
                let codes = &then.rows.codes[first_block * BLOCK_ROWS..];
                &codes[..codes.len().min(blocks * BLOCK_ROWS)]
            }
            _ => &[],
        };
        let part = Part {
            plane: PlaneRows {
                lines,
                numbers,
                ..plane
            },
            first_block,
            wanted,
        };
        walk(part, survivors);
        if is_batch && let Some(then) = &mut then {
            then.retain(survivors, looked_at, dot);
            looked_at = survivors.len();
        }
    }
    if let Some(then) = &mut then {
        then.retain(survivors, looked_at, dot);
    }
}
