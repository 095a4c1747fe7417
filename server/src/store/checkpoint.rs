//! The thread that moves the write-ahead log into the database, so that writers do not wait.

use std::path::Path;
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, bounded};
use rusqlite::Connection;

use super::connection::open_checkpointer;
use super::error::StoreError;
use crate::limits::CHECKPOINT_ROWS;
use crate::metrics::events::CHECKPOINTS;

/// What a checkpoint left behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Checkpointed {
    /// A reader or writer was in the way.
    pub(crate) blocked: bool,
    /// Pages in the log.
    pub(crate) log_pages: i64,
    /// Pages of them that are in the database.
    pub(crate) done_pages: i64,
}

/// A background thread with a connection of its own; ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Checkpoints {
    ask: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
    rows: u64,
}

impl Checkpoints {
    /// Starts the thread for the database at `path`.
    pub(crate) fn start(path: &Path) -> Result<Self, StoreError> {
        let db = open_checkpointer(path)?;
        let (ask, asked) = bounded(1);
        let thread = std::thread::Builder::new()
            .name("checkpoint".into())
            .spawn(move || serve(&db, &asked))
            .map_err(|error| StoreError::io("starting a thread", &error))?;
        Ok(Self {
            ask: Some(ask),
            thread: Some(thread),
            rows: 0,
        })
    }

    /// Says that so many rows were written; asks for a checkpoint every so often.
    pub(crate) fn wrote(&mut self, rows: u64) {
        self.rows += rows;
        if self.rows >= CHECKPOINT_ROWS {
            self.rows = 0;
            // A full channel means that one is about to begin.
            if let Some(ask) = &self.ask {
                let _ = ask.try_send(());
            }
        }
    }
}

impl Drop for Checkpoints {
    fn drop(&mut self) {
        drop(self.ask.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Moves what can be moved without making anyone wait (`PASSIVE`), or all of it, emptying the
/// log's file (`TRUNCATE`).
pub(crate) fn checkpoint(db: &Connection, mode: &'static str) -> Result<Checkpointed, StoreError> {
    let row = db.query_row(&format!("PRAGMA main.wal_checkpoint({mode})"), [], |row| {
        Ok(Checkpointed {
            blocked: row.get::<_, i64>(0)? != 0,
            log_pages: row.get(1)?,
            done_pages: row.get(2)?,
        })
    })?;
    Ok(row)
}

fn serve(db: &Connection, asked: &Receiver<()>) {
    for () in asked {
        match checkpoint(db, "PASSIVE") {
            Ok(_) => drop(CHECKPOINTS.count()),
            Err(error) => tracing::warn!(%error, "checkpoint"),
        }
    }
}
