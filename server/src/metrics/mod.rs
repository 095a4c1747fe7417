//! What operations see: one thread takes each loop's interval, adds it to the totals, writes the
//! latency log and renders `/metrics`, so that no loop ever formats or waits for a disk.

pub mod events;
mod handover;
mod text;

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;

use cardea_wire::Reason;
use cardea_wire::reason::ALL;

use crate::histograms::StageHistograms;
use crate::histograms::log::LatencyLog;

pub use handover::Handover;

/// How often loops hand over and the log gets an interval.
pub const INTERVAL: Duration = Duration::from_secs(1);
/// Intervals that may wait for the thread: a disk that hangs this long costs intervals.
const INTERVALS_QUEUED_MAX: usize = 64;

/// What a loop counts, by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counts {
    answers: [u64; ALL.len()],
    others: Vec<(&'static str, u64)>,
}

impl Default for Counts {
    fn default() -> Self {
        Self {
            answers: [0; ALL.len()],
            others: Vec::new(),
        }
    }
}

impl Counts {
    /// Notes an access request's answer by its reason; a grant has none.
    pub fn answer(&mut self, reason: Reason) {
        if let Some(at) = ALL.iter().position(|known| *known == reason) {
            self.answers[at] += 1;
        }
    }

    /// Notes `count` events under a name in snake case.
    pub fn add(&mut self, name: &'static str, count: u64) {
        match self.others.iter_mut().find(|(known, _)| *known == name) {
            Some((_, total)) => *total += count,
            None => self.others.push((name, count)),
        }
    }

    /// Answers to access requests by reason; grants as `granted`.
    pub fn answers(&self) -> impl Iterator<Item = (&'static str, u64)> {
        ALL.iter().zip(self.answers).map(|(reason, count)| {
            let granted = *reason == Reason::None;
            (if granted { "granted" } else { reason.text() }, count)
        })
    }

    /// Adds another's counts to these.
    pub fn merge(&mut self, other: &Self) {
        for (total, count) in self.answers.iter_mut().zip(other.answers) {
            *total += count;
        }
        other
            .others
            .iter()
            .for_each(|(name, count)| self.add(name, *count));
    }

    /// Forgets everything, and keeps the names.
    pub fn reset(&mut self) {
        self.answers.fill(0);
        self.others.iter_mut().for_each(|(_, count)| *count = 0);
    }
}

/// What a loop hands over: what it recorded since the last time.
#[derive(Default)]
pub struct Interval {
    /// Latency by stage.
    pub histograms: StageHistograms,
    /// Counts.
    pub counts: Counts,
}

/// What is so now, or was counted elsewhere, asked for each interval.
#[derive(Debug, Default)]
pub struct Levels {
    gauges: Vec<(&'static str, &'static str, f64)>,
    counters: Vec<(String, u64)>,
    refused: Vec<(&'static str, u64)>,
}

impl Levels {
    /// A value now, with its name in snake case and a help text.
    pub fn gauge(&mut self, name: &'static str, help: &'static str, value: f64) {
        self.gauges.push((name, help, value));
    }

    /// A number of the front end: a level, or a count that only grows.
    pub fn front_end(&mut self, name: &'static str, value: u64, is_level: bool) {
        if is_level {
            self.gauges
                .push((name, "Of the front end, now", value as f64));
        } else {
            self.counter(&format!("front_end_{name}"), value);
        }
    }

    /// A count that was kept elsewhere, with its name in snake case.
    pub fn counter(&mut self, name: &str, value: u64) {
        self.counters.push((name.to_owned(), value));
    }

    /// Requests that framing refused, by why.
    pub fn refused(&mut self, why: &'static str, value: u64) {
        self.refused.push((why, value));
    }
}

/// The thread, and what it renders.
pub struct Observer {
    text: Arc<ArcSwap<String>>,
    handover: Handover,
}

impl Observer {
    /// Starts the thread, which shows `each` interval to whoever else counts; it ends, after a
    /// last interval, when every [`Handover`] and the observer itself are gone.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn start(
        log: LatencyLog,
        levels: impl Fn() -> Levels + Send + 'static,
        mut each: impl FnMut(&Interval) + Send + 'static,
    ) -> std::io::Result<(Self, JoinHandle<()>)> {
        let (handover, gathering) = handover::pair(INTERVALS_QUEUED_MAX);
        let text = Arc::new(ArcSwap::from_pointee(String::new()));
        let mut totals = Totals {
            all: Interval::default(),
            latest: Interval::default(),
            log,
            log_failures: 0,
            text: Arc::clone(&text),
        };
        let thread = thread::Builder::new()
            .name("observer".to_owned())
            .spawn(move || {
                while gathering.one_interval(INTERVAL, &mut totals.latest) {
                    each(&totals.latest);
                    totals.publish(levels());
                }
                totals.publish(levels());
            })?;
        Ok((Self { text, handover }, thread))
    }

    /// An end for a loop.
    #[must_use]
    pub fn handover(&self) -> Handover {
        self.handover.clone()
    }

    /// The latest `/metrics`.
    #[must_use]
    pub fn text(&self) -> Arc<ArcSwap<String>> {
        Arc::clone(&self.text)
    }
}

struct Totals {
    all: Interval,
    latest: Interval,
    log: LatencyLog,
    log_failures: u64,
    text: Arc<ArcSwap<String>>,
}

impl Totals {
    fn publish(&mut self, levels: Levels) {
        if !self.latest.histograms.is_empty() {
            let now = SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default();
            let start = now.saturating_sub(INTERVAL);
            if let Err(error) = self.log.append(&self.latest.histograms, start, INTERVAL) {
                self.log_failures += 1;
                if self.log_failures.is_power_of_two() {
                    tracing::warn!(%error, failures = self.log_failures, "latency log");
                }
            }
        }
        self.all.histograms.add(&self.latest.histograms);
        self.all.counts.merge(&self.latest.counts);
        self.latest.histograms.reset();
        self.latest.counts.reset();
        let text = text::render(&self.all, levels, self.log_failures);
        self.text.store(Arc::new(text));
    }
}
