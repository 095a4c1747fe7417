//! Whom to believe that he is Space: a CA file, or one certificate by its SHA-256.
//!
//! TLS 1.2 is allowed towards Space, as it runs on Windows 10 and Server 2019 too, which speak
//! nothing newer. There is no way to accept any certificate: [`fingerprint`] looks at Space's and
//! ends the handshake.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use ::aws_lc_rs::digest::{SHA256, digest};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::version::{TLS12, TLS13};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use super::link::{self, Link};
use super::{Endpoint, Fault};

/// The SHA-256 of a certificate in DER.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// From the 32 bytes themselves.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Reads 64 hex digits, with or without colons or blanks between them. `None` for anything
    /// else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text
            .chars()
            .filter(|character| !matches!(character, ':' | ' '));
        let digits: Vec<u8> = digits
            .map(|digit| digit.to_digit(16).map(|digit| digit as u8))
            .collect::<Option<_>>()?;
        let mut bytes = [0; 32];
        if digits.len() != 2 * bytes.len() {
            return None;
        }
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = pair[0] << 4 | pair[1];
        }
        Some(Self(bytes))
    }

    fn of(certificate: &CertificateDer<'_>) -> Self {
        let digest = digest(&SHA256, certificate);
        let bytes = digest.as_ref().try_into();
        Self(bytes.expect("SHA-256 has 32 bytes"))
    }
}

/// Upper-case hex with colons, as Windows and browsers show it.
impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, byte) in self.0.iter().enumerate() {
            let colon = if place == 0 { "" } else { ":" };
            write!(f, "{colon}{byte:02X}")?;
        }
        Ok(())
    }
}

/// Whom to believe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Certificates for Space's host name or address, issued by one of these: a PEM file's bytes.
    Roots(Vec<u8>),
    /// This one certificate, whatever name it has and until whenever it is valid.
    Pinned(Fingerprint),
}

/// The TLS side of an [`Endpoint`].
pub(super) fn client_config(trust: &Trust) -> Result<Arc<ClientConfig>, String> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier: Arc<dyn ServerCertVerifier> = match trust {
        Trust::Pinned(pinned) => Arc::new(PinVerifier {
            pinned: *pinned,
            provider: Arc::clone(&provider),
        }),
        Trust::Roots(pem) => {
            let mut roots = RootCertStore::empty();
            for certificate in CertificateDer::pem_slice_iter(pem) {
                let certificate = certificate.map_err(|error| error.to_string())?;
                roots.add(certificate).map_err(|error| error.to_string())?;
            }
            let builder =
                WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
            builder.build().map_err(|error| error.to_string())?
        }
    };
    config(provider, verifier)
}

fn config(
    provider: Arc<CryptoProvider>,
    verifier: Arc<dyn ServerCertVerifier>,
) -> Result<Arc<ClientConfig>, String> {
    let versions = [&TLS13, &TLS12];
    let builder = ClientConfig::builder_with_provider(provider);
    let builder = builder
        .with_protocol_versions(&versions)
        .map_err(|error| error.to_string())?;
    // `dangerous` is the library's word for a verifier of one's own; ours is stricter than roots.
    let builder = builder
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    Ok(Arc::new(builder.with_no_client_auth()))
}

/// What certificate Space at `host` and `port` shows. Nothing is believed and nothing is sent: the
/// handshake is broken off after the certificate.
///
/// # Errors
/// Any [`Fault`] of connecting, and [`Fault::Tls`] when no certificate came.
pub fn fingerprint(host: &str, port: u16, deadline: Instant) -> Result<Fingerprint, Fault> {
    let endpoint = Endpoint::tcp(host, port).map_err(|_| Fault::Resolve)?;
    endpoint.resolve();
    let provider = Arc::new(aws_lc_rs::default_provider());
    let look = Arc::new(LookOnly {
        provider: Arc::clone(&provider),
        seen: Mutex::new(None),
    });
    let tls = config(provider, Arc::clone(&look) as Arc<dyn ServerCertVerifier>);
    let tls = tls.map_err(Fault::Tls)?;
    let name = ServerName::try_from(host.to_owned()).map_err(|_| Fault::Resolve)?;
    let socket = link::connect(&endpoint.addresses(), deadline)?;
    let outcome = Link::secure(socket, &tls, &name, deadline);
    let seen = *look.seen.lock().unwrap_or_else(PoisonError::into_inner);
    match (seen, outcome) {
        (Some(fingerprint), _) => Ok(fingerprint),
        (None, Err(fault)) => Err(fault),
        (None, Ok(_)) => Err(Fault::Tls("no certificate was shown".into())),
    }
}

/// Believes one certificate. That the peer has its key is checked as always.
#[derive(Debug)]
struct PinVerifier {
    pinned: Fingerprint,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for PinVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let shown = Fingerprint::of(end_entity);
        if shown == self.pinned {
            return Ok(ServerCertVerified::assertion());
        }
        Err(Error::General(format!(
            "its SHA-256 is {shown}, pinned is {}",
            self.pinned
        )))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

/// Keeps the fingerprint of what is shown, and believes nothing.
#[derive(Debug)]
struct LookOnly {
    provider: Arc<CryptoProvider>,
    seen: Mutex<Option<Fingerprint>>,
}

impl ServerCertVerifier for LookOnly {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let shown = Fingerprint::of(end_entity);
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(shown);
        Err(Error::InvalidCertificate(
            CertificateError::ApplicationVerificationFailure,
        ))
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::InvalidCertificate(
            CertificateError::ApplicationVerificationFailure,
        ))
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::InvalidCertificate(
            CertificateError::ApplicationVerificationFailure,
        ))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprints_read_back_in_every_usual_form() {
        let mut bytes = [0; 32];
        bytes[0] = 0xA0;
        bytes[31] = 0x0F;
        let fingerprint = Fingerprint::from_bytes(bytes);
        let shown = fingerprint.to_string();
        assert!(shown.starts_with("A0:00:") && shown.ends_with(":0F"));
        assert_eq!(Fingerprint::parse(&shown), Some(fingerprint));
        assert_eq!(
            Fingerprint::parse(&shown.replace(':', "").to_lowercase()),
            Some(fingerprint)
        );
        assert_eq!(
            Fingerprint::parse(&shown.replace(':', " ")),
            Some(fingerprint)
        );
        assert_eq!(Fingerprint::parse(&shown[1..]), None);
        assert_eq!(Fingerprint::parse(&shown.replace('A', "G")), None);
        assert_eq!(Fingerprint::parse(""), None);
    }

    #[test]
    fn a_file_without_certificates_is_trusted_by_nobody() {
        assert!(client_config(&Trust::Roots(Vec::new())).is_err());
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(client_config(&Trust::Roots(broken.into())).is_err());
    }
}
