//! `loadtest run`.

use std::fs;
use std::path::PathBuf;

use cardea_loadtest::plan::{Lane, Plan, Segment, Shape};
use cardea_loadtest::run::{self, RunError, Setup};
use cardea_loadtest::summary::Summary;
use clap::{Args, ValueEnum};
use serde_json::json;

use super::output::{Output, ProgressLine, parse_conditions};
use super::target::Target;
use super::{CliError, named, parse_seconds};

/// A plan's file says all of this itself.
const NOT_BESIDE_A_PLAN: [&str; 6] = [
    "shape",
    "requests",
    "window",
    "lanes",
    "devices",
    "heartbeat_every",
];

/// How the starts lie in the window.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum ShapeArgument {
    /// Equal gaps.
    Uniform,
    /// Exponential gaps.
    Poisson,
    /// All devices at the same instant, as many bursts as it takes over the window.
    Burst,
    /// Each start anywhere in the window.
    Window,
}

/// Send access requests by a plan.
#[derive(Debug, Args)]
pub(crate) struct Run {
    #[command(flatten)]
    target: Target,
    /// How the starts lie in the window.
    #[arg(long, value_enum, default_value = "window")]
    shape: ShapeArgument,
    /// Number of requests; without it, one per device.
    #[arg(long)]
    requests: Option<usize>,
    /// Length of the window.
    #[arg(long, default_value = "10s", value_parser = parse_seconds)]
    window: f64,
    /// Number of devices; without it, all identities.
    #[arg(long)]
    devices: Option<usize>,
    /// Lanes and their shares of the devices, e.g. `cold` or `kept-alive=60,resumed=20,cold=20`.
    #[arg(long, default_value = "kept-alive")]
    lanes: String,
    /// Beside the requests, a heartbeat of every kept-alive device at this period.
    #[arg(long, default_value = "0s", value_parser = parse_seconds)]
    heartbeat_every: f64,
    /// A mixed plan as JSON, a list of segments; instead of shape, requests, window and lanes.
    #[arg(long, conflicts_with_all = NOT_BESIDE_A_PLAN)]
    plan: Option<PathBuf>,
    /// Conditions, e.g. `p100<=2s,wrong=0,errors=0,refused=0`.
    #[arg(long, default_value = "")]
    assert: String,
    #[command(flatten)]
    output: Output,
}

impl Run {
    pub(crate) fn carry_out(self) -> Result<u8, CliError> {
        let probes = self.target.probes()?;
        let mut segments = self.segments()?;
        let wanted = match segments.is_empty() {
            true => self.devices.unwrap_or(usize::MAX),
            false => segments.iter().map(|segment| segment.devices).sum(),
        };
        let identities = self.target.identities(wanted)?;
        if segments.is_empty() {
            segments = self.segments_of(identities.len())?;
        }
        let plan =
            Plan::new(&segments, probes.count(), self.target.seed).map_err(CliError::usage)?;
        let conditions = parse_conditions(&self.assert)?;
        let setup = Setup {
            server: self.target.server(&identities)?,
            devices: &self.target.configs(&identities, plan.lanes())?,
            plan: &plan,
            probes: &probes,
            timeout: self.target.timeout(),
            nonce: self.target.nonce()?,
        };
        let line = ProgressLine::new();
        let run = run::run(&setup, &mut |progress| line.show(progress)).map_err(run_error)?;
        line.clear();

        let summary = Summary::new(&run, &probes);
        let context = json!({
            "target": setup.server.to_string(),
            "plan": {"seed": self.target.seed, "segments": segments},
            "probes": {
                "distinct": probes.count(),
                "seed": probes.origin.seed,
                "people": probes.origin.people,
                "threshold": probes.origin.threshold,
            },
        });
        self.output.write(&run, &summary, &conditions, &context)
    }

    /// The segments of the plan's file; none without one.
    fn segments(&self) -> Result<Vec<Segment>, CliError> {
        let Some(path) = &self.plan else {
            return Ok(Vec::new());
        };
        let text = fs::read_to_string(path).map_err(|error| named(path, error))?;
        let segments: Vec<Segment> =
            serde_json::from_str(&text).map_err(|error| named(path, error))?;
        if segments.is_empty() {
            return Err(named(path, "no segment"));
        }
        Ok(segments)
    }

    /// One segment per lane that has devices; requests are shared out as the devices are.
    fn segments_of(&self, identities: usize) -> Result<Vec<Segment>, CliError> {
        let devices = self.devices.unwrap_or(identities);
        if devices > identities || devices == 0 {
            let text = format!("{devices} devices wanted, {identities} identities found");
            return Err(CliError::Usage(text));
        }
        let shape = match self.shape {
            ShapeArgument::Uniform => Shape::Uniform,
            ShapeArgument::Poisson => Shape::Poisson,
            ShapeArgument::Burst => Shape::Burst,
            ShapeArgument::Window => Shape::Window,
        };
        let requests = self.requests.unwrap_or(devices);
        let shares = parse_lanes(&self.lanes).map_err(CliError::usage)?;
        let total: usize = shares.iter().map(|(_, share)| share).sum();
        let mut segments = Vec::new();
        let mut share_before = 0;
        for (lane, share) in shares {
            let part = |whole: usize| {
                whole * (share_before + share) / total - whole * share_before / total
            };
            segments.push(Segment {
                shape,
                requests: part(requests),
                from_s: 0.0,
                window_s: self.window,
                devices: part(devices),
                lane,
                heartbeat_s: match lane {
                    Lane::KeptAlive => self.heartbeat_every,
                    Lane::Resumed | Lane::Cold => 0.0,
                },
            });
            share_before += share;
        }
        Ok(segments)
    }
}

fn parse_lanes(text: &str) -> Result<Vec<(Lane, usize)>, String> {
    let mut shares = Vec::new();
    for part in text.split(',') {
        let (name, share) = part.split_once('=').unwrap_or((part, "100"));
        let lane = Lane::ALL
            .into_iter()
            .find(|lane| lane.name() == name.trim());
        let lane = lane.ok_or_else(|| format!("no lane is called \"{name}\""))?;
        let share: u16 = share
            .trim()
            .parse()
            .map_err(|_| format!("\"{share}\" is no share of a lane"))?;
        if share > 0 {
            shares.push((lane, usize::from(share)));
        }
    }
    if shares.is_empty() {
        return Err("no lane has a share".to_owned());
    }
    Ok(shares)
}

fn run_error(error: RunError) -> CliError {
    match error {
        RunError::TooFewDevices { .. } => CliError::usage(error),
        RunError::Io(_) | RunError::Prepare { .. } => CliError::not_served(error),
    }
}
