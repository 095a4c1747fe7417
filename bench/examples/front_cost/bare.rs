//! The handshake alone: rustls on both ends, in memory, no socket and none of our code but the
//! configuration. What `handshakes` has above it is ours and the kernel's.

use std::sync::Arc;
use std::time::Instant;

use cardea::tls::{Sessions, server_config};
use rustls::crypto::aws_lc_rs::cipher_suite;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection,
    SupportedCipherSuite, version,
};
use rustls_pki_types::ServerName;

use super::{Failure, authority, issue};

const HANDSHAKES: usize = 1_000;
/// Rounds of each suite, taking turns.
const ROUNDS: usize = 3;

/// Prints the server's median us a full handshake with a client certificate, for both suites.
pub(crate) fn measure() -> Result<(), Failure> {
    let (root, issuer) = authority()?;
    let (chain, key) = issue(&issuer)?;
    let sessions = Arc::new(Sessions::new(HANDSHAKES));
    let server = server_config(vec![chain], key, std::slice::from_ref(&root), sessions)?;
    let (certificate, key) = issue(&issuer)?;
    let device = |suite: SupportedCipherSuite| -> Result<Arc<ClientConfig>, Failure> {
        let provider = CryptoProvider {
            cipher_suites: vec![suite],
            ..aws_lc_rs::default_provider()
        };
        let mut roots = RootCertStore::empty();
        roots.add(root.clone())?;
        let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&[&version::TLS13])?
            .with_root_certificates(roots)
            .with_client_auth_cert(vec![certificate.clone()], key.clone_key())?;
        config.resumption = rustls::client::Resumption::disabled();
        Ok(Arc::new(config))
    };
    let suites = [
        cipher_suite::TLS13_AES_128_GCM_SHA256,
        cipher_suite::TLS13_AES_256_GCM_SHA384,
    ];
    for _ in 0..ROUNDS {
        for suite in suites {
            let device = device(suite)?;
            let mut took = Vec::new();
            for _ in 0..HANDSHAKES {
                took.push(handshake(&device, &server)?);
            }
            took.sort_by(f64::total_cmp);
            println!(
                "in memory, {:?}: median {:.0} us of the server's, least {:.0}",
                suite.suite(),
                took[HANDSHAKES / 2],
                took[0]
            );
        }
    }
    Ok(())
}

/// The server's share of one handshake, microseconds by the clock.
fn handshake(device: &Arc<ClientConfig>, server: &Arc<ServerConfig>) -> Result<f64, Failure> {
    let mut client = ClientConnection::new(device.clone(), ServerName::try_from("localhost")?)?;
    let (mut up, mut down) = (Vec::new(), Vec::new());
    let began = Instant::now();
    let mut connection = ServerConnection::new(server.clone())?;
    let mut spent = began.elapsed();
    while client.is_handshaking() || connection.is_handshaking() || connection.wants_write() {
        up.clear();
        while client.wants_write() {
            client.write_tls(&mut up)?;
        }
        let began = Instant::now();
        let mut rest = &up[..];
        while !rest.is_empty() {
            connection.read_tls(&mut rest)?;
            connection.process_new_packets()?;
        }
        down.clear();
        while connection.wants_write() {
            connection.write_tls(&mut down)?;
        }
        spent += began.elapsed();
        let mut rest = &down[..];
        while !rest.is_empty() {
            client.read_tls(&mut rest)?;
            client.process_new_packets()?;
        }
    }
    Ok(spent.as_secs_f64() * 1e6)
}
