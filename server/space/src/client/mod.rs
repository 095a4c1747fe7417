//! The threads that talk to Space, and the one handle to them.
//!
//! ```text
//!   open() ──bounded queue──> openers, one kept-alive connection each ──> Event::Opened
//!   monitor: GetInfo, every 10 s or with back-off ──> Event::StatusChanged
//!   syncer: pages, every `sync_period` and on demand ──> Event::Synced / SyncFailed
//! ```
//!
//! [`SpaceClient::open`] never blocks: a full queue, or a Space that is not Connected, is refused
//! at once. Whatever it takes ends in exactly one [`Event::Opened`], at the latest a little after
//! its deadline. Events are handed to a function given at the start, on the client's threads: it
//! must only pass them on.
//!
//! An open is sent at most once. When a kept-alive connection turns out to be closed before the
//! first byte, another is made; from the first byte on there is no second try, whatever happens.

mod caller;
mod driven;
mod monitor;
mod opener;
mod probe;
mod shared;
mod syncer;

pub use driven::{Driven, Opening};
pub use opener::{Completion, OpenRequest, Outcome, judge};
pub use probe::probe;

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

use crate::limits::{BACKOFF_MAX, CONNECTIONS_MAX, OPEN_QUEUE_MAX};
use crate::status::{Connection, Now, Status, Watch};
use crate::sync::{Snapshot, SyncOptions};
use crate::transport::Endpoint;
use caller::Interrupt;
use shared::{Shared, lock, wake};

/// How to talk to Space.
#[derive(Debug)]
pub struct ClientConfig {
    /// Where it is.
    pub endpoint: Endpoint,
    /// Connections for opening doors, 1..=[`CONNECTIONS_MAX`]. Each is a thread. With Space
    /// answering in 150 ms, 32 of them open 70 doors in half a second.
    pub connections: usize,
    /// Opens that may wait for a connection, 1..=[`OPEN_QUEUE_MAX`].
    pub queue: usize,
    /// From the end of one sync to the start of the next.
    pub sync_period: Duration,
    /// How to sync.
    pub sync: SyncOptions,
    /// Spreads the probes of many servers.
    pub seed: u64,
}

impl ClientConfig {
    /// 32 connections, 1,024 waiting opens, a sync every 60 s.
    #[must_use]
    pub fn new(endpoint: Endpoint, seed: u64) -> Self {
        Self {
            endpoint,
            connections: 32,
            queue: 1_024,
            sync_period: Duration::from_secs(60),
            sync: SyncOptions::default(),
            seed,
        }
    }
}

/// What the client has to say.
#[derive(Clone, Debug)]
pub enum Event {
    /// An open has ended.
    Opened(Completion),
    /// The status is another one than before.
    StatusChanged(Status),
    /// A sync read the whole site.
    Synced(Arc<Snapshot>),
    /// A sync came to nothing, in words; what was known stays.
    SyncFailed(String),
}

/// How syncing goes. Rights stay in force while syncs fail, so an old `last_good_unix_s` is worth
/// an administrator's look.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SyncStatus {
    /// When the last sync that went well ended, in seconds since 1970, UTC.
    pub last_good_unix_s: Option<i64>,
    /// How long it took.
    pub took: Option<Duration>,
    /// Why the last sync came to nothing; `None` when it went well.
    pub failure: Option<String>,
}

/// Where events go.
pub type Notify = dyn Fn(Event) + Send + Sync;

/// Why an open was not even taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenRefused {
    /// Space is not Connected.
    Unavailable(Connection),
    /// As many opens wait as may.
    QueueFull,
    /// The client is being stopped.
    Stopping,
}

impl fmt::Display for OpenRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unavailable(Connection::NoStatus) => {
                f.write_str("access control unavailable: Space has not answered yet")
            }
            Self::Unavailable(connection) => {
                write!(f, "access control unavailable: Space is {connection}")
            }
            Self::QueueFull => f.write_str("too many doors are waiting to be opened"),
            Self::Stopping => f.write_str("the connection to Space is being stopped"),
        }
    }
}

/// Why a client cannot start.
#[derive(Debug)]
pub enum StartError {
    /// A number in the configuration is out of its range.
    Config(&'static str),
    /// The system gives no more threads.
    Thread(std::io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(what) => write!(f, "{what} is out of range"),
            Self::Thread(error) => write!(f, "no thread for Space: {error}"),
        }
    }
}

impl std::error::Error for StartError {}

/// The handle. Dropping it stops the client: what waits is completed as not sent, what is under
/// way comes to its end, and after that nothing but these completions is notified.
pub struct SpaceClient {
    shared: Arc<Shared>,
    /// `None` once stopped. Locked for as long as it takes to hand a job over.
    queue: Mutex<Option<Sender<opener::Job>>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// Ends what the monitor and the syncer are waiting for.
    interrupt_monitor: Interrupt,
    interrupt_syncer: Interrupt,
}

/// A client whose threads have not been started.
struct Prepared {
    client: SpaceClient,
    jobs: Receiver<opener::Job>,
    monitor_woken: Receiver<()>,
    syncer_woken: Receiver<()>,
}

impl SpaceClient {
    /// Starts the threads. The first probe begins at once, the first sync when it was answered.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn start(config: ClientConfig, notify: Arc<Notify>) -> Result<Self, StartError> {
        let (connections, sync_period, sync) =
            (config.connections, config.sync_period, config.sync);
        let Prepared {
            client,
            jobs,
            monitor_woken,
            syncer_woken,
        } = Self::prepare(config, notify)?;
        client.spawn_all(
            connections,
            sync_period,
            sync,
            jobs,
            monitor_woken,
            syncer_woken,
        )?;
        Ok(client)
    }

    fn prepare(config: ClientConfig, notify: Arc<Notify>) -> Result<Prepared, StartError> {
        if !(1..=CONNECTIONS_MAX).contains(&config.connections) {
            return Err(StartError::Config("connections"));
        }
        if !(1..=OPEN_QUEUE_MAX).contains(&config.queue) {
            return Err(StartError::Config("queue"));
        }
        if !config.sync.is_valid() {
            return Err(StartError::Config("sync"));
        }
        let (wake_monitor, monitor_woken) = bounded(1);
        let (wake_syncer, syncer_woken) = bounded(1);
        let (queue, jobs) = bounded(config.queue);
        let begin = Now {
            monotonic: Duration::ZERO,
            unix_s: 0,
        };
        let shared = Arc::new(Shared {
            endpoint: config.endpoint,
            notify,
            watch: Mutex::new(Watch::new(begin, config.seed)),
            connection: AtomicU8::new(0),
            syncs: Mutex::default(),
            stopping: AtomicBool::new(false),
            wake_monitor,
            wake_syncer,
            started: Instant::now(),
        });
        let client = Self {
            shared,
            queue: Mutex::new(Some(queue)),
            threads: Mutex::default(),
            interrupt_monitor: Interrupt::default(),
            interrupt_syncer: Interrupt::default(),
        };
        Ok(Prepared {
            client,
            jobs,
            monitor_woken,
            syncer_woken,
        })
    }

    /// Takes an open, to be completed by [`Event::Opened`]. Does not wait for anything.
    ///
    /// # Errors
    /// [`OpenRefused`]: nothing was taken, nothing will be sent, no event will come.
    pub fn open(&self, request: OpenRequest) -> Result<(), OpenRefused> {
        let connection = self.shared.connection();
        if connection != Connection::Connected {
            return Err(OpenRefused::Unavailable(connection));
        }
        let queue = lock(&self.queue);
        let Some(queue) = &*queue else {
            return Err(OpenRefused::Stopping);
        };
        let job = opener::Job {
            request,
            taken: Instant::now(),
        };
        queue.try_send(job).map_err(|error| match error {
            TrySendError::Full(_) => OpenRefused::QueueFull,
            TrySendError::Disconnected(_) => OpenRefused::Stopping,
        })
    }

    /// The status now.
    #[must_use]
    pub fn status(&self) -> Status {
        self.shared.watch().status().clone()
    }

    /// How syncing goes.
    #[must_use]
    pub fn sync_status(&self) -> SyncStatus {
        lock(&self.shared.syncs).clone()
    }

    /// Starts a sync now, unless one is running; then another follows it.
    pub fn sync_now(&self) {
        wake(&self.shared.wake_syncer);
    }

    /// Stops taking opens, completes those that wait as not sent, breaks off a probe or a sync, and
    /// waits until all threads have ended: until the deadlines of the opens under way, or about
    /// [`crate::limits::CONNECT_TIME_MAX`] where a connection is being made, or as long as the
    /// system looks up a host name. To be called before the process ends: the crypto library does
    /// not like to be used while it is being taken down. Not to be called by the function that
    /// takes the events, which would wait for itself.
    pub fn stop(&self) {
        self.begin_stop();
        let threads = std::mem::take(&mut *lock(&self.threads));
        for thread in threads {
            // A panic was reported by the panic hook; there is nothing left to end.
            let _ = thread.join();
        }
    }

    fn begin_stop(&self) {
        self.shared.stopping.store(true, Ordering::Release);
        *lock(&self.queue) = None;
        wake(&self.shared.wake_monitor);
        wake(&self.shared.wake_syncer);
        self.interrupt_monitor.interrupt();
        self.interrupt_syncer.interrupt();
    }

    fn spawn_all(
        &self,
        connections: usize,
        sync_period: Duration,
        sync: SyncOptions,
        jobs: Receiver<opener::Job>,
        monitor_woken: Receiver<()>,
        syncer_woken: Receiver<()>,
    ) -> Result<(), StartError> {
        for number in 0..connections {
            let (shared, jobs) = (Arc::clone(&self.shared), jobs.clone());
            let run = move || opener::run(&shared, &jobs);
            lock(&self.threads).push(spawn(format!("space-open-{number}"), run)?);
        }
        let shared = Arc::clone(&self.shared);
        let interrupt = self.interrupt_monitor.clone();
        let monitor = move || {
            restarting(&shared, || {
                monitor::run(&shared, &monitor_woken, &interrupt)
            });
        };
        lock(&self.threads).push(spawn("space-monitor".into(), monitor)?);
        let shared = Arc::clone(&self.shared);
        let interrupt = self.interrupt_syncer.clone();
        let syncer = move || {
            restarting(&shared, || {
                syncer::run(&shared, &syncer_woken, &interrupt, sync_period, sync);
            });
        };
        lock(&self.threads).push(spawn("space-sync".into(), syncer)?);
        Ok(())
    }
}

impl Drop for SpaceClient {
    fn drop(&mut self) {
        self.begin_stop();
    }
}

/// Runs until it returns; a panic, which the panic hook reports, starts it again after a while.
fn restarting(shared: &Shared, run: impl Fn()) {
    while catch_unwind(AssertUnwindSafe(&run)).is_err() && !shared.is_stopping() {
        thread::sleep(BACKOFF_MAX);
    }
}

fn spawn(name: String, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, StartError> {
    thread::Builder::new()
        .name(name)
        .spawn(run)
        .map_err(StartError::Thread)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Space is read every 60 s unless somebody says otherwise, and nobody does: README says so.
    #[test]
    fn a_sync_is_due_every_60_s() {
        let endpoint = Endpoint::tcp("127.0.0.1", 8_100).unwrap();
        assert_eq!(ClientConfig::new(endpoint, 1).sync_period.as_secs(), 60);
    }
}
