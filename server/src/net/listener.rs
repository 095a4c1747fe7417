//! Listening sockets: bound here, or inherited from whoever started us.

use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, SockRef, Socket, Type};

use crate::limits::{BACKLOG, SEND_BUFFER_BYTES};

/// Listens on `address`. With `shared`, several loops may each listen on it, and the kernel
/// spreads connections over them.
///
/// # Errors
/// As the kernel says, most often that the address is taken or not ours.
pub fn bind(address: SocketAddr, shared: bool) -> io::Result<TcpListener> {
    let domain = Domain::for_address(address);
    let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
    // A restart must not wait for the connections of the last run to fade.
    socket.set_reuse_address(true)?;
    if shared {
        socket.set_reuse_port(true)?;
    }
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    prepare(SockRef::from(&socket))?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Listeners for `loops` loops on one address. With port 0 all share the port that the first got.
///
/// # Errors
/// As [`bind`].
pub fn bind_all(address: SocketAddr, loops: usize) -> io::Result<Vec<TcpListener>> {
    let shared = loops > 1;
    let first = bind(address, shared)?;
    let address = first.local_addr()?;
    let mut listeners = vec![first];
    for _ in 1..loops {
        listeners.push(bind(address, shared)?);
    }
    Ok(listeners)
}

/// The listening TCP sockets that systemd (or another parent) handed to this process, in order;
/// none if there are none. Call it once, and before other threads start.
///
/// # Errors
/// When something else than a listening TCP socket was handed over.
pub fn inherited() -> io::Result<Vec<TcpListener>> {
    let mut handed = listenfd::ListenFd::from_env();
    let mut listeners = Vec::new();
    for index in 0..handed.len() {
        if let Some(listener) = handed.take_tcp_listener(index)? {
            prepare(SockRef::from(&listener))?;
            listeners.push(listener);
        }
    }
    Ok(listeners)
}

/// What accepted connections take over from their listener.
fn prepare(listener: SockRef<'_>) -> io::Result<()> {
    // Left alone the kernel holds megabytes for whoever does not read.
    listener.set_send_buffer_size(SEND_BUFFER_BYTES)?;
    // An answer is one short record; it must not wait for the last one's acknowledgement.
    listener.set_tcp_nodelay(true)?;
    listener.set_nonblocking(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepted_connections_take_over_what_was_prepared() {
        let listener = bind(SocketAddr::from(([127, 0, 0, 1], 0)), false).expect("a free port");
        listener.set_nonblocking(false).expect("a flag");
        let address = listener.local_addr().expect("it is bound");
        let _peer = std::net::TcpStream::connect(address).expect("it listens");
        let (accepted, _) = listener.accept().expect("a connection waits");
        assert!(accepted.nodelay().expect("an option"));
        let size = SockRef::from(&accepted).send_buffer_size();
        assert_eq!(size.expect("an option"), 2 * SEND_BUFFER_BYTES);
    }

    #[test]
    fn loops_share_a_port_and_strangers_do_not() {
        let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
        let shared = bind_all(loopback, 3).expect("a free port");
        let port = shared[0].local_addr().expect("it is bound").port();
        assert!(
            shared
                .iter()
                .all(|listener| listener.local_addr().is_ok_and(|at| at.port() == port))
        );
        let taken = bind(SocketAddr::from(([127, 0, 0, 1], port)), false);
        let error = taken.expect_err("the port is taken");
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    }
}
