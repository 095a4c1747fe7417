//! A service that answers every request at once with as many bytes as a reply has.

use std::time::Instant;

use cardea::net::{ExchangeId, Peer, Replies, Request, Response, Service};

/// The length of an answer to an access request.
pub(crate) const REPLY_BYTES: usize = 64;

/// Answers with the first bytes of the request.
pub(crate) struct Instantly;

impl Service for Instantly {
    fn request(
        &mut self,
        id: ExchangeId,
        _peer: &Peer,
        request: Request,
        _now: Instant,
        replies: &mut Replies,
    ) {
        let mut body = request.body;
        body.truncate(REPLY_BYTES);
        replies.push(id, Response::new(200, "application/octet-stream", body));
    }

    fn wake(&mut self, _now: Instant, _replies: &mut Replies) {}

    fn next_deadline(&self) -> Option<Instant> {
        None
    }

    fn expire(&mut self, _now: Instant, _replies: &mut Replies) {}

    fn sent(&mut self, _id: ExchangeId, _now: Instant) {}

    fn gone(&mut self, _id: ExchangeId) {}
}
