//! TLS as a device speaks it: 1.3 only, own certificate, the site's CA as the only root.
//!
//! A device knows the server by an IP address and the site CA, never by a name, and it may have no
//! clock. So a server's certificate is checked at an instant at which both it and the site CA are
//! valid (the later of their beginnings): the chain, the address and the signatures decide, the
//! device's clock does not. That a server still holds a current certificate is the site's task.

use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use aws_lc_rs::digest;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs as provider};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::identity::Identity;

/// What a device trusts.
#[derive(Debug)]
enum Trust {
    /// Any of these site CAs.
    Roots(Vec<Root>),
    /// The site CA of this SHA-256, which the server sends in its chain: before commissioning.
    Sha256([u8; 32]),
}

/// The TLS configuration of a commissioned device. One per device: the session tickets are its own.
/// `resumes` says whether it keeps one to resume with; without, every handshake is a full one.
///
/// # Errors
/// A key that does not belong to the certificate, or one that TLS cannot use.
pub fn commissioned(identity: &Identity, resumes: bool) -> Result<Arc<ClientConfig>, Error> {
    let roots = identity.site_cas.iter().map(Root::new);
    let trust = Trust::Roots(roots.collect::<Result<_, _>>()?);
    let key = PrivateKeyDer::Pkcs8(identity.key.clone_key());
    let chain = vec![identity.certificate.clone()];
    let mut config = builder(trust)?.with_client_auth_cert(chain, key)?;
    config.resumption = match resumes {
        true => Resumption::in_memory_sessions(1),
        false => Resumption::disabled(),
    };
    Ok(Arc::new(config))
}

/// The TLS configuration of a device that holds nothing but a commissioning code.
///
/// # Errors
/// None that a caller can cause.
pub fn uncommissioned(site_ca_sha256: [u8; 32]) -> Result<Arc<ClientConfig>, Error> {
    let mut config = builder(Trust::Sha256(site_ca_sha256))?.with_no_client_auth();
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

/// The server's name as TLS wants it: its address.
#[must_use]
pub fn server_name(server: SocketAddr) -> ServerName<'static> {
    ServerName::IpAddress(server.ip().into())
}

/// SHA-256 of a certificate's DER.
#[must_use]
pub fn sha256(der: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest::digest(&digest::SHA256, der).as_ref());
    hash
}

type Builder = rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert>;

fn builder(trust: Trust) -> Result<Builder, Error> {
    Ok(ClientConfig::builder_with_provider(Arc::clone(&PROVIDER))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(SiteVerifier(trust))))
}

/// One provider for all devices of the process.
static PROVIDER: LazyLock<Arc<CryptoProvider>> =
    LazyLock::new(|| Arc::new(provider::default_provider()));

/// A site CA, ready to check servers against.
#[derive(Debug)]
struct Root {
    verifier: Arc<WebPkiServerVerifier>,
    beginning: UnixTime,
}

impl Root {
    fn new(site_ca: &CertificateDer<'_>) -> Result<Self, Error> {
        let mut roots = RootCertStore::empty();
        roots.add(site_ca.clone().into_owned())?;
        let provider = Arc::clone(&PROVIDER);
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .map_err(|error| Error::General(error.to_string()))?;
        Ok(Self {
            verifier,
            beginning: beginning(site_ca)?,
        })
    }

    fn verify(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
    ) -> Result<ServerCertVerified, Error> {
        let instant = beginning(end_entity)?.max(self.beginning);
        self.verifier
            .verify_server_cert(end_entity, intermediates, server_name, &[], instant)
    }
}

/// Checks a server's chain against the site CA with the verifier of rustls; the only difference is
/// the instant of the check.
#[derive(Debug)]
struct SiteVerifier(Trust);

impl ServerCertVerifier for SiteVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let unknown = Error::InvalidCertificate(CertificateError::UnknownIssuer);
        match &self.0 {
            Trust::Roots(roots) => {
                let mut outcome = Err(unknown);
                for root in roots {
                    outcome = root.verify(end_entity, intermediates, server_name);
                    if outcome.is_ok() {
                        break;
                    }
                }
                outcome
            }
            Trust::Sha256(pin) => {
                let site_ca = intermediates.iter().find(|der| sha256(der) == *pin);
                let root = Root::new(site_ca.ok_or(unknown)?)?;
                root.verify(end_entity, intermediates, server_name)
            }
        }
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("TLS 1.2 is not spoken".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &PROVIDER.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        PROVIDER
            .signature_verification_algorithms
            .supported_schemes()
    }
}

fn beginning(der: &CertificateDer<'_>) -> Result<UnixTime, Error> {
    let bad = || Error::InvalidCertificate(CertificateError::BadEncoding);
    let (_, certificate) = X509Certificate::from_der(der).map_err(|_| bad())?;
    let seconds = certificate.validity().not_before.timestamp();
    let seconds = u64::try_from(seconds).map_err(|_| bad())?;
    Ok(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
}
