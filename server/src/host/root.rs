//! The files of a machine, below a folder: `/` for this one.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use crate::limits::HOST_FILE_BYTES_MAX;

/// Where a machine's `/proc`, `/sys`, `/etc` and so on are.
#[derive(Debug, Clone)]
pub struct Root(PathBuf);

impl Root {
    /// The machine whose root directory this is.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// The first part of a file, if it can be read.
    pub(super) fn read(&self, path: &str) -> Option<String> {
        read(&self.at(path))
    }

    pub(super) fn exists(&self, path: &str) -> bool {
        self.at(path).exists()
    }

    /// The names in a folder, sorted; none where it cannot be read.
    pub(super) fn names(&self, path: &str) -> Vec<String> {
        names(&self.at(path))
    }

    /// Where a file of the machine is for us.
    pub(super) fn at(&self, path: &str) -> PathBuf {
        self.0.join(path.trim_start_matches('/'))
    }
}

/// The first part of a file as text, without blanks around it.
pub(super) fn read(path: &Path) -> Option<String> {
    let mut bytes = Vec::new();
    let file = File::open(path).ok()?;
    file.take(HOST_FILE_BYTES_MAX)
        .read_to_end(&mut bytes)
        .ok()?;
    Some(String::from_utf8_lossy(&bytes).trim().to_owned())
}

/// The names in a folder, sorted; none where it cannot be read.
pub(super) fn names(path: &Path) -> Vec<String> {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    let mut names: Vec<_> = entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort();
    names
}
