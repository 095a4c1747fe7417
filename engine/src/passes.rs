//! How one search reads the planes: the batch plane or the lone one, and when it changes its mind.
//!
//! The planner predicts what survives from the spectrum; near-duplicates, or people enrolled since
//! the rotation was made, can prove it wrong. A search counts, and each wrong prediction costs the
//! units that are under way, not more: from the batch plane it goes to the lone one, from there to
//! int8 at once.

use crate::gallery::{Plane, Planes};
use crate::int8::{Int8Norm, Int8Probe, Int8Rows};
use crate::kernel::{Int8Next, Kernel, PlaneScan, Survivor, TileMemory, Work};
use crate::plane::PlaneProbe;
use crate::planner::{BATCH_SURVIVORS_MAX, SURVIVORS_MAX};
use crate::{DIM, Embedding, Threshold};
use std::ops::Range;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

/// What the threads of one search share about the plane; its memory serves the next search.
pub(crate) struct Passes {
    threshold: Threshold,
    turned: Vec<[f32; DIM]>,
    batch: Option<Pass>,
    lone: OnceLock<Pass>,
}

#[derive(Default)]
struct Pass {
    probes: Vec<PlaneProbe>,
    /// Part of the rows whose survival says that this pass is not worth its time.
    survivors_max: f64,
    is_idle: AtomicBool,
}

impl Passes {
    pub(crate) fn new(threshold: Threshold) -> Self {
        Self {
            threshold,
            turned: Vec::new(),
            batch: None,
            lone: OnceLock::new(),
        }
    }

    /// False if int8 alone is expected to be faster.
    pub(crate) fn plan(
        &mut self,
        planes: &Planes,
        kernel: Kernel,
        probes: &[Embedding],
        threshold: Threshold,
    ) -> bool {
        let prediction = planes.prediction(threshold);
        let batch = planes
            .batch()
            .filter(|_| prediction.uses_batch_plane(probes.len()));
        if batch.is_none() && !prediction.uses_plane() {
            return false;
        }
        planes.turn(kernel, probes, &mut self.turned);
        self.threshold = threshold;
        let lone = self.lone.take();
        let pass = self.batch.take().or(lone).unwrap_or_default();
        match batch {
            Some(batch) => {
                self.batch = Some(self.prepare(pass, planes, batch, BATCH_SURVIVORS_MAX));
            }
            None => {
                let lone = self.prepare(pass, planes, planes.lone(), SURVIVORS_MAX);
                self.lone = OnceLock::from(lone);
            }
        }
        true
    }

    /// Lists the rows that neither the plane nor int8 could discard, and says how many bytes
    /// of codes it read. None if nothing is done, because int8 should look at every row.
    pub(crate) fn run(
        &self,
        planes: &Planes,
        kernel: Kernel,
        rows: Range<usize>,
        int8: (Int8Rows<'_>, &[Int8Probe]),
        (survivors, tiles): (&mut Vec<Survivor>, &mut TileMemory),
    ) -> Option<usize> {
        let batch = planes.batch().zip(self.batch.as_ref());
        let batch = batch.filter(|(_, pass)| !pass.is_idle());
        let (plane, pass) = batch.unwrap_or_else(|| (planes.lone(), self.lone(planes)));
        if pass.is_idle() {
            return None;
        }
        let most = (rows.len() * pass.probes.len()) as f64 * pass.survivors_max;
        let (count, mut listed) = (rows.len(), 0);
        let scan = PlaneScan {
            plane: plane.rows(rows),
            probes: &pass.probes,
            survivors,
            then: Some(Int8Next {
                rows: int8.0,
                probes: int8.1,
                listed: &mut listed,
            }),
        };
        kernel.run(Work::Plane(scan, tiles));
        if listed as f64 > most {
            pass.is_idle.store(true, Ordering::Relaxed);
        }
        let int8 = DIM + size_of::<Int8Norm>();
        Some(count * plane.geometry().row_bytes() + listed * int8)
    }

    fn lone(&self, planes: &Planes) -> &Pass {
        self.lone
            .get_or_init(|| self.prepare(Pass::default(), planes, planes.lone(), SURVIVORS_MAX))
    }

    fn prepare(&self, mut pass: Pass, planes: &Planes, plane: &Plane, survivors_max: f64) -> Pass {
        planes.probes(plane, &self.turned, self.threshold, &mut pass.probes);
        pass.survivors_max = survivors_max;
        pass.is_idle = AtomicBool::new(false);
        pass
    }
}

impl Pass {
    fn is_idle(&self) -> bool {
        self.is_idle.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gallery::{Gallery, Writer};
    use crate::search::UNIT_ROWS;
    use crate::synthetic::{Shape, Synthetic};
    use crate::{ModelId, Row};
    use std::path::Path;

    const ROWS: usize = 16 * 1024;
    /// Bytes that int8 reads for a row.
    const INT8: usize = DIM + size_of::<Int8Norm>();

    fn gallery(folder: &Path, row: impl Fn(u64) -> Row) -> Gallery {
        let path = folder.join("gallery");
        let mut writer = Writer::create(&path, ModelId([0; 16]), 1, ROWS as u64).expect("room");
        for number in 0..ROWS as u64 {
            writer.push(&row(number)).expect("room");
        }
        writer.finish().expect("written");
        Gallery::open(&path).expect("just written")
    }

    /// The passes of these probes, after all units, and what they said of each.
    fn units(
        gallery: &Gallery,
        probes: &[Embedding],
        threshold: f32,
    ) -> (Option<Passes>, Vec<Option<usize>>) {
        let planes = gallery.planes().expect("as many rows have them");
        let kernel = Kernel::best().expect("avx2");
        let threshold = Threshold::new(threshold).expect("in range");
        let int8 = |probe: &Embedding| Int8Probe::new(probe.as_array(), threshold, 0.0);
        let int8: Vec<Int8Probe> = probes.iter().map(int8).collect();
        let mut passes = Passes::new(threshold);
        let is_planned = passes.plan(planes, kernel, probes, threshold);
        let passes = is_planned.then_some(passes);
        let unit = |first: usize| {
            let rows = first..ROWS.min(first + UNIT_ROWS);
            let codes = (gallery.int8(rows.clone()), &int8[..]);
            let passes = passes.as_ref();
            let memory = (&mut Vec::new(), &mut TileMemory::default());
            passes.and_then(|passes| passes.run(planes, kernel, rows, codes, memory))
        };
        let read = (0..ROWS).step_by(UNIT_ROWS).map(unit).collect();
        (passes, read)
    }

    /// Bytes that a search of one probe reads, and those that int8 alone would.
    fn bytes<const N: usize>(
        thresholds: [f32; N],
        row: impl Fn(u64) -> Row,
        probe: &Embedding,
    ) -> [[usize; 2]; N] {
        let folder = tempfile::tempdir().expect("a folder");
        let gallery = gallery(folder.path(), row);
        thresholds.map(|threshold| {
            let (_, units) = units(&gallery, std::slice::from_ref(probe), threshold);
            let read = units
                .iter()
                .map(|bytes| bytes.unwrap_or(UNIT_ROWS * INT8))
                .sum();
            [read, ROWS * INT8]
        })
    }

    /// Fails if the batch plane's survivors are not counted, or if its end is the lone one's too.
    #[test]
    fn a_batch_leaves_its_plane_where_too_many_are_alike() {
        let folder = tempfile::tempdir().expect("a folder");
        let people = Synthetic::new(3, Shape::Realistic);
        // A tenth of all rows, two fifths of the first unit: what the spectrum does not tell.
        let gallery = gallery(folder.path(), |n| match n < ROWS as u64 / 10 {
            true => Row {
                embedding: people.probe_at(0, n, 0.9),
                ..people.row(n)
            },
            false => people.row(n),
        });
        let strangers: Vec<Embedding> = (0..64).map(|n| people.stranger(n)).collect();
        let (passes, read) = units(&gallery, &strangers, 0.41);
        let left = |passes: &Option<Passes>| passes.as_ref()?.batch.as_ref().map(Pass::is_idle);
        assert_eq!(left(&passes), Some(false), "strangers are like nobody");
        assert!(read.iter().all(Option::is_some));
        let (passes, read) = units(&gallery, &vec![people.reference(0, 0); 64], 0.41);
        assert_eq!(left(&passes), Some(true));
        let lone = passes.as_ref().and_then(|passes| passes.lone.get());
        assert!(lone.is_some_and(|pass| !pass.is_idle()));
        assert!(read.iter().all(Option::is_some));
    }

    /// Fails if `is_idle` is never set (duplicates), or if `plan` reads the plane whatever the
    /// prediction says (low threshold).
    #[test]
    fn never_reads_much_more_than_int8_alone() {
        for shape in [Shape::Realistic, Shape::Isotropic] {
            let people = Synthetic::new(5, shape);
            let stranger = people.stranger(1);
            let [plain, low] = bytes([0.41, 0.02], |n| people.row(n), &stranger);
            assert!(plain[0] * 2 < plain[1], "{shape:?}: {plain:?}");
            assert!(low[0] <= low[1], "{shape:?}: {low:?}");
            // Everybody looks like person 0, and so does the probe.
            let alike = |n: u64| Row {
                embedding: people.probe_at(0, n, 0.9),
                ..people.row(n)
            };
            let [twins] = bytes([0.41], alike, &people.reference(0, 0));
            assert!(
                twins[0] as f64 <= 1.1 * twins[1] as f64,
                "{shape:?}: {twins:?}"
            );
        }
    }
}
