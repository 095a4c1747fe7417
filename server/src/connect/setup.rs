//! How Connect is reached: what joining brought, and the site's key.

use std::fmt;

use cardea_connect::authority::Authority;
use cardea_connect::client::ClientConfig;
use cardea_connect::message::{SiteState, SiteStatus, moment};
use cardea_connect::tls;
use cardea_connect::topics::{Topics, VERSION};
use serde::{Deserialize, Serialize};

/// How Connect is reached. Kept sealed in the store, as JSON.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectSetup {
    /// The site's id, in topics and in its certificate.
    pub site: String,
    /// The broker's host, as its certificate names it.
    pub broker_host: String,
    /// Its port.
    pub broker_port: u16,
    /// The CA that issues the broker's certificate, PEM.
    pub ca: String,
    /// The site's certificate, PEM.
    pub certificate: String,
    /// Its key, PEM.
    pub key: String,
    /// Revoked certificates, PEM; may be empty.
    #[serde(default)]
    pub crl: String,
    /// The authority, `https://host[:port]`.
    pub authority_url: String,
    /// The CA that the authority is known by, PEM.
    pub authority_ca: String,
    /// Public keys that updates are signed with.
    #[serde(default)]
    pub update_keys: Vec<String>,
}

impl fmt::Debug for ConnectSetup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The key is never printed.
        f.debug_struct("ConnectSetup")
            .field("site", &self.site)
            .field("broker_host", &self.broker_host)
            .field("broker_port", &self.broker_port)
            .finish_non_exhaustive()
    }
}

impl ConnectSetup {
    /// What the client needs.
    ///
    /// # Errors
    /// Why this cannot be a broker, in words.
    pub fn client_config(&self, now_unix_s: i64) -> Result<ClientConfig, String> {
        let topics = Topics::of(&self.site).ok_or("the site's id is none")?;
        if self.broker_host.is_empty() || self.broker_port == 0 {
            return Err("the broker has no address".to_owned());
        }
        let say = |state| {
            let status = SiteStatus {
                v: VERSION,
                state,
                version: env!("CARGO_PKG_VERSION").to_owned(),
                since: moment(now_unix_s),
            };
            serde_json::to_vec(&status).map_err(|error| error.to_string())
        };
        Ok(ClientConfig {
            client_id: format!("cardea-{}", self.site),
            host: self.broker_host.clone(),
            port: self.broker_port,
            tls: tls::client_config(&self.ca, &self.certificate, &self.key, &self.crl)?,
            online: say(SiteState::Online)?,
            offline: say(SiteState::Offline)?,
            stopped: say(SiteState::Stopped)?,
            topics,
        })
    }

    /// The authority, asked with the site's certificate.
    ///
    /// # Errors
    /// Why it cannot be asked, in words.
    pub fn authority(&self) -> Result<Authority, String> {
        let identity = (self.certificate.as_str(), self.key.as_str());
        Authority::new(&self.authority_url, &self.authority_ca, Some(identity))
            .map_err(|error| error.to_string())
    }

    /// From when until when the site's certificate is valid, Unix seconds.
    #[must_use]
    pub fn validity(&self) -> Option<(i64, i64)> {
        tls::validity(&self.certificate)
    }
}
