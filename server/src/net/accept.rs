//! New connections: who is let in, and who gives a place away for that.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use mio::net::TcpStream;
use mio::{Interest, Token};

use super::connection::{Connection, Exchange, Stage};
use super::counters::Counter;
use super::event_loop::{EventLoop, find};
use super::roster::{Place, Verdict};
use super::{Key, Peer, Service};
use crate::limits::{ACCEPT_PAUSE, ACCEPTS_PER_TURN};
use crate::tls::Session;

/// Where the kernel does not say by which address somebody came.
const UNKNOWN: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

impl<S: Service> EventLoop<S> {
    /// Accepts until the kernel has no more or the turn is over.
    pub(super) fn accept_some(&mut self, now: Instant) {
        if self.accept_not_before.is_some_and(|at| at > now) {
            return;
        }
        self.accept_not_before = None;
        for _ in 0..ACCEPTS_PER_TURN {
            if !self.acceptable {
                break;
            }
            let Some(listener) = &self.listener else {
                break;
            };
            match listener.accept() {
                Ok((socket, address)) => self.admit(socket, address, now),
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.acceptable = false,
                Err(error) if is_of_that_peer(error.kind()) => {}
                Err(error) => {
                    // The connection waits in the kernel. Unless somebody gave up a place for it,
                    // asking again at once would only spin.
                    self.tally.add(Counter::AcceptFailed);
                    if !is_out_of_room(&error) || !self.evict_stranger() {
                        self.accept_not_before = Some(now + ACCEPT_PAUSE);
                    }
                    break;
                }
            }
        }
    }

    fn admit(&mut self, mut socket: TcpStream, address: SocketAddr, now: Instant) {
        self.tally.add(Counter::Accepted);
        if !self.has_room_for(address, now) {
            return;
        }
        let Ok(tls) = Session::new(self.tls.load_full()) else {
            self.tally.add(Counter::HandshakeBroken);
            return;
        };
        let place = self.connections.vacant_entry();
        let token = Token(place.key());
        let Ok(index) = u32::try_from(place.key()) else {
            return;
        };
        self.generation = self.generation.wrapping_add(1);
        let key = Key {
            index,
            generation: self.generation,
        };
        let interest = Interest::READABLE | Interest::WRITABLE;
        let registered = self.poll.registry().register(&mut socket, token, interest);
        if registered.is_err() {
            self.tally.add(Counter::AcceptFailed);
            return;
        }
        let local = socket.local_addr().map_or(UNKNOWN, |local| local.ip());
        let peer = Peer {
            address,
            local,
            certificate: None,
            resumed: false,
        };
        place.insert(Box::new(Connection::new(key, socket, tls, peer, now)));
        self.handshakes += 1;
        self.addresses.change(address.ip(), |load| {
            load.connections += 1;
            load.handshakes += 1;
        });
        let (count, connections) = (self.connections.len(), &self.connections);
        let is_alive = |key: Key| {
            let kept = connections.get(key.index as usize);
            kept.is_some_and(|connection| connection.key == key)
        };
        self.strangers.join(key, count, is_alive);
        self.greeters.join(key, count, is_alive);
        self.settle(key, now);
    }

    /// Whether one more connection from `address` may come in; makes room where that is possible.
    fn has_room_for(&mut self, address: SocketAddr, now: Instant) -> bool {
        if !self
            .pace
            .allows(address.ip(), self.bounds.address_pace, now)
        {
            self.tally.add(Counter::AddressPace);
            return false;
        }
        let load = self.addresses.load(address.ip());
        if load.connections >= self.bounds.address_connections {
            self.tally.add(Counter::AddressConnections);
            return false;
        }
        if load.handshakes >= self.bounds.address_handshakes {
            self.tally.add(Counter::AddressHandshakes);
            return false;
        }
        if self.handshakes >= self.bounds.handshakes {
            self.evict_greeter();
        }
        if self.connections.len() >= self.bounds.connections && !self.evict_stranger() {
            self.tally.add(Counter::ConnectionsRefused);
            return false;
        }
        true
    }

    /// Drops the unfinished handshake that has taken longest: a handshake takes milliseconds
    /// unless the peer does not want it to end.
    fn evict_greeter(&mut self) {
        let connections = &mut self.connections;
        let oldest = self.greeters.take_oldest(|key| {
            let connection = connections.get(key.index as usize);
            match connection.filter(|connection| connection.key == key) {
                Some(connection) if connection.stage == Stage::Greeting => Verdict::Take,
                Some(_) | None => Verdict::Forget,
            }
        });
        if let Some(key) = oldest {
            self.tally.add(Counter::EvictedHandshakes);
            self.remove(key);
        }
    }

    /// Drops the oldest connection without a certificate that has no request with the service.
    fn evict_stranger(&mut self) -> bool {
        let connections = &self.connections;
        let oldest = self.strangers.take_oldest(|key| {
            let connection = connections.get(key.index as usize);
            match connection.filter(|connection| connection.key == key) {
                None => Verdict::Forget,
                Some(connection) if connection.peer.certificate.is_some() => Verdict::Forget,
                Some(connection) if connection.exchange == Exchange::Asked => Verdict::Spare,
                Some(_) => Verdict::Take,
            }
        });
        if let Some(key) = oldest {
            self.tally.add(Counter::EvictedStrangers);
            self.remove(key);
        }
        oldest.is_some()
    }

    /// The handshake is over: from now on the connection is a stranger's or a device's.
    pub(super) fn welcome(&mut self, key: Key, now: Instant) {
        let Some(connection) = find(&mut self.connections, key) else {
            return;
        };
        self.handshakes -= 1;
        self.tally.add(match connection.peer.resumed {
            true => Counter::HandshakesResumed,
            false => Counter::HandshakesFull,
        });
        let address = connection.peer.address.ip();
        self.addresses.change(address, |load| load.handshakes -= 1);
        let Some(certificate) = &connection.peer.certificate else {
            return;
        };
        let (fingerprint, cap) = (certificate.fingerprint, self.bounds.device_connections);
        let waker = Arc::clone(&self.waker);
        let joined = self.devices.join(fingerprint, Place { waker, key }, cap);
        if let Some(oldest) = joined {
            match Arc::ptr_eq(&oldest.waker, &self.waker) {
                true => self.evict_of_device(oldest.key, now),
                false => oldest.waker.evict(oldest.key),
            }
        }
    }

    /// Closes a connection whose device has opened too many.
    pub(super) fn evict_of_device(&mut self, key: Key, now: Instant) {
        if find(&mut self.connections, key).is_some() {
            self.tally.add(Counter::EvictedDevices);
            self.close(key, now);
        }
    }
}

/// Whether accept failed for want of descriptors or memory.
fn is_out_of_room(error: &std::io::Error) -> bool {
    const ENOMEM: i32 = 12;
    const ENFILE: i32 = 23;
    const EMFILE: i32 = 24;
    const ENOBUFS: i32 = 105;
    matches!(
        error.raw_os_error(),
        Some(ENOMEM | ENFILE | EMFILE | ENOBUFS)
    )
}

/// Errors of accept that concern the one connection that would have been accepted.
fn is_of_that_peer(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset | ErrorKind::Interrupted
    )
}
