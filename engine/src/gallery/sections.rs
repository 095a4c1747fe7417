//! Which sections a gallery has, how large each is, and where it lies.

use super::SectionName;
use super::format::{PAGE, Section};
use crate::DIM;
use crate::int8::Int8Norm;

/// Reference ids, u64, rising.
pub(crate) const REFERENCES: SectionName = SectionName(*b"refs");
/// Person ids, u64.
pub(crate) const PERSONS: SectionName = SectionName(*b"pers");
/// int8 codes, 512 bytes a row.
pub(crate) const CODES: SectionName = SectionName(*b"i8cd");
/// Scale and residual norm of the codes, 2 x f32 a row.
pub(crate) const NORMS: SectionName = SectionName(*b"i8nm");
/// The embeddings, 512 x f32 a row.
pub(crate) const EMBEDDINGS: SectionName = SectionName(*b"f32r");

/// A section before it has a place.
struct Plan {
    name: SectionName,
    row_len: usize,
    block_len: u32,
}

const PLANS: [Plan; 5] = [
    Plan {
        name: REFERENCES,
        row_len: 8,
        block_len: 1 << 16,
    },
    Plan {
        name: PERSONS,
        row_len: 8,
        block_len: 1 << 16,
    },
    Plan {
        name: CODES,
        row_len: DIM,
        block_len: 1 << 16,
    },
    Plan {
        name: NORMS,
        row_len: size_of::<Int8Norm>(),
        block_len: 1 << 16,
    },
    // Checked when a row is first scored again: small, so that this costs microseconds.
    Plan {
        name: EMBEDDINGS,
        row_len: DIM * 4,
        block_len: 1 << 14,
    },
];

/// The sections of a gallery of so many rows, each with its place, and the file's length.
pub(crate) fn layout(rows: u64) -> (Vec<Section>, u64) {
    let mut end = PAGE;
    let mut take = |length: u64| {
        let offset = end;
        end = (end + length).next_multiple_of(PAGE);
        offset
    };
    let sections = PLANS.iter().map(|plan| {
        let mut section = Section {
            name: plan.name,
            layout: 1,
            offset: 0,
            length: rows * plan.row_len as u64,
            sums_offset: 0,
            block_len: plan.block_len,
            row_len: plan.row_len as u32,
            sums_checksum: 0,
        };
        section.offset = take(section.length);
        section.sums_offset = take(section.blocks() * 4);
        section
    });
    (sections.collect(), end)
}

/// Bytes of a gallery file of so many rows: what must be free to write the next snapshot.
pub fn file_len(rows: u64) -> u64 {
    layout(rows).1
}
