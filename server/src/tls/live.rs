//! The TLS configuration in force: connections stay with theirs, new ones take the newest.

use std::sync::Arc;

use arc_swap::{ArcSwap, ArcSwapOption};
use rustls::ServerConfig;

use super::browsers::BrowserIdentity;
use super::config::{ConfigError, server_config_with};
use super::sessions::Sessions;
use crate::pki::SitePki;

/// The configuration in force; a clone is the same one.
#[derive(Clone)]
pub struct LiveTls {
    sessions: Arc<Sessions>,
    config: Arc<ArcSwap<ServerConfig>>,
    browsers: Arc<ArcSwapOption<BrowserIdentity>>,
}

impl LiveTls {
    /// The configuration of these certificates, with room for so many sessions.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn new(pki: &SitePki, sessions: usize) -> Result<Self, ConfigError> {
        let sessions = Arc::new(Sessions::new(sessions));
        let config = Arc::new(ArcSwap::new(of(pki, &sessions, None)?));
        Ok(Self {
            sessions,
            config,
            browsers: Arc::default(),
        })
    }

    /// Puts other certificates into force. Sessions go on: every request looks its certificate up.
    ///
    /// # Errors
    /// [`ConfigError`]; then what was in force stays.
    pub fn put(&self, pki: &SitePki) -> Result<(), ConfigError> {
        let browsers = self.browsers.load_full();
        self.config.store(of(pki, &self.sessions, browsers)?);
        Ok(())
    }

    /// From the next [`LiveTls::put`] on browsers that ask for its names see this certificate.
    pub fn set_browsers(&self, browsers: Option<Arc<BrowserIdentity>>) {
        self.browsers.store(browsers);
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

fn of(
    pki: &SitePki,
    sessions: &Arc<Sessions>,
    browsers: Option<Arc<BrowserIdentity>>,
) -> Result<Arc<ServerConfig>, ConfigError> {
    let roots = pki.client_roots();
    server_config_with(
        (pki.server_chain(), pki.server_key()),
        browsers,
        &roots,
        Arc::clone(sessions),
    )
}
