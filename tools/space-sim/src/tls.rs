//! The simulator's certificates, new at each start.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose,
};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::version::{TLS12, TLS13};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

/// A certificate and the CA that issued it.
pub(crate) struct Identity {
    pub(crate) config: Arc<ServerConfig>,
    pub(crate) ca_pem: String,
    pub(crate) fingerprint: String,
}

impl Identity {
    pub(crate) fn new(names: &[String], tls12_only: bool) -> Result<Self, String> {
        let words = |error: rcgen::Error| format!("cannot make certificates: {error}");
        let mut ca = CertificateParams::new(Vec::new()).map_err(words)?;
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        ca.distinguished_name
            .push(DnType::CommonName, "space-sim CA");
        let ca_key = KeyPair::generate().map_err(words)?;
        let ca = CertifiedIssuer::self_signed(ca, ca_key).map_err(words)?;

        let mut all: Vec<String> = ["localhost", "127.0.0.1", "::1"].map(String::from).to_vec();
        all.extend(names.iter().cloned());
        let mut server = CertificateParams::new(all).map_err(words)?;
        server
            .distinguished_name
            .push(DnType::CommonName, "space-sim");
        let key = KeyPair::generate().map_err(words)?;
        let certificate = server.signed_by(&key, &ca).map_err(words)?;

        let der: CertificateDer<'static> = certificate.der().clone();
        let digest = digest(&SHA256, &der);
        let fingerprint = digest
            .as_ref()
            .iter()
            .map(|byte| format!("{byte:02X}"))
            .collect();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let words = |error: rustls::Error| format!("cannot serve TLS: {error}");
        let versions = if tls12_only {
            vec![&TLS12]
        } else {
            vec![&TLS13, &TLS12]
        };
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(&versions)
            .map_err(words)?
            .with_no_client_auth()
            .with_single_cert(vec![der], key)
            .map_err(words)?;
        Ok(Self {
            config: Arc::new(config),
            ca_pem: ca.pem(),
            fingerprint,
        })
    }
}
