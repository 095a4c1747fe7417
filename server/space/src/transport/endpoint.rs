//! Where Space is, and how it is spoken to.

use std::fmt;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Mutex, PoisonError};

use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use zeroize::Zeroizing;

use super::tls::{self, Trust};

/// Why an endpoint cannot be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndpointError {
    /// Neither an address nor a host name.
    Host(String),
    /// The key has characters that a header cannot carry, or none.
    Key,
    /// The trusted certificates cannot be read.
    Trust(String),
}

impl fmt::Display for EndpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(host) => write!(f, "{host:?} is neither an address nor a host name"),
            Self::Key => f.write_str("the SHIP key must be printable ASCII without blanks"),
            Self::Trust(why) => write!(f, "cannot read the trusted certificates: {why}"),
        }
    }
}

impl std::error::Error for EndpointError {}

#[derive(Clone)]
pub(super) enum Scheme {
    Https {
        /// `host:port` as it stands in the request.
        host: String,
        key: Arc<Zeroizing<String>>,
        tls: Arc<ClientConfig>,
        name: ServerName<'static>,
    },
    Tcp,
}

/// Where Space is. Host names are resolved by [`Endpoint::resolve`] only, which may block for
/// long; connections use what it found last.
pub struct Endpoint {
    host: String,
    port: u16,
    scheme: Scheme,
    addresses: Mutex<Vec<SocketAddr>>,
}

impl Endpoint {
    /// SHIP over HTTPS, with the `Salto-SHIP-Key` header.
    ///
    /// # Errors
    /// Any [`EndpointError`].
    pub fn https(host: &str, port: u16, key: &str, trust: &Trust) -> Result<Self, EndpointError> {
        if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(EndpointError::Key);
        }
        let bad_host = || EndpointError::Host(host.chars().take(80).collect());
        let name = ServerName::try_from(host.to_owned()).map_err(|_| bad_host())?;
        let scheme = Scheme::Https {
            host: authority(host, port),
            key: Arc::new(Zeroizing::new(key.to_owned())),
            tls: tls::client_config(trust).map_err(EndpointError::Trust)?,
            name,
        };
        Self::new(host, port, scheme)
    }

    /// SHIP over TCP. It has neither key nor encryption: whoever is on the network can open doors,
    /// so this is for sites whose Space offers nothing else.
    ///
    /// # Errors
    /// [`EndpointError::Host`].
    pub fn tcp(host: &str, port: u16) -> Result<Self, EndpointError> {
        Self::new(host, port, Scheme::Tcp)
    }

    fn new(host: &str, port: u16, scheme: Scheme) -> Result<Self, EndpointError> {
        if ServerName::try_from(host).is_err() {
            return Err(EndpointError::Host(host.chars().take(80).collect()));
        }
        let fixed = host
            .parse::<IpAddr>()
            .map(|address| vec![SocketAddr::new(address, port)]);
        let addresses = Mutex::new(fixed.unwrap_or_default());
        Ok(Self {
            host: host.to_owned(),
            port,
            scheme,
            addresses,
        })
    }

    /// Looks the host name up and keeps what was found. A look-up that fails changes nothing, so
    /// that a name server's absence does not take Space away. Blocks as long as the system's
    /// resolver does; does nothing for addresses.
    pub fn resolve(&self) {
        if self.host.parse::<IpAddr>().is_ok() {
            return;
        }
        let Ok(found) = (self.host.as_str(), self.port).to_socket_addrs() else {
            return;
        };
        let found: Vec<_> = found.collect();
        if !found.is_empty() {
            *self
                .addresses
                .lock()
                .unwrap_or_else(PoisonError::into_inner) = found;
        }
    }

    /// The addresses last found.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.addresses
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(super) fn scheme(&self) -> &Scheme {
        &self.scheme
    }
}

/// Shows no key.
impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.scheme {
            Scheme::Https { .. } => "https",
            Scheme::Tcp => "tcp",
        };
        write!(f, "{scheme}://{}", authority(&self.host, self.port))
    }
}

fn authority(host: &str, port: u16) -> String {
    if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_keys_are_checked_and_the_key_is_not_shown() {
        let trust = Trust::Pinned(super::super::Fingerprint::from_bytes([7; 32]));
        let https = |host: &str, key: &str| Endpoint::https(host, 8100, key, &trust);
        let endpoint = https("space.example", "SECRETSECRET").unwrap();
        assert_eq!(format!("{endpoint:?}"), "https://space.example:8100");
        assert!(endpoint.addresses().is_empty());
        let endpoint = https("fd00::7", "k").unwrap();
        assert_eq!(format!("{endpoint:?}"), "https://[fd00::7]:8100");
        assert_eq!(endpoint.addresses().len(), 1);
        assert!(matches!(https("no host", "k"), Err(EndpointError::Host(_))));
        assert!(matches!(https("a/b", "k"), Err(EndpointError::Host(_))));
        for key in ["", "a b", "a\r\nb", "\u{e4}"] {
            assert!(
                matches!(https("a", key), Err(EndpointError::Key)),
                "{key:?}"
            );
        }
        assert!(matches!(Endpoint::tcp("", 1), Err(EndpointError::Host(_))));
    }

    #[test]
    fn a_name_is_resolved_only_when_asked_to() {
        let endpoint = Endpoint::tcp("localhost", 9).unwrap();
        assert!(endpoint.addresses().is_empty());
        endpoint.resolve();
        assert!(
            endpoint
                .addresses()
                .iter()
                .all(|address| address.ip().is_loopback())
        );
        assert!(!endpoint.addresses().is_empty());
    }
}
