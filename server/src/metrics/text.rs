//! `/metrics` in Prometheus' own text format (0.0.4), which every scraper and `promtool` reads.
//!
//! The encoder writes OpenMetrics, which names a counter's family without the `_total` of its
//! samples; to a reader of 0.0.4 that is a family without samples beside one without a type. So
//! counters are described by their whole name, and their values written as plain numbers.

use std::fmt;

use cardea_wire::Reason;
use cardea_wire::reason::ALL;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use super::events::{self, FAMILIES};
use super::{Interval, Levels};
use crate::histograms::stage::{STAGES, Stage};

/// Upper ends of the buckets in microseconds: 1, 2, 5 in each decade, 100 us to 10 s.
const BUCKETS_US: [u64; 16] = [
    100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000,
    1_000_000, 2_000_000, 5_000_000, 10_000_000,
];

/// The text of everything.
pub(super) fn render(all: &Interval, mut levels: Levels, log_failures: u64) -> String {
    let own = all
        .counts
        .others
        .iter()
        .map(|(name, count)| ((*name).to_owned(), *count));
    levels.counters.extend(own);
    levels
        .counters
        .push(("latency_log_failures".to_owned(), log_failures));
    let snapshot = Snapshot {
        stages: STAGES.map(|stage| StageBuckets::of(all, stage)),
        answers: all.counts.answers,
        levels,
    };
    let mut registry = Registry::with_prefix("cardea");
    registry.register_collector(Box::new(snapshot));
    let mut text = String::with_capacity(16 * 1_024);
    encode(&mut text, &registry).expect("a String takes all that is written to it");
    // OpenMetrics' own end mark.
    text.truncate(text.trim_end_matches("# EOF\n").len());
    text
}

#[derive(Debug)]
struct Snapshot {
    stages: [StageBuckets; STAGES.len()],
    answers: [u64; ALL.len()],
    levels: Levels,
}

#[derive(Debug)]
struct StageBuckets {
    stage: &'static str,
    sum_s: f64,
    count: u64,
    buckets: Vec<(f64, u64)>,
}

impl StageBuckets {
    fn of(all: &Interval, stage: Stage) -> Self {
        let histogram = all.histograms.of(stage);
        let mut below = 0;
        let mut buckets: Vec<_> = BUCKETS_US
            .iter()
            .map(|end_us| {
                let up_to = histogram.count_between(0, *end_us);
                let own = up_to - below;
                below = up_to;
                (*end_us as f64 / 1e6, own)
            })
            .collect();
        buckets.push((f64::INFINITY, histogram.len() - below));
        let count = histogram.len();
        let sum_s = histogram.mean() * count as f64 / 1e6;
        Self {
            stage: stage.name(),
            sum_s,
            count,
            buckets,
        }
    }
}

impl Collector for Snapshot {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let mut family = encoder.encode_descriptor(
            "access_stage_seconds",
            "Latency of access requests by stage",
            None,
            MetricType::Histogram,
        )?;
        for stage in &self.stages {
            let labels = [("stage", stage.stage)];
            family
                .encode_family(&labels)?
                .encode_histogram::<NoLabelSet>(stage.sum_s, stage.count, &stage.buckets, None)?;
        }
        let mut family = encoder.encode_descriptor(
            "access_answers_total",
            "Answers to access requests by reason",
            None,
            MetricType::Counter,
        )?;
        for (reason, count) in ALL.iter().zip(self.answers) {
            let name = if *reason == Reason::None {
                "granted"
            } else {
                reason.text()
            };
            let labels = [("reason", name)];
            ConstGauge::new(count).encode(family.encode_family(&labels)?)?;
        }
        let mut family = encoder.encode_descriptor(
            "requests_refused_total",
            "Requests refused by framing, by why",
            None,
            MetricType::Counter,
        )?;
        for (why, count) in &self.levels.refused {
            ConstGauge::new(*count).encode(family.encode_family(&[("why", *why)])?)?;
        }
        for family in FAMILIES {
            let (name, help) = (family.name, family.help);
            let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            for (values, count) in events::counted(family) {
                let labels: Vec<_> = family.labels.iter().copied().zip(values).collect();
                ConstGauge::new(count).encode(metric.encode_family(&labels)?)?;
            }
        }
        for (name, count) in &self.levels.counters {
            let name = format!("{name}_total");
            let metric = encoder.encode_descriptor(&name, "Events", None, MetricType::Counter)?;
            ConstGauge::new(*count).encode(metric)?;
        }
        for (name, help, value) in &self.levels.gauges {
            let metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            ConstGauge::new(*value).encode(metric)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use cardea_wire::RequestId;

    use super::*;
    use crate::histograms::{Timings, Worst};

    #[test]
    fn what_was_recorded_is_in_the_text() {
        let mut all = Interval::default();
        for total_us in [90, 150, 3_000_000] {
            let mut timings = Timings::default();
            timings.set(Stage::Total, total_us);
            all.histograms.record(&Worst {
                request_id: RequestId([0; 16]),
                device: 1,
                timings,
            });
        }
        all.counts.answer(Reason::NoMatch);
        all.counts.add("connections_refused", 4);
        let mut levels = Levels::default();
        levels.gauge("people", "People in force", 7.0);
        levels.refused("bare_lf", 2);
        let text = render(&all, levels, 0);
        for line in [
            r#"cardea_access_stage_seconds_bucket{le="0.0001",stage="total"} 1"#,
            r#"cardea_access_stage_seconds_bucket{le="0.0002",stage="total"} 2"#,
            r#"cardea_access_stage_seconds_bucket{le="+Inf",stage="total"} 3"#,
            r#"cardea_access_stage_seconds_count{stage="total"} 3"#,
            r#"cardea_access_answers_total{reason="no match"} 1"#,
            "cardea_connections_refused_total 4",
            r#"cardea_requests_refused_total{why="bare_lf"} 2"#,
            "cardea_people 7.0",
            "# TYPE cardea_connections_refused_total counter",
            "# TYPE cardea_dropped_total counter",
        ] {
            assert!(
                text.lines().any(|found| found == line),
                "no line {line}\n{text}"
            );
        }
    }
}
