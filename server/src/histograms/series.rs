//! The latency log as a series: the same intervals, merged into a number of equal spans of time.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;

use super::log::{HEADER, files, interval_of, interval_text, worst_of};
use super::stage::{STAGES, Stage, StageHistograms};
use crate::limits::LATENCY_LINES_MAX;

/// A span of time, in Unix seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Span {
    /// Its first moment.
    pub from: f64,
    /// The first moment after it.
    pub to: f64,
}

/// What one stage was like in one part of the span, microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quantiles {
    /// Requests.
    pub count: u64,
    /// The median, 90 %, 99 % and 99.9 %, and the longest.
    pub us: [u64; 5],
}

/// The quantiles that [`Quantiles::us`] holds.
pub const QUANTILES: [f64; 5] = [0.5, 0.9, 0.99, 0.999, 1.0];

impl Quantiles {
    /// Those of a histogram; none of an empty one.
    #[must_use]
    pub fn of(histogram: &Histogram<u64>) -> Option<Self> {
        (!histogram.is_empty()).then(|| Self {
            count: histogram.len(),
            us: QUANTILES.map(|quantile| histogram.value_at_quantile(quantile)),
        })
    }
}

/// A part of the span in which there were requests.
#[derive(Debug, Clone)]
pub struct Point {
    /// When it begins, Unix time in seconds.
    pub at: f64,
    /// Its stages, in their order.
    pub stages: [Option<Quantiles>; STAGES.len()],
}

/// What a log says of a span.
#[derive(Default)]
pub struct Series {
    /// All of it merged, and the worst requests.
    pub merged: StageHistograms,
    /// Its parts, oldest first.
    pub points: Vec<Point>,
    /// The parts as a log of the same format.
    pub log: Vec<u8>,
    /// Older intervals were left out: there are too many for one answer.
    pub left_out: bool,
}

/// Reads the log in `folder` for a span, in this many parts.
///
/// # Errors
/// If a file cannot be read; lines that are no part of a log are passed over.
pub fn read(folder: &Path, span: Span, parts: usize) -> io::Result<Series> {
    let mut texts = Vec::new();
    for path in of_span(folder, span)? {
        texts.push(fs::read_to_string(path)?);
    }
    let mut lines: Vec<(f64, &str)> = texts
        .iter()
        .flat_map(|text| text.lines())
        .filter_map(|line| Some((start_of(line)?, line)))
        .filter(|(start, _)| (span.from..span.to).contains(start))
        .collect();
    lines.sort_by(|a, b| a.0.total_cmp(&b.0));
    let excess = lines.len().saturating_sub(LATENCY_LINES_MAX);
    let mut series = Series {
        log: HEADER.as_bytes().to_vec(),
        left_out: excess > 0,
        ..Series::default()
    };
    let length = (span.to - span.from) / parts.max(1) as f64;
    let part_of = |start: f64| ((start - span.from) / length) as u64;
    let lines = &lines[excess..];
    for part in lines.chunk_by(|a, b| part_of(a.0) == part_of(b.0)) {
        let at = span.from + part_of(part[0].0) as f64 * length;
        series.add(part, at, length)?;
    }
    Ok(series)
}

impl Series {
    fn add(&mut self, lines: &[(f64, &str)], at: f64, length: f64) -> io::Result<()> {
        let mut deserializer = Deserializer::new();
        let mut part = StageHistograms::new();
        for (_, line) in lines {
            if let Some(request) = worst_of(line) {
                part.keep_worst(request);
            } else if let Some((stage, histogram)) = interval_of(line, &mut deserializer) {
                // One of other bounds is no part of our log.
                let _ = part.add_stage(stage, &histogram);
            }
        }
        self.points.push(Point {
            at,
            stages: STAGES.map(|stage| Quantiles::of(part.of(stage))),
        });
        let (start, length) = (seconds(at), seconds(length));
        self.log.extend(interval_text(&part, start, length)?);
        self.merged.add(&part);
        Ok(())
    }
}

fn seconds(value: f64) -> Duration {
    Duration::try_from_secs_f64(value).unwrap_or_default()
}

/// The files that may have intervals of a span: a file ends where the next begins.
fn of_span(folder: &Path, span: Span) -> io::Result<Vec<std::path::PathBuf>> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let files = files(folder)?;
    let begin = |path: &Path| {
        let name = path.file_stem()?.to_str()?.strip_prefix("latency-")?;
        name.parse::<f64>().ok().map(|ms| ms / 1e3)
    };
    let begins: Vec<_> = files
        .iter()
        .map(|path| begin(path).unwrap_or(0.0))
        .collect();
    let wanted = files.into_iter().enumerate().filter(|(number, _)| {
        let end = begins.get(number + 1).copied().unwrap_or(f64::INFINITY);
        begins[*number] < span.to && end >= span.from
    });
    Ok(wanted.map(|(_, path)| path).collect())
}

/// When the interval or request of a line began; none for other lines.
fn start_of(line: &str) -> Option<f64> {
    match line.strip_prefix("#worst ") {
        Some(worst) => worst.split(' ').next()?.parse().ok(),
        None if line.starts_with("Tag=") => line.split(',').nth(1)?.parse().ok(),
        None => None,
    }
}

/// A histogram as the table of percentiles that the public tools plot (`.hgrm`), milliseconds.
#[must_use]
pub fn hgrm(histogram: &Histogram<u64>) -> String {
    use std::fmt::Write as _;
    let mut text = format!(
        "{:>12} {:>14} {:>10} {:>14}\n\n",
        "Value", "Percentile", "TotalCount", "1/(1-Percentile)"
    );
    for value in histogram.iter_quantiles(5) {
        let (ms, quantile) = (value.value_iterated_to() as f64 / 1e3, value.quantile());
        let count = histogram.count_between(0, value.value_iterated_to());
        let inverse = match quantile < 1.0 {
            true => format!("{:>14.2}", 1.0 / (1.0 - quantile)),
            false => format!("{:>14}", "inf"),
        };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{ms:>12.3} {quantile:>14.12} {count:>10} {inverse}");
    }
    let (mean, deviation) = (histogram.mean() / 1e3, histogram.stdev() / 1e3);
    let (max, count) = (histogram.max() as f64 / 1e3, histogram.len());
    let _ = writeln!(
        text,
        "#[Mean    = {mean:>12.3}, StdDeviation   = {deviation:>12.3}]"
    );
    let _ = writeln!(
        text,
        "#[Max     = {max:>12.3}, Total count    = {count:>12}]"
    );
    let _ = writeln!(
        text,
        "#[Buckets = {:>12}, SubBuckets     = {:>12}]",
        16, 2_048
    );
    text
}

/// The parts as comma-separated lines: when, stage, count and percentiles in microseconds.
#[must_use]
pub fn csv(series: &Series) -> String {
    use std::fmt::Write as _;
    let mut text = "start_unix_s,stage,count,p50_us,p90_us,p99_us,p999_us,max_us\n".to_owned();
    for point in &series.points {
        for (stage, found) in STAGES.into_iter().zip(point.stages) {
            let Some(Quantiles { count, us }) = found else {
                continue;
            };
            let [p50, p90, p99, p999, max] = us;
            let (at, name) = (point.at, stage.name());
            // Writing to a String cannot fail.
            let _ = writeln!(
                text,
                "{at:.0},{name},{count},{p50},{p90},{p99},{p999},{max}"
            );
        }
    }
    text
}

/// The stage of a name.
#[must_use]
pub fn stage_named(name: &str) -> Option<Stage> {
    STAGES.into_iter().find(|stage| stage.name() == name)
}

#[cfg(test)]
mod tests {
    use super::super::log::{FOLDER, LatencyLog};
    use super::super::stage::{Timings, Worst};
    use super::*;
    use cardea_wire::RequestId;

    fn log_of(seconds: std::ops::Range<u32>) -> tempfile::TempDir {
        let data = tempfile::tempdir().expect("a temporary folder");
        let mut log = LatencyLog::open(data.path(), 64 << 10).expect("opened");
        for second in seconds {
            let mut timings = Timings::default();
            timings.set(Stage::Total, 1_000 + second);
            let mut interval = StageHistograms::new();
            interval.record(&Worst {
                request_id: RequestId([second as u8; 16]),
                device: 1,
                timings,
            });
            let start = Duration::from_secs(u64::from(second));
            log.append(&interval, start, Duration::from_secs(1))
                .expect("appended");
        }
        data
    }

    /// Reading a part twice, or dropping the first or the last of one, fails this.
    #[test]
    fn every_interval_of_the_span_is_in_one_part() {
        let data = log_of(100..400);
        let span = Span {
            from: 150.0,
            to: 350.0,
        };
        let series = read(&data.path().join(FOLDER), span, 20).expect("read");
        assert_eq!(series.points.len(), 20);
        assert_eq!(series.merged.of(Stage::Total).len(), 200);
        for point in &series.points {
            let total = point.stages[Stage::Total as usize].expect("requests");
            assert_eq!(total.count, 10);
            assert_eq!(point.stages[Stage::Search as usize], None);
        }
        assert_eq!(
            series.merged.worst()[0].timings.of(Stage::Total),
            Some(1_349)
        );
        assert_eq!(csv(&series).lines().count(), 21);
        assert!(!series.left_out);
        // What is downloaded is a log that reads the same.
        let again = tempfile::tempdir().expect("a temporary folder");
        let file = again.path().join("latency-0000000000000.hlog");
        fs::write(file, &series.log).expect("written");
        let same = read(again.path(), span, 20).expect("read");
        assert_eq!(csv(&same), csv(&series));
    }

    #[test]
    fn no_log_and_an_empty_span_are_empty() {
        let span = Span {
            from: 0.0,
            to: 10.0,
        };
        let none = read(Path::new("/no/such/folder"), span, 10).expect("nothing");
        assert!(none.points.is_empty() && none.merged.is_empty());
        let data = log_of(100..110);
        let empty = read(&data.path().join(FOLDER), span, 10).expect("read");
        assert!(empty.points.is_empty());
    }

    #[test]
    fn the_table_of_percentiles_ends_with_the_longest() {
        let mut histogram = Histogram::<u64>::new_with_max(60_000_000, 3).expect("bounds");
        (1..=1_000).for_each(|us| histogram.saturating_record(us * 10));
        let text = hgrm(&histogram);
        let last = text
            .lines()
            .rfind(|line| line.ends_with("inf"))
            .expect("a last line");
        assert!(last.trim_start().starts_with("10.00"), "{last}");
        assert!(text.contains("Total count    =         1000]"), "{text}");
    }
}
