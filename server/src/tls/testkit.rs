//! A site's authority with its server and devices, and peers in memory, for tests.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
pub(crate) use rustls::{ClientConfig, ClientConnection, StreamOwned};
use rustls::{RootCertStore, SupportedCipherSuite, version};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};

use super::{Received, ServerConfig, Session, Sessions, TlsError, provider, server_config};
use crate::limits::READ_BUFFER_BYTES;

/// A certificate and its key.
pub(crate) struct Identity {
    pub(crate) certificate: CertificateDer<'static>,
    key: Vec<u8>,
}

impl Identity {
    /// As `warm_up_as` takes it.
    pub(super) fn chain_and_key(&self) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        (vec![self.certificate.clone()], self.key())
    }

    fn key(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.key.clone()).into()
    }
}

/// An authority and the server it signed.
pub(crate) struct Site {
    issuer: Issuer<'static, KeyPair>,
    pub(crate) root: CertificateDer<'static>,
    server: Identity,
}

impl Site {
    pub(crate) fn new() -> Site {
        Site::named("the site")
    }

    pub(crate) fn named(name: &str) -> Site {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("randomness");
        let root = params.self_signed(&key).expect("a key of ours signs");
        let root = root.der().clone();
        let issuer = Issuer::new(params, key);
        let server = issue(&issuer, ExtendedKeyUsagePurpose::ServerAuth, 4_096);
        Site {
            issuer,
            root,
            server,
        }
    }

    /// A device's certificate of this site.
    pub(crate) fn device(&self) -> Identity {
        issue(&self.issuer, ExtendedKeyUsagePurpose::ClientAuth, 4_096)
    }

    /// A device's certificate of this site that has expired.
    pub(crate) fn expired_device(&self) -> Identity {
        issue(&self.issuer, ExtendedKeyUsagePurpose::ClientAuth, 1_971)
    }

    pub(crate) fn server(&self, sessions: &Arc<Sessions>) -> Arc<ServerConfig> {
        let chain = vec![self.server.certificate.clone()];
        let roots = std::slice::from_ref(&self.root);
        let config = server_config(chain, self.server.key(), roots, sessions.clone());
        config.expect("chain and key belong together")
    }

    /// A peer that looks at no certificate: what it is shown is for the test to judge.
    pub(crate) fn peer_that_trusts_anybody(&self) -> Arc<ClientConfig> {
        let config = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&version::TLS13])
            .expect("the provider has TLS 1.3")
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anybody))
            .with_no_client_auth();
        Arc::new(config)
    }

    /// A peer's configuration; it remembers its sessions.
    pub(crate) fn peer(&self, identity: Option<&Identity>) -> Arc<ClientConfig> {
        self.peer_offering(provider().cipher_suites.clone(), identity)
    }

    /// A peer's configuration with these suites, best first.
    pub(crate) fn peer_offering(
        &self,
        cipher_suites: Vec<SupportedCipherSuite>,
        identity: Option<&Identity>,
    ) -> Arc<ClientConfig> {
        let provider = CryptoProvider {
            cipher_suites,
            ..(*provider()).clone()
        };
        let mut roots = RootCertStore::empty();
        roots.add(self.root.clone()).expect("our own root");
        let builder = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&[&version::TLS13])
            .expect("the provider has TLS 1.3")
            .with_root_certificates(roots);
        let config = match identity {
            None => builder.with_no_client_auth(),
            Some(identity) => builder
                .with_client_auth_cert(vec![identity.certificate.clone()], identity.key())
                .expect("certificate and key belong together"),
        };
        Arc::new(config)
    }
}

fn issue(issuer: &Issuer<'_, KeyPair>, usage: ExtendedKeyUsagePurpose, year: i32) -> Identity {
    let names = vec!["localhost".to_owned()];
    let mut params = CertificateParams::new(names).expect("a valid name");
    params.extended_key_usages = vec![usage];
    params.not_before = rcgen::date_time_ymd(1_970, 1, 1);
    params.not_after = rcgen::date_time_ymd(year, 1, 1);
    let key = KeyPair::generate().expect("randomness");
    let certificate = params.signed_by(&key, issuer).expect("our own issuer");
    Identity {
        certificate: certificate.der().clone(),
        key: key.serialize_der(),
    }
}

/// A client of rustls, for the name every certificate here has.
pub(crate) fn client(config: &Arc<ClientConfig>) -> ClientConnection {
    let name = ServerName::try_from("localhost").expect("a valid name");
    ClientConnection::new(config.clone(), name).expect("a configuration of ours")
}

/// A client and our session, connected by memory.
pub(crate) struct Pair {
    pub(crate) client: ClientConnection,
    pub(crate) server: Session,
    /// What the server has decrypted.
    pub(crate) plaintext: Vec<u8>,
    pub(crate) seen: Received,
    inbox: Vec<u8>,
}

impl Pair {
    pub(crate) fn new(client_config: &Arc<ClientConfig>, server: &Arc<ServerConfig>) -> Pair {
        Pair {
            client: client(client_config),
            server: Session::new(server.clone()).expect("a configuration of ours"),
            plaintext: Vec::new(),
            seen: Received::default(),
            inbox: vec![0; READ_BUFFER_BYTES],
        }
    }

    /// Carries bytes both ways until there are none, `piece` at a time towards the server.
    pub(crate) fn pump(&mut self, piece: usize) -> Result<(), TlsError> {
        loop {
            let mut sent = Vec::new();
            while self.client.wants_write() {
                self.client.write_tls(&mut sent).expect("memory takes all");
            }
            if sent.is_empty() {
                return Ok(());
            }
            for part in sent.chunks(piece) {
                let mut outgoing = Vec::new();
                let result = self.feed(part, &mut outgoing);
                self.deliver(&outgoing);
                result?;
            }
        }
    }

    /// Gives bytes to the server.
    pub(crate) fn feed(&mut self, part: &[u8], outgoing: &mut Vec<u8>) -> Result<(), TlsError> {
        let kept = self.server.restore(&mut self.inbox);
        self.inbox[kept..kept + part.len()].copy_from_slice(part);
        let inbox = &mut self.inbox[..kept + part.len()];
        let received = self.server.receive(inbox, &mut self.plaintext, outgoing)?;
        self.seen.handshake_done |= received.handshake_done;
        self.seen.peer_closed |= received.peer_closed;
        Ok(())
    }

    /// Gives bytes to the client; what it makes of them shows in its state.
    pub(crate) fn deliver(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.client.read_tls(&mut bytes).unwrap_or(0) == 0 {
                break;
            }
            if self.client.process_new_packets().is_err() {
                break;
            }
        }
    }
}

/// Believes everybody.
#[derive(Debug)]
struct Anybody;

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: rustls_pki_types::UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &rustls::DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &rustls::DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        let provider = provider();
        provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
