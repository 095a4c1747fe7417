//! Who must not come back with an old backup: withdrawn people and removed devices, as keyed hashes
//! in a small file beside the backups. It is written anew soon after each withdrawal.
//!
//! ```text
//! cardea withdrawals 1
//! site <32 hexadecimal digits>
//! written <Unix seconds>
//! <p or d> <hash, 64 hexadecimal digits> <last number> <Unix seconds>     one for each
//! mac <64 hexadecimal digits>        BLAKE3, keyed, of all above
//! ```
//!
//! The key is a secret of the site, which backups hold: without it the file names nobody, and
//! cannot be changed unnoticed. An older one of the same site can be put in its place.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use super::{BackupError, shelf};
use crate::limits::WITHDRAWALS_FILE_BYTES_MAX;
use crate::store::{Remembered, RememberedKind, WithdrawalKey};

const FIRST_LINE: &str = "cardea withdrawals 1";

/// The list as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Withdrawals {
    /// The site's id, hexadecimal digits.
    pub site: String,
    /// Up to when it is complete, Unix seconds.
    pub written_unix_s: i64,
    /// Who.
    pub entries: Vec<Remembered>,
}

/// Where the list of a site lies in a folder of backups.
#[must_use]
pub fn path_in(folder: &Path, site: &str) -> PathBuf {
    folder.join(format!("withdrawals-{}", shelf::short(site)))
}

impl Withdrawals {
    /// The file's text.
    #[must_use]
    pub fn to_text(&self, key: &WithdrawalKey) -> String {
        let (site, written) = (&self.site, self.written_unix_s);
        let mut text = format!("{FIRST_LINE}\nsite {site}\nwritten {written}\n");
        for entry in &self.entries {
            let hash = hex(&entry.hash);
            let kind = match entry.kind {
                RememberedKind::Person => 'p',
                RememberedKind::Device => 'd',
            };
            let (last, at) = (entry.last_id, entry.at_unix_s);
            text.push_str(&format!("{kind} {hash} {last} {at}\n"));
        }
        let mac = hex(&key.mac(text.as_bytes()));
        text.push_str(&format!("mac {mac}\n"));
        text
    }

    /// Reads a file's text.
    ///
    /// # Errors
    /// [`BackupError::ForeignWithdrawals`] for anything that was not written with this key for
    /// this site.
    pub fn parse(text: &str, key: &WithdrawalKey, site: &str) -> Result<Self, BackupError> {
        parse(text, key, site).ok_or(BackupError::ForeignWithdrawals)
    }

    /// Writes the list beside its place and renames it, so that a crash leaves the old or the new.
    ///
    /// # Errors
    /// Those of files, with the list's path.
    pub fn save(&self, path: &Path, key: &WithdrawalKey) -> Result<(), BackupError> {
        // The server and a backup may write at the same time.
        let beside = path.with_extension(format!("{}.part", std::process::id()));
        let write = || -> io::Result<()> {
            let mut file = File::create(&beside)?;
            file.write_all(self.to_text(key).as_bytes())?;
            file.sync_all()?;
            fs::rename(&beside, path)?;
            if let Some(folder) = path.parent() {
                File::open(folder)?.sync_all()?;
            }
            Ok(())
        };
        write().map_err(|error| {
            let _ = fs::remove_file(&beside);
            let why = format!("{}: {error}", path.display());
            BackupError::Io(io::Error::new(error.kind(), why))
        })
    }

    /// Reads a file.
    ///
    /// # Errors
    /// Those of files; as [`Self::parse`].
    pub fn load(path: &Path, key: &WithdrawalKey, site: &str) -> Result<Self, BackupError> {
        let mut text = String::new();
        File::open(path)?
            .take(WITHDRAWALS_FILE_BYTES_MAX + 1)
            .read_to_string(&mut text)
            .map_err(|_| BackupError::ForeignWithdrawals)?;
        if text.len() as u64 > WITHDRAWALS_FILE_BYTES_MAX {
            return Err(BackupError::ForeignWithdrawals);
        }
        Self::parse(&text, key, site)
    }
}

fn parse(text: &str, key: &WithdrawalKey, site: &str) -> Option<Withdrawals> {
    let end = text.rfind("mac ")?;
    let (listed, mac) = text.split_at(end);
    let mac = mac.strip_prefix("mac ")?.strip_suffix('\n')?;
    if !key.authenticates(listed.as_bytes(), &unhex(mac)?) {
        return None;
    }
    let mut lines = listed.lines();
    if lines.next()? != FIRST_LINE || lines.next()?.strip_prefix("site ")? != site {
        return None;
    }
    let written_unix_s = lines.next()?.strip_prefix("written ")?.parse().ok()?;
    let entries = lines.map(entry).collect::<Option<Vec<_>>>()?;
    Some(Withdrawals {
        site: site.to_owned(),
        written_unix_s,
        entries,
    })
}

fn entry(line: &str) -> Option<Remembered> {
    let mut words = line.split(' ');
    let kind = match words.next()? {
        "p" => RememberedKind::Person,
        "d" => RememberedKind::Device,
        _ => return None,
    };
    Some(Remembered {
        kind,
        hash: unhex(words.next()?)?,
        last_id: words.next()?.parse().ok()?,
        at_unix_s: words.next()?.parse().ok()?,
    })
}

/// Hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list() -> (WithdrawalKey, Withdrawals) {
        let key = WithdrawalKey::new([7; 32]);
        let entry = |kind, name: &str, last_id| Remembered {
            kind,
            hash: key.hash(kind, name),
            last_id,
            at_unix_s: 1_795_000_000,
        };
        let entries = vec![
            entry(RememberedKind::Person, "E-1", 4),
            entry(RememberedKind::Device, "front", 1),
        ];
        let list = Withdrawals {
            site: "00ff".to_owned(),
            written_unix_s: 1_795_000_001,
            entries,
        };
        (key, list)
    }

    /// Fails if, for example, the mac does not cover the site or a line.
    #[test]
    fn the_list_reads_back_and_no_changed_one_does() {
        let (key, list) = list();
        let text = list.to_text(&key);
        assert!(!text.contains("E-1"), "it names nobody");
        assert_eq!(
            Withdrawals::parse(&text, &key, "00ff").expect("as written"),
            list
        );
        for at in 0..text.len() {
            let mut changed = text.clone().into_bytes();
            changed[at] ^= 1;
            let changed = String::from_utf8_lossy(&changed).into_owned();
            assert!(
                Withdrawals::parse(&changed, &key, "00ff").is_err(),
                "byte {at}"
            );
        }
        let lines: Vec<_> = text.split_inclusive('\n').collect();
        let fewer = [&lines[..3], &lines[4..]].concat().concat();
        assert!(Withdrawals::parse(&fewer, &key, "00ff").is_err());
        let other = WithdrawalKey::new([8; 32]);
        assert!(Withdrawals::parse(&text, &other, "00ff").is_err());
        assert!(Withdrawals::parse(&text, &key, "00fe").is_err());
    }
}
