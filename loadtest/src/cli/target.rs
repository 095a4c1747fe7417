//! What load is sent at, and by whom: arguments that several commands share.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use cardea_loadtest::identity::Identity;
use cardea_loadtest::plan::Lane;
use cardea_loadtest::probes::Probes;
use cardea_loadtest::tls;
use clap::Args;
use rustls::ClientConfig;

use super::{CliError, check_loopback, named, parse_seconds};

/// The server, the devices and what they send.
#[derive(Debug, Args)]
pub(super) struct Target {
    /// Folder of identities, from `loadtest commission`.
    #[arg(long)]
    identities: PathBuf,
    /// Probes with known answers, from `cardea-synth probes`.
    #[arg(long)]
    probes: PathBuf,
    /// The server; without it, the one that the identities name.
    #[arg(long)]
    server: Option<SocketAddr>,
    /// Seed of the plan.
    #[arg(long, default_value_t = 1)]
    pub(super) seed: u64,
    /// How long after its intended start a request may end.
    #[arg(long, default_value = "10s", value_parser = parse_seconds)]
    timeout: f64,
    /// Aim at another machine.
    #[arg(long)]
    yes_really: bool,
}

impl Target {
    pub(super) fn probes(&self) -> Result<Probes, CliError> {
        let bytes = fs::read(&self.probes).map_err(|error| named(&self.probes, error))?;
        Probes::parse(&bytes).map_err(|error| named(&self.probes, error))
    }

    /// The first identities, at most `count`, at least one.
    pub(super) fn identities(&self, count: usize) -> Result<Vec<Identity>, CliError> {
        let found = Identity::load_folder(&self.identities, count).map_err(CliError::usage)?;
        if found.is_empty() {
            return Err(named(&self.identities, "no identity in this folder"));
        }
        Ok(found)
    }

    /// The server's address, which is this machine's unless the user insists.
    pub(super) fn server(&self, identities: &[Identity]) -> Result<SocketAddr, CliError> {
        let first = identities.first().map(|identity| identity.server);
        let server = self.server.or(first);
        let server = server.ok_or_else(|| named(&self.identities, "no server is named"))?;
        check_loopback(server, self.yes_really)?;
        Ok(server)
    }

    /// The TLS configuration of each device for its lane.
    pub(super) fn configs(
        &self,
        identities: &[Identity],
        lanes: &[Lane],
    ) -> Result<Vec<Arc<ClientConfig>>, CliError> {
        let devices = identities.iter().zip(lanes);
        let configs: Result<_, _> = devices
            .map(|(identity, lane)| tls::commissioned(identity, *lane != Lane::Cold))
            .collect();
        configs.map_err(CliError::usage)
    }

    pub(super) fn timeout(&self) -> Duration {
        Duration::from_secs_f64(self.timeout)
    }

    /// Random bytes that make the request ids of a run its own.
    pub(super) fn nonce(&self) -> Result<[u8; 8], CliError> {
        let mut nonce = [0; 8];
        getrandom::fill(&mut nonce).map_err(CliError::usage)?;
        Ok(nonce)
    }
}
