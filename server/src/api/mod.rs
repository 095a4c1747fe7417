//! What the server does with a whole request: one [`Api`] per event loop.
//!
//! - `route`: which path is whose
//! - `access`: an access request through its state machine, [`crate::access`]
//! - `attempts`: those that are taken and not answered
//! - `device`: heartbeats, commissioning and renewal
//! - `enrol`: what a device captured of somebody who is to be enrolled
//! - `space`: what Space asks of this server
//! - `console`: what browsers ask, passed on to the console's threads
//! - `status`: `/health`, `/ready`, `/metrics`
//! - `refusal`: the HTTP status of each reason

mod access;
mod attempts;
mod console;
mod device;
mod enrol;
mod refusal;
mod route;
#[cfg(test)]
mod simulated;
mod space;
mod status;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;
use cardea_wire::{Kind, Reason, RequestId};
use crossbeam_channel::Sender;

use crate::audit::{self, AuditHandle};
use crate::completions::{CompletionSender, Completions};
use crate::connect::firmware::Firmware;
use crate::console::ConsoleHandle;
use crate::directory::Device;
use crate::metrics::{Handover, INTERVAL, Interval};
use crate::net::{ExchangeId, Peer, Replies, Request, Response, Service};
use crate::site::{Site, unix_ms};
use crate::work::{SearchDone, WorkQueue};
use crate::writer::WriterHandle;

pub use attempts::DeviceLoads;
pub(crate) use attempts::loop_of;
use attempts::{ATTEMPTS_WARM, Attempts};
pub(crate) use refusal::{refuse, response as device_response};
pub(crate) use space::error as space_error;

use device::Seen;
use route::Route;

/// What other threads send to a loop.
pub enum Completion {
    /// A search has ended.
    Searched(SearchDone),
    /// An attempt is in the audit, or cannot be.
    Recorded(audit::Completion),
    /// The writer, or a console thread, has answered for an exchange.
    Served {
        /// The exchange.
        exchange: ExchangeId,
        /// The answer.
        response: Response,
    },
    /// Space has opened a door, or not.
    Opened(cardea_space::client::Completion),
    /// A device was removed: its connections close.
    CloseDevice([u8; 32]),
    /// Is this loop alive?
    Alive(Sender<()>),
}

impl From<SearchDone> for Completion {
    fn from(done: SearchDone) -> Self {
        Self::Searched(done)
    }
}

/// What an [`Api`] works with.
pub struct Parts {
    /// Which loop this is, from 0.
    pub loop_number: u16,
    /// The site.
    pub site: Arc<Site>,
    /// Searches.
    pub work: WorkQueue<Completion>,
    /// The audit.
    pub audit: AuditHandle,
    /// Changes.
    pub writer: WriterHandle,
    /// Browsers' requests.
    pub console: ConsoleHandle,
    /// Results of other threads.
    pub completions: Completions<Completion>,
    /// Where latency goes.
    pub handover: Handover,
    /// The text of `/metrics`.
    pub metrics: Arc<ArcSwap<String>>,
    /// Firmware for devices.
    pub firmware: Firmware,
    /// What each device has in flight, at all loops.
    pub loads: DeviceLoads,
}

/// The service of one event loop.
pub struct Api {
    site: Arc<Site>,
    work: WorkQueue<Completion>,
    audit: AuditHandle,
    writer: WriterHandle,
    console: ConsoleHandle,
    completions: Completions<Completion>,
    /// Empty but while they are looked at.
    completed: Vec<Completion>,
    done: CompletionSender<Completion>,
    attempts: Attempts,
    exchanges: HashMap<ExchangeId, access::Exchange>,
    seen: Seen,
    interval: Box<Interval>,
    handover: Handover,
    handover_due: Option<Instant>,
    metrics: Arc<ArcSwap<String>>,
    firmware: Firmware,
}

impl Api {
    /// The service of a loop that `parts.completions` wakes.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self {
            done: parts.completions.sender(),
            site: parts.site,
            work: parts.work,
            audit: parts.audit,
            writer: parts.writer,
            console: parts.console,
            completions: parts.completions,
            completed: Vec::new(),
            attempts: Attempts::new(parts.loop_number, parts.loads),
            exchanges: HashMap::with_capacity(ATTEMPTS_WARM),
            seen: Seen::default(),
            interval: Box::default(),
            handover: parts.handover,
            handover_due: None,
            metrics: parts.metrics,
            firmware: parts.firmware,
        }
    }

    /// The device that a connection's certificate belongs to, as things stand now.
    fn device(&self, peer: &Peer) -> Result<Arc<Device>, Reason> {
        let certificate = peer.certificate.as_ref().ok_or(Reason::NoCertificate)?;
        let directory = self.site.directory();
        let device = directory.device(&certificate.fingerprint);
        // The handshake looks at the end too; an open connection or a resumed session has none.
        let now_unix_s = i64::try_from(unix_ms() / 1_000).unwrap_or(i64::MAX);
        let in_force = device.filter(|device| now_unix_s <= device.not_after_unix_s);
        in_force.cloned().ok_or(Reason::UnknownDevice)
    }

    /// Something was counted or recorded: it is handed over within the interval.
    fn recorded_something(&mut self, now: Instant) {
        self.handover_due.get_or_insert(now + INTERVAL);
    }

    fn hand_over(&mut self, now: Instant) {
        if self.handover_due.is_some_and(|due| due <= now) {
            self.handover_due = None;
            self.handover.hand_over(&mut self.interval);
            self.seen.flush(&self.writer);
        }
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        self.handover.hand_over(&mut self.interval);
        self.seen.flush(&self.writer);
    }
}

impl Service for Api {
    fn request(
        &mut self,
        id: ExchangeId,
        peer: &Peer,
        request: Request,
        now: Instant,
        replies: &mut Replies,
    ) {
        self.recorded_something(now);
        match route::find(request.method, request.path()) {
            Ok(Route::Access) => {
                self.access(id, peer, &request, now, replies);
                replies.give_back(request.body);
            }
            Ok(Route::Heartbeat) => replies.push(id, self.heartbeat(peer, &request)),
            Ok(Route::Commission) => self.commission(id, &request, replies),
            Ok(Route::Renew) => self.renew(id, peer, &request, replies),
            Ok(Route::Enrol) => self.enrol(id, peer, &request, replies),
            Ok(Route::Space) => self.space(id, &request, replies),
            Ok(Route::Firmware) => self.firmware(id, peer, &request, replies),
            Ok(Route::SpaceOpenApi) => replies.push(id, space::openapi()),
            Ok(Route::Console) => self.console(id, peer, request, replies),
            Ok(Route::Health) => replies.push(id, status::health(&self.site)),
            Ok(Route::Ready) => replies.push(id, status::ready(&self.site)),
            Ok(Route::Metrics) => replies.push(id, status::metrics(peer, &self.metrics)),
            Err(response) => replies.push(id, response),
        }
    }

    fn wake(&mut self, now: Instant, replies: &mut Replies) {
        self.recorded_something(now);
        // A loop that was held up finds results of attempts whose time is over: no grant is left.
        self.expire_attempts(now, replies);
        // Taken out first: what one completion starts may complete at once.
        let mut completed = std::mem::take(&mut self.completed);
        completed.extend(self.completions.drain());
        for completion in completed.drain(..) {
            match completion {
                Completion::Searched(done) => self.searched(done, now, replies),
                Completion::Recorded(done) => {
                    self.recorded(done.ticket, &done.recorded, now, replies);
                }
                Completion::Opened(done) => self.opened(&done, now, replies),
                Completion::Served { exchange, response } => replies.push(exchange, response),
                Completion::CloseDevice(fingerprint) => replies.close_device(fingerprint),
                // Who asked has a place for one answer, or has gone.
                Completion::Alive(answer) => drop(answer.try_send(())),
            }
        }
        self.completed = completed;
    }

    fn next_deadline(&self) -> Option<Instant> {
        [self.attempts.next_deadline(), self.handover_due]
            .into_iter()
            .flatten()
            .min()
    }

    fn expire(&mut self, now: Instant, replies: &mut Replies) {
        self.expire_attempts(now, replies);
        self.hand_over(now);
    }

    fn sent(&mut self, id: ExchangeId, now: Instant) {
        self.reply_sent(id, now);
    }

    fn gone(&mut self, id: ExchangeId) {
        self.peer_gone(id);
    }
}

/// The request's own name and kind, as far as the bytes can be read.
fn name_of(body: &[u8], kind: Kind) -> (Kind, RequestId) {
    let id = cardea_wire::Head::parse(body).map_or(RequestId::default(), |head| head.request_id);
    (kind, id)
}
