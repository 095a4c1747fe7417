//! How many dimensions of a plane have how many bits, and the groups that share a scale.

use crate::DIM;

/// Dimensions that share one scale of the probe.
pub(crate) const GROUP4: usize = 32;
pub(super) const GROUP2: usize = 64;
pub(crate) const GROUPS_MAX: usize = DIM / GROUP4;
/// Largest exponent of a group's scale, and the same where codes have 6 bits.
pub(super) const SHIFT_MAX: u32 = 10;
pub(super) const SHIFT6_MAX: u32 = 8;

/// How many dimensions have how many bits: 6, or 4 and 2.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Geometry {
    /// A multiple of 32; a byte each, and no others beside them.
    pub(crate) dims6: usize,
    /// A multiple of 32.
    pub(crate) dims4: usize,
    /// A multiple of 64.
    pub(crate) dims2: usize,
}

impl Geometry {
    /// The most bytes a row that a lone plane may take, and a batch plane.
    pub(crate) const LARGEST: Self = Self::lone(DIM, 0);
    pub(crate) const LARGEST_BATCH: Self = Self::batch(320);

    /// A plane for one probe.
    pub(crate) const fn lone(dims4: usize, dims2: usize) -> Self {
        let dims6 = 0;
        Self {
            dims6,
            dims4,
            dims2,
        }
    }

    /// A plane for batches.
    pub(crate) const fn batch(dims6: usize) -> Self {
        let (dims4, dims2) = (0, 0);
        Self {
            dims6,
            dims4,
            dims2,
        }
    }

    /// True if codes have 6 bits.
    pub(crate) fn is_batch(self) -> bool {
        self.dims6 > 0
    }

    /// Dimensions that have codes.
    pub(crate) fn dims(self) -> usize {
        self.dims6 + self.dims4 + self.dims2
    }

    /// Dimensions of the first block, of 6 or of 4 bits, and the largest of its codes.
    pub(super) fn first_block(self) -> (usize, u8) {
        if self.is_batch() {
            (self.dims6, 63)
        } else {
            (self.dims4, 15)
        }
    }

    pub(super) fn shift_max(self) -> u32 {
        if self.is_batch() {
            SHIFT6_MAX
        } else {
            SHIFT_MAX
        }
    }

    /// Lines of codes a block.
    pub(crate) fn lines(self) -> usize {
        self.dims6 / 4 + self.dims4 / 8 + self.dims2 / 16
    }

    /// Bytes that the first pass reads for each row.
    pub(crate) fn row_bytes(self) -> usize {
        self.lines() * 4 + 4
    }

    /// True if a kernel can run it.
    pub(crate) fn is_sound(self) -> bool {
        let whole_groups = self.dims6.is_multiple_of(GROUP4)
            && self.dims4.is_multiple_of(GROUP4)
            && self.dims2.is_multiple_of(GROUP2);
        let one_kind = !self.is_batch() || self.dims4 + self.dims2 == 0;
        whole_groups && one_kind && (1..=DIM).contains(&self.dims())
    }

    /// The groups: first dimension, end.
    pub(super) fn groups(self) -> impl Iterator<Item = (usize, usize)> {
        let (first_block, _) = self.first_block();
        let first = (0..first_block).step_by(GROUP4).map(|at| (at, at + GROUP4));
        let two = (first_block..self.dims()).step_by(GROUP2);
        first.chain(two.map(|at| (at, at + GROUP2)))
    }
}
