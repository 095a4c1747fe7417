//! Of the shared state of a site, what publishing touches.

use std::sync::Arc;
use std::time::Duration;

use shuttle::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::directory::Directory;
use crate::sync::ArcSwap;
use crate::work::Searched;

pub(crate) use cardea::site::unix_ms;

/// View, and directory behind a lock.
pub(crate) struct Site {
    pub(crate) searched: Arc<ArcSwap<Searched>>,
    directory: RwLock<Directory>,
}

impl Site {
    pub(crate) fn new(searched: Searched, directory: Directory, _: Duration) -> Self {
        Self {
            searched: Arc::new(ArcSwap::from_pointee(searched)),
            directory: RwLock::new(directory),
        }
    }

    pub(crate) fn directory(&self) -> RwLockReadGuard<'_, Directory> {
        self.directory.read().expect("nobody panics with it")
    }

    pub(crate) fn directory_mut(&self) -> RwLockWriteGuard<'_, Directory> {
        self.directory.write().expect("nobody panics with it")
    }
}
