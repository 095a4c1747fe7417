//! A device at a door, and what it asks.

use std::net::SocketAddr;
use std::time::Duration;

use cardea_loadtest::blocking::Session;
use cardea_loadtest::client::Failure;
use cardea_loadtest::commission::{self, CommissionError, random_request_id};
use cardea_loadtest::http::Response;
use cardea_loadtest::identity::Identity;
use cardea_loadtest::tls;
use cardea_wire::{
    AccessRequest, CommissioningCode, EncodedEmbedding, Head, Kind, PadResult, Reply, RequestId,
    path,
};

use crate::face::Face;

/// The face model of the sites of these tests: `cardea init`'s own.
pub const MODEL: [u8; 16] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
/// A device gives up after this time.
pub const TIMEOUT: Duration = Duration::from_secs(30);

/// A device with its identity and, while it lasts, its connection.
pub struct Device {
    /// Who it is.
    pub identity: Identity,
    /// Whether it resumes TLS sessions.
    pub resumes: bool,
    session: Option<Session>,
    config: Option<std::sync::Arc<rustls::ClientConfig>>,
}

impl Device {
    /// Trades a code for an identity.
    ///
    /// # Panics
    /// If the server refuses.
    #[must_use]
    pub fn commission(code: &str) -> Self {
        Self::of(commission(code).unwrap_or_else(|error| panic!("{error}")))
    }

    /// A device of this identity, not connected.
    #[must_use]
    pub fn of(identity: Identity) -> Self {
        Self {
            identity,
            resumes: false,
            session: None,
            config: None,
        }
    }

    /// Follows the server to another address, with a new connection.
    pub fn follow(&mut self, server: SocketAddr) {
        self.identity.server = server;
        self.session = None;
    }

    /// Gives the connection up; the next request makes a new one.
    pub fn disconnect(&mut self) {
        self.session = None;
    }

    /// The connection: an open one, or a new one.
    ///
    /// # Errors
    /// If the server cannot be reached.
    ///
    /// # Panics
    /// If the identity is of no use to TLS.
    pub fn session(&mut self) -> Result<&mut Session, Failure> {
        if self.session.is_none() {
            let config = self.config.get_or_insert_with(|| {
                tls::commissioned(&self.identity, self.resumes).expect("key and certificate")
            });
            let config = std::sync::Arc::clone(config);
            self.session = Some(Session::connect(config, self.identity.server, TIMEOUT)?);
        }
        Ok(self.session.as_mut().expect("made above"))
    }

    /// Sends a message and waits for the response.
    ///
    /// # Errors
    /// Where the exchange failed; the connection is given up.
    pub fn exchange(&mut self, path: &str, message: &[u8]) -> Result<Response, Failure> {
        let response = self.session()?.exchange(path, message);
        if response.as_ref().map_or(true, |response| response.close) {
            self.session = None;
        }
        response
    }

    /// Status and reply to a message.
    ///
    /// # Panics
    /// If the exchange fails or brings no reply.
    pub fn send(&mut self, path: &str, message: &[u8]) -> (u16, Reply) {
        let response = self
            .exchange(path, message)
            .unwrap_or_else(|failure| panic!("{failure}"));
        (response.status, parse(&response.body))
    }

    /// Asks for somebody, under a new request id.
    ///
    /// # Panics
    /// As [`Self::send`].
    pub fn access(&mut self, face: &Face) -> Reply {
        self.send(path::ACCESS, &access(new_id(), face)).1
    }

    /// Says that it is alive.
    ///
    /// # Panics
    /// As [`Self::send`].
    pub fn heartbeat(&mut self) -> (u16, Reply) {
        self.send(path::HEARTBEAT, &heartbeat(new_id()))
    }
}

/// Trades a code for an identity.
///
/// # Errors
/// Why not.
///
/// # Panics
/// If it is no code.
pub fn commission(code: &str) -> Result<Identity, CommissionError> {
    let code = CommissioningCode::parse(code).expect("a code");
    commission::commission(&code, TIMEOUT)
}

/// A request id that nobody has used.
///
/// # Panics
/// If the system has no randomness.
#[must_use]
pub fn new_id() -> RequestId {
    random_request_id().unwrap_or_else(|error| panic!("{error}"))
}

/// The bytes of an access request.
#[must_use]
pub fn access(request_id: RequestId, face: &Face) -> Vec<u8> {
    let mut message = Vec::new();
    request(request_id, face).write(&mut message);
    message
}

/// An access request, to be changed before it is written.
#[must_use]
pub fn request(request_id: RequestId, face: &Face) -> AccessRequest<'_> {
    AccessRequest {
        request_id,
        model: MODEL,
        pad: PadResult::Passed,
        firmware: 1 << 16,
        command_done: 0,
        embedding: EncodedEmbedding::F32(face),
    }
}

/// The bytes of a heartbeat.
#[must_use]
pub fn heartbeat(request_id: RequestId) -> Vec<u8> {
    let mut message = Vec::new();
    Head::new(Kind::Heartbeat, request_id, 0).write(&mut message);
    message
}

/// The reply in a response's body.
///
/// # Panics
/// If it is none.
#[must_use]
pub fn parse(body: &[u8]) -> Reply {
    Reply::parse(body).unwrap_or_else(|error| panic!("{error}: {body:?}"))
}

/// The tag by which replies name a person, as PROTOCOL.md defines it.
#[must_use]
pub fn tag(external_id: &str) -> u64 {
    let hash = blake3::hash(external_id.as_bytes());
    let mut first = [0; 8];
    first.copy_from_slice(&hash.as_bytes()[..8]);
    u64::from_le_bytes(first)
}
