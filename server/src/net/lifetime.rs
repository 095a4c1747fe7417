//! The end of phases and of connections: deadlines, closing, removing, stopping.

use std::sync::Arc;
use std::time::Instant;

use super::connection::{Exchange, Stage};
use super::counters::Counter;
use super::event_loop::{EventLoop, find};
use super::exchange::asked;
use super::roster::Place;
use super::{ExchangeId, Key, Service};
use crate::http::{Phase, Refusal};

impl<S: Service> EventLoop<S> {
    /// Brings everything that depends on a connection's state up to date: call it last, whenever
    /// something was done to a connection.
    pub(super) fn settle(&mut self, key: Key, now: Instant) {
        let Some(connection) = find(&mut self.connections, key) else {
            return;
        };
        if connection.exchange == Exchange::Answered && connection.is_flushed() {
            connection.exchange = Exchange::None;
            self.tally.add(Counter::Answers);
            let id = connection.exchange_id();
            self.service.sent(id, now);
        }
        if let Err(end) = connection.finish_closing(now) {
            return self.end(key, end);
        }
        let large = connection.http.large_body();
        let held = connection.buffered() - large;
        self.bytes = self.bytes + held - connection.counted;
        self.large_bytes = self.large_bytes + large - connection.counted_large;
        (connection.counted, connection.counted_large) = (held, large);
        let crowded = held > 0 && self.bytes > self.bounds.bytes;
        if crowded || (large > 0 && self.large_bytes > self.bounds.large_bytes) {
            return self.relieve(key, now);
        }
        let due = connection.due(&self.bounds.timeouts);
        self.deadlines.set(key, &mut connection.timer, due, now);
        if connection.can_go_on() {
            self.enqueue(key);
        }
    }

    /// The loop holds too many bytes, and this connection has just added some.
    fn relieve(&mut self, key: Key, now: Instant) {
        let Some(connection) = find(&mut self.connections, key) else {
            return;
        };
        let unfinished = matches!(connection.http.phase(), Phase::Head | Phase::Body);
        if connection.stage == Stage::Open && unfinished && connection.is_flushed() {
            return self.refuse(key, Refusal::OutOfBuffers, now);
        }
        self.tally.add_refusal(Refusal::OutOfBuffers);
        self.remove(key);
    }

    /// A connection's deadline has come.
    pub(super) fn expire_connection(&mut self, key: Key, now: Instant) {
        let Some(connection) = find(&mut self.connections, key) else {
            return;
        };
        let stuck = !connection.is_flushed();
        let counter = match (connection.stage, connection.http.phase()) {
            (Stage::Greeting, _) => Counter::HandshakeLate,
            (Stage::Closing, _) => Counter::WriteLate,
            (Stage::Open, _) if stuck => Counter::WriteLate,
            (Stage::Open, Phase::Head) => return self.refuse(key, Refusal::HeadLate, now),
            (Stage::Open, Phase::Body) => return self.refuse(key, Refusal::BodyLate, now),
            (Stage::Open, Phase::Answering) => return self.refuse(key, Refusal::AnswerLate, now),
            (Stage::Open, Phase::Idle | Phase::Closed) => {
                self.tally.add(Counter::IdleClosed);
                return self.close(key, now);
            }
            (Stage::Lingering, _) => Counter::LingerLate,
        };
        self.tally.add(counter);
        self.remove(key);
    }

    /// Closes a connection; politely if it is between requests, and at once otherwise.
    pub(super) fn close(&mut self, key: Key, now: Instant) {
        let Some(connection) = find(&mut self.connections, key) else {
            return;
        };
        let polite = connection.stage == Stage::Open && connection.http.phase() == Phase::Idle;
        match polite && connection.close(&mut self.scratch, now).is_ok() {
            true => self.settle(key, now),
            false => self.remove(key),
        }
    }

    /// Closes the connection of an exchange that is not answered.
    pub(super) fn close_exchange(&mut self, id: ExchangeId) {
        if asked(find(&mut self.connections, id.connection), id).is_some() {
            self.remove(id.connection);
        }
    }

    /// Closes all connections of a device, whatever they do.
    pub(super) fn close_device(&mut self, fingerprint: &[u8; 32]) {
        for key in self.devices.connections(fingerprint, &self.waker) {
            self.tally.add(Counter::DeviceClosed);
            self.remove(key);
        }
    }

    /// The service's answer will not be waited for.
    pub(super) fn withdraw_request(&mut self, key: Key) {
        let Some(connection) = find(&mut self.connections, key) else {
            return;
        };
        let (id, address) = (connection.exchange_id(), connection.peer.address.ip());
        connection.exchange = Exchange::None;
        self.requests -= 1;
        self.addresses.change(address, |load| load.requests -= 1);
        self.service.gone(id);
    }

    /// Forgets a connection; its socket closes.
    pub(super) fn remove(&mut self, key: Key) {
        let Some(connection) = find(&mut self.connections, key) else {
            return;
        };
        match connection.exchange {
            Exchange::Asked => self.withdraw_request(key),
            Exchange::Answered => {
                let id = connection.exchange_id();
                self.service.gone(id);
            }
            Exchange::None => {}
        }
        let connection = self.connections.remove(key.index as usize);
        let greeting = connection.is_greeting();
        self.handshakes -= usize::from(greeting);
        self.addresses.change(connection.peer.address.ip(), |load| {
            load.connections -= 1;
            load.handshakes -= usize::from(greeting);
        });
        if let Some(certificate) = &connection.peer.certificate {
            let waker = Arc::clone(&self.waker);
            let place = Place { waker, key };
            self.devices.leave(&certificate.fingerprint, &place);
        }
        self.bytes -= connection.counted;
        self.large_bytes -= connection.counted_large;
    }

    /// Takes no more connections and closes those that owe and are owed nothing.
    pub(super) fn begin_stop(&mut self, now: Instant) {
        self.stop_at = Some(now + self.bounds.timeouts.stop);
        self.listener = None;
        for key in self.all() {
            let Some(connection) = find(&mut self.connections, key) else {
                continue;
            };
            match (connection.stage, connection.http.phase()) {
                (Stage::Greeting, _) => self.remove(key),
                (Stage::Open, Phase::Idle) if connection.is_flushed() => self.close(key, now),
                // The others close with their answer, or at the deadline.
                (Stage::Open | Stage::Closing | Stage::Lingering, _) => {}
            }
        }
    }

    /// The time for stopping is over.
    pub(super) fn drop_all(&mut self) {
        for key in self.all() {
            self.tally.add(Counter::StopDropped);
            self.remove(key);
        }
    }

    fn all(&self) -> Vec<Key> {
        self.connections
            .iter()
            .map(|(_, connection)| connection.key)
            .collect()
    }
}
