//! Telemetry: the observer's intervals, a minute at a time.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cardea_connect::message::{StageLatency, Telemetry, moment};
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Serializer as _, V2Serializer};

use super::News;
use crate::histograms::StageHistograms;
use crate::histograms::stage::STAGES;
use crate::metrics::{Counts, Interval};
use crate::site::unix_ms;
use crate::writer::{Command, WriterHandle};

const LENGTH: Duration = Duration::from_secs(60);

/// What the minute has brought so far; lives on the observer's thread.
pub struct Minutes {
    writer: WriterHandle,
    begun: Instant,
    histograms: StageHistograms,
    counts: Counts,
}

impl Minutes {
    /// An empty minute, to be told to this writer.
    #[must_use]
    pub fn new(writer: WriterHandle) -> Self {
        Self {
            writer,
            begun: Instant::now(),
            histograms: StageHistograms::new(),
            counts: Counts::default(),
        }
    }

    /// Adds an interval; tells the minute when it is over. If the writer has no room the minute
    /// goes on.
    pub fn add(&mut self, interval: &Interval) {
        self.histograms.add(&interval.histograms);
        self.counts.merge(&interval.counts);
        let seconds = self.begun.elapsed().as_secs();
        if seconds < LENGTH.as_secs() {
            return;
        }
        let telemetry = telemetry(&self.histograms, &self.counts, seconds);
        let news = Command::Connect(Box::new(News::Telemetry(telemetry)));
        if self.writer.try_send(news).is_ok() {
            self.begun = Instant::now();
            self.histograms.reset();
            self.counts.reset();
        }
    }
}

/// Histograms and counts as a message says them.
#[must_use]
fn telemetry(histograms: &StageHistograms, counts: &Counts, seconds: u64) -> Telemetry {
    let mut serializer = V2Serializer::new();
    let stages = STAGES
        .into_iter()
        .filter(|stage| !histograms.of(*stage).is_empty())
        .filter_map(|stage| {
            let histogram = histograms.of(stage);
            let latency = latency(histogram, &mut serializer)?;
            Some((stage.name().to_owned(), latency))
        })
        .collect();
    let from = unix_ms() / 1_000 - seconds.min(unix_ms() / 1_000);
    Telemetry {
        from: moment(i64::try_from(from).unwrap_or(i64::MAX)),
        seconds,
        answers: counts
            .answers()
            .filter(|(_, count)| *count > 0)
            .map(|(name, count)| (name.to_owned(), count))
            .collect(),
        stages,
    }
}

fn latency(histogram: &Histogram<u64>, serializer: &mut V2Serializer) -> Option<StageLatency> {
    let mut bytes = Vec::new();
    // Ours are small; one that cannot be written is left out rather than half said.
    serializer.serialize(histogram, &mut bytes).ok()?;
    let at = |quantile| histogram.value_at_quantile(quantile);
    Some(StageLatency {
        count: histogram.len(),
        p50_us: at(0.5),
        p90_us: at(0.9),
        p99_us: at(0.99),
        p999_us: at(0.999),
        max_us: histogram.max(),
        histogram: STANDARD.encode(bytes),
    })
}

#[cfg(test)]
mod tests {
    use cardea_wire::{Reason, RequestId};
    use hdrhistogram::serialization::Deserializer;

    use super::*;
    use crate::histograms::{Stage, Timings, Worst};

    /// Fails when a stage is left out or its histogram is another's.
    #[test]
    fn a_minute_says_what_was_recorded() {
        let mut histograms = StageHistograms::new();
        for total_us in 1..=1_000 {
            let mut timings = Timings::default();
            timings.set(Stage::Total, total_us);
            timings.set(Stage::Search, total_us / 2);
            histograms.record(&Worst {
                request_id: RequestId([0; 16]),
                device: 1,
                timings,
            });
        }
        let mut counts = Counts::default();
        counts.answer(Reason::None);
        counts.answer(Reason::NoMatch);
        counts.answer(Reason::NoMatch);
        let said = telemetry(&histograms, &counts, 60);
        assert_eq!(said.answers["no match"], 2);
        assert_eq!(said.answers["granted"], 1);
        let total = &said.stages["total"];
        assert_eq!(
            (total.count, total.p50_us, total.max_us),
            (1_000, 500, 1_000)
        );
        let bytes = STANDARD.decode(&total.histogram).expect("base64");
        let read: Histogram<u64> = Deserializer::new()
            .deserialize(&mut bytes.as_slice())
            .expect("an HdrHistogram");
        assert_eq!(read.value_at_quantile(0.99), 990);
        assert!(said.stages.contains_key("search") && !said.stages.contains_key("queue"));
    }
}
