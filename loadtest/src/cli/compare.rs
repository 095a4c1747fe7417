//! `loadtest compare`.

use std::fs;
use std::path::PathBuf;

use cardea_loadtest::compare::{FIGURES, compare};
use cardea_loadtest::limits::REPORT_BYTES_MAX;
use cardea_loadtest::verdict::Verdict;
use clap::Args;
use serde_json::Value;

use super::{CliError, named, say};

/// Why a bound says nothing then.
const ONE_PAIR: &str = "one pair knows no noise: take more, in turn";

/// Hold reports of A against reports of B, taken in turn.
#[derive(Debug, Args)]
pub(crate) struct Compare {
    /// Reports of A, in the order in which they were taken.
    #[arg(long, num_args = 1.., required = true)]
    a: Vec<PathBuf>,
    /// Reports of B, as many.
    #[arg(long, num_args = 1.., required = true)]
    b: Vec<PathBuf>,
    /// Exit 1 if the median of the ratios B / A of a figure is above a bound, e.g. `p99=1.5`; 3 for
    /// one pair, which knows no noise.
    #[arg(long, value_parser = parse_bound)]
    at_most: Vec<(String, f64)>,
}

impl Compare {
    pub(crate) fn carry_out(self) -> Result<u8, CliError> {
        let read = |paths: &[PathBuf]| paths.iter().map(read_report).collect::<Result<Vec<_>, _>>();
        let found = compare(&read(&self.a)?, &read(&self.b)?).map_err(CliError::usage)?;
        say(format_args!(
            "{:<20}{:>12}{:>12}{:>10}{:>18}\n",
            format!("{} pairs", self.a.len()),
            "A ms",
            "B ms",
            "B / A",
            "least..greatest"
        ));
        let mut verdict = Verdict::Holds;
        for figure in &found {
            say(format_args!(
                "{:<20}{:>12.3}{:>12.3}{:>10.3}{:>18}  {}\n",
                figure.name,
                figure.a / 1e3,
                figure.b / 1e3,
                figure.ratio,
                format!("{:.3}..{:.3}", figure.range.0, figure.range.1),
                figure.finding
            ));
        }
        for (name, bound) in &self.at_most {
            let figure = found.iter().find(|figure| figure.name == name);
            let figure = figure
                .ok_or_else(|| CliError::usage(format!("the reports have no figure \"{name}\"")))?;
            let word = if self.a.len() == 1 {
                verdict = Verdict::Void(ONE_PAIR.to_owned());
                "void "
            } else if figure.ratio <= *bound {
                "holds"
            } else {
                verdict = Verdict::Fails;
                "FAILS"
            };
            say(format_args!(
                "{word}  {name}: B / A <= {bound}  (found {:.3})\n",
                figure.ratio
            ));
        }
        if let Verdict::Void(why) = &verdict {
            say(format_args!("VOID: {why}\n"));
        }
        Ok(verdict.exit_code())
    }
}

fn read_report(path: &PathBuf) -> Result<Value, CliError> {
    let length = fs::metadata(path)
        .map_err(|error| named(path, error))?
        .len();
    if length > REPORT_BYTES_MAX {
        return Err(named(path, format!("longer than {REPORT_BYTES_MAX} bytes")));
    }
    let text = fs::read_to_string(path).map_err(|error| named(path, error))?;
    serde_json::from_str(&text).map_err(|error| named(path, error))
}

fn parse_bound(text: &str) -> Result<(String, f64), String> {
    let (name, bound) = text.split_once('=').ok_or("a bound is FIGURE=RATIO")?;
    if !FIGURES.iter().any(|(figure, _)| *figure == name) {
        let names: Vec<&str> = FIGURES.iter().map(|(figure, _)| *figure).collect();
        return Err(format!(
            "no figure \"{name}\"; there are {}",
            names.join(", ")
        ));
    }
    let bound: f64 = bound.parse().map_err(|_| "the ratio is no number")?;
    Ok((name.to_owned(), bound))
}
