//! The TLS configuration in force: connections stay with theirs, new ones take the newest.

use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::ServerConfig;

use super::config::{ConfigError, server_config};
use super::sessions::Sessions;
use crate::pki::SitePki;

/// The configuration in force; a clone is the same one.
#[derive(Clone)]
pub struct LiveTls {
    sessions: Arc<Sessions>,
    config: Arc<ArcSwap<ServerConfig>>,
}

impl LiveTls {
    /// The configuration of these certificates, with room for so many sessions.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn new(pki: &SitePki, sessions: usize) -> Result<Self, ConfigError> {
        let sessions = Arc::new(Sessions::new(sessions));
        let config = Arc::new(ArcSwap::new(of(pki, &sessions)?));
        Ok(Self { sessions, config })
    }

    /// Puts other certificates into force. Sessions go on: every request looks its certificate up.
    ///
    /// # Errors
    /// [`ConfigError`]; then what was in force stays.
    pub fn put(&self, pki: &SitePki) -> Result<(), ConfigError> {
        self.config.store(of(pki, &self.sessions)?);
        Ok(())
    }

    /// What loops take for each new connection.
    #[must_use]
    pub fn config(&self) -> Arc<ArcSwap<ServerConfig>> {
        Arc::clone(&self.config)
    }

    /// The configuration in force.
    #[must_use]
    pub fn current(&self) -> Arc<ServerConfig> {
        self.config.load_full()
    }
}

fn of(pki: &SitePki, sessions: &Arc<Sessions>) -> Result<Arc<ServerConfig>, ConfigError> {
    let roots = pki.client_roots();
    server_config(
        pki.server_chain(),
        pki.server_key(),
        &roots,
        Arc::clone(sessions),
    )
}
