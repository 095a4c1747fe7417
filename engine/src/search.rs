//! The search: one pass over a view for up to 64 probes, exact.
//!
//! Rows of the snapshot pass the plane, then int8; rows of the overlay int8 alone. Each pass
//! discards rows that its bound puts below the threshold; what survives is scored in f32 in the
//! fixed order, compared with the threshold, and collected by person. Where the planner expects
//! too many survivors, or a search meets them, it goes to int8 at once.

use crate::candidate::{Candidate, CandidateList, Shortlist};
use crate::gallery::overlay::Block;
use crate::int8::Int8Probe;
use crate::kernel::{Int8Scan, Survivor, TileMemory, Work};
use crate::limits::{INLINE_WORK_MAX, PROBES_MAX, THREADS_MAX};
use crate::passes::Passes;
use crate::plane::BLOCK_ROWS;
use crate::pool::Pool;
use crate::score::dot;
use crate::{Embedding, Gallery, GalleryError, Kernel, Threshold, View};
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Rows of the snapshot that a thread takes at a time.
pub(crate) const UNIT_ROWS: usize = 4096;

const _: () = assert!(UNIT_ROWS.is_multiple_of(BLOCK_ROWS));

/// Searches views with one kernel on its own long-lived threads and the calling one.
///
/// Memory: a stack per thread; about 5 KB a probe of the largest batch so far, and per thread 8
/// bytes for each row of a unit that has survived (at most 2 MB), 24 for each hit up to 1,024 a
/// probe. All of it is kept for the next search.
pub struct Searcher {
    kernel: Kernel,
    threads: usize,
    /// Held by the caller whose search is running.
    turn: Mutex<Turn>,
}

/// What one search at a time has.
struct Turn {
    pool: Pool<SearchPass>,
    /// None before the first search.
    pass: Option<Arc<SearchPass>>,
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

/// What all threads of one search share. Its memory serves search after search.
struct SearchPass {
    /// None between searches, so that an old gallery can go.
    view: Option<View>,
    kernel: Kernel,
    threshold: Threshold,
    probes: Vec<Embedding>,
    int8: Vec<Int8Probe>,
    passes: Passes,
    /// False where int8 is faster alone.
    has_plan: bool,
    next: AtomicUsize,
    parts: Mutex<Parts>,
}

/// What the threads found.
#[derive(Default)]
struct Parts {
    spare: Vec<Part>,
    done: Vec<Part>,
    damage: Option<GalleryError>,
}

/// What one thread found.
#[derive(Default)]
struct Part {
    lists: Vec<Shortlist>,
    survivors: Vec<Survivor>,
    tiles: TileMemory,
}

impl Searcher {
    /// A searcher of 1 to 64 threads, the calling one included.
    pub fn new(kernel: Kernel, threads: usize) -> Result<Self, SearchError> {
        if !(1..=THREADS_MAX).contains(&threads) {
            let why = format!("{threads} threads, not 1 to {THREADS_MAX}");
            return Err(SearchError::Threads(std::io::Error::other(why)));
        }
        let pool = Pool::new(threads, SearchPass::run).map_err(SearchError::Threads)?;
        Ok(Self {
            kernel,
            threads,
            turn: Mutex::new(Turn { pool, pass: None }),
        })
    }

    /// The kernel it searches with.
    pub fn kernel(&self) -> Kernel {
        self.kernel
    }

    /// Threads that take part, the calling one included.
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// The candidates of each probe in the view. May be called from any thread; several callers
    /// take turns.
    pub fn search(
        &self,
        view: &View,
        probes: &[Embedding],
        threshold: Threshold,
    ) -> Result<Vec<CandidateList>, SearchError> {
        let mut lists = Vec::with_capacity(probes.len());
        self.search_into(view, probes, threshold, &mut lists)?;
        Ok(lists)
    }

    /// [`Self::search`] for who searches again and again: the lists replace what is in `lists`, and
    /// once everything has grown to its size, nothing is allocated but lists of more than two.
    pub fn search_into(
        &self,
        view: &View,
        probes: &[Embedding],
        threshold: Threshold,
        lists: &mut Vec<CandidateList>,
    ) -> Result<(), SearchError> {
        lists.clear();
        let found = probes.len();
        if !(1..=PROBES_MAX).contains(&found) {
            return Err(SearchError::Probes { found });
        }
        if let Some(snapshot) = view.snapshot() {
            snapshot.sound().map_err(SearchError::Gallery)?;
        }
        let mut turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        // Taken: what a panic leaves is not used again.
        let pass = turn.pass.take();
        let mut pass = pass.unwrap_or_else(|| Arc::new(SearchPass::new(self.kernel, threshold)));
        alone(&mut pass).begin(view, probes, threshold);
        if view.rows().saturating_mul(found) <= INLINE_WORK_MAX {
            pass.run();
        } else {
            turn.pool.run(&pass);
        }
        let result = alone(&mut pass).end(lists);
        turn.pass = Some(pass);
        result.map_err(SearchError::Gallery)
    }
}

/// The pass, with which no other thread is busy before a search begins and after it has ended.
fn alone(pass: &mut Arc<SearchPass>) -> &mut SearchPass {
    Arc::get_mut(pass).expect("the pool's threads have given it back")
}

impl SearchPass {
    fn new(kernel: Kernel, threshold: Threshold) -> Self {
        Self {
            view: None,
            kernel,
            threshold,
            probes: Vec::new(),
            int8: Vec::new(),
            passes: Passes::new(threshold),
            has_plan: false,
            next: AtomicUsize::new(0),
            parts: Mutex::default(),
        }
    }

    fn begin(&mut self, view: &View, probes: &[Embedding], threshold: Threshold) {
        self.threshold = threshold;
        self.probes.clear();
        self.probes.extend_from_slice(probes);
        let prepare = |probe: &Embedding| Int8Probe::new(probe.as_array(), threshold, 0.0);
        self.int8.clear();
        self.int8.extend(probes.iter().map(prepare));
        let planes = view.snapshot().and_then(|snapshot| snapshot.planes());
        self.has_plan =
            planes.is_some_and(|planes| self.passes.plan(planes, self.kernel, probes, threshold));
        self.next = AtomicUsize::new(0);
        self.view = Some(view.clone());
    }

    /// Merges what the threads found into a list for each probe.
    fn end(&mut self, lists: &mut Vec<CandidateList>) -> Result<(), GalleryError> {
        self.view = None;
        let parts = self.parts.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some((whole, others)) = parts.done.split_first_mut() {
            for other in others {
                for (list, other) in whole.lists.iter_mut().zip(&other.lists) {
                    list.merge(other);
                }
            }
            lists.extend(whole.lists.iter_mut().map(Shortlist::finish));
        }
        parts.spare.append(&mut parts.done);
        match parts.damage.take() {
            Some(damage) => {
                lists.clear();
                Err(damage)
            }
            None => Ok(()),
        }
    }

    /// One thread's part: takes units until none is left.
    fn run(&self) {
        let Some(view) = &self.view else { return };
        let mut part = self.parts().spare.pop().unwrap_or_default();
        part.lists
            .resize_with(self.probes.len(), Shortlist::default);
        part.lists.iter_mut().for_each(Shortlist::clear);
        let damage = self.search_units(view, &mut part).err();
        let mut parts = self.parts();
        parts.done.push(part);
        parts.damage = parts.damage.take().or(damage);
    }

    fn search_units(&self, view: &View, part: &mut Part) -> Result<(), GalleryError> {
        let snapshot_rows = view.snapshot().map_or(0, |snapshot| snapshot.rows());
        let snapshot_units = snapshot_rows.div_ceil(UNIT_ROWS);
        let units = snapshot_units + view.overlay().blocks();
        loop {
            let unit = self.next.fetch_add(1, Ordering::Relaxed);
            if unit >= units {
                return Ok(());
            }
            part.survivors.clear();
            match view.snapshot() {
                Some(snapshot) if unit < snapshot_units => {
                    let first = unit * UNIT_ROWS;
                    let last = snapshot_rows.min(first + UNIT_ROWS);
                    let result = self.search_snapshot(view, snapshot, first..last, part);
                    // Nobody needs to look further.
                    result.inspect_err(|_| self.next.store(units, Ordering::Relaxed))?;
                }
                _ => {
                    let (block, withdrawn) = view.overlay().block(unit - snapshot_units);
                    self.search_overlay(block, withdrawn, part);
                }
            }
        }
    }

    fn search_snapshot(
        &self,
        view: &View,
        snapshot: &Gallery,
        rows: std::ops::Range<usize>,
        part: &mut Part,
    ) -> Result<(), GalleryError> {
        let Part {
            lists,
            survivors,
            tiles,
        } = part;
        let first = rows.start;
        let int8 = (snapshot.int8(rows.clone()), &self.int8[..]);
        let done = match snapshot.planes() {
            Some(planes) if self.has_plan => {
                let memory = (&mut *survivors, tiles);
                self.passes.run(planes, self.kernel, rows, int8, memory)
            }
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
            if view.is_withdrawn(row) {
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

    fn search_overlay(&self, block: &Block, withdrawn: u128, part: &mut Part) {
        let Part {
            lists, survivors, ..
        } = part;
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

    fn parts(&self) -> MutexGuard<'_, Parts> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Searcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Searcher({:?}, {})", self.kernel, self.threads)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ModelId;
    use crate::synthetic::{Shape, Synthetic};

    /// Fails if a search of several threads ends before another thread has, or if two share what
    /// they found.
    #[test]
    fn callers_from_several_threads_take_turns_and_get_their_own_lists() {
        let people = Synthetic::new(7, Shape::Realistic);
        let rows: Vec<_> = (0..4_000).map(|person| people.row(person)).collect();
        let view = View::empty(ModelId([0; 16])).with_enrolled(&rows, 1);
        let view = view.expect("room for them");
        let searcher = Searcher::new(Kernel::best().expect("AVX2"), 3).expect("threads start");
        let threshold = Threshold::new(0.6).expect("a score");
        std::thread::scope(|scope| {
            for caller in 0..4 {
                let (people, view, searcher) = (&people, &view, &searcher);
                scope.spawn(move || {
                    for search in 0..50 {
                        // More than one thread does alone, from the second search on.
                        let wanted = (0..1 + search % 8).map(|n| caller * 1_000 + search * 8 + n);
                        let wanted: Vec<u64> = wanted.collect();
                        let probe = |person: &u64| people.probe_at(*person, 0, 0.9);
                        let probes: Vec<_> = wanted.iter().map(probe).collect();
                        let lists = searcher.search(view, &probes, threshold).expect("sound");
                        let best = |list: &CandidateList| list.best().map(|best| best.person.0);
                        let found: Vec<_> = lists.iter().filter_map(best).collect();
                        assert_eq!(found, wanted);
                    }
                });
            }
        });
    }
}
