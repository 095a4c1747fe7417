//! TLS 1.3: ciphertext in, plaintext out. The only place of the server that names rustls.
//!
//! - `config`: the crypto provider, named once, and the server's configuration
//! - `live`: the configuration in force
//! - `browsers`: a certificate for browsers, chosen by name
//! - `session`: the TLS side of one connection
//! - `sessions`: what devices resume from, shared by all loops
//! - `warm`: handshakes with ourselves, so that the first burst is not the slowest

mod browsers;
mod config;
mod live;
mod session;
mod sessions;
mod warm;

pub use browsers::BrowserIdentity;
pub use config::{ConfigError, provider, server_config};
pub use live::LiveTls;
pub use rustls::ServerConfig;
pub use session::{PeerCertificate, Received, Session, TlsError};
pub use sessions::Sessions;
pub use warm::{warm_up, warm_up_as};

#[cfg(test)]
pub(crate) mod testkit;
#[cfg(test)]
mod tests;
