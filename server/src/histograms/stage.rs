//! The stages of an access request, a histogram for each, and the worst requests.

use cardea_wire::RequestId;
use hdrhistogram::Histogram;

use crate::limits::WORST_KEPT;

/// A stage of an access request, as DESIGN's picture of its way names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum Stage {
    /// TLS handshake, of connections' first requests.
    Handshake = 0,
    /// From the request's first byte to its last.
    Receive = 1,
    /// Waiting for a search.
    Queue = 2,
    /// Searching, with the batch.
    Search = 3,
    /// Making the audit record durable.
    Record = 4,
    /// Deciding on the right, and access control's answer.
    Authorise = 5,
    /// From the reply's making to its last byte in the kernel's hands.
    Send = 6,
    /// From the request's first byte to the reply's last.
    Total = 7,
}

/// All stages, in their order.
pub const STAGES: [Stage; 8] = [
    Stage::Handshake,
    Stage::Receive,
    Stage::Queue,
    Stage::Search,
    Stage::Record,
    Stage::Authorise,
    Stage::Send,
    Stage::Total,
];

/// Lowest and highest latency that a histogram tells apart, in microseconds.
const LOWEST_US: u64 = 1;
const HIGHEST_US: u64 = 60_000_000;
const DIGITS: u8 = 3;

impl Stage {
    /// The name in logs, metrics and tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Handshake => "handshake",
            Self::Receive => "receive",
            Self::Queue => "queue",
            Self::Search => "search",
            Self::Record => "record",
            Self::Authorise => "authorise",
            Self::Send => "send",
            Self::Total => "total",
        }
    }
}

/// One request's stages in microseconds; a stage it did not pass is `None`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Timings([Option<u32>; STAGES.len()]);

impl Timings {
    /// Notes a stage.
    pub fn set(&mut self, stage: Stage, us: u32) {
        self.0[stage as usize] = Some(us);
    }

    /// A stage's time, if the request passed it.
    #[must_use]
    pub fn of(&self, stage: Stage) -> Option<u32> {
        self.0[stage as usize]
    }
}

/// A request among the slowest of its interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Worst {
    /// The device's name for it.
    pub request_id: RequestId,
    /// The device's number.
    pub device: u64,
    /// Its stages.
    pub timings: Timings,
}

impl Worst {
    fn total_us(&self) -> u32 {
        self.timings.of(Stage::Total).unwrap_or(0)
    }
}

/// A histogram per stage, and the worst requests, exact.
#[derive(Clone)]
pub struct StageHistograms {
    stages: [Histogram<u64>; STAGES.len()],
    worst: Vec<Worst>,
}

impl Default for StageHistograms {
    fn default() -> Self {
        Self::new()
    }
}

impl StageHistograms {
    /// Empty histograms.
    ///
    /// # Panics
    /// Never: the bounds are constants within what a histogram takes.
    #[must_use]
    pub fn new() -> Self {
        let empty = || {
            Histogram::new_with_bounds(LOWEST_US, HIGHEST_US, DIGITS)
                .expect("1 us to 60 s at 3 digits are sound bounds")
        };
        Self {
            stages: std::array::from_fn(|_| empty()),
            worst: Vec::with_capacity(WORST_KEPT + 1),
        }
    }

    /// Notes one request.
    pub fn record(&mut self, request: &Worst) {
        for stage in STAGES {
            if let Some(us) = request.timings.of(stage) {
                self.stages[stage as usize].saturating_record(u64::from(us).max(LOWEST_US));
            }
        }
        self.keep_worst(*request);
    }

    /// Adds another's counts to these.
    pub fn add(&mut self, other: &Self) {
        for stage in STAGES {
            self.stages[stage as usize] += &other.stages[stage as usize];
        }
        other
            .worst
            .iter()
            .for_each(|request| self.keep_worst(*request));
    }

    /// A stage's histogram, in microseconds.
    #[must_use]
    pub fn of(&self, stage: Stage) -> &Histogram<u64> {
        &self.stages[stage as usize]
    }

    /// Adds a histogram of a stage, as read from a log; `false` if it does not fit ours.
    #[must_use]
    pub fn add_stage(&mut self, stage: Stage, histogram: &Histogram<u64>) -> bool {
        self.stages[stage as usize].add(histogram).is_ok()
    }

    /// The worst requests, slowest first.
    #[must_use]
    pub fn worst(&self) -> &[Worst] {
        &self.worst
    }

    /// Whether nothing has been recorded.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.stages.iter().all(Histogram::is_empty)
    }

    /// Forgets everything, and keeps the memory.
    pub fn reset(&mut self) {
        self.stages.iter_mut().for_each(Histogram::reset);
        self.worst.clear();
    }

    /// Notes a request among the worst, if it is.
    pub fn keep_worst(&mut self, request: Worst) {
        let full = self.worst.len() == WORST_KEPT;
        if full
            && self
                .worst
                .last()
                .is_some_and(|last| last.total_us() >= request.total_us())
        {
            return;
        }
        let at = self
            .worst
            .partition_point(|kept| kept.total_us() >= request.total_us());
        self.worst.insert(at, request);
        self.worst.truncate(WORST_KEPT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(total_us: u32) -> Worst {
        let mut timings = Timings::default();
        timings.set(Stage::Total, total_us);
        timings.set(Stage::Search, total_us / 2);
        Worst {
            request_id: RequestId([total_us as u8; 16]),
            device: 1,
            timings,
        }
    }

    #[test]
    fn the_worst_are_exact_and_bounded_also_when_merged() {
        let mut one = StageHistograms::new();
        let mut other = StageHistograms::new();
        (0..50).for_each(|us| one.record(&request(1_000_001 + 2 * us)));
        (0..50).for_each(|us| other.record(&request(1_000_000 + 2 * us)));
        one.add(&other);
        assert_eq!(one.of(Stage::Total).len(), 100);
        assert_eq!(one.of(Stage::Handshake).len(), 0);
        let totals: Vec<_> = one.worst().iter().map(Worst::total_us).collect();
        let expected: Vec<_> = (0..WORST_KEPT as u32)
            .map(|rank| 1_000_099 - rank)
            .collect();
        assert_eq!(totals, expected);
    }
}
