//! What every command that runs load shares: conditions, a progress line, the report and its files.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use cardea_loadtest::histogram::write_hlog;
use cardea_loadtest::probes::{Known, Origin, ProbeKind, Probes};
use cardea_loadtest::run::{Progress, Run};
use cardea_loadtest::summary::Summary;
use cardea_loadtest::verdict::{self, Condition, Quantity, Verdict};
use cardea_loadtest::{plot, report};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;

use super::{CliError, named, say};

/// Where reports go beside the terminal.
#[derive(Debug, Args, Default)]
pub(super) struct Output {
    /// Write the report as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Write the percentile distribution of the response time.
    #[arg(long)]
    hgrm: Option<PathBuf>,
    /// Write an interval log of the response time (HdrHistogram V2).
    #[arg(long)]
    hlog: Option<PathBuf>,
    /// Write the percentile curves as a picture (SVG).
    #[arg(long)]
    svg: Option<PathBuf>,
}

impl Output {
    /// Prints the report, writes the files, and gives the exit status. The fields of `context` say
    /// in the JSON what was run.
    pub(super) fn write(
        &self,
        run: &Run,
        summary: &Summary,
        conditions: &[Condition],
        context: &Value,
    ) -> Result<u8, CliError> {
        let checked = verdict::check(conditions, &|name| summary.quantity(name));
        let lateness_us = summary.lateness.percentile_us(100.0);
        let none = Some(Quantity::Count(0));
        let decided = ["granted", "denied"]
            .iter()
            .any(|name| summary.quantity(name) != none);
        let verdict = if !conditions.is_empty() && !decided {
            // "No error, nothing wrong" is true of a server that refuses everybody.
            Verdict::Void("no request came to a decision".to_owned())
        } else {
            verdict::judge(&checked, lateness_us, summary.burst_spread_us)
        };
        say(report::text(summary, &checked, &verdict));
        if let Some(path) = &self.json {
            let mut value = report::json(summary, &checked, &verdict);
            if let (Value::Object(fields), Value::Object(context)) = (&mut value, context) {
                fields.extend(context.clone());
            }
            write_file(path, |out| writeln!(out, "{value:#}"))?;
        }
        if let Some(path) = &self.hgrm {
            write_file(path, |out| summary.all.response.write_hgrm(out))?;
        }
        if let Some(path) = &self.hlog {
            write_file(path, |out| write_hlog(&run.samples, run.began, out))?;
        }
        if let Some(path) = &self.svg {
            let picture = plot::of_summary(summary);
            write_file(path, |out| out.write_all(picture.as_bytes()))?;
        }
        Ok(verdict.exit_code())
    }
}

/// Reads conditions; names and kinds of figures are those of any run, so an empty one will do.
pub(super) fn parse_conditions(text: &str) -> Result<Vec<Condition>, CliError> {
    let run = Run {
        began: SystemTime::UNIX_EPOCH,
        cpu_us: 0,
        samples: Vec::new(),
        failures: Vec::new(),
    };
    let origin = Origin {
        seed: 0,
        people: 0,
        threshold: 0.0,
        model: [0; 16],
    };
    let nobody = Known {
        kind: ProbeKind::NonMated,
        answer: None,
        truth: None,
        granted: None,
    };
    let probes = Probes::new(origin, vec![([0; 2_048], nobody)]).map_err(CliError::usage)?;
    let nothing = Summary::new(&run, &probes);
    verdict::parse(text, &|name| nothing.quantity(name)).map_err(CliError::usage)
}

/// A line at the bottom of a terminal; nothing where there is none.
pub(super) struct ProgressLine(ProgressBar);

impl ProgressLine {
    pub(super) fn new() -> Self {
        let style = ProgressStyle::with_template("{msg} {bar:40} {pos}/{len} {elapsed}");
        let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
        Self(ProgressBar::new(1).with_style(style))
    }

    pub(super) fn show(&self, progress: Progress) {
        let (message, done, total) = match progress {
            Progress::Preparing { done, total } => ("connecting devices", done, total),
            Progress::Running { ended, total, .. } => ("requests", ended, total),
        };
        self.0.set_message(message);
        self.0.set_length(total as u64);
        self.0.set_position(done as u64);
    }

    pub(super) fn clear(&self) {
        self.0.finish_and_clear();
    }
}

pub(super) fn write_file(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> std::io::Result<()>,
) -> Result<(), CliError> {
    let failed = |error| named(path, error);
    let mut out = BufWriter::new(File::create(path).map_err(failed)?);
    write(&mut out).map_err(failed)?;
    out.flush().map_err(failed)
}
