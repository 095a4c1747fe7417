//! A socket, with or without TLS, on which every wait ends at a deadline, and which knows how
//! many bytes the socket took.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::{ClientConfig, ClientConnection, Error};
use rustls_pki_types::ServerName;

use super::Fault;
use crate::limits::{CONNECT_TIME_MAX, REQUEST_BYTES_MAX};
use crate::message::reply::shorten;

const READ_BYTES: usize = 16 << 10;

pub(super) struct Link {
    socket: TcpStream,
    tls: Option<ClientConnection>,
}

/// Connects to the first of `addresses` that answers, within [`CONNECT_TIME_MAX`] each.
pub(super) fn connect(addresses: &[SocketAddr], deadline: Instant) -> Result<TcpStream, Fault> {
    let mut fault = Fault::Resolve;
    for address in addresses {
        let timeout = remaining(deadline)?.min(CONNECT_TIME_MAX);
        match TcpStream::connect_timeout(address, timeout) {
            Ok(socket) => {
                socket.set_nodelay(true).map_err(socket_fault)?;
                return Ok(socket);
            }
            Err(error) if is_timeout(error.kind()) => fault = Fault::Deadline,
            Err(error) => fault = Fault::Connect(error.kind().to_string()),
        }
    }
    Err(fault)
}

impl Link {
    pub(super) fn plain(socket: TcpStream) -> Self {
        Self { socket, tls: None }
    }

    /// Finishes the handshake, so that afterwards the socket takes application bytes only.
    pub(super) fn secure(
        socket: TcpStream,
        config: &Arc<ClientConfig>,
        name: &ServerName<'static>,
        deadline: Instant,
    ) -> Result<Self, Fault> {
        let tls = ClientConnection::new(Arc::clone(config), name.clone());
        let mut tls = tls.map_err(|error| tls_fault(&error))?;
        let mut link = Self { socket, tls: None };
        while tls.is_handshaking() || tls.wants_write() {
            if tls.wants_write() {
                link.flush(&mut tls, deadline).1?;
                continue;
            }
            if link.fill(&mut tls, deadline)? == 0 {
                return Err(Fault::Closed);
            }
            if let Err(error) = tls.process_new_packets() {
                // The alert that says why is worth a try, and nothing more.
                let _ = link.flush(&mut tls, deadline);
                return Err(tls_fault(&error));
            }
        }
        link.tls = Some(tls);
        Ok(link)
    }

    /// Sends all of `bytes`. Returns how many bytes the socket took, encrypted ones where there
    /// is TLS: with 0 the peer has certainly seen nothing.
    pub(super) fn send(&mut self, bytes: &[u8], deadline: Instant) -> (usize, Result<(), Fault>) {
        if bytes.len() > REQUEST_BYTES_MAX {
            return (0, Err(Fault::RequestTooLarge(REQUEST_BYTES_MAX)));
        }
        let Some(mut tls) = self.tls.take() else {
            return self.send_plain(bytes, deadline);
        };
        let outcome = match tls.writer().write_all(bytes) {
            Ok(()) => self.flush(&mut tls, deadline),
            Err(error) => (0, Err(socket_fault(error))),
        };
        self.tls = Some(tls);
        outcome
    }

    /// Appends what comes next to `into`. 0 when the peer is done sending.
    pub(super) fn receive(
        &mut self,
        into: &mut Vec<u8>,
        deadline: Instant,
    ) -> Result<usize, Fault> {
        let Some(mut tls) = self.tls.take() else {
            return self.receive_plain(into, deadline);
        };
        let outcome = self.receive_tls(&mut tls, into, deadline);
        self.tls = Some(tls);
        outcome
    }

    pub(super) fn socket(&self) -> Option<TcpStream> {
        self.socket.try_clone().ok()
    }

    /// Whether the peer has neither closed nor sent anything that nobody asked for. Looks, and
    /// does not wait.
    pub(super) fn is_quiet(&mut self) -> bool {
        if self.socket.set_nonblocking(true).is_err() {
            return false;
        }
        let quiet = match self.tls.as_mut() {
            Some(tls) => tls_is_quiet(tls, &mut self.socket),
            None => {
                let peeked = self.socket.peek(&mut [0]);
                peeked.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
            }
        };
        quiet && self.socket.set_nonblocking(false).is_ok()
    }

    fn send_plain(&mut self, bytes: &[u8], deadline: Instant) -> (usize, Result<(), Fault>) {
        let mut sent = 0;
        while sent < bytes.len() {
            let step = self.prepare_write(deadline).and_then(|()| {
                self.socket
                    .write(&bytes[sent..])
                    .or_else(retry_later)
                    .map_err(socket_fault)
            });
            match step {
                Ok(count) => sent += count,
                Err(fault) => return (sent, Err(fault)),
            }
        }
        (sent, Ok(()))
    }

    /// Writes what TLS has ready.
    fn flush(
        &mut self,
        tls: &mut ClientConnection,
        deadline: Instant,
    ) -> (usize, Result<(), Fault>) {
        let mut sent = 0;
        while tls.wants_write() {
            let step = self.prepare_write(deadline).and_then(|()| {
                tls.write_tls(&mut self.socket)
                    .or_else(retry_later)
                    .map_err(socket_fault)
            });
            match step {
                Ok(count) => sent += count,
                Err(fault) => return (sent, Err(fault)),
            }
        }
        (sent, Ok(()))
    }

    fn receive_tls(
        &mut self,
        tls: &mut ClientConnection,
        into: &mut Vec<u8>,
        deadline: Instant,
    ) -> Result<usize, Fault> {
        let mut buffer = [0; READ_BYTES];
        loop {
            match tls.reader().read(&mut buffer) {
                Ok(count) => {
                    into.extend_from_slice(&buffer[..count]);
                    return Ok(count);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                // The socket ended without TLS' own farewell. Whether the answer is whole is for
                // its framing to say.
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(0),
                Err(error) => return Err(socket_fault(error)),
            }
            self.fill(tls, deadline)?;
            tls.process_new_packets()
                .map_err(|error| tls_fault(&error))?;
            self.flush(tls, deadline).1?;
        }
    }

    fn receive_plain(&mut self, into: &mut Vec<u8>, deadline: Instant) -> Result<usize, Fault> {
        let mut buffer = [0; READ_BYTES];
        loop {
            let timeout = remaining(deadline)?;
            self.socket
                .set_read_timeout(Some(timeout))
                .map_err(socket_fault)?;
            match self.socket.read(&mut buffer) {
                Ok(count) => {
                    into.extend_from_slice(&buffer[..count]);
                    return Ok(count);
                }
                Err(error) if is_timeout(error.kind()) => {}
                Err(error) => return Err(socket_fault(error)),
            }
        }
    }

    /// Reads what the socket has into TLS; 0 at its end.
    fn fill(&mut self, tls: &mut ClientConnection, deadline: Instant) -> Result<usize, Fault> {
        loop {
            let timeout = remaining(deadline)?;
            self.socket
                .set_read_timeout(Some(timeout))
                .map_err(socket_fault)?;
            match tls.read_tls(&mut self.socket) {
                Ok(count) => return Ok(count),
                Err(error) if is_timeout(error.kind()) => {}
                Err(error) => return Err(socket_fault(error)),
            }
        }
    }

    fn prepare_write(&mut self, deadline: Instant) -> Result<(), Fault> {
        let timeout = remaining(deadline)?;
        self.socket
            .set_write_timeout(Some(timeout))
            .map_err(socket_fault)
    }
}

fn tls_is_quiet(tls: &mut ClientConnection, socket: &mut TcpStream) -> bool {
    loop {
        match tls.read_tls(socket) {
            Ok(0) => return false,
            Ok(_) => {}
            Err(error) => return error.kind() == ErrorKind::WouldBlock,
        }
        // Session tickets come whenever the peer likes; plain text does not.
        match tls.process_new_packets() {
            Ok(state) if state.plaintext_bytes_to_read() > 0 || state.peer_has_closed() => {
                return false;
            }
            Ok(_) if tls.wants_write() => return false,
            Ok(_) => {}
            Err(_) => return false,
        }
    }
}

/// Time until `deadline`, never zero: the system takes a timeout of zero for none at all.
fn remaining(deadline: Instant) -> Result<Duration, Fault> {
    let remaining = deadline.saturating_duration_since(Instant::now());
    if remaining.is_zero() {
        Err(Fault::Deadline)
    } else {
        Ok(remaining)
    }
}

fn is_timeout(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
    )
}

/// Nothing was written, and the loop looks at the deadline.
fn retry_later(error: std::io::Error) -> std::io::Result<usize> {
    if is_timeout(error.kind()) {
        Ok(0)
    } else {
        Err(error)
    }
}

fn socket_fault(error: std::io::Error) -> Fault {
    match error.kind() {
        ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::BrokenPipe => {
            Fault::Closed
        }
        kind => Fault::Socket(kind.to_string()),
    }
}

fn tls_fault(error: &Error) -> Fault {
    let words = |text: String| shorten(text);
    match error {
        Error::InvalidCertificate(reason) => Fault::Certificate(words(reason.to_string())),
        Error::General(reason) => Fault::Certificate(words(reason.clone())),
        other => Fault::Tls(words(other.to_string())),
    }
}
