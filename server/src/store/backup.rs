//! A copy of the store while it is in use.

use std::fs::File;
use std::path::Path;

use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};

use super::connection::open_reader;
use super::data_directory::{create_private, sync_directory};
use super::error::StoreError;
use super::id::number;
use super::reader::Reader;
use crate::limits::BACKUP_STEP_PAGES;

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

impl Reader {
    /// Opens the store of a directory that another process, or this one, may be writing to.
    ///
    /// # Errors
    /// [`StoreError`] of opening a database.
    pub fn open_beside(data: &Path) -> Result<Self, StoreError> {
        Ok(Self::new(open_reader(&data.join(super::DATABASE))?))
    }
}

/// Copies a database that is in use to a file that does not exist yet, piece by piece, all of one
/// moment: `pause` is called after each with its bytes, and may take its time. A copy of the store
/// gets a lineage of its own, and its generation is returned; else 0. The copy is for packing: it
/// need not outlive a crash.
///
/// # Errors
/// [`StoreError::FileExists`]; those of files and of a read. What was copied is removed then.
pub(crate) fn copy_beside(
    source: &Path,
    path: &Path,
    is_store: bool,
    pause: impl FnMut(u64),
) -> Result<u64, StoreError> {
    if path.exists() {
        return Err(StoreError::FileExists);
    }
    let db = open_reader(source)?;
    let copied = copy_slowly(&db, path, is_store, pause);
    if copied.is_err() {
        let _ = std::fs::remove_file(path);
    }
    copied
}

fn copy_slowly(
    db: &Connection,
    path: &Path,
    is_store: bool,
    mut pause: impl FnMut(u64),
) -> Result<u64, StoreError> {
    create_private(path)?;
    // Closed after the connection: to close a file is to drop all locks that its process has on it.
    let file = File::open(path).map_err(|error| StoreError::io("opening the copy", &error))?;
    let mut copy = Connection::open(path)?;
    copy.pragma_update(None, "synchronous", "OFF")?;
    // A read that lasts from before the first step to after the last: within it the source does
    // not change, and no step begins anew however busy the site is.
    let _one_moment = db.unchecked_transaction()?;
    db.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
    let page_bytes: u64 =
        db.pragma_query_value(None, "page_size", |row| Ok(number(row.get(0)?)))?;
    {
        let backup = Backup::new(db, &mut copy)?;
        loop {
            let step = backup.step(BACKUP_STEP_PAGES)?;
            // Little by little: the record of an attempt waits for what is not on the disk yet.
            file.sync_data()
                .map_err(|error| StoreError::io("syncing the copy", &error))?;
            pause(page_bytes * BACKUP_STEP_PAGES as u64);
            match step {
                StepResult::Done => break,
                StepResult::More => {}
                _ => return Err(StoreError::Busy),
            }
        }
    }
    copy.pragma_update_and_check(None, "journal_mode", "DELETE", |_| Ok(()))?;
    if !is_store {
        return Ok(0);
    }
    copy.execute("UPDATE site SET lineage = randomblob(16)", [])?;
    let generation = copy.query_row("SELECT generation FROM site", [], |row| row.get(0))?;
    Ok(number(generation))
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
