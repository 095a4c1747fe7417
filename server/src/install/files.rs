//! Files that are written only where they differ, whole or not at all.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// Makes `path` hold `text`, with `mode`; makes its folder if need be. Returns whether anything
/// was changed.
pub(super) fn write(path: &Path, text: &str, mode: u32) -> io::Result<bool> {
    match fs::read(path) {
        Ok(found) if found == text.as_bytes() => return Ok(false),
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(about(path, &error)),
        Ok(_) | Err(_) => {}
    }
    replace(path, text.as_bytes(), mode).map_err(|error| about(path, &error))?;
    Ok(true)
}

/// Removes a file. Returns whether there was one.
pub(super) fn remove(path: &Path) -> io::Result<bool> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(about(path, &error)),
    }
}

fn replace(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(folder)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let beside = folder.join(format!(".{name}.new"));
    // One that an interrupted run left.
    remove(&beside)?;
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    fs::File::open(folder)?.sync_all()
}

fn about(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

    use super::*;

    #[test]
    fn a_file_that_says_it_already_is_not_touched() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("deep/file");
        assert!(write(&path, "one", 0o640).expect("written"));
        let inode = fs::metadata(&path).expect("there").ino();
        assert!(!write(&path, "one", 0o640).expect("as it was"));
        assert_eq!(fs::metadata(&path).expect("there").ino(), inode);
        assert!(write(&path, "two", 0o600).expect("written"));
        assert_eq!(fs::read(&path).expect("there"), b"two");
        let mode = fs::metadata(&path).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(remove(&path).expect("removed") && !remove(&path).expect("gone"));
    }
}
