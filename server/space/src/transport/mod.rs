//! Carries SHIP messages to Space and back: over HTTPS with the `Salto-SHIP-Key` header, or over
//! TCP for older installations.
//!
//! The one promise that shapes this module: the caller always knows whether a byte of his request
//! may have left this machine. [`CallError::NotSent`] means that none did, so that the call may be
//! made again; after [`CallError::Lost`] an `OnlineDoor.Open` must not be. `ureq`'s pool probes a
//! kept-alive connection before it uses it and repeats no POST, but its errors do not tell these
//! two apart and it takes no certificate by fingerprint, so the connection is our own: a socket,
//! rustls, and `ureq-proto` for HTTP, which has no I/O of its own.
//!
//! Every wait ends at a deadline. A connection that failed in any way is never used again, so a
//! late answer cannot be taken for that of the next request.

mod endpoint;
mod http;
mod link;
mod page;
mod stp;
mod tls;

pub use endpoint::{Endpoint, EndpointError};
pub use page::{Page, PageError, fetch};
pub use tls::{Fingerprint, Trust, fingerprint};

use std::fmt;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::limits::IDLE_MAX;
use endpoint::Scheme;
use link::Link;

/// What went wrong on the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The host's name has no address, as far as is known.
    Resolve,
    /// TCP: refused, unreachable.
    Connect(String),
    /// Space's certificate is not the one that was configured.
    Certificate(String),
    /// TLS, other than the certificate.
    Tls(String),
    /// Not done by the deadline.
    Deadline,
    /// Space closed the connection before its answer was complete.
    Closed,
    /// The socket failed.
    Socket(String),
    /// The answer is longer than this many bytes.
    TooLarge(usize),
    /// The answer is not HTTP, in this way.
    Http(String),
    /// The answer is not framed as SHIP over TCP is, or more came than was announced.
    Frame,
    /// The request is longer than this many bytes.
    RequestTooLarge(usize),
    /// The caller's last check said no.
    Withheld,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Resolve => f.write_str("Space's host name has no address"),
            Self::Connect(why) => write!(f, "no connection to Space: {why}"),
            Self::Certificate(why) => write!(f, "Space's certificate is not trusted: {why}"),
            Self::Tls(why) => write!(f, "no secure connection to Space: {why}"),
            Self::Deadline => f.write_str("no answer from Space in time"),
            Self::Closed => f.write_str("Space closed the connection without an answer"),
            Self::Socket(why) => write!(f, "the connection to Space failed: {why}"),
            Self::TooLarge(max) => write!(f, "Space's answer is longer than {max} bytes"),
            Self::Http(why) => write!(f, "Space's answer is not HTTP: {why}"),
            Self::Frame => f.write_str("Space's answer is not framed as SHIP over TCP"),
            Self::RequestTooLarge(max) => write!(f, "the request is longer than {max} bytes"),
            Self::Withheld => f.write_str("withheld before it was sent"),
        }
    }
}

/// Why a call has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallError {
    /// No byte of the request has left this machine: Space cannot have acted on it.
    NotSent(Fault),
    /// At least one byte has, and no whole answer came: Space may have acted on it.
    Lost(Fault),
    /// HTTP with a status other than 200.
    Status(u16),
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotSent(fault) | Self::Lost(fault) => write!(f, "{fault}"),
            Self::Status(401) => f.write_str("Space refuses the SHIP key (HTTP 401)"),
            Self::Status(status) => write!(f, "Space answered with HTTP {status}"),
        }
    }
}

impl std::error::Error for CallError {}

/// One connection to Space, for one call at a time.
pub struct Connection {
    link: Link,
    scheme: Scheme,
    /// False once anything went wrong, or when Space said that it closes.
    is_usable: bool,
    last_used: Instant,
}

impl Connection {
    /// Connects, and for HTTPS finishes the handshake.
    ///
    /// # Errors
    /// Any [`Fault`] of connecting.
    pub fn open(endpoint: &Endpoint, deadline: Instant) -> Result<Self, Fault> {
        let scheme = endpoint.scheme().clone();
        let socket = link::connect(&endpoint.addresses(), deadline)?;
        let link = match &scheme {
            Scheme::Https { tls, name, .. } => Link::secure(socket, tls, name, deadline)?,
            Scheme::Tcp => Link::plain(socket),
        };
        Ok(Self {
            link,
            scheme,
            is_usable: true,
            last_used: Instant::now(),
        })
    }

    /// Whether another call may be tried: nothing went wrong, it was not idle for too long, and
    /// Space has neither closed it nor sent anything unasked.
    pub fn is_live(&mut self) -> bool {
        let is_fresh = is_fresh(self.last_used.elapsed());
        self.is_usable = self.is_usable && is_fresh && self.link.is_quiet();
        self.is_usable
    }

    /// A second handle to the socket, for closing it from another thread. `None` when the system
    /// has no more of them.
    pub(crate) fn socket(&self) -> Option<TcpStream> {
        self.link.socket()
    }

    /// Sends `message` and returns the body of the answer, of at most `body_max` bytes.
    /// `may_send` is asked immediately before the first byte.
    ///
    /// # Errors
    /// [`CallError`]; the connection is then of no further use.
    pub fn call(
        &mut self,
        message: &str,
        body_max: usize,
        deadline: Instant,
        may_send: &dyn Fn() -> bool,
    ) -> Result<Vec<u8>, CallError> {
        assert!(self.is_usable, "a connection that failed is not used again");
        self.is_usable = false;
        let answer = match &self.scheme {
            Scheme::Https { host, key, .. } => {
                let call = http::Call {
                    host,
                    key,
                    message,
                    body_max,
                    deadline,
                };
                http::exchange(&mut self.link, &call, may_send)?
            }
            Scheme::Tcp => stp::exchange(&mut self.link, message, body_max, deadline, may_send)?,
        };
        self.is_usable = answer.keep_alive;
        self.last_used = Instant::now();
        Ok(answer.body)
    }
}

fn is_fresh(idle: Duration) -> bool {
    idle < IDLE_MAX
}

/// A whole answer.
struct Answer {
    body: Vec<u8>,
    keep_alive: bool,
}

/// Sends a whole request, if `may_send` still agrees.
fn send(
    link: &mut Link,
    bytes: &[u8],
    deadline: Instant,
    may_send: &dyn Fn() -> bool,
) -> Result<(), CallError> {
    if Instant::now() >= deadline {
        return Err(CallError::NotSent(Fault::Deadline));
    }
    if !may_send() {
        return Err(CallError::NotSent(Fault::Withheld));
    }
    let (sent, outcome) = link.send(bytes, deadline);
    match outcome {
        Ok(()) => Ok(()),
        Err(fault) if sent == 0 => Err(CallError::NotSent(fault)),
        Err(fault) => Err(CallError::Lost(fault)),
    }
}

#[cfg(test)]
mod tests;
