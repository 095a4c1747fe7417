//! One connection: a socket, its TLS session and its requests.
//!
//! ```text
//!            handshake done              last response          all written
//!  Greeting ───────────────> Open ──────────────────> Closing ─────────────> Lingering ──> gone
//!     │                        │                         │                       │
//!     └────────────────────────┴──── peer left, session broken, deadline ────────┘
//! ```
//!
//! `Lingering` reads and drops what the peer still sends: closing a socket with unread bytes
//! resets the connection, and the peer might never see the last response.

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::sync::Arc;
use std::time::Instant;

use mio::net::TcpStream;

use super::bounds::Timeouts;
use super::deadline::Timer;
use super::{ExchangeId, Key, Peer};
use crate::http::{self, Phase, Refusal, Request};
use crate::limits::{READ_BUFFER_BYTES, READS_PER_TURN, SCRATCH_BYTES_KEPT};
use crate::tls::{Session, TlsError};

/// Buffers that all connections of a loop share.
#[derive(Debug)]
pub(super) struct Scratch {
    ciphertext: Vec<u8>,
    /// What arrived, or what is to be sent, before or after TLS.
    pub(super) plaintext: Vec<u8>,
    outgoing: Vec<u8>,
    /// For the body of the next request that arrives in one piece.
    pub(super) body: Vec<u8>,
}

impl Scratch {
    pub(super) fn new() -> Scratch {
        Scratch {
            ciphertext: vec![0; READ_BUFFER_BYTES],
            plaintext: Vec::new(),
            outgoing: Vec::new(),
            body: Vec::new(),
        }
    }

    /// Gives back what a large response made grow.
    pub(super) fn trim(&mut self) {
        for buffer in [&mut self.plaintext, &mut self.outgoing] {
            buffer.clear();
            buffer.shrink_to(SCRATCH_BYTES_KEPT);
        }
    }
}

/// Where a connection is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// The handshake runs.
    Greeting,
    /// Requests come and go.
    Open,
    /// The last bytes are being written.
    Closing,
    /// The peer is to close, too.
    Lingering,
}

/// What has become of the last request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exchange {
    /// There is none that is not over.
    None,
    /// The service has it.
    Asked,
    /// The answer is not yet with the kernel, whole.
    Answered,
}

/// Why nothing more can come of a connection.
#[derive(Debug)]
pub(super) enum End {
    /// The peer closed or reset it.
    Left,
    /// TLS failed.
    Broken(TlsError),
}

/// What came of reading.
#[derive(Debug, Default)]
pub(super) struct Input {
    pub(super) handshake_done: bool,
    pub(super) request: Option<Request>,
    pub(super) refusal: Option<Refusal>,
    pub(super) end: Option<End>,
}

/// One connection.
pub(super) struct Connection {
    pub(super) key: Key,
    socket: TcpStream,
    tls: Session,
    pub(super) http: http::Connection,
    pub(super) peer: Peer,
    pub(super) stage: Stage,
    /// When the stage began.
    since: Instant,
    handshake_us: Option<u32>,
    pub(super) exchange: Exchange,
    /// Number of the last request.
    pub(super) number: u32,
    /// The ticket for resumption, until the first response takes it along: sent alone it costs a
    /// packet, and the device a wake-up.
    ticket: Vec<u8>,
    /// Ciphertext that the kernel did not take.
    outbox: Vec<u8>,
    /// How much of it the kernel took meanwhile.
    written: usize,
    /// When the outbox was last empty.
    outbox_since: Instant,
    pub(super) timer: Timer,
    /// The bytes that the loop has counted for this connection.
    pub(super) counted: usize,
    /// Of a long body; counted apart.
    pub(super) counted_large: usize,
    /// Events that are not used up.
    pub(super) readable: bool,
    pub(super) writable: bool,
    pub(super) read_closed: bool,
    /// Whether the connection waits for its turn.
    pub(super) queued: bool,
}

impl Connection {
    pub(super) fn new(
        key: Key,
        socket: TcpStream,
        tls: Session,
        peer: Peer,
        now: Instant,
    ) -> Connection {
        Connection {
            key,
            socket,
            tls,
            http: http::Connection::new(now),
            peer,
            stage: Stage::Greeting,
            since: now,
            handshake_us: None,
            exchange: Exchange::None,
            number: 0,
            ticket: Vec::new(),
            outbox: Vec::new(),
            written: 0,
            outbox_since: now,
            timer: Timer::new(now),
            counted: 0,
            counted_large: 0,
            readable: false,
            writable: false,
            read_closed: false,
            queued: false,
        }
    }

    /// The last request.
    pub(super) fn exchange_id(&self) -> ExchangeId {
        ExchangeId {
            connection: self.key,
            number: self.number,
        }
    }

    /// Whether the handshake is not counted as over yet.
    pub(super) fn is_greeting(&self) -> bool {
        self.stage == Stage::Greeting
    }

    /// Whether the peer's leaving cuts a request or an answer short.
    pub(super) fn is_in_the_middle(&self) -> bool {
        self.exchange != Exchange::None || matches!(self.http.phase(), Phase::Head | Phase::Body)
    }

    /// Bytes held for the peer.
    pub(super) fn buffered(&self) -> usize {
        let unsent = self.ticket.capacity() + self.outbox.capacity();
        self.tls.buffered() + self.http.buffered() + unsent
    }

    /// Whether all that was to be sent is with the kernel.
    pub(super) fn is_flushed(&self) -> bool {
        self.outbox.is_empty()
    }

    /// Whether another turn would get further without a new event.
    pub(super) fn can_go_on(&self) -> bool {
        match self.is_flushed() {
            true => self.readable && self.wants_bytes(),
            false => self.writable,
        }
    }

    fn wants_bytes(&self) -> bool {
        match self.stage {
            Stage::Greeting | Stage::Open => self.is_flushed() && self.http.wants_bytes(),
            Stage::Closing => false,
            Stage::Lingering => true,
        }
    }

    /// When the present phase must be over.
    pub(super) fn due(&self, timeouts: &Timeouts) -> Instant {
        let idle = match self.peer.certificate {
            Some(_) => timeouts.idle_device,
            None => timeouts.idle_stranger,
        };
        let due = match (self.stage, self.http.phase()) {
            (Stage::Greeting, _) => self.since + timeouts.handshake,
            (Stage::Lingering, _) => self.since + timeouts.linger,
            (Stage::Closing, _) => self.since + timeouts.write,
            (Stage::Open, Phase::Idle) => self.http.since() + idle,
            (Stage::Open, Phase::Head) => self.http.since() + timeouts.head,
            (Stage::Open, Phase::Body) if self.http.is_large() => {
                self.http.since() + timeouts.large_body
            }
            (Stage::Open, Phase::Body) => self.http.since() + timeouts.body,
            (Stage::Open, Phase::Answering) => self.http.since() + timeouts.answer,
            (Stage::Open, Phase::Closed) => self.http.since() + timeouts.write,
        };
        match self.is_flushed() {
            true => due,
            false => due.min(self.outbox_since + timeouts.write),
        }
    }

    /// Reads until there is something to tell, the kernel has no more, or the turn is over.
    pub(super) fn receive(&mut self, scratch: &mut Scratch, now: Instant) -> Input {
        let mut input = Input::default();
        for _ in 0..READS_PER_TURN {
            if !self.readable || !self.wants_bytes() {
                break;
            }
            let kept = self.tls.restore(&mut scratch.ciphertext);
            let filled = match self.read(&mut scratch.ciphertext[kept..]) {
                Ok(Some(length)) => kept + length,
                Ok(None) => continue,
                Err(end) => {
                    input.end = Some(end);
                    break;
                }
            };
            if self.stage == Stage::Lingering {
                continue;
            }
            self.take(scratch, filled, &mut input, now);
            if input.request.is_some() || input.refusal.is_some() || input.end.is_some() {
                break;
            }
        }
        input
    }

    /// Reads once. `None` when there is nothing now.
    fn read(&mut self, room: &mut [u8]) -> Result<Option<usize>, End> {
        let asked = room.len();
        match self.socket.read(room) {
            Ok(0) => Err(End::Left),
            Ok(length) => {
                // A short read has emptied the kernel's buffer, and what comes later is a new
                // event: one call a request saved. An end that came before is no new event.
                if length < asked && !self.read_closed {
                    self.readable = false;
                }
                Ok(Some(length))
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.readable = false;
                Ok(None)
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(None),
            Err(_) => Err(End::Left),
        }
    }

    /// Takes `filled` bytes of ciphertext through TLS and HTTP.
    fn take(&mut self, scratch: &mut Scratch, filled: usize, input: &mut Input, now: Instant) {
        let Scratch {
            ciphertext,
            plaintext,
            outgoing,
            body,
        } = scratch;
        plaintext.clear();
        outgoing.clear();
        let ciphertext = &mut ciphertext[..filled];
        let received = self.tls.receive(ciphertext, plaintext, outgoing);
        let transmitted = match &received {
            Ok(received) if received.handshake_done => {
                self.ticket = outgoing.to_vec();
                Ok(())
            }
            Ok(_) | Err(_) => self.transmit(outgoing, now),
        };
        let received = match (received, transmitted) {
            (Err(error), _) => {
                input.end = Some(End::Broken(error));
                return;
            }
            (Ok(_), Err(end)) => {
                input.end = Some(end);
                return;
            }
            (Ok(received), Ok(())) => received,
        };
        if received.handshake_done {
            input.handshake_done = true;
            self.open(now);
        }
        if received.peer_closed {
            // Also when a request came with it: nobody waits for the answer.
            input.end = Some(End::Left);
            return;
        }
        match self.http.feed_into(plaintext, now, body) {
            Ok(Some(mut request)) => {
                request.times.handshake_us = self.handshake_us.take();
                input.request = Some(request);
            }
            Ok(None) => {}
            Err(refusal) => input.refusal = Some(refusal),
        }
    }

    fn open(&mut self, now: Instant) {
        let took_us = now.duration_since(self.since).as_micros();
        self.handshake_us = Some(u32::try_from(took_us).unwrap_or(u32::MAX));
        self.peer.certificate = self.tls.certificate().map(Arc::new);
        self.peer.resumed = self.tls.is_resumed();
        self.http = http::Connection::new(now);
        self.stage = Stage::Open;
        self.since = now;
    }

    /// Encrypts and sends what is in `scratch.plaintext`.
    pub(super) fn send(&mut self, scratch: &mut Scratch, now: Instant) -> Result<(), End> {
        let Scratch {
            plaintext,
            outgoing,
            ..
        } = scratch;
        outgoing.clear();
        let sent = self.tls.send(plaintext, outgoing);
        sent.map_err(End::Broken)?;
        if self.http.phase() == Phase::Closed {
            self.stage = Stage::Closing;
            self.since = now;
            self.tls.close(outgoing).map_err(End::Broken)?;
        }
        self.transmit(outgoing, now)
    }

    /// Closes between requests, telling the peer.
    pub(super) fn close(&mut self, scratch: &mut Scratch, now: Instant) -> Result<(), End> {
        self.http.close(now);
        scratch.plaintext.clear();
        self.send(scratch, now)
    }

    fn transmit(&mut self, bytes: &[u8], now: Instant) -> Result<(), End> {
        if bytes.is_empty() {
            return Ok(());
        }
        // Records must leave in the order in which they were sealed.
        let mut joined = std::mem::take(&mut self.ticket);
        let bytes = match joined.is_empty() {
            true => bytes,
            false => {
                joined.extend_from_slice(bytes);
                &joined
            }
        };
        if !self.is_flushed() {
            self.outbox.extend_from_slice(bytes);
            return Ok(());
        }
        let written = self.write(bytes)?;
        if written < bytes.len() {
            self.outbox.extend_from_slice(&bytes[written..]);
            self.written = 0;
            self.outbox_since = now;
        }
        Ok(())
    }

    /// Gives the kernel what it did not take before.
    pub(super) fn flush(&mut self) -> Result<(), End> {
        if self.is_flushed() || !self.writable {
            return Ok(());
        }
        let outbox = std::mem::take(&mut self.outbox);
        let written = self.write(&outbox[self.written..]);
        self.written += written?;
        if self.written < outbox.len() {
            self.outbox = outbox;
        }
        Ok(())
    }

    /// Writes until all is written or the kernel takes no more; returns how much it took.
    fn write(&mut self, bytes: &[u8]) -> Result<usize, End> {
        let mut written = 0;
        while written < bytes.len() {
            match self.socket.write(&bytes[written..]) {
                Ok(0) => return Err(End::Left),
                Ok(length) => written += length,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.writable = false;
                    break;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Err(End::Left),
            }
        }
        Ok(written)
    }

    /// Ends our side when all is written.
    pub(super) fn finish_closing(&mut self, now: Instant) -> Result<(), End> {
        if self.stage == Stage::Closing && self.is_flushed() {
            self.stage = Stage::Lingering;
            self.since = now;
            // What came meanwhile was left in the kernel.
            self.readable = true;
            let shut = self.socket.shutdown(Shutdown::Write);
            shut.map_err(|_| End::Left)?;
        }
        Ok(())
    }
}
