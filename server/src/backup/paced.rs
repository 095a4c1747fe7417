//! Reading and writing slowly: a backup keeps the disk for those who wait for it.

use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::os::unix::fs::FileExt as _;
use std::time::{Duration, Instant};

use cardea_engine::limits::SYNC_BYTES;

use crate::limits::BACKUP_BYTES_PER_S;

/// So many bytes a second on average.
pub(super) struct Pace {
    began: Instant,
    bytes: u64,
}

impl Pace {
    pub(super) fn new() -> Self {
        Self {
            began: Instant::now(),
            bytes: 0,
        }
    }

    pub(super) fn spend(&mut self, bytes: u64) {
        self.bytes += bytes;
        if let Some(rest) = due(self.bytes).checked_sub(self.began.elapsed()) {
            std::thread::sleep(rest);
        }
    }
}

/// How long so many bytes take at the pace.
fn due(bytes: u64) -> Duration {
    Duration::from_micros(bytes.saturating_mul(1_000_000) / BACKUP_BYTES_PER_S)
}

/// A file that is written at the pace, and never has many bytes that are not on the disk yet, which
/// the audit's next sync would have to wait for.
pub(super) struct Paced {
    pub(super) file: File,
    pace: Pace,
    /// Where it is noted how long the file is on the disk for sure.
    note: Option<File>,
    length: u64,
}

impl Paced {
    /// Goes on behind `length` bytes; after each sync the length is noted in `note`, 8 bytes.
    pub(super) fn new(file: File, length: u64, note: Option<File>) -> Self {
        Self {
            file,
            pace: Pace::new(),
            note,
            length,
        }
    }
}

impl Write for Paced {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        let before = self.length;
        self.length += written as u64;
        self.pace.spend(written as u64);
        if before / SYNC_BYTES != self.length / SYNC_BYTES {
            self.file.sync_data()?;
            if let Some(note) = &self.note {
                note.write_all_at(&self.length.to_le_bytes(), 0)?;
            }
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// A file that is read at the pace, in large pieces.
pub(super) fn reader(file: File) -> impl Read {
    let pace = Pace::new();
    BufReader::with_capacity(1 << 17, PacedReader { file, pace })
}

struct PacedReader {
    file: File,
    pace: Pace,
}

impl Read for PacedReader {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(to)?;
        self.pace.spend(read as u64);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// Fails if the pace is in other units.
    #[test]
    fn a_second_is_a_seconds_worth_of_bytes() {
        assert_eq!(due(BACKUP_BYTES_PER_S), Duration::from_secs(1));
        assert_eq!(due(0), Duration::ZERO);
    }

    /// Fails if more is noted than is on the disk, or nothing is.
    #[test]
    fn what_is_noted_is_the_length_at_the_last_sync() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let make = |name: &str| File::create_new(folder.path().join(name)).expect("new");
        let mut paced = Paced::new(make("file"), 0, Some(make("note")));
        let noted = || fs::read(folder.path().join("note")).expect("there");
        paced.write_all(&[1]).expect("written");
        assert!(noted().is_empty());
        let most = SYNC_BYTES as usize;
        paced.write_all(&vec![1; most]).expect("written");
        assert_eq!(noted(), (SYNC_BYTES + 1).to_le_bytes());
    }
}
