//! `loadtest ramp`.

use std::path::PathBuf;
use std::sync::Arc;

use cardea_loadtest::plan::{Lane, Plan, Segment, Shape};
use cardea_loadtest::probes::Probes;
use cardea_loadtest::ramp::{Ramp as Rates, climb};
use cardea_loadtest::run::{self, Setup};
use cardea_loadtest::summary::Summary;
use cardea_loadtest::verdict::{self, Condition, Verdict};
use clap::Args;
use rustls::ClientConfig;

use super::output::{ProgressLine, parse_conditions, write_file};
use super::target::Target;
use super::{CliError, parse_seconds, say};

/// Raise the rate step by step until the conditions no longer hold.
#[derive(Debug, Args)]
pub(crate) struct Ramp {
    #[command(flatten)]
    target: Target,
    /// Requests a second of the first step.
    #[arg(long, default_value_t = 100.0)]
    from: f64,
    /// Each step's rate is the one before times this.
    #[arg(long, default_value_t = 1.5)]
    factor: f64,
    /// Steps at most.
    #[arg(long, default_value_t = 12)]
    steps: usize,
    /// Length of a step.
    #[arg(long, default_value = "5s", value_parser = parse_seconds)]
    step: f64,
    /// Devices, kept alive; without it, all identities.
    #[arg(long)]
    devices: Option<usize>,
    /// What a step must hold.
    #[arg(long, default_value = "p99<=100ms,wrong=0,errors=0,refused=0")]
    assert: String,
    /// Exit 1 unless the conditions hold up to this rate.
    #[arg(long)]
    at_least: Option<f64>,
    /// Write the steps as CSV.
    #[arg(long)]
    csv: Option<PathBuf>,
}

impl Ramp {
    pub(crate) fn carry_out(self) -> Result<u8, CliError> {
        let rates = Rates {
            from: self.from,
            factor: self.factor,
            steps: self.steps,
        };
        let rates = rates.rates().map_err(CliError::usage)?;
        let conditions = parse_conditions(&self.assert)?;
        let probes = self.target.probes()?;
        let identities = self.target.identities(self.devices.unwrap_or(usize::MAX))?;
        let lanes = vec![Lane::KeptAlive; identities.len()];
        let configs = self.target.configs(&identities, &lanes)?;
        let mut table = "rate,requests,answered_per_s,p50_ms,p99_ms,p100_ms,refused,errors,\
                         lateness_ms,verdict\n"
            .to_owned();
        say(format_args!(
            "{:>9} {:>10} {:>10} {:>10} {:>10}\n",
            "rate/s", "answered/s", "p50", "p99", "p100"
        ));
        let end = climb(&rates, |rate| {
            let (summary, verdict) =
                self.take_step(rate, &identities, &configs, &probes, &conditions)?;
            table.push_str(&row(rate, &summary, &verdict));
            Ok::<Verdict, CliError>(verdict)
        })?;
        say(format_args!("{end}\n"));
        if let Some(path) = &self.csv {
            write_file(path, |out| std::io::Write::write_all(out, table.as_bytes()))?;
        }
        Ok(u8::from(
            self.at_least.is_some_and(|rate| end.held() < rate),
        ))
    }

    fn take_step(
        &self,
        rate: f64,
        identities: &[cardea_loadtest::identity::Identity],
        configs: &[Arc<ClientConfig>],
        probes: &Probes,
        conditions: &[Condition],
    ) -> Result<(Summary, Verdict), CliError> {
        let segment = Segment {
            shape: Shape::Poisson,
            requests: (rate * self.step).ceil() as usize,
            from_s: 0.0,
            window_s: self.step,
            devices: identities.len(),
            lane: Lane::KeptAlive,
            heartbeat_s: 0.0,
        };
        let plan = Plan::new(&[segment], probes.count(), self.target.seed);
        let setup = Setup {
            server: self.target.server(identities)?,
            devices: configs,
            plan: &plan.map_err(CliError::usage)?,
            probes,
            timeout: self.target.timeout(),
            nonce: self.target.nonce()?,
        };
        let line = ProgressLine::new();
        let run =
            run::run(&setup, &mut |progress| line.show(progress)).map_err(CliError::not_served)?;
        line.clear();
        let summary = Summary::new(&run, probes);
        let checked = verdict::check(conditions, &|name| summary.quantity(name));
        let lateness_us = summary.lateness.percentile_us(100.0);
        let verdict = match verdict::judge(&checked, lateness_us, 0) {
            Verdict::Void(_) if verdict::fails_despite_lateness(&checked, lateness_us) => {
                Verdict::Fails
            }
            verdict => verdict,
        };
        let ms = |percent| summary.all.response.percentile_us(percent) as f64 / 1e3;
        say(format_args!(
            "{rate:>9.0} {:>10.0} {:>10.3} {:>10.3} {:>10.3}  {verdict:?}\n",
            answered_per_s(&summary),
            ms(50.0),
            ms(99.0),
            ms(100.0)
        ));
        Ok((summary, verdict))
    }
}

fn answered_per_s(summary: &Summary) -> f64 {
    let answered = summary.all.granted + summary.all.denied;
    answered as f64 / (summary.duration_us.max(1) as f64 / 1e6)
}

fn row(rate: f64, summary: &Summary, verdict: &Verdict) -> String {
    let ms = |percent| summary.all.response.percentile_us(percent) as f64 / 1e3;
    let verdict = match verdict {
        Verdict::Holds => "holds",
        Verdict::Fails => "fails",
        Verdict::Void(_) => "void",
    };
    format!(
        "{rate:.1},{},{:.1},{:.3},{:.3},{:.3},{},{},{:.3},{verdict}\n",
        summary.all.requests,
        answered_per_s(summary),
        ms(50.0),
        ms(99.0),
        ms(100.0),
        summary.all.refused,
        summary.all.errors,
        summary.lateness.percentile_us(100.0) as f64 / 1e3,
    )
}
