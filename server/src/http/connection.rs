//! The HTTP side of one connection, as a state machine.
//!
//! ```text
//!           first byte          empty line           last byte
//!   Idle ──────────────> Head ──────────────> Body ──────────────> Answering
//!    ^                    │  └─ no body ───────┼────────────────────> │
//!    │                    │ refused            │ refused              │ answer()
//!    │                    v                    v                      │
//!    │                  Closed <───────────────┴──────────────────────┤ close, or bytes came
//!    └────────────────────────────────────────────────────────────────┘   before the answer
//! ```
//!
//! One request at a time: bytes that arrive while it is answered are dropped, and a refusal
//! follows the answer. In `Closed` everything that arrives is dropped.

use std::time::Instant;

use super::head::{Head, Scan};
use super::refusal::Refusal;
use super::request::{Method, Request, RequestTimes};
use super::response::Response;
use crate::limits::BODY_BYTES_MAX;

/// Where a connection is; each phase has a deadline of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Between requests.
    Idle,
    /// Some bytes of a head have arrived.
    Head,
    /// The head is whole, the body is not.
    Body,
    /// A request is with the service.
    Answering,
    /// The last response is rendered.
    Closed,
}

/// Bytes in, requests out; responses in, bytes out.
#[derive(Debug)]
pub struct Connection {
    state: State,
    /// When the phase began.
    since: Instant,
}

#[derive(Debug)]
enum State {
    Idle,
    Head {
        bytes: Vec<u8>,
        scan: Scan,
        first_byte: Instant,
    },
    Body(Box<Unfinished>),
    Answering(Answering),
    Closed,
}

/// A request whose body is not whole.
#[derive(Debug)]
struct Unfinished {
    request: Request,
    length: usize,
    close: bool,
}

/// What must be remembered of a request to answer it.
#[derive(Clone, Copy, Debug)]
struct Answering {
    head_only: bool,
    close: bool,
    pipelined: bool,
}

impl Unfinished {
    /// Takes what belongs to the body and returns what does not.
    fn take<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let missing = self.length - self.request.body.len();
        let (body, after) = bytes.split_at(missing.min(bytes.len()));
        // Grows with what arrives, not with what was promised, and never past that.
        let kept = &mut self.request.body;
        if kept.capacity() - kept.len() < body.len() {
            let more = body.len().max(kept.len()).min(missing);
            kept.reserve_exact(more);
        }
        kept.extend_from_slice(body);
        after
    }

    fn is_whole(&self) -> bool {
        self.request.body.len() == self.length
    }
}

impl Connection {
    /// A connection on which nothing has arrived.
    pub fn new(now: Instant) -> Connection {
        Connection {
            state: State::Idle,
            since: now,
        }
    }

    /// Where the connection is.
    pub fn phase(&self) -> Phase {
        match self.state {
            State::Idle => Phase::Idle,
            State::Head { .. } => Phase::Head,
            State::Body(_) => Phase::Body,
            State::Answering(_) => Phase::Answering,
            State::Closed => Phase::Closed,
        }
    }

    /// When the phase began: deadlines count from here.
    pub fn since(&self) -> Instant {
        self.since
    }

    /// Bytes held for the peer.
    pub fn buffered(&self) -> usize {
        match &self.state {
            State::Head { bytes, .. } => bytes.capacity(),
            State::Body(unfinished) => unfinished.request.body.capacity(),
            State::Idle | State::Answering(_) | State::Closed => 0,
        }
    }

    /// Bytes held of a body longer than any that a device sends; 0 for every other. They are part
    /// of [`Connection::buffered`].
    pub fn large_body(&self) -> usize {
        match &self.state {
            State::Body(unfinished) if unfinished.length > BODY_BYTES_MAX => {
                unfinished.request.body.capacity()
            }
            State::Body(_)
            | State::Idle
            | State::Head { .. }
            | State::Answering(_)
            | State::Closed => 0,
        }
    }

    /// Whether the body that arrives is longer than any that a device sends.
    pub fn is_large(&self) -> bool {
        matches!(&self.state, State::Body(unfinished) if unfinished.length > BODY_BYTES_MAX)
    }

    /// Whether more bytes can have a meaning; if not, leave them in the kernel.
    pub fn wants_bytes(&self) -> bool {
        match self.state {
            State::Answering(answering) => !answering.pipelined,
            State::Idle | State::Head { .. } | State::Body(_) => true,
            State::Closed => false,
        }
    }

    /// Takes the bytes that arrived. At most one request comes out, because none follows before
    /// its answer.
    ///
    /// # Errors
    /// The first thing that is refused; the caller then calls [`Connection::refuse`].
    pub fn feed(&mut self, bytes: &[u8], now: Instant) -> Result<Option<Request>, Refusal> {
        self.feed_into(bytes, now, &mut Vec::new())
    }

    /// The same; the body of a request that arrives in one piece is put into `spare`, which is
    /// taken, so that no memory is asked for.
    ///
    /// # Errors
    /// As [`Connection::feed`].
    pub fn feed_into(
        &mut self,
        bytes: &[u8],
        now: Instant,
        spare: &mut Vec<u8>,
    ) -> Result<Option<Request>, Refusal> {
        if bytes.is_empty() {
            return Ok(None);
        }
        match std::mem::replace(&mut self.state, State::Closed) {
            State::Idle => {
                self.since = now;
                let begun = (Vec::new(), Scan::default(), now);
                self.feed_head(begun, bytes, now, spare)
            }
            State::Head {
                bytes: earlier,
                scan,
                first_byte,
            } => self.feed_head((earlier, scan, first_byte), bytes, now, spare),
            State::Body(mut unfinished) => {
                let after = unfinished.take(bytes);
                if unfinished.is_whole() {
                    return Ok(Some(self.whole(*unfinished, after, now)));
                }
                self.state = State::Body(unfinished);
                Ok(None)
            }
            State::Answering(answering) => {
                self.state = State::Answering(Answering {
                    pipelined: true,
                    ..answering
                });
                Ok(None)
            }
            State::Closed => Ok(None),
        }
    }

    fn feed_head(
        &mut self,
        (mut earlier, mut scan, first_byte): (Vec<u8>, Scan, Instant),
        bytes: &[u8],
        now: Instant,
        spare: &mut Vec<u8>,
    ) -> Result<Option<Request>, Refusal> {
        let Some(end) = scan.advance(bytes)? else {
            earlier.extend_from_slice(bytes);
            self.state = State::Head {
                bytes: earlier,
                scan,
                first_byte,
            };
            return Ok(None);
        };
        let (rest_of_head, after) = bytes.split_at(end);
        // The usual head arrives in one piece and is never copied.
        let head = match earlier.is_empty() {
            true => Head::parse(rest_of_head)?,
            false => {
                earlier.extend_from_slice(rest_of_head);
                Head::parse(&earlier)?
            }
        };
        self.since = now;
        let body = match (1..=after.len()).contains(&head.length) {
            true => std::mem::take(spare),
            false => Vec::new(),
        };
        let mut unfinished = Unfinished {
            request: Request {
                method: head.method,
                target: head.target,
                fields: head.fields,
                body,
                times: RequestTimes {
                    handshake_us: None,
                    first_byte,
                    complete: now,
                },
            },
            length: head.length,
            close: head.close,
        };
        unfinished.request.body.clear();
        let after = unfinished.take(after);
        if unfinished.is_whole() {
            return Ok(Some(self.whole(unfinished, after, now)));
        }
        self.state = State::Body(Box::new(unfinished));
        Ok(None)
    }

    /// The request is whole; `after` came behind it.
    fn whole(&mut self, unfinished: Unfinished, after: &[u8], now: Instant) -> Request {
        let Unfinished {
            mut request, close, ..
        } = unfinished;
        request.times.complete = now;
        self.since = now;
        self.state = State::Answering(Answering {
            head_only: request.method == Method::Head,
            close,
            pipelined: !after.is_empty(),
        });
        request
    }

    /// Appends the response to `out`, and a refusal after it when bytes came before the answer.
    /// Returns that refusal. Does nothing unless a request is being answered.
    pub fn answer(
        &mut self,
        response: &Response,
        now: Instant,
        out: &mut Vec<u8>,
    ) -> Option<Refusal> {
        let State::Answering(answering) = self.state else {
            return None;
        };
        let close = answering.close || response.close;
        // Whoever pipelined and asked to close hears no second answer.
        let refusal = (answering.pipelined && !close).then_some(Refusal::Pipelined);
        response.render(answering.head_only, close, out);
        if let Some(refusal) = refusal {
            refusal.render(out);
        }
        self.leave(close || answering.pipelined, now);
        refusal
    }

    /// Appends the refusal to `out`; the connection is closed unless the refusal keeps it and
    /// a whole request is what is refused.
    pub fn refuse(&mut self, refusal: Refusal, now: Instant, out: &mut Vec<u8>) {
        let keeps = match self.state {
            State::Answering(answering) => {
                // A refusal has a body, which the answer to a HEAD must not have.
                refusal.keeps_connection()
                    && !answering.close
                    && !answering.pipelined
                    && !answering.head_only
            }
            State::Idle | State::Head { .. } | State::Body(_) | State::Closed => false,
        };
        refusal.render(out);
        self.leave(!keeps, now);
    }

    /// Closes without another word, between requests.
    pub fn close(&mut self, now: Instant) {
        self.leave(true, now);
    }

    fn leave(&mut self, close: bool, now: Instant) {
        self.since = now;
        self.state = match close {
            true => State::Closed,
            false => State::Idle,
        };
    }
}
