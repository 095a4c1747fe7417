//! A loop on loopback with an echo service, and peers that block.

mod caps;
mod exchanges;
mod lifetime;

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;

use super::roster::Devices;
use super::*;
use crate::http::Refusal;
use crate::tls::testkit::{ClientConfig, ClientConnection, Site, StreamOwned, client};
use crate::tls::{ServerConfig, Sessions};

/// Longer than anything takes that is not broken.
const PATIENCE: Duration = Duration::from_secs(20);

/// What the service was told, in order.
#[derive(Debug, PartialEq, Eq)]
enum Told {
    Asked(ExchangeId, String),
    Sent(ExchangeId),
    Gone(ExchangeId),
}

/// Answers at once, when told to, with a lot, or never; by path.
struct Echo {
    told: Sender<Told>,
    /// Answers that other threads have ready; taken when the waker is rung.
    ready: Arc<Mutex<Vec<(ExchangeId, Response)>>>,
    /// What `/block` waits for, and everybody with it.
    gate: Receiver<()>,
    /// Removed devices; taken when the waker is rung.
    removed: Arc<Mutex<Vec<[u8; 32]>>>,
}

impl Service for Echo {
    fn request(
        &mut self,
        id: ExchangeId,
        peer: &Peer,
        request: Request,
        _now: Instant,
        replies: &mut Replies,
    ) {
        let _ = self.told.send(Told::Asked(id, request.target.to_string()));
        match request.path() {
            "/later" => {}
            "/block" => {
                let _ = self.gate.recv_timeout(PATIENCE);
                replies.push(id, Response::empty(204));
            }
            "/big" => replies.push(id, Response::new(200, "text/plain", vec![b'x'; 1 << 20])),
            "/close" => replies.close(id),
            "/who" => {
                let first = peer.certificate.as_ref().map_or(0, |c| c.fingerprint[0]);
                let (resumed, certain) = (peer.resumed, peer.certificate.is_some());
                let cold = request.times.handshake_us.is_some();
                let text = format!("{certain} {first} {resumed} {cold}");
                replies.push(id, Response::new(200, "text/plain", text.into_bytes()));
            }
            _ => replies.push(id, Response::new(200, "text/plain", request.body)),
        }
    }

    fn wake(&mut self, _now: Instant, replies: &mut Replies) {
        for (id, response) in lock(&self.ready).drain(..) {
            replies.push(id, response);
        }
        for fingerprint in lock(&self.removed).drain(..) {
            replies.close_device(fingerprint);
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        None
    }

    fn expire(&mut self, _now: Instant, _replies: &mut Replies) {}

    fn sent(&mut self, id: ExchangeId, _now: Instant) {
        let _ = self.told.send(Told::Sent(id));
    }

    fn gone(&mut self, id: ExchangeId) {
        let _ = self.told.send(Told::Gone(id));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A running loop.
struct Server {
    address: SocketAddr,
    site: Site,
    tls: Arc<ArcSwap<ServerConfig>>,
    waker: Arc<Waker>,
    counters: Arc<Counters>,
    told: Receiver<Told>,
    gate: Sender<()>,
    ready: Arc<Mutex<Vec<(ExchangeId, Response)>>>,
    removed: Arc<Mutex<Vec<[u8; 32]>>>,
    thread: Option<JoinHandle<io::Result<Echo>>>,
}

impl Server {
    fn start() -> Server {
        Server::bounded(Bounds::default())
    }

    fn bounded(bounds: Bounds) -> Server {
        let site = Site::new();
        let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
        let listener = listener::bind(loopback, false).expect("a free port");
        let config = site.server(&Arc::new(Sessions::new(64)));
        let tls = Arc::new(ArcSwap::new(config));
        Server::on(listener, site, tls, bounds)
    }

    fn on(
        listener: std::net::TcpListener,
        site: Site,
        tls: Arc<ArcSwap<ServerConfig>>,
        bounds: Bounds,
    ) -> Server {
        Server::sharing(Arc::default(), listener, (site, tls), bounds)
    }

    /// A loop that counts devices' connections together with others.
    fn sharing(
        devices: Arc<Devices>,
        listener: std::net::TcpListener,
        (site, tls): (Site, Arc<ArcSwap<ServerConfig>>),
        bounds: Bounds,
    ) -> Server {
        let address = listener.local_addr().expect("it is bound");
        let (sender, told) = channel();
        let (gate, closed_gate) = channel();
        let (ready, removed) = (Arc::default(), Arc::default());
        let counters = Arc::new(Counters::default());
        let service = Echo {
            told: sender,
            gate: closed_gate,
            ready: Arc::clone(&ready),
            removed: Arc::clone(&removed),
        };
        let made = EventLoop::new(listener, tls.clone(), bounds, counters.clone(), |_| service);
        let (mut event_loop, waker) = made.expect("an event queue");
        event_loop.devices = devices;
        Server {
            address,
            site,
            tls,
            waker,
            counters,
            told,
            gate,
            ready,
            removed,
            thread: Some(std::thread::spawn(move || event_loop.run())),
        }
    }

    /// The next thing that the service is told.
    fn told(&self) -> Told {
        let told = self.told.recv_timeout(PATIENCE);
        told.expect("the service is told something")
    }

    fn asked(&self) -> ExchangeId {
        match self.told() {
            Told::Asked(id, _) => id,
            other => panic!("asked is what was to come, not {other:?}"),
        }
    }

    /// Lets another thread's answer be ready.
    fn answer(&self, id: ExchangeId, response: Response) {
        lock(&self.ready).push((id, response));
        self.waker.wake();
    }

    /// Waits for a level or a count.
    fn wait_for(&self, counter: Counter, value: u64) {
        let give_up = Instant::now() + PATIENCE;
        while self.counters.value(counter) != value {
            let now = self.counters.value(counter);
            assert!(
                Instant::now() < give_up,
                "{} is {now}, not {value}",
                counter.name()
            );
            std::thread::yield_now();
        }
    }

    /// Stops the loop and waits for its end; checks that each request had one end. What the
    /// service was told is in the order it was told.
    fn stop(mut self) -> Vec<Told> {
        self.waker.stop();
        let thread = self.thread.take().expect("stopped once");
        let run = thread.join().expect("the loop does not panic");
        assert!(run.is_ok());
        drop(run);
        let told: Vec<Told> = self.told.iter().collect();
        let mut ends = HashMap::new();
        for told in &told {
            let (Told::Asked(id, _) | Told::Sent(id) | Told::Gone(id)) = told;
            let end = !matches!(told, Told::Asked(..));
            *ends.entry(*id).or_insert(0) += i32::from(end);
        }
        assert!(ends.values().all(|&ends| ends == 1), "{told:?}");
        for level in [Counter::Connections, Counter::Handshakes] {
            assert_eq!(self.counters.value(level), 0);
        }
        for level in [Counter::RequestsInFlight, Counter::BytesInFlight] {
            assert_eq!(self.counters.value(level), 0);
        }
        told
    }

    fn stranger(&self) -> Client {
        Client::connect(self.address, &self.site.peer(None))
    }

    fn device(&self) -> Client {
        let identity = self.site.device();
        Client::connect(self.address, &self.site.peer(Some(&identity)))
    }

    /// A socket without TLS.
    fn raw(&self) -> TcpStream {
        let socket = TcpStream::connect(self.address).expect("the loop listens");
        socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        socket
    }
}

/// A response as a peer reads it.
#[derive(Debug, PartialEq, Eq)]
struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

/// A peer.
struct Client {
    stream: StreamOwned<ClientConnection, TcpStream>,
    read: Vec<u8>,
}

impl Client {
    fn connect(address: SocketAddr, config: &Arc<ClientConfig>) -> Client {
        let socket = TcpStream::connect(address).expect("the loop listens");
        Client::over(socket, config)
    }

    fn over(socket: TcpStream, config: &Arc<ClientConfig>) -> Client {
        socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        socket.set_nodelay(true).expect("no delay");
        Client {
            stream: StreamOwned::new(client(config), socket),
            read: Vec::new(),
        }
    }

    /// Finishes the handshake.
    fn greeted(mut self) -> Client {
        while self.stream.conn.is_handshaking() {
            let io = self.stream.conn.complete_io(&mut self.stream.sock);
            io.expect("the handshake succeeds");
        }
        self
    }

    fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the loop reads");
        self.stream.flush().expect("the loop reads");
    }

    fn ask(&mut self, target: &str, body: &[u8]) -> Answer {
        self.send(&post(target, body));
        self.answer()
    }

    /// Reads one response.
    fn answer(&mut self) -> Answer {
        let end = loop {
            let found = self.read.windows(4).position(|four| four == b"\r\n\r\n");
            if let Some(end) = found {
                break end + 4;
            }
            self.more().expect("a response comes");
        };
        let head = String::from_utf8_lossy(&self.read[..end]).into_owned();
        let length = head
            .lines()
            .find_map(|l| l.strip_prefix("content-length: "));
        let length: usize = length.map_or(0, |length| length.parse().expect("a number"));
        while self.read.len() < end + length {
            self.more().expect("the body comes");
        }
        let body = self.read[end..end + length].to_vec();
        self.read.drain(..end + length);
        let status = head[9..12].parse().expect("a status");
        Answer { status, head, body }
    }

    fn more(&mut self) -> io::Result<()> {
        let mut part = [0; 65_536];
        match self.stream.read(&mut part)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            length => {
                self.read.extend_from_slice(&part[..length]);
                Ok(())
            }
        }
    }

    /// Whether the loop ends the connection, and tells so, before it sends anything else.
    fn is_closed_politely(&mut self) -> bool {
        let mut byte = [0];
        matches!(self.stream.read(&mut byte), Ok(0))
    }

    /// Whether the connection ends before anything else comes.
    fn is_closed(&mut self) -> bool {
        let mut byte = [0];
        match self.stream.read(&mut byte) {
            Ok(read) => read == 0,
            Err(error) => error.kind() != io::ErrorKind::WouldBlock,
        }
    }
}

fn post(target: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!("POST {target} HTTP/1.1\r\nhost: door\r\ncontent-length: {length}\r\n\r\n");
    [head.as_bytes(), body].concat()
}

/// Timeouts so long that none is reached in a test, but for those it sets itself.
fn patient() -> Bounds {
    let timeouts = Timeouts {
        handshake: PATIENCE,
        head: PATIENCE,
        body: PATIENCE,
        large_body: PATIENCE,
        answer: PATIENCE,
        write: PATIENCE,
        idle_device: PATIENCE,
        idle_stranger: PATIENCE,
        linger: PATIENCE,
        stop: PATIENCE,
    };
    Bounds {
        timeouts,
        ..Bounds::default()
    }
}

/// What a test lets run out.
const SOON: Duration = Duration::from_millis(30);
