//! Taking a backup, beside a running server or without one. The databases are copied slowly, of
//! one generation each, to a folder of the data directory; the copies are zeroed afterwards. One
//! that was cut goes on where it was (`staging`).

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufWriter};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::archive::{AUDIT, About, FORM, PKI, Packing, STORE};
use super::keys::Lock;
use super::paced::{Pace, Paced};
use super::staging::{self, Going, Staging};
use super::stream::Sealing;
use super::target::{Target, folder_of};
use super::withdrawals::{self, Withdrawals, hex};
use super::{BackupError, shelf};
use crate::config;
use crate::limits::BACKUP_RESUME_S;
use crate::secrets::{KEY_FILE, Sealer};
use crate::store::{Reader, SettingKey, WithdrawalKey, copy_beside};

const LOCK: &str = "backup.lock";
/// Pairs of looks at the certificates until both are the same.
const LOOKS: usize = 8;

/// What is to be backed up, and where to.
pub struct Order {
    /// The site's data directory.
    pub data: PathBuf,
    /// Where to.
    pub target: Target,
    /// Who can open it.
    pub lock: Lock,
    /// How long backups are kept.
    pub days: u32,
    /// The time, Unix seconds.
    pub now_unix_s: i64,
    /// How old one that was cut may be to be gone on with: [`kept_s`].
    pub kept_s: i64,
}

/// What was backed up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// The file.
    pub path: PathBuf,
    /// Its length.
    pub bytes: u64,
    /// When the moment was that it holds, Unix seconds.
    pub taken_unix_s: i64,
    /// The store's generation in it.
    pub generation: u64,
    /// Bytes of it that an earlier run had written, which was cut.
    pub resumed_bytes: u64,
    /// Backups whose time was over, and that went.
    pub expired: Vec<PathBuf>,
}

/// How long copies of a backup that was cut are kept, seconds from its beginning: people may be
/// withdrawn meanwhile, and the other half of the period is for going on, or for zeroing.
#[must_use]
pub fn kept_s(erasure_period_s: u64) -> i64 {
    i64::try_from(erasure_period_s / 2).map_or(BACKUP_RESUME_S, |half| half.min(BACKUP_RESUME_S))
}

/// Takes a backup, or goes on with one that was cut no longer ago than the order says.
///
/// # Errors
/// [`BackupError::Refused`] where another is being taken or the file is there; those of files,
/// the store and keys; also if only the list of withdrawals beside it cannot be written. After one
/// of files what was begun stays, to be gone on with; after any other, without room, or if it does
/// not fit what was written, it is removed.
pub fn take(order: &Order) -> Result<Taken, BackupError> {
    let data = &order.data;
    let Some(_only) = only_one(data)? else {
        let why = "another backup is being taken".to_owned();
        return Err(BackupError::Refused(why));
    };
    let reader = Reader::open_beside(data)?;
    let sealer = Sealer::open(data)?;
    let site = site_id(&reader)?;
    let mut staging = match Staging::left(order, &site) {
        Some(left) => left,
        None => begin(order, &site)?,
    };
    let path = staging.state.target.clone();
    let (part, folder) = (path.with_extension("part"), folder_of(&path));
    let packed = pack(order, &mut staging, &part, &sealer).and_then(|packed| {
        // After the copy: whoever was withdrawn meanwhile is in the list. Before the backup has its
        // name: without the list it would bring them back.
        save_withdrawals(&reader, &sealer, &folder, order.now_unix_s).map_err(listless)?;
        Ok(packed)
    });
    let (bytes, resumed_bytes) = match packed {
        Ok(packed) => packed,
        Err(error) => {
            if !may_go_on(&error) {
                let _ = fs::remove_file(&part);
                staging::sweep(data)?;
            }
            return Err(error);
        }
    };
    let about = staging.state.about;
    fs::rename(&part, &path)?;
    File::open(&folder)?.sync_all()?;
    staging::sweep(data)?;
    let expired = match &order.target {
        Target::Folder(folder) => shelf::tidy(folder, &site, order.now_unix_s, order.days)?,
        Target::File(_) => Vec::new(),
    };
    Ok(Taken {
        path,
        bytes,
        taken_unix_s: about.taken_unix_s,
        generation: about.generation,
        resumed_bytes,
        expired,
    })
}

/// Whether a later run may come to another end.
pub(super) fn may_go_on(error: &BackupError) -> bool {
    match error {
        BackupError::Io(error) => !matches!(
            error.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::InvalidData
        ),
        _ => false,
    }
}

/// A backup from its beginning.
fn begin(order: &Order, site: &str) -> Result<Staging, BackupError> {
    let data = &order.data;
    staging::sweep(data)?;
    let path = match &order.target {
        Target::Folder(folder) => folder.join(shelf::name(site, order.now_unix_s)),
        Target::File(file) => file.clone(),
    };
    if path.exists() {
        return Err(BackupError::Refused(format!("{} is there", path.display())));
    }
    let about = About {
        form: FORM,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        site: site.to_owned(),
        taken_unix_s: order.now_unix_s,
        generation: 0,
    };
    let mut small = vec![(config::FILE.to_owned(), fs::read(data.join(config::FILE))?)];
    for (name, bytes) in certificates(data)? {
        small.push((format!("{PKI}{name}"), bytes));
    }
    Staging::begin(data, about, path, small)
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

/// Why there is no backup, if its list of withdrawals could not be written.
fn listless(error: BackupError) -> BackupError {
    match error {
        BackupError::Io(error) => BackupError::Io(io::Error::new(
            error.kind(),
            format!(
                "no backup without its list of withdrawals, which cannot be written: {error}; \
                 mend that and take it again"
            ),
        )),
        other => other,
    }
}

/// Whether copies of a backup lie in the data directory: it is being taken, or was cut.
#[must_use]
pub fn is_begun(data: &Path) -> bool {
    data.join(staging::FOLDER).exists()
}

/// Erases copies that a backup left in the data directory which was cut longer ago than `after_s`;
/// not those of one that is being taken.
///
/// # Errors
/// Those of files.
pub fn sweep(data: &Path, now_unix_s: i64, after_s: i64) -> Result<(), BackupError> {
    if !is_begun(data) {
        return Ok(());
    }
    let Some(_only) = only_one(data)? else {
        return Ok(());
    };
    let begun = staging::begun(data);
    if begun.is_some_and(|begun| (0..=after_s).contains(&(now_unix_s - begun))) {
        return Ok(());
    }
    staging::sweep(data)
}

/// The same, however short a time ago it was cut.
///
/// # Errors
/// Those of files.
pub fn sweep_all(data: &Path) -> Result<(), BackupError> {
    // No time is within an empty span.
    sweep(data, 0, -1)
}

/// The site's id as hexadecimal digits.
pub(super) fn site_id(reader: &Reader) -> Result<String, BackupError> {
    Ok(hex(&reader
        .setting(SettingKey::SITE_ID)?
        .unwrap_or_default()))
}

/// The lock of whoever takes a backup; `None` while another has it.
fn only_one(data: &Path) -> io::Result<Option<File>> {
    let lock = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(data.join(LOCK))?;
    match lock.try_lock() {
        Ok(()) => Ok(Some(lock)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Copies what is not copied yet, and writes the encrypted file; gives its length, and how much of
/// it was there.
fn pack(
    order: &Order,
    staging: &mut Staging,
    part: &Path,
    sealer: &Sealer,
) -> Result<(u64, u64), BackupError> {
    let data = &order.data;
    let mut pace = Pace::new();
    staging.copy(STORE, |to| {
        Ok(copy_beside(&data.join(STORE), to, true, |bytes| {
            pace.spend(bytes)
        })?)
    })?;
    staging.copy(AUDIT, |to| {
        Ok(copy_beside(&data.join(AUDIT), to, false, |bytes| {
            pace.spend(bytes)
        })?)
    })?;
    let Going {
        file,
        length,
        note,
        key,
        pieces,
    } = staging.stream(part, &order.lock, sealer)?;
    let resumed = if pieces == 0 { 0 } else { length };
    let out = BufWriter::with_capacity(1 << 17, Paced::new(file, length, Some(note)));
    let mut packing = Packing::new(Sealing::behind(out, &key, pieces)?, &staging.state.about)?;
    for (name, bytes) in &staging.state.small {
        packing.bytes(name, bytes)?;
    }
    packing.bytes(KEY_FILE, &Sealer::key_bytes(data)?)?;
    packing.file(STORE, &staging.path(STORE))?;
    packing.file(AUDIT, &staging.path(AUDIT))?;
    let out = packing.finish()?.finish()?;
    let paced = out.into_inner().map_err(io::IntoInnerError::into_error)?;
    paced.file.sync_all()?;
    Ok((paced.file.metadata()?.len(), resumed))
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
