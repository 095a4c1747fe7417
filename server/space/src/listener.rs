//! Accepts Space's stream of events: a TCP port for one machine's address, nothing else.
//!
//! The stream has neither key nor encryption, so what comes over it is shown and decides nothing.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use crate::events::{EventStream, SpaceEvent};
use crate::limits::EVENT_CONNECTIONS_MAX;

/// Where events go. It may block: Space then waits.
pub type NotifyEvent = dyn Fn(SpaceEvent) + Send + Sync;

struct Shared {
    notify: Arc<NotifyEvent>,
    stopping: AtomicBool,
    /// Connections, the oldest first.
    connections: Mutex<VecDeque<(u64, TcpStream)>>,
    refused: AtomicU64,
}

impl Shared {
    fn connections(&self) -> MutexGuard<'_, VecDeque<(u64, TcpStream)>> {
        self.connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// A listening port. Dropping it closes the port and all connections.
pub struct EventListener {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl EventListener {
    /// Listens at `address` for streams from `from` only. With more than
    /// [`EVENT_CONNECTIONS_MAX`] at once the oldest is closed: a Space that was restarted may
    /// leave dead ones behind.
    ///
    /// # Errors
    /// When the port cannot be had.
    pub fn start(address: SocketAddr, from: IpAddr, notify: Arc<NotifyEvent>) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            notify,
            stopping: AtomicBool::new(false),
            connections: Mutex::new(VecDeque::new()),
            refused: AtomicU64::new(0),
        });
        let accepting = Arc::clone(&shared);
        let run = move || accept(&accepting, &listener, from);
        let thread = thread::Builder::new()
            .name("space-events".into())
            .spawn(run)?;
        Ok(Self {
            address,
            shared,
            thread: Some(thread),
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Connections from other addresses that were closed at once.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.shared.refused.load(Ordering::Relaxed)
    }
}

impl Drop for EventListener {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::Release);
        // Wakes the thread that waits for a connection; where it cannot connect, it is not
        // waiting any more.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            // A panic was reported by the panic hook; there is nothing left to end.
            let _ = thread.join();
        }
        for (_, socket) in self.shared.connections().drain(..) {
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}

fn accept(shared: &Arc<Shared>, listener: &TcpListener, from: IpAddr) {
    let mut number = 0;
    loop {
        let accepted = listener.accept();
        if shared.stopping.load(Ordering::Acquire) {
            return;
        }
        let Ok((socket, peer)) = accepted else {
            continue;
        };
        if peer.ip().to_canonical() != from.to_canonical() {
            shared.refused.fetch_add(1, Ordering::Relaxed);
            continue;
        }
        number += 1;
        if let Err(error) = follow_in_thread(shared, number, socket) {
            tracing::warn!(%error, "cannot follow Space's event stream");
        }
    }
}

fn follow_in_thread(shared: &Arc<Shared>, number: u64, socket: TcpStream) -> io::Result<()> {
    let mut connections = shared.connections();
    connections.push_back((number, socket.try_clone()?));
    if connections.len() > EVENT_CONNECTIONS_MAX
        && let Some((_, oldest)) = connections.pop_front()
    {
        // One that is closed already needs no closing.
        let _ = oldest.shutdown(Shutdown::Both);
    }
    drop(connections);
    let shared = Arc::clone(shared);
    let run = move || {
        follow(&shared, socket);
        shared.connections().retain(|(other, _)| *other != number);
    };
    thread::Builder::new()
        .name("space-event-stream".into())
        .spawn(run)
        .map(drop)
}

fn follow(shared: &Shared, mut socket: TcpStream) {
    let mut stream = EventStream::default();
    let mut buffer = [0; 16 << 10];
    loop {
        let count = match socket.read(&mut buffer) {
            Ok(0) => return,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => return,
        };
        if let Err(error) = stream.feed(&buffer[..count], |event| (shared.notify)(event)) {
            tracing::warn!(%error, "Space's event stream is closed");
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::Ipv4Addr;
    use std::time::Duration;

    use crossbeam_channel::{Receiver, unbounded};

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn listen(from: Ipv4Addr) -> (EventListener, Receiver<SpaceEvent>) {
        let (sender, events) = unbounded();
        let notify = Arc::new(move |event| drop(sender.send(event)));
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        (
            EventListener::start(address, from.into(), notify).unwrap(),
            events,
        )
    }

    /// Reads until the other side closes.
    fn is_closed(mut socket: &TcpStream) -> bool {
        socket.set_read_timeout(Some(LONG)).unwrap();
        match socket.read(&mut [0]) {
            Ok(count) => count == 0,
            Err(error) => error.kind() == io::ErrorKind::ConnectionReset,
        }
    }

    #[test]
    fn events_of_the_configured_address_arrive() {
        let (listener, events) = listen(Ipv4Addr::LOCALHOST);
        let mut socket = TcpStream::connect(listener.address()).unwrap();
        socket.write_all(b"[{\"EventID\":\"1\"},{\"Event").unwrap();
        assert_eq!(events.recv_timeout(LONG).unwrap().id, "1");
        socket.write_all(b"ID\":\"2\"}]").unwrap();
        assert_eq!(events.recv_timeout(LONG).unwrap().id, "2");
        socket.write_all(b"EventID;2").unwrap();
        assert!(is_closed(&socket));
        drop(listener);
        assert!(events.try_recv().is_err());
    }

    #[test]
    fn other_addresses_are_closed_unheard() {
        let (listener, events) = listen(Ipv4Addr::new(127, 0, 0, 77));
        let mut socket = TcpStream::connect(listener.address()).unwrap();
        // It may be closed before this is written.
        let _ = socket.write_all(b"[{\"EventID\":\"1\"}]");
        assert!(is_closed(&socket));
        assert_eq!(listener.refused(), 1);
        assert!(events.try_recv().is_err());
    }

    #[test]
    fn the_oldest_of_too_many_connections_is_closed() {
        let (listener, events) = listen(Ipv4Addr::LOCALHOST);
        let mut sockets = Vec::new();
        for number in 0..=EVENT_CONNECTIONS_MAX {
            let mut socket = TcpStream::connect(listener.address()).unwrap();
            socket
                .write_all(format!("[{{\"EventID\":\"{number}\"}}]").as_bytes())
                .unwrap();
            assert_eq!(events.recv_timeout(LONG).unwrap().id, number.to_string());
            sockets.push(socket);
        }
        assert!(is_closed(&sockets[0]));
        sockets[1].write_all(b"[{\"EventID\":\"alive\"}]").unwrap();
        assert_eq!(events.recv_timeout(LONG).unwrap().id, "alive");
        drop(listener);
        assert!(is_closed(&sockets[1]));
    }
}
