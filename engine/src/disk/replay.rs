//! What may be on a disk after a power failure: of the bytes and lengths that were not synced any
//! subset, of the names that were not synced any beginning.

use super::recorded::Step;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A disk sector reaches the disk whole or not at all.
const SECTOR: usize = 512;

/// Files by name, as a start after the failure finds them.
pub(super) type Found = BTreeMap<PathBuf, Vec<u8>>;

#[derive(Clone, Debug)]
enum Change {
    Length(usize, u64),
    Bytes(usize, u64, Vec<u8>),
}

#[derive(Clone, Debug)]
enum Name {
    Is(PathBuf, usize),
    Moves(PathBuf, PathBuf),
    Goes(PathBuf),
}

/// The disk while steps are taken.
#[derive(Clone, Debug, Default)]
pub(super) struct Disk {
    /// Content by file, on the disk for certain.
    files: Vec<Vec<u8>>,
    /// Bytes and lengths that may or may not be there.
    changes: Vec<Change>,
    /// File by name, on the disk for certain.
    names: BTreeMap<PathBuf, usize>,
    /// Names that may or may not have changed.
    renames: Vec<Name>,
    /// File by name, as the running process sees it.
    now: BTreeMap<PathBuf, usize>,
}

/// What of the unsynced is there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kept {
    /// A bit for each change; from the 128th on the bits begin again.
    pub(super) changes: u128,
    /// The last kept change ends after so many sectors.
    pub(super) torn: Option<usize>,
    /// How many changes of names.
    pub(super) names: usize,
}

impl Disk {
    pub(super) fn take(&mut self, step: &Step) {
        match step {
            Step::Create(path) => {
                self.files.push(Vec::new());
                let file = self.files.len() - 1;
                self.rename(Name::Is(path.clone(), file));
            }
            Step::SetLength(path, length) => {
                self.changes.push(Change::Length(self.now[path], *length));
            }
            Step::Write(path, at, bytes) => {
                let change = Change::Bytes(self.now[path], *at, bytes.clone());
                self.changes.push(change);
            }
            Step::Sync(path) => {
                let file = self.now[path];
                let changes = std::mem::take(&mut self.changes);
                let (synced, left) = changes.into_iter().partition(|c| c.file() == file);
                let synced: Vec<Change> = synced;
                for change in &synced {
                    change.apply(&mut self.files, None);
                }
                self.changes = left;
            }
            Step::Rename(from, to) => self.rename(Name::Moves(from.clone(), to.clone())),
            Step::Remove(path) => self.rename(Name::Goes(path.clone())),
            Step::SyncFolder => {
                self.names = self.now.clone();
                self.renames.clear();
            }
        }
    }

    /// How much is not synced: changes, names.
    pub(super) fn unsynced(&self) -> (usize, usize) {
        (self.changes.len(), self.renames.len())
    }

    /// The files that a start finds.
    pub(super) fn after(&self, kept: Kept) -> Found {
        let mut files = self.files.clone();
        let is_kept = |at: usize| kept.changes >> (at % 128) & 1 == 1;
        let last = (0..self.changes.len()).rev().find(|at| is_kept(*at));
        for (at, change) in self.changes.iter().enumerate() {
            if is_kept(at) {
                change.apply(&mut files, kept.torn.filter(|_| Some(at) == last));
            }
        }
        let mut names = self.names.clone();
        for name in &self.renames[..kept.names] {
            name.apply(&mut names);
        }
        let found = names.into_iter();
        found
            .map(|(name, file)| (name, files[file].clone()))
            .collect()
    }

    fn rename(&mut self, name: Name) {
        name.apply(&mut self.now);
        self.renames.push(name);
    }
}

impl Change {
    fn file(&self) -> usize {
        match self {
            Self::Length(file, _) | Self::Bytes(file, ..) => *file,
        }
    }

    fn apply(&self, files: &mut [Vec<u8>], torn: Option<usize>) {
        match self {
            Self::Length(file, length) => files[*file].resize(*length as usize, 0),
            Self::Bytes(file, at, bytes) => {
                let bytes = match torn {
                    Some(sectors) => &bytes[..bytes.len().min(sectors * SECTOR)],
                    None => bytes,
                };
                let (file, at) = (&mut files[*file], *at as usize);
                file.resize(file.len().max(at + bytes.len()), 0);
                file[at..at + bytes.len()].copy_from_slice(bytes);
            }
        }
    }
}

impl Name {
    fn apply(&self, names: &mut BTreeMap<PathBuf, usize>) {
        match self {
            Self::Is(path, file) => {
                names.insert(path.clone(), *file);
            }
            Self::Moves(from, to) => {
                let file = names.remove(from);
                names.extend(file.map(|file| (to.clone(), file)));
            }
            Self::Goes(path) => {
                names.remove(path);
            }
        }
    }
}

/// Writes what was found into an empty folder, under the names it had in its own.
pub(super) fn lay_out(found: &Found, folder: &Path) -> Vec<PathBuf> {
    let paths = found.iter().map(|(path, bytes)| {
        let path = folder.join(path.file_name().expect("a file has a name"));
        std::fs::write(&path, bytes).expect("written");
        path
    });
    paths.collect()
}
