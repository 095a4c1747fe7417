//! The folder `pki` as one thing: its files are read together, and a changed set takes the place
//! of the one before in a single exchange of folders, so that a crash leaves the old or the new.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::error::SecretError;
use crate::secrets::{Sealer, write_new};

const FOLDER: &str = "pki";
/// Where a new set is written; what lies there at any other time is left over.
const BESIDE: &str = "pki.new";
/// What is sealed is its owner's only.
const SEALED: &str = ".sealed";

/// The files of the folder, by name.
#[derive(Default)]
pub(super) struct PkiFiles(BTreeMap<String, Vec<u8>>);

impl PkiFiles {
    /// Reads every file of the folder.
    pub(super) fn read(data: &Path) -> Result<Self, SecretError> {
        let folder = data.join(FOLDER);
        let mut files = BTreeMap::new();
        for entry in fs::read_dir(&folder).map_err(|source| failed(FOLDER, source))? {
            let entry = entry.map_err(|source| failed(FOLDER, source))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let bytes = fs::read(entry.path()).map_err(|source| failed(&name, source))?;
            files.insert(name, bytes);
        }
        Ok(Self(files))
    }

    /// A file's bytes, if it is there.
    pub(super) fn find(&self, name: &str) -> Option<&[u8]> {
        self.0.get(name).map(Vec::as_slice)
    }

    /// A file's bytes.
    pub(super) fn get(&self, name: &str) -> Result<&[u8], SecretError> {
        let missing = || failed(name, io::ErrorKind::NotFound.into());
        self.find(name).ok_or_else(missing)
    }

    /// Adds a file, or replaces it.
    pub(super) fn put(&mut self, name: &str, bytes: &[u8]) {
        self.0.insert(name.to_owned(), bytes.to_vec());
    }

    /// Adds a secret under its name, sealed.
    pub(super) fn put_sealed(
        &mut self,
        sealer: &Sealer,
        name: &str,
        secret: &[u8],
    ) -> Result<(), SecretError> {
        let sealed = sealer.seal(name, secret)?;
        self.put(name, &sealed);
        Ok(())
    }

    /// Takes a file out.
    pub(super) fn remove(&mut self, name: &str) {
        self.0.remove(name);
    }

    /// Writes the set where there is none.
    pub(super) fn create(&self, data: &Path) -> Result<(), SecretError> {
        let beside = self.write_beside(data)?;
        // Refused if there is a set already.
        renameat_with(CWD, &beside, CWD, data.join(FOLDER), RenameFlags::NOREPLACE)
            .map_err(|error| failed(FOLDER, error.into()))?;
        sync(data)
    }

    /// Puts this set in the place of the one that is there.
    pub(super) fn replace(&self, data: &Path) -> Result<(), SecretError> {
        let beside = self.write_beside(data)?;
        renameat_with(CWD, &beside, CWD, data.join(FOLDER), RenameFlags::EXCHANGE)
            .map_err(|error| failed(FOLDER, error.into()))?;
        sync(data)?;
        fs::remove_dir_all(&beside).map_err(|source| failed(BESIDE, source))
    }

    fn write_beside(&self, data: &Path) -> Result<PathBuf, SecretError> {
        let beside = data.join(BESIDE);
        match fs::remove_dir_all(&beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(failed(BESIDE, error));
            }
            Ok(()) | Err(_) => {}
        }
        fs::create_dir(&beside).map_err(|source| failed(BESIDE, source))?;
        for (name, bytes) in &self.0 {
            let mode = if name.ends_with(SEALED) { 0o600 } else { 0o644 };
            write_new(&beside.join(name), bytes, mode)?;
        }
        sync(&beside)?;
        Ok(beside)
    }
}

fn sync(folder: &Path) -> Result<(), SecretError> {
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(|source| failed(FOLDER, source))
}

fn failed(file: &str, source: io::Error) -> SecretError {
    SecretError::Io {
        file: file.to_owned(),
        source,
    }
}
