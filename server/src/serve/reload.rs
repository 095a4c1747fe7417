//! The TLS configuration in force, and how it is read anew: connections stay, new ones take it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::pki::SitePki;
use crate::secrets::Sealer;
use crate::tls::{self, ServerConfig, Sessions};
use crate::writer::Writer;

/// What new connections are made with.
pub(super) struct TlsReload {
    data: PathBuf,
    sessions: Arc<Sessions>,
    config: Arc<ArcSwap<ServerConfig>>,
}

impl TlsReload {
    /// The configuration of the certificates that the writer has read.
    pub(super) fn new(
        data: &Path,
        writer: &Writer,
        sessions: usize,
    ) -> Result<Self, Box<dyn std::error::Error>> {
        let sessions = Arc::new(Sessions::new(sessions));
        let config = server_config(writer.pki(), &sessions)?;
        let config = Arc::new(ArcSwap::new(config));
        Ok(Self {
            data: data.to_owned(),
            sessions,
            config,
        })
    }

    /// As [`Self::new`]; the writer reads anew through it as well.
    pub(super) fn shared(
        data: &Path,
        writer: &mut Writer,
        sessions: usize,
    ) -> Result<Arc<Self>, Box<dyn std::error::Error>> {
        let reload = Arc::new(Self::new(data, writer, sessions)?);
        let again = Arc::clone(&reload);
        writer.set_reload_tls(Box::new(move || {
            again.reload().map_err(|error| error.to_string())
        }));
        Ok(reload)
    }

    /// What loops take for each new connection.
    pub(super) fn config(&self) -> Arc<ArcSwap<ServerConfig>> {
        Arc::clone(&self.config)
    }

    /// The configuration in force.
    pub(super) fn current(&self) -> Arc<ServerConfig> {
        self.config.load_full()
    }

    /// Reads the certificates again. Sessions go on: every request looks its certificate up.
    pub(super) fn reload(&self) -> Result<(), Box<dyn std::error::Error>> {
        let pki = SitePki::open(&self.data, &Sealer::open(&self.data)?)?;
        self.config.store(server_config(&pki, &self.sessions)?);
        Ok(())
    }
}

fn server_config(
    pki: &SitePki,
    sessions: &Arc<Sessions>,
) -> Result<Arc<ServerConfig>, tls::ConfigError> {
    let roots = [pki.ca().clone()];
    tls::server_config(
        pki.server_chain(),
        pki.server_key(),
        &roots,
        Arc::clone(sessions),
    )
}
