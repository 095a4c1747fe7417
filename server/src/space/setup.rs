//! How Space is reached: what an administrator enters, and the two keys.

use std::fmt;

use cardea_space::client::ClientConfig;
use cardea_space::sync::SyncOptions;
use cardea_space::transport::{Endpoint, Fingerprint, Trust};
use serde::{Deserialize, Serialize};

use crate::error::SecretError;
use crate::secrets::random;

/// How Space is reached. Kept sealed in the store, as JSON.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpaceSetup {
    /// Host name or address.
    pub host: String,
    /// Port of Space's web service.
    pub port: u16,
    /// HTTPS, or TCP for older sites.
    pub transport: Transport,
    /// How Space's certificate is checked; HTTPS needs one.
    pub trust: Option<SpaceTrust>,
    /// Which `GPF` field holds the e-mail address.
    pub email_field: Option<u8>,
    /// Our key to Space: entered in Space's SHIP tab.
    pub ship_key: String,
    /// Space's key to us: entered in Space's Face recognition tab.
    pub face_key: String,
}

/// How SHIP is carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Transport {
    /// HTTPS with the key.
    Https,
    /// Plain TCP: neither key nor encryption.
    Tcp,
}

/// What makes Space's certificate the right one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SpaceTrust {
    /// SHA-256 of the certificate, hexadecimal.
    Fingerprint(String),
    /// Certificates of authorities, PEM.
    CaPem(String),
}

impl fmt::Debug for SpaceSetup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The keys are never printed.
        f.debug_struct("SpaceSetup")
            .field("host", &self.host)
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

impl SpaceSetup {
    /// What the client needs.
    ///
    /// # Errors
    /// Why this cannot be a Space, in words.
    pub fn client_config(&self) -> Result<ClientConfig, String> {
        let endpoint = match self.transport {
            Transport::Tcp => Endpoint::tcp(&self.host, self.port),
            Transport::Https => {
                let trust = match &self.trust {
                    None => {
                        return Err("HTTPS needs a fingerprint or a CA to check Space by; \
                             `cardea space fingerprint` shows the one Space has"
                            .to_owned());
                    }
                    Some(SpaceTrust::CaPem(pem)) => Trust::Roots(pem.clone().into_bytes()),
                    Some(SpaceTrust::Fingerprint(text)) => Trust::Pinned(
                        Fingerprint::parse(text).ok_or("the fingerprint is not 64 hex digits")?,
                    ),
                };
                Endpoint::https(&self.host, self.port, &self.ship_key, &trust)
            }
        };
        let endpoint = endpoint.map_err(|error| error.to_string())?;
        // Sites whose Space comes back at one moment must not ask it all at once.
        let seed = random().map_err(|error| error.to_string())?;
        let mut config = ClientConfig::new(endpoint, u64::from_le_bytes(*seed));
        config.sync = SyncOptions {
            email_field: self.email_field,
            ..SyncOptions::default()
        };
        if !config.sync.is_valid() {
            return Err("the e-mail field is one of GPF1 to GPF5".to_owned());
        }
        Ok(config)
    }
}

/// A new key: 32 letters and digits, as Space shows its own.
///
/// # Errors
/// If the system gives no random numbers.
pub fn new_key() -> Result<String, SecretError> {
    // 32 symbols, so that each byte gives one without bias.
    const SYMBOLS: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";
    let bytes = random::<32>()?;
    Ok(bytes
        .iter()
        .map(|byte| char::from(SYMBOLS[usize::from(byte % 32)]))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every site once had the same seed, so all of them asked again at the same moments. A
    /// constant in place of `random` fails this.
    #[test]
    fn no_two_links_wait_by_the_same_seed() {
        let setup = SpaceSetup {
            host: "127.0.0.1".to_owned(),
            port: 8_101,
            transport: Transport::Tcp,
            trust: None,
            email_field: None,
            ship_key: String::new(),
            face_key: String::new(),
        };
        let seed = || setup.client_config().expect("a Space").seed;
        assert_ne!(seed(), seed());
    }
}
