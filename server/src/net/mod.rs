//! Connections: the only place of the server that names mio, and the only clock of the front end.
//!
//! One thread runs one [`EventLoop`] and owns its connections for their life; several loops share a
//! port. A connection is a socket, a [`crate::tls::Session`] and a [`crate::http::Connection`];
//! whole requests go to the loop's [`Service`], which answers at once or later.
//!
//! - `listener`: binds, or takes inherited sockets
//! - `event_loop`: the turns of a loop; `accept`, `exchange` and `lifetime` are its chapters
//! - `bounds`: the caps and timeouts that a loop runs under
//! - `connection`: one connection's socket, session and requests
//! - `deadline`: what is due when
//! - `roster`: who is connected: by address, by device, by age
//! - `spare`: buffers that are used again
//! - `counters`: what was accepted, refused and dropped
//!
//! # Contract
//! 1. Sockets are registered once, for reading and writing, and are read until the kernel has no
//!    more: an event that is not used up is remembered in the connection.
//! 2. Work in one turn is bounded: a connection is read `limits::READS_PER_TURN` times and then
//!    waits behind the others. Devices come first, then strangers and then unfinished
//!    handshakes for a few milliseconds each, and new connections last: whoever floods the
//!    loop keeps others of its kind waiting, and devices for one turn.
//! 3. Nothing is read from a peer that does not take its answer.
//! 4. At every moment one absolute deadline applies to a connection, given by its phase.
//! 5. Each request given to the service ends in exactly one of [`Service::sent`] and
//!    [`Service::gone`].
//! 6. Every cap has a counter, and reaching it costs those who can bear it: the newcomer of a
//!    crowded address, the stalest handshake, the oldest stranger, the oldest connection of a
//!    device that opens too many.

mod accept;
mod bounds;
mod connection;
pub mod counters;
mod deadline;
mod event_loop;
mod exchange;
mod lifetime;
pub mod listener;
mod roster;
mod spare;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

pub use crate::http::{Field, Fields, Method, Request, RequestTimes, Response};
pub use crate::tls::PeerCertificate;
pub use bounds::{Bounds, Timeouts, descriptors};
pub use counters::{Counter, Counters};
pub use event_loop::{EventLoop, Waker};
use spare::Spare;

/// A connection of one loop: a place, and which of its occupants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Key {
    index: u32,
    generation: u32,
}

/// What a loop does with whole requests. There is one value per loop, and only its thread calls.
///
/// No method may block. What takes time is given to other threads; when they are done they leave
/// the result where the service finds it and ring the loop's [`Waker`].
pub trait Service {
    /// A whole request arrived. Answer it through `replies`, now or in any later call.
    fn request(
        &mut self,
        id: ExchangeId,
        peer: &Peer,
        request: Request,
        now: Instant,
        replies: &mut Replies,
    );

    /// The loop's waker was rung.
    fn wake(&mut self, now: Instant, replies: &mut Replies);

    /// When [`Service::expire`] wants to be called at the latest.
    fn next_deadline(&self) -> Option<Instant>;

    /// The time that [`Service::next_deadline`] named has come.
    fn expire(&mut self, now: Instant, replies: &mut Replies);

    /// The last byte of the answer went to the kernel.
    fn sent(&mut self, id: ExchangeId, now: Instant);

    /// The connection ended before the answer was sent; an answer would go nowhere.
    fn gone(&mut self, id: ExchangeId);
}

/// One request with its answer. Never names another request of the same loop, not even after
/// its connection is gone and its place taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ExchangeId {
    connection: Key,
    number: u32,
}

/// Who is at the other end of a connection.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Where the connection comes from.
    pub address: SocketAddr,
    /// The address of this machine that it came to.
    pub local: IpAddr,
    /// The certificate, if it showed one that the site's authority signed. Look the fingerprint up
    /// for every request: it may have been removed since.
    pub certificate: Option<Arc<PeerCertificate>>,
    /// Whether the session was resumed, and the certificate thus not checked in this connection.
    pub resumed: bool,
}

/// What a service wants done, in order.
#[derive(Debug, Default)]
pub struct Replies {
    wanted: Vec<Reply>,
    spare: Spare,
}

#[derive(Debug)]
enum Reply {
    Answer(ExchangeId, Response),
    CloseDevice([u8; 32]),
    Close(ExchangeId),
}

impl Replies {
    /// Answers an exchange. An answer to an exchange that is over is dropped and counted.
    pub fn push(&mut self, id: ExchangeId, response: Response) {
        self.wanted.push(Reply::Answer(id, response));
    }

    /// Closes every connection of this loop that carries the certificate with this SHA-256
    /// fingerprint. Exchanges that are not answered yet end in [`Service::gone`].
    pub fn close_device(&mut self, fingerprint: [u8; 32]) {
        self.wanted.push(Reply::CloseDevice(fingerprint));
    }

    /// Closes the exchange's connection without an answer.
    pub fn close(&mut self, id: ExchangeId) {
        self.wanted.push(Reply::Close(id));
    }

    /// An empty buffer for a short body, mostly one that was used before.
    pub fn buffer(&mut self) -> Vec<u8> {
        self.spare.take()
    }

    /// Gives the body of a request back that is not needed any more.
    pub fn give_back(&mut self, body: Vec<u8>) {
        self.spare.keep(body);
    }
}

#[cfg(test)]
pub(crate) mod simulated;
#[cfg(test)]
mod tests;
