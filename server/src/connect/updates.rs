//! Updates on this server's disk: fetched and checked in `updates/<version>`, then handed to the
//! unit that applies packages, or put among the firmware for devices.
//!
//! ```text
//! updates/<version>/   manifest.json, manifest.json.minisig, the files; whole when renamed here
//! updates/apply        names the version that the unit is to apply; the unit removes it
//! updates/outcome      what came of it, written by the unit: read and removed at the next start
//! ```

use std::fs::{self, File as DiskFile};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use cardea_connect::authority::Authority;
use cardea_connect::limits::MANIFEST_BYTES_MAX;
use cardea_connect::update::fetch::check;
use cardea_connect::update::{self, File, Manifest, Present, Role, Version};
use serde::{Deserialize, Serialize};

use super::ConnectSetup;
use crate::site::unix_ms;

/// The folder in the data directory.
pub const FOLDER: &str = "updates";
const MANIFEST: &str = "manifest.json";
const SIGNATURE: &str = "manifest.json.minisig";
const APPLY: &str = "apply";
const OUTCOME: &str = "outcome";

/// An update that is here and checked.
#[derive(Debug)]
pub struct Fetched {
    /// What its signature covers.
    pub manifest: Manifest,
    /// Where its files are.
    pub folder: PathBuf,
}

/// How far a download is: the file, bytes so far, bytes in all.
#[derive(Debug, Default)]
pub struct Progress(Mutex<Option<(String, u64, u64)>>);

impl Progress {
    /// The download under way, if there is one.
    #[must_use]
    pub fn now(&self) -> Option<(String, u64, u64)> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn set(&self, file: &File, bytes: u64) {
        let mut now = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *now = Some((file.name.clone(), bytes, file.size));
    }

    /// Nothing is under way any more.
    pub fn end(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// What came of an update that was applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// Its version.
    pub version: String,
    /// Whether it is in force; else the one before is again.
    pub applied: bool,
}

/// The version that runs.
///
/// # Panics
/// Never: a package's version is three numbers.
#[must_use]
pub fn present() -> Version {
    env!("CARGO_PKG_VERSION")
        .parse()
        .expect("cargo takes nothing but three numbers without a suffix here")
}

/// Fetches the update whose manifest is `manifest`, below `/v1/updates/`.
///
/// # Errors
/// Why it is not taken, in words. Nothing that runs is touched.
pub fn fetch(
    setup: &ConnectSetup,
    data: &Path,
    manifest: &str,
    allow_older: bool,
    progress: &Progress,
) -> Result<Fetched, String> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b".-_/".contains(&byte);
    if manifest.len() > 256 || manifest.contains("..") || !manifest.bytes().all(fits) {
        return Err("the manifest's path is none".to_owned());
    }
    let authority = setup.authority()?;
    let path = format!("/v1/updates/{manifest}");
    let words = |error: &dyn std::fmt::Display| error.to_string();
    let bytes = authority.read(&path).map_err(|error| words(&error))?;
    let signature = authority
        .read(&format!("{path}.minisig"))
        .map_err(|error| words(&error))?;
    let opened = Manifest::open(&bytes, &signature, &setup.update_keys);
    let opened = opened.map_err(|error| words(&error))?;
    opened
        .permit(Present {
            version: present(),
            now_unix_s: i64::try_from(unix_ms() / 1_000).unwrap_or(i64::MAX),
            allow_older,
        })
        .map_err(|error| words(&error))?;
    let beside = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    files(
        &authority,
        beside,
        (&bytes, &signature),
        opened,
        data,
        progress,
    )
}

fn files(
    authority: &Authority,
    beside: &str,
    (bytes, signature): (&[u8], &[u8]),
    manifest: Manifest,
    data: &Path,
    progress: &Progress,
) -> Result<Fetched, String> {
    let words = |error: &dyn std::fmt::Display| error.to_string();
    let folder = data.join(FOLDER).join(manifest.version.to_string());
    tidy(&data.join(FOLDER), &folder).map_err(|error| words(&error))?;
    fs::create_dir_all(&folder).map_err(|error| words(&error))?;
    for file in &manifest.files {
        let path = format!("{beside}/{}", file.name);
        progress.set(file, 0);
        update::fetch(authority, &path, file, &folder, |bytes| {
            progress.set(file, bytes);
        })
        .map_err(|error| words(&error))?;
    }
    // Last of all: a folder with a manifest is whole.
    write_synced(&folder.join(SIGNATURE), signature).map_err(|error| words(&error))?;
    write_synced(&folder.join(MANIFEST), bytes).map_err(|error| words(&error))?;
    Ok(Fetched { manifest, folder })
}

/// Removes what other versions left; the disk is not for two.
fn tidy(folder: &Path, kept: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() && path != kept {
            fs::remove_dir_all(path)?;
        }
    }
    Ok(())
}

/// Checks a folder again, as the unit that applies packages does: signature, version, every file.
///
/// # Errors
/// Why it must not be applied, in words.
pub fn verify(
    folder: &Path,
    keys: &[String],
    installed: Version,
    allow_older: bool,
) -> Result<Manifest, String> {
    let read = |name: &str| {
        let path = folder.join(name);
        let length = fs::metadata(&path).map_err(|error| format!("{name}: {error}"))?;
        if length.len() > MANIFEST_BYTES_MAX {
            return Err(format!("{name}: too long"));
        }
        fs::read(path).map_err(|error| format!("{name}: {error}"))
    };
    let manifest = Manifest::open(&read(MANIFEST)?, &read(SIGNATURE)?, keys);
    let manifest = manifest.map_err(|error| error.to_string())?;
    let present = Present {
        version: installed,
        now_unix_s: i64::try_from(unix_ms() / 1_000).unwrap_or(i64::MAX),
        allow_older,
    };
    manifest
        .permit(present)
        .map_err(|error| error.to_string())?;
    for file in &manifest.files {
        check(&folder.join(&file.name), file).map_err(|error| error.to_string())?;
    }
    Ok(manifest)
}

/// Hands an update to the unit that applies packages.
///
/// # Errors
/// Those of the file system.
pub fn apply(data: &Path, version: Version) -> io::Result<()> {
    let folder = data.join(FOLDER);
    let part = folder.join(format!("{APPLY}.part"));
    write_synced(&part, format!("{version}\n").as_bytes())?;
    fs::rename(part, folder.join(APPLY))?;
    DiskFile::open(folder)?.sync_all()
}

/// What came of the last update that was applied, as long as its file is there.
#[must_use]
pub fn outcome(data: &Path) -> Option<Outcome> {
    let text = fs::read(data.join(FOLDER).join(OUTCOME)).ok()?;
    serde_json::from_slice(&text).ok()
}

/// The outcome is told.
pub fn outcome_told(data: &Path) {
    // If it stays it is told again by the next server, which does no harm.
    let _ = fs::remove_file(data.join(FOLDER).join(OUTCOME));
}

/// The server's package of an update, if it has one.
#[must_use]
pub fn package(manifest: &Manifest) -> Option<&File> {
    let mut files = manifest.files.iter();
    files.find(|file| file.role == Role::Server)
}

fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = DiskFile::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_that_runs_is_known() {
        assert_eq!(present().to_string(), env!("CARGO_PKG_VERSION"));
    }

    /// Fails when `tidy` removes the folder that a cut download is to be taken up in.
    #[test]
    fn only_what_other_versions_left_goes() {
        let data = tempfile::tempdir().expect("a folder");
        let folder = data.path().join(FOLDER);
        for name in ["0.1.0", "0.2.0"] {
            fs::create_dir_all(folder.join(name)).expect("made");
            fs::write(folder.join(name).join("f.part"), "x").expect("written");
        }
        tidy(&folder, &folder.join("0.2.0")).expect("tidied");
        assert!(!folder.join("0.1.0").exists());
        assert!(folder.join("0.2.0").join("f.part").exists());
    }
}
