//! Fetching the files of an update: each beside its place, by ranges, so that what was cut is
//! taken up where it ended; and put into place only when length and hash are right.

use std::fmt;
use std::fs::{self, File as DiskFile, OpenOptions};
use std::io::{self, Read, Write as _};
use std::path::Path;

use super::manifest::{File, UpdateError};
use crate::authority::{Authority, AuthorityError};
use crate::limits::DOWNLOAD_TRIES_MAX;

/// Why a file was not fetched.
#[derive(Debug)]
pub enum FetchError {
    /// The authority cannot be asked, or says no.
    Authority(AuthorityError),
    /// The file is not what the manifest says.
    Update(UpdateError),
    /// It was cut again and again without a byte of progress.
    Cut,
    /// A file operation failed.
    Io(io::Error),
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Authority(error) => error.fmt(f),
            Self::Update(error) => error.fmt(f),
            Self::Cut => f.write_str("the download is cut again and again"),
            Self::Io(error) => write!(f, "storing the download: {error}"),
        }
    }
}

impl std::error::Error for FetchError {}

impl From<io::Error> for FetchError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Fetches `file` from `path` of the authority into `folder`, under its own name. A part that an
/// earlier attempt left is taken up; `progress` hears of every piece (bytes so far).
///
/// # Errors
/// [`FetchError`]. What is wrong is removed; what was only cut stays for the next attempt.
pub fn fetch(
    authority: &Authority,
    path: &str,
    file: &File,
    folder: &Path,
    mut progress: impl FnMut(u64),
) -> Result<(), FetchError> {
    let place = folder.join(&file.name);
    if place.exists() && check(&place, file).is_ok() {
        return Ok(());
    }
    let part = folder.join(format!("{}.part", file.name));
    let mut tries = 0;
    loop {
        let before = length(&part)?;
        if before == file.size {
            break;
        }
        if before > file.size {
            fs::remove_file(&part)?;
            return Err(wrong(file, "longer than the manifest says"));
        }
        let result = fetch_rest(authority, path, (&part, before), file.size, &mut progress);
        match result {
            Ok(()) => {}
            // The authority says no: to try again at once helps nobody.
            Err(error @ FetchError::Authority(AuthorityError::Refused(..))) => return Err(error),
            Err(error @ FetchError::Update(_)) => {
                let _ = fs::remove_file(&part);
                return Err(error);
            }
            Err(error) => tracing::debug!(%error, "a download is cut"),
        }
        if length(&part)? == before {
            tries += 1;
            if tries == DOWNLOAD_TRIES_MAX {
                return Err(FetchError::Cut);
            }
        } else {
            tries = 0;
        }
    }
    if let Err(error) = check(&part, file) {
        fs::remove_file(&part)?;
        return Err(FetchError::Update(error));
    }
    DiskFile::open(&part)?.sync_all()?;
    fs::rename(&part, &place)?;
    DiskFile::open(folder)?.sync_all()?;
    Ok(())
}

fn fetch_rest(
    authority: &Authority,
    path: &str,
    (part, from): (&Path, u64),
    size: u64,
    progress: &mut impl FnMut(u64),
) -> Result<(), FetchError> {
    let reader = authority
        .read_from(path, from)
        .map_err(FetchError::Authority)?;
    let Some(reader) = reader else {
        return Err(FetchError::Update(UpdateError::WrongFile {
            name: path.to_owned(),
            why: "shorter than the manifest says",
        }));
    };
    let mut out = OpenOptions::new().append(true).create(true).open(part)?;
    // One byte more than there may be, so that a file that is too long is seen.
    let mut reader = reader.take(size - from + 1);
    let mut buffer = vec![0; 64 * 1_024];
    let mut at = from;
    loop {
        let count = match reader.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => {
                out.sync_data()?;
                return Err(FetchError::Authority(AuthorityError::Unreachable(
                    error.to_string(),
                )));
            }
        };
        out.write_all(&buffer[..count])?;
        at += count as u64;
        progress(at);
    }
    if at > size {
        return Err(FetchError::Update(UpdateError::WrongFile {
            name: path.to_owned(),
            why: "longer than the manifest says",
        }));
    }
    Ok(())
}

/// Whether the file at `path` is the one that the manifest means: length and hash.
///
/// # Errors
/// [`UpdateError::WrongFile`].
pub fn check(path: &Path, file: &File) -> Result<(), UpdateError> {
    let wrong = |why| UpdateError::WrongFile {
        name: file.name.clone(),
        why,
    };
    let mut opened = DiskFile::open(path).map_err(|_| wrong("it is not there"))?;
    let length = opened.metadata().map_err(|_| wrong("it cannot be read"))?;
    if length.len() < file.size {
        return Err(wrong("shorter than the manifest says"));
    }
    if length.len() > file.size {
        return Err(wrong("longer than the manifest says"));
    }
    let mut hasher = blake3::Hasher::new();
    io::copy(&mut opened, &mut hasher).map_err(|_| wrong("it cannot be read"))?;
    let expected = blake3::Hash::from_hex(&file.blake3).map_err(|_| wrong("no hash"))?;
    if hasher.finalize() != expected {
        return Err(wrong("another hash than the manifest says"));
    }
    Ok(())
}

fn wrong(file: &File, why: &'static str) -> FetchError {
    FetchError::Update(UpdateError::WrongFile {
        name: file.name.clone(),
        why,
    })
}

fn length(path: &Path) -> io::Result<u64> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(metadata.len()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::super::manifest::Role;
    use super::*;

    #[test]
    fn a_file_is_taken_only_with_its_length_and_hash() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("f");
        let file = File {
            name: "f".to_owned(),
            role: Role::Server,
            size: 5,
            blake3: blake3::hash(b"hello").to_hex().to_string(),
            firmware: None,
        };
        let why = || match check(&path, &file) {
            Err(UpdateError::WrongFile { why, .. }) => why,
            other => panic!("{other:?}"),
        };
        assert_eq!(why(), "it is not there");
        fs::write(&path, b"hell").expect("written");
        assert_eq!(why(), "shorter than the manifest says");
        fs::write(&path, b"hello!").expect("written");
        assert_eq!(why(), "longer than the manifest says");
        fs::write(&path, b"jello").expect("written");
        assert_eq!(why(), "another hash than the manifest says");
        fs::write(&path, b"hello").expect("written");
        assert_eq!(check(&path, &file), Ok(()));
    }
}
