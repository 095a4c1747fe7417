//! The plane of an opened gallery: copied out of the map into memory with large pages.
//!
//! A search reads all of it, so it is worth 200 bytes a row of its own: with 4 KiB pages of a file
//! map the same pass took about a fifth longer.

use super::GalleryError;
use super::map::Sections;
use super::sections::{NUMBERS, PLAN, PLANE, ROTATION, of_plane};
use crate::plane::{BLOCK_ROWS, Geometry, Line, Plan, PlaneProbe, PlaneRows};
use crate::planner::Prediction;
use crate::rotation;
use crate::{DIM, Embedding, Kernel, Threshold};
use memmap2::{Advice, Mmap, MmapMut};
use std::ops::Range;

/// A rotation that costs more than this is none (one from our writer costs 2e-4).
const SLACK_MAX: f64 = 0.01;

/// Everything the first pass needs.
pub(crate) struct Plane {
    plan: Box<Plan>,
    matrix: Vec<[f32; DIM]>,
    /// What rotation may cost a score.
    slack: f64,
    lines: Mmap,
    numbers: Mmap,
    rows: usize,
}

impl Plane {
    /// Reads, checks and copies; none if the file has no plane.
    pub(super) fn read(sections: &Sections<'_>) -> Result<Option<Self>, GalleryError> {
        let Some(plan) = sections.optional(PLAN)? else {
            return Ok(None);
        };
        let refuse = |name, problem| Err(GalleryError::Section { name, problem });
        if plan.length != size_of::<Plan>() as u64 {
            return refuse(PLAN, "length");
        }
        let plan: Plan = bytemuck::pod_read_unaligned(sections.checked(&plan)?);
        if let Some(problem) = plan.problem() {
            return refuse(PLAN, problem);
        }
        let (expected, _) = of_plane(sections.rows(), plan.geometry(), 0);
        let section = |name| {
            let found = sections
                .optional(name)?
                .ok_or(GalleryError::MissingSection { name })?;
            if expected
                .iter()
                .any(|e| e.name == name && e.length == found.length)
            {
                Ok(found)
            } else {
                Err(GalleryError::Section {
                    name,
                    problem: "length",
                })
            }
        };
        let rotation = section(ROTATION)?;
        let matrix: &[[f32; DIM]] = bytemuck::cast_slice(sections.checked(&rotation)?);
        let matrix = matrix.to_vec();
        let slack = rotation::slack(&matrix);
        if slack > SLACK_MAX {
            return refuse(ROTATION, "not a rotation");
        }
        let lines = copy(sections, &section(PLANE)?)?;
        let numbers = copy(sections, &section(NUMBERS)?)?;
        if numbers.iter().any(|&number| number > 127) {
            return refuse(NUMBERS, "above 127");
        }
        let rows = sections.rows() as usize;
        Ok(Some(Self {
            plan: Box::new(plan),
            matrix,
            slack,
            lines,
            numbers,
            rows,
        }))
    }

    /// Bytes of memory.
    pub(crate) fn bytes(&self) -> u64 {
        (self.lines.len() + self.numbers.len() + self.matrix.len() * DIM * 4) as u64
    }

    /// Which dimensions have how many bits.
    pub(crate) fn geometry(&self) -> Geometry {
        self.plan.geometry()
    }

    /// What a search at this threshold may expect.
    pub(crate) fn prediction(&self, threshold: Threshold) -> Prediction {
        Prediction::new(
            self.geometry(),
            &self.plan.spectrum,
            threshold.value().into(),
        )
    }

    /// Probes in the rotation's axes.
    pub(crate) fn turn(&self, kernel: Kernel, probes: &[Embedding]) -> Vec<[f32; DIM]> {
        let probes: Vec<&[f32; DIM]> = probes.iter().map(Embedding::as_array).collect();
        rotation::turn(kernel, &self.matrix, &probes)
    }

    /// Prepares turned probes for a pass that reads these dimensions.
    pub(crate) fn probes(
        &self,
        read: Geometry,
        turned: &[[f32; DIM]],
        threshold: Threshold,
    ) -> Vec<PlaneProbe> {
        let prepare = |p| PlaneProbe::new(&self.plan, read, p, threshold, self.slack);
        turned.iter().map(prepare).collect()
    }

    /// Some rows, from a multiple of 16 on, of which these dimensions are read.
    pub(crate) fn rows(&self, rows: Range<usize>, read: Geometry) -> PlaneRows<'_> {
        let geometry = self.geometry();
        assert!(rows.start.is_multiple_of(BLOCK_ROWS) && rows.end <= self.rows);
        let (first, end) = (rows.start / BLOCK_ROWS, rows.end.div_ceil(BLOCK_ROWS));
        let lines: &[Line] = bytemuck::cast_slice(&self.lines);
        let numbers: &[Line] = bytemuck::cast_slice(&self.numbers);
        PlaneRows {
            geometry,
            read,
            lines: &lines[first * geometry.lines()..end * geometry.lines()],
            numbers: &numbers[first..end],
            rows: rows.len(),
        }
    }
}

/// Copies a section block by block, each checked.
fn copy(sections: &Sections<'_>, section: &super::format::Section) -> Result<Mmap, GalleryError> {
    let io = |source| GalleryError::Io {
        action: "make room for the plane of",
        source,
    };
    // An anonymous map of no bytes is refused.
    let mut to = MmapMut::map_anon((section.length as usize).max(1)).map_err(io)?;
    // Without large pages it is slower, not wrong.
    let _ = to.advise(Advice::HugePage);
    for block in 0..section.blocks() {
        let at = (block * u64::from(section.block_len)) as usize;
        let bytes = sections.block(section, block)?;
        to[at..at + bytes.len()].copy_from_slice(bytes);
    }
    to.make_read_only().map_err(io)
}
