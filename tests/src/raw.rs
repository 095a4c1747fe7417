//! A TLS connection over which anything can be sent, right or wrong.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use rustls::{ClientConfig, ClientConnection, StreamOwned};

use cardea_loadtest::identity::Identity;
use cardea_loadtest::tls::{self, server_name};
use cardea_wire::path;

use crate::device::{TIMEOUT, access, new_id};
use crate::face;

/// A connection, after nothing but TCP: the handshake comes with the first bytes.
pub struct Raw {
    stream: StreamOwned<ClientConnection, TcpStream>,
}

impl Raw {
    /// Connects.
    ///
    /// # Panics
    /// If nobody listens there.
    #[must_use]
    pub fn connect(config: Arc<ClientConfig>, server: SocketAddr) -> Self {
        let socket = TcpStream::connect(server).expect("the server listens");
        socket
            .set_read_timeout(Some(TIMEOUT))
            .expect("a socket takes a timeout");
        let tls = ClientConnection::new(config, server_name(server)).expect("an address");
        Self {
            stream: StreamOwned::new(tls, socket),
        }
    }

    /// Sends bytes.
    ///
    /// # Errors
    /// If the server has closed the connection.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)?;
        self.stream.flush()
    }

    /// Connects as a device and sends one access request, whose answer is not waited for.
    ///
    /// # Panics
    /// If the server does not take it.
    #[must_use]
    pub fn ask(identity: &Identity, server: SocketAddr, person: u64) -> Self {
        let config = tls::commissioned(identity, false).expect("key and certificate");
        let mut raw = Self::connect(config, server);
        let body = access(new_id(), &face(person));
        let head = format!(
            "POST {} HTTP/1.1\r\nHost: cardea\r\nContent-Length: {}\r\n\r\n",
            path::ACCESS,
            body.len()
        );
        let request = [head.as_bytes(), &body].concat();
        raw.send(&request).expect("sent");
        raw
    }

    /// Reads until the server closes; what came before that, if it closed without a word.
    ///
    /// # Errors
    /// If the server ends the connection with an alert or a reset and nothing has come, or if it
    /// does not end it at all.
    pub fn read_to_end(&mut self) -> io::Result<Vec<u8>> {
        let mut all = Vec::new();
        match self.stream.read_to_end(&mut all) {
            // That nothing more comes in time is no end.
            Err(error) if all.is_empty() || error.kind() == ErrorKind::WouldBlock => Err(error),
            // A connection that is cut ends what came before as well as one that is closed.
            Ok(_) | Err(_) => Ok(all),
        }
    }
}

/// The status of a response's first line.
#[must_use]
pub fn status(response: &[u8]) -> Option<u16> {
    let text = std::str::from_utf8(response.get(..12)?).ok()?;
    text.strip_prefix("HTTP/1.1 ")?.parse().ok()
}
