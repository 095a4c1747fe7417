//! The planes of an opened gallery: copied out of the map into memory with large pages.
//!
//! A search reads all of one, so they are worth 450 bytes a row of their own: with 4 KiB pages of a
//! file map the same pass took about a fifth longer.

use super::format::Section;
use super::map::Sections;
use super::sections::{BATCH, LONE, PlaneNames, ROTATION, of_plane, of_rotation};
use super::{GalleryError, SectionName};
use crate::limits::PROBES_MAX;
use crate::plane::{BLOCK_ROWS, Geometry, Line, Plan, PlaneProbe, PlaneRows};
use crate::planner::Prediction;
use crate::rotation;
use crate::{DIM, Embedding, Kernel, Threshold};
use memmap2::{Advice, Mmap, MmapMut};
use smallvec::SmallVec;
use std::ops::Range;

/// A rotation that costs more than this is none (one from our writer costs 2e-4).
const SLACK_MAX: f64 = 0.01;

/// Everything the first pass needs.
pub(crate) struct Planes {
    matrix: Vec<[f32; DIM]>,
    /// What rotation may cost a score.
    slack: f64,
    lone: Plane,
    batch: Option<Plane>,
}

/// The codes of all rows.
pub(crate) struct Plane {
    plan: Box<Plan>,
    lines: Mmap,
    numbers: Mmap,
    rows: usize,
}

impl Planes {
    /// Reads, checks and copies; none if the file has no planes.
    pub(super) fn read(sections: &Sections<'_>) -> Result<Option<Self>, GalleryError> {
        let Some(lone) = Plane::read(sections, LONE)? else {
            return Ok(None);
        };
        let batch = Plane::read(sections, BATCH)?;
        if let Some(batch) = &batch
            && (!batch.geometry().is_batch() || lone.geometry().is_batch())
        {
            return refuse(BATCH.plan, "geometry");
        }
        let (rotation, _) = of_rotation(0);
        let found = sections
            .optional(ROTATION)?
            .ok_or(GalleryError::MissingSection { name: ROTATION })?;
        if found.length != rotation.length {
            return refuse(ROTATION, "length");
        }
        let matrix: &[[f32; DIM]] = bytemuck::cast_slice(sections.checked(&found)?);
        let matrix = matrix.to_vec();
        let slack = rotation::slack(&matrix);
        if slack > SLACK_MAX {
            return refuse(ROTATION, "not a rotation");
        }
        Ok(Some(Self {
            matrix,
            slack,
            lone,
            batch,
        }))
    }

    /// The plane for a few probes.
    pub(crate) fn lone(&self) -> &Plane {
        &self.lone
    }

    /// The plane for many, if this gallery's spectrum makes it worth having.
    pub(crate) fn batch(&self) -> Option<&Plane> {
        self.batch.as_ref()
    }

    /// Bytes of memory.
    pub(crate) fn bytes(&self) -> u64 {
        let planes = [Some(&self.lone), self.batch.as_ref()];
        let planes = planes.into_iter().flatten();
        let codes: usize = planes.map(|p| p.lines.len() + p.numbers.len()).sum();
        (codes + self.matrix.len() * DIM * 4) as u64
    }

    /// What a search at this threshold may expect.
    pub(crate) fn prediction(&self, threshold: Threshold) -> Prediction {
        let batch = self.batch.as_ref().map(Plane::geometry);
        let spectrum = &self.lone.plan.spectrum;
        Prediction::new(
            self.lone.geometry(),
            batch,
            spectrum,
            threshold.value().into(),
        )
    }

    /// Probes in the rotation's axes.
    pub(crate) fn turn(&self, kernel: Kernel, probes: &[Embedding], turned: &mut Vec<[f32; DIM]>) {
        let probes: SmallVec<[&[f32; DIM]; PROBES_MAX]> =
            probes.iter().map(Embedding::as_array).collect();
        rotation::turn(kernel, &self.matrix, &probes, turned);
    }

    /// Prepares turned probes for a pass over one of the planes.
    pub(crate) fn probes(
        &self,
        plane: &Plane,
        turned: &[[f32; DIM]],
        threshold: Threshold,
        probes: &mut Vec<PlaneProbe>,
    ) {
        let prepare = |p| PlaneProbe::new(&plane.plan, p, threshold, self.slack);
        probes.clear();
        probes.extend(turned.iter().map(prepare));
    }
}

impl Plane {
    fn read(sections: &Sections<'_>, names: PlaneNames) -> Result<Option<Self>, GalleryError> {
        let Some(plan) = sections.optional(names.plan)? else {
            return Ok(None);
        };
        if plan.length != size_of::<Plan>() as u64 {
            return refuse(names.plan, "length");
        }
        let plan: Plan = bytemuck::pod_read_unaligned(sections.checked(&plan)?);
        if let Some(problem) = plan.problem() {
            return refuse(names.plan, problem);
        }
        let (expected, _) = of_plane(names, sections.rows(), plan.geometry(), 0);
        let section = |name| {
            let found = sections
                .optional(name)?
                .ok_or(GalleryError::MissingSection { name })?;
            let is_expected = |e: &Section| e.length == found.length;
            if expected.iter().filter(|e| e.name == name).all(is_expected) {
                Ok(found)
            } else {
                refuse(name, "length")
            }
        };
        // The kernels' sums count on a batch plane's codes to have 6 bits, on numbers to have 7.
        let most = if plan.geometry().is_batch() { 63 } else { 255 };
        let lines = copy(sections, &section(names.codes)?, most)?;
        let numbers = copy(sections, &section(names.numbers)?, 127)?;
        let rows = sections.rows() as usize;
        Ok(Some(Self {
            plan: Box::new(plan),
            lines,
            numbers,
            rows,
        }))
    }

    /// Which dimensions have how many bits.
    pub(crate) fn geometry(&self) -> Geometry {
        self.plan.geometry()
    }

    /// Some rows, from a multiple of 16 on.
    pub(crate) fn rows(&self, rows: Range<usize>) -> PlaneRows<'_> {
        let geometry = self.geometry();
        assert!(rows.start.is_multiple_of(BLOCK_ROWS) && rows.end <= self.rows);
        let (first, end) = (rows.start / BLOCK_ROWS, rows.end.div_ceil(BLOCK_ROWS));
        let lines: &[Line] = bytemuck::cast_slice(&self.lines);
        let numbers: &[Line] = bytemuck::cast_slice(&self.numbers);
        PlaneRows {
            geometry,
            lines: &lines[first * geometry.lines()..end * geometry.lines()],
            numbers: &numbers[first..end],
            rows: rows.len(),
        }
    }
}

fn refuse<T>(name: SectionName, problem: &'static str) -> Result<T, GalleryError> {
    Err(GalleryError::Section { name, problem })
}

/// Copies a section block by block, each checked; no byte may be above `most`.
fn copy(sections: &Sections<'_>, section: &Section, most: u8) -> Result<Mmap, GalleryError> {
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
        if bytes.iter().fold(0, |largest, &byte| byte.max(largest)) > most {
            return refuse(section.name, "a number too large");
        }
        to[at..at + bytes.len()].copy_from_slice(bytes);
    }
    to.make_read_only().map_err(io)
}
