//! Snapshots of the gallery: opened at start or rebuilt from the store, written in the background,
//! and the one before erased once no search holds it.
//!
//! A file is named after the store's history, the generation it holds and the moment it was
//! begun, so that no name is ever used twice; all but the newest are leftovers.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use cardea_engine::gallery::{Writer as GalleryWriter, file_len};
use cardea_engine::{Gallery, ModelId, Threshold, erase};

use super::error::WriterError;
use super::publish::{Published, row};
use super::{Command, WriterHandle};
use crate::metrics::events::SNAPSHOTS;
use crate::site::unix_ms;
use crate::store::{DataDirectory, LogErased, Reader, ReferenceId, Reserve, Store};

/// The folder in the data directory.
const FOLDER: &str = "gallery";
/// Space on the disk for the next snapshot.
const RESERVE: &str = "reserve.gallery";
/// Rows that a site may grow by before the reserve is measured anew.
const RESERVE_ROWS_BEYOND: u64 = 4_096;

/// The files, and what is under way.
pub(super) struct Snapshots {
    folder: PathBuf,
    lineage: [u8; 16],
    model: ModelId,
    threshold: Threshold,
    handle: WriterHandle,
    reserve: Reserve,
    /// A snapshot is being written; it holds at least this generation.
    writing: Option<u64>,
    again: bool,
    retired: Vec<Arc<Gallery>>,
    /// Files that a thread is erasing.
    erasing: usize,
    /// Withdrawn embeddings are still in the snapshot: write one without them by then.
    erase_by: Option<Instant>,
    /// They may still be in the store's log.
    log_dirty: bool,
    /// Where in the snapshot the next tick looks whether it is still as it was.
    recheck_from: u64,
}

impl Snapshots {
    pub(super) fn new(
        store: &Store,
        directory: &DataDirectory,
        (model, threshold): (ModelId, Threshold),
        handle: WriterHandle,
    ) -> Result<Self, WriterError> {
        let folder = directory.file(FOLDER);
        fs::create_dir_all(&folder)?;
        Ok(Self {
            folder,
            lineage: store.read().lineage()?,
            model,
            threshold,
            handle,
            reserve: Reserve::new(directory, RESERVE),
            writing: None,
            again: false,
            retired: Vec::new(),
            erasing: 0,
            erase_by: None,
            // A process before this one may have died between a withdrawal and its erasure.
            log_dirty: true,
            recheck_from: 0,
        })
    }

    /// The next snapshot is planned for this threshold.
    pub(super) fn set_threshold(&mut self, threshold: Threshold) {
        self.threshold = threshold;
    }

    /// Opens the newest sound snapshot of this store, or writes one; erases what is left over.
    pub(super) fn open_or_rebuild(&mut self, store: &Store) -> Result<Arc<Gallery>, WriterError> {
        let generation = store.read().generation()?;
        let mut found = None;
        for path in self.files()? {
            if found.is_none() && self.is_ours(&path) {
                match Gallery::open(&path) {
                    Ok(gallery)
                        if gallery.model() == self.model && gallery.generation() <= generation =>
                    {
                        found = Some(Arc::new(gallery));
                        continue;
                    }
                    Ok(_) => {}
                    Err(error) => tracing::error!(%error, "gallery file: rebuilding"),
                }
            }
            erase::file(&path)?;
        }
        let gallery = match found {
            Some(gallery) if store.read().changes_since(gallery.generation()).is_ok() => gallery,
            stale => {
                // The feed no longer reaches it: it may hold who has been withdrawn since.
                if let Some(stale) = stale {
                    let path = stale.path().to_owned();
                    drop(stale);
                    erase::file(&path)?;
                }
                let written = write(
                    store.read(),
                    &self.folder,
                    &self.lineage,
                    (self.model, self.threshold),
                )?;
                Arc::new(written)
            }
        };
        self.hold_reserve(gallery.rows());
        // Withdrawals that a process before this one did not live to erase.
        if gallery.generation() < generation {
            self.erase_by = Some(Instant::now());
        }
        Ok(gallery)
    }

    /// Begins to write a snapshot that holds generation `needed`; if the one under way does not,
    /// another is to follow it.
    pub(super) fn begin(&mut self, store: &Store, needed: u64) -> Result<(), WriterError> {
        if let Some(begun) = self.writing {
            self.again |= begun < needed;
            return Ok(());
        }
        let generation = store.read().generation()?;
        let reader = store.open_reader()?;
        self.reserve.release()?;
        let (folder, lineage) = (self.folder.clone(), self.lineage);
        let kind = (self.model, self.threshold);
        let handle = self.handle.clone();
        thread::Builder::new()
            .name("snapshot".to_owned())
            .spawn(move || {
                let written = write(&reader, &folder, &lineage, kind).map(Arc::new);
                // A writer that has ended will find the file at the next start.
                let _ = handle.send(Command::SnapshotWritten(written));
            })?;
        self.writing = Some(generation);
        Ok(())
    }

    /// Takes a snapshot into force.
    pub(super) fn written(
        &mut self,
        written: Result<Arc<Gallery>, WriterError>,
        published: &mut Published,
        store: &mut Store,
    ) -> Result<(), WriterError> {
        self.writing = None;
        let gallery = match written {
            Ok(gallery) => gallery,
            Err(error) => {
                // The space stays set aside for the next try.
                self.hold_reserve(published.view().rows());
                return Err(error);
            }
        };
        SNAPSHOTS.count();
        // Nobody follows the feed from further back than this.
        store.changes_trim(gallery.generation())?;
        self.hold_reserve(gallery.rows());
        tracing::info!(
            rows = gallery.rows(),
            generation = gallery.generation(),
            plan = gallery
                .prediction(self.threshold)
                .map(|plan| plan.to_string()),
            "snapshot in force"
        );
        self.retired.extend(published.swap(gallery)?);
        Ok(())
    }

    /// A person was withdrawn: their embeddings are to be gone from every file within `period`.
    pub(super) fn erase_within(&mut self, period: Duration) {
        // Half of it for waiting, so that withdrawals share a snapshot; half for writing it.
        self.erase_by.get_or_insert(Instant::now() + period / 2);
        self.log_dirty = true;
    }

    /// Tests have no hour to wait.
    #[cfg(test)]
    pub(super) fn erase_now(&mut self) {
        self.erase_by = Some(Instant::now());
    }

    /// Embeddings that nobody keeps were written to the store: its log is emptied with the next
    /// tick.
    pub(super) fn empty_log(&mut self) {
        self.log_dirty = true;
    }

    /// Whether nothing withdrawn is left in any file.
    pub(super) fn all_erased(&self) -> bool {
        self.erase_by.is_none()
            && self.retired.is_empty()
            && self.erasing == 0
            && !self.log_dirty
            && self.writing.is_none()
    }

    /// Writes, erases and empties what is due.
    pub(super) fn tick(
        &mut self,
        store: &mut Store,
        published: &Published,
    ) -> Result<(), WriterError> {
        let due = self.erase_by.is_some_and(|by| by <= Instant::now());
        if (due || self.again) && self.writing.is_none() {
            self.again = false;
            if due && !published.snapshot_holds_withdrawn() {
                self.erase_by = None;
            } else {
                self.begin(store, 0)?;
            }
        }
        self.recheck(store, published)?;
        self.erase_retired()?;
        if self.log_dirty && self.writing.is_none() && self.erase_by.is_none() {
            self.log_dirty = store.erase_log()? == LogErased::ReaderInTheWay;
        }
        Ok(())
    }

    /// Looks at a part of the snapshot again, so that a file that was changed under its map is
    /// noticed; searches are refused from then on until it is written anew.
    fn recheck(&mut self, store: &Store, published: &Published) -> Result<(), WriterError> {
        let view = published.view();
        let Some(snapshot) = view.snapshot() else {
            return Ok(());
        };
        match snapshot.recheck(self.recheck_from) {
            Ok(next) => self.recheck_from = next,
            Err(error) => {
                tracing::error!(%error, "gallery: rebuilding");
                self.recheck_from = 0;
                self.begin(store, 0)?;
            }
        }
        Ok(())
    }

    /// A thread has erased a file, or could not.
    pub(super) fn erased(&mut self, erased: Result<(), erase::EraseError>) {
        self.erasing -= 1;
        match erased {
            Ok(()) => {}
            Err(erase::EraseError::InUse(gallery)) => self.retired.push(gallery),
            Err(erase::EraseError::Io(error)) => {
                tracing::error!(%error, "a gallery file is left for the next start to erase");
            }
        }
    }

    /// Erases, on a thread of its own, what no search holds any more.
    fn erase_retired(&mut self) -> Result<(), WriterError> {
        let (free, held) = std::mem::take(&mut self.retired)
            .into_iter()
            .partition(|gallery| Arc::strong_count(gallery) == 1);
        self.retired = held;
        let free: Vec<Arc<Gallery>> = free;
        for gallery in free {
            let handle = self.handle.clone();
            thread::Builder::new()
                .name("eraser".to_owned())
                .spawn(move || {
                    let _ = handle.send(Command::Erased(erase::retired(gallery)));
                })?;
            self.erasing += 1;
        }
        Ok(())
    }

    fn hold_reserve(&mut self, rows: usize) {
        match self
            .reserve
            .hold(file_len(rows as u64 + RESERVE_ROWS_BEYOND))
        {
            Ok(true) => {}
            Ok(false) => tracing::warn!("no room on the disk to set aside for the next snapshot"),
            Err(error) => tracing::warn!(%error, "reserve"),
        }
    }

    /// All files of the folder, newest first.
    fn files(&self) -> Result<Vec<PathBuf>, WriterError> {
        let mut files: Vec<_> = fs::read_dir(&self.folder)?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<Result<_, _>>()?;
        files.sort();
        files.reverse();
        Ok(files)
    }

    fn is_ours(&self, path: &Path) -> bool {
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        name.starts_with(&prefix(&self.lineage)) && name.ends_with(SUFFIX)
    }
}

/// Erases every snapshot of a site that no server runs: who withdraws then does not wait for the
/// next start, which writes a new one.
pub(super) fn erase_all(directory: &DataDirectory) -> Result<(), WriterError> {
    for path in files_of(directory)? {
        erase::file(&path)?;
    }
    Ok(())
}

/// Every file of the galleries' folder, also what an interrupted writer left.
pub(super) fn files_of(directory: &DataDirectory) -> Result<Vec<PathBuf>, WriterError> {
    let entries = match fs::read_dir(directory.file(FOLDER)) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    let paths = entries.map(|entry| entry.map(|entry| entry.path()));
    Ok(paths.collect::<Result<_, _>>()?)
}

const SUFFIX: &str = ".cgal";

fn prefix(lineage: &[u8; 16]) -> String {
    let history: String = lineage[..8]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("gallery-{history}-")
}

fn write(
    reader: &Reader,
    folder: &Path,
    lineage: &[u8; 16],
    (model, threshold): (ModelId, Threshold),
) -> Result<Gallery, WriterError> {
    let failed = |error: &dyn std::fmt::Display| WriterError::Gallery(error.to_string());
    let snapshot = reader.snapshot()?;
    let generation = snapshot.generation()?;
    let rows = snapshot.counts()?.references;
    let name = format!(
        "{}{generation:016}-{:014}{SUFFIX}",
        prefix(lineage),
        unix_ms()
    );
    let path = folder.join(name);
    let mut writer =
        GalleryWriter::create(&path, model, generation, rows).map_err(|error| failed(&error))?;
    writer.plan_for(threshold);
    snapshot.references_each(ReferenceId(0), |reference, person, bytes| {
        writer
            .push(&row(reference, person, bytes)?)
            .map_err(|error| failed(&error))
    })?;
    writer.finish().map_err(|error| failed(&error))?;
    Gallery::open(&path).map_err(|error| failed(&error))
}
