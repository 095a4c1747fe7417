//! Disk space set aside for withdrawals: a file that holds it, and is given up when it is needed.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::PathBuf;

use rustix::fs::{FallocateFlags, fallocate, statvfs};
use rustix::io::Errno;

use super::data_directory::DataDirectory;
use super::error::StoreError;

/// Bytes of a disk's sector in `st_blocks`.
const STAT_BLOCK_BYTES: u64 = 512;
/// What is not set aside again of a disk that is nearly full.
const RESERVE_MARGIN_BYTES: u64 = 256 << 10;

/// Space on the disk of the data directory that is held by a file.
#[derive(Debug)]
pub struct Reserve {
    path: PathBuf,
}

impl Reserve {
    /// A reserve by the name of its file; nothing is held yet, unless an earlier process left it.
    #[must_use]
    pub fn new(directory: &DataDirectory, name: &str) -> Self {
        Self {
            path: directory.file(name),
        }
    }

    /// Holds `bytes`, or gives back what is more. Returns false where the disk has not that much;
    /// what was held before is still held then.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn hold(&mut self, bytes: u64) -> Result<bool, StoreError> {
        let io = |error: std::io::Error| StoreError::io("reserving disk space", &error);
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&self.path)
            .map_err(io)?;
        let held = self.held_bytes();
        if held > bytes {
            file.set_len(bytes).map_err(io)?;
            return file.sync_all().map(|()| true).map_err(io);
        }
        // Asked first, because a failing `fallocate` takes all that is left before it gives up.
        if self.left_bytes()? < bytes - held {
            return Ok(false);
        }
        if bytes == 0 {
            return Ok(true);
        }
        match fallocate(&file, FallocateFlags::empty(), 0, bytes) {
            Ok(()) => file.sync_all().map(|()| true).map_err(io),
            Err(Errno::NOSPC | Errno::DQUOT) => {
                file.set_len(held).map_err(io)?;
                Ok(false)
            }
            Err(error) => Err(io(error.into())),
        }
    }

    /// Gives the space up: what needs it may take it now.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn release(&mut self) -> Result<(), StoreError> {
        match fs::remove_file(&self.path) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(StoreError::io("releasing disk space", &error)),
        }
    }

    /// What is held on the disk, in bytes.
    #[must_use]
    pub fn held_bytes(&self) -> u64 {
        fs::metadata(&self.path).map_or(0, |file| file.blocks() * STAT_BLOCK_BYTES)
    }

    /// Holds `bytes`, or as much of it as the disk still has.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub(super) fn hold_what_is_left(&mut self, bytes: u64) -> Result<(), StoreError> {
        if self.hold(bytes)? {
            return Ok(());
        }
        // The file system wants some of it for its own tables.
        let left = self.left_bytes()? + self.held_bytes();
        let mut bytes = bytes.min(left).saturating_sub(RESERVE_MARGIN_BYTES);
        while bytes >= RESERVE_MARGIN_BYTES && !self.hold(bytes)? {
            bytes /= 2;
        }
        Ok(())
    }

    fn left_bytes(&self) -> Result<u64, StoreError> {
        let folder = self.path.parent().unwrap_or(&self.path);
        let disk = statvfs(folder)
            .map_err(|error| StoreError::io("reserving disk space", &error.into()))?;
        Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn space_is_held_resized_and_given_up() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let directory = DataDirectory::lock(folder.path()).expect("lock");
        let mut reserve = Reserve::new(&directory, "reserve.test");
        assert_eq!(reserve.held_bytes(), 0);
        assert!(reserve.hold(8 << 20).expect("reserve"));
        let held = reserve.held_bytes();
        assert!((8 << 20..9 << 20).contains(&held), "held {held}");
        assert!(reserve.hold(1 << 20).expect("smaller"));
        let held = reserve.held_bytes();
        assert!((1 << 20..2 << 20).contains(&held), "held {held}");
        reserve.release().expect("release");
        assert_eq!(reserve.held_bytes(), 0);
        reserve.release().expect("twice");
    }

    #[test]
    fn more_than_the_disk_has_is_not_held() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let directory = DataDirectory::lock(folder.path()).expect("lock");
        let mut reserve = Reserve::new(&directory, "reserve.test");
        // Ten terabytes: below the largest file of ext4, above the disks that tests run on.
        assert!(!reserve.hold(10 << 40).expect("answered"));
    }
}
