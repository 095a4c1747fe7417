//! A simulator of Salto Space, for tests and demonstrations: it answers the SHIP messages seen in
//! public clients over HTTPS and TCP, misbehaves on command, and keeps a ledger of every
//! `OnlineDoor.Open`. What it makes up comes from a seed.
//!
//! It reads and writes its messages with code of its own, so that a mistake of `cardea-space`
//! does not meet its twin here.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod answer;
pub mod command;
mod control;
pub mod fault;
mod https;
pub mod latency;
pub mod ledger;
mod listener;
mod message;
mod ship;
pub mod site;
mod tcp;
mod tls;
mod world;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use serde_json::Value;

use latency::Latency;
use ledger::Entry;
use site::SiteConfig;
use world::World;

/// How to simulate.
#[derive(Clone, Debug)]
pub struct SimConfig {
    /// The address of all three listeners.
    pub address: IpAddr,
    /// Port of SHIP over HTTPS; 0 for any.
    pub https_port: u16,
    /// Port of SHIP over TCP; 0 for any.
    pub tcp_port: u16,
    /// Port of the control listener; 0 for any.
    pub control_port: u16,
    /// The SHIP key that is taken; any other gets HTTP 401.
    pub key: String,
    /// Names and addresses in the certificate, beside localhost and the loopback addresses.
    pub names: Vec<String>,
    /// Speak TLS 1.2 only, as older Windows does.
    pub tls12_only: bool,
    /// The site.
    pub site: SiteConfig,
    /// How long each answer takes.
    pub latency: Latency,
}

impl Default for SimConfig {
    fn default() -> Self {
        Self {
            address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            https_port: 0,
            tcp_port: 0,
            control_port: 0,
            key: "SIMULATED0SHIP0KEY0000000000000X".into(),
            names: Vec::new(),
            tls12_only: false,
            site: SiteConfig::default(),
            latency: Latency::default(),
        }
    }
}

/// A running simulator; dropping it closes everything and waits until its threads have ended.
pub struct Simulator {
    world: Arc<World>,
    https: listener::Listener,
    tcp: listener::Listener,
    control: listener::Listener,
}

impl Simulator {
    /// Makes up the site and the certificates, and listens.
    ///
    /// # Errors
    /// In words: a port that is taken, a name that no certificate can carry.
    pub fn start(config: SimConfig) -> Result<Self, String> {
        let world = Arc::new(World::new(&config)?);
        let at = |port| SocketAddr::new(config.address, port);
        let https = listener::Listener::start(at(config.https_port), &world, https::serve, true)?;
        let tcp = listener::Listener::start(at(config.tcp_port), &world, tcp::serve, true)?;
        let control =
            listener::Listener::start(at(config.control_port), &world, control::serve, false)?;
        Ok(Self {
            world,
            https,
            tcp,
            control,
        })
    }

    /// Where SHIP over HTTPS is.
    #[must_use]
    pub fn https_address(&self) -> SocketAddr {
        self.https.address()
    }

    /// Where SHIP over TCP is.
    #[must_use]
    pub fn tcp_address(&self) -> SocketAddr {
        self.tcp.address()
    }

    /// Where commands are taken.
    #[must_use]
    pub fn control_address(&self) -> SocketAddr {
        self.control.address()
    }

    /// The CA that issued the certificate, as PEM.
    #[must_use]
    pub fn ca_pem(&self) -> String {
        self.world.identity().ca_pem.clone()
    }

    /// The SHA-256 of the certificate, 64 hex digits.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        self.world.identity().fingerprint.clone()
    }

    /// Does what a command says; see [`command::HELP`].
    ///
    /// # Errors
    /// In words, when the command is none or cannot be done.
    pub fn execute(&self, command: &str) -> Result<Value, String> {
        command::execute(&self.world, command)
    }

    /// Every `OnlineDoor.Open` that was received whole, in order.
    #[must_use]
    pub fn ledger(&self) -> Vec<Entry> {
        self.world.ledger().entries().to_vec()
    }

    /// Does each command at its second after now, on a thread of its own.
    ///
    /// # Errors
    /// When an item is not `COMMAND@SECOND`.
    pub fn schedule(&self, items: &[String]) -> Result<(), String> {
        command::schedule(&self.world, items)
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.world.stop();
        for listener in [&mut self.https, &mut self.tcp, &mut self.control] {
            listener.stop();
        }
        self.world.wait_for_threads();
    }
}
