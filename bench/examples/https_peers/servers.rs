//! The servers under comparison, each a process of its own with the same certificates.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use cardea::net::{Bounds, Counters, EventLoop, listener};
use cardea::tls::{Sessions, server_config, warm_up};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::Failure;
use crate::instantly::Instantly;

/// Connections that a server may hold here.
const CONNECTIONS: usize = 12_000;
const STARTS_WITHIN: Duration = Duration::from_secs(10);

/// Makes a CA, a server's certificate for `localhost`, and a device's; each PEM in `folder`.
pub(crate) fn make_certificates(folder: &Path) -> Result<(), Failure> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    // A name of its own: nginx' library takes a certificate that is named as its issuer for one
    // signed by itself.
    params
        .distinguished_name
        .push(DnType::CommonName, "peers' CA");
    let ca = params.self_signed(&key)?;
    fs::write(folder.join("ca.pem"), ca.pem())?;
    let issuer = Issuer::new(params, key);
    for name in ["server", "client"] {
        let key = KeyPair::generate()?;
        let certificate =
            CertificateParams::new(vec!["localhost".to_owned()])?.signed_by(&key, &issuer)?;
        fs::write(folder.join(format!("{name}.pem")), certificate.pem())?;
        fs::write(folder.join(format!("{name}.key")), key.serialize_pem())?;
    }
    Ok(())
}

/// Our front end in this process: prints its port, serves until it is killed.
pub(crate) fn serve_ours(folder: &Path) -> Result<(), Failure> {
    let root = CertificateDer::from_pem_file(folder.join("ca.pem"))?;
    let chain = CertificateDer::pem_file_iter(folder.join("server.pem"))?;
    let key = PrivateKeyDer::from_pem_file(folder.join("server.key"))?;
    let sessions = Arc::new(Sessions::new(CONNECTIONS));
    let config = server_config(chain.collect::<Result<_, _>>()?, key, &[root], sessions)?;
    warm_up(&config, 16)?;
    let listener = listener::bind(SocketAddr::from(([127, 0, 0, 1], 0)), false)?;
    println!("{}", listener.local_addr()?.port());
    // One device with one certificate stands for all here.
    let bounds = Bounds {
        address_connections: CONNECTIONS,
        address_pace: usize::MAX,
        device_connections: CONNECTIONS,
        ..Bounds::default()
    };
    let (tls, counters) = (
        Arc::new(ArcSwap::new(config)),
        Arc::new(Counters::default()),
    );
    let (event_loop, _) = EventLoop::new(listener, tls, bounds, counters, |_| Instantly)?;
    event_loop.run()?;
    Ok(())
}

/// A server as seen from outside; it is killed when this is dropped.
pub(crate) struct Server {
    pub(crate) name: &'static str,
    pub(crate) address: SocketAddr,
    child: Child,
}

impl Server {
    /// Starts a program that prints its port.
    pub(crate) fn printing_its_port(
        name: &'static str,
        command: &mut Command,
    ) -> Result<Self, Failure> {
        let mut child = command.stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        let out = child.stdout.take().ok_or("no output")?;
        BufReader::new(out).read_line(&mut line)?;
        let address = SocketAddr::from(([127, 0, 0, 1], line.trim().parse()?));
        Ok(Self {
            name,
            address,
            child,
        })
    }

    /// Starts nginx with one worker and a configuration in `folder`.
    pub(crate) fn nginx(program: &Path, cores: &[String], folder: &Path) -> Result<Self, Failure> {
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let file = folder.join("nginx.conf");
        fs::write(&file, nginx_configuration(folder, port))?;
        let mut command = pinned(cores, program);
        let child = command.arg("-c").arg(&file).arg("-p").arg(folder).spawn()?;
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let begun = Instant::now();
        while TcpStream::connect(address).is_err() {
            if begun.elapsed() > STARTS_WITHIN {
                return Err("nginx does not listen".into());
            }
            std::thread::yield_now();
        }
        Ok(Self {
            name: "nginx",
            address,
            child,
        })
    }

    /// CPU that the server has used, user and kernel, by the scheduler's count.
    pub(crate) fn cpu(&self) -> Result<Duration, Failure> {
        let mut all = Duration::ZERO;
        for process in self.processes()? {
            let text = fs::read_to_string(format!("/proc/{process}/schedstat"))?;
            let ns = text.split(' ').next().ok_or("no time")?.parse()?;
            all += Duration::from_nanos(ns);
        }
        Ok(all)
    }

    /// Resident memory of the server in KiB.
    pub(crate) fn resident_kib(&self) -> Result<f64, Failure> {
        let mut all = 0.0;
        for process in self.processes()? {
            let text = fs::read_to_string(format!("/proc/{process}/status"))?;
            let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
            let number = line.and_then(|line| line.split_whitespace().next());
            all += number.ok_or("no memory")?.parse::<f64>()?;
        }
        Ok(all)
    }

    /// The process and its children: nginx works in one.
    fn processes(&self) -> Result<Vec<u32>, Failure> {
        let own = self.child.id();
        let children = fs::read_to_string(format!("/proc/{own}/task/{own}/children"))?;
        let mut all = vec![own];
        for child in children.split_whitespace() {
            all.push(child.parse()?);
        }
        Ok(all)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Workers go with their master only when it is asked; killed alone it would leave them.
        if let Ok(processes) = self.processes() {
            for process in processes.into_iter().skip(1) {
                let _ = Command::new("kill").arg(process.to_string()).status();
            }
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A program's command, behind `taskset` where there are cores to choose from.
pub(crate) fn pinned(cores: &[String], program: &Path) -> Command {
    match cores.split_first() {
        Some((first, rest)) => {
            let mut command = Command::new(first);
            command.args(rest).arg(program);
            command
        }
        None => Command::new(program),
    }
}

fn nginx_configuration(folder: &Path, port: u16) -> String {
    let folder = folder.display();
    let reply = "x".repeat(crate::instantly::REPLY_BYTES);
    format!(
        "daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/nginx.log;
worker_rlimit_nofile 20000;
events {{ worker_connections {CONNECTIONS}; }}
http {{
  access_log off; default_type application/octet-stream;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  keepalive_timeout 600; keepalive_requests 100000000; tcp_nodelay on;
  server {{
    listen 127.0.0.1:{port} ssl backlog=4096;
    ssl_protocols TLSv1.3; ssl_session_cache shared:s:8m; ssl_session_tickets on;
    ssl_certificate {folder}/server.pem; ssl_certificate_key {folder}/server.key;
    ssl_client_certificate {folder}/ca.pem; ssl_verify_client on;
    location / {{ return 200 '{reply}'; }}
  }}
}}
"
    )
}
