//! A synthetic site from a seed: people to import, and probes with the exhaustive search's answers.

mod limits;
mod people;
mod probes;
mod site;
mod threads;

use std::error::Error;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};

use limits::DISTINCT_PROBES;
use site::Site;

/// Synthetic people and probes; the same seed gives the same files.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write people.npy and people.csv, ready to import.
    People {
        #[command(flatten)]
        site: SiteArguments,
        /// Folder for both files.
        #[arg(long)]
        out: PathBuf,
    },
    /// Write probes with known answers for the load test.
    Probes {
        #[command(flatten)]
        site: SiteArguments,
        /// Decision threshold of the answers.
        #[arg(long)]
        threshold: f32,
        /// Requests that the load test will send; at most 2,000 distinct probes are made for them.
        #[arg(long)]
        requests: usize,
        /// Distinct probes, where another number is wanted.
        #[arg(long)]
        distinct: Option<usize>,
        /// The face model that the probes claim to be of, as in `cardea init`.
        #[arg(long, default_value = "00000000000000000000000000000001", value_parser = parse_model)]
        model: [u8; 16],
        /// The file.
        #[arg(long)]
        out: PathBuf,
    },
}

#[derive(Debug, Args)]
struct SiteArguments {
    /// People enrolled.
    #[arg(long)]
    people: u64,
    /// Seed of the people.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// References of each person, 1 to 16.
    #[arg(long, default_value_t = 1)]
    references_per_person: u64,
    /// Equal variance in every direction: far easier than any real face model.
    #[arg(long)]
    isotropic: bool,
}

fn main() -> ExitCode {
    match carry_out(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cardea-synth: {error}");
            ExitCode::FAILURE
        }
    }
}

fn carry_out(command: Command) -> Result<(), Box<dyn Error>> {
    match command {
        Command::People { site, out } => {
            let site = site.site()?;
            let bar = bar("writing people", site.rows());
            people::write(&site, &out, &mut |done| bar.set_position(done))?;
            bar.finish_and_clear();
            let (people, rows) = (site.people, site.rows());
            say(format_args!(
                "{people} people, {rows} references in {}",
                out.display()
            ));
        }
        Command::Probes {
            site,
            threshold,
            requests,
            distinct,
            model,
            out,
        } => {
            let site = site.site()?;
            let count = distinct.unwrap_or(requests.min(DISTINCT_PROBES));
            let bar = bar("searching exhaustively", site.rows());
            probes::write(&site, (threshold, model), count, &out, &|rows| {
                bar.inc(rows)
            })?;
            bar.finish_and_clear();
            say(format_args!(
                "{count} probes with known answers in {}",
                out.display()
            ));
        }
    }
    Ok(())
}

impl SiteArguments {
    fn site(&self) -> Result<Site, String> {
        Site::new(
            self.seed,
            self.people,
            self.references_per_person,
            self.isotropic,
        )
    }
}

fn parse_model(text: &str) -> Result<[u8; 16], String> {
    let number = u128::from_str_radix(text, 16)
        .ok()
        .filter(|_| text.len() == 32);
    let number = number.ok_or("a model is 32 hexadecimal digits")?;
    Ok(number.to_be_bytes())
}

/// Prints a line. A reader that has gone away changes nothing: the files are written.
fn say(text: std::fmt::Arguments<'_>) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// A bar on a terminal; nothing where there is none.
fn bar(what: &'static str, rows: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg} {bar:40} {pos}/{len} rows {eta}");
    let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(rows).with_style(style).with_message(what)
}
