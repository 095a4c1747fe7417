//! `cardea check-host`.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use clap::Args;

use crate::config::Config;
use crate::host::{self, Check, Root, Verdict, capacity, live, measure};

/// `cardea check-host`.
#[derive(Debug, Args)]
pub struct CheckHostArgs {
    /// As JSON, for programs.
    #[arg(long)]
    pub json: bool,
    /// Ask nobody beyond this machine.
    #[arg(long)]
    pub offline: bool,
    /// Do not measure what the machine serves.
    #[arg(long)]
    pub no_measure: bool,
    /// How many people the site will have, for the measured line.
    #[arg(long, default_value_t = 100_000)]
    pub people: u64,
    /// Who has the time.
    #[arg(long, default_value = live::TIME_HOST)]
    pub time_host: String,
    /// The host of XS4 Face Connect, to be reached at 443 and 8883.
    #[arg(long)]
    pub connect: Option<String>,
    /// Another machine's files, below this folder.
    #[arg(long, hide = true)]
    pub root: Option<PathBuf>,
}

/// Looks, and prints; gives the worst verdict.
///
/// # Errors
/// If nobody listens to the output.
pub fn run(data: &Path, args: &CheckHostArgs) -> io::Result<Verdict> {
    let address = Config::read(data).ok().map(|config| config.address);
    let data = &std::path::absolute(data)?;
    let root = Root::new(args.root.as_deref().unwrap_or(Path::new("/")));
    let mut checks = host::checks(&root, data, address);
    if !args.offline {
        checks.extend(live::checks(&args.time_host, args.connect.as_deref()));
    }
    let mut served = None;
    if !args.no_measure {
        match measure(&existing(data)) {
            Ok(times) => served = Some((times, capacity(&times, args.people))),
            Err(error) => checks.push(Check::fail("self-test", error.to_string(), "see above")),
        }
    }
    let worst = host::worst(&checks);
    let mut out = io::stdout().lock();
    if args.json {
        let (times, capacity) = served.unzip();
        let report = serde_json::json!({
            "verdict": worst,
            "checks": checks,
            "measured": times,
            "serves": capacity,
        });
        writeln!(out, "{report:#}")?;
        return Ok(worst);
    }
    for check in &checks {
        let verdict = match check.verdict {
            Verdict::Pass => "pass",
            Verdict::Warn => "WARN",
            Verdict::Fail => "FAIL",
        };
        writeln!(out, "{verdict}  {:<17} {}", check.name, check.found)?;
        if !check.advice.is_empty() {
            writeln!(out, "{:<23} -> {}", "", check.advice)?;
        }
    }
    if let Some((_, capacity)) = served {
        writeln!(
            out,
            "\nthis host serves {} devices in 10 s at 2 s with {} people (an estimate; loadtest \
             measures)",
            capacity.devices, capacity.people
        )?;
    }
    Ok(worst)
}

/// The data directory, or what there is of the way to it.
fn existing(data: &Path) -> PathBuf {
    let there = data.ancestors().find(|folder| folder.is_dir());
    there.unwrap_or(Path::new("/")).to_owned()
}
