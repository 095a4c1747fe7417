//! In the place of the server's `sync`: the scheduler sees every step.

use std::sync::Arc;

use shuttle::sync::Mutex;

pub(crate) use shuttle::sync::atomic;
pub(crate) use shuttle::thread;

pub(crate) mod channel;

/// A pointer that is published as a whole. Like the real one, `store` and `load` are one step each.
pub(crate) struct ArcSwap<T>(Mutex<Arc<T>>);

impl<T> ArcSwap<T> {
    pub(crate) fn from_pointee(value: T) -> Self {
        Self(Mutex::new(Arc::new(value)))
    }

    pub(crate) fn load(&self) -> Arc<T> {
        self.load_full()
    }

    pub(crate) fn load_full(&self) -> Arc<T> {
        Arc::clone(&self.0.lock().expect("nobody panics with it"))
    }

    pub(crate) fn store(&self, value: Arc<T>) {
        *self.0.lock().expect("nobody panics with it") = value;
    }
}
