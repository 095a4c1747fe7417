//! `cardea serve`: opens the site, warms it, starts the threads and runs the loops.
//!
//! ```text
//! loops (net)  --probe-->  search   --result-->  loops
//!              --record->  audit    --durable->  loops
//!              --change->  writer   --answer-->  loops      admin --request--> writer
//!              --interval->  observer --> latency log, /metrics
//! ```

use std::fs::OpenOptions;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;

use arc_swap::ArcSwap;
use cardea_engine::{Embedding, Kernel, Searcher, gallery};

use crate::admin::socket;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::api::{Api, Completion, Parts};
use crate::audit::{Audit, AuditHandle};
use crate::completions::{CompletionSender, Completions};
use crate::config::Config;
use crate::histograms::log::LatencyLog;
use crate::http::Refusal;
use crate::limits::SESSIONS_MAX;
use crate::metrics::{Levels, Observer};
use crate::net::{Bounds, Counter, Counters, EventLoop, Waker, listener};
use crate::site::{Site, moment};
use crate::store::DataDirectory;
use crate::tls::{self, Sessions};
use crate::work::WorkQueue;
use crate::writer::{self, Command, Writer, WriterHandle};

/// Where the SIGBUS handler writes which block of the gallery could not be read.
const FAULT_FILE: &str = "gallery.fault";
/// Handshakes with ourselves before ready; the first ones of a process are slow.
const WARM_HANDSHAKES: usize = 16;

/// Runs the server until it is told to stop.
///
/// # Errors
/// If the site cannot be opened or the address cannot be bound.
pub fn run(data: &Path, kernel: Option<&str>) -> Result<(), Box<dyn std::error::Error>> {
    let started = Instant::now();
    let directory = DataDirectory::lock(data)?;
    let fault = OpenOptions::new()
        .create(true)
        .append(true)
        .open(data.join(FAULT_FILE))?;
    gallery::install_sigbus_handler(fault.into())?;
    let audit = Audit::open(&directory, moment(started).unix_us)?;
    let (writer_handle, commands) = writer::queue();
    let mut writer = Writer::open(directory, &audit)?;
    let config = writer.config().clone();
    let searcher = searcher(&config, kernel)?;
    let site = writer.go_online(&writer_handle)?;
    let listeners = listeners(&config)?;
    let listen = listening(&config, &listeners)?;
    writer.set_listen(listen);
    let address = listeners[0].local_addr()?;
    writer.listens_on(address);
    let sessions = Arc::new(Sessions::new(SESSIONS_MAX));
    let chain = writer.pki().server_chain();
    let roots = [writer.pki().ca().clone()];
    let tls = tls::server_config(chain, writer.pki().server_key(), &roots, sessions)?;
    warm(&searcher, &site)?;
    tls::warm_up(&tls, WARM_HANDSHAKES)?;
    let tls = Arc::new(ArcSwap::new(tls));

    let damaged = writer_handle.clone();
    let (work, search_thread) =
        WorkQueue::start(searcher, Arc::clone(&site.searched), move || {
            // A full queue already holds work that looks at the gallery again.
            let _ = damaged.try_send(Command::GalleryDamaged);
        })?;
    let counters: Vec<_> = listeners
        .iter()
        .map(|_| Arc::new(Counters::default()))
        .collect();
    let log = LatencyLog::open(data, config.latency_log_mib << 20)?;
    let levels = levels(&site, &work, &counters);
    let (observer, observer_thread) = Observer::start(log, levels)?;

    let mut senders = Vec::new();
    let mut loops = Vec::new();
    for ((listener, counters), loop_number) in listeners.into_iter().zip(&counters).zip(0..) {
        let service = |waker: &Arc<Waker>| {
            let waker = Arc::clone(waker);
            let completions = Completions::new(move || waker.wake());
            senders.push(completions.sender());
            Api::new(Parts {
                loop_number,
                site: Arc::clone(&site),
                work: work.clone(),
                audit: audit_handle(&audit, completions.sender()),
                writer: writer_handle.clone(),
                completions,
                handover: observer.handover(),
                metrics: observer.text(),
            })
        };
        let bounds = Bounds::default();
        loops.push(EventLoop::new(
            listener,
            Arc::clone(&tls),
            bounds,
            Arc::clone(counters),
            service,
        )?);
    }
    drop((work, observer));
    let writer_thread = writer.start(commands, senders)?;
    socket::listen(data, writer_handle.clone())?;
    stop_on_signals(
        &site,
        loops.iter().map(|(_, waker)| Arc::clone(waker)).collect(),
    )?;

    site.set_ready();
    tracing::info!(ready_ms = started.elapsed().as_millis(), %address, "ready");
    println!("ready on {address}");
    run_loops(
        loops
            .into_iter()
            .map(|(event_loop, _)| event_loop)
            .collect(),
    )?;
    stop_threads(
        &writer_handle,
        writer_thread,
        search_thread,
        observer_thread,
    )
}

/// The sockets that systemd handed over, else our own.
fn listeners(config: &Config) -> io::Result<Vec<TcpListener>> {
    let inherited = listener::inherited()?;
    if inherited.is_empty() {
        return listener::bind_all(config.listen, config.loops);
    }
    tracing::info!(sockets = inherited.len(), "listening on inherited sockets");
    Ok(inherited)
}

/// The address in force: with port 0 in the configuration, the port that the kernel chose.
fn listening(config: &Config, listeners: &[TcpListener]) -> io::Result<SocketAddr> {
    match listeners.first() {
        Some(first) if config.listen.port() == 0 => first.local_addr(),
        _ => Ok(config.listen),
    }
}

/// SIGTERM and SIGINT: nothing new is taken, what is in flight is answered.
fn stop_on_signals(site: &Arc<Site>, wakers: Vec<Arc<Waker>>) -> io::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT])?;
    let site = Arc::clone(site);
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            if signals.forever().next().is_some() {
                tracing::info!("stopping");
                site.set_stopping();
                wakers.iter().for_each(|waker| waker.stop());
            }
        })?;
    Ok(())
}

fn searcher(config: &Config, kernel: Option<&str>) -> Result<Searcher, Box<dyn std::error::Error>> {
    let kernel = match kernel.unwrap_or(&config.kernel) {
        "best" => Kernel::best()?,
        name => Kernel::by_name(name)?,
    };
    let threads = match config.search_threads {
        0 => std::thread::available_parallelism()?.get(),
        threads => threads,
    };
    tracing::info!(kernel = kernel.name(), threads, "search");
    Ok(Searcher::new(kernel, threads)?)
}

/// Searches once with full batches, so that code and pages are there before the first device asks.
fn warm(searcher: &Searcher, site: &Site) -> Result<(), Box<dyn std::error::Error>> {
    let searched = site.searched.load();
    let mut numbers = [0.0; cardea_engine::DIM];
    numbers[0] = 1.0;
    let probe = Embedding::new(&numbers)?;
    for batch in [1, crate::limits::PROBES_IN_BATCH_MAX] {
        let probes = vec![probe.clone(); batch];
        searcher.search(&searched.view, &probes, searched.threshold)?;
    }
    Ok(())
}

fn audit_handle(audit: &Audit, done: CompletionSender<Completion>) -> AuditHandle {
    // Every delivery rings by itself, once a burst: there is nothing left to wake.
    audit.handle(
        move |completion| done.send(Completion::Recorded(completion)),
        || {},
    )
}

/// What `/metrics` shows as of now, beside what the loops hand over.
fn levels(
    site: &Arc<Site>,
    work: &WorkQueue<Completion>,
    counters: &[Arc<Counters>],
) -> impl Fn() -> Levels + Send + 'static {
    let (site, waiting, counters) = (Arc::clone(site), work.waiting(), counters.to_vec());
    move || {
        let view = site.searched.load().view.clone();
        let (people, certificates) = {
            let directory = site.directory();
            (directory.people(), directory.devices())
        };
        let mut levels = Levels::default();
        levels.gauge("people", "People in force", people as f64);
        levels.gauge(
            "device_certificates",
            "Certificates in force",
            certificates as f64,
        );
        levels.gauge(
            "references",
            "References in the gallery",
            view.rows() as f64,
        );
        levels.gauge(
            "overlay_rows",
            "References since the snapshot",
            view.overlay_rows() as f64,
        );
        levels.gauge(
            "withdrawals",
            "Withdrawals since the snapshot",
            view.withdrawals() as f64,
        );
        let pending = f64::from(u8::from(site.is_erasure_pending()));
        levels.gauge(
            "erasure_pending",
            "Withdrawn bytes wait to be erased: 1 or 0",
            pending,
        );
        levels.gauge(
            "probes_waiting",
            "Probes that wait for a search",
            waiting() as f64,
        );
        for counter in Counter::ALL {
            let value = counters
                .iter()
                .map(|counters| counters.value(counter))
                .sum();
            levels.front_end(counter.name(), value, counter.is_level());
        }
        for refusal in Refusal::ALL {
            let value = counters
                .iter()
                .map(|counters| counters.refused(refusal))
                .sum();
            levels.refused(refusal.name(), value);
        }
        levels
    }
}

fn run_loops(loops: Vec<EventLoop<Api>>) -> io::Result<()> {
    let threads: Vec<JoinHandle<io::Result<Api>>> = loops
        .into_iter()
        .enumerate()
        .map(|(number, event_loop)| {
            let named = std::thread::Builder::new().name(format!("loop-{number}"));
            named.spawn(move || event_loop.run())
        })
        .collect::<Result<_, _>>()?;
    for thread in threads {
        thread
            .join()
            .map_err(|_| io::Error::other("an event loop panicked"))??;
    }
    Ok(())
}

fn stop_threads(
    writer: &WriterHandle,
    writer_thread: JoinHandle<()>,
    search_thread: JoinHandle<()>,
    observer_thread: JoinHandle<()>,
) -> Result<(), Box<dyn std::error::Error>> {
    writer.send(Command::Stop)?;
    for (name, thread) in [
        ("writer", writer_thread),
        ("search", search_thread),
        ("observer", observer_thread),
    ] {
        thread
            .join()
            .map_err(|_| format!("the {name} thread panicked"))?;
    }
    Ok(())
}
