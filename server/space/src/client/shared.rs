//! What the client's threads share.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime};

use crossbeam_channel::Sender;

use super::{Notify, SyncStatus};
use crate::status::{Connection, Now, Probe, Status, Watch};
use crate::transport::Endpoint;

/// What all threads share.
pub(super) struct Shared {
    pub(super) endpoint: Endpoint,
    pub(super) notify: Arc<Notify>,
    pub(super) watch: Mutex<Watch>,
    /// The connection in `watch`, for those who must not wait.
    pub(super) connection: AtomicU8,
    pub(super) syncs: Mutex<SyncStatus>,
    pub(super) stopping: AtomicBool,
    pub(super) wake_monitor: Sender<()>,
    pub(super) wake_syncer: Sender<()>,
    pub(super) started: Instant,
}

impl Shared {
    pub(super) fn now(&self) -> Now {
        let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let unix_s = since_1970.map_or(0, |since| since.as_secs().cast_signed());
        Now {
            monotonic: self.started.elapsed(),
            unix_s,
        }
    }

    pub(super) fn watch(&self) -> MutexGuard<'_, Watch> {
        lock(&self.watch)
    }

    pub(super) fn connection(&self) -> Connection {
        match self.connection.load(Ordering::Acquire) {
            1 => Connection::Connected,
            2 => Connection::Unauthorized,
            3 => Connection::Disconnected,
            _ => Connection::NoStatus,
        }
    }

    pub(super) fn set_connection(&self, connection: Connection) {
        let number = match connection {
            Connection::NoStatus => 0,
            Connection::Connected => 1,
            Connection::Unauthorized => 2,
            Connection::Disconnected => 3,
        };
        self.connection.store(number, Ordering::Release);
    }

    /// Takes the end of a probe into the status; returns it if the connection changed.
    pub(super) fn probed(&self, probe: Probe, now: Now) -> Option<Status> {
        let mut watch = self.watch();
        let changed = watch.probed(probe, now);
        let status = watch.status().clone();
        drop(watch);
        self.set_connection(status.connection);
        changed.then_some(status)
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Something went wrong beside the monitor: it should look.
    pub(super) fn suspect(&self) {
        let now = self.now();
        self.watch().suspect(now);
        wake(&self.wake_monitor);
    }
}

/// A wake-up that is already waiting is enough.
pub(super) fn wake(sender: &Sender<()>) {
    let _ = sender.try_send(());
}

/// Nothing that is locked here is left half changed by a panic.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
