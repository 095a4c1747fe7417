//! `loadtest self-check`: the floor under every figure of this program.

use std::sync::Arc;
use std::time::Duration;

use cardea_loadtest::commission::commission;
use cardea_loadtest::mirror::{Mirror, true_answers};
use cardea_loadtest::plan::{Lane, Plan, Segment, Shape};
use cardea_loadtest::probes::{Known, Match, Origin, Person, ProbeKind, Probes};
use cardea_loadtest::rng::Rng;
use cardea_loadtest::run::{self, Setup};
use cardea_loadtest::summary::Summary;
use cardea_loadtest::tls;
use clap::Args;
use rustls::ClientConfig;
use serde_json::json;

use super::output::{Output, ProgressLine, parse_conditions};
use super::{CliError, parse_seconds, say};

const PROBES: u32 = 64;
const TIMEOUT: Duration = Duration::from_secs(10);
/// The mirror has a thread per connection.
const DEVICES_MAX: usize = 512;

/// Measure the generator itself.
#[derive(Debug, Args)]
pub(crate) struct SelfCheck {
    /// Devices of the burst at the beginning, and as many again over the window.
    #[arg(long, default_value_t = 70)]
    devices: usize,
    /// Requests over the window.
    #[arg(long, default_value_t = 7_000)]
    requests: usize,
    /// Length of the window.
    #[arg(long, default_value = "10s", value_parser = parse_seconds)]
    window: f64,
    /// Conditions, as in `loadtest run`.
    #[arg(long, default_value = "wrong=0,errors=0,refused=0")]
    assert: String,
    #[command(flatten)]
    output: Output,
}

impl SelfCheck {
    pub(crate) fn carry_out(self) -> Result<u8, CliError> {
        if self.devices == 0 || self.devices > DEVICES_MAX {
            return Err(CliError::Usage(format!("1 to {DEVICES_MAX} devices")));
        }
        let conditions = parse_conditions(&self.assert)?;
        let probes = probes()?;
        let mirror = Mirror::start(true_answers(&probes)).map_err(CliError::not_served)?;
        let window = Segment {
            shape: Shape::Window,
            requests: self.requests,
            from_s: 1.0,
            window_s: self.window,
            devices: self.devices,
            lane: Lane::KeptAlive,
            heartbeat_s: 0.0,
        };
        let burst = Segment {
            shape: Shape::Burst,
            requests: self.devices,
            from_s: 0.0,
            window_s: 0.0,
            ..window
        };
        let segments = [burst, window];
        let plan = Plan::new(&segments, probes.count(), 1).map_err(CliError::usage)?;
        let devices: Result<Vec<Arc<ClientConfig>>, CliError> = plan
            .lanes()
            .iter()
            .map(|_| {
                let code = mirror.code("self-check");
                let identity = commission(&code, TIMEOUT).map_err(CliError::not_served)?;
                tls::commissioned(&identity, true).map_err(CliError::not_served)
            })
            .collect();
        let setup = Setup {
            server: mirror.address(),
            devices: &devices?,
            plan: &plan,
            probes: &probes,
            timeout: TIMEOUT,
            nonce: [0; 8],
        };
        let line = ProgressLine::new();
        let run =
            run::run(&setup, &mut |progress| line.show(progress)).map_err(CliError::not_served)?;
        line.clear();
        say("generator and mirror in one process: the floor of this program's figures\n\n");
        let summary = Summary::new(&run, &probes);
        let context = json!({"plan": {"seed": 1, "segments": segments}});
        self.output.write(&run, &summary, &conditions, &context)
    }
}

/// Bytes that no face model made; the mirror knows them again.
fn probes() -> Result<Probes, CliError> {
    let mut rng = Rng::new(1);
    let rows = (0..PROBES).map(|number| {
        let mut embedding = [0; 2_048];
        embedding.fill_with(|| rng.bits() as u8);
        let person = Person {
            tag: u64::from(number) + 1,
            external_id: format!("self-check {number}"),
        };
        let known = Known {
            kind: ProbeKind::Mated,
            answer: Some(Match {
                person: person.clone(),
                score_bits: 0.5_f32.to_bits(),
            }),
            truth: Some(person),
            granted: Some(true),
        };
        (embedding, known)
    });
    let origin = Origin {
        seed: 1,
        people: u64::from(PROBES),
        threshold: 0.41,
        model: [0; 16],
    };
    Probes::new(origin, rows.collect()).map_err(CliError::usage)
}
