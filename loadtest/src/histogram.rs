//! Times as an HdrHistogram (3 digits, 1 us to 60 s) with the exact maximum beside it, and the two
//! files that public tools read: percentile distributions (`.hgrm`) and interval logs (V2 `.hlog`).

use std::io::{self, Write};
use std::time::{Duration, SystemTime};

use hdrhistogram::Histogram;
use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};

use crate::limits::HISTOGRAM_MAX_US;
use crate::plan::Message;
use crate::sample::Sample;

const DIGITS: u8 = 3;
const TICKS_PER_HALF: u32 = 5;

/// Times in microseconds.
#[derive(Debug, Clone)]
pub struct Times {
    histogram: Histogram<u64>,
    max_us: u64,
}

impl Default for Times {
    fn default() -> Self {
        Self {
            histogram: empty(),
            max_us: 0,
        }
    }
}

impl Times {
    /// Counts one time. Beyond 60 s the histogram counts 60 s; the maximum stays exact.
    pub fn record(&mut self, us: u64) {
        self.histogram.saturating_record(us.max(1));
        self.max_us = self.max_us.max(us);
    }

    /// How many times were counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.histogram.len()
    }

    /// The time, in us, that `percent` of all stay within; the exact maximum for 100, 0 for none.
    #[must_use]
    pub fn percentile_us(&self, percent: f64) -> u64 {
        if percent >= 100.0 || self.histogram.is_empty() {
            return self.max_us;
        }
        let value = self.histogram.value_at_quantile(percent / 100.0);
        value.min(self.max_us)
    }

    /// The mean in us.
    #[must_use]
    pub fn mean_us(&self) -> f64 {
        self.histogram.mean()
    }

    /// Writes the percentile distribution, in milliseconds, as HdrHistogram's own tools do.
    ///
    /// # Errors
    /// What `out` answers.
    pub fn write_hgrm(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(
            out,
            "{:>12} {:>14} {:>10} {:>14}\n",
            "Value", "Percentile", "TotalCount", "1/(1-Percentile)"
        )?;
        let mut counted = 0;
        for step in self.histogram.iter_quantiles(TICKS_PER_HALF) {
            counted += step.count_since_last_iteration();
            let quantile = step.quantile_iterated_to();
            let value = step.value_iterated_to().min(self.max_us.max(1)) as f64 / 1e3;
            if quantile < 1.0 {
                let inverse = 1.0 / (1.0 - quantile);
                writeln!(
                    out,
                    "{value:12.3} {quantile:2.12} {counted:10} {inverse:14.2}"
                )?;
            } else {
                writeln!(out, "{value:12.3} {quantile:2.12} {counted:10}")?;
            }
        }
        let (mean, deviation) = (self.mean_us() / 1e3, self.histogram.stdev() / 1e3);
        writeln!(
            out,
            "#[Mean    = {mean:12.3}, StdDeviation   = {deviation:12.3}]"
        )?;
        let max = self.max_us as f64 / 1e3;
        writeln!(
            out,
            "#[Max     = {max:12.3}, Total count    = {:12}]",
            self.count()
        )?;
        writeln!(out, "#[Buckets = {:12}, SubBuckets     = {:12}]", 26, 2_048)
    }
}

/// Writes the access requests' response times as an interval log, one line per second of ends and
/// lane, lanes as tags. Values are microseconds; the maximum of each line is in milliseconds.
///
/// # Errors
/// What `out` answers.
pub fn write_hlog(samples: &[Sample], began: SystemTime, out: &mut impl Write) -> io::Result<()> {
    let requests = samples.iter();
    let mut order: Vec<&Sample> = requests
        .filter(|sample| sample.message == Message::Access)
        .collect();
    order.sort_by_key(|sample| (sample.ended_us / 1_000_000, sample.lane));
    let mut serializer = V2DeflateSerializer::new();
    let mut log = IntervalLogWriterBuilder::new()
        .add_comment("[Histogram log format version 1.3]")
        .add_comment("[Response times of a load test in microseconds]")
        .with_start_time(began)
        .with_base_time(began)
        .with_max_value_divisor(1_000.0)
        .begin_log_with(out, &mut serializer)?;
    let same = |a: &&Sample, b: &&Sample| {
        (a.ended_us / 1_000_000, a.lane) == (b.ended_us / 1_000_000, b.lane)
    };
    for part in order.chunk_by(same) {
        let mut histogram = empty();
        for sample in part {
            histogram.saturating_record(sample.response_us().max(1));
        }
        let start = Duration::from_secs(part[0].ended_us / 1_000_000);
        let tag = Tag::new(part[0].lane.name());
        log.write_histogram(&histogram, start, Duration::from_secs(1), tag)
            .map_err(|error| io::Error::other(error.to_string()))?;
    }
    Ok(())
}

fn empty() -> Histogram<u64> {
    Histogram::new_with_bounds(1, HISTOGRAM_MAX_US, DIGITS)
        .expect("1 <= 2 * low <= high and 3 digits are within the crate's bounds")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_within_three_digits_and_the_maximum_is_exact() {
        let mut times = Times::default();
        for us in 1..=100_000 {
            times.record(us);
        }
        for percent in [1.0, 50.0, 90.0, 99.0, 99.9] {
            let exact = percent * 1_000.0;
            let found = times.percentile_us(percent) as f64;
            assert!(
                (found - exact).abs() <= exact / 1_000.0 + 1.0,
                "{percent}: {found}"
            );
        }
        assert_eq!(times.percentile_us(100.0), 100_000);
        assert_eq!(Times::default().percentile_us(50.0), 0);
    }

    #[test]
    fn a_time_beyond_the_histogram_still_is_the_exact_maximum() {
        let mut times = Times::default();
        times.record(HISTOGRAM_MAX_US + 12_345);
        assert_eq!(times.percentile_us(100.0), HISTOGRAM_MAX_US + 12_345);
        assert_eq!(times.count(), 1);
    }

    #[test]
    fn a_percentile_distribution_ends_at_the_exact_maximum() {
        let mut times = Times::default();
        for us in [1_000, 2_000, 123_457] {
            times.record(us);
        }
        let mut out = Vec::new();
        times.write_hgrm(&mut out).expect("memory");
        let text = String::from_utf8(out).expect("ASCII");
        let last = text.lines().rfind(|line| !line.starts_with('#'));
        let words: Vec<&str> = last.unwrap_or_default().split_whitespace().collect();
        assert_eq!(words, ["123.457", "1.000000000000", "3"]);
        assert!(text.contains("Total count    =            3]"), "{text}");
    }
}
