//! The latency log on disk, in the HdrHistogram log format (1.3) that the public tools read: one
//! compressed V2 histogram per interval and stage, tagged with the stage's name, in microseconds.
//! The worst requests of an interval stand beside them as comments that other tools pass over:
//!
//! ```text
//! #worst <unix seconds> <request id, hex> <device> <stage>=<us> <stage>=<us> ..
//! Tag=search,<unix seconds>,<duration>,<maximum>,HISTFAAAA..
//! ```

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cardea_wire::RequestId;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::interval_log::{
    IntervalLogIterator, IntervalLogWriterBuilder, LogEntry, Tag,
};
use hdrhistogram::serialization::{Deserializer, V2DeflateSerializer};

use super::stage::{STAGES, Stage, StageHistograms, Timings, Worst};

/// The folder in the data directory.
pub const FOLDER: &str = "latency";
pub(super) const HEADER: &str = "#[Cardea latency by stage, microseconds]\n\
    #[Histogram log format version 1.3]\n\
    \"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",\"Interval_Compressed_Histogram\"\n";
const WORST_MARK: &str = "#worst ";
/// A full set of files is this many; the oldest goes when a new one begins.
const FILES: u64 = 8;

/// Appends intervals; rotates files and keeps their sum under a cap.
pub struct LatencyLog {
    folder: PathBuf,
    file_bytes_max: u64,
    current: Option<(File, u64)>,
}

impl LatencyLog {
    /// A log of at most `bytes_max` in the folder `latency` of `data`.
    ///
    /// # Errors
    /// If the folder cannot be made.
    pub fn open(data: &Path, bytes_max: u64) -> io::Result<Self> {
        let folder = data.join(FOLDER);
        fs::create_dir_all(&folder)?;
        Ok(Self {
            folder,
            file_bytes_max: bytes_max / FILES,
            current: None,
        })
    }

    /// Appends an interval that began at `start` (since the Unix epoch).
    ///
    /// # Errors
    /// Any of the file system's; the next interval begins a new file.
    pub fn append(
        &mut self,
        interval: &StageHistograms,
        start: Duration,
        length: Duration,
    ) -> io::Result<()> {
        let text = interval_text(interval, start, length)?;
        let (mut file, written) = match self.current.take() {
            Some((file, written)) if written + text.len() as u64 <= self.file_bytes_max => {
                (file, written)
            }
            _ => (self.begin_file(start)?, HEADER.len() as u64),
        };
        file.write_all(&text)?;
        self.current = Some((file, written + text.len() as u64));
        Ok(())
    }

    fn begin_file(&self, start: Duration) -> io::Result<File> {
        let mut old = files(&self.folder)?;
        while old.len() as u64 >= FILES {
            fs::remove_file(old.remove(0))?;
        }
        let name = format!("latency-{:013}.hlog", start.as_millis());
        let mut file = OpenOptions::new()
            .append(true)
            .create(true)
            .open(self.folder.join(name))?;
        file.write_all(HEADER.as_bytes())?;
        Ok(file)
    }
}

/// What a log says of the intervals that begin in a span.
#[derive(Default)]
pub struct LatencyRead {
    /// All intervals merged.
    pub merged: StageHistograms,
    /// Intervals read.
    pub intervals: usize,
    /// Lines that are no part of a log.
    pub damaged_lines: usize,
}

/// Reads and merges files, and every file of folders, each once, for intervals that begin in
/// `from..to`, Unix seconds.
///
/// # Errors
/// If a file cannot be read; damaged lines are counted instead.
pub fn read(paths: &[PathBuf], from: f64, to: f64) -> io::Result<LatencyRead> {
    let mut result = LatencyRead::default();
    let mut starts = Vec::new();
    let mut all = BTreeSet::new();
    for path in paths {
        let path = path.canonicalize()?;
        match path.is_dir() {
            true => all.extend(files(&path)?),
            false => drop(all.insert(path)),
        }
    }
    for path in all {
        let text = fs::read_to_string(path)?;
        read_text(&text, from, to, &mut result, &mut starts);
    }
    starts.sort_unstable();
    starts.dedup();
    result.intervals = starts.len();
    Ok(result)
}

fn read_text(text: &str, from: f64, to: f64, into: &mut LatencyRead, starts: &mut Vec<u64>) {
    let mut deserializer = Deserializer::new();
    for line in text.lines() {
        if let Some(worst) = line.strip_prefix(WORST_MARK) {
            match parse_worst(worst) {
                Some((at, request)) if (from..to).contains(&at) => into.merged.keep_worst(request),
                Some(_) => {}
                None => into.damaged_lines += 1,
            }
            continue;
        }
        if line.starts_with('#') || line.starts_with('"') || line.is_empty() {
            continue;
        }
        // What is outside the span need not be decoded.
        let start = line.split(',').nth(1).and_then(|text| text.parse().ok());
        let Some(start) = start else {
            into.damaged_lines += 1;
            continue;
        };
        if !(from..to).contains(&start) {
            continue;
        }
        match interval_of(line, &mut deserializer) {
            Some((stage, histogram)) if into.merged.add_stage(stage, &histogram) => {
                starts.push((start * 1e3) as u64);
            }
            _ => into.damaged_lines += 1,
        }
    }
}

/// The stage and histogram of a line of the log; none if it is no such line.
pub(super) fn interval_of(
    line: &str,
    deserializer: &mut Deserializer,
) -> Option<(Stage, Histogram<u64>)> {
    // A line at a time: the iterator stops for good at the first line it cannot read.
    let terminated = format!("{line}\n");
    let mut entries = IntervalLogIterator::new(terminated.as_bytes());
    let Some(Ok(LogEntry::Interval(entry))) = entries.next() else {
        return None;
    };
    let tag = entry.tag()?;
    let stage = STAGES
        .into_iter()
        .find(|stage| stage.name() == tag.as_str())?;
    let bytes = STANDARD.decode(entry.encoded_histogram()).ok()?;
    let histogram = deserializer.deserialize(&mut bytes.as_slice()).ok()?;
    Some((stage, histogram))
}

/// The request of a line that names one of the worst.
pub(super) fn worst_of(line: &str) -> Option<Worst> {
    let (_, request) = parse_worst(line.strip_prefix(WORST_MARK)?)?;
    Some(request)
}

pub(super) fn interval_text(
    interval: &StageHistograms,
    start: Duration,
    length: Duration,
) -> io::Result<Vec<u8>> {
    let mut text = Vec::with_capacity(4_096);
    for request in interval.worst() {
        write!(
            text,
            "{WORST_MARK}{:.3} {} {}",
            start.as_secs_f64(),
            request.request_id,
            request.device
        )?;
        for stage in STAGES {
            if let Some(us) = request.timings.of(stage) {
                write!(text, " {}={us}", stage.name())?;
            }
        }
        text.push(b'\n');
    }
    let mut serializer = V2DeflateSerializer::new();
    let mut writer = IntervalLogWriterBuilder::new().begin_log_with(&mut text, &mut serializer)?;
    for stage in STAGES {
        let histogram = interval.of(stage);
        if !histogram.is_empty() {
            writer
                .write_histogram(histogram, start, length, Tag::new(stage.name()))
                .map_err(|error| io::Error::other(error.to_string()))?;
        }
    }
    Ok(text)
}

fn parse_worst(text: &str) -> Option<(f64, Worst)> {
    let mut words = text.split(' ');
    let at = words.next()?.parse().ok()?;
    let request_id = RequestId(u128::from_str_radix(words.next()?, 16).ok()?.to_be_bytes());
    let device = words.next()?.parse().ok()?;
    let mut timings = Timings::default();
    for word in words {
        let (name, us) = word.split_once('=')?;
        let stage: Stage = STAGES.into_iter().find(|stage| stage.name() == name)?;
        timings.set(stage, us.parse().ok()?);
    }
    Some((
        at,
        Worst {
            request_id,
            device,
            timings,
        },
    ))
}

/// The log files of a folder, oldest first.
pub(super) fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files: Vec<_> = fs::read_dir(folder)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    files.retain(|path| {
        path.extension()
            .is_some_and(|extension| extension == "hlog")
    });
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interval(total_us: u32) -> StageHistograms {
        let mut timings = Timings::default();
        timings.set(Stage::Search, total_us / 2);
        timings.set(Stage::Total, total_us);
        let mut histograms = StageHistograms::new();
        let request_id = RequestId([7; 16]);
        histograms.record(&Worst {
            request_id,
            device: 3,
            timings,
        });
        histograms
    }

    #[test]
    fn what_was_appended_is_read_back_by_its_span() {
        let data = tempfile::tempdir().expect("a temporary folder");
        let mut log = LatencyLog::open(data.path(), 1 << 20).expect("opened");
        for second in 0..10_u32 {
            let start = Duration::from_secs(1_000 + u64::from(second));
            log.append(&interval(100 + second), start, Duration::from_secs(1))
                .expect("appended");
        }
        let folder = data.path().join(FOLDER);
        let paths = [folder.clone(), files(&folder).expect("listed").remove(0)];
        let some = read(&paths, 1_002.0, 1_005.0).expect("read");
        assert_eq!((some.intervals, some.damaged_lines), (3, 0));
        assert_eq!(some.merged.of(Stage::Total).max(), 104);
        assert_eq!(some.merged.of(Stage::Search).len(), 3);
        assert_eq!(some.merged.worst()[0].timings.of(Stage::Total), Some(104));
    }

    #[test]
    fn the_log_rotates_and_stays_under_its_cap() {
        let data = tempfile::tempdir().expect("a temporary folder");
        let cap = 16 * 1_024;
        let mut log = LatencyLog::open(data.path(), cap).expect("opened");
        for second in 0..200_u32 {
            let start = Duration::from_secs(u64::from(second));
            log.append(&interval(100 + second), start, Duration::from_secs(1))
                .expect("appended");
        }
        let files = files(&data.path().join(FOLDER)).expect("listed");
        let bytes: u64 = files
            .iter()
            .map(|path| path.metadata().expect("there").len())
            .sum();
        assert!(
            files.len() > 1 && bytes <= cap,
            "{} files, {bytes} bytes",
            files.len()
        );
    }

    #[test]
    fn a_line_cut_short_by_power_loss_is_counted_and_passed_over() {
        let data = tempfile::tempdir().expect("a temporary folder");
        let mut log = LatencyLog::open(data.path(), 1 << 20).expect("opened");
        log.append(
            &interval(100),
            Duration::from_secs(1),
            Duration::from_secs(1),
        )
        .expect("one");
        let folder = data.path().join(FOLDER);
        let path = files(&folder).expect("listed").remove(0);
        let mut text = fs::read_to_string(&path).expect("text");
        text.truncate(text.len() - 20);
        fs::write(&path, text).expect("cut");
        let cut = read(&[folder], 0.0, 10.0).expect("read");
        assert_eq!(
            (cut.damaged_lines, cut.merged.of(Stage::Search).len()),
            (1, 1)
        );
    }
}
