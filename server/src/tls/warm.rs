//! Handshakes with ourselves before the server says ready.
//!
//! The first handshakes of a process are two to three times as slow as later ones: pages of the
//! crypto library are not in memory, tables not built, the allocator has no free blocks yet.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WantsClientCert};
use rustls::crypto::{CryptoProvider, verify_tls13_signature};
use rustls::{
    ClientConfig, ClientConnection, ConfigBuilder, DigitallySignedStruct, Error, ServerConfig,
    SignatureScheme, version,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};

use super::config::provider;
use super::session::{Session, TlsError};
use crate::limits::READ_BUFFER_BYTES;

/// Round trips after which a handshake is over, and one for the ticket.
const ROUND_TRIPS_MAX: usize = 4;

/// Runs `handshakes` handshakes in memory against `config`, one after the other, the first full
/// and the others resumed where that is possible.
///
/// # Errors
/// When a handshake fails: then no device's would succeed either.
pub fn warm_up(config: &Arc<ServerConfig>, handshakes: usize) -> Result<(), TlsError> {
    run(client()?.with_no_client_auth(), config, handshakes)
}

/// The same with a certificate and its key, each handshake a full one, so that `config` verifies
/// certificates as it does for devices. Give it a configuration with sessions of its own: a device
/// that does not exist has none to keep.
///
/// # Errors
/// As [`warm_up`]; when `config` does not take the certificate.
pub fn warm_up_as(
    (chain, key): (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>),
    config: &Arc<ServerConfig>,
    handshakes: usize,
) -> Result<(), TlsError> {
    let client = client()?.with_client_auth_cert(chain, key);
    let mut client = client.map_err(TlsError::Protocol)?;
    client.resumption = Resumption::disabled();
    run(client, config, handshakes)
}

fn client() -> Result<ConfigBuilder<ClientConfig, WantsClientCert>, TlsError> {
    let client = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&version::TLS13])
        .map_err(TlsError::Protocol)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(OurOwn(provider())));
    Ok(client)
}

fn run(
    client: ClientConfig,
    config: &Arc<ServerConfig>,
    handshakes: usize,
) -> Result<(), TlsError> {
    let client = Arc::new(client);
    for _ in 0..handshakes {
        handshake(&client, config)?;
    }
    Ok(())
}

fn handshake(client: &Arc<ClientConfig>, config: &Arc<ServerConfig>) -> Result<(), TlsError> {
    let name = ServerName::try_from("warm-up.invalid").map_err(|_| {
        TlsError::Protocol(Error::General("the name of the warm-up is no name".into()))
    })?;
    let client = ClientConnection::new(client.clone(), name);
    let mut client = client.map_err(TlsError::Protocol)?;
    let mut server = Session::new(config.clone())?;
    let mut inbox = vec![0; READ_BUFFER_BYTES];
    let (mut plaintext, mut outgoing) = (Vec::new(), Vec::new());
    for _ in 0..ROUND_TRIPS_MAX {
        let kept = server.restore(&mut inbox);
        let mut room = &mut inbox[kept..];
        let length = client.write_tls(&mut room).unwrap_or(0);
        server.receive(&mut inbox[..kept + length], &mut plaintext, &mut outgoing)?;
        let mut rest = &outgoing[..];
        while client.read_tls(&mut rest).unwrap_or(0) > 0 {
            client.process_new_packets().map_err(TlsError::Protocol)?;
        }
        outgoing.clear();
    }
    match server.is_handshaking() {
        true => Err(TlsError::Protocol(Error::HandshakeNotComplete)),
        false => Ok(()),
    }
}

/// Trusts whoever answers, because that is ourselves; checks the signature to warm that as well.
#[derive(Debug)]
struct OurOwn(Arc<CryptoProvider>);

impl ServerCertVerifier for OurOwn {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("TLS 1.2 is never spoken".into()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = &self.0.signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}
