//! The one writer: a thread that owns the store, carries out every change, and publishes it
//! before it is acknowledged.
//!
//! - `check`: what a configuration says beyond its form
//! - `command`: what the writer is asked, and the queue to ask it
//! - `publish`: from the store's feed of changes to what is in force
//! - `gallery`: snapshots of the gallery, opened, rebuilt, erased; `fault`: one that is unreadable
//! - `carry_out`: what administrators ask for; `doors`: of doors, devices and rights
//! - `calibrate`: the decision threshold
//! - `people`: imports and withdrawals
//! - `console`: the console's team, sessions and settings
//! - `space`: how Space is reached, whom it names, who is gone from it
//! - `enrolment`: what Space asks for people
//! - `enrol_setup`, `invite`: what administrators ask of the Enrolment Service
//! - `service`: its mail and its clock; `asking`: another policy asks again
//! - `person`: what people ask by their link; `faces`: what devices and photos bring of them
//! - `records`: what goes into the audit
//! - `devices`: commissioning, renewal, signs of life; `leaving`: codes, decommissioning, resets
//! - `backup`: withdrawals are remembered; `address`: the server gets another address
//! - `certificates`: the site's own
//! - `connect`: Connect; `connect_commands`: what its broker asks; `updates`: of server and devices

mod address;
mod asking;
mod backup;
mod browsers;
mod calibrate;
mod carry_out;
mod certificates;
mod check;
mod command;
mod connect;
mod connect_commands;
mod console;
mod devices;
mod doors;
mod enrol_setup;
mod enrolment;
mod error;
mod faces;
pub mod fault;
mod gallery;
mod integrations;
mod invite;
mod leaving;
mod load;
mod people;
mod person;
mod publish;
mod records;
mod service;
#[cfg(test)]
mod simulated;
mod space;
#[cfg(test)]
mod tests;
mod updates;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use cardea_engine::Gallery;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};

use crate::admin::message::Response;
use crate::api::Completion;
use crate::audit::{Audit, AuditHandle, AuditReader};
use crate::completions::CompletionSender;
use crate::config::Config;
use crate::connect::firmware::Firmware;
use crate::metrics::events::UPKEEP_FAILED;
use crate::pki::SitePki;
use crate::secrets::Sealer;
use crate::site::{Site, moment};
use crate::space::{Journal, SpaceLink};
use crate::store::{DataDirectory, ImportId, SettingKey, Store};
use crate::tls::LiveTls;

use address::OwnAddress;
use backup::Export;
pub use calibrate::is_outgrown;
pub use check::check;
pub use command::{Asker, Command, Session, WriterHandle, queue};
use connect::ConnectSide;
pub use console::{ConsoleAsk, ConsoleChange};
pub use devices::DeviceSign;
pub use enrolment::{Enrolment, EnrolmentAsk};
pub use error::WriterError;
pub use faces::DeviceCapture;
use gallery::Snapshots;
pub use person::{PersonAnswer, PersonAsk, PersonCall};
use publish::Published;
use service::Service;
use space::SpaceEventsIn;

/// How often the writer looks after erasure, expired certificates and the feed.
const TICK: Duration = Duration::from_secs(1);

/// Everything that changes a site.
pub struct Writer {
    store: Store,
    directory: DataDirectory,
    audit: AuditReader,
    records: AuditHandle,
    /// When attempts past their time were last removed, Unix seconds.
    pruned_unix_s: i64,
    config: Config,
    sealer: Sealer,
    pki: SitePki,
    tls: Option<LiveTls>,
    /// Certificates are left alone until then, Unix seconds: the last try failed.
    certificates_pause_unix_s: i64,
    import: Option<(Session, ImportId)>,
    calibrating: calibrate::Calibrating,
    export: Export,
    own_address: OwnAddress,
    online: Option<Online>,
    /// The audit itself where no server holds it: what was noted is written when it is dropped.
    _audit_here: Option<Audit>,
}

/// What a writer has beside the store while a server runs.
struct Online {
    published: Published,
    snapshots: Snapshots,
    handle: WriterHandle,
    space: Option<SpaceLink>,
    journal: Journal,
    events: Option<SpaceEventsIn>,
    service: Service,
    connect: ConnectSide,
    since: Instant,
    /// A sync of this run is in the store.
    space_stored: bool,
    /// Answers that wait until a snapshot of this generation is in force.
    waiting: Vec<(u64, Sender<Response>, Response)>,
}

impl Writer {
    /// The writer of a site that no server runs: takes the data directory's lock.
    ///
    /// # Errors
    /// If the directory is no site's, is in use, or is damaged.
    pub fn offline(data: &Path) -> Result<Self, WriterError> {
        let directory = DataDirectory::of_site(data)?;
        let audit = Audit::open(&directory, moment(Instant::now()).unix_us)?;
        let mut writer = Self::open(directory, &audit)?;
        writer._audit_here = Some(audit);
        Ok(writer)
    }

    /// The writer of a locked data directory.
    ///
    /// # Errors
    /// If the directory is no site's, or is damaged.
    pub fn open(directory: DataDirectory, audit: &Audit) -> Result<Self, WriterError> {
        let data = directory.path();
        let config = Config::read(data).map_err(WriterError::Config)?;
        let mut store = Store::open(&directory)?;
        let sealer = Sealer::open(data)?;
        backup::remember_withdrawals(&mut store, &sealer)?;
        let pki = SitePki::open(data, &sealer)?;
        // Nobody waits for records of changes: the writer's own transaction is the change.
        let records = audit.handle(|_| {}, || {});
        let audit = audit.open_reader()?;
        Ok(Self {
            store,
            directory,
            audit,
            records,
            pruned_unix_s: 0,
            config,
            sealer,
            pki,
            tls: None,
            certificates_pause_unix_s: 0,
            import: None,
            calibrating: calibrate::Calibrating::default(),
            export: Export::default(),
            own_address: OwnAddress::default(),
            online: None,
            _audit_here: None,
        })
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Where the server listens in fact: commissioning codes carry its port.
    pub fn set_listen(&mut self, listen: SocketAddr) {
        self.config.listen = listen;
    }

    /// Where certificates that are new are put into force.
    pub fn set_tls(&mut self, tls: LiveTls) {
        self.tls = Some(tls);
    }

    /// What Connect works with beside the store: parts of firmware, and the text of `/metrics`.
    pub fn set_connect(&mut self, firmware: Firmware, metrics: Arc<ArcSwap<String>>) {
        if let Some(online) = &mut self.online {
            online.connect.firmware = Some(firmware);
            online.connect.metrics = Some(metrics);
        }
    }

    /// The site's certificates.
    #[must_use]
    pub fn pki(&self) -> &SitePki {
        &self.pki
    }

    /// Loads everything into memory, and the gallery, rebuilding it if need be.
    ///
    /// # Errors
    /// If store or gallery cannot be read or written.
    pub fn go_online(&mut self, handle: &WriterHandle) -> Result<Arc<Site>, WriterError> {
        self.store.reserve_log()?;
        let site = self.come_online(handle)?;
        site.set_backup_unix_s(self.backup_last()?);
        self.service_start()?;
        self.follow()?;
        Ok(site)
    }

    /// Starts the writer's thread. `loops` are told of devices that are removed.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn start(
        mut self,
        commands: Receiver<Command>,
        loops: Vec<CompletionSender<Completion>>,
    ) -> std::io::Result<JoinHandle<()>> {
        if let Some(online) = &mut self.online {
            online.published.set_loops(loops);
        }
        self.space_restart().map_err(std::io::Error::other)?;
        self.space_events_restart();
        self.connect_started().map_err(std::io::Error::other)?;
        thread::Builder::new()
            .name("writer".to_owned())
            .spawn(move || self.run(&commands))
    }

    fn run(&mut self, commands: &Receiver<Command>) {
        let mut next_tick = Instant::now() + TICK;
        loop {
            let left = next_tick.saturating_duration_since(Instant::now());
            match commands.recv_timeout(left) {
                Ok(Command::Stop) | Err(RecvTimeoutError::Disconnected) => return self.end(),
                Ok(command) => self.take(command),
                Err(RecvTimeoutError::Timeout) => {}
            }
            // Also when the queue is never empty: erasing must not wait for a quiet moment.
            if next_tick <= Instant::now() {
                next_tick = Instant::now() + TICK;
                if let Err(error) = self.tick()
                    && UPKEEP_FAILED.is_logged()
                {
                    tracing::error!(%error, "upkeep");
                }
            }
        }
    }

    fn take(&mut self, command: Command) {
        match command {
            Command::Administer {
                session,
                request,
                reply,
            } => {
                self.administer(session, None, request, reply);
            }
            Command::AdministerAs {
                actor,
                session,
                request,
                reply,
            } => self.administer(session, Some(&actor), *request, reply),
            Command::Console(ask) => self.console(ask),
            Command::SessionEnded(session) => self.session_ended(session),
            Command::Commission { token, csr, asker } => self.commission(&token, &csr, &asker),
            Command::Renew {
                device,
                shown,
                csr,
                asker,
            } => self.renew(device, shown, &csr, &asker),
            Command::Seen(signs) => self.seen(&signs),
            Command::GalleryDamaged => self.gallery_damaged(),
            Command::SnapshotWritten(written) => self.snapshot_written(written),
            Command::Reload => self.reload(),
            Command::Enrolment(enrolment) => self.enrolment(&enrolment),
            Command::DeviceCaptured(captured) => self.device_captured(*captured),
            Command::Person(call) => self.person_call(*call),
            Command::PhotoRead { person, faces } => self.photo_read(person, faces),
            Command::MailDone {
                person,
                token,
                tries,
                sent,
            } => self.mail_done(person, token, tries, sent),
            Command::SpaceSynced(snapshot) => {
                if let Err(error) = self.space_synced(&snapshot) {
                    tracing::error!(%error, "a sync with Space could not be stored");
                }
            }
            Command::Connect(news) => self.connect_news(*news),
            Command::Erased(erased) => {
                if let Some(online) = &mut self.online {
                    online.snapshots.erased(erased);
                }
            }
            // Who asked has a place for one answer, or has gone.
            Command::Alive(answer) => drop(answer.try_send(())),
            Command::Stop => unreachable!("taken by the loop"),
        }
    }

    /// Brings what is in force up to the store; a failure is fatal, because what cannot be
    /// published must not be acknowledged.
    fn follow(&mut self) -> Result<(), WriterError> {
        let Some(online) = &mut self.online else {
            return Ok(());
        };
        online.published.follow(self.store.read())?;
        if online.published.wants_snapshot() {
            let needed = online.published.in_force_with_snapshot().unwrap_or(0);
            online.snapshots.begin(&self.store, needed)?;
        }
        Ok(())
    }

    fn gallery_damaged(&mut self) {
        let Some(online) = &mut self.online else {
            return;
        };
        if let Err(error) = online.snapshots.begin(&self.store, 0) {
            tracing::error!(%error, "the gallery cannot be rebuilt");
        }
    }

    fn snapshot_written(&mut self, written: Result<Arc<Gallery>, WriterError>) {
        let Some(online) = &mut self.online else {
            return;
        };
        let result = online
            .snapshots
            .written(written, &mut online.published, &mut self.store);
        let in_force = online.published.in_force_with_snapshot();
        let waits = |generation: u64| in_force.is_some_and(|open| generation >= open);
        for (generation, reply, response) in std::mem::take(&mut online.waiting) {
            if waits(generation) && result.is_ok() {
                online.waiting.push((generation, reply, response));
                continue;
            }
            let answer = match &result {
                Ok(()) => response,
                Err(error) => Response::Error {
                    text: format!("stored, but not in force until the gallery is rebuilt: {error}"),
                },
            };
            let _ = reply.send(answer);
        }
        if let Err(error) = result {
            tracing::error!(%error, "snapshot");
        }
        if let Err(error) = self.follow() {
            tracing::error!(%error, "publishing");
        }
    }

    /// Takes certificates and what the configuration says now, but for what only a start can
    /// change: that stays as it is.
    fn reload(&mut self) {
        self.pki_reload();
        let read = Config::read(self.directory.path()).map_err(WriterError::Config);
        let restarted = read.and_then(|config| {
            space::timetables(&config.timetables)?;
            let fixed = |config: &Config| {
                (
                    config.address,
                    config.loops,
                    config.search_threads,
                    config.kernel.clone(),
                    config.latency_log_mib,
                )
            };
            if fixed(&config) != fixed(&self.config) {
                tracing::warn!(
                    "address, loops, search_threads, kernel and latency_log_mib take a restart"
                );
            }
            self.config = Config {
                address: self.config.address,
                listen: self.config.listen,
                loops: self.config.loops,
                search_threads: self.config.search_threads,
                kernel: self.config.kernel.clone(),
                latency_log_mib: self.config.latency_log_mib,
                ..config
            };
            if let Some(online) = &self.online {
                let deadline = Duration::from_millis(self.config.answer_deadline_ms);
                online.published.site().set_answer_deadline(deadline);
            }
            self.browsers_reload();
            self.space_events_restart();
            self.space_restart()
        });
        match restarted {
            Ok(()) => tracing::info!("configuration read again"),
            Err(error) => tracing::error!(%error, "the configuration stays as it was"),
        }
    }

    fn tick(&mut self) -> Result<(), WriterError> {
        self.devices_tick()?;
        self.leaving_tick()?;
        self.pki_tick();
        // A person who cannot be withdrawn now must not keep others from being erased.
        if let Err(error) = self.space_tick()
            && UPKEEP_FAILED.is_logged()
        {
            tracing::error!(%error, "withdrawing people who are gone from Space");
        }
        if let Err(error) = self.service_tick()
            && UPKEEP_FAILED.is_logged()
        {
            tracing::error!(%error, "invitations and captures");
        }
        if let Err(error) = self.import_taken_back()
            && UPKEEP_FAILED.is_logged()
        {
            tracing::warn!(%error, "an import is not taken back yet");
        }
        self.prune_audit();
        self.calibration_tick();
        self.address_tick();
        self.backup_tick();
        self.connect_tick();
        let Some(online) = &mut self.online else {
            return Ok(());
        };
        online.snapshots.tick(&mut self.store, &online.published)?;
        online
            .published
            .site()
            .set_erasure_pending(!online.snapshots.all_erased());
        self.follow()
    }

    fn end(&mut self) {
        if let Some((session, _)) = self.import {
            self.session_ended(session);
        }
        self.connect_stop();
        if let Some(online) = &mut self.online
            && let Some(link) = online.space.take()
        {
            link.stop();
        }
    }

    /// The set-up of an integration, sealed in the store as JSON.
    fn sealed_setup<T: serde::de::DeserializeOwned>(
        &self,
        key: SettingKey,
    ) -> Result<Option<T>, WriterError> {
        let Some(sealed) = self.store.read().setting(key)? else {
            return Ok(None);
        };
        let json = self.sealer.unseal(key.0, &sealed)?;
        let setup = serde_json::from_slice(&json);
        setup
            .map(Some)
            .map_err(|_| WriterError::BadSetting { key: key.0 })
    }

    fn setting<const N: usize>(&self, key: SettingKey) -> Result<[u8; N], WriterError> {
        let bad = WriterError::BadSetting { key: key.0 };
        let value = self.store.read().setting(key)?.unwrap_or_default();
        value.try_into().map_err(|_| bad)
    }
}
