//! Where a backup goes: into a folder that is there, or to a new file in one. It is looked at
//! before anything is written, so that a folder that is missing does not become a file.

use std::path::{Path, PathBuf};

use rustix::fs::Access;

use super::BackupError;
use crate::config::FILE;

/// Where a backup goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A folder: the name is made, and old backups go.
    Folder(PathBuf),
    /// A file that is to be made; its folder is there.
    File(PathBuf),
}

impl Target {
    /// The folder that the configuration names, if backups can go there: looked at by whoever
    /// takes them.
    ///
    /// # Errors
    /// [`BackupError::Refused`]: what is wrong with it, and what to do.
    pub fn configured(data: &Path, folder: &Path) -> Result<Self, BackupError> {
        match check_directory(data, folder) {
            Ok(()) => Ok(Self::Folder(folder.to_owned())),
            Err(why) => Err(BackupError::Refused(format!(
                "backups cannot go to {} (backup.directory in {FILE}): {why}; make it a folder \
                 outside the data directory that the owner of the data can write to, or name \
                 another",
                folder.display()
            ))),
        }
    }

    /// What a command line says: a folder that is there, or else a new file in one that is.
    ///
    /// # Errors
    /// [`BackupError::Refused`] for a name that only a folder has, and for a file in no folder.
    pub fn said(path: PathBuf) -> Result<Self, BackupError> {
        if path.is_dir() {
            return Ok(Self::Folder(path));
        }
        let (shown, folder) = (path.display(), folder_of(&path));
        // `Path` does not see `/` or `/.` at the end.
        let ends_with_name = path.file_name().is_some_and(|name| {
            let bytes = path.as_os_str().as_encoded_bytes();
            bytes.ends_with(name.as_encoded_bytes())
        });
        if !ends_with_name {
            return Err(BackupError::Refused(format!(
                "there is no folder {shown}: make it, or name a file without / at its end"
            )));
        }
        if !folder.is_dir() {
            return Err(BackupError::Refused(format!(
                "{shown} would be a file in {}, which is no folder: make that folder first",
                folder.display()
            )));
        }
        Ok(Self::File(path))
    }

    /// The folder or the file.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Self::Folder(path) | Self::File(path) => path,
        }
    }
}

/// The folder that a file lies in.
pub(super) fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// Whether backups can go there.
fn check_directory(data: &Path, directory: &Path) -> Result<(), &'static str> {
    if !directory.is_absolute() {
        return Err("it does not begin with /");
    }
    let folder = directory.canonicalize().ok().filter(|path| path.is_dir());
    let folder = folder.ok_or("there is no such folder")?;
    // Who loses the data would lose the backups with it.
    if data
        .canonicalize()
        .is_ok_and(|data| folder.starts_with(data))
    {
        return Err("it is in the data directory");
    }
    let access = Access::WRITE_OK | Access::EXEC_OK;
    rustix::fs::access(&folder, access).map_err(|_| "the owner of the data cannot write there")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// Any was written down, and the first night's backup failed. Each fails without its check;
    /// who may write is tried on a machine with two users (tests/tests/package.rs).
    #[test]
    fn backups_go_to_a_folder_that_is_there_and_not_within_the_data() {
        let folder = tempfile::tempdir().expect("a folder");
        let (data, other) = (folder.path().join("data"), folder.path().join("other"));
        for made in [&data, &other, &data.join("inside")] {
            fs::create_dir(made).expect("made");
        }
        fs::write(folder.path().join("file"), "").expect("written");
        std::os::unix::fs::symlink(&data, folder.path().join("link")).expect("made");
        assert_eq!(check_directory(&data, &other), Ok(()));
        for (bad, why) in [
            (PathBuf::from("."), "it does not begin with /"),
            (other.join("none"), "there is no such folder"),
            (folder.path().join("file"), "there is no such folder"),
            (data.clone(), "it is in the data directory"),
            (
                folder.path().join("link/inside"),
                "it is in the data directory",
            ),
        ] {
            assert_eq!(check_directory(&data, &bad), Err(why), "{bad:?}");
        }
    }

    /// A folder that was missing, and one with `/` at its end, was taken for a file. Fails without
    /// `ends_with_name`, or without the look at the folder above.
    #[test]
    fn a_file_is_named_in_a_folder_that_is_there() {
        let folder = tempfile::tempdir().expect("a folder");
        let said = |name: &str| {
            let path = folder.path().join(name);
            (Target::said(path.clone()).ok(), path)
        };
        fs::write(folder.path().join("file"), "").expect("written");
        for name in ["", "./"] {
            let (target, path) = said(name);
            assert_eq!(target, Some(Target::Folder(path)), "{name}");
        }
        for name in ["new", "new.age", "./new"] {
            let (target, path) = said(name);
            assert_eq!(target, Some(Target::File(path)), "{name}");
        }
        for name in ["new/", "new/.", "new/..", "none/new", "file/new", "file/"] {
            assert_eq!(said(name).0, None, "{name}");
        }
        let here = PathBuf::from("new-file-that-nobody-makes");
        assert_eq!(Target::said(here.clone()).ok(), Some(Target::File(here)));
    }
}
