//! A gallery that could not be read through its map: the SIGBUS handler writes a line and ends the
//! process; the next start erases the file and writes another from the store.

use std::fs::{self, File, OpenOptions};
use std::io;

use cardea_engine::erase;

use super::WriterError;
use super::gallery;
use crate::store::DataDirectory;

/// What the handler writes to, in the data directory.
const REPORT: &str = "gallery.fault";

/// The file that the handler is to write to; what an earlier process wrote stays.
///
/// # Errors
/// Those of the file system.
pub fn report(directory: &DataDirectory) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options
        .create(true)
        .append(true)
        .open(directory.file(REPORT))
}

/// Erases all snapshots if a process before this one died of one. It cannot be trusted although
/// it may open: what opening reads is not what a search reads.
pub(super) fn unreadable_erased(directory: &DataDirectory) -> Result<bool, WriterError> {
    let report = match fs::read(directory.file(REPORT)) {
        Ok(report) => report,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error.into()),
    };
    let report = String::from_utf8_lossy(&report);
    let Some(last) = report.lines().next_back() else {
        return Ok(false);
    };
    tracing::error!(report = last, "gallery file: rebuilding");
    for path in gallery::files_of(directory)? {
        // A disk that cannot be read may refuse to be written as well: then at least its name goes.
        if let Err(error) = erase::file(&path) {
            tracing::warn!(%error, "a gallery file is removed without being erased");
            fs::remove_file(&path)?;
        }
    }
    Ok(true)
}

/// A new snapshot is there: what was reported is over.
pub(super) fn forgotten(directory: &DataDirectory) -> Result<(), WriterError> {
    let report = OpenOptions::new()
        .write(true)
        .open(directory.file(REPORT))?;
    report.set_len(0)?;
    Ok(report.sync_all()?)
}
