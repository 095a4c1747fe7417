//! How loops hand what they recorded to the thread that adds it up: full intervals go one way,
//! emptied ones come back, and neither side waits for the other.

use std::time::{Duration, Instant};

use super::Interval;
use crate::sync::channel::{Receiver, RecvTimeoutError, Sender, TrySendError, bounded};

/// A loop's end: takes an empty interval, gives a full one.
#[derive(Clone)]
pub struct Handover {
    full: Sender<Box<Interval>>,
    empty: Receiver<Box<Interval>>,
    recycle: Sender<Box<Interval>>,
}

/// The thread's end.
pub(super) struct Gathering {
    full: Receiver<Box<Interval>>,
    recycle: Sender<Box<Interval>>,
}

/// Both ends, with room for so many intervals each way.
pub(super) fn pair(room: usize) -> (Handover, Gathering) {
    let (full, received) = bounded(room);
    let (recycle, empty) = bounded(room);
    let gathering = Gathering {
        full: received,
        recycle: recycle.clone(),
    };
    let handover = Handover {
        full,
        empty,
        recycle,
    };
    (handover, gathering)
}

impl Handover {
    /// The way to no thread at all, for tests.
    #[cfg(test)]
    pub(crate) fn nowhere() -> Self {
        pair(1).0
    }

    /// Hands `current` over and puts an empty interval in its place; keeps `current` growing if
    /// the thread is behind, so that nothing recorded is lost.
    pub fn hand_over(&self, current: &mut Box<Interval>) {
        let fresh = self.empty.try_recv().unwrap_or_default();
        let full = std::mem::replace(current, fresh);
        if let Err(TrySendError::Full(full) | TrySendError::Disconnected(full)) =
            self.full.try_send(full)
        {
            let fresh = std::mem::replace(current, full);
            let _ = self.recycle.try_send(fresh);
        }
    }
}

impl Gathering {
    /// Adds to `latest` what comes within `interval`; `false` when no loop is left.
    pub(super) fn one_interval(&self, interval: Duration, latest: &mut Interval) -> bool {
        let start = Instant::now();
        loop {
            let left = interval.saturating_sub(start.elapsed());
            match self.full.recv_timeout(left) {
                Ok(mut interval) => {
                    latest.histograms.add(&interval.histograms);
                    latest.counts.merge(&interval.counts);
                    interval.histograms.reset();
                    interval.counts.reset();
                    let _ = self.recycle.try_send(interval);
                }
                Err(RecvTimeoutError::Timeout) => return true,
                Err(RecvTimeoutError::Disconnected) => return false,
            }
        }
    }
}
