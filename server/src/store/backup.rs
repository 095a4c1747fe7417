//! A copy of the store while it is in use.

use std::fs::File;
use std::path::Path;

use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};

use super::data_directory::{create_private, sync_directory};
use super::error::StoreError;
use super::reader::Reader;

impl Reader {
    /// Copies the store to a file that does not exist yet, durable on return. Give it a reader of
    /// its own: writers go on meanwhile, and the copy is of one generation. The copy has a lineage
    /// of its own, so that no gallery is taken for its own by a like generation.
    ///
    /// # Errors
    /// [`StoreError::FileExists`]; those of files and of a read. What was copied is removed then.
    pub fn backup_to(&self, path: &Path) -> Result<(), StoreError> {
        copy_database(&self.db, path, |copy| {
            copy.execute("UPDATE site SET lineage = randomblob(16)", [])?;
            Ok(())
        })
    }
}

/// Copies a database to a file that does not exist yet, and lets `finish` change the copy.
pub(crate) fn copy_database(
    db: &Connection,
    path: &Path,
    finish: impl FnOnce(&Connection) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    if path.exists() {
        return Err(StoreError::FileExists);
    }
    let copied = copy_to(db, path, finish);
    if copied.is_err() {
        let _ = std::fs::remove_file(path);
    }
    copied
}

fn copy_to(
    db: &Connection,
    path: &Path,
    finish: impl FnOnce(&Connection) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    create_private(path)?;
    let mut copy = Connection::open(path)?;
    {
        // All pages in one step, so within one read: a step between two changes by another
        // connection would begin again, for ever on a busy site.
        let backup = Backup::new(db, &mut copy)?;
        if backup.step(-1)? != StepResult::Done {
            return Err(StoreError::Busy);
        }
    }
    // One file, without a log beside it.
    copy.pragma_update_and_check(None, "journal_mode", "DELETE", |_| Ok(()))?;
    finish(&copy)?;
    drop(copy);
    File::open(path)
        .and_then(|file| file.sync_all())
        .map_err(|error| StoreError::io("syncing the backup", &error))?;
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => sync_directory(folder),
        _ => sync_directory(Path::new(".")),
    }
}
