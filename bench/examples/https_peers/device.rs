//! A device that measures: TLS 1.3 with its certificate, a POST as long as an access request.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;

use cardea::tls::provider;
use rustls::client::Resumption;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, version};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};

use crate::Failure;
use crate::instantly::REPLY_BYTES;

/// The length of an access request with an f32 embedding.
const REQUEST_BYTES: usize = 64 + 2_048;

pub(crate) type Stream = StreamOwned<ClientConnection, TcpStream>;

/// A device's certificate, without sessions: each handshake is a full one.
pub(crate) struct Device(Arc<ClientConfig>);

impl Device {
    pub(crate) fn new(folder: &Path) -> Result<Self, Failure> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(folder.join("ca.pem"))?)?;
        let chain = vec![CertificateDer::from_pem_file(folder.join("client.pem"))?];
        let key = PrivateKeyDer::from_pem_file(folder.join("client.key"))?;
        let mut config = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&version::TLS13])?
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, key)?;
        config.resumption = Resumption::disabled();
        Ok(Self(Arc::new(config)))
    }

    pub(crate) fn connect(&self, server: SocketAddr) -> Result<Stream, Failure> {
        let socket = TcpStream::connect(server)?;
        socket.set_nodelay(true)?;
        let name = ServerName::try_from("localhost")?;
        let connection = ClientConnection::new(Arc::clone(&self.0), name)?;
        Ok(StreamOwned::new(connection, socket))
    }
}

pub(crate) fn exchange(stream: &mut Stream) -> Result<(), Failure> {
    ask(stream)?;
    answer(stream)
}

pub(crate) fn ask(stream: &mut Stream) -> Result<(), Failure> {
    let head = format!(
        "POST /v1/access HTTP/1.1\r\nhost: door\r\ncontent-type: application/octet-stream\r\n\
         content-length: {REQUEST_BYTES}\r\n\r\n"
    );
    let mut message = head.into_bytes();
    message.resize(message.len() + REQUEST_BYTES, 7);
    stream.write_all(&message)?;
    Ok(())
}

/// Reads a response whose body is as long as a reply.
pub(crate) fn answer(stream: &mut Stream) -> Result<(), Failure> {
    let (mut buffer, mut filled) = ([0; 1_024], 0);
    loop {
        match stream.read(&mut buffer[filled..])? {
            0 => return Err("closed".into()),
            length => filled += length,
        }
        let end = buffer[..filled]
            .windows(4)
            .position(|four| four == b"\r\n\r\n");
        if end.is_some_and(|end| filled == end + 4 + REPLY_BYTES) {
            return match buffer.starts_with(b"HTTP/1.1 200") {
                true => Ok(()),
                false => Err("another status than 200".into()),
            };
        }
    }
}
