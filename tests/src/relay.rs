//! A network that breaks: it lets so many bytes of each connection through, and then cuts it; or it
//! holds back what the server says, with the connection open.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;

/// A relay to a server; its threads end with the test.
pub struct Relay {
    /// Where it listens.
    pub address: SocketAddr,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    passed: AtomicU64,
    cuts: AtomicU64,
    silent: Mutex<bool>,
    speaks: Condvar,
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
            state: Arc::default(),
        };
        let state = Arc::clone(&relay.state);
        thread::spawn(move || {
            for device in listener.incoming().map_while(Result::ok) {
                let Ok(server) = TcpStream::connect(server) else {
                    continue;
                };
                let state = Arc::clone(&state);
                thread::spawn(move || between(&device, &server, cut_after, &state));
            }
        });
        relay
    }

    /// Bytes that came from the server, of all connections.
    #[must_use]
    pub fn passed(&self) -> u64 {
        self.state.passed.load(Ordering::SeqCst)
    }

    /// Connections that were cut.
    #[must_use]
    pub fn cuts(&self) -> u64 {
        self.state.cuts.load(Ordering::SeqCst)
    }

    /// From now on nothing comes from the server, or again.
    pub fn silence(&self, silent: bool) {
        let mut now = self
            .state
            .silent
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *now = silent;
        self.state.speaks.notify_all();
    }
}

fn between(device: &TcpStream, server: &TcpStream, cut_after: u64, state: &State) {
    let (Ok(mut up), Ok(mut to)) = (device.try_clone(), server.try_clone()) else {
        return;
    };
    // It ends with the connection.
    thread::spawn(move || std::io::copy(&mut up, &mut to));
    let (mut from, mut down) = (server, device);
    let mut left = cut_after;
    let mut piece = [0; 4_096];
    while let Ok(read) = from.read(&mut piece) {
        let silent = state.silent.lock().unwrap_or_else(PoisonError::into_inner);
        drop(state.speaks.wait_while(silent, |silent| *silent));
        let given = left.min(read as u64);
        if read == 0 || down.write_all(&piece[..given as usize]).is_err() {
            break;
        }
        state.passed.fetch_add(given, Ordering::SeqCst);
        left -= given;
        if left == 0 {
            state.cuts.fetch_add(1, Ordering::SeqCst);
            break;
        }
    }
    // One that is closed already is what is wanted.
    let _ = (
        device.shutdown(Shutdown::Both),
        server.shutdown(Shutdown::Both),
    );
}
