//! Which sections a gallery has, how large each is, and where it lies.

use super::SectionName;
use super::format::{PAGE, Section};
use crate::DIM;
use crate::int8::Int8Norm;
use crate::limits::PLANE_ROWS_MIN;
use crate::plane::{BLOCK_ROWS, Geometry, Line, Plan};

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

/// What all rows of the plane share: `crate::plane::Plan`.
pub(crate) const PLAN: SectionName = SectionName(*b"plan");
/// The rotation, 512 x 512 f32, row by row.
pub(crate) const ROTATION: SectionName = SectionName(*b"rota");
/// The plane's codes, in blocks of 16 rows.
pub(crate) const PLANE: SectionName = SectionName(*b"plne");
/// The plane's four numbers a row, in blocks of 16 rows.
pub(crate) const NUMBERS: SectionName = SectionName(*b"pln2");

/// A section before it has a place.
struct Shape {
    name: SectionName,
    row_len: usize,
    block_len: u32,
}

const ROW_SECTIONS: [Shape; 5] = [
    Shape {
        name: REFERENCES,
        row_len: 8,
        block_len: 1 << 16,
    },
    Shape {
        name: PERSONS,
        row_len: 8,
        block_len: 1 << 16,
    },
    Shape {
        name: CODES,
        row_len: DIM,
        block_len: 1 << 16,
    },
    Shape {
        name: NORMS,
        row_len: size_of::<Int8Norm>(),
        block_len: 1 << 16,
    },
    // Checked when a row is first scored again: small, so that this costs microseconds.
    Shape {
        name: EMBEDDINGS,
        row_len: DIM * 4,
        block_len: 1 << 14,
    },
];

/// The sections of a gallery of so many rows without a plane, each with its place, and their end.
pub(crate) fn of_rows(rows: u64) -> (Vec<Section>, u64) {
    let mut end = PAGE;
    let sections = ROW_SECTIONS.iter().map(|shape| {
        let length = rows * shape.row_len as u64;
        let mut section = place(&mut end, shape.name, length, shape.block_len);
        section.row_len = shape.row_len as u32;
        section
    });
    (sections.collect(), end)
}

/// The sections of a plane, placed from `end` on, and their end.
pub(crate) fn of_plane(rows: u64, geometry: Geometry, mut end: u64) -> ([Section; 4], u64) {
    let blocks = rows.div_ceil(BLOCK_ROWS as u64);
    let line = size_of::<Line>() as u64;
    let lengths = [
        (PLAN, size_of::<Plan>() as u64),
        (ROTATION, (DIM * DIM * 4) as u64),
        (PLANE, blocks * geometry.lines() as u64 * line),
        (NUMBERS, blocks * line),
    ];
    let sections = lengths.map(|(name, length)| place(&mut end, name, length, 1 << 16));
    (sections, end)
}

fn place(end: &mut u64, name: SectionName, length: u64, block_len: u32) -> Section {
    let mut take = |length: u64| {
        let offset = *end;
        *end = (*end + length).next_multiple_of(PAGE);
        offset
    };
    let offset = take(length);
    let sums_offset = take(length.div_ceil(u64::from(block_len)) * 4);
    let (layout, row_len, sums_checksum) = (1, 0, 0);
    Section {
        name,
        layout,
        offset,
        length,
        sums_offset,
        block_len,
        row_len,
        sums_checksum,
    }
}

/// Bytes that a gallery file of so many rows has at most: what must be free to write the next
/// snapshot.
pub fn file_len(rows: u64) -> u64 {
    let (_, end) = of_rows(rows);
    if rows < PLANE_ROWS_MIN {
        end
    } else {
        of_plane(rows, Geometry::LARGEST, end).1
    }
}
