//! The queue without its thread: a simulation does the thread's work, step by step.

use std::sync::Arc;
use std::time::Instant;

use cardea_engine::Searcher;

use super::{Batch, Pace, Probe, SearchDone, Searched, WorkQueue, search_batch, take_batch};
use crate::limits::PROBES_QUEUED_MAX;
use crate::sync::ArcSwap;
use crate::sync::channel::{Receiver, bounded};

/// What the search thread owns.
pub(crate) struct SearchSteps<T> {
    receiver: Receiver<Probe<T>>,
    searched: Arc<ArcSwap<Searched>>,
    pace: Arc<Pace>,
}

impl<T: From<SearchDone> + Send + 'static> WorkQueue<T> {
    /// A queue whose search thread does not run: the second value does its work.
    pub(crate) fn simulated(searched: Arc<ArcSwap<Searched>>) -> (Self, SearchSteps<T>) {
        let (sender, receiver) = bounded(PROBES_QUEUED_MAX);
        let pace = Arc::new(Pace::default());
        let steps = SearchSteps {
            receiver,
            searched,
            pace: Arc::clone(&pace),
        };
        (Self { sender, pace }, steps)
    }
}

impl<T: From<SearchDone> + Send + 'static> SearchSteps<T> {
    /// Whether a probe waits.
    pub(crate) fn waits(&self) -> bool {
        !self.receiver.is_empty()
    }

    /// One turn of the thread; `clock` is asked at its start and at its end. `taken` is told the
    /// tickets that it takes.
    pub(crate) fn turn(
        &self,
        searcher: &Searcher,
        clock: impl Fn() -> Instant,
        mut taken: impl FnMut(u64),
    ) {
        let mut batch = Batch::default();
        assert!(self.waits(), "the thread would wait here");
        take_batch(&self.receiver, &mut batch);
        let tickets = batch.taken.iter().map(|probe| probe.waiting.ticket);
        tickets.for_each(&mut taken);
        self.pace.begin(self.receiver.len());
        let searched = self.searched.load_full();
        let damaged = || unreachable!("no file to be damaged");
        search_batch(searcher, &searched, &mut batch, &self.pace, &damaged, clock);
        self.pace.end();
    }
}
