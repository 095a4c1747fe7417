//! A certificate of the site's choice for browsers, beside the one for devices: chosen by the name
//! that the peer asks for. Devices know the server by its address and never ask for a name.

use std::fmt;
use std::sync::Arc;

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::extensions::GeneralName;

use super::config::{ConfigError, provider};

/// A certificate chain with its key, and the names that it is for.
pub struct BrowserIdentity {
    names: Vec<String>,
    key: Arc<CertifiedKey>,
}

impl BrowserIdentity {
    /// Reads chain and key, PEM.
    ///
    /// # Errors
    /// [`ConfigError::Browsers`] if one of them cannot be read, they do not fit each other, or the
    /// certificate names no host.
    pub fn read(chain: &[u8], key: &[u8]) -> Result<Self, ConfigError> {
        let bad = |why: &dyn fmt::Display| ConfigError::Browsers(why.to_string());
        let chain: Vec<_> = CertificateDer::pem_slice_iter(chain)
            .collect::<Result<_, _>>()
            .map_err(|error| bad(&error))?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| bad(&error))?;
        let leaf = chain.first().ok_or_else(|| bad(&"it has no certificate"))?;
        let names = names_of(leaf).ok_or_else(|| bad(&"the certificate cannot be read"))?;
        if names.is_empty() {
            return Err(bad(&"the certificate names no host"));
        }
        let key = CertifiedKey::from_der(chain, key, &provider());
        let key = Arc::new(key.map_err(|error| bad(&error))?);
        Ok(Self { names, key })
    }

    fn is_for(&self, host: &str) -> bool {
        self.names.iter().any(|name| covers(name, host))
    }
}

impl fmt::Debug for BrowserIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The key is never printed.
        f.debug_struct("BrowserIdentity")
            .field("names", &self.names)
            .finish_non_exhaustive()
    }
}

/// Chooses between the two.
#[derive(Debug)]
pub(super) struct ByName {
    pub(super) devices: Arc<CertifiedKey>,
    pub(super) browsers: Option<Arc<BrowserIdentity>>,
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let browsers = self.browsers.as_ref();
        let asked = browsers.zip(hello.server_name());
        let chosen = asked.filter(|(browsers, host)| browsers.is_for(host));
        let key = chosen.map_or(&self.devices, |(browsers, _)| &browsers.key);
        Some(Arc::clone(key))
    }
}

/// Whether a certificate's name is this host's; a star stands for one label.
fn covers(name: &str, host: &str) -> bool {
    match name.strip_prefix("*.") {
        Some(domain) => host
            .split_once('.')
            .is_some_and(|(_, rest)| rest.eq_ignore_ascii_case(domain)),
        None => name.eq_ignore_ascii_case(host),
    }
}

fn names_of(certificate: &CertificateDer<'_>) -> Option<Vec<String>> {
    let (_, certificate) = x509_parser::parse_x509_certificate(certificate).ok()?;
    let names = certificate.subject_alternative_name().ok()?;
    let names = names.map(|names| names.value.general_names.as_slice());
    let names = names
        .unwrap_or_default()
        .iter()
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            _ => None,
        });
    Some(names.collect())
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};

    use super::*;
    use crate::tls::testkit::Site;

    /// The certificate that a server shows to a peer that asks for this name.
    fn shown(config: &Arc<rustls::ServerConfig>, name: &str) -> CertificateDer<'static> {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let config = Arc::clone(config);
        let server = std::thread::spawn(move || {
            let (mut socket, _) = listener.accept().expect("a peer comes");
            let mut tls = rustls::ServerConnection::new(config).expect("a configuration");
            while tls.is_handshaking() {
                tls.complete_io(&mut socket).expect("a handshake");
            }
            tls.writer().write_all(b"x").expect("a byte");
            tls.complete_io(&mut socket).expect("sent");
        });
        let peer = Site::new().peer_that_trusts_anybody();
        let name = rustls_pki_types::ServerName::try_from(name.to_owned()).expect("a name");
        let tls = rustls::ClientConnection::new(peer, name).expect("a configuration");
        let socket = TcpStream::connect(address).expect("it listens");
        let mut stream = rustls::StreamOwned::new(tls, socket);
        stream.read_exact(&mut [0]).expect("a byte");
        server.join().expect("it ends");
        let chain = stream.conn.peer_certificates().expect("it showed one");
        chain[0].clone().into_owned()
    }

    fn made(names: &[&str]) -> (rcgen::Certificate, rcgen::KeyPair) {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let key = rcgen::KeyPair::generate().expect("randomness");
        let params = rcgen::CertificateParams::new(names).expect("names");
        (params.self_signed(&key).expect("signed"), key)
    }

    #[test]
    fn whoever_asks_by_name_sees_the_browsers_certificate() {
        let (devices, devices_key) = made(&["127.0.0.1"]);
        let (browsers, key) = made(&["face.example", "*.door.example"]);
        let identity =
            BrowserIdentity::read(browsers.pem().as_bytes(), key.serialize_pem().as_bytes());
        let identity = Arc::new(identity.expect("chain and key"));
        let sessions = Arc::new(crate::tls::Sessions::new(0));
        let devices_key = PrivateKeyDer::Pkcs8(devices_key.serialize_der().into());
        let config = crate::tls::config::server_config_with(
            (vec![devices.der().clone()], devices_key),
            Some(identity),
            &[],
            sessions,
        );
        let config = config.expect("sound");
        for name in ["face.example", "FACE.example", "a.door.example"] {
            assert_eq!(&shown(&config, name), browsers.der(), "{name}");
        }
        for name in [
            "127.0.0.1",
            "other.example",
            "door.example",
            "a.b.door.example",
        ] {
            assert_eq!(&shown(&config, name), devices.der(), "{name}");
        }
    }

    #[test]
    fn a_key_of_another_certificate_is_refused() {
        let ((certificate, _), (nameless, key)) = (made(&["a.example"]), made(&["127.0.0.1"]));
        let read =
            |pem: String| BrowserIdentity::read(pem.as_bytes(), key.serialize_pem().as_bytes());
        assert!(read(certificate.pem()).is_err());
        assert!(read(nameless.pem()).is_err(), "it is for an address");
        assert!(read("no PEM".into()).is_err());
    }
}
