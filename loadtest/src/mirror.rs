//! A server of the device protocol that answers at once: it shows what the load test itself costs
//! (`loadtest self-check`) and stands in for the real one in tests. It looks nobody up; a function
//! given to it answers access requests. One thread per connection, so a few hundred devices.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use cardea_wire::commission::{Certificates, CommissionRequest, RenewRequest};
use cardea_wire::{
    AccessRequest, CommissioningCode, Decision, Head, Kind, Reason, Reply, RequestId, path,
};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DnType, IsCa, Issuer,
    KeyPair, PKCS_ECDSA_P256_SHA256, SanType,
};
use rustls::crypto::aws_lc_rs as provider;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use rustls_pki_types::{
    CertificateDer, CertificateSigningRequestDer, PrivateKeyDer, PrivatePkcs8KeyDer,
};

use crate::tls;

const REQUEST_HEAD_BYTES_MAX: usize = 4_096;

/// What answers access requests.
pub type Answers = dyn Fn(&AccessRequest<'_>) -> Reply + Send + Sync;

/// What answers heartbeats.
pub type Heartbeats = dyn Fn(&Head) -> Reply + Send + Sync;

/// A running mirror; its threads end with the process.
#[derive(Debug)]
pub struct Mirror {
    address: SocketAddr,
    site_ca: CertificateDer<'static>,
}

struct Site {
    issuer: Issuer<'static, KeyPair>,
    site_ca: CertificateDer<'static>,
    answers: Box<Answers>,
    heartbeats: Box<Heartbeats>,
}

/// Why a mirror does not start.
pub type MirrorError = Box<dyn std::error::Error + Send + Sync>;

impl Mirror {
    /// Makes a site CA and a server certificate, listens on a free loopback port, and answers.
    ///
    /// # Errors
    /// Keys, certificates or the socket.
    pub fn start(answers: Box<Answers>) -> Result<Self, MirrorError> {
        let served =
            |head: &Head| Reply::new(head.kind, head.request_id, Decision::Served, Reason::None);
        Self::start_with(answers, Box::new(served))
    }

    /// The same with heartbeats answered by a function.
    ///
    /// # Errors
    /// As [`Mirror::start`].
    pub fn start_with(
        answers: Box<Answers>,
        heartbeats: Box<Heartbeats>,
    ) -> Result<Self, MirrorError> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;

        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        // Two certificates of one name look self-signed to OpenSSL.
        params
            .distinguished_name
            .push(DnType::CommonName, "mirror CA");
        let ca_key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let site_ca = params.self_signed(&ca_key)?.der().clone();
        let issuer = Issuer::new(params, ca_key);

        let server_key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![SanType::IpAddress(address.ip())];
        let certificate = params.signed_by(&server_key, &issuer)?.der().clone();
        let config = server_config(certificate, &server_key, &site_ca)?;

        let site = Arc::new(Site {
            issuer,
            site_ca: site_ca.clone(),
            answers,
            heartbeats,
        });
        thread::spawn(move || {
            for socket in listener.incoming().map_while(Result::ok) {
                let (site, config) = (Arc::clone(&site), Arc::clone(&config));
                // A device that goes away ends its thread: nothing to tell anyone.
                thread::spawn(move || serve(&site, config, socket).ok());
            }
        });
        Ok(Self { address, site_ca })
    }

    /// A commissioning code that this mirror honours, any number of times.
    #[must_use]
    pub fn code(&self, door: &str) -> CommissioningCode {
        CommissioningCode {
            server: self.address,
            site_ca_sha256: tls::sha256(&self.site_ca),
            token: [7; 16],
            door: door.to_owned(),
        }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Answers that know every probe of a file: what the exhaustive search found.
#[must_use]
pub fn true_answers(probes: &crate::probes::Probes) -> Box<Answers> {
    let answers: std::collections::HashMap<Vec<u8>, (u64, f32)> = (0..probes.count())
        .filter_map(|number| {
            let found = probes.known(number).answer.as_ref()?;
            let score = f32::from_bits(found.score_bits);
            Some((probes.embedding(number).to_vec(), (found.person.tag, score)))
        })
        .collect();
    Box::new(move |request| {
        let found = match request.embedding {
            cardea_wire::EncodedEmbedding::F32(bytes) => answers.get(bytes.as_slice()),
            cardea_wire::EncodedEmbedding::Int8 { .. } => None,
        };
        let (decision, reason) = match found {
            Some(_) => (Decision::Granted, Reason::None),
            None => (Decision::Denied, Reason::NoMatch),
        };
        let mut reply = Reply::new(Kind::Access, request.request_id, decision, reason);
        if let Some((tag, score)) = found {
            reply.person = *tag;
            reply.score = *score;
        }
        reply
    })
}

fn server_config(
    certificate: CertificateDer<'static>,
    key: &KeyPair,
    site_ca: &CertificateDer<'static>,
) -> Result<Arc<ServerConfig>, MirrorError> {
    let provider = Arc::new(provider::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(site_ca.clone())?;
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .allow_unauthenticated()
            .build()?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![certificate, site_ca.clone()], key)?;
    Ok(Arc::new(config))
}

fn serve(site: &Site, config: Arc<ServerConfig>, socket: TcpStream) -> Result<(), MirrorError> {
    socket.set_nodelay(true)?;
    let session = ServerConnection::new(config)?;
    let mut stream = StreamOwned::new(session, socket);
    let mut bytes = Vec::new();
    while let Some((target, body)) = next_request(&mut stream, &mut bytes)? {
        let authenticated = stream.conn.peer_certificates().is_some();
        let (status, reply) = answer(site, &target, &body, authenticated)?;
        let mut out = format!(
            "HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n",
            reply.len()
        );
        let mut out = std::mem::take(&mut out).into_bytes();
        out.extend_from_slice(&reply);
        stream.write_all(&out)?;
        stream.flush()?;
    }
    Ok(())
}

fn next_request(
    stream: &mut impl Read,
    bytes: &mut Vec<u8>,
) -> Result<Option<(String, Vec<u8>)>, MirrorError> {
    loop {
        let mut headers = [httparse::EMPTY_HEADER; 16];
        let mut request = httparse::Request::new(&mut headers);
        if let httparse::Status::Complete(head) = request.parse(bytes)? {
            let target = request.path.unwrap_or_default().to_owned();
            let length = request.headers.iter().find_map(|header| {
                let is_it = header.name.eq_ignore_ascii_case("content-length");
                let text = std::str::from_utf8(header.value).ok().filter(|_| is_it)?;
                text.parse::<usize>().ok()
            });
            let length = length.unwrap_or(0);
            if length > REQUEST_HEAD_BYTES_MAX {
                return Err("body too long".into());
            }
            if bytes.len() >= head + length {
                let body = bytes[head..head + length].to_vec();
                bytes.drain(..head + length);
                return Ok(Some((target, body)));
            }
        } else if bytes.len() > REQUEST_HEAD_BYTES_MAX {
            return Err("head too long".into());
        }
        let mut piece = [0; 4_096];
        match stream.read(&mut piece) {
            Ok(0) => return Ok(None),
            Ok(count) => bytes.extend_from_slice(&piece[..count]),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(error.into()),
        }
    }
}

fn answer(
    site: &Site,
    target: &str,
    body: &[u8],
    authenticated: bool,
) -> Result<(u16, Vec<u8>), MirrorError> {
    if target == path::COMMISSION {
        let request = CommissionRequest::parse(body)?;
        let payload = site.certificates(request.csr)?;
        return Ok((
            200,
            certified(Kind::Commission, request.request_id, payload),
        ));
    }
    if !authenticated {
        let id = RequestId::default();
        let reason = Reason::NoCertificate;
        let reply = Reply::new(Kind::Access, id, Decision::Refused, reason);
        return Ok((401, reply.to_bytes()));
    }
    if target == path::RENEW {
        let request = RenewRequest::parse(body)?;
        let payload = site.certificates(request.csr)?;
        return Ok((200, certified(Kind::Renew, request.request_id, payload)));
    }
    if target == path::ACCESS {
        let request = AccessRequest::parse(body)?;
        let reply = (site.answers)(&request);
        let status = if reply.decision == Decision::Refused {
            503
        } else {
            200
        };
        return Ok((status, reply.to_bytes()));
    }
    let head = Head::parse(body)?;
    Ok((200, (site.heartbeats)(&head).to_bytes()))
}

fn certified(kind: Kind, id: RequestId, payload: Vec<u8>) -> Vec<u8> {
    let mut reply = Reply::new(kind, id, Decision::Served, Reason::None);
    reply.payload = payload;
    reply.to_bytes()
}

impl Site {
    fn certificates(&self, csr: &[u8]) -> Result<Vec<u8>, MirrorError> {
        let csr = CertificateSigningRequestDer::from(csr);
        let request = CertificateSigningRequestParams::from_der(&csr)?;
        let device = request.signed_by(&self.issuer)?;
        let certificates = Certificates {
            device: device.der(),
            site_ca: &self.site_ca,
        };
        Ok(certificates.to_bytes())
    }
}
