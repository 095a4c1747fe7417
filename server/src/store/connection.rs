//! Connections to SQLite, as the store and the audit want them.

use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::data_directory::create_private;
use super::error::StoreError;
use crate::limits::{LOCK_WAIT_MS, LOG_BYTES_MAX, STATEMENTS_MAX, STORE_CACHE_KIB};

/// Opens the connection that writes; the file is made where there is none.
pub(crate) fn open_writer(path: &Path, page_bytes: u32) -> Result<Connection, StoreError> {
    create_private(path)?;
    let db = open(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    db.pragma_update(None, "page_size", page_bytes)?;
    let mode: String = db.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    if mode != "wal" {
        return Err(StoreError::Damaged {
            what: "no write-ahead log",
        });
    }
    db.pragma_update(None, "synchronous", "FULL")?;
    let secure: i64 = db.pragma_update_and_check(None, "secure_delete", "ON", |row| row.get(0))?;
    assert!(secure == 1, "secure_delete is on");
    db.pragma_update(None, "foreign_keys", "ON")?;
    // The usual checkpoints have a connection of their own; this one bounds the log without it.
    let pages = LOG_BYTES_MAX / u64::from(page_bytes);
    let pages = i64::try_from(pages).unwrap_or(i64::MAX);
    db.pragma_update_and_check(None, "wal_autocheckpoint", pages, |_| Ok(()))?;
    // A log that grew past it under a long read is cut back to it when it begins anew.
    let bytes = i64::try_from(LOG_BYTES_MAX).unwrap_or(i64::MAX);
    db.pragma_update_and_check(None, "journal_size_limit", bytes, |_| Ok(()))?;
    Ok(db)
}

/// Opens a connection that reads while the other writes.
pub(crate) fn open_reader(path: &Path) -> Result<Connection, StoreError> {
    let db = open(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    db.pragma_update(None, "query_only", "ON")?;
    Ok(db)
}

/// Opens a connection that checkpoints.
pub(crate) fn open_checkpointer(path: &Path) -> Result<Connection, StoreError> {
    let db = open(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    db.pragma_update(None, "synchronous", "FULL")?;
    Ok(db)
}

/// One write transaction: committed if `body` succeeds, else as if nothing had been.
pub(crate) fn write<T>(
    db: &mut Connection,
    body: impl FnOnce(&Connection) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let out = body(&transaction)?;
    transaction.commit()?;
    Ok(out)
}

fn open(path: &Path, access: OpenFlags) -> Result<Connection, StoreError> {
    let flags = access | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags)?;
    db.busy_timeout(Duration::from_millis(LOCK_WAIT_MS))?;
    db.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DML, false)?;
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DDL, false)?;
    // A page is checked when it is read, and nothing is written to a temporary file.
    db.pragma_update(None, "cell_size_check", "ON")?;
    db.pragma_update(None, "temp_store", "MEMORY")?;
    db.pragma_update(None, "mmap_size", 0)?;
    db.pragma_update(None, "cache_size", -i64::from(STORE_CACHE_KIB))?;
    Ok(db)
}
