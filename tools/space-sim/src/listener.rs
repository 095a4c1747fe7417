//! A listening socket with a thread for each connection, which can be gone for a while.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use crate::world::World;

/// Serves one connection until it ends.
pub(crate) type Serve = fn(&Arc<World>, TcpStream);

pub(crate) struct Listener {
    address: SocketAddr,
    thread: Option<JoinHandle<()>>,
}

impl Listener {
    /// `may_be_gone`: the fault `gone` closes this listener too.
    pub(crate) fn start(
        address: SocketAddr,
        world: &Arc<World>,
        serve: Serve,
        may_be_gone: bool,
    ) -> Result<Self, String> {
        let words = |error: io::Error| format!("cannot listen on {address}: {error}");
        let listener = TcpListener::bind(address).map_err(words)?;
        let address = listener.local_addr().map_err(words)?;
        let shared = Arc::clone(world);
        let run = move || run(&shared, listener, address, serve, may_be_gone);
        let thread = thread::Builder::new()
            .name("listener".into())
            .spawn(run)
            .map_err(words)?;
        if may_be_gone {
            world.faults.on_gone(address);
        }
        Ok(Self {
            address,
            thread: Some(thread),
        })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The world must be stopping.
    pub(crate) fn stop(&mut self) {
        nudge(self.address);
        if let Some(thread) = self.thread.take() {
            // A panic of the listener was reported by the panic hook.
            let _ = thread.join();
        }
    }
}

/// Makes a listener that waits in `accept` look around.
pub(crate) fn nudge(address: SocketAddr) {
    // When nobody listens there is nobody to nudge.
    let _ = TcpStream::connect(address);
}

fn run(
    world: &Arc<World>,
    first: TcpListener,
    address: SocketAddr,
    serve: Serve,
    may_be_gone: bool,
) {
    let mut listener = first;
    loop {
        let accepted = listener.accept();
        if world.is_stopping() {
            return;
        }
        if may_be_gone && world.faults.is_gone() {
            drop(accepted);
            drop(listener);
            world.close_connections();
            if !world.faults.wait_for_return() {
                return;
            }
            match TcpListener::bind(address) {
                Ok(again) => listener = again,
                Err(error) => {
                    eprintln!("space-sim: cannot listen on {address} again: {error}");
                    return;
                }
            }
            continue;
        }
        let Ok((socket, _)) = accepted else { continue };
        let served = Served::begin(world);
        let serve = move || serve(&served.0, socket);
        let spawned = thread::Builder::new()
            .name("connection".into())
            .spawn(serve);
        if let Err(error) = spawned {
            eprintln!("space-sim: no thread for a connection: {error}");
        }
    }
}

/// Counts a thread that serves a connection, until it ends in whatever way.
struct Served(Arc<World>);

impl Served {
    fn begin(world: &Arc<World>) -> Self {
        world.thread_begins();
        Self(Arc::clone(world))
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.0.thread_ends();
    }
}
