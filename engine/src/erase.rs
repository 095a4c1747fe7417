//! Erasing: no byte of a retired snapshot stays in the data directory.
//!
//! Overwrites with zeros, brings them to the disk, then unlinks. What a flash disk or a
//! copy-on-write file system keeps beneath is the disk encryption's task.

use crate::Gallery;
use crate::disk::{self, DiskFile};
use crate::limits::SYNC_BYTES;
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// Zeros are written in pieces of this size.
const PIECE: usize = SYNC_BYTES as usize;

/// Why a retired gallery is not erased.
#[derive(Debug)]
pub enum EraseError {
    /// A search or a view still holds it; zeroing would change rows under it. Try again with what
    /// is given back.
    InUse(Arc<Gallery>),
    /// The operating system says no.
    Io(io::Error),
}

/// Erases the file of a gallery that nothing else holds any more.
pub fn retired(gallery: Arc<Gallery>) -> Result<(), EraseError> {
    let gallery = Arc::try_unwrap(gallery).map_err(EraseError::InUse)?;
    let path = gallery.path().to_owned();
    drop(gallery);
    file(&path).map_err(EraseError::Io)
}

/// Erases a file that nothing has mapped: a leftover of an earlier run.
pub fn file(path: &Path) -> io::Result<()> {
    let file = DiskFile::open(path)?;
    let zeros = vec![0; PIECE];
    let (mut at, end) = (0, file.length()?);
    while at < end {
        let piece = (end - at).min(PIECE as u64);
        file.write(&zeros[..piece as usize], at)?;
        at += piece;
    }
    file.sync()?;
    file.remove()?;
    disk::sync_folder(path)
}

/// Removes a file whose bytes are no secret, so that nobody waits for the disk meanwhile.
pub fn remove(path: &Path) -> io::Result<()> {
    DiskFile::open(path)?.remove()
}

impl fmt::Display for EraseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InUse(_) => f.write_str("the retired gallery is still in use"),
            Self::Io(source) => write!(f, "cannot erase the retired gallery: {source}"),
        }
    }
}

impl std::error::Error for EraseError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::{Step, steps_of};
    use crate::limits::CUT_BYTES;
    use std::fs::File;
    use std::io::Read;

    #[test]
    fn the_bytes_become_zeros_and_the_name_goes() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("old");
        std::fs::write(&path, vec![7u8; PIECE + 1234]).expect("written");
        // A handle from before sees what the disk holds after.
        let mut held = File::open(&path).expect("opened");
        file(&path).expect("erased");
        assert!(!path.exists());
        let mut left = Vec::new();
        held.read_to_end(&mut left).expect("read");
        assert!(left.len() == PIECE + 1234 && left.iter().all(|&byte| byte == 0));
    }

    /// Fails without the sync in `DiskFile::write`, or the cuts in `DiskFile::remove`: others wait
    /// for this disk meanwhile.
    #[test]
    fn a_long_file_goes_little_by_little() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("old");
        let length = 2 * CUT_BYTES + 1;
        std::fs::write(&path, vec![7u8; length as usize]).expect("written");
        let (erased, steps) = steps_of(None, || file(&path));
        erased.expect("erased");
        let mut unsynced = 0;
        let mut cuts = Vec::new();
        for step in steps {
            match step {
                Step::Write(_, _, bytes) => unsynced += bytes.len() as u64,
                Step::Sync(_) => unsynced = 0,
                Step::SetLength(_, length) => cuts.push(length),
                _ => {}
            }
            assert!(unsynced <= SYNC_BYTES);
        }
        assert_eq!(cuts, [CUT_BYTES + 1, 1]);
    }
}
