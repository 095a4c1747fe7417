//! What all lanes share: the server, a TLS configuration that trusts anybody, and counts.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, Error, SignatureScheme};
use socket2::{Domain, Socket, Type};

use super::badges::Badge;

/// Longer than the server lets any phase last but a device's quiet.
const PATIENCE: Duration = Duration::from_secs(12);
/// Connections from one address.
const PER_ADDRESS: usize = 500;

/// What a group of peers does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    Idle,
    Trickle,
    Stall,
    Deaf,
    Flood,
    Garbage,
    Liar,
    Badge,
}

impl Lane {
    pub(crate) const ALL: [Lane; 8] = [
        Lane::Idle,
        Lane::Trickle,
        Lane::Stall,
        Lane::Deaf,
        Lane::Flood,
        Lane::Garbage,
        Lane::Liar,
        Lane::Badge,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Lane::Idle => "idle",
            Lane::Trickle => "trickle",
            Lane::Stall => "stall",
            Lane::Deaf => "deaf",
            Lane::Flood => "flood",
            Lane::Garbage => "garbage",
            Lane::Liar => "liar",
            Lane::Badge => "badge",
        }
    }

    /// Connections, or attempts a second.
    pub(crate) fn usual_size(self) -> usize {
        match self {
            Lane::Idle => 5_000,
            Lane::Trickle => 1_000,
            Lane::Stall => 500,
            Lane::Deaf => 50,
            Lane::Flood | Lane::Garbage | Lane::Liar | Lane::Badge => 100,
        }
    }

    /// Whether its size is a number of connections.
    pub(crate) fn is_kept(self) -> bool {
        matches!(self, Lane::Idle | Lane::Trickle | Lane::Stall | Lane::Deaf)
    }
}

/// What a lane has counted: opened, turned away, closed by the server, bytes or messages sent.
#[derive(Default)]
struct Counts([AtomicU64; 4]);

/// The server to harm.
pub(crate) struct Aim {
    server: SocketAddr,
    config: Arc<ClientConfig>,
    /// Certificates that must not let anybody in; none if none were given.
    pub(crate) badges: Vec<Badge>,
    pub(crate) stop: AtomicBool,
    /// Lies that were answered with another status than the right one.
    pub(crate) wrong: AtomicU64,
    counts: [Counts; Lane::ALL.len()],
}

impl Aim {
    pub(crate) fn at(server: SocketAddr) -> Aim {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("the provider has TLS 1.3")
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anybody))
            .with_no_client_auth();
        config.resumption = Resumption::disabled();
        Aim {
            server,
            config: Arc::new(config),
            badges: Vec::new(),
            stop: AtomicBool::new(false),
            wrong: AtomicU64::new(0),
            counts: Default::default(),
        }
    }

    pub(crate) fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    pub(crate) fn counts(&self, lane: Lane) -> [u64; 4] {
        let counts = &self.counts[lane as usize].0;
        [0, 1, 2, 3].map(|i| counts[i].load(Ordering::Relaxed))
    }

    pub(crate) fn count_closed(&self, lane: Lane) {
        self.counts[lane as usize].0[2].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count_sent(&self, lane: Lane) {
        self.counts[lane as usize].0[3].fetch_add(1, Ordering::Relaxed);
    }

    /// A connection of a lane without a handshake.
    pub(crate) fn socket(&self, lane: Lane, number: usize) -> Option<TcpStream> {
        let connected = self.try_socket(lane, number);
        self.counts[lane as usize].0[usize::from(connected.is_err())]
            .fetch_add(1, Ordering::Relaxed);
        connected.ok()
    }

    fn try_socket(&self, lane: Lane, number: usize) -> io::Result<TcpStream> {
        let socket = Socket::new(Domain::for_address(self.server), Type::STREAM, None)?;
        if self.server.is_ipv4() {
            let place = u8::try_from(number / PER_ADDRESS % 250).unwrap_or(0);
            let from = SocketAddr::from(([127, 66, lane as u8, place + 1], 0));
            socket.bind(&from.into())?;
        }
        socket.connect_timeout(&self.server.into(), PATIENCE)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.set_write_timeout(Some(PATIENCE))?;
        socket.set_tcp_nodelay(true)?;
        Ok(socket.into())
    }

    /// A connection of a lane, its handshake done.
    pub(crate) fn peer(&self, lane: Lane, number: usize) -> Option<Peer> {
        self.peer_of(lane, number, &self.config)
    }

    /// The same with a configuration of its own.
    pub(crate) fn peer_of(
        &self,
        lane: Lane,
        number: usize,
        config: &Arc<ClientConfig>,
    ) -> Option<Peer> {
        let mut peer = Peer {
            socket: self.socket(lane, number)?,
            tls: self.greeting_of(config),
        };
        while peer.tls.is_handshaking() {
            if peer.tls.complete_io(&mut peer.socket).is_err() {
                self.counts[lane as usize].0[1].fetch_add(1, Ordering::Relaxed);
                return None;
            }
        }
        Some(peer)
    }

    /// A handshake that has not begun.
    pub(crate) fn greeting(&self) -> ClientConnection {
        self.greeting_of(&self.config)
    }

    fn greeting_of(&self, config: &Arc<ClientConfig>) -> ClientConnection {
        let name = ServerName::from(self.server.ip());
        ClientConnection::new(Arc::clone(config), name).expect("a configuration of ours")
    }
}

/// A connection with a finished handshake.
pub(crate) struct Peer {
    pub(crate) socket: TcpStream,
    tls: ClientConnection,
}

impl Peer {
    /// Sends; a socket that does not block may take nothing.
    ///
    /// # Errors
    /// The server has closed the connection.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.tls.writer().write_all(bytes)?;
        while self.tls.wants_write() {
            match self.tls.write_tls(&mut self.socket) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reads all until the server closes.
    pub(crate) fn read_to_end(&mut self) -> Vec<u8> {
        let mut read = Vec::new();
        // Whatever ends it: what came before counts.
        let mut stream = rustls::Stream::new(&mut self.tls, &mut self.socket);
        let _ = stream.read_to_end(&mut read);
        read
    }
}

/// Trusts anybody.
#[derive(Debug)]
pub(crate) struct Anybody;

impl ServerCertVerifier for Anybody {
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
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        aws_lc_rs::default_provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}
