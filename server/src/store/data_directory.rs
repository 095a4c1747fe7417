//! The data directory and the lock that keeps a second process out.

use std::fs::{self, File, OpenOptions, Permissions, TryLockError};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::error::StoreError;

const LOCK_FILE: &str = "lock";
const DIRECTORY_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;

/// The data directory, locked for this process while a clone of it lives.
#[derive(Debug, Clone)]
pub struct DataDirectory {
    path: PathBuf,
    _lock: Arc<File>,
}

impl DataDirectory {
    /// Takes the directory of a site that exists; one that does not is neither made nor touched.
    ///
    /// # Errors
    /// [`StoreError::NoSite`]; as [`Self::lock`].
    pub fn of_site(path: &Path) -> Result<Self, StoreError> {
        if !path.join(crate::config::FILE).exists() {
            let path = path.to_path_buf();
            return Err(StoreError::NoSite { path });
        }
        Self::lock(path)
    }

    /// Takes the directory for this process; makes it where there is none. It is then readable by
    /// its owner only.
    ///
    /// # Errors
    /// [`StoreError::InUse`] where another process has it; [`StoreError::Io`].
    pub fn lock(path: &Path) -> Result<Self, StoreError> {
        let io = |error: std::io::Error| StoreError::io("data directory", &error);
        fs::create_dir_all(path).map_err(io)?;
        fs::set_permissions(path, Permissions::from_mode(DIRECTORY_MODE)).map_err(io)?;
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(FILE_MODE)
            .open(path.join(LOCK_FILE))
            .map_err(io)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(StoreError::InUse {
                    process: holder(&mut lock),
                });
            }
            Err(TryLockError::Error(error)) => return Err(io(error)),
        }
        lock.set_len(0).map_err(io)?;
        // Only told to people: a full disk must not keep the server from starting.
        let _ = writeln!(lock, "{}", std::process::id());
        Ok(Self {
            path: path.to_path_buf(),
            _lock: Arc::new(lock),
        })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A file of the directory.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Makes names that were created, renamed or removed in the directory durable.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn sync(&self) -> Result<(), StoreError> {
        sync_directory(&self.path)
    }
}

/// Makes the names in a directory durable.
pub(crate) fn sync_directory(path: &Path) -> Result<(), StoreError> {
    File::open(path)
        .and_then(|directory| directory.sync_all())
        .map_err(|error| StoreError::io("syncing the data directory", &error))
}

/// Makes an empty file, readable by its owner only, unless it is there.
pub(crate) fn create_private(path: &Path) -> Result<(), StoreError> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(FILE_MODE)
        .open(path)
        .map(drop)
        .map_err(|error| StoreError::io("creating the database", &error))
}

fn holder(lock: &mut File) -> Option<u32> {
    let mut text = String::new();
    lock.take(16).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_holder_is_refused_and_told_who_has_it() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let first = DataDirectory::lock(folder.path()).expect("first lock");
        let clone = first.clone();
        let refused = DataDirectory::lock(folder.path());
        let process = Some(std::process::id());
        assert_eq!(refused.err(), Some(StoreError::InUse { process }));
        drop(first);
        assert!(DataDirectory::lock(folder.path()).is_err(), "a clone lives");
        drop(clone);
        DataDirectory::lock(folder.path()).expect("free again");
    }

    #[test]
    fn only_the_owner_reads_the_directory() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = folder.path().join("inner");
        let _held = DataDirectory::lock(&path).expect("lock");
        let mode = |path: &Path| fs::metadata(path).expect("metadata").permissions().mode();
        assert_eq!(mode(&path) & 0o777, 0o700);
        assert_eq!(mode(&path.join(LOCK_FILE)) & 0o777, 0o600);
    }
}
