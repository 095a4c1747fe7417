//! What a loop counted, readable from any thread.
//!
//! The loop counts in plain numbers and copies those that changed to atomics once a turn, so that
//! nothing on the way of a request is shared.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::http::Refusal;

/// What is counted. The first ones are levels, the others only grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Counter {
    /// Connections now.
    Connections,
    /// Unfinished handshakes now.
    Handshakes,
    /// Requests with the service now.
    RequestsInFlight,
    /// Bytes held for peers now.
    BytesInFlight,
    /// Connections accepted.
    Accepted,
    /// Handshakes done in full.
    HandshakesFull,
    /// Handshakes that resumed a session.
    HandshakesResumed,
    /// Requests given to the service.
    Requests,
    /// Answers whose last byte went to the kernel.
    Answers,
    /// Answers of the service that came when the exchange was over.
    AnswersLate,
    /// Accept failed for want of descriptors or memory.
    AcceptFailed,
    /// Connections closed at once because their address has too many.
    AddressConnections,
    /// Connections closed at once because their address has too many unfinished handshakes.
    AddressHandshakes,
    /// Connections closed at once because their address opens too many a second.
    AddressPace,
    /// Requests refused because their address has too many in flight.
    AddressRequests,
    /// Strangers' connections closed to make room for another.
    EvictedStrangers,
    /// Unfinished handshakes dropped to make room for another.
    EvictedHandshakes,
    /// Oldest connections closed because their device opened too many.
    EvictedDevices,
    /// Connections closed at once because all places are taken and nobody could be moved.
    ConnectionsRefused,
    /// Handshakes not done in time.
    HandshakeLate,
    /// Handshakes that failed because of the peer's certificate.
    CertificateRefused,
    /// Handshakes that the peer gave up with an alert.
    HandshakeAborted,
    /// Handshakes that failed otherwise: old versions, garbage.
    HandshakeBroken,
    /// Sessions that broke after the handshake.
    TlsBroken,
    /// Connections closed after a long quiet.
    IdleClosed,
    /// Peers that did not take their answer in time.
    WriteLate,
    /// Peers that left in the middle of a request or before its answer.
    PeerLeft,
    /// Connections closed because the device was removed.
    DeviceClosed,
    /// Peers that did not end a connection in time which we had closed.
    LingerLate,
    /// Connections dropped at the end of the time for stopping.
    StopDropped,
}

impl Counter {
    /// All, in the order of their numbers.
    pub const ALL: [Counter; 30] = [
        Counter::Connections,
        Counter::Handshakes,
        Counter::RequestsInFlight,
        Counter::BytesInFlight,
        Counter::Accepted,
        Counter::HandshakesFull,
        Counter::HandshakesResumed,
        Counter::Requests,
        Counter::Answers,
        Counter::AnswersLate,
        Counter::AcceptFailed,
        Counter::AddressConnections,
        Counter::AddressHandshakes,
        Counter::AddressPace,
        Counter::AddressRequests,
        Counter::EvictedStrangers,
        Counter::EvictedHandshakes,
        Counter::EvictedDevices,
        Counter::ConnectionsRefused,
        Counter::HandshakeLate,
        Counter::CertificateRefused,
        Counter::HandshakeAborted,
        Counter::HandshakeBroken,
        Counter::TlsBroken,
        Counter::IdleClosed,
        Counter::WriteLate,
        Counter::PeerLeft,
        Counter::DeviceClosed,
        Counter::LingerLate,
        Counter::StopDropped,
    ];

    /// A name in snake case, for metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Counter::Connections => "connections",
            Counter::Handshakes => "handshakes",
            Counter::RequestsInFlight => "requests_in_flight",
            Counter::BytesInFlight => "bytes_in_flight",
            Counter::Accepted => "accepted",
            Counter::HandshakesFull => "handshakes_full",
            Counter::HandshakesResumed => "handshakes_resumed",
            Counter::Requests => "requests",
            Counter::Answers => "answers",
            Counter::AnswersLate => "answers_late",
            Counter::AcceptFailed => "accept_failed",
            Counter::AddressConnections => "address_connections",
            Counter::AddressHandshakes => "address_handshakes",
            Counter::AddressPace => "address_pace",
            Counter::AddressRequests => "address_requests",
            Counter::EvictedStrangers => "evicted_strangers",
            Counter::EvictedHandshakes => "evicted_handshakes",
            Counter::EvictedDevices => "evicted_devices",
            Counter::ConnectionsRefused => "connections_refused",
            Counter::HandshakeLate => "handshake_late",
            Counter::CertificateRefused => "certificate_refused",
            Counter::HandshakeAborted => "handshake_aborted",
            Counter::HandshakeBroken => "handshake_broken",
            Counter::TlsBroken => "tls_broken",
            Counter::IdleClosed => "idle_closed",
            Counter::WriteLate => "write_late",
            Counter::PeerLeft => "peer_left",
            Counter::DeviceClosed => "device_closed",
            Counter::LingerLate => "linger_late",
            Counter::StopDropped => "stop_dropped",
        }
    }

    /// Whether it is a level, which also falls.
    pub const fn is_level(self) -> bool {
        (self as usize) < Counter::Accepted as usize
    }
}

const COUNTERS: usize = Counter::ALL.len();
const REFUSALS: usize = Refusal::ALL.len();

/// What one loop counted so far; shared.
#[derive(Debug)]
pub struct Counters {
    counters: [AtomicU64; COUNTERS],
    refusals: [AtomicU64; REFUSALS],
}

impl Default for Counters {
    fn default() -> Counters {
        Counters {
            counters: [const { AtomicU64::new(0) }; COUNTERS],
            refusals: [const { AtomicU64::new(0) }; REFUSALS],
        }
    }
}

impl Counters {
    /// The counter's value at the end of the loop's last turn.
    pub fn value(&self, counter: Counter) -> u64 {
        self.counters[counter as usize].load(Ordering::Relaxed)
    }

    /// Requests refused for this reason until the end of the loop's last turn.
    pub fn refused(&self, refusal: Refusal) -> u64 {
        self.refusals[refusal as usize].load(Ordering::Relaxed)
    }
}

/// The loop's own numbers.
#[derive(Debug)]
pub(super) struct Tally {
    counters: [u64; COUNTERS],
    refusals: [u64; REFUSALS],
    published: ([u64; COUNTERS], [u64; REFUSALS]),
}

impl Tally {
    pub(super) fn new() -> Tally {
        Tally {
            counters: [0; COUNTERS],
            refusals: [0; REFUSALS],
            published: ([0; COUNTERS], [0; REFUSALS]),
        }
    }

    pub(super) fn add(&mut self, counter: Counter) {
        self.counters[counter as usize] += 1;
    }

    pub(super) fn set(&mut self, counter: Counter, level: usize) {
        self.counters[counter as usize] = level as u64;
    }

    pub(super) fn add_refusal(&mut self, refusal: Refusal) {
        self.refusals[refusal as usize] += 1;
    }

    /// Copies what changed.
    pub(super) fn publish(&mut self, to: &Counters) {
        let (counters, refusals) = &mut self.published;
        copy(&self.counters, counters, &to.counters);
        copy(&self.refusals, refusals, &to.refusals);
    }
}

fn copy(from: &[u64], published: &mut [u64], to: &[AtomicU64]) {
    for ((&value, published), to) in from.iter().zip(published).zip(to) {
        if value != *published {
            *published = value;
            to.store(value, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_follow_the_order_of_all() {
        for (i, counter) in Counter::ALL.iter().enumerate() {
            assert_eq!(*counter as usize, i, "{counter:?}");
        }
        assert!(Counter::BytesInFlight.is_level() && !Counter::Accepted.is_level());
    }

    #[test]
    fn what_is_published_can_be_read() {
        let (mut tally, counters) = (Tally::new(), Counters::default());
        tally.add(Counter::Requests);
        tally.set(Counter::Connections, 7);
        tally.add_refusal(Refusal::Version);
        assert_eq!(counters.value(Counter::Requests), 0);
        tally.publish(&counters);
        assert_eq!(counters.value(Counter::Requests), 1);
        assert_eq!(counters.value(Counter::Connections), 7);
        assert_eq!(counters.refused(Refusal::Version), 1);
    }
}
