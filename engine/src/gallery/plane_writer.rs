//! Writes one plane of a gallery: codes as the turned rows come, numbers and plan when all came.

use super::sections::{self, PlaneNames};
use super::writer::SectionWriter;
use crate::DIM;
use crate::disk::DiskFile;
use crate::plane::{BLOCK_ROWS, Geometry, Plan};
use std::io;

/// A plane being written.
pub(super) struct PlaneWriter {
    plan: Plan,
    /// Plan, codes and numbers.
    sections: [SectionWriter; 3],
    /// Of each row, to be rounded when their ranges are known.
    row_numbers: Vec<[f32; 4]>,
    largest_m2: f32,
}

impl PlaneWriter {
    /// A plane of so many rows from `end` of the file on, and its end.
    pub(super) fn new(
        names: PlaneNames,
        rows: u64,
        geometry: Geometry,
        spectrum: &[f32; DIM],
        end: u64,
    ) -> (Self, u64) {
        let (sections, end) = sections::of_plane(names, rows, geometry, end);
        let writer = Self {
            plan: Plan::new(geometry, spectrum),
            sections: sections.map(SectionWriter::new),
            row_numbers: Vec::with_capacity(rows as usize),
            largest_m2: 0.0,
        };
        (writer, end)
    }

    /// Appends turned rows: whole blocks but for the last.
    pub(super) fn push(
        &mut self,
        file: &DiskFile,
        generation: u64,
        turned: &[[f32; DIM]],
    ) -> io::Result<()> {
        let geometry = self.plan.geometry();
        let [_, codes, _] = &mut self.sections;
        for block in turned.chunks(BLOCK_ROWS) {
            let mut lines = vec![[0; 64]; geometry.lines()];
            for (place, y) in block.iter().enumerate() {
                let row = self.plan.quantise(y);
                row.place(geometry, &mut lines, place);
                self.row_numbers.push(row.numbers);
                self.largest_m2 = self.largest_m2.max(row.m2());
            }
            codes.push(file, generation, bytemuck::cast_slice(&lines))?;
        }
        Ok(())
    }

    /// Completes the plane; its sections.
    pub(super) fn finish(
        mut self,
        file: &DiskFile,
        generation: u64,
    ) -> io::Result<[SectionWriter; 3]> {
        let fold = |f: fn(f32, f32) -> f32, start: f32| {
            let each = |all: [f32; 4], row: &[f32; 4]| std::array::from_fn(|i| f(all[i], row[i]));
            self.row_numbers.iter().fold([start; 4], each)
        };
        let (least, largest) = (fold(f32::min, f32::MAX), fold(f32::max, 0.0));
        self.plan.set_ranges(least, largest, self.largest_m2);
        let [plan, _, numbers] = &mut self.sections;
        for block in self.row_numbers.chunks(BLOCK_ROWS) {
            let mut line = [[0u8; 4]; BLOCK_ROWS];
            for (numbers, bytes) in block.iter().zip(&mut line) {
                *bytes = self.plan.encode_numbers(*numbers);
            }
            numbers.push(file, generation, line.as_flattened())?;
        }
        plan.push(file, generation, bytemuck::bytes_of(&self.plan))?;
        for section in &mut self.sections {
            section.finish(file, generation)?;
        }
        Ok(self.sections)
    }
}
