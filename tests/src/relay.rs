//! A network that breaks: it lets so many bytes of each connection through, and then cuts it.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

/// A relay to a server; its threads end with the test.
pub struct Relay {
    /// Where it listens.
    pub address: SocketAddr,
    passed: Arc<AtomicU64>,
    cuts: Arc<AtomicU64>,
}

impl Relay {
    /// A relay to `server` that cuts a connection when so many bytes have come from there.
    ///
    /// # Panics
    /// If there is no port.
    #[must_use]
    pub fn start(server: SocketAddr, cut_after: u64) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let relay = Self {
            address: listener.local_addr().expect("an address"),
            passed: Arc::default(),
            cuts: Arc::default(),
        };
        let (passed, cuts) = (Arc::clone(&relay.passed), Arc::clone(&relay.cuts));
        thread::spawn(move || {
            for device in listener.incoming().map_while(Result::ok) {
                let Ok(server) = TcpStream::connect(server) else {
                    continue;
                };
                let (passed, cuts) = (Arc::clone(&passed), Arc::clone(&cuts));
                thread::spawn(move || between(&device, &server, cut_after, &passed, &cuts));
            }
        });
        relay
    }

    /// Bytes that came from the server, of all connections.
    #[must_use]
    pub fn passed(&self) -> u64 {
        self.passed.load(Ordering::SeqCst)
    }

    /// Connections that were cut.
    #[must_use]
    pub fn cuts(&self) -> u64 {
        self.cuts.load(Ordering::SeqCst)
    }
}

fn between(
    device: &TcpStream,
    server: &TcpStream,
    cut_after: u64,
    passed: &AtomicU64,
    cuts: &AtomicU64,
) {
    let (Ok(mut up), Ok(mut to)) = (device.try_clone(), server.try_clone()) else {
        return;
    };
    // It ends with the connection.
    thread::spawn(move || std::io::copy(&mut up, &mut to));
    let (mut from, mut down) = (server, device);
    let mut left = cut_after;
    let mut piece = [0; 4_096];
    while let Ok(read) = from.read(&mut piece) {
        let given = left.min(read as u64);
        if read == 0 || down.write_all(&piece[..given as usize]).is_err() {
            break;
        }
        passed.fetch_add(given, Ordering::SeqCst);
        left -= given;
        if left == 0 {
            cuts.fetch_add(1, Ordering::SeqCst);
            break;
        }
    }
    // One that is closed already is what is wanted.
    let _ = (device.shutdown(Shutdown::Both), server.shutdown(Shutdown::Both));
}
