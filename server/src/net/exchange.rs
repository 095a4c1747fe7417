//! Requests to the service, answers and refusals to the peer.

use std::borrow::Cow;
use std::time::Instant;

use super::connection::{Connection, End, Exchange};
use super::counters::Counter;
use super::event_loop::{EventLoop, find};
use super::{ExchangeId, Key, Reply, Service};
use crate::http::{Phase, Refusal, Request, Response};

impl<S: Service> EventLoop<S> {
    /// One connection's turn: writes what waits, reads what came, passes on what is whole.
    pub(super) fn serve(&mut self, key: Key, now: Instant) {
        let Some(connection) = find(&mut self.connections, key) else {
            return;
        };
        connection.queued = false;
        if let Err(end) = connection.flush() {
            return self.end(key, end);
        }
        if self.scratch.body.capacity() == 0 {
            self.scratch.body = self.replies.buffer();
        }
        let input = connection.receive(&mut self.scratch, now);
        if input.handshake_done {
            self.welcome(key, now);
        }
        if let Some(end) = input.end {
            return self.end(key, end);
        }
        if let Some(refusal) = input.refusal {
            return self.refuse(key, refusal, now);
        }
        if let Some(request) = input.request {
            return self.ask(key, request, now);
        }
        self.settle(key, now);
    }

    /// Gives a request to the service, unless too many are with it already.
    fn ask(&mut self, key: Key, request: Request, now: Instant) {
        let Some(connection) = find(&mut self.connections, key) else {
            return;
        };
        let address = connection.peer.address.ip();
        if self.requests >= self.bounds.requests {
            return self.refuse(key, Refusal::Overloaded, now);
        }
        if self.addresses.load(address).requests >= self.bounds.address_requests {
            self.tally.add(Counter::AddressRequests);
            return self.refuse(key, Refusal::Overloaded, now);
        }
        connection.number = connection.number.wrapping_add(1);
        connection.exchange = Exchange::Asked;
        let id = connection.exchange_id();
        self.requests += 1;
        self.addresses.change(address, |load| load.requests += 1);
        self.tally.add(Counter::Requests);
        let peer = &connection.peer;
        self.service
            .request(id, peer, request, now, &mut self.replies);
        self.apply_replies(now);
        self.settle(key, now);
    }

    /// Does what the service wants, in its order.
    pub(super) fn apply_replies(&mut self, now: Instant) {
        if self.replies.wanted.is_empty() {
            return;
        }
        let mut replies = std::mem::take(&mut self.replies.wanted);
        for reply in replies.drain(..) {
            match reply {
                Reply::Answer(id, response) => self.answer(id, response, now),
                Reply::Close(id) => self.close_exchange(id),
                Reply::CloseDevice(fingerprint) => self.close_device(&fingerprint),
            }
        }
        // No call above reaches a method that adds replies.
        self.replies.wanted = replies;
    }

    fn answer(&mut self, id: ExchangeId, mut response: Response, now: Instant) {
        let Some(connection) = asked(find(&mut self.connections, id.connection), id) else {
            return self.tally.add(Counter::AnswersLate);
        };
        response.close |= self.stop_at.is_some();
        let plaintext = &mut self.scratch.plaintext;
        plaintext.clear();
        if let Some(refusal) = connection.http.answer(&response, now, plaintext) {
            self.tally.add_refusal(refusal);
        }
        connection.exchange = Exchange::Answered;
        let sent = connection.send(&mut self.scratch, now);
        self.scratch.trim();
        if let Cow::Owned(body) = response.body {
            self.replies.give_back(body);
        }
        let address = connection.peer.address.ip();
        self.requests -= 1;
        self.addresses.change(address, |load| load.requests -= 1);
        match sent {
            Ok(()) => self.settle(id.connection, now),
            Err(end) => self.end(id.connection, end),
        }
    }

    /// Answers a request, or what was to become one, without the service.
    pub(super) fn refuse(&mut self, key: Key, refusal: Refusal, now: Instant) {
        let Some(connection) = find(&mut self.connections, key) else {
            return;
        };
        self.tally.add_refusal(refusal);
        if connection.exchange == Exchange::Asked {
            self.withdraw_request(key);
        }
        let Some(connection) = find(&mut self.connections, key) else {
            return;
        };
        let plaintext = &mut self.scratch.plaintext;
        plaintext.clear();
        connection.http.refuse(refusal, now, plaintext);
        let sent = connection.send(&mut self.scratch, now);
        match sent {
            Ok(()) => self.settle(key, now),
            Err(end) => self.end(key, end),
        }
    }

    /// Nothing more can come of a connection.
    pub(super) fn end(&mut self, key: Key, end: End) {
        let Some(connection) = find(&mut self.connections, key) else {
            return;
        };
        let counter = match (&end, connection.is_greeting()) {
            (End::Left, true) => Some(Counter::HandshakeAborted),
            (End::Left, false) => connection.is_in_the_middle().then_some(Counter::PeerLeft),
            (End::Broken(error), true) if error.is_certificate() => {
                Some(Counter::CertificateRefused)
            }
            (End::Broken(error), true) if error.is_alert_received() => {
                Some(Counter::HandshakeAborted)
            }
            (End::Broken(_), true) => Some(Counter::HandshakeBroken),
            (End::Broken(_), false) => Some(Counter::TlsBroken),
        };
        if let Some(counter) = counter {
            self.tally.add(counter);
        }
        self.remove(key);
    }
}

/// The connection, if `id` is the request that its service has.
pub(super) fn asked(
    connection: Option<&mut Connection>,
    id: ExchangeId,
) -> Option<&mut Connection> {
    connection.filter(|connection| {
        connection.exchange_id() == id
            && connection.exchange == Exchange::Asked
            && connection.http.phase() == Phase::Answering
    })
}
