//! The search: one pass over a view for up to 64 probes, exact.
//!
//! Rows of the snapshot pass the plane, then int8; rows of the overlay int8 alone. Each pass
//! discards rows that its bound puts below the threshold; what survives is scored in f32 in the
//! fixed order, compared with the threshold, and collected by person. Where the planner expects
//! too many survivors, or a search meets them, it goes to int8 at once.

use crate::candidate::{Candidate, CandidateList, Shortlist};
use crate::gallery::overlay::Block;
use crate::int8::Int8Probe;
use crate::kernel::{Int8Scan, Survivor, Work};
use crate::limits::{INLINE_WORK_MAX, PROBES_MAX, THREADS_MAX};
use crate::passes::Passes;
use crate::plane::BLOCK_ROWS;
use crate::pool::Pool;
use crate::score::dot;
use crate::{Embedding, Gallery, GalleryError, Kernel, Threshold, View};
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Rows of the snapshot that a thread takes at a time.
pub(crate) const UNIT_ROWS: usize = 4096;

const _: () = assert!(UNIT_ROWS.is_multiple_of(BLOCK_ROWS));

/// Searches views with one kernel on its own long-lived threads and the calling one.
///
/// Memory: a stack per thread while it lives; per call about 5 KB a probe, and per thread and call
/// 24 bytes for each row of a unit that survives, 32 for each hit up to 1,024 a probe.
#[derive(Debug)]
pub struct Searcher {
    kernel: Kernel,
    pool: Pool,
}

/// Why a search has no answer.
#[derive(Debug)]
pub enum SearchError {
    /// Not 1 to 64 probes.
    Probes {
        /// How many.
        found: usize,
    },
    /// Not 1 to 64 threads, or they could not be started.
    Threads(std::io::Error),
    /// A block of the snapshot, read for the first time, is damaged, or the file was seen to have
    /// changed. No answer is given from it: rebuild the gallery.
    Gallery(GalleryError),
}

/// What all threads of one search share.
struct SearchPass {
    view: View,
    kernel: Kernel,
    threshold: Threshold,
    probes: Vec<Embedding>,
    int8: Vec<Int8Probe>,
    /// None where int8 is faster alone.
    passes: Option<Passes>,
    next: AtomicUsize,
    outcome: Mutex<Result<Vec<Shortlist>, GalleryError>>,
}

impl Searcher {
    /// A searcher of 1 to 64 threads, the calling one included.
    pub fn new(kernel: Kernel, threads: usize) -> Result<Self, SearchError> {
        if !(1..=THREADS_MAX).contains(&threads) {
            let why = format!("{threads} threads, not 1 to {THREADS_MAX}");
            return Err(SearchError::Threads(std::io::Error::other(why)));
        }
        Ok(Self {
            kernel,
            pool: Pool::new(threads).map_err(SearchError::Threads)?,
        })
    }

    /// The kernel it searches with.
    pub fn kernel(&self) -> Kernel {
        self.kernel
    }

    /// Threads that take part, the calling one included.
    pub fn threads(&self) -> usize {
        self.pool.threads()
    }

    /// The candidates of each probe in the view. May be called from any thread; several callers
    /// take turns.
    pub fn search(
        &self,
        view: &View,
        probes: &[Embedding],
        threshold: Threshold,
    ) -> Result<Vec<CandidateList>, SearchError> {
        let found = probes.len();
        if !(1..=PROBES_MAX).contains(&found) {
            return Err(SearchError::Probes { found });
        }
        if let Some(snapshot) = view.snapshot() {
            snapshot.sound().map_err(SearchError::Gallery)?;
        }
        let prepare = |probe: &Embedding| Int8Probe::new(probe.as_array(), threshold, 0.0);
        let planes = view.snapshot().and_then(|snapshot| snapshot.planes());
        let pass = Arc::new(SearchPass {
            view: view.clone(),
            kernel: self.kernel,
            threshold,
            probes: probes.to_vec(),
            int8: probes.iter().map(prepare).collect(),
            passes: planes.and_then(|planes| Passes::plan(planes, self.kernel, probes, threshold)),
            next: AtomicUsize::new(0),
            outcome: Mutex::new(Ok(vec![Shortlist::default(); found])),
        });
        if view.rows().saturating_mul(found) <= INLINE_WORK_MAX {
            pass.run();
        } else {
            let shared = Arc::clone(&pass);
            self.pool.run(Arc::new(move || shared.run()));
        }
        let outcome = std::mem::replace(&mut *pass.outcome(), Ok(Vec::new()));
        let lists = outcome.map_err(SearchError::Gallery)?;
        Ok(lists.into_iter().map(Shortlist::finish).collect())
    }
}

impl SearchPass {
    /// One thread's part: takes units until none is left.
    fn run(&self) {
        let snapshot_rows = self.view.snapshot().map_or(0, |snapshot| snapshot.rows());
        let snapshot_units = snapshot_rows.div_ceil(UNIT_ROWS);
        let units = snapshot_units + self.view.overlay().blocks();
        let mut lists = vec![Shortlist::default(); self.probes.len()];
        let mut survivors = Vec::new();
        loop {
            let unit = self.next.fetch_add(1, Ordering::Relaxed);
            if unit >= units {
                break;
            }
            survivors.clear();
            let result = match self.view.snapshot() {
                Some(snapshot) if unit < snapshot_units => {
                    let first = unit * UNIT_ROWS;
                    let last = snapshot_rows.min(first + UNIT_ROWS);
                    self.search_snapshot(snapshot, first..last, &mut survivors, &mut lists)
                }
                _ => {
                    let (block, withdrawn) = self.view.overlay().block(unit - snapshot_units);
                    self.search_overlay(block, withdrawn, &mut survivors, &mut lists);
                    Ok(())
                }
            };
            if let Err(damage) = result {
                *self.outcome() = Err(damage);
                // Nobody needs to look further.
                self.next.store(units, Ordering::Relaxed);
                return;
            }
        }
        if let Ok(all) = &mut *self.outcome() {
            all.iter_mut()
                .zip(lists)
                .for_each(|(all, list)| all.merge(list));
        }
    }

    fn search_snapshot(
        &self,
        snapshot: &Gallery,
        rows: std::ops::Range<usize>,
        survivors: &mut Vec<Survivor>,
        lists: &mut [Shortlist],
    ) -> Result<(), GalleryError> {
        let first = rows.start;
        let int8 = (snapshot.int8(rows.clone()), &self.int8[..]);
        let done = match (snapshot.planes(), &self.passes) {
            (Some(planes), Some(passes)) => passes.run(planes, self.kernel, rows, int8, survivors),
            _ => None,
        };
        if done.is_none() {
            let (rows, probes) = int8;
            self.kernel.run(Work::Int8(Int8Scan {
                rows,
                probes,
                survivors,
            }));
        }
        for survivor in survivors.iter() {
            let row = first + survivor.row as usize;
            if self.view.is_withdrawn(row) {
                continue;
            }
            let probe = survivor.probe as usize;
            let score = dot(self.probes[probe].as_array(), snapshot.embedding(row)?);
            if score >= self.threshold.value() {
                let (person, reference) = (snapshot.person(row), snapshot.reference(row));
                lists[probe].push(Candidate {
                    person,
                    reference,
                    score,
                });
            }
        }
        Ok(())
    }

    fn search_overlay(
        &self,
        block: &Block,
        withdrawn: u128,
        survivors: &mut Vec<Survivor>,
        lists: &mut [Shortlist],
    ) {
        let rows = block.int8();
        self.kernel.run(Work::Int8(Int8Scan {
            rows,
            probes: &self.int8,
            survivors,
        }));
        for survivor in survivors.iter() {
            let (row, probe) = (survivor.row as usize, survivor.probe as usize);
            if withdrawn >> row & 1 == 1 {
                continue;
            }
            let score = dot(self.probes[probe].as_array(), &block.embeddings[row]);
            if score >= self.threshold.value() {
                let (person, reference) = (block.persons[row], block.references[row]);
                lists[probe].push(Candidate {
                    person,
                    reference,
                    score,
                });
            }
        }
    }

    fn outcome(&self) -> std::sync::MutexGuard<'_, Result<Vec<Shortlist>, GalleryError>> {
        self.outcome.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Display for SearchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Probes { found } => {
                write!(f, "{found} probes in one pass, not 1 to {PROBES_MAX}")
            }
            Self::Threads(source) => write!(f, "cannot start the search threads: {source}"),
            Self::Gallery(source) => source.fmt(f),
        }
    }
}

impl std::error::Error for SearchError {}
