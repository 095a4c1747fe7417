//! What the front end costs: CPU of a kept-alive request and of a handshake, resident memory of an
//! idle connection, and the slowest of 70 devices that arrive at once.
//!
//! `cargo run --release -p cardea-bench --example front_cost` starts a server with an echo service
//! in a process of its own (this program with `serve`), and measures that process from outside.
//! Name one of `bare`, `handshakes`, `kept-alive`, `burst` and `idle` to measure only that. Both
//! processes run wherever the kernel puts them; pin them with `taskset` to compare runs.

#[path = "front_cost/bare.rs"]
mod bare;
#[path = "https_peers/instantly.rs"]
mod instantly;

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use cardea::net::{Bounds, Counters, EventLoop, listener};
use cardea::tls::{Sessions, provider, server_config, warm_up};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::client::Resumption;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, version};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};

use instantly::{Instantly, REPLY_BYTES};

/// The length of an access request with an f32 embedding.
const REQUEST_BYTES: usize = 64 + 2_048;
const IDLE_CONNECTIONS: usize = 5_000;
const EXCHANGES: usize = 100_000;
const HANDSHAKES: usize = 1_000;
const BURST: usize = 70;

type Failure = Box<dyn std::error::Error>;
type Stream = StreamOwned<ClientConnection, TcpStream>;

fn main() -> Result<(), Failure> {
    match std::env::args().nth(1).as_deref() {
        Some("serve") => serve(),
        what => measure(what),
    }
}

/// The server's process: prints its port and the authority's key, serves until it is killed.
fn serve() -> Result<(), Failure> {
    let (root, issuer) = authority()?;
    let (chain, server_key) = issue(&issuer)?;
    let sessions = Arc::new(Sessions::new(2 * IDLE_CONNECTIONS));
    let config = server_config(vec![chain], server_key, &[root.clone()], sessions)?;
    warm_up(&config, 50)?;
    let listener = listener::bind(SocketAddr::from(([127, 0, 0, 1], 0)), false)?;
    println!("{}", listener.local_addr()?.port());
    println!("{}", hex(&root));
    println!("{}", hex(&issuer.key().serialize_der()));
    io::stdout().flush()?;
    let bounds = Bounds {
        address_connections: 2 * IDLE_CONNECTIONS,
        address_pace: usize::MAX,
        ..Bounds::default()
    };
    let tls = Arc::new(ArcSwap::new(config));
    let counters = Arc::new(Counters::default());
    let (event_loop, _) = EventLoop::new(listener, tls, bounds, counters, |_| Instantly)?;
    event_loop.run()?;
    Ok(())
}

fn authority() -> Result<(CertificateDer<'static>, Issuer<'static, KeyPair>), Failure> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root = params.self_signed(&key)?.der().clone();
    Ok((root, Issuer::new(params, key)))
}

fn issue(
    issuer: &Issuer<'_, KeyPair>,
) -> Result<(CertificateDer<'static>, PrivateKeyDer<'static>), Failure> {
    let key = KeyPair::generate()?;
    let params = CertificateParams::new(vec!["localhost".to_owned()])?;
    let certificate = params.signed_by(&key, issuer)?;
    let key = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
    Ok((certificate.der().clone(), key))
}

/// The server as seen from outside.
struct Server {
    child: Child,
    address: SocketAddr,
    root: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

impl Server {
    fn start() -> Result<Server, Failure> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg("serve")
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = child.stdout.take().ok_or("no output")?;
        let mut lines = BufReader::new(stdout);
        let port: u16 = line(&mut lines)?.parse()?;
        let root = CertificateDer::from(unhex(&line(&mut lines)?)?);
        let key = PrivatePkcs8KeyDer::from(unhex(&line(&mut lines)?)?);
        let key = KeyPair::try_from(&key)?;
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Ok(Server {
            child,
            address: SocketAddr::from(([127, 0, 0, 1], port)),
            root,
            issuer: Issuer::new(params, key),
        })
    }

    /// CPU that the server's process has used, all threads, user and kernel.
    fn cpu(&self) -> Result<Duration, Failure> {
        let path = format!("/proc/{}/schedstat", self.child.id());
        let text = std::fs::read_to_string(path)?;
        let ns = text.split(' ').next().ok_or("no time")?.parse()?;
        Ok(Duration::from_nanos(ns))
    }

    /// Resident memory of the server's process in KiB.
    fn resident_kib(&self) -> Result<f64, Failure> {
        let path = format!("/proc/{}/status", self.child.id());
        let text = std::fs::read_to_string(path)?;
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let number = line.and_then(|line| line.split_whitespace().next());
        Ok(number.ok_or("no memory")?.parse()?)
    }

    /// A device's configuration.
    fn device(&self, resume: bool) -> Result<Arc<ClientConfig>, Failure> {
        let (certificate, key) = issue(&self.issuer)?;
        let mut roots = RootCertStore::empty();
        roots.add(self.root.clone())?;
        let mut config = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&version::TLS13])?
            .with_root_certificates(roots)
            .with_client_auth_cert(vec![certificate], key)?;
        if !resume {
            config.resumption = Resumption::disabled();
        }
        Ok(Arc::new(config))
    }

    fn connect(&self, config: &Arc<ClientConfig>) -> Result<Stream, Failure> {
        let socket = TcpStream::connect(self.address)?;
        socket.set_nodelay(true)?;
        let name = ServerName::try_from("localhost")?;
        Ok(StreamOwned::new(
            ClientConnection::new(config.clone(), name)?,
            socket,
        ))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn measure(what: Option<&str>) -> Result<(), Failure> {
    let all = what.is_none();
    if all || what == Some("bare") {
        bare::measure()?;
    }
    if all || what == Some("handshakes") {
        handshakes("full handshake and one request", false)?;
        handshakes("resumed handshake and one request", true)?;
    }
    if all || what == Some("kept-alive") {
        for connections in [1, 8, 64] {
            kept_alive(connections)?;
        }
    }
    if all || what == Some("burst") {
        burst()?;
    }
    if all || what == Some("idle") {
        idle()?;
    }
    Ok(())
}

/// CPU per connection: accept, handshake, one request, close.
fn handshakes(what: &str, resume: bool) -> Result<(), Failure> {
    let server = Server::start()?;
    let config = server.device(resume)?;
    exchange(&mut server.connect(&config)?)?;
    let before = server.cpu()?;
    for _ in 0..HANDSHAKES {
        exchange(&mut server.connect(&config)?)?;
    }
    let used = server.cpu()? - before;
    println!("{what}: {:.0} us of CPU", micros(used) / HANDSHAKES as f64);
    Ok(())
}

/// CPU per request when this many devices ask at a time.
fn kept_alive(connections: usize) -> Result<(), Failure> {
    let server = Server::start()?;
    let mut streams = Vec::new();
    for _ in 0..connections {
        streams.push(server.connect(&server.device(false)?)?);
    }
    for stream in &mut streams {
        exchange(stream)?;
    }
    let (before, began) = (server.cpu()?, Instant::now());
    for _ in 0..EXCHANGES / connections {
        for stream in &mut streams {
            ask(stream)?;
        }
        for stream in &mut streams {
            answer(stream)?;
        }
    }
    let (used, took) = (server.cpu()? - before, began.elapsed());
    println!(
        "kept-alive request, {connections} at a time: {:.1} us of CPU ({:.0} a second)",
        micros(used) / EXCHANGES as f64,
        EXCHANGES as f64 / took.as_secs_f64()
    );
    Ok(())
}

/// From the first device's start to the last one's answer.
fn burst() -> Result<(), Failure> {
    let server = Server::start()?;
    let mut configs = Vec::new();
    for _ in 0..BURST {
        configs.push(server.device(false)?);
    }
    for round in 0..3 {
        let barrier = Barrier::new(BURST);
        let one = |config| {
            barrier.wait();
            let began = Instant::now();
            let done = server.connect(config).and_then(|mut s| exchange(&mut s));
            done.map(|()| began.elapsed())
                .map_err(|error| error.to_string())
        };
        let mut took: Vec<Duration> = std::thread::scope(|scope| {
            let one = &one;
            let threads: Vec<_> = configs
                .iter()
                .map(|config| scope.spawn(move || one(config)))
                .collect();
            let done = threads.into_iter().map(|thread| thread.join());
            let done = done.map(|joined| joined.unwrap_or(Err("a thread failed".to_owned())));
            done.collect::<Result<_, String>>()
        })?;
        took.sort();
        println!(
            "{BURST} cold devices at once, round {round}: median {:.1} ms, last {:.1} ms",
            micros(took[BURST / 2]) / 1e3,
            micros(took[BURST - 1]) / 1e3
        );
    }
    Ok(())
}

/// Resident memory of the server per connection that has been used and is quiet now.
fn idle() -> Result<(), Failure> {
    let server = Server::start()?;
    let config = server.device(false)?;
    exchange(&mut server.connect(&config)?)?;
    let mut kept = Vec::new();
    let mut before = server.resident_kib()?;
    let configs: Vec<_> = (0..IDLE_CONNECTIONS / 4)
        .map(|_| server.device(false))
        .collect::<Result<_, _>>()?;
    for count in 1..=IDLE_CONNECTIONS {
        let mut stream = server.connect(&configs[count / 4 % configs.len()])?;
        exchange(&mut stream)?;
        kept.push(stream);
        if count % 1_000 == 0 {
            let now = server.resident_kib()?;
            println!(
                "idle connections {count}: {:.1} MiB in all, {:.2} KiB each of the last 1,000",
                now / 1024.0,
                (now - before) / 1e3
            );
            before = now;
        }
    }
    for stream in &mut kept {
        exchange(stream)?;
    }
    println!(
        "after another request on each: {:.1} MiB",
        server.resident_kib()? / 1024.0
    );
    Ok(())
}

fn exchange(stream: &mut Stream) -> Result<(), Failure> {
    ask(stream)?;
    answer(stream)
}

fn ask(stream: &mut Stream) -> Result<(), Failure> {
    let head = format!(
        "POST /v1/access HTTP/1.1\r\nhost: door\r\ncontent-type: application/octet-stream\r\n\
         content-length: {REQUEST_BYTES}\r\n\r\n"
    );
    let mut message = head.into_bytes();
    message.resize(message.len() + REQUEST_BYTES, 7);
    stream.write_all(&message)?;
    Ok(())
}

fn answer(stream: &mut Stream) -> Result<(), Failure> {
    let (mut buffer, mut filled) = ([0; 1_024], 0);
    loop {
        match stream.read(&mut buffer[filled..])? {
            0 => return Err("closed".into()),
            length => filled += length,
        }
        let end = buffer[..filled]
            .windows(4)
            .position(|four| four == b"\r\n\r\n");
        if end.is_some_and(|end| filled == end + 4 + REPLY_BYTES) {
            return Ok(());
        }
    }
}

fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

fn line(lines: &mut BufReader<ChildStdout>) -> Result<String, Failure> {
    let mut line = String::new();
    lines.read_line(&mut line)?;
    Ok(line.trim().to_owned())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Result<Vec<u8>, Failure> {
    let pairs = (0..text.len() / 2).map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16));
    Ok(pairs.collect::<Result<_, _>>()?)
}
