//! What a backup is made of before it is packed: copies of the databases, each of one moment, and
//! how far the packing has come. It lies in the data directory, so that a backup that was cut goes
//! on where it was, and not for long: withdrawn people are in the copies.
//!
//! ```text
//! backup.staging/  state     what is copied, with checksums; where the backup is to lie
//!                  store.db, audit.db
//!                  stream    the key of the encrypted bytes, for whom, sealed by the site's key
//!                  synced    how long the unfinished file is on the disk, 8 bytes
//! ```
//!
//! The same copies give the same bytes under the same key, piece by piece (`stream`): going on
//! never seals two contents under one nonce, because the copies are held against their checksums
//! first. A copy that was cut is begun anew: a moment of a database ends with who reads it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use cardea_engine::erase;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::archive::{About, FORM};
use super::envelope::{self, PayloadKey};
use super::keys::{KEY_BYTES, Lock};
use super::paced::reader;
use super::stream::SEALED_PIECE;
use super::{BackupError, Target, take::Order};
use crate::secrets::Sealer;

/// The folder in the data directory.
pub(super) const FOLDER: &str = "backup.staging";
const STATE: &str = "state";
const STREAM: &str = "stream";
const SYNCED: &str = "synced";
/// The name under which the site's key seals [`STREAM`].
const SEALED_AS: &str = "backup.stream";

/// What is staged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    /// What the backup says of itself.
    pub(super) about: About,
    /// Where it is to lie.
    pub(super) target: PathBuf,
    /// Small files: name and content.
    pub(super) small: Vec<(String, Vec<u8>)>,
    /// Copies that are whole: name and BLAKE3.
    copied: Vec<(String, String)>,
}

/// How the encrypted bytes go on.
pub(super) struct Going {
    /// The unfinished file, at its end.
    pub(super) file: File,
    /// Its length.
    pub(super) length: u64,
    /// Where its length is noted.
    pub(super) note: File,
    /// The key of the encrypted bytes.
    pub(super) key: PayloadKey,
    /// Sealed pieces that are there already.
    pub(super) pieces: u64,
}

/// The folder and what is in it.
pub(super) struct Staging {
    folder: PathBuf,
    pub(super) state: State,
}

impl Staging {
    /// What a backup that was cut has left, if this one is to be the same and it is not too old.
    pub(super) fn left(order: &Order, site: &str) -> Option<Self> {
        let folder = order.data.join(FOLDER);
        let state: State = serde_json::from_slice(&fs::read(folder.join(STATE)).ok()?).ok()?;
        let about = &state.about;
        let age = order.now_unix_s - about.taken_unix_s;
        let same_target = match &order.target {
            Target::Folder(folder) => state.target.parent() == Some(folder.as_path()),
            Target::File(file) => state.target == *file,
        };
        let same = about.form == FORM
            && about.version == env!("CARGO_PKG_VERSION")
            && about.site == site
            && (0..=order.kept_s).contains(&age)
            && !state.target.exists()
            && same_target;
        let sound = |(name, hash): &(String, String)| {
            hash_of(&folder.join(name)).is_ok_and(|found| found == *hash)
        };
        (same && state.copied.iter().all(sound)).then_some(Self { folder, state })
    }

    /// A new one; whatever lay there must have been swept.
    pub(super) fn begin(
        data: &Path,
        about: About,
        target: PathBuf,
        small: Vec<(String, Vec<u8>)>,
    ) -> Result<Self, BackupError> {
        let folder = data.join(FOLDER);
        fs::DirBuilder::new().mode(0o700).create(&folder)?;
        let state = State {
            about,
            target,
            small,
            copied: Vec::new(),
        };
        let staging = Self { folder, state };
        staging.save()?;
        Ok(staging)
    }

    /// The path of a copy.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Has a database copied, unless that is done; the copy gives its generation, or 0.
    pub(super) fn copy(
        &mut self,
        name: &str,
        copy: impl FnOnce(&Path) -> Result<u64, BackupError>,
    ) -> Result<(), BackupError> {
        if self.state.copied.iter().any(|(known, _)| known == name) {
            return Ok(());
        }
        let path = self.path(name);
        if path.exists() {
            erase::file(&path)?;
        }
        let generation = copy(&path)?;
        File::open(&path)?.sync_all()?;
        if generation != 0 {
            self.state.about.generation = generation;
        }
        self.state.copied.push((name.to_owned(), hash_of(&path)?));
        self.save()
    }

    /// Opens the unfinished file where it can go on; else begins it with a new head.
    pub(super) fn stream(
        &self,
        part: &Path,
        lock: &Lock,
        sealer: &Sealer,
    ) -> Result<Going, BackupError> {
        if let Some(going) = self.going_on(part, lock, sealer) {
            return Ok(going);
        }
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(part)?;
        // Before the head: a key that is known here has a file that begins with its head.
        let _ = fs::remove_file(self.path(STREAM));
        let mut head = Vec::new();
        let key = envelope::write(&mut head, lock)?;
        file.write_all(&head)?;
        file.sync_all()?;
        let length = head.len() as u64;
        let secret = Zeroizing::new([&key[..], &lock.mark(), &length.to_le_bytes()].concat());
        let note = private(&self.path(SYNCED))?;
        note.write_all_at(&length.to_le_bytes(), 0)?;
        note.sync_all()?;
        self.write(STREAM, &sealer.seal(SEALED_AS, &secret)?)?;
        Ok(Going {
            file,
            length,
            note,
            key,
            pieces: 0,
        })
    }

    fn going_on(&self, part: &Path, lock: &Lock, sealer: &Sealer) -> Option<Going> {
        let sealed = fs::read(self.path(STREAM)).ok()?;
        let secret = sealer.unseal(SEALED_AS, &sealed).ok()?;
        let (key, rest) = secret.split_first_chunk::<KEY_BYTES>()?;
        let (mark, head) = rest.split_first_chunk::<KEY_BYTES>()?;
        let head = u64::from_le_bytes(head.try_into().ok()?);
        if *mark != lock.mark() {
            return None;
        }
        let note = OpenOptions::new()
            .read(true)
            .write(true)
            .open(self.path(SYNCED))
            .ok()?;
        let mut synced = [0; 8];
        note.read_exact_at(&mut synced, 0).ok()?;
        let mut file = OpenOptions::new().write(true).open(part).ok()?;
        let there = u64::from_le_bytes(synced);
        if file.metadata().ok()?.len() < there {
            return None;
        }
        // Whole pieces, and never the last one: what follows it decides how it is sealed.
        let pieces = (there.checked_sub(head)? / SEALED_PIECE).saturating_sub(1);
        let length = head + pieces * SEALED_PIECE;
        file.set_len(length).ok()?;
        file.seek(SeekFrom::End(0)).ok()?;
        Some(Going {
            file,
            length,
            note,
            key: Zeroizing::new(*key),
            pieces,
        })
    }

    fn save(&self) -> Result<(), BackupError> {
        let state = serde_json::to_vec(&self.state).map_err(io::Error::from)?;
        self.write(STATE, &state)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), BackupError> {
        let beside = self.path("new");
        let mut file = private(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&beside, self.path(name))?;
        Ok(File::open(&self.folder)?.sync_all()?)
    }
}

/// When what lies there was begun, Unix seconds; `None` if that cannot be told.
pub(super) fn begun(data: &Path) -> Option<i64> {
    let state = fs::read(data.join(FOLDER).join(STATE)).ok()?;
    let state: State = serde_json::from_slice(&state).ok()?;
    Some(state.about.taken_unix_s)
}

/// Overwrites and removes everything.
pub(super) fn sweep(data: &Path) -> Result<(), BackupError> {
    let folder = data.join(FOLDER);
    let entries = match fs::read_dir(&folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    for entry in entries {
        erase::file(&entry?.path())?;
    }
    Ok(fs::remove_dir(&folder)?)
}

fn private(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
}

pub(super) fn hash_of(path: &Path) -> io::Result<String> {
    let mut hasher = blake3::Hasher::new();
    io::copy(&mut reader(File::open(path)?), &mut hasher)?;
    Ok(hasher.finalize().to_hex().to_string())
}
