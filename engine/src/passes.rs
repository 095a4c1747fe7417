//! How one search reads a plane: the leading dimensions or all, and when it changes its mind.
//!
//! The planner predicts what survives from the spectrum; near-duplicates, or people enrolled since
//! the rotation was made, can prove it wrong. A search counts, and each wrong prediction costs the
//! units that are under way, not more: from the leading dimensions it goes to the whole plane, from
//! there to int8 at once.

use crate::gallery::Plane;
use crate::int8::{Int8Probe, Int8Rows};
use crate::kernel::{Int8Next, Kernel, PlaneScan, Survivor, Work};
use crate::plane::{Geometry, PlaneProbe};
use crate::planner::{LEADING_SURVIVORS_MAX, SURVIVORS_MAX};
use crate::{DIM, Embedding, Threshold};
use std::ops::Range;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

/// What the threads of one search share about the plane.
pub(crate) struct Passes {
    threshold: Threshold,
    turned: Vec<[f32; DIM]>,
    leading: Option<Pass>,
    whole: OnceLock<Pass>,
}

struct Pass {
    read: Geometry,
    probes: Vec<PlaneProbe>,
    /// Part of the rows whose survival says that this pass is not worth its time.
    survivors_max: f64,
    is_idle: AtomicBool,
}

impl Passes {
    /// None if int8 alone is expected to be faster.
    pub(crate) fn plan(
        plane: &Plane,
        kernel: Kernel,
        probes: &[Embedding],
        threshold: Threshold,
    ) -> Option<Self> {
        let prediction = plane.prediction(threshold);
        let read = prediction.read(probes.len());
        let is_leading = read != plane.geometry();
        if !is_leading && !prediction.uses_plane() {
            return None;
        }
        let passes = Self {
            threshold,
            turned: plane.turn(kernel, probes),
            leading: None,
            whole: OnceLock::new(),
        };
        let leading = is_leading.then(|| passes.prepare(plane, read, LEADING_SURVIVORS_MAX));
        if !is_leading {
            passes.whole(plane);
        }
        Some(Self { leading, ..passes })
    }

    /// Lists the rows that neither the plane nor int8 could discard. False if nothing is done,
    /// because int8 should look at every row.
    pub(crate) fn run(
        &self,
        plane: &Plane,
        kernel: Kernel,
        rows: Range<usize>,
        int8: (Int8Rows<'_>, &[Int8Probe]),
        survivors: &mut Vec<Survivor>,
    ) -> bool {
        let leading = self.leading.as_ref().filter(|pass| !pass.is_idle());
        let pass = leading.unwrap_or_else(|| self.whole(plane));
        if pass.is_idle() {
            return false;
        }
        let most = (rows.len() * pass.probes.len()) as f64 * pass.survivors_max;
        let mut listed = 0;
        kernel.run(Work::Plane(PlaneScan {
            plane: plane.rows(rows, pass.read),
            probes: &pass.probes,
            survivors,
            then: Some(Int8Next {
                rows: int8.0,
                probes: int8.1,
                listed: &mut listed,
            }),
        }));
        if listed as f64 > most {
            pass.is_idle.store(true, Ordering::Relaxed);
        }
        true
    }

    fn whole(&self, plane: &Plane) -> &Pass {
        self.whole
            .get_or_init(|| self.prepare(plane, plane.geometry(), SURVIVORS_MAX))
    }

    fn prepare(&self, plane: &Plane, read: Geometry, survivors_max: f64) -> Pass {
        Pass {
            read,
            probes: plane.probes(read, &self.turned, self.threshold),
            survivors_max,
            is_idle: AtomicBool::new(false),
        }
    }
}

impl Pass {
    fn is_idle(&self) -> bool {
        self.is_idle.load(Ordering::Relaxed)
    }
}
