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

/// The rotation of all planes, 512 x 512 f32, row by row.
pub(crate) const ROTATION: SectionName = SectionName(*b"rota");

/// The sections of one plane.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PlaneNames {
    /// What all rows share: `crate::plane::Plan`.
    pub(crate) plan: SectionName,
    /// Codes, in blocks of 16 rows.
    pub(crate) codes: SectionName,
    /// The four numbers a row, in blocks of 16 rows.
    pub(crate) numbers: SectionName,
}

/// The plane for one probe.
pub(crate) const LONE: PlaneNames = PlaneNames {
    plan: SectionName(*b"plan"),
    codes: SectionName(*b"plne"),
    numbers: SectionName(*b"pln2"),
};
/// The plane for batches.
pub(crate) const BATCH: PlaneNames = PlaneNames {
    plan: SectionName(*b"bpln"),
    codes: SectionName(*b"bcod"),
    numbers: SectionName(*b"bnum"),
};

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

/// The rotation of all planes, placed at `end`, and its end.
pub(crate) fn of_rotation(mut end: u64) -> (Section, u64) {
    let section = place(&mut end, ROTATION, (DIM * DIM * 4) as u64, 1 << 16);
    (section, end)
}

/// The sections of a plane, placed from `end` on, in the order of the names, and their end.
pub(crate) fn of_plane(
    names: PlaneNames,
    rows: u64,
    geometry: Geometry,
    mut end: u64,
) -> ([Section; 3], u64) {
    let blocks = rows.div_ceil(BLOCK_ROWS as u64);
    let line = size_of::<Line>() as u64;
    let lengths = [
        (names.plan, size_of::<Plan>() as u64),
        (names.codes, blocks * geometry.lines() as u64 * line),
        (names.numbers, blocks * line),
    ];
    let sections = lengths.map(|(name, length)| place(&mut end, name, length, 1 << 16));
    (sections, end)
}

/// The layout of a section that this build writes, and the only one that it reads. Plans of
/// layout 1 had no 6-bit dimensions, and another norm beside them.
pub(crate) fn layout(name: SectionName) -> u32 {
    if name == LONE.plan || name == BATCH.plan {
        2
    } else {
        1
    }
}

fn place(end: &mut u64, name: SectionName, length: u64, block_len: u32) -> Section {
    let mut take = |length: u64| {
        let offset = *end;
        *end = (*end + length).next_multiple_of(PAGE);
        offset
    };
    let offset = take(length);
    let sums_offset = take(length.div_ceil(u64::from(block_len)) * 4);
    let (row_len, sums_checksum) = (0, 0);
    let layout = layout(name);
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
        let (_, end) = of_rotation(end);
        let (_, end) = of_plane(LONE, rows, Geometry::LARGEST, end);
        of_plane(BATCH, rows, Geometry::LARGEST_BATCH, end).1
    }
}
