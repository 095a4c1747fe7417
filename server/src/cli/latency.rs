//! `cardea latency`: what the latency logs say.

use std::io::{self, Write as _};
use std::path::Path;

use super::LatencyArgs;
use crate::histograms::Worst;
use crate::histograms::log::{FOLDER, read};
use crate::histograms::stage::STAGES;

const QUANTILES: [f64; 5] = [0.5, 0.9, 0.99, 0.999, 1.0];

/// Prints percentiles per stage and the worst requests.
///
/// # Errors
/// If a log cannot be read.
pub fn print(data: &Path, args: &LatencyArgs) -> io::Result<()> {
    let own = [data.join(FOLDER)];
    let paths = if args.paths.is_empty() {
        &own[..]
    } else {
        &args.paths
    };
    let read = read(paths, args.from, args.to)?;
    let mut out = io::stdout().lock();
    writeln!(out, "{} intervals, times in ms", read.intervals)?;
    if read.damaged_lines > 0 {
        writeln!(out, "{} damaged lines passed over", read.damaged_lines)?;
    }
    writeln!(
        out,
        "{:<10} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}",
        "stage", "count", "p50", "p90", "p99", "p99.9", "max"
    )?;
    for stage in STAGES {
        let histogram = read.merged.of(stage);
        write!(out, "{:<10} {:>9}", stage.name(), histogram.len())?;
        for quantile in QUANTILES {
            write!(
                out,
                " {:>9.3}",
                histogram.value_at_quantile(quantile) as f64 / 1e3
            )?;
        }
        writeln!(out)?;
    }
    if !read.merged.worst().is_empty() {
        writeln!(out, "\nworst requests")?;
    }
    read.merged
        .worst()
        .iter()
        .try_for_each(|request| print_worst(&mut out, request))
}

fn print_worst(out: &mut impl io::Write, request: &Worst) -> io::Result<()> {
    write!(out, "{} device {}:", request.request_id, request.device)?;
    for stage in STAGES {
        if let Some(us) = request.timings.of(stage) {
            write!(out, " {} {:.3}", stage.name(), f64::from(us) / 1e3)?;
        }
    }
    writeln!(out)
}
