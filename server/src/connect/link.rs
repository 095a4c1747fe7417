//! The client of a running server: it reads the outbox, and what it hears goes to the writer. A
//! thread beside it gives the heartbeat, tries again what the writer had no room for, and starts
//! the client anew if its thread has panicked.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use cardea_connect::client::{Client, ClientConfig, Event, Row, Token};
use cardea_connect::message::{DeviceCounts, EnrolmentCounts, Envelope, Heartbeat, moment};
use cardea_connect::status::{Connection, Status};
use cardea_connect::topics::{Kind, VERSION};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use super::jobs::{Job, Jobs};
use super::supervise::supervised;
use super::updates::Progress;
use super::{ConnectSetup, News};
use crate::limits::CONNECT_HELD_MAX;
use crate::site::unix_ms;
use crate::store::{DataDirectory, DeviceState, Reader, StoreError};
use crate::writer::{Command, WriterHandle};

/// How often the site says that it is alive.
const HEARTBEAT: Duration = Duration::from_secs(30);
/// How often the thread beside the client looks after things.
const TICK: Duration = Duration::from_secs(1);
/// A device heard of within this time is alive.
const ALIVE_S: i64 = 600;

/// Connect of a running server.
pub struct ConnectLink {
    setup: ConnectSetup,
    shared: Arc<Shared>,
    jobs: Jobs,
    progress: Arc<Progress>,
    // Its end is the signal.
    alive: Option<Sender<()>>,
    upkeep: Option<JoinHandle<()>>,
}

struct Shared {
    config: ClientConfig,
    directory: DataDirectory,
    lineage: String,
    writer: WriterHandle,
    client: Mutex<Option<Client>>,
    held: Mutex<VecDeque<(Vec<u8>, Token)>>,
    delivered: AtomicU64,
    delivered_told: AtomicU64,
    integrations: Mutex<BTreeMap<String, Connection>>,
    started: Instant,
}

impl ConnectLink {
    /// Starts to talk to the broker.
    ///
    /// # Errors
    /// Why it cannot be started, in words.
    pub fn start(
        setup: &ConnectSetup,
        directory: &DataDirectory,
        writer: &WriterHandle,
        integrations: BTreeMap<String, Connection>,
        started: Instant,
    ) -> Result<Self, String> {
        let words = |error: &dyn std::fmt::Display| error.to_string();
        let reader = Reader::open(directory).map_err(|error| words(&error))?;
        let lineage = reader.lineage().map_err(|error| words(&error))?;
        let progress = Arc::new(Progress::default());
        let shared = Arc::new(Shared {
            config: setup.client_config(unix_s())?,
            directory: directory.clone(),
            lineage: lineage[..8]
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect(),
            writer: writer.clone(),
            client: Mutex::default(),
            held: Mutex::default(),
            delivered: AtomicU64::new(0),
            delivered_told: AtomicU64::new(0),
            integrations: Mutex::new(integrations),
            started,
        });
        let data = directory.path().to_owned();
        let jobs = Jobs::start(setup.clone(), data, writer.clone(), Arc::clone(&progress))
            .map_err(|error| words(&error))?;
        shared.connect().map_err(|error| words(&error))?;
        let (alive, ended) = bounded(0);
        let beside = Arc::clone(&shared);
        let upkeep = thread::Builder::new()
            .name("connect-upkeep".to_owned())
            .spawn(move || supervised("connect-upkeep", || beside.upkeep(&ended)))
            .map_err(|error| words(&error))?;
        Ok(Self {
            setup: setup.clone(),
            shared,
            jobs,
            progress,
            alive: Some(alive),
            upkeep: Some(upkeep),
        })
    }

    /// Whether this is how `setup` reaches the broker and the authority.
    #[must_use]
    pub fn is_as(&self, setup: &ConnectSetup) -> bool {
        self.setup == *setup
    }

    /// The card's content.
    #[must_use]
    pub fn status(&self) -> Option<Status> {
        self.shared.client().as_ref().map(Client::status)
    }

    /// What the next heartbeat says of the integrations.
    pub fn integration(&self, name: &str, status: Connection) {
        let mut known = lock(&self.shared.integrations);
        known.insert(name.to_owned(), status);
    }

    /// There is something new in the outbox.
    pub fn wake(&self) {
        if let Some(client) = &*self.shared.client() {
            client.wake();
        }
    }

    /// A command is stored or refused.
    pub fn acknowledge(&self, token: Token) {
        if let Some(client) = &*self.shared.client() {
            client.acknowledge(token);
        }
    }

    /// Gives a job to the thread that asks the authority.
    ///
    /// # Errors
    /// Why it takes no more, in words.
    pub fn job(&self, job: Job) -> Result<(), &'static str> {
        self.jobs.give(job)
    }

    /// How far a download is.
    #[must_use]
    pub fn progress(&self) -> Option<(String, u64, u64)> {
        self.progress.now()
    }

    /// Says good-bye and ends.
    pub fn stop(mut self) {
        self.end();
        let client = self.shared.client().take();
        if let Some(client) = client {
            client.stop();
        }
    }

    fn end(&mut self) {
        self.alive = None;
        if let Some(upkeep) = self.upkeep.take() {
            let _ = upkeep.join();
        }
    }
}

impl Drop for ConnectLink {
    fn drop(&mut self) {
        self.end();
        // Without a farewell: another link takes this one's place, or the site has left.
        drop(self.shared.client().take());
    }
}

impl Shared {
    fn client(&self) -> MutexGuard<'_, Option<Client>> {
        lock(&self.client)
    }

    /// A client in the place of the one that there was.
    fn connect(self: &Arc<Self>) -> io::Result<()> {
        let (told, sourced) = (Arc::downgrade(self), Arc::downgrade(self));
        let mut reader: Option<Reader> = None;
        let source = move |after, max| {
            let Some(shared) = sourced.upgrade() else {
                return Vec::new();
            };
            match shared.rows(&mut reader, after, max) {
                Ok(rows) => rows,
                Err(error) => {
                    tracing::error!(%error, "the outbox cannot be read");
                    reader = None;
                    Vec::new()
                }
            }
        };
        let notify = move |event| {
            if let Some(shared) = told.upgrade() {
                shared.take(event);
            }
        };
        let client = Client::start(self.config.clone(), Box::new(source), Box::new(notify))?;
        let before = self.client().replace(client);
        drop(before);
        Ok(())
    }

    fn rows(
        &self,
        reader: &mut Option<Reader>,
        after: u64,
        max: usize,
    ) -> Result<Vec<Row>, StoreError> {
        let opened = match reader.take() {
            Some(opened) => opened,
            None => Reader::open(&self.directory)?,
        };
        let opened = reader.insert(opened);
        let messages = opened.outbox(after, max)?;
        Ok(messages
            .into_iter()
            .map(|message| {
                let id = format!("{}-{}", self.lineage, message.number);
                Row {
                    number: message.number,
                    kind: message.kind,
                    payload: Envelope::bytes(&id, message.at_unix_s, &message.body),
                }
            })
            .collect())
    }

    /// On the client's thread: nothing here waits.
    fn take(&self, event: Event) {
        let news = match event {
            Event::Delivered(up_to) => {
                self.delivered.fetch_max(up_to, Ordering::SeqCst);
                return self.tell_delivered();
            }
            Event::Command(payload, token) => {
                hold(&mut lock(&self.held), (payload, token));
                return self.tell_commands();
            }
            Event::Status(status) => News::Status(status),
            Event::SessionCleared => News::SessionCleared,
        };
        let _ = self.writer.try_send(Command::Connect(Box::new(news)));
    }

    fn tell_delivered(&self) {
        let up_to = self.delivered.load(Ordering::SeqCst);
        if up_to <= self.delivered_told.load(Ordering::SeqCst) {
            return;
        }
        let news = Command::Connect(Box::new(News::Delivered(up_to)));
        if self.writer.try_send(news).is_ok() {
            self.delivered_told.fetch_max(up_to, Ordering::SeqCst);
        }
    }

    fn tell_commands(&self) {
        let mut held = lock(&self.held);
        while let Some((payload, token)) = held.pop_front() {
            let news = Box::new(News::Command(payload, token));
            if let Err(back) = self.writer.try_send(Command::Connect(news)) {
                if let Command::Connect(news) = *back
                    && let News::Command(payload, token) = *news
                {
                    held.push_front((payload, token));
                }
                return;
            }
        }
    }

    fn upkeep(self: &Arc<Self>, ended: &Receiver<()>) {
        let mut beat: Option<Instant> = None;
        let mut reader: Option<Reader> = None;
        loop {
            match ended.recv_timeout(TICK) {
                Err(RecvTimeoutError::Timeout) => {}
                Ok(()) | Err(RecvTimeoutError::Disconnected) => return,
            }
            self.tell_delivered();
            self.tell_commands();
            let has_ended = self.client().as_ref().is_none_or(Client::has_ended);
            if has_ended {
                tracing::error!("Connect's client has ended; starting it again");
                if let Err(error) = self.connect() {
                    tracing::error!(%error, "Connect's client cannot be started");
                }
            }
            let connected = {
                let client = self.client();
                client.as_ref().is_some_and(|client| {
                    client.wake();
                    client.status().connection == Connection::Connected
                })
            };
            if !connected {
                beat = None;
            } else if beat.is_none_or(|beat| beat.elapsed() >= HEARTBEAT) {
                beat = Some(Instant::now());
                match self.heartbeat(&mut reader) {
                    Ok(heartbeat) => {
                        if let Some(client) = &*self.client() {
                            client.publish(Kind::Heartbeat, heartbeat);
                        }
                    }
                    Err(error) => {
                        tracing::error!(%error, "heartbeat");
                        reader = None;
                    }
                }
            }
        }
    }

    fn heartbeat(&self, reader: &mut Option<Reader>) -> Result<Vec<u8>, StoreError> {
        let opened = match reader.take() {
            Some(opened) => opened,
            None => Reader::open(&self.directory)?,
        };
        let reader = reader.insert(opened);
        let now = unix_s();
        let mut devices = DeviceCounts::default();
        for device in reader.devices()? {
            devices.known += 1;
            devices.commissioned += u64::from(device.state == DeviceState::Commissioned);
            let seen = device.last_seen_unix_s;
            devices.alive += u64::from(seen.is_some_and(|seen| now - seen <= ALIVE_S));
        }
        let (requested, completed) = reader.enrolment_counts()?;
        let heartbeat = Heartbeat {
            v: VERSION,
            at: moment(now),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_s: self.started.elapsed().as_secs(),
            devices,
            enrolments: EnrolmentCounts {
                requested,
                completed,
            },
            integrations: lock(&self.integrations).clone(),
            outbox: reader.outbox_counts()?,
        };
        // Numbers and words: there is nothing that JSON cannot say.
        Ok(serde_json::to_vec(&heartbeat).unwrap_or_default())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn unix_s() -> i64 {
    i64::try_from(unix_ms() / 1_000).unwrap_or(i64::MAX)
}

/// Holds a command until the writer has room. One too many is let go: it is not acknowledged, so
/// the broker keeps it and sends it again at the next connection.
fn hold<T>(held: &mut VecDeque<T>, command: T) {
    if held.len() < CONNECT_HELD_MAX {
        held.push_back(command);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fails without the bound, or if the newest pushes the oldest out: their order is kept.
    #[test]
    fn so_many_commands_are_held_and_no_more() {
        let mut held = VecDeque::new();
        (0..CONNECT_HELD_MAX + 3).for_each(|command| hold(&mut held, command));
        assert_eq!(held.len(), CONNECT_HELD_MAX);
        assert_eq!(held.front(), Some(&0));
        assert_eq!(held.back(), Some(&(CONNECT_HELD_MAX - 1)));
    }
}
