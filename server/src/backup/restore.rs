//! Making the site again from a backup, in a directory that holds none. `cardea.toml` is written
//! last: until then it is no site, and an interrupted restore is begun anew.

use std::fs::{self, File};
use std::io::{self, BufReader, Read as _};
use std::path::{Path, PathBuf};

use super::archive::{self, AUDIT, PKI, STORE};
use super::keys::Opener;
use super::stream::Opening;
use super::take::site_id;
use super::target::folder_of;
use super::withdrawals::{self, Withdrawals};
use super::{BackupError, envelope};
use crate::config::{self, Config};
use crate::limits::REMEMBERED_FACTOR;
use crate::pki::SitePki;
use crate::secrets::{KEY_FILE, Sealer, write_new};
use crate::site::rfc3339;
use crate::store::{DataDirectory, Store, WithdrawalKey, WithdrawnAgain};

/// Lies in a directory while it is being restored.
const MARK: &str = "restore.incomplete";

/// What was restored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// When the backup was taken, Unix seconds.
    pub taken_unix_s: i64,
    /// Up to when withdrawals are known, Unix seconds.
    pub withdrawals_unix_s: i64,
    /// Who was in the backup and had been withdrawn later.
    pub again: WithdrawnAgain,
    /// People after that.
    pub people: u64,
    /// Devices after that.
    pub devices: u64,
    /// The list of withdrawals that was read.
    pub list: Option<PathBuf>,
    /// The folder in which the site's server kept its list, when the backup was taken.
    pub kept: Option<PathBuf>,
}

impl Restored {
    /// What is not known of withdrawals, and what to do about it. There is always something: that
    /// nobody was withdrawn after a list was written does not follow from the list.
    #[must_use]
    pub fn warning(&self) -> String {
        let until = rfc3339(self.withdrawals_unix_s);
        let back = format!(
            "whoever was withdrawn after {until} is enrolled again, and devices that were removed \
             after it are known again: withdraw and remove them by hand"
        );
        let Some(list) = &self.list else {
            return format!("WARNING: no list of withdrawals was read: {back}");
        };
        let from = list.display();
        let why = match &self.kept {
            Some(folder) if *folder == folder_of(list) => {
                "nobody, if this is the server's own file and no older copy of it, and the server \
                 ran and could write it after the last withdrawal"
                    .to_owned()
            }
            Some(folder) => format!(
                "the server kept its own list in {}, which may know more than this one",
                folder.display()
            ),
            None => {
                "the site had no backup.directory, so that only its backups wrote a list".to_owned()
            }
        };
        format!("WARNING: {from} knows of withdrawals up to {until}; {back} ({why})")
    }
}

/// Where the withdrawals since the backup are read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Since {
    /// From the list beside the backup, which must be there.
    Beside,
    /// From this file.
    File(PathBuf),
    /// From nowhere: whoever was withdrawn since comes back, and must be withdrawn again by hand.
    Unknown,
}

/// Restores a backup into `data`.
///
/// # Errors
/// [`BackupError::Refused`] where there is a site, or no list of withdrawals; those of the file
/// and its contents. What was unpacked is removed then.
pub fn restore(
    file: &Path,
    data: &Path,
    opener: &Opener,
    since: &Since,
) -> Result<Restored, BackupError> {
    let mut from = BufReader::with_capacity(1 << 17, File::open(file)?);
    let key = envelope::read(&mut from, opener)?;
    let directory = empty(data)?;
    fs::write(data.join(MARK), b"")?;
    let restored = unpack(file, Opening::new(from, &key)?, &directory, since);
    match restored {
        Ok(restored) => {
            fs::remove_file(data.join(MARK))?;
            directory.sync()?;
            Ok(restored)
        }
        Err(error) => {
            let _ = clear(data);
            Err(error)
        }
    }
}

/// The directory, locked, if it holds no site and nothing of anybody else's.
fn empty(data: &Path) -> Result<DataDirectory, BackupError> {
    let refused = |why: String| Err(BackupError::Refused(why));
    if data.join(config::FILE).exists() {
        return refused(format!("there is a site in {} already", data.display()));
    }
    let directory = DataDirectory::lock(data)?;
    if data.join(MARK).exists() {
        clear(data)?;
    }
    for entry in fs::read_dir(data)? {
        let name = entry?.file_name();
        if name != "lock" && name != "lost+found" {
            return refused(format!("{} is not empty", data.display()));
        }
    }
    Ok(directory)
}

fn clear(data: &Path) -> Result<(), BackupError> {
    let gone = |removed: io::Result<()>| match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    };
    gone(fs::remove_dir_all(data.join(PKI)))?;
    for name in [STORE, AUDIT] {
        for ending in ["", "-wal", "-shm", "-journal"] {
            gone(fs::remove_file(data.join(format!("{name}{ending}"))))?;
        }
    }
    gone(fs::remove_file(data.join(KEY_FILE)))?;
    Ok(gone(fs::remove_file(data.join(MARK)))?)
}

fn unpack(
    file: &Path,
    opening: Opening<BufReader<File>>,
    directory: &DataDirectory,
    since: &Since,
) -> Result<Restored, BackupError> {
    let data = directory.path();
    let unpacked = archive::unpack(opening, data).map_err(told)?;
    // To the end: only then is it known that nothing was cut off.
    let mut rest = unpacked.rest;
    io::copy(&mut rest.by_ref(), &mut io::sink()).map_err(|error| told(BackupError::Io(error)))?;
    let config = Config::parse(&unpacked.config)?;
    let sealer = Sealer::open(data)?;
    SitePki::open(data, &sealer)
        .map_err(|error| BackupError::Refused(format!("certificates of the backup: {error}")))?;

    let mut store = Store::open(directory)?;
    store.check()?;
    let site = site_id(store.read())?;
    if site != unpacked.about.site {
        return Err(BackupError::NotABackup);
    }
    let taken_unix_s = unpacked.about.taken_unix_s;
    let list = match since {
        Since::Unknown => None,
        Since::Beside => Some(withdrawals::path_in(&folder_of(file), &site)),
        Since::File(path) => Some(path.clone()),
    };
    let (again, withdrawals_unix_s) = match &list {
        None => (WithdrawnAgain::default(), taken_unix_s),
        Some(path) => {
            let (key, list) = read(&store, &sealer, &site, path)?;
            covers(&list, taken_unix_s, config.backup.days)?;
            store.remember_with(key);
            store.remembered_merge(&list.entries)?;
            (store.withdraw_again()?, list.written_unix_s)
        }
    };
    let counts = store.read().counts()?;
    store.erase_log()?;
    drop(store);
    write_new(&data.join(config::FILE), unpacked.config.as_bytes(), 0o640)?;
    Ok(Restored {
        taken_unix_s,
        withdrawals_unix_s,
        again,
        people: counts.people,
        devices: counts.devices,
        list: list.map(whole),
        kept: config.backup.directory.map(whole),
    })
}

/// A path as another can be held against it; as it is where there is nothing.
fn whole(path: PathBuf) -> PathBuf {
    path.canonicalize().unwrap_or(path)
}

/// The list of withdrawals and its key.
fn read(
    store: &Store,
    sealer: &Sealer,
    site: &str,
    path: &Path,
) -> Result<(WithdrawalKey, Withdrawals), BackupError> {
    let key = WithdrawalKey::of_site(store.read(), sealer)?;
    let (Some(key), true) = (key, path.exists()) else {
        let why = format!(
            "{} is not there: it says who was withdrawn since. Give it with --withdrawals, or \
             --withdrawals-unknown if it is lost; then withdraw those people again",
            path.display()
        );
        return Err(BackupError::Refused(why));
    };
    let list = Withdrawals::load(path, &key, site)?;
    Ok((key, list))
}

/// Refuses a list that does not reach from the backup to its own end.
fn covers(list: &Withdrawals, taken_unix_s: i64, days: u32) -> Result<(), BackupError> {
    if list.written_unix_s < taken_unix_s {
        let why = format!(
            "the list of withdrawals is of {}, older than the backup: give the newest with \
             --withdrawals, or --withdrawals-unknown if it is lost; then withdraw those people \
             again",
            rfc3339(list.written_unix_s)
        );
        return Err(BackupError::Refused(why));
    }
    let remembered_days = REMEMBERED_FACTOR * i64::from(days);
    if list.written_unix_s - taken_unix_s > remembered_days * 86_400 {
        let why = format!(
            "the backup is more than {remembered_days} days older than the list of withdrawals, \
             which does not reach back so far; --withdrawals-unknown restores it all the same"
        );
        return Err(BackupError::Refused(why));
    }
    Ok(())
}

/// An error that came out of the encrypted bytes, by its own name.
fn told(error: BackupError) -> BackupError {
    match error {
        BackupError::Io(io) if io.kind() == io::ErrorKind::InvalidData => BackupError::Damaged,
        BackupError::Io(io) if io.kind() == io::ErrorKind::UnexpectedEof => BackupError::Damaged,
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Somebody came back with a list that was as old as the backup, and nothing said so. Fails if
    /// `warning` leaves out from when on it knows nothing, or where a newer list may be.
    #[test]
    fn what_is_not_known_of_withdrawals_is_said() {
        let of = |list: Option<&str>, kept: Option<&str>| {
            let restored = Restored {
                taken_unix_s: 0,
                withdrawals_unix_s: 1_795_000_000,
                again: WithdrawnAgain::default(),
                people: 1,
                devices: 1,
                list: list.map(PathBuf::from),
                kept: kept.map(PathBuf::from),
            };
            restored.warning()
        };
        let (own, copy) = (Some("/b/withdrawals-1"), Some("/c/withdrawals-1"));
        for (list, kept, said) in [
            (None, None, "no list of withdrawals was read"),
            (None, Some("/b"), "no list of withdrawals was read"),
            (own, Some("/b"), "no older copy of it"),
            (copy, Some("/b"), "kept its own list in /b,"),
            (own, None, "no backup.directory"),
        ] {
            let warning = of(list, kept);
            assert!(warning.starts_with("WARNING: "), "{warning}");
            assert!(warning.contains("after 2026-11-18T11:06:40Z"), "{warning}");
            assert!(warning.contains(said), "{warning}");
        }
    }

    /// Fails if a backup is taken that the list does not reach back to.
    #[test]
    fn a_list_covers_from_the_backup_to_its_own_end() {
        let day = 86_400;
        let list = Withdrawals {
            site: String::new(),
            written_unix_s: 1_000 * day,
            entries: Vec::new(),
        };
        for (taken_days, due) in [(1_001, false), (1_000, true), (940, true), (939, false)] {
            let covered = covers(&list, taken_days * day, 30).is_ok();
            assert_eq!(covered, due, "{taken_days}");
        }
    }
}
