//! What lies inside a backup: a tar of plain files, the first says what it is a backup of, the last
//! has the BLAKE3 of each. Names are a closed set: an archive that holds anything else is refused.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use serde::{Deserialize, Serialize};
use tar::{Archive, Builder, EntryType, Header};

use super::BackupError;
use super::paced::reader;
use crate::config;
use crate::limits::{BACKUP_ENTRIES_MAX, BACKUP_SMALL_FILE_BYTES_MAX};
use crate::secrets::KEY_FILE;

/// The form of what is inside.
pub(super) const FORM: u32 = 1;
pub(super) const STORE: &str = "store.db";
pub(super) const AUDIT: &str = "audit.db";
pub(super) const PKI: &str = "pki/";
const ABOUT: &str = "about.json";
const CHECKSUMS: &str = "checksums.json";

/// What a backup is of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct About {
    /// [`FORM`].
    pub(super) form: u32,
    /// The version of the program that took it.
    pub(super) version: String,
    /// The site's id, hexadecimal digits.
    pub(super) site: String,
    /// When, Unix seconds.
    pub(super) taken_unix_s: i64,
    /// The store's generation.
    pub(super) generation: u64,
}

/// Packs files.
pub(super) struct Packing<W: Write> {
    tar: Builder<W>,
    checksums: Vec<(String, String)>,
}

impl<W: Write> Packing<W> {
    pub(super) fn new(out: W, about: &About) -> Result<Self, BackupError> {
        let mut packing = Self {
            tar: Builder::new(out),
            checksums: Vec::new(),
        };
        let about = serde_json::to_vec_pretty(about).map_err(io::Error::from)?;
        packing.bytes(ABOUT, &about)?;
        Ok(packing)
    }

    pub(super) fn bytes(&mut self, name: &str, bytes: &[u8]) -> Result<(), BackupError> {
        self.entry(name, bytes.len() as u64, bytes)
    }

    /// A file that nobody changes meanwhile, read slowly: what is there already of a backup that
    /// goes on is not written again, and nothing else would hold the reading back.
    pub(super) fn file(&mut self, name: &str, path: &Path) -> Result<(), BackupError> {
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        self.entry(name, length, reader(file))
    }

    fn entry(&mut self, name: &str, length: u64, from: impl Read) -> Result<(), BackupError> {
        let mut header = Header::new_gnu();
        header.set_size(length);
        header.set_mode(mode_of(name));
        header.set_entry_type(EntryType::Regular);
        let mut hashed = Hashed::new(from.take(length));
        self.tar.append_data(&mut header, name, &mut hashed)?;
        self.checksums.push((name.to_owned(), hashed.hex()));
        Ok(())
    }

    pub(super) fn finish(mut self) -> Result<W, BackupError> {
        let checksums = serde_json::to_vec_pretty(&self.checksums).map_err(io::Error::from)?;
        self.bytes(CHECKSUMS, &checksums)?;
        Ok(self.tar.into_inner()?)
    }
}

/// What was unpacked beside the files.
pub(super) struct Unpacked<R> {
    pub(super) about: About,
    /// The text of `cardea.toml`, which makes a directory a site: to be written last.
    pub(super) config: String,
    /// The reader, at the archive's end.
    pub(super) rest: R,
}

/// Unpacks into `data`: databases, certificates, sealing key. None of them may be there.
///
/// # Errors
/// [`BackupError::UnknownEntry`], [`BackupError::ChecksumMismatch`],
/// [`BackupError::NotABackup`]; those of files.
pub(super) fn unpack<R: Read>(from: R, data: &Path) -> Result<Unpacked<R>, BackupError> {
    let mut archive = Archive::new(from);
    let mut found: Vec<(String, String)> = Vec::new();
    let (mut about, mut config, mut checksums) = (None, None, None);
    for entry in archive.entries()? {
        let mut entry = entry?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let unknown = entry.header().entry_type() != EntryType::Regular
            || found.len() >= BACKUP_ENTRIES_MAX
            || found.iter().any(|(seen, _)| *seen == name)
            || checksums.is_some();
        if unknown {
            return Err(BackupError::UnknownEntry { name });
        }
        let mut hashed = Hashed::new(&mut entry);
        match name.as_str() {
            ABOUT => about = Some(parse_about(&small(&mut hashed)?)?),
            config::FILE => {
                let text = String::from_utf8(small(&mut hashed)?);
                config = Some(text.map_err(|_| BackupError::NotABackup)?);
            }
            CHECKSUMS => {
                let listed: Vec<(String, String)> = serde_json::from_slice(&small(&mut hashed)?)
                    .map_err(|_| BackupError::NotABackup)?;
                checksums = Some(listed);
                continue;
            }
            _ if is_file_of_a_site(&name) => write_file(&data.join(&name), &mut hashed)?,
            _ => return Err(BackupError::UnknownEntry { name }),
        }
        found.push((name, hashed.hex()));
    }
    let listed = checksums.ok_or(BackupError::Damaged)?;
    for (name, sum) in &listed {
        if !found.contains(&(name.clone(), sum.clone())) {
            return Err(BackupError::ChecksumMismatch { name: name.clone() });
        }
    }
    let complete = listed.len() == found.len();
    match (about, config, complete) {
        (Some(about), Some(config), true) => Ok(Unpacked {
            about,
            config,
            rest: archive.into_inner(),
        }),
        _ => Err(BackupError::NotABackup),
    }
}

fn parse_about(bytes: &[u8]) -> Result<About, BackupError> {
    let about: About = serde_json::from_slice(bytes).map_err(|_| BackupError::NotABackup)?;
    if about.form != FORM {
        return Err(BackupError::NotABackup);
    }
    Ok(about)
}

fn small(from: &mut impl Read) -> Result<Vec<u8>, BackupError> {
    let mut bytes = Vec::new();
    from.take(BACKUP_SMALL_FILE_BYTES_MAX + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > BACKUP_SMALL_FILE_BYTES_MAX {
        return Err(BackupError::NotABackup);
    }
    Ok(bytes)
}

fn is_file_of_a_site(name: &str) -> bool {
    let plain = |name: &str| {
        !name.starts_with('.')
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte))
    };
    match name.strip_prefix(PKI) {
        Some(name) => !name.is_empty() && plain(name),
        None => [STORE, AUDIT, KEY_FILE].contains(&name),
    }
}

fn write_file(path: &Path, from: &mut impl Read) -> Result<(), BackupError> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let name = path.to_string_lossy();
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode_of(&name))
        .open(path)?;
    io::copy(from, &mut file)?;
    Ok(file.sync_all()?)
}

fn mode_of(name: &str) -> u32 {
    if name.ends_with(KEY_FILE) {
        0o400
    } else if name.ends_with(".der") {
        0o644
    } else {
        0o600
    }
}

/// Hashes what is read through it.
struct Hashed<R> {
    from: R,
    hasher: blake3::Hasher,
}

impl<R> Hashed<R> {
    fn new(from: R) -> Self {
        Self {
            from,
            hasher: blake3::Hasher::new(),
        }
    }

    fn hex(&self) -> String {
        self.hasher.finalize().to_hex().to_string()
    }
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(to)?;
        self.hasher.update(&to[..read]);
        Ok(read)
    }
}
