//! HTTPS to the authority that issues the site's certificate, takes diagnostics and serves
//! updates. One request at a time, each with a deadline and a bound; never on a thread that
//! devices wait for.

use std::fmt;
use std::io::{self, Read};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore, SignatureScheme,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use serde::Serialize;
use serde::de::DeserializeOwned;
use ureq::Agent;
use ureq::http::Response;
use ureq::tls::{Certificate, ClientCert, PrivateKey, RootCerts, TlsConfig};

use crate::limits::{HTTPS_ANSWER_BYTES_MAX, HTTPS_TIMEOUT, WORDS_BYTES_MAX};
use crate::tls;

/// Why the authority did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuthorityError {
    /// Its address is none, or not HTTPS.
    Address,
    /// It cannot be reached, or its certificate is refused; in words.
    Unreachable(String),
    /// It says no: the status, and why in its own words, cut to a line.
    Refused(u16, String),
    /// Its answer is not one of this protocol; in words.
    Answer(String),
    /// Our own key or certificate cannot be used; in words.
    Identity(String),
}

impl fmt::Display for AuthorityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address => f.write_str("the authority's address is not https://host[:port]"),
            Self::Unreachable(why) => write!(f, "the authority cannot be reached: {why}"),
            Self::Refused(status, why) => write!(f, "the authority refuses ({status}): {why}"),
            Self::Answer(why) => write!(f, "the authority's answer: {why}"),
            Self::Identity(why) => write!(f, "this site's certificate: {why}"),
        }
    }
}

impl std::error::Error for AuthorityError {}

/// The authority, as one site reaches it.
pub struct Authority {
    agent: Agent,
    url: String,
}

impl Authority {
    /// The authority at `https://host[:port]`, believed by the CA of `ca` (PEM). With an identity
    /// (certificate and key, PEM) it knows which site asks.
    ///
    /// # Errors
    /// [`AuthorityError::Address`], [`AuthorityError::Identity`].
    pub fn new(
        url: &str,
        ca: &str,
        identity: Option<(&str, &str)>,
    ) -> Result<Self, AuthorityError> {
        host_and_port(url)?;
        let roots: Vec<_> = tls::certificates(ca)
            .map_err(AuthorityError::Identity)?
            .iter()
            .map(|root| Certificate::from_der(root).to_owned())
            .collect();
        let client = identity.map(|(certificate, key)| client_certificate(certificate, key));
        let tls = TlsConfig::builder()
            .unversioned_rustls_crypto_provider(tls::provider())
            .root_certs(RootCerts::from(roots))
            .client_cert(client.transpose()?)
            .build();
        let agent = Agent::config_builder()
            .tls_config(tls)
            .https_only(true)
            .max_redirects(0)
            .http_status_as_error(false)
            .proxy(None)
            .timeout_connect(Some(HTTPS_TIMEOUT))
            .timeout_send_request(Some(HTTPS_TIMEOUT))
            .timeout_recv_response(Some(HTTPS_TIMEOUT))
            .build();
        Ok(Self {
            agent: agent.into(),
            url: url.trim_end_matches('/').to_owned(),
        })
    }

    /// Posts a question as JSON and reads the answer's.
    ///
    /// # Errors
    /// Any [`AuthorityError`].
    pub fn ask<A: DeserializeOwned>(
        &self,
        path: &str,
        question: &impl Serialize,
    ) -> Result<A, AuthorityError> {
        let body = serde_json::to_vec(question)
            .map_err(|error| AuthorityError::Answer(error.to_string()))?;
        let sent = self
            .agent
            .post(self.at(path))
            .config()
            .timeout_global(Some(HTTPS_TIMEOUT))
            .build()
            .content_type("application/json")
            .send(&body[..]);
        parsed(&read(sent.map_err(unreachable)?)?)
    }

    /// Reads a small file.
    ///
    /// # Errors
    /// Any [`AuthorityError`].
    pub fn read(&self, path: &str) -> Result<Vec<u8>, AuthorityError> {
        let request = self
            .agent
            .get(self.at(path))
            .config()
            .timeout_global(Some(HTTPS_TIMEOUT))
            .build();
        read(request.call().map_err(unreachable)?)
    }

    /// Gives a file.
    ///
    /// # Errors
    /// Any [`AuthorityError`].
    pub fn put(&self, path: &str, content: &[u8]) -> Result<(), AuthorityError> {
        let sent = self.agent.put(self.at(path)).send(content);
        read(sent.map_err(unreachable)?).map(drop)
    }

    /// Begins to read a file from this byte on. `None` if it has no such byte.
    ///
    /// # Errors
    /// Any [`AuthorityError`]; a server that gives another part than was asked for is one.
    pub fn read_from(
        &self,
        path: &str,
        from: u64,
    ) -> Result<Option<impl Read + use<>>, AuthorityError> {
        let mut request = self.agent.get(self.at(path));
        if from > 0 {
            request = request.header("Range", format!("bytes={from}-"));
        }
        let response = request.call().map_err(unreachable)?;
        match (response.status().as_u16(), from) {
            (200, 0) => {}
            (206, _) => {
                let range = response.headers().get("content-range");
                let begins = range
                    .and_then(|range| range.to_str().ok())
                    .is_some_and(|range| range.starts_with(&format!("bytes {from}-")));
                if !begins {
                    return Err(AuthorityError::Answer("another range".to_owned()));
                }
            }
            (416, _) => return Ok(None),
            (200, _) => return Err(AuthorityError::Answer("no ranges".to_owned())),
            (status, _) => return Err(AuthorityError::Refused(status, words(response))),
        }
        Ok(Some(response.into_body().into_reader()))
    }

    fn at(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }
}

fn client_certificate(certificate: &str, key: &str) -> Result<ClientCert, AuthorityError> {
    let chain: Vec<_> = tls::certificates(certificate)
        .map_err(AuthorityError::Identity)?
        .iter()
        .map(|certificate| Certificate::from_der(certificate).to_owned())
        .collect();
    let key = PrivateKey::from_pem(key.as_bytes())
        .map_err(|error| AuthorityError::Identity(error.to_string()))?;
    Ok(ClientCert::new_with_certs(&chain, key))
}

fn unreachable(error: ureq::Error) -> AuthorityError {
    AuthorityError::Unreachable(shown(&error.to_string()))
}

/// An answer's JSON. What is wrong with it is told by where it is: `serde_json`'s own words quote
/// the answer, whatever its length.
fn parsed<A: DeserializeOwned>(text: &[u8]) -> Result<A, AuthorityError> {
    serde_json::from_slice(text).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        AuthorityError::Answer(format!("not as asked for: line {line}, column {column}"))
    })
}

/// What may be shown of words from outside: one line of [`WORDS_BYTES_MAX`], printable.
fn shown(text: &str) -> String {
    let end = text.floor_char_boundary(WORDS_BYTES_MAX);
    let line = text[..end].lines().next().unwrap_or_default();
    let prints =
        |symbol: &char| symbol.is_alphanumeric() || symbol.is_ascii_punctuation() || *symbol == ' ';
    line.chars().filter(prints).collect()
}

fn read(mut response: Response<ureq::Body>) -> Result<Vec<u8>, AuthorityError> {
    let status = response.status();
    if !status.is_success() {
        return Err(AuthorityError::Refused(status.as_u16(), words(response)));
    }
    response
        .body_mut()
        .with_config()
        .limit(HTTPS_ANSWER_BYTES_MAX)
        .read_to_vec()
        .map_err(|error| AuthorityError::Answer(error.to_string()))
}

/// Why the authority says no: a line of its answer, as far as it is text.
fn words(response: Response<ureq::Body>) -> String {
    let mut text = Vec::new();
    let body = response.into_body().into_reader();
    let _ = body.take(WORDS_BYTES_MAX as u64).read_to_end(&mut text);
    shown(&String::from_utf8_lossy(&text))
}

/// Host and port of `https://host[:port]`, without a path.
///
/// # Errors
/// [`AuthorityError::Address`].
pub fn host_and_port(url: &str) -> Result<(String, u16), AuthorityError> {
    let rest = url
        .strip_prefix("https://")
        .ok_or(AuthorityError::Address)?;
    let rest = rest.trim_end_matches('/');
    let (host, port) = match rest.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() && !port.ends_with(']') => {
            (host, port.parse().map_err(|_| AuthorityError::Address)?)
        }
        _ => (rest, 443),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let fits = |character: char| character.is_ascii_alphanumeric() || ".-:_".contains(character);
    if host.is_empty() || !host.chars().all(fits) {
        return Err(AuthorityError::Address);
    }
    Ok((host.to_owned(), port))
}

/// The certificate of the CA with this SHA-256 that the authority at `url` shows, PEM. The
/// authority's own certificate is checked by it, name and time too, before it is believed.
///
/// # Errors
/// [`AuthorityError::Address`], [`AuthorityError::Unreachable`].
pub fn root_with(url: &str, sha256: [u8; 32]) -> Result<String, AuthorityError> {
    root_within(url, sha256, HTTPS_TIMEOUT)
}

/// The same; connecting may take this long, and the handshake after it.
fn root_within(url: &str, sha256: [u8; 32], timeout: Duration) -> Result<String, AuthorityError> {
    let (host, port) = host_and_port(url)?;
    let unreachable =
        |error: &dyn fmt::Display| AuthorityError::Unreachable(shown(&error.to_string()));
    let provider = tls::provider();
    let verifier = Arc::new(ByRootHash {
        sha256,
        provider: Arc::clone(&provider),
    });
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| unreachable(&error))?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    let name = ServerName::try_from(host.clone()).map_err(|_| AuthorityError::Address)?;
    let mut connection =
        ClientConnection::new(Arc::new(config), name).map_err(|error| unreachable(&error))?;
    let mut socket = connect(&host, port, timeout).map_err(|error| unreachable(&error))?;
    shake_hands(&mut connection, &mut socket, Instant::now() + timeout)
        .map_err(|error| unreachable(&error))?;
    let shown = connection.peer_certificates().unwrap_or_default();
    let root = shown.iter().find(|shown| sha256_of(shown) == sha256);
    root.map(|root| pem(root))
        .ok_or_else(|| unreachable(&"its CA is not shown"))
}

/// Connects to one of the host's addresses; each has its part of the time.
fn connect(host: &str, port: u16, timeout: Duration) -> io::Result<TcpStream> {
    let addresses: Vec<_> = (host, port).to_socket_addrs()?.collect();
    let each = timeout / u32::try_from(addresses.len()).unwrap_or(1).max(1);
    let mut outcome = Err(io::Error::other("its host has no address"));
    for address in addresses {
        outcome = TcpStream::connect_timeout(&address, each);
        if outcome.is_ok() {
            break;
        }
    }
    outcome
}

/// A peer that sends a byte now and then has no more time than one that is silent.
fn shake_hands(
    connection: &mut ClientConnection,
    socket: &mut TcpStream,
    deadline: Instant,
) -> io::Result<()> {
    while connection.is_handshaking() {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "no answer in time"));
        }
        if connection.wants_write() {
            socket.set_write_timeout(Some(left))?;
            connection.write_tls(socket)?;
            continue;
        }
        socket.set_read_timeout(Some(left))?;
        match connection.read_tls(socket) {
            Ok(0) => return Err(io::Error::other("it closes the connection")),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(error) => return Err(error),
        }
        if let Err(error) = connection.process_new_packets() {
            // It is told why, if it still listens.
            let _ = connection.write_tls(socket);
            return Err(io::Error::other(error));
        }
    }
    Ok(())
}

/// A certificate in PEM.
fn pem(certificate: &[u8]) -> String {
    use base64::Engine as _;
    let encoded = base64::engine::general_purpose::STANDARD.encode(certificate);
    let mut pem = "-----BEGIN CERTIFICATE-----\n".to_owned();
    for (place, symbol) in encoded.chars().enumerate() {
        if place > 0 && place % 64 == 0 {
            pem.push('\n');
        }
        pem.push(symbol);
    }
    pem + "\n-----END CERTIFICATE-----\n"
}

fn sha256_of(certificate: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, certificate);
    hash.copy_from_slice(digest.as_ref());
    hash
}

/// Believes what the CA of this hash has issued, for the name and the time at hand.
#[derive(Debug)]
struct ByRootHash {
    sha256: [u8; 32],
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for ByRootHash {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let root = intermediates
            .iter()
            .find(|shown| sha256_of(shown) == self.sha256)
            .ok_or_else(|| rustls::Error::General("its CA is not the code's".to_owned()))?;
        let mut roots = RootCertStore::empty();
        roots.add(root.clone().into_owned())?;
        let provider = Arc::clone(&self.provider);
        let verifier =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build();
        let verifier = verifier.map_err(|error| rustls::Error::General(error.to_string()))?;
        verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

#[cfg(test)]
mod tests;
