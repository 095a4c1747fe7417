//! The crypto provider and the server's TLS configuration.

use std::fmt;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{self, cipher_suite};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{RootCertStore, ServerConfig, version};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::browsers::{BrowserIdentity, ByName};
use super::sessions::Sessions;

/// Tickets after each handshake. Each is good for one resumption, and each handshake gives the
/// next; more would only push other devices' sessions out.
const TICKETS: usize = 1;

/// The one crypto provider of the program.
///
/// aws-lc-rs against ring, median us of CPU on the server's side, two rounds: full handshake 95 to
/// 127 / 112 to 116, with client certificate 208 to 230 / 225 to 241, resumed 86 to 92 / 109 to
/// 111; an exchange of 2,200 bytes in and 200 out 0.9 / 0.9. So aws-lc-rs. The hybrid group
/// costs 30 us more and is used by peers that put it first; P-384 costs most and nobody needs it.
///
/// The suite with SHA-256 comes first: CPUs have instructions for it and mostly none for SHA-384,
/// which was a tenth of the CPU of all handshakes.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(CryptoProvider {
        kx_groups: vec![
            aws_lc_rs::kx_group::X25519,
            aws_lc_rs::kx_group::X25519MLKEM768,
            aws_lc_rs::kx_group::SECP256R1,
        ],
        cipher_suites: vec![
            cipher_suite::TLS13_AES_128_GCM_SHA256,
            cipher_suite::TLS13_AES_256_GCM_SHA384,
            cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
        ],
        ..aws_lc_rs::default_provider()
    })
}

/// Why there is no configuration.
#[derive(Debug)]
pub enum ConfigError {
    /// The chain and the key do not fit, or one of them cannot be read.
    Identity(rustls::Error),
    /// The certificate with this index among the client roots cannot be read.
    Root(usize, rustls::Error),
    /// The certificate for browsers, in words.
    Browsers(String),
    /// The verifier of client certificates cannot be made of the roots.
    Verifier(rustls::server::VerifierBuilderError),
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConfigError::Identity(error) => write!(f, "server certificate and key: {error}"),
            ConfigError::Root(index, error) => write!(f, "client root {index}: {error}"),
            ConfigError::Browsers(why) => write!(f, "certificate for browsers: {why}"),
            ConfigError::Verifier(error) => write!(f, "client roots: {error}"),
        }
    }
}

impl std::error::Error for ConfigError {}

/// The configuration of the server: TLS 1.3 only, a client certificate is asked for and may be
/// left out (routes decide who needs one), sessions resume from `sessions`, no early data.
///
/// `chain` is the server's certificate first, then its issuers. A client certificate must come
/// from one of `client_roots`; with none, no certificate is asked for. Give the same
/// `sessions` again when certificates are reloaded, so that devices still resume. That is safe
/// because every request looks its certificate up in the device table, resumed or not.
///
/// # Errors
/// When chain and key do not fit each other or a root cannot be read.
pub fn server_config(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    client_roots: &[CertificateDer<'static>],
    sessions: Arc<Sessions>,
) -> Result<Arc<ServerConfig>, ConfigError> {
    server_config_with((chain, key), None, client_roots, sessions)
}

/// As [`server_config`], with a certificate for browsers beside the devices' one.
///
/// # Errors
/// As [`server_config`].
pub fn server_config_with(
    (chain, key): (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>),
    browsers: Option<Arc<BrowserIdentity>>,
    client_roots: &[CertificateDer<'static>],
    sessions: Arc<Sessions>,
) -> Result<Arc<ServerConfig>, ConfigError> {
    let provider = provider();
    let devices = CertifiedKey::from_der(chain, key, &provider).map_err(ConfigError::Identity)?;
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&version::TLS13])
        .map_err(ConfigError::Identity)?;
    let builder = if client_roots.is_empty() {
        builder.with_no_client_auth()
    } else {
        let mut roots = RootCertStore::empty();
        for (index, root) in client_roots.iter().enumerate() {
            let added = roots.add(root.clone());
            added.map_err(|error| ConfigError::Root(index, error))?;
        }
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
            .allow_unauthenticated()
            .build()
            .map_err(ConfigError::Verifier)?;
        builder.with_client_cert_verifier(verifier)
    };
    let mut config = builder.with_cert_resolver(Arc::new(ByName {
        devices: Arc::new(devices),
        browsers,
    }));
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // Peers mostly put AES-256 with SHA-384 first; the choice is ours.
    config.ignore_client_order = true;
    config.send_tls13_tickets = TICKETS;
    config.max_early_data_size = 0;
    config.session_storage = match sessions.capacity() {
        0 => Arc::new(NoServerSessionStorage {}),
        _ => sessions,
    };
    Ok(Arc::new(config))
}
