//! Writes a gallery file beside its final name, and renames it when it is whole and on the disk.

use super::format::{Header, PAGE, Section, block_checksum, sums_checksum};
use super::plane_writer::PlaneWriter;
use super::sections::{self, BATCH, CODES, EMBEDDINGS, LONE, NORMS, PERSONS, REFERENCES};
use crate::disk::{self, DiskFile};
use crate::int8::quantise;
use crate::limits::{GALLERY_ROWS_MAX, PLANE_ROWS_MIN};
use crate::plane::BLOCK_ROWS;
use crate::planner::{self, USUAL_THRESHOLD};
use crate::rotation::{self, SAMPLE_ROWS};
use crate::{DIM, Kernel, ModelId, ReferenceId, Row, Threshold, erase};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;

/// Rows that are turned together.
const TURN_ROWS: usize = 64;

const _: () = assert!(TURN_ROWS.is_multiple_of(BLOCK_ROWS));

/// A gallery being written to `<path>.tmp`. Dropped unfinished, it erases what it wrote.
#[derive(Debug)]
pub struct Writer {
    path: PathBuf,
    file: DiskFile,
    model: ModelId,
    generation: u64,
    rows: u64,
    pushed: u64,
    last: Option<ReferenceId>,
    sections_end: u64,
    threshold: f64,
    sections: Vec<SectionWriter>,
    finished: bool,
}

/// One section: a block of bytes to come, and the checksums of the blocks before.
#[derive(Debug)]
pub(super) struct SectionWriter {
    section: Section,
    block: Vec<u8>,
    sums: Vec<u8>,
}

/// Why a gallery cannot be written.
#[derive(Debug)]
pub enum WriterError {
    /// The operating system says no; a full disk is told before the first row.
    Io {
        /// What was tried.
        action: &'static str,
        /// Its answer.
        source: io::Error,
    },
    /// More rows than a gallery may have.
    TooManyRows {
        /// How many were announced.
        rows: u64,
    },
    /// Not as many rows as announced.
    RowCount {
        /// Announced.
        expected: u64,
        /// Pushed.
        found: u64,
    },
    /// A reference id that does not rise.
    ReferenceOrder {
        /// The one before.
        last: ReferenceId,
        /// The one that came.
        found: ReferenceId,
    },
}

impl Writer {
    /// Begins a gallery of exactly `rows` rows. Its whole length is allocated at once, so that a
    /// full disk is found now. The file is readable by its owner alone.
    pub fn create(
        path: &Path,
        model: ModelId,
        generation: u64,
        rows: u64,
    ) -> Result<Self, WriterError> {
        if rows > GALLERY_ROWS_MAX {
            return Err(WriterError::TooManyRows { rows });
        }
        let mut beside = path.as_os_str().to_owned();
        beside.push(".tmp");
        let beside = PathBuf::from(beside);
        if beside.exists() {
            erase::file(&beside).map_err(io("erase what an earlier writer left of"))?;
        }
        let file = DiskFile::create(&beside).map_err(io("create"))?;
        let (sections, sections_end) = sections::of_rows(rows);
        let writer = Self {
            path: path.to_owned(),
            file,
            model,
            generation,
            rows,
            pushed: 0,
            last: None,
            sections_end,
            threshold: USUAL_THRESHOLD,
            sections: sections.into_iter().map(SectionWriter::new).collect(),
            finished: false,
        };
        let reserved = writer.file.allocate(sections::file_len(rows));
        reserved.map_err(io("reserve the space of"))?;
        Ok(writer)
    }

    /// Chooses the plane for searches at this threshold (without: 0.41). Any other threshold is
    /// searched as exactly, perhaps slower.
    pub fn plan_for(&mut self, threshold: Threshold) {
        self.threshold = threshold.value().into();
    }

    /// Appends a row; reference ids rise.
    pub fn push(&mut self, row: &Row) -> Result<(), WriterError> {
        if self.pushed == self.rows {
            return Err(WriterError::RowCount {
                expected: self.rows,
                found: self.pushed + 1,
            });
        }
        if let Some(last) = self.last.filter(|&last| last >= row.reference) {
            return Err(WriterError::ReferenceOrder {
                last,
                found: row.reference,
            });
        }
        let (codes, norm) = quantise(row.embedding.as_array());
        for section in &mut self.sections {
            let (file, generation) = (&self.file, self.generation);
            let result = match section.section.name {
                REFERENCES => section.push(file, generation, &row.reference.0.to_le_bytes()),
                PERSONS => section.push(file, generation, &row.person.0.to_le_bytes()),
                CODES => section.push(file, generation, bytemuck::bytes_of(&codes)),
                NORMS => section.push(file, generation, bytemuck::bytes_of(&norm)),
                EMBEDDINGS => section.push(file, generation, &row.embedding.to_le_bytes()),
                name => unreachable!("section {name} has no source of rows"),
            };
            result.map_err(io("write"))?;
        }
        self.last = Some(row.reference);
        self.pushed += 1;
        if self.pushed.is_multiple_of(TURN_ROWS as u64) {
            thread::yield_now();
        }
        Ok(())
    }

    /// Completes the file, brings it to the disk and gives it its name. Refuses to replace a
    /// file: a snapshot's bytes must be erased, not forgotten.
    pub fn finish(mut self) -> Result<(), WriterError> {
        if self.pushed != self.rows {
            return Err(WriterError::RowCount {
                expected: self.rows,
                found: self.pushed,
            });
        }
        for section in &mut self.sections {
            section
                .finish(&self.file, self.generation)
                .map_err(io("write"))?;
        }
        if self.rows >= PLANE_ROWS_MIN {
            self.write_planes().map_err(io("write the planes of"))?;
        }
        let length = self.sections_end;
        self.file.set_length(length).map_err(io("cut"))?;
        let header = Header {
            model: self.model,
            generation: self.generation,
            rows: self.rows,
            file_len: self.sections_end,
            sections: self
                .sections
                .iter()
                .map(|section| section.section)
                .collect(),
        };
        self.file.write(&header.encode(), 0).map_err(io("write"))?;
        self.file.sync().map_err(io("sync"))?;
        disk::rename(self.file.path(), &self.path).map_err(io("name"))?;
        self.finished = true;
        disk::sync_folder(&self.path).map_err(io("sync the folder of"))
    }

    /// Rotation and planes, from the rows as they lie in the file.
    fn write_planes(&mut self) -> io::Result<()> {
        let (matrix, spectrum) = rotation::of_sample(&self.sample()?);
        let (rotation, mut end) = sections::of_rotation(self.sections_end);
        let mut rotation = SectionWriter::new(rotation);
        let lone = planner::choose(&spectrum, self.threshold);
        let batch = planner::choose_batch(lone, &spectrum, self.threshold);
        let mut planes = Vec::with_capacity(2);
        for (names, geometry) in [(LONE, Some(lone)), (BATCH, batch)] {
            let Some(geometry) = geometry else { continue };
            let plane;
            (plane, end) = PlaneWriter::new(names, self.rows, geometry, &spectrum, end);
            planes.push(plane);
        }
        self.sections_end = end;
        let (file, generation) = (&self.file, self.generation);
        rotation.push(file, generation, bytemuck::cast_slice(&matrix))?;
        rotation.finish(file, generation)?;
        self.sections.push(rotation);

        let mut rows = vec![[0.0f32; DIM]; TURN_ROWS];
        let mut turned = Vec::new();
        let kernel = Kernel::fastest();
        for first in (0..self.rows).step_by(TURN_ROWS) {
            rows.truncate((self.rows - first).min(TURN_ROWS as u64) as usize);
            self.read_rows(first, &mut rows)?;
            let by_ref: Vec<_> = rows.iter().collect();
            rotation::turn(kernel, &matrix, &by_ref, &mut turned);
            for plane in &mut planes {
                plane.push(file, generation, &turned)?;
            }
            thread::yield_now();
        }
        for plane in planes {
            self.sections.extend(plane.finish(file, generation)?);
        }
        Ok(())
    }

    /// Rows spread evenly over the gallery.
    fn sample(&self) -> io::Result<Vec<[f32; DIM]>> {
        let count = self.rows.min(SAMPLE_ROWS as u64);
        let mut sample = vec![[0.0f32; DIM]; count as usize];
        for (at, row) in sample.iter_mut().enumerate() {
            self.read_rows(at as u64 * self.rows / count, std::slice::from_mut(row))?;
        }
        Ok(sample)
    }

    fn read_rows(&self, first: u64, rows: &mut [[f32; DIM]]) -> io::Result<()> {
        let section = self
            .sections
            .iter()
            .find(|section| section.section.name == EMBEDDINGS);
        let offset = section.map_or(0, |section| section.section.offset);
        let at = offset + first * DIM as u64 * 4;
        self.file.read(bytemuck::cast_slice_mut(rows), at)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if !self.finished {
            // The next writer erases what cannot be erased now.
            let _ = erase::file(self.file.path());
        }
    }
}

impl SectionWriter {
    pub(super) fn new(section: Section) -> Self {
        let block = Vec::with_capacity(section.block_len as usize);
        Self {
            section,
            block,
            sums: Vec::with_capacity(section.blocks() as usize * 4),
        }
    }

    pub(super) fn push(
        &mut self,
        file: &DiskFile,
        generation: u64,
        mut bytes: &[u8],
    ) -> io::Result<()> {
        while !bytes.is_empty() {
            let room = self.section.block_len as usize - self.block.len();
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.block.extend_from_slice(now);
            bytes = later;
            if self.block.len() == self.section.block_len as usize {
                self.flush(file, generation)?;
            }
        }
        Ok(())
    }

    fn flush(&mut self, file: &DiskFile, generation: u64) -> io::Result<()> {
        let block = (self.sums.len() / 4) as u64;
        let at = self.section.offset + block * u64::from(self.section.block_len);
        file.write(&self.block, at)?;
        let checksum = block_checksum(self.section.name, block, generation, &self.block);
        self.sums.extend_from_slice(&checksum.to_le_bytes());
        self.block.clear();
        Ok(())
    }

    pub(super) fn finish(&mut self, file: &DiskFile, generation: u64) -> io::Result<()> {
        if !self.block.is_empty() {
            self.flush(file, generation)?;
        }
        assert_eq!(
            self.sums.len() as u64,
            self.section.blocks() * 4,
            "a checksum per block"
        );
        assert!(self.section.sums_offset.is_multiple_of(PAGE));
        self.section.sums_checksum = sums_checksum(self.section.name, &self.sums);
        file.write(&self.sums, self.section.sums_offset)
    }
}

fn io(action: &'static str) -> impl Fn(io::Error) -> WriterError {
    move |source| WriterError::Io { action, source }
}

impl fmt::Display for WriterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { action, source } => write!(f, "cannot {action} the new gallery: {source}"),
            Self::TooManyRows { rows } => {
                write!(
                    f,
                    "{rows} rows are more than a gallery may have ({GALLERY_ROWS_MAX})"
                )
            }
            Self::RowCount { expected, found } => {
                write!(f, "{expected} rows were announced and {found} came")
            }
            Self::ReferenceOrder { last, found } => {
                write!(f, "reference {} does not follow {}", found.0, last.0)
            }
        }
    }
}

impl std::error::Error for WriterError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            Self::TooManyRows { .. } | Self::RowCount { .. } | Self::ReferenceOrder { .. } => None,
        }
    }
}
