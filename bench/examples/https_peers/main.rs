//! What one front end costs beside others, for the same messages and certificates: run it by
//! `bench/peers/https/run`, which builds the peers and says what they are.
//!
//! Servers are started once and take turns; each figure is the median of the rounds. CPU is the
//! server's, user and kernel, by the scheduler's count; memory is what is resident.

mod device;
mod instantly;
mod servers;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use clap::Parser;
use serde_json::json;

use device::{Device, Stream, answer, ask, exchange};
use servers::{Server, make_certificates, pinned, serve_ours};

const BURST: usize = 70;
/// Devices that ask at a time over kept-alive connections.
const AT_A_TIME: usize = 64;

pub(crate) type Failure = Box<dyn std::error::Error>;

/// The lean front end beside nginx and hyper.
#[derive(Debug, Parser)]
struct Arguments {
    /// Serve as ours with the certificates of this folder.
    #[arg(long, hide = true)]
    serve: Option<PathBuf>,
    /// The hyper server's program.
    #[arg(long)]
    hyper: Option<PathBuf>,
    /// nginx.
    #[arg(long)]
    nginx: Option<PathBuf>,
    /// Rounds; medians are printed.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Kept-alive requests a round.
    #[arg(long, default_value_t = 40_000)]
    requests: usize,
    /// Full handshakes a round, one after the other.
    #[arg(long, default_value_t = 500)]
    handshakes: usize,
    /// Idle connections held at once, at the end.
    #[arg(long, default_value_t = 3_000)]
    idle: usize,
    /// Small counts: whether it works, not how fast.
    #[arg(long)]
    smoke: bool,
    /// Write the figures as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
}

/// What one server came to in each round.
#[derive(Default)]
struct Figures {
    request_us: Vec<f64>,
    handshake_us: Vec<f64>,
    burst_ms: Vec<f64>,
    idle_kib: Vec<f64>,
}

fn main() -> Result<(), Failure> {
    let mut arguments = Arguments::parse();
    if let Some(folder) = &arguments.serve {
        return serve_ours(folder);
    }
    if arguments.smoke {
        (arguments.rounds, arguments.requests) = (1, 1_280);
        (arguments.handshakes, arguments.idle) = (20, 100);
    }
    let folder = std::env::temp_dir().join(format!("https-peers-{}", std::process::id()));
    fs::create_dir(&folder)?;
    let measured = measure_all(&arguments, &folder);
    fs::remove_dir_all(&folder)?;
    measured
}

fn measure_all(arguments: &Arguments, folder: &Path) -> Result<(), Failure> {
    make_certificates(folder)?;
    let cores = cores();
    let ours = std::env::current_exe()?;
    let mut servers = vec![Server::printing_its_port(
        "ours",
        pinned(&cores, &ours).arg("--serve").arg(folder),
    )?];
    if let Some(nginx) = &arguments.nginx {
        servers.push(Server::nginx(nginx, &cores, folder)?);
    }
    if let Some(hyper) = &arguments.hyper {
        let mut command = pinned(&cores, hyper);
        servers.push(Server::printing_its_port("hyper", command.arg(folder))?);
    }
    let device = Device::new(folder)?;
    let mut figures: Vec<Figures> = servers.iter().map(|_| Figures::default()).collect();
    // Everything is warm when it is measured, for all of them.
    for server in &servers {
        handshakes(server, &device, 20)?;
        kept_alive(server, &device, 20 * AT_A_TIME)?;
    }
    for _ in 0..arguments.rounds {
        for (server, figures) in servers.iter().zip(&mut figures) {
            let request = kept_alive(server, &device, arguments.requests)?;
            figures.request_us.push(request);
            let handshake = handshakes(server, &device, arguments.handshakes)?;
            figures.handshake_us.push(handshake);
            figures.burst_ms.push(burst(server, &device)?);
        }
    }
    for (server, figures) in servers.iter().zip(&mut figures) {
        figures
            .idle_kib
            .push(idle(server, &device, arguments.idle)?);
    }
    report(arguments, &servers, &mut figures, !cores.is_empty())
}

/// How to keep a server on the first core and the devices on the second, where there are two.
fn cores() -> Vec<String> {
    let two = std::thread::available_parallelism().is_ok_and(|cores| cores.get() >= 2);
    let own = std::process::id().to_string();
    let pin = ["-a", "-p", "-c", "1", &own].map(str::to_owned);
    let pinned = two
        && Command::new("taskset")
            .args(pin)
            .output()
            .is_ok_and(|done| done.status.success());
    match pinned {
        true => ["taskset", "-c", "0"].map(str::to_owned).to_vec(),
        false => Vec::new(),
    }
}

/// CPU us a request, when this many devices ask at a time.
fn kept_alive(server: &Server, device: &Device, requests: usize) -> Result<f64, Failure> {
    let mut streams: Vec<Stream> = Vec::new();
    for _ in 0..AT_A_TIME {
        let mut stream = device.connect(server.address)?;
        exchange(&mut stream)?;
        streams.push(stream);
    }
    let before = server.cpu()?;
    let rounds = requests.div_ceil(AT_A_TIME);
    for _ in 0..rounds {
        streams.iter_mut().try_for_each(ask)?;
        streams.iter_mut().try_for_each(answer)?;
    }
    let used = server.cpu()? - before;
    Ok(micros(used) / (rounds * AT_A_TIME) as f64)
}

/// CPU us of a full handshake with a client certificate, one request, and the end.
fn handshakes(server: &Server, device: &Device, count: usize) -> Result<f64, Failure> {
    let before = server.cpu()?;
    for _ in 0..count {
        exchange(&mut device.connect(server.address)?)?;
    }
    let used = server.cpu()? - before;
    Ok(micros(used) / count as f64)
}

/// From the first device's start to the last one's answer, ms.
fn burst(server: &Server, device: &Device) -> Result<f64, Failure> {
    let barrier = std::sync::Barrier::new(BURST);
    let one = || {
        barrier.wait();
        let begun = std::time::Instant::now();
        let connected = device.connect(server.address);
        connected
            .and_then(|mut stream| exchange(&mut stream))
            .map(|()| begun.elapsed())
            .map_err(|error| error.to_string())
    };
    let took: Result<Vec<Duration>, String> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..BURST).map(|_| scope.spawn(one)).collect();
        let joined = threads.into_iter().map(|thread| thread.join());
        joined
            .map(|joined| joined.unwrap_or_else(|_| Err("a thread failed".to_owned())))
            .collect()
    });
    Ok(micros(took?.into_iter().max().unwrap_or_default()) / 1e3)
}

/// Resident KiB for a connection that has been used and is quiet.
fn idle(server: &Server, device: &Device, count: usize) -> Result<f64, Failure> {
    let before = server.resident_kib()?;
    let mut kept = Vec::with_capacity(count);
    for _ in 0..count {
        let mut stream = device.connect(server.address)?;
        exchange(&mut stream)?;
        kept.push(stream);
    }
    let each = (server.resident_kib()? - before) / count as f64;
    // All of them were held: each still answers.
    kept.iter_mut().try_for_each(exchange)?;
    Ok(each)
}

fn report(
    arguments: &Arguments,
    servers: &[Server],
    figures: &mut [Figures],
    pinned: bool,
) -> Result<(), Failure> {
    println!(
        "{:<8}{:>18}{:>22}{:>20}{:>20}",
        "server", "CPU us a request", "CPU us a handshake", "70 cold, last ms", "KiB an idle one"
    );
    let mut rows = Vec::new();
    for (server, figures) in servers.iter().zip(figures) {
        let request = median(&mut figures.request_us);
        let handshake = median(&mut figures.handshake_us);
        let (burst, idle) = (median(&mut figures.burst_ms), median(&mut figures.idle_kib));
        println!(
            "{:<8}{request:>18.1}{handshake:>22.0}{burst:>20.1}{idle:>20.1}",
            server.name
        );
        rows.push(json!({
            "server": server.name,
            "request_cpu_us": figures.request_us,
            "handshake_cpu_us": figures.handshake_us,
            "burst_70_cold_last_ms": figures.burst_ms,
            "idle_kib": figures.idle_kib,
        }));
    }
    println!(
        "a request: kept alive, {AT_A_TIME} at a time; \
         a handshake: full, with client certificate and one request"
    );
    println!(
        "nginx answers without looking at the body; servers {}",
        match pinned {
            true => "on core 0, devices on core 1",
            false => "and devices on any core",
        }
    );
    if let Some(path) = &arguments.json {
        let whole = json!({
            "rounds": arguments.rounds,
            "requests": arguments.requests,
            "handshakes": arguments.handshakes,
            "idle": arguments.idle,
            "pinned": pinned,
            "servers": rows,
        });
        fs::write(path, format!("{whole:#}\n"))?;
    }
    Ok(())
}

/// The median; sorts what it is given.
fn median(figures: &mut [f64]) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(0.0)
}

fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}
