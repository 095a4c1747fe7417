//! What the threads of a running server share.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use arc_swap::{ArcSwap, ArcSwapOption, Guard};
use cardea_engine::ModelId;
use cardea_space::client::OpenRequest;
use cardea_wire::Reason;

use crate::access::Moment;
use crate::authorise::{Authoriser, Authority, SpaceAuthoriser};
use crate::directory::{Device, Directory};
use crate::space::FaceKey;
use crate::work::Searched;

/// The site in force.
pub struct Site {
    /// The face model of its gallery.
    pub model: ModelId,
    /// View and threshold for searches; the writer publishes.
    pub searched: Arc<ArcSwap<Searched>>,
    answer_deadline_ms: AtomicU64,
    threshold_people: AtomicU64,
    directory: RwLock<Directory>,
    authoriser: ArcSwap<Authoriser>,
    face_key: ArcSwapOption<FaceKey>,
    ready: AtomicBool,
    stopping: AtomicBool,
    erasure_pending: AtomicBool,
}

impl Site {
    /// A site that is not ready yet.
    #[must_use]
    pub fn new(searched: Searched, directory: Directory, answer_deadline: Duration) -> Self {
        Self {
            model: searched.view.model(),
            searched: Arc::new(ArcSwap::from_pointee(searched)),
            answer_deadline_ms: AtomicU64::new(millis(answer_deadline)),
            threshold_people: AtomicU64::new(0),
            directory: RwLock::new(directory),
            authoriser: ArcSwap::from_pointee(Authoriser::default()),
            face_key: ArcSwapOption::empty(),
            ready: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
            erasure_pending: AtomicBool::new(false),
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
        key.as_ref().is_some_and(|key| key.admits(authorization))
    }

    /// From here on only this face-recognition key is taken, or none.
    pub fn set_face_key(&self, key: Option<FaceKey>) {
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
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Moment {
        now,
        unix_us: i64::try_from(since.as_micros()).unwrap_or(i64::MAX),
    }
}

/// Milliseconds since the Unix epoch by the server's clock, which may step: it decides nothing.
#[must_use]
pub fn unix_ms() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
