//! Taking a backup, beside a running server or without one. The databases are copied slowly, of
//! one generation each, to a folder of the data directory; the copies are zeroed afterwards.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::archive::{AUDIT, About, FORM, PKI, Packing, STORE};
use super::keys::Lock;
use super::stream::Sealing;
use super::withdrawals::{self, Withdrawals, hex};
use super::{BackupError, envelope, shelf};
use crate::config;
use crate::limits::{BACKUP_BYTES_PER_S, BACKUP_SYNC_BYTES};
use crate::secrets::{KEY_FILE, Sealer};
use crate::store::{Reader, SettingKey, WithdrawalKey, copy_beside};

/// Where the copies lie while a backup is packed.
const STAGING: &str = "backup.staging";
const LOCK: &str = "backup.lock";
/// Pairs of looks at the certificates until both are the same.
const LOOKS: usize = 8;

/// What is to be backed up, and where to.
pub struct Order {
    /// The site's data directory.
    pub data: PathBuf,
    /// A file that is not there, or a folder: then the name is made, and old backups go.
    pub target: PathBuf,
    /// Who can open it.
    pub lock: Lock,
    /// How long backups are kept.
    pub days: u32,
    /// The time, Unix seconds.
    pub now_unix_s: i64,
}

/// What was backed up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// The file.
    pub path: PathBuf,
    /// Its length.
    pub bytes: u64,
    /// The store's generation in it.
    pub generation: u64,
    /// Backups whose time was over, and that went.
    pub expired: Vec<PathBuf>,
}

/// Takes a backup.
///
/// # Errors
/// [`BackupError::Refused`] where another is being taken or the file is there; those of files,
/// the store and keys. What was begun is removed then.
pub fn take(order: &Order) -> Result<Taken, BackupError> {
    let data = &order.data;
    let _only = only_one(data)?;
    sweep_held(data)?;
    let reader = Reader::open_beside(data)?;
    let sealer = Sealer::open(data)?;
    let site = site_id(&reader)?;
    let in_folder = order.target.is_dir();
    let path = if in_folder {
        order.target.join(shelf::name(&site, order.now_unix_s))
    } else {
        order.target.clone()
    };
    if path.exists() {
        return Err(BackupError::Refused(format!("{} is there", path.display())));
    }
    let folder = folder_of(&path);
    let part = path.with_extension("part");
    let packed = pack(order, &part, &site);
    let swept = sweep_held(data);
    let (bytes, generation) = match packed {
        Ok(packed) => packed,
        Err(error) => {
            let _ = fs::remove_file(&part);
            return Err(error);
        }
    };
    swept?;
    fs::rename(&part, &path)?;
    File::open(&folder)?.sync_all()?;
    // After the copy: whoever was withdrawn meanwhile is in the list.
    save_withdrawals(&reader, &sealer, &folder, order.now_unix_s)?;
    let expired = if in_folder {
        shelf::tidy(&folder, &site, order.now_unix_s, order.days)?
    } else {
        Vec::new()
    };
    Ok(Taken {
        path,
        bytes,
        generation,
        expired,
    })
}

/// Writes the list of withdrawals of a site into a folder of backups.
///
/// # Errors
/// Those of files, the store and keys.
pub fn export_withdrawals(data: &Path, folder: &Path, now_unix_s: i64) -> Result<(), BackupError> {
    let (reader, sealer) = (Reader::open_beside(data)?, Sealer::open(data)?);
    save_withdrawals(&reader, &sealer, folder, now_unix_s)
}

fn save_withdrawals(
    reader: &Reader,
    sealer: &Sealer,
    folder: &Path,
    now_unix_s: i64,
) -> Result<(), BackupError> {
    let Some(key) = WithdrawalKey::of_site(reader, sealer)? else {
        return Ok(());
    };
    let site = site_id(reader)?;
    let list = Withdrawals {
        written_unix_s: now_unix_s,
        entries: reader.remembered()?,
        site,
    };
    list.save(&withdrawals::path_in(folder, &list.site), &key)
}

/// Erases copies that an interrupted backup left in the data directory; not those of one that is
/// being taken.
///
/// # Errors
/// Those of files; [`BackupError::Refused`] while a backup is being taken.
pub fn sweep(data: &Path) -> Result<(), BackupError> {
    if !data.join(STAGING).exists() {
        return Ok(());
    }
    let _only = only_one(data)?;
    sweep_held(data)
}

fn sweep_held(data: &Path) -> Result<(), BackupError> {
    let staging = data.join(STAGING);
    let entries = match fs::read_dir(&staging) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    for entry in entries {
        zero(&entry?.path())?;
    }
    Ok(fs::remove_dir(&staging)?)
}

/// The site's id as hexadecimal digits.
pub(super) fn site_id(reader: &Reader) -> Result<String, BackupError> {
    Ok(hex(&reader
        .setting(SettingKey::SITE_ID)?
        .unwrap_or_default()))
}

pub(super) fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}

fn only_one(data: &Path) -> Result<File, BackupError> {
    let lock = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(data.join(LOCK))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => {
            let why = "another backup is being taken".to_owned();
            Err(BackupError::Refused(why))
        }
        Err(TryLockError::Error(error)) => Err(error.into()),
    }
}

/// Writes the encrypted file; gives its length and the store's generation.
fn pack(order: &Order, part: &Path, site: &str) -> Result<(u64, u64), BackupError> {
    let data = &order.data;
    let staging = data.join(STAGING);
    fs::DirBuilder::new().mode(0o700).create(&staging)?;
    let mut pace = Pace::new();
    let (store, audit) = (staging.join(STORE), staging.join(AUDIT));
    let generation = copy_beside(&data.join(STORE), &store, true, |bytes| pace.spend(bytes))?;
    copy_beside(&data.join(AUDIT), &audit, false, |bytes| pace.spend(bytes))?;

    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(part)?;
    let mut out = BufWriter::with_capacity(1 << 17, Paced { file, pace });
    let key = envelope::write(&mut out, &order.lock)?;
    let about = About {
        form: FORM,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        site: site.to_owned(),
        taken_unix_s: order.now_unix_s,
        generation,
    };
    let mut packing = Packing::new(Sealing::new(out, &key)?, &about)?;
    packing.file(config::FILE, &data.join(config::FILE))?;
    packing.bytes(KEY_FILE, &Sealer::key_bytes(data)?)?;
    for (name, bytes) in certificates(data)? {
        packing.bytes(&format!("{PKI}{name}"), &bytes)?;
    }
    packing.file(STORE, &store)?;
    packing.file(AUDIT, &audit)?;
    let out = packing.finish()?.finish()?;
    let paced = out.into_inner().map_err(io::IntoInnerError::into_error)?;
    paced.file.sync_all()?;
    Ok((paced.file.metadata()?.len(), generation))
}

/// The files of the folder `pki`, as one set: while one is put in the place of another, two looks
/// differ.
fn certificates(data: &Path) -> Result<Vec<(String, Vec<u8>)>, BackupError> {
    let look = || -> io::Result<Vec<(String, Vec<u8>)>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(data.join(PKI))? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            files.push((name, fs::read(entry.path())?));
        }
        files.sort();
        Ok(files)
    };
    for _ in 0..LOOKS {
        if let (Ok(first), Ok(second)) = (look(), look())
            && first == second
        {
            return Ok(first);
        }
    }
    let why = "the certificates change all the time".to_owned();
    Err(BackupError::Refused(why))
}

fn zero(path: &Path) -> Result<(), BackupError> {
    let file = OpenOptions::new().write(true).open(path)?;
    let mut left = file.metadata()?.len();
    let mut out = Paced {
        file,
        pace: Pace::new(),
    };
    let zeros = vec![0; 1 << 16];
    while left > 0 {
        let piece = left.min(zeros.len() as u64);
        out.write_all(&zeros[..piece as usize])?;
        left -= piece;
    }
    out.file.sync_all()?;
    Ok(fs::remove_file(path)?)
}

/// Keeps the disk for those who wait for it: so many bytes a second on average, and never many
/// that are not on the disk yet, which the audit's next sync would have to wait for.
struct Pace {
    began: Instant,
    bytes: u64,
}

impl Pace {
    fn new() -> Self {
        Self {
            began: Instant::now(),
            bytes: 0,
        }
    }

    fn spend(&mut self, bytes: u64) {
        self.bytes += bytes;
        if let Some(rest) = due(self.bytes).checked_sub(self.began.elapsed()) {
            std::thread::sleep(rest);
        }
    }
}

/// How long so many bytes take at the pace.
fn due(bytes: u64) -> Duration {
    Duration::from_micros(bytes.saturating_mul(1_000_000) / BACKUP_BYTES_PER_S)
}

struct Paced {
    file: File,
    pace: Pace,
}

impl Write for Paced {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let before = self.pace.bytes;
        let written = self.file.write(bytes)?;
        self.pace.spend(written as u64);
        if before / BACKUP_SYNC_BYTES != self.pace.bytes / BACKUP_SYNC_BYTES {
            self.file.sync_data()?;
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod pace_tests {
    use super::*;

    /// Fails if the pace is in other units.
    #[test]
    fn a_second_is_a_seconds_worth_of_bytes() {
        assert_eq!(due(BACKUP_BYTES_PER_S), Duration::from_secs(1));
        assert_eq!(due(0), Duration::ZERO);
    }
}
