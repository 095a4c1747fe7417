//! One device of the run: its connection, the request under way, and those that wait.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use cardea_wire::Reply;
use cardea_wire::reply::CommandKind;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use rustix::io::Errno;
use rustls::ClientConfig;
use serde::Deserialize;
use socket2::{Domain, Socket, Type};

use crate::client::{Client, Failure, Received, Stage};
use crate::http::Response;
use crate::limits::{DEVICES_MAX, WAITING_PER_DEVICE_MAX};
use crate::plan::Lane;

const FIRST_OWN_ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 1, 0, 0);
const _: () = assert!(
    DEVICES_MAX < 1 << 23,
    "every device's address begins with 127"
);

/// What a device is doing with its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Task {
    /// A heartbeat before the run.
    Prepare,
    /// The start of this number in the plan.
    Start(u32),
}

/// A request under way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Current {
    /// What it is for.
    pub(super) task: Task,
    /// When the loop saw that it was due, microseconds from the run's beginning.
    pub(super) noticed_us: u64,
    /// When its first byte, or its connection, was sent on the way.
    pub(super) began_us: u64,
    /// How long TCP and TLS took, if the request had to connect first.
    pub(super) handshake_us: Option<u64>,
    /// Whether this request had to connect.
    connects: bool,
}

/// The body of the command that names another address.
#[derive(Deserialize)]
struct Address {
    server: SocketAddr,
}

/// One connection.
struct Link {
    socket: TcpStream,
    client: Client,
    connected: bool,
}

/// A device.
pub(super) struct Device {
    config: Arc<ClientConfig>,
    /// How its connection stands when a request starts.
    pub(super) lane: Lane,
    link: Option<Link>,
    /// The request under way.
    pub(super) current: Option<Current>,
    waiting: VecDeque<(u32, u64)>,
    /// Where the server has said that it will be; not answered there yet.
    next: Option<SocketAddr>,
    /// Where it has answered, instead of the run's address.
    moved: Option<SocketAddr>,
    /// The last command that it carried out.
    pub(super) command_done: u32,
}

impl Device {
    pub(super) fn new(config: Arc<ClientConfig>, lane: Lane) -> Self {
        Self {
            config,
            lane,
            link: None,
            current: None,
            waiting: VecDeque::new(),
            next: None,
            moved: None,
            command_done: 0,
        }
    }

    /// Puts a start behind those that wait for the connection; `false` when there are too many.
    pub(super) fn wait(&mut self, start: u32, noticed_us: u64) -> bool {
        if self.waiting.len() >= WAITING_PER_DEVICE_MAX {
            return false;
        }
        self.waiting.push_back((start, noticed_us));
        true
    }

    /// The next start that waits, with the time at which it was noticed.
    pub(super) fn next_waiting(&mut self) -> Option<(u32, u64)> {
        self.waiting.pop_front()
    }

    /// Takes a start out of those that wait.
    pub(super) fn forget(&mut self, start: u32) {
        self.waiting.retain(|(waiting, _)| *waiting != start);
    }

    /// Does what a reply's command asks for, if it is the one that a load obeys: to find the server
    /// elsewhere. The next request connects there.
    pub(super) fn obey(&mut self, body: &[u8]) {
        let Ok(Reply {
            command: Some(command),
            ..
        }) = Reply::parse(body)
        else {
            return;
        };
        if command.kind != CommandKind::Address || command.id == self.command_done {
            return;
        }
        let Ok(Address { server }) = serde_json::from_slice(&command.body) else {
            return;
        };
        if self.next == Some(server) {
            self.moved = self.next.take();
        }
        if self.moved == Some(server) {
            self.command_done = command.id;
        } else {
            self.next = Some(server);
            self.close();
        }
    }

    /// Where the server is for this device.
    pub(super) fn server(&self, at_first: SocketAddr) -> SocketAddr {
        self.next.or(self.moved).unwrap_or(at_first)
    }

    /// Begins an exchange, connecting first where there is no connection.
    ///
    /// # Panics
    /// If another one is under way.
    pub(super) fn begin(
        &mut self,
        place: (&Registry, Token, SocketAddr),
        request: (Task, &str, &[u8]),
        noticed_us: u64,
        now_us: u64,
    ) -> Result<(), Failure> {
        assert!(self.current.is_none(), "one exchange at a time");
        let (task, path, body) = request;
        self.current = Some(Current {
            task,
            noticed_us,
            began_us: now_us,
            handshake_us: None,
            connects: self.link.is_none(),
        });
        let link = match &mut self.link {
            Some(link) => link,
            none => none.insert(connect(place, Arc::clone(&self.config))?),
        };
        link.client.request(path, body)?;
        if link.connected {
            link.client.send(&mut link.socket)?;
        }
        Ok(())
    }

    /// Reads and writes what the socket allows; a whole response, if one came.
    pub(super) fn ready(
        &mut self,
        writable: bool,
        now_us: impl Fn() -> u64,
    ) -> Result<Option<Response>, Failure> {
        let Some(link) = &mut self.link else {
            return Ok(None);
        };
        if !link.connected {
            if !writable || !is_connected(&link.socket)? {
                return Ok(None);
            }
            link.connected = true;
        }
        link.client.send(&mut link.socket)?;
        loop {
            let handshaking = link.client.is_handshaking();
            let received = link.client.receive(&mut link.socket)?;
            if handshaking && !link.client.is_handshaking() {
                let current = self.current.as_mut().filter(|current| current.connects);
                if let Some(current) = current {
                    current.handshake_us = Some(now_us().saturating_sub(current.began_us));
                }
            }
            match received {
                Received::Response(response) => return Ok(Some(response)),
                Received::More => link.client.send(&mut link.socket)?,
                Received::Blocked => return Ok(None),
                Received::Closed => {
                    self.link = None;
                    return match self.current {
                        None => Ok(None),
                        Some(_) => Err(Failure::new(Stage::Receive, "connection closed")),
                    };
                }
            }
        }
    }

    /// Whether the connection under way resumed a session; `None` on a kept-alive one.
    pub(super) fn resumed(&self) -> Option<bool> {
        let current = self.current.as_ref()?;
        let link = self.link.as_ref().filter(|_| current.connects)?;
        link.client.resumed()
    }

    /// Ends the connection in good order.
    pub(super) fn close(&mut self) {
        if let Some(mut link) = self.link.take() {
            link.client.close();
            // The connection ends either way: a failure to say so changes nothing.
            let _ = link.client.send(&mut link.socket);
        }
    }

    /// Drops the connection after a failure.
    pub(super) fn abandon(&mut self) {
        self.link = None;
        // Back to where it was answered.
        self.next = None;
    }
}

fn connect(
    (registry, token, server): (&Registry, Token, SocketAddr),
    config: Arc<ClientConfig>,
) -> Result<Link, Failure> {
    let failed = |error: io::Error| Failure::new(Stage::Connect, error);
    let client = Client::new(config, server)?;
    let mut socket = open(token, server).map_err(failed)?;
    socket.set_nodelay(true).map_err(failed)?;
    let both = Interest::READABLE | Interest::WRITABLE;
    registry
        .register(&mut socket, token, both)
        .map_err(failed)?;
    Ok(Link {
        socket,
        client,
        connected: false,
    })
}

/// A socket that connects. On IPv4 loopback each device has an address of its own, 127.1.0.0 and
/// above, as devices have in life: a server's bounds per address and the kernel's ports per address
/// are then not the load's.
fn open(token: Token, server: SocketAddr) -> io::Result<TcpStream> {
    let IpAddr::V4(address) = server.ip() else {
        return TcpStream::connect(server);
    };
    if !address.is_loopback() {
        return TcpStream::connect(server);
    }
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    let own = Ipv4Addr::from_bits(FIRST_OWN_ADDRESS.to_bits() + token.0 as u32);
    socket.bind(&SocketAddr::from((own, 0)).into())?;
    match socket.connect(&server.into()) {
        Err(error) if error.raw_os_error() != Some(Errno::INPROGRESS.raw_os_error()) => Err(error),
        Ok(()) | Err(_) => Ok(TcpStream::from_std(socket.into())),
    }
}

/// Whether a connection attempt has succeeded, after its socket became writable.
fn is_connected(socket: &TcpStream) -> Result<bool, Failure> {
    let failed = |error: io::Error| Failure::new(Stage::Connect, error);
    if let Some(error) = socket.take_error().map_err(failed)? {
        return Err(failed(error));
    }
    match socket.peer_addr() {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(false),
        Err(error) => Err(failed(error)),
    }
}

#[cfg(test)]
mod tests {
    use cardea_wire::{Command, Decision, Kind, Reason, RequestId};

    use super::*;
    use crate::tls;

    /// Fails if a device stays where nobody answers, or calls done what it has not reached.
    #[test]
    fn a_device_follows_the_server_once_it_is_answered_there() {
        let config = tls::uncommissioned([0; 32]).expect("a configuration");
        let mut device = Device::new(config, Lane::KeptAlive);
        let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let told = |id, port| {
            let id_of_request = RequestId::default();
            let mut reply = Reply::new(
                Kind::Access,
                id_of_request,
                Decision::Denied,
                Reason::NoMatch,
            );
            reply.command = Some(Command {
                kind: CommandKind::Address,
                id,
                body: format!(r#"{{"server":"{}"}}"#, at(port)).into_bytes(),
            });
            reply.to_bytes()
        };
        device.obey(b"no reply");
        assert_eq!(device.server(at(1)), at(1));
        device.obey(&told(7, 2));
        assert_eq!((device.server(at(1)), device.command_done), (at(2), 0));
        device.abandon();
        assert_eq!(device.server(at(1)), at(1), "nobody answered there");
        device.obey(&told(7, 2));
        device.obey(&told(7, 2));
        assert_eq!((device.server(at(1)), device.command_done), (at(2), 7));
        device.obey(&told(8, 3));
        device.abandon();
        assert_eq!((device.server(at(1)), device.command_done), (at(2), 7));
    }
}
