//! One exchange after another over a socket that blocks: for commissioning and the device
//! simulator, where ease of reading counts, not speed.

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::ClientConfig;

use crate::client::{Client, Failure, Received, Stage};
use crate::http::Response;

/// A device's connection.
#[derive(Debug)]
pub struct Session {
    socket: TcpStream,
    client: Client,
    timeout: Duration,
}

impl Session {
    /// Connects; the handshake happens with the first exchange. `timeout` bounds the connection and
    /// then every exchange.
    ///
    /// # Errors
    /// [`Failure`] of stage connect.
    pub fn connect(
        config: Arc<ClientConfig>,
        server: SocketAddr,
        timeout: Duration,
    ) -> Result<Self, Failure> {
        let failed = |error| Failure::new(Stage::Connect, error);
        let socket = TcpStream::connect_timeout(&server, timeout).map_err(failed)?;
        socket.set_nodelay(true).map_err(failed)?;
        let client = Client::new(config, server)?;
        Ok(Self {
            socket,
            client,
            timeout,
        })
    }

    /// Sends `body` to `path` and waits for the response.
    ///
    /// # Errors
    /// [`Failure`] of any stage; the session is of no use afterwards.
    pub fn exchange(&mut self, path: &str, body: &[u8]) -> Result<Response, Failure> {
        self.client.request(path, body)?;
        self.response()
    }

    /// Asks for the part of `path` that begins at byte `from`, and waits for the response.
    ///
    /// # Errors
    /// As [`Session::exchange`].
    pub fn part(&mut self, path: &str, from: u64) -> Result<Response, Failure> {
        self.client.request_part(path, from)?;
        self.response()
    }

    fn response(&mut self) -> Result<Response, Failure> {
        let deadline = Instant::now() + self.timeout;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let stage = Stage::Timeout;
                return Err(Failure::new(stage, "no response in time"));
            }
            let failed = |error| Failure::new(Stage::Connect, error);
            self.socket.set_read_timeout(Some(left)).map_err(failed)?;
            self.socket.set_write_timeout(Some(left)).map_err(failed)?;
            self.client.send(&mut self.socket)?;
            match self.client.receive(&mut self.socket)? {
                Received::Response(response) => return Ok(response),
                Received::Closed => {
                    return Err(Failure::new(Stage::Receive, "server closed the connection"));
                }
                Received::More | Received::Blocked => {}
            }
        }
    }

    /// Whether the TLS session was resumed.
    #[must_use]
    pub fn resumed(&self) -> Option<bool> {
        self.client.resumed()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.client.close();
        // The connection ends here either way: a failure to say so changes nothing.
        let _ = self.client.send(&mut self.socket);
    }
}
