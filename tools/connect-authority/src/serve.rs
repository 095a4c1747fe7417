//! HTTPS for sites: a thread for each connection, one request each.

use std::fs;
use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rustls::crypto::aws_lc_rs;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};

use crate::Outcome;
use crate::pki::Authority;
use crate::request::{self, Answer, Request};

/// What sites are told, and how badly they are served.
pub(crate) struct Told {
    pub(crate) broker_host: String,
    pub(crate) broker_port: u16,
    pub(crate) life_s: i64,
    pub(crate) update_keys: Vec<String>,
    pub(crate) cut_after: Option<usize>,
}

struct World {
    folder: PathBuf,
    authority: Authority,
    told: Told,
}

/// Serves until it is killed.
pub(crate) fn run(folder: PathBuf, port: u16, told: Told) -> Outcome<()> {
    let authority = Authority::open(&folder)?;
    let config = config(&folder, &authority)?;
    let listener = TcpListener::bind(("127.0.0.1", port))?;
    let address = listener.local_addr()?;
    println!("{}", json!({"address": address, "port": address.port()}));
    std::io::stdout().flush()?;
    let world = Arc::new(World {
        folder,
        authority,
        told,
    });
    for socket in listener.incoming() {
        let (world, config) = (Arc::clone(&world), Arc::clone(&config));
        let socket = socket?;
        // How a connection ends is the client's affair.
        thread::spawn(move || drop(converse(&world, config, socket)));
    }
    Ok(())
}

fn config(folder: &Path, authority: &Authority) -> Outcome<Arc<ServerConfig>> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(authority.ca().clone())?;
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .allow_unauthenticated()
        .build()?;
    let chain: Result<Vec<_>, _> =
        CertificateDer::pem_file_iter(folder.join("authority.pem"))?.collect();
    let key = PrivateKeyDer::from_pem_file(folder.join("authority.key"))?;
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain?, key)?;
    Ok(Arc::new(config))
}

fn converse(world: &World, config: Arc<ServerConfig>, socket: TcpStream) -> std::io::Result<()> {
    socket.set_read_timeout(Some(Duration::from_secs(30)))?;
    let tls = ServerConnection::new(config).map_err(std::io::Error::other)?;
    let mut stream = StreamOwned::new(tls, socket);
    let Some(request) = request::read(&mut stream)? else {
        return Ok(());
    };
    let site = stream.conn.peer_certificates().and_then(|shown| {
        let (_, parsed) = x509_parser::parse_x509_certificate(shown.first()?).ok()?;
        let name = parsed.subject().iter_common_name().next()?.as_str().ok()?;
        Some(name.to_owned())
    });
    let answer = world.answer(&request, site.as_deref());
    answer.write(&mut stream)?;
    if answer.cut_after.is_none() {
        stream.conn.send_close_notify();
        stream.flush()?;
    }
    Ok(())
}

impl World {
    fn answer(&self, request: &Request, site: Option<&str>) -> Answer {
        let answered = match (request.method.as_str(), request.path.as_str(), site) {
            ("POST", "/v1/join", _) => self.join(request),
            ("POST", "/v1/renew", Some(site)) => self.renew(request, site),
            ("GET", "/v1/crl", _) => self.file("crl.pem", None),
            ("GET", path, _) if path.starts_with("/v1/updates/") => {
                let name = path.trim_start_matches("/v1/updates/");
                self.file(&format!("updates/{name}"), request.from)
            }
            ("PUT", path, Some(_)) if path.starts_with("/v1/diagnostics/") => {
                self.keep(path.trim_start_matches("/v1/diagnostics/"), &request.body)
            }
            (_, _, None) => Ok(Answer::new(401, "no certificate")),
            _ => Ok(Answer::new(404, "no such thing")),
        };
        answered.unwrap_or_else(|error| Answer::new(400, error.to_string()))
    }

    fn join(&self, request: &Request) -> Outcome<Answer> {
        let asked: Value = serde_json::from_slice(&request.body)?;
        let token = asked["token"].as_str().unwrap_or_default();
        if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Ok(Answer::new(403, "this code is not known"));
        }
        // Whoever takes it away has used it.
        let (token, used) = (
            self.folder.join("tokens").join(token),
            self.folder.join(format!("used-{token}")),
        );
        if fs::rename(token, &used).is_err() {
            return Ok(Answer::new(403, "this code is not known, or was used"));
        }
        let site = fs::read_to_string(used)?;
        let csr = asked["csr"].as_str().unwrap_or_default();
        let joined = json!({
            "site": site,
            "certificate": self.authority.sign(csr, &site, self.told.life_s)?,
            "ca": fs::read_to_string(self.folder.join("ca.pem"))?,
            "crl": fs::read_to_string(self.folder.join("crl.pem"))?,
            "broker_host": self.told.broker_host,
            "broker_port": self.told.broker_port,
            "update_keys": self.told.update_keys,
        });
        Ok(Answer::new(200, joined.to_string()))
    }

    fn renew(&self, request: &Request, site: &str) -> Outcome<Answer> {
        let asked: Value = serde_json::from_slice(&request.body)?;
        let csr = asked["csr"].as_str().unwrap_or_default();
        let renewed = json!({
            "certificate": self.authority.sign(csr, site, self.told.life_s)?,
            "crl": fs::read_to_string(self.folder.join("crl.pem"))?,
        });
        Ok(Answer::new(200, renewed.to_string()))
    }

    fn file(&self, name: &str, from: Option<u64>) -> Outcome<Answer> {
        if name.contains("..") {
            return Ok(Answer::new(404, "no such file"));
        }
        let Ok(bytes) = fs::read(self.folder.join(name)) else {
            return Ok(Answer::new(404, "no such file"));
        };
        let mut answer = match from {
            None => Answer::new(200, bytes),
            Some(from) => {
                let (at, size) = (usize::try_from(from)?, bytes.len());
                if at >= size {
                    return Ok(Answer::new(416, "no such byte"));
                }
                let mut part = Answer::new(206, &bytes[at..]);
                part.range = Some(format!("bytes {from}-{}/{size}", size - 1));
                part
            }
        };
        // What is small comes whole: it is downloads that are cut.
        answer.cut_after = self.told.cut_after.filter(|cut| answer.body.len() > *cut);
        Ok(answer)
    }

    fn keep(&self, name: &str, body: &[u8]) -> Outcome<Answer> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
        if name.starts_with('.') || !name.bytes().all(fits) {
            return Ok(Answer::new(400, "no name"));
        }
        let folder = self.folder.join("diagnostics");
        fs::create_dir_all(&folder)?;
        fs::write(folder.join(name), body)?;
        Ok(Answer::new(201, ""))
    }
}
