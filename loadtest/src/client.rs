//! A device's connection without its socket: TLS, then HTTP, then one exchange at a time.
//!
//! ```text
//! connecting (TLS handshake) -> idle --request--> waiting --response--> idle
//!                                                    any error ends the connection
//! ```
//! A request may be handed over before the handshake is done; it goes out right after it.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;

use rustls::{ClientConfig, ClientConnection, HandshakeKind};

use crate::http::{HttpError, Response, ResponseReader, write_part_request, write_request};
use crate::limits::{PART_BYTES_MAX, RESPONSE_BODY_BYTES_MAX};
use crate::tls;

/// Where an exchange failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stage {
    /// TCP.
    Connect,
    /// TLS, up to the handshake's end on this side.
    Handshake,
    /// Writing the request.
    Send,
    /// Waiting for the response.
    Receive,
    /// The response, or the reply in it, is not what the protocol says.
    Parse,
    /// A status that the protocol does not know here.
    Status,
    /// No answer within the time allowed.
    Timeout,
    /// The device had too many requests waiting for its connection.
    Backlog,
}

impl Stage {
    /// Every stage, in the order of reports.
    pub const ALL: [Self; 8] = [
        Self::Connect,
        Self::Handshake,
        Self::Send,
        Self::Receive,
        Self::Parse,
        Self::Status,
        Self::Timeout,
        Self::Backlog,
    ];

    /// The stage's name in reports and assertions.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Handshake => "handshake",
            Self::Send => "send",
            Self::Receive => "receive",
            Self::Parse => "parse",
            Self::Status => "status",
            Self::Timeout => "timeout",
            Self::Backlog => "backlog",
        }
    }
}

/// A failed exchange: where, and in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Where.
    pub stage: Stage,
    /// What went wrong.
    pub text: String,
}

impl Failure {
    /// A failure of this stage.
    #[must_use]
    pub fn new(stage: Stage, why: impl fmt::Display) -> Self {
        Self {
            stage,
            text: why.to_string(),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.stage.name(), self.text)
    }
}

impl std::error::Error for Failure {}

/// One connection of one device.
#[derive(Debug)]
pub struct Client {
    tls: ClientConnection,
    server: SocketAddr,
    reader: ResponseReader,
    outgoing: Vec<u8>,
    waiting: bool,
}

/// What one read brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Received {
    /// Nothing whole yet; there may be more to read.
    More,
    /// The socket has no bytes now.
    Blocked,
    /// A whole response.
    Response(Response),
    /// The server closed the connection in good order, between two exchanges.
    Closed,
}

impl Client {
    /// A new connection to `server`; nothing has been sent.
    ///
    /// # Errors
    /// A configuration that TLS refuses.
    pub fn new(config: Arc<ClientConfig>, server: SocketAddr) -> Result<Self, Failure> {
        let tls = ClientConnection::new(config, tls::server_name(server))
            .map_err(|error| Failure::new(Stage::Handshake, error))?;
        Ok(Self {
            tls,
            server,
            reader: ResponseReader::default(),
            outgoing: Vec::new(),
            waiting: false,
        })
    }

    /// Hands over a request; [`Client::send`] puts it on the way.
    ///
    /// # Errors
    /// TLS that takes no more plaintext.
    ///
    /// # Panics
    /// If a response is still due: HTTP without pipelining.
    pub fn request(&mut self, path: &str, body: &[u8]) -> Result<(), Failure> {
        self.outgoing.clear();
        write_request(&mut self.outgoing, self.server, path, body);
        self.reader.expect_body(RESPONSE_BODY_BYTES_MAX);
        self.hand_over()
    }

    /// The same for the part of `path` that begins at byte `from`.
    ///
    /// # Errors
    /// As [`Client::request`].
    ///
    /// # Panics
    /// As [`Client::request`].
    pub fn request_part(&mut self, path: &str, from: u64) -> Result<(), Failure> {
        self.outgoing.clear();
        write_part_request(&mut self.outgoing, self.server, path, from);
        self.reader.expect_body(PART_BYTES_MAX);
        self.hand_over()
    }

    fn hand_over(&mut self) -> Result<(), Failure> {
        assert!(!self.waiting, "one exchange at a time");
        let sent = self.tls.writer().write_all(&self.outgoing);
        sent.map_err(|error| Failure::new(Stage::Send, error))?;
        self.waiting = true;
        Ok(())
    }

    /// Whether a response is due.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.waiting
    }

    /// Whether the handshake still goes on.
    #[must_use]
    pub fn is_handshaking(&self) -> bool {
        self.tls.is_handshaking()
    }

    /// Whether the session was resumed; `None` before the server has said so.
    #[must_use]
    pub fn resumed(&self) -> Option<bool> {
        let kind = self.tls.handshake_kind()?;
        Some(kind == HandshakeKind::Resumed)
    }

    /// Whether there are bytes for the socket.
    #[must_use]
    pub fn wants_write(&self) -> bool {
        self.tls.wants_write()
    }

    /// Writes what is due until all is written or the socket takes no more.
    ///
    /// # Errors
    /// [`Failure`] of stage handshake or send.
    pub fn send(&mut self, socket: &mut impl Write) -> Result<(), Failure> {
        while self.tls.wants_write() {
            match self.tls.write_tls(socket) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.failed(Stage::Send, error)),
            }
        }
        Ok(())
    }

    /// Reads once from the socket.
    ///
    /// # Errors
    /// [`Failure`] of stage handshake, receive or parse.
    pub fn receive(&mut self, socket: &mut impl Read) -> Result<Received, Failure> {
        match self.tls.read_tls(socket) {
            Ok(0) if self.waiting => {
                Err(self.failed(Stage::Receive, "server closed the connection"))
            }
            Ok(0) => Ok(Received::Closed),
            Ok(_) => self.process(),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Received::Blocked),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(Received::More),
            Err(error) => Err(self.failed(Stage::Receive, error)),
        }
    }

    /// Ends the TLS session in good order; call [`Client::send`] after it.
    pub fn close(&mut self) {
        self.tls.send_close_notify();
    }

    fn process(&mut self) -> Result<Received, Failure> {
        let handshaking = self.tls.is_handshaking();
        let state = self.tls.process_new_packets().map_err(|error| {
            // In TLS 1.3 a server looks at the certificate after our handshake is over.
            let at_handshake = handshaking || matches!(error, rustls::Error::AlertReceived(_));
            let stage = if at_handshake {
                Stage::Handshake
            } else {
                Stage::Receive
            };
            Failure::new(stage, error)
        })?;
        let due = state.plaintext_bytes_to_read();
        if due > 0 {
            let buffer = self.reader.buffer();
            let before = buffer.len();
            buffer.resize(before + due, 0);
            let read = self.tls.reader().read_exact(&mut buffer[before..]);
            read.map_err(|error| Failure::new(Stage::Receive, error))?;
            if !self.waiting {
                return Err(Failure::new(Stage::Parse, HttpError::Excess));
            }
            let next = self.reader.take_response();
            if let Some(response) = next.map_err(|error| Failure::new(Stage::Parse, error))? {
                self.waiting = false;
                return Ok(Received::Response(response));
            }
        }
        if state.peer_has_closed() {
            return if self.waiting {
                Err(self.failed(Stage::Receive, "server closed the session"))
            } else {
                Ok(Received::Closed)
            };
        }
        Ok(Received::More)
    }

    fn failed(&self, stage: Stage, why: impl fmt::Display) -> Failure {
        let stage = if self.tls.is_handshaking() {
            Stage::Handshake
        } else {
            stage
        };
        Failure::new(stage, why)
    }
}
