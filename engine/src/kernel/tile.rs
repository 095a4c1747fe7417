//! Probes of a plane scan, grouped so that a group shares the unpacking of the rows, with their
//! codes in the order in which the lines come: the inner loop walks forward and checks nothing.

use super::{PlaneScan, Survivor};
use crate::DIM;
use crate::plane::{Line, PlaneProbe, PlaneRows};
use bytemuck::must_cast_ref;

/// Blocks that stay in the second-level cache (200 KB) while all probes walk over them.
const CACHED_BLOCKS: usize = 64;
/// Lines of a group of dimensions, of 4 or of 2 bits.
pub(super) const GROUP_LINES: usize = 4;

/// `P` probes; `T` holds four codes of one probe in the form that a tier multiplies by.
pub(super) struct Tile<T, const P: usize> {
    /// Number of the first probe.
    pub(super) first: usize,
    /// Codes of 4 dimensions each, in the order of the parts of 4-bit lines, then of 2-bit lines.
    pub(super) codes4: Vec<[T; P]>,
    pub(super) codes2: Vec<[T; P]>,
    /// What scales each group's sums, for each probe: its exponent, as the tier wants it.
    pub(super) scales4: Vec<[i32; P]>,
    pub(super) scales2: Vec<[i32; P]>,
    pub(super) weights: [T; P],
    pub(super) floors: [i32; P],
}

/// A batch as tiles: as many of `MANY` (4 or 8) as there are, then four, two and one.
pub(super) struct Tiles<T, const MANY: usize> {
    pub(super) many: Vec<Tile<T, MANY>>,
    pub(super) four: Option<Tile<T, 4>>,
    pub(super) two: Option<Tile<T, 2>>,
    pub(super) one: Option<Tile<T, 1>>,
}

impl<T: Copy, const MANY: usize> Tiles<T, MANY> {
    pub(super) fn new(
        scan: &PlaneScan<'_>,
        spread: impl Fn([i8; 4]) -> T,
        scale: fn(u8) -> i32,
    ) -> Self {
        const { assert!(MANY == 4 || MANY == 8) };
        let lines = (
            scan.plane.geometry.dims4 / 8,
            scan.plane.geometry.dims2 / 16,
        );
        let (many, rest) = scan.probes.as_chunks::<MANY>();
        let at_four = many.len() * MANY;
        let (four, rest) = rest.split_at(rest.len() & 4);
        let at_two = at_four + four.len();
        let (two, one) = rest.split_at(rest.len() & 2);
        let at_one = at_two + two.len();
        let tile = |(i, probes)| Tile::new(i * MANY, probes, lines, &spread, scale);
        Self {
            many: many.iter().enumerate().map(tile).collect(),
            four: four
                .first_chunk()
                .map(|p| Tile::new(at_four, p, lines, &spread, scale)),
            two: two
                .first_chunk()
                .map(|p| Tile::new(at_two, p, lines, &spread, scale)),
            one: one
                .first_chunk()
                .map(|p| Tile::new(at_one, p, lines, &spread, scale)),
        }
    }
}

impl<T: Copy, const P: usize> Tile<T, P> {
    fn new(
        first: usize,
        probes: &[PlaneProbe; P],
        (lines4, lines2): (usize, usize),
        spread: &impl Fn([i8; 4]) -> T,
        scale: fn(u8) -> i32,
    ) -> Self {
        let fours: [&[[i8; 4]; DIM / 4]; P] =
            probes.each_ref().map(|probe| must_cast_ref(&probe.codes));
        let of_probes = std::array::from_fn::<usize, P, _>(|probe| probe);
        let codes = |at: usize| of_probes.map(|probe| spread(fours[probe][at]));
        let scales = |group: usize| of_probes.map(|probe| scale(probes[probe].shifts[group]));
        let (end4, groups4) = (lines4 * 2, lines4 / GROUP_LINES);
        Self {
            first,
            codes4: (0..end4).map(codes).collect(),
            codes2: (end4..end4 + lines2 * 4).map(codes).collect(),
            scales4: (0..groups4).map(scales).collect(),
            scales2: (groups4..groups4 + lines2 / GROUP_LINES)
                .map(scales)
                .collect(),
            weights: of_probes.map(|probe| spread(probes[probe].weights)),
            floors: of_probes.map(|probe| probes[probe].floor),
        }
    }

    /// Calls `masks` for each block, with its 4-bit lines, 2-bit lines and numbers, and keeps the
    /// rows of the mask that it gives for each probe.
    #[inline(always)]
    pub(super) fn walk(
        &self,
        plane: PlaneRows<'_>,
        first_block: usize,
        survivors: &mut Vec<Survivor>,
        masks: impl Fn(&Self, &[Line], &[Line], &Line) -> [u32; P],
    ) {
        let blocks = plane
            .lines
            .chunks_exact(plane.geometry.lines())
            .zip(plane.numbers);
        for (block, (lines, numbers)) in blocks.enumerate() {
            let (lines4, lines2) = lines.split_at(plane.geometry.dims4 / 8);
            let masks = masks(self, lines4, lines2, numbers);
            for (probe, &mask) in masks.iter().enumerate() {
                if mask != 0 {
                    let (block, probe) = (first_block + block, self.first + probe);
                    PlaneScan::keep(survivors, plane.rows, block, probe, mask);
                }
            }
        }
    }
}

/// A scan in parts that stay in the cache, each with the number of its first block.
pub(super) fn cached_parts(plane: PlaneRows<'_>) -> impl Iterator<Item = (usize, PlaneRows<'_>)> {
    let lines = plane.lines.chunks(plane.geometry.lines() * CACHED_BLOCKS);
    let parts = lines.zip(plane.numbers.chunks(CACHED_BLOCKS)).enumerate();
    parts.map(move |(part, (lines, numbers))| {
        (
            part * CACHED_BLOCKS,
            PlaneRows {
                lines,
                numbers,
                ..plane
            },
        )
    })
}
