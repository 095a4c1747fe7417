//! What the threads of a running server share.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use arc_swap::{ArcSwap, ArcSwapOption, Guard};
use cardea_engine::ModelId;
use cardea_space::client::OpenRequest;
use cardea_wire::Reason;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::access::Moment;
use crate::authorise::{Authoriser, Authority, SpaceAuthoriser};
use crate::clock::Clock;
use crate::directory::{Device, Directory};
use crate::space::FaceKey;
use crate::work::Searched;

/// The site in force.
pub struct Site {
    /// The face model of its gallery.
    pub model: ModelId,
    /// View and threshold for searches; the writer publishes.
    pub searched: Arc<ArcSwap<Searched>>,
    /// How right the server's clock is.
    pub clock: Clock,
    answer_deadline_ms: AtomicU64,
    threshold_people: AtomicU64,
    directory: RwLock<Directory>,
    authoriser: ArcSwap<Authoriser>,
    face_key: ArcSwapOption<FaceKey>,
    ready: AtomicBool,
    stopping: AtomicBool,
    erasure_pending: AtomicBool,
    space_asked: AtomicBool,
    withdrawals_pending: AtomicBool,
    address_own: AtomicBool,
    moved_to: ArcSwapOption<IpAddr>,
    backup_unix_s: AtomicI64,
}

impl Site {
    /// A site that is not ready yet.
    #[must_use]
    pub fn new(searched: Searched, directory: Directory, answer_deadline: Duration) -> Self {
        Self {
            model: searched.view.model(),
            searched: Arc::new(ArcSwap::from_pointee(searched)),
            clock: Clock::default(),
            answer_deadline_ms: AtomicU64::new(millis(answer_deadline)),
            threshold_people: AtomicU64::new(0),
            directory: RwLock::new(directory),
            authoriser: ArcSwap::from_pointee(Authoriser::default()),
            face_key: ArcSwapOption::empty(),
            ready: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
            erasure_pending: AtomicBool::new(false),
            space_asked: AtomicBool::new(false),
            withdrawals_pending: AtomicBool::new(false),
            address_own: AtomicBool::new(true),
            moved_to: ArcSwapOption::empty(),
            backup_unix_s: AtomicI64::new(0),
        }
    }

    /// Who and what is in force now; held for a look-up only.
    pub fn directory(&self) -> RwLockReadGuard<'_, Directory> {
        // A writer that panicked half-way leaves a map that is whole: each change is one insertion
        // or removal, and removals come first.
        self.directory
            .read()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// For the one writer.
    pub fn directory_mut(&self) -> RwLockWriteGuard<'_, Directory> {
        self.directory
            .write()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// From a request's last byte to its answer at the latest.
    pub fn answer_deadline(&self) -> Duration {
        Duration::from_millis(self.answer_deadline_ms.load(Ordering::Relaxed))
    }

    /// Another one from here on.
    pub fn set_answer_deadline(&self, deadline: Duration) {
        self.answer_deadline_ms
            .store(millis(deadline), Ordering::Relaxed);
    }

    /// The number of people that the threshold was set for; 0 if it never was calibrated.
    pub fn threshold_people(&self) -> u64 {
        self.threshold_people.load(Ordering::Relaxed)
    }

    /// For the writer.
    pub fn set_threshold_people(&self, people: u64) {
        self.threshold_people.store(people, Ordering::Relaxed);
    }

    /// Who decides now.
    pub fn authoriser(&self) -> Guard<Arc<Authoriser>> {
        self.authoriser.load()
    }

    /// From here on this one decides.
    pub fn set_authoriser(&self, authoriser: Authoriser) {
        self.authoriser.store(Arc::new(authoriser));
    }

    /// Whether a request's `Authorization` is that of Space, by the key in force now.
    pub fn admits_space(&self, authorization: Option<&str>) -> bool {
        let key = self.face_key.load();
        let admits = key.as_ref().is_some_and(|key| key.admits(authorization));
        if admits {
            self.space_asked.store(true, Ordering::Relaxed);
        }
        admits
    }

    /// Whether Space has asked with the key in force since the server started or the key changed:
    /// then its Face recognition tab is right.
    pub fn space_asked(&self) -> bool {
        self.space_asked.load(Ordering::Relaxed)
    }

    /// From here on only this face-recognition key is taken, or none.
    pub fn set_face_key(&self, key: Option<FaceKey>) {
        self.space_asked.store(false, Ordering::Relaxed);
        self.face_key.store(key.map(Arc::new));
    }

    /// The last look before Space is asked to open.
    ///
    /// # Errors
    /// Why the person may not pass any more.
    pub fn still_permits(&self, person: u64, device: &Device) -> Result<(), Reason> {
        let (directory, authoriser) = (self.directory(), self.authoriser());
        let authority = Authority {
            directory: &directory,
            authoriser: &authoriser,
        };
        authority
            .permit(person, device, moment(Instant::now()).unix_s())
            .map(drop)
    }

    /// Has Space open a door; its answer comes to the loop that the ticket names.
    ///
    /// # Errors
    /// Why it will not be asked, in words.
    pub fn open(&self, request: OpenRequest) -> Result<(), String> {
        match &**self.authoriser() {
            Authoriser::Space(SpaceAuthoriser {
                client: Some(client),
                ..
            }) => client.open(request).map_err(|why| why.to_string()),
            Authoriser::Space(_) | Authoriser::Standalone => Err("Space is not set up".to_owned()),
        }
    }

    /// Whether requests can be served.
    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }

    /// Everything is loaded, checked and warm.
    pub fn set_ready(&self) {
        self.ready.store(true, Ordering::Release);
    }

    /// Whether the server answers what is in flight and takes nothing new.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Whether bytes of somebody withdrawn are still in some file of the data directory.
    pub fn is_erasure_pending(&self) -> bool {
        self.erasure_pending.load(Ordering::Acquire)
    }

    /// For the writer.
    pub fn set_erasure_pending(&self, pending: bool) {
        self.erasure_pending.store(pending, Ordering::Release);
    }

    /// Whether the list of withdrawals beside the backups lacks somebody.
    pub fn is_withdrawals_pending(&self) -> bool {
        self.withdrawals_pending.load(Ordering::Acquire)
    }

    /// For the writer.
    pub fn set_withdrawals_pending(&self, pending: bool) {
        self.withdrawals_pending.store(pending, Ordering::Release);
    }

    /// Whether the address that devices know is one of this machine's.
    pub fn is_address_own(&self) -> bool {
        self.address_own.load(Ordering::Acquire)
    }

    /// For the writer.
    pub fn set_address_own(&self, own: bool) {
        self.address_own.store(own, Ordering::Release);
    }

    /// The address that devices are told, if it is another than at the start.
    pub fn moved_to(&self) -> Option<IpAddr> {
        self.moved_to.load().as_ref().map(|address| **address)
    }

    /// For the writer.
    pub fn set_moved_to(&self, address: IpAddr) {
        self.moved_to.store(Some(Arc::new(address)));
    }

    /// How old the newest backup is, in seconds; none if there never was one.
    pub fn backup_age_s(&self) -> Option<u64> {
        let taken = self.backup_unix_s.load(Ordering::Acquire);
        let now = i64::try_from(unix_ms() / 1_000).unwrap_or(i64::MAX);
        (taken > 0).then(|| now.saturating_sub(taken).max(0).unsigned_abs())
    }

    /// For the writer: when the newest backup was taken, Unix seconds; 0 for never.
    pub fn set_backup_unix_s(&self, taken: i64) {
        self.backup_unix_s.store(taken, Ordering::Release);
    }

    /// No new access requests from here on.
    pub fn set_stopping(&self) {
        self.stopping.store(true, Ordering::Release);
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// An instant of the steady clock, named by the server's calendar.
#[must_use]
pub fn moment(now: Instant) -> Moment {
    let since = since_epoch();
    Moment {
        now,
        unix_us: i64::try_from(since.as_micros()).unwrap_or(i64::MAX),
    }
}

/// Milliseconds since the Unix epoch by the server's clock, which may step: it decides nothing.
#[must_use]
pub fn unix_ms() -> u64 {
    u64::try_from(since_epoch().as_millis()).unwrap_or(u64::MAX)
}

fn since_epoch() -> Duration {
    #[cfg(test)]
    if let Some(since) = crate::simulation::calendar() {
        return since;
    }
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

/// A moment for people: UTC, RFC 3339.
#[must_use]
pub fn rfc3339(unix_s: i64) -> String {
    OffsetDateTime::from_unix_timestamp(unix_s)
        .ok()
        .and_then(|moment| moment.format(&Rfc3339).ok())
        .unwrap_or_else(|| unix_s.to_string())
}
