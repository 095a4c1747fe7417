//! `cardea serve`: opens the site, warms it, starts the threads and runs the loops.
//!
//! ```text
//! loops (net)  --probe-->  search   --result-->  loops
//!              --record->  audit    --durable->  loops
//!              --change->  writer   --answer-->  loops      admin --request--> writer
//!              --interval->  observer --> latency log, /metrics
//! ```

mod console;
mod levels;
mod loops;
mod signals;
mod watchdog;

use std::io::{self, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;

use cardea_engine::{Embedding, Kernel, Searcher, gallery};
use crossbeam_channel::Receiver;
use time::OffsetDateTime;

use crate::admin::socket;
use crate::api::Completion;
use crate::audit::Audit;
use crate::backup;
use crate::clock;
use crate::config::Config;
use crate::connect::Minutes;
use crate::connect::firmware::Firmware;
use crate::histograms::log::LatencyLog;
use crate::limits::{BACKUP_RESUME_S, SESSIONS_MAX};
use crate::metrics::Observer;
use crate::net::{Counters, listener};
use crate::pki::SitePki;
use crate::site::{Site, moment};
use crate::store::DataDirectory;
use crate::tls::{self, LiveTls};
use crate::work::WorkQueue;
use crate::writer::{self, Command, Writer, WriterHandle};

use levels::levels;
use loops::{Loops, Shared};
use watchdog::Vitals;

/// Handshakes with ourselves before ready; the first ones of a process are slow.
const WARM_HANDSHAKES: usize = 16;

/// Runs the server until it is told to stop.
///
/// # Errors
/// If the site cannot be opened or the address cannot be bound.
pub fn run(data: &Path, kernel: Option<&str>) -> Result<(), Box<dyn std::error::Error>> {
    let started = Instant::now();
    let mut opened = Opened::open(data, kernel, started)?;
    let listeners = listeners(&opened.config)?;
    let address = listening(&opened.config, &listeners)?;
    opened.writer.set_listen(address);
    let live = LiveTls::new(opened.writer.pki(), SESSIONS_MAX)?;
    warm_up(&live, opened.writer.pki())?;
    opened.writer.set_tls(live.clone());
    opened.writer.browsers_reload();
    let Opened {
        config,
        audit,
        mut writer,
        handle,
        commands,
        searcher,
        site,
    } = opened;

    let (work, search_thread) = search(searcher, &site, handle.clone())?;
    let counters: Vec<Arc<Counters>> = listeners.iter().map(|_| Arc::default()).collect();
    let log = LatencyLog::open(data, config.latency_log_mib << 20)?;
    let mut minutes = Minutes::new(handle.clone());
    let levels = levels(&site, &work, &counters, audit.pace());
    let (observer, observer_thread) =
        Observer::start(log, levels, move |interval| minutes.add(interval))?;
    let firmware = Firmware::start(data)?;
    writer.set_connect(firmware.clone(), observer.text());
    let console = console::start(data, &site, &writer, &audit, &handle, &firmware, address)?;

    let shared = Shared {
        site: &site,
        work: &work,
        audit: &audit,
        writer: &handle,
        console: &console,
        observer: &observer,
        firmware: &firmware,
        tls: &live,
    };
    let Loops {
        loops,
        wakers,
        senders,
    } = Loops::new(listeners, &counters, &shared)?;
    let vitals = Vitals {
        loops: senders.clone(),
        writer: handle.clone(),
        search: Box::new(work.progress()),
    };
    drop((work, observer, console));
    let writer_thread = writer.start(commands, senders)?;
    socket::listen(data, handle.clone(), audit.pace())?;
    signals::listen(Arc::clone(&site), wakers, handle.clone())?;

    clock::watch(
        site.clock.clone(),
        config.time_from,
        audit.handle(|_| {}, || {}),
    )?;

    site.set_ready();
    tracing::info!(ready_ms = started.elapsed().as_millis(), %address, "ready");
    // Whoever started the server may have gone; it serves all the same.
    let _ = writeln!(io::stdout(), "ready on {address}");
    watchdog::ready(address, vitals)?;
    loops::run(loops)?;
    stop_threads(&handle, writer_thread, search_thread, observer_thread)
}

/// A site that is loaded and warm.
struct Opened {
    config: Config,
    audit: Audit,
    writer: Writer,
    handle: WriterHandle,
    commands: Receiver<Command>,
    searcher: Searcher,
    site: Arc<Site>,
}

impl Opened {
    fn open(
        data: &Path,
        kernel: Option<&str>,
        started: Instant,
    ) -> Result<Self, Box<dyn std::error::Error>> {
        let directory = DataDirectory::of_site(data)?;
        if let Err(error) = backup::sweep(data, moment(started).unix_s(), BACKUP_RESUME_S) {
            tracing::warn!(%error, "copies of a backup stay in the data directory");
        }
        let report = writer::fault::report(&directory)?;
        gallery::install_sigbus_handler(report.into())?;
        let audit = Audit::open(&directory, moment(started).unix_us)?;
        let (handle, commands) = writer::queue();
        let mut writer = Writer::open(directory, &audit)?;
        let config = writer.config().clone();
        let searcher = searcher(&config, kernel)?;
        let site = writer.go_online(&handle)?;
        warm(&searcher, &site)?;
        Ok(Self {
            config,
            audit,
            writer,
            handle,
            commands,
            searcher,
            site,
        })
    }
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

/// Starts the search thread; damage that it meets in the gallery is told to the writer.
fn search(
    searcher: Searcher,
    site: &Site,
    writer: WriterHandle,
) -> io::Result<(WorkQueue<Completion>, JoinHandle<()>)> {
    WorkQueue::start(searcher, Arc::clone(&site.searched), move || {
        // A full queue already holds work that looks at the gallery again.
        let _ = writer.try_send(Command::GalleryDamaged);
    })
}

/// Handshakes as strangers make them, then as devices do.
fn warm_up(live: &LiveTls, pki: &SitePki) -> Result<(), tls::TlsError> {
    tls::warm_up(&live.current(), WARM_HANDSHAKES)?;
    if let Err(error) = warm_up_devices(pki) {
        // The clock may be before the certificates: then no device comes in either, but people do.
        tracing::warn!(%error, "the first handshakes of devices will be slow");
    }
    Ok(())
}

/// Handshakes with the certificate of a device that does not exist; nothing of them is kept.
fn warm_up_devices(pki: &SitePki) -> Result<(), Box<dyn std::error::Error>> {
    let nobody = pki.nobody(OffsetDateTime::now_utc())?;
    let aside = LiveTls::new(pki, 1)?;
    Ok(tls::warm_up_as(nobody, &aside.current(), WARM_HANDSHAKES)?)
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
