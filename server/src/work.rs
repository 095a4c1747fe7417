//! The bounded queue of probes and the thread that searches them.
//!
//! The thread takes whatever waits, up to a batch, and searches it in one pass over one view; a
//! lone probe never waits for company. What cannot be searched before its deadline is refused:
//! at the door if the queue's length says so, at the latest when its turn comes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use cardea_engine::{CandidateList, Embedding, Searcher, Threshold, View};

use crate::access::{SearchEnd, micros};
use crate::completions::CompletionSender;
use crate::limits::{PROBES_IN_BATCH_MAX, PROBES_QUEUED_MAX};
use crate::metrics::events::SEARCH_FAILED;
use crate::sync::ArcSwap;
use crate::sync::atomic::{AtomicU32, Ordering};
use crate::sync::channel::{Receiver, Sender, TrySendError, bounded};
use crate::sync::thread::{self, JoinHandle};

/// What is searched: the view in force and the decision threshold, published by the writer.
pub struct Searched {
    /// Everyone enrolled.
    pub view: View,
    /// At or above it is a match.
    pub threshold: Threshold,
}

/// A probe, and who waits for its result.
pub struct Probe<T> {
    /// The probe.
    pub embedding: Embedding,
    /// Who waits.
    pub waiting: Waiting<T>,
}

/// Who waits for a result.
pub struct Waiting<T> {
    /// When the probe came.
    pub queued: Instant,
    /// When an answer is of no use any more.
    pub deadline: Instant,
    /// The asker's own name for it.
    pub ticket: u64,
    /// Where the result goes.
    pub done: CompletionSender<T>,
}

/// A search's result.
pub struct SearchDone {
    /// The asker's own name for the probe.
    pub ticket: u64,
    /// How it ended.
    pub end: SearchEnd,
    /// How long it waited.
    pub queue_us: u32,
    /// How long its batch was searched.
    pub search_us: u32,
}

/// The queue's entrance.
pub struct WorkQueue<T> {
    sender: Sender<Probe<T>>,
    pace: Arc<Pace>,
}

impl<T> Clone for WorkQueue<T> {
    fn clone(&self) -> Self {
        Self {
            sender: self.sender.clone(),
            pace: Arc::clone(&self.pace),
        }
    }
}

/// Passes whose median is the pace.
const PASSES: usize = 7;

/// How long a probe of a full batch takes of late, for refusing early.
#[derive(Default)]
struct Pace {
    /// How long the last passes took, each divided by the probes of a full batch.
    passes_us: [AtomicU32; PASSES],
    noted: AtomicU32,
    /// Their median.
    us_per_probe: AtomicU32,
    waiting: AtomicU32,
    begun: AtomicU32,
    ended: AtomicU32,
}

/// How far the search thread has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Probes that wait.
    pub waiting: u32,
    /// Batches begun since the start; wraps.
    pub begun: u32,
    /// Batches ended since the start; wraps.
    pub ended: u32,
}

impl<T: From<SearchDone> + Send + 'static> WorkQueue<T> {
    /// Starts the search thread. `damaged` is called when the gallery turns out to be.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn start(
        searcher: Searcher,
        searched: Arc<ArcSwap<Searched>>,
        damaged: impl Fn() + Send + 'static,
    ) -> std::io::Result<(Self, JoinHandle<()>)> {
        let (sender, receiver) = bounded(PROBES_QUEUED_MAX);
        let pace = Arc::new(Pace::default());
        let queue = Self {
            sender,
            pace: Arc::clone(&pace),
        };
        let thread = thread::Builder::new()
            .name("search".to_owned())
            .spawn(move || {
                let mut batch = Batch::default();
                while take_batch(&receiver, &mut batch) {
                    pace.begin(receiver.len());
                    let searched = searched.load_full();
                    search_batch(
                        &searcher,
                        &searched,
                        &mut batch,
                        &pace,
                        &damaged,
                        Instant::now,
                    );
                    pace.end();
                }
            })?;
        Ok((queue, thread))
    }

    /// Puts a probe into the queue; never waits.
    ///
    /// # Errors
    /// Gives nothing back but the news that the queue is full, or so long that the probe's
    /// deadline would pass.
    pub fn submit(&self, probe: Probe<T>) -> Result<(), Overloaded> {
        let waiting = u32::try_from(self.sender.len()).unwrap_or(u32::MAX);
        self.pace.waiting.store(waiting, Ordering::Relaxed);
        let wait_us = self
            .pace
            .us_per_probe
            .load(Ordering::Relaxed)
            .saturating_mul(waiting);
        let waiting = &probe.waiting;
        let left = waiting.deadline.saturating_duration_since(waiting.queued);
        if Duration::from_micros(u64::from(wait_us)) >= left {
            return Err(Overloaded);
        }
        self.sender.try_send(probe).map_err(|error| match error {
            TrySendError::Full(_) | TrySendError::Disconnected(_) => Overloaded,
        })
    }

    /// How many probes wait, to be asked at any time; does not keep the search thread alive.
    pub fn waiting(&self) -> impl Fn() -> u32 + Send + Sync + 'static {
        let pace = Arc::clone(&self.pace);
        move || pace.waiting.load(Ordering::Relaxed)
    }

    /// How far the search thread has come, to be asked at any time; does not keep it alive.
    pub fn progress(&self) -> impl Fn() -> Progress + Send + 'static {
        let pace = Arc::clone(&self.pace);
        move || Progress {
            waiting: pace.waiting.load(Ordering::Relaxed),
            begun: pace.begun.load(Ordering::Relaxed),
            ended: pace.ended.load(Ordering::Relaxed),
        }
    }
}

/// The queue cannot serve a probe in time.
#[derive(Debug, PartialEq, Eq)]
pub struct Overloaded;

/// What is searched together; its memory serves batch after batch.
struct Batch<T> {
    taken: Vec<Probe<T>>,
    probes: Vec<Embedding>,
    askers: Vec<Waiting<T>>,
    lists: Vec<CandidateList>,
}

impl<T> Default for Batch<T> {
    fn default() -> Self {
        Self {
            taken: Vec::with_capacity(PROBES_IN_BATCH_MAX),
            probes: Vec::with_capacity(PROBES_IN_BATCH_MAX),
            askers: Vec::with_capacity(PROBES_IN_BATCH_MAX),
            lists: Vec::with_capacity(PROBES_IN_BATCH_MAX),
        }
    }
}

/// Waits for a probe and takes all that wait with it; `false` when no sender is left.
fn take_batch<T>(receiver: &Receiver<Probe<T>>, batch: &mut Batch<T>) -> bool {
    let Ok(first) = receiver.recv() else {
        return false;
    };
    batch.taken.push(first);
    let others = receiver.try_iter().take(PROBES_IN_BATCH_MAX - 1);
    batch.taken.extend(others);
    true
}

fn search_batch<T: From<SearchDone>>(
    searcher: &Searcher,
    searched: &Searched,
    batch: &mut Batch<T>,
    pace: &Pace,
    damaged: &impl Fn(),
    clock: impl Fn() -> Instant,
) {
    let start = clock();
    let Batch {
        taken,
        probes,
        askers,
        lists,
    } = batch;
    probes.clear();
    for Probe { embedding, waiting } in taken.drain(..) {
        if waiting.deadline > start {
            probes.push(embedding);
            askers.push(waiting);
        } else {
            waiting.finish(SearchEnd::Late, start, 0);
        }
    }
    if probes.is_empty() {
        return;
    }
    let result = searcher.search_into(&searched.view, probes, searched.threshold, lists);
    let search_us = micros(clock(), start);
    pace.note(search_us);
    match result {
        Ok(()) => {
            for (asker, list) in askers.drain(..).zip(lists.drain(..)) {
                asker.finish(SearchEnd::Candidates(list), start, search_us);
            }
        }
        Err(error) => {
            if SEARCH_FAILED.is_logged() {
                tracing::error!(%error, "search failed");
            }
            damaged();
            for asker in askers.drain(..) {
                asker.finish(SearchEnd::Failed, start, search_us);
            }
        }
    }
}

impl<T: From<SearchDone>> Waiting<T> {
    fn finish(self, end: SearchEnd, start: Instant, search_us: u32) {
        let queue_us = micros(start, self.queued);
        let done = SearchDone {
            ticket: self.ticket,
            end,
            queue_us,
            search_us,
        };
        self.done.send(done.into());
    }
}

impl Pace {
    fn begin(&self, waiting: usize) {
        let waiting = u32::try_from(waiting).unwrap_or(u32::MAX);
        self.waiting.store(waiting, Ordering::Relaxed);
        self.begun.fetch_add(1, Ordering::Relaxed);
    }

    fn end(&self) {
        self.ended.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes how long a batch took. Whoever waits behind others is searched in a full batch,
    /// whatever the size of this one: by what a lone probe takes, a burst after a quiet hour was
    /// refused of which most could be served. The median, because a running mean let two passes
    /// that stuttered refuse 46 of 7,000 that had 0.8 s to spare.
    fn note(&self, search_us: u32) {
        let slot = self.noted.fetch_add(1, Ordering::Relaxed) as usize % PASSES;
        self.passes_us[slot].store(search_us / PROBES_IN_BATCH_MAX as u32, Ordering::Relaxed);
        let mut passes = [0; PASSES];
        for (us, pass) in passes.iter_mut().zip(&self.passes_us) {
            *us = pass.load(Ordering::Relaxed);
        }
        passes.sort_unstable();
        self.us_per_probe
            .store(passes[PASSES / 2], Ordering::Relaxed);
    }
}

#[cfg(test)]
pub(crate) mod simulated;
#[cfg(test)]
mod tests;
