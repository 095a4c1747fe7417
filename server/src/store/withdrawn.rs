//! Who must not come back with an old backup: people withdrawn and devices removed are remembered
//! by a keyed hash of what the site called them, in the transaction that takes them away.

use std::fmt;

use rusqlite::{Connection, OptionalExtension as _};
use zeroize::Zeroizing;

use super::Store;
use super::error::StoreError;
use super::id::{DeviceId, key, number};
use super::reader::Reader;
use super::settings::SettingKey;
use crate::error::SecretError;
use crate::limits::{REMEMBERED_MAX, WITHDRAW_AGAIN_ROWS};
use crate::secrets::{Sealer, random};

/// The name under which the key is sealed.
const SEALED_AS: &str = "withdrawal-key";
const KEY_BYTES: usize = 32;

/// The key of the hashes: without it nobody can tell whom they name. It leaves memory when dropped.
pub struct WithdrawalKey {
    hash: Zeroizing<[u8; KEY_BYTES]>,
    mac: Zeroizing<[u8; KEY_BYTES]>,
}

/// Of whom a hash is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum RememberedKind {
    /// A person, by external id.
    Person = 1,
    /// A device, by name.
    Device = 2,
}

/// One who was taken away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Remembered {
    /// A person or a device.
    pub kind: RememberedKind,
    /// The keyed hash of the name.
    pub hash: [u8; 32],
    /// Their number then: whoever has the same name and a later number is another.
    pub last_id: u64,
    /// When, Unix time in seconds.
    pub at_unix_s: i64,
}

/// Who was taken away once more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WithdrawnAgain {
    /// People.
    pub people: u64,
    /// Devices.
    pub devices: u64,
}

impl fmt::Debug for WithdrawalKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WithdrawalKey")
    }
}

impl WithdrawalKey {
    /// The keys that come of these bytes.
    #[must_use]
    pub fn new(bytes: [u8; KEY_BYTES]) -> Self {
        let bytes = Zeroizing::new(bytes);
        let derive = |what| Zeroizing::new(blake3::derive_key(what, bytes.as_slice()));
        Self {
            hash: derive("cardea 2026 withdrawals, names"),
            mac: derive("cardea 2026 withdrawals, list"),
        }
    }

    /// The key of a site, if it has one.
    ///
    /// # Errors
    /// Those of a read; [`SecretError`] for one that is not sealed by the site's key.
    pub fn of_site(reader: &Reader, sealer: &Sealer) -> Result<Option<Self>, StoreOrSecret> {
        let Some(sealed) = reader.setting(SettingKey::WITHDRAWAL_KEY)? else {
            return Ok(None);
        };
        let bytes = sealer.unseal(SEALED_AS, &sealed)?;
        let bytes = bytes.as_slice().try_into();
        Ok(Some(Self::new(bytes.map_err(|_| SecretError::BadKey)?)))
    }

    /// A new key, sealed, as it is stored.
    ///
    /// # Errors
    /// [`SecretError`].
    pub fn sealed(sealer: &Sealer) -> Result<Vec<u8>, SecretError> {
        sealer.seal(SEALED_AS, random::<KEY_BYTES>()?.as_slice())
    }

    /// The hash by which a name is remembered.
    #[must_use]
    pub fn hash(&self, kind: RememberedKind, name: &str) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_keyed(&self.hash);
        hasher.update(&[kind as u8]).update(name.as_bytes());
        *hasher.finalize().as_bytes()
    }

    /// What authenticates a list.
    #[must_use]
    pub fn mac(&self, list: &[u8]) -> [u8; 32] {
        *blake3::keyed_hash(&self.mac, list).as_bytes()
    }

    /// Whether this is the mac of that list; in constant time.
    #[must_use]
    pub fn authenticates(&self, list: &[u8], mac: &[u8; 32]) -> bool {
        blake3::keyed_hash(&self.mac, list) == *mac
    }
}

/// Why the key of a site could not be had.
#[derive(Debug)]
pub enum StoreOrSecret {
    /// The store said no.
    Store(StoreError),
    /// It could not be opened.
    Secret(SecretError),
}

impl From<StoreError> for StoreOrSecret {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<SecretError> for StoreOrSecret {
    fn from(error: SecretError) -> Self {
        Self::Secret(error)
    }
}

impl Store {
    /// From here on withdrawals and removals are remembered under this key.
    pub fn remember_with(&mut self, key: WithdrawalKey) {
        self.withdrawal_key = Some(key);
    }

    /// Notes what another list remembers; the later of two of a name stays.
    ///
    /// # Errors
    /// Those of a write.
    pub fn remembered_merge(&mut self, list: &[Remembered]) -> Result<(), StoreError> {
        self.change(list.len(), |db| {
            list.iter().try_for_each(|entry| insert(db, entry))
        })
    }

    /// Forgets who was taken away before this time, as no backup is as old, and the oldest where
    /// there are too many.
    ///
    /// # Errors
    /// Those of a write.
    pub fn remembered_forget(&mut self, before_unix_s: i64) -> Result<usize, StoreError> {
        self.change(1, |db| forget(db, before_unix_s, REMEMBERED_MAX))
    }

    /// Takes everybody away who is remembered and is here all the same: after a restore. Who was
    /// enrolled again since is another, and stays.
    ///
    /// # Errors
    /// Those of a read and of a write.
    pub fn withdraw_again(&mut self) -> Result<WithdrawnAgain, StoreError> {
        let mut again = WithdrawnAgain::default();
        let Some(names) = self.withdrawal_key.as_ref() else {
            return Ok(again);
        };
        let db = &self.reader.db;
        let people = found_again(db, names, RememberedKind::Person)?;
        let devices = found_again(db, names, RememberedKind::Device)?;
        for (_, external_id) in people {
            self.person_withdraw(&external_id)?;
            again.people += 1;
        }
        for (id, _) in devices {
            self.device_remove(DeviceId(id))?;
            again.devices += 1;
        }
        Ok(again)
    }
}

impl Reader {
    /// Everybody who is remembered, by hash.
    ///
    /// # Errors
    /// Those of a read.
    pub fn remembered(&self) -> Result<Vec<Remembered>, StoreError> {
        let mut select = self.db.prepare_cached(
            "SELECT kind, hash, last_id, at FROM remembered ORDER BY hash LIMIT ?1",
        )?;
        let list = select
            .query_map([key(REMEMBERED_MAX)], |row| {
                Ok(Remembered {
                    kind: kind_of(row.get(0)?)?,
                    hash: row.get(1)?,
                    last_id: number(row.get(2)?),
                    at_unix_s: row.get(3)?,
                })
            })?
            .collect::<Result<_, _>>()?;
        Ok(list)
    }
}

/// Remembers who is being taken away, within the transaction; nothing without a key.
pub(super) fn remember(
    db: &Connection,
    names: Option<&WithdrawalKey>,
    kind: RememberedKind,
    (id, name): (u64, &str),
) -> Result<(), StoreError> {
    let Some(names) = names else {
        return Ok(());
    };
    // The transaction's own time: the store has no clock.
    let at_unix_s = db.query_row("SELECT unixepoch()", [], |row| row.get(0))?;
    let hash = names.hash(kind, name);
    insert(
        db,
        &Remembered {
            kind,
            hash,
            last_id: id,
            at_unix_s,
        },
    )
}

fn insert(db: &Connection, entry: &Remembered) -> Result<(), StoreError> {
    db.prepare_cached(
        "INSERT INTO remembered(hash, kind, last_id, at) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT(hash) DO UPDATE SET last_id = excluded.last_id, at = excluded.at
         WHERE excluded.at >= at",
    )?
    .execute((
        entry.hash,
        entry.kind as u8,
        key(entry.last_id),
        entry.at_unix_s,
    ))?;
    Ok(())
}

/// Forgets who went before this time, and the oldest past `max`.
fn forget(db: &Connection, before_unix_s: i64, max: u64) -> Result<usize, StoreError> {
    let old = db
        .prepare_cached("DELETE FROM remembered WHERE at < ?1")?
        .execute([before_unix_s])?;
    let beyond = db
        .prepare_cached(
            "DELETE FROM remembered WHERE hash IN
               (SELECT hash FROM remembered ORDER BY at DESC, hash LIMIT -1 OFFSET ?1)",
        )?
        .execute([key(max)])?;
    Ok(old + beyond)
}

/// Who is here and is remembered, with number and name.
fn found_again(
    db: &Connection,
    names: &WithdrawalKey,
    kind: RememberedKind,
) -> Result<Vec<(u64, String)>, StoreError> {
    let sql = match kind {
        RememberedKind::Person => {
            "SELECT id, external_id, created FROM people WHERE id > ?1 ORDER BY id LIMIT ?2"
        }
        RememberedKind::Device => {
            "SELECT id, name, created FROM devices WHERE id > ?1 ORDER BY id LIMIT ?2"
        }
    };
    let mut page = db.prepare_cached(sql)?;
    let mut look_up = db.prepare_cached("SELECT last_id, at FROM remembered WHERE hash = ?1")?;
    let (mut found, mut after) = (Vec::new(), 0_i64);
    loop {
        let rows = page
            .query_map((after, WITHDRAW_AGAIN_ROWS as i64), |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })?
            .collect::<Result<Vec<(i64, String, i64)>, _>>()?;
        let Some(last) = rows.last() else {
            return Ok(found);
        };
        after = last.0;
        for (id, name, created) in rows {
            let taken: Option<(i64, i64)> = look_up
                .query_row([names.hash(kind, &name)], |row| {
                    Ok((row.get(0)?, row.get(1)?))
                })
                .optional()?;
            if taken.is_some_and(|(last_id, at)| is_the_one(id, created, last_id, at)) {
                found.push((number(id), name));
            }
        }
    }
}

/// Whether somebody of this number and age is who was taken away, and not one of the same name
/// who came later. Numbers decide within a second: they only grow.
fn is_the_one(id: i64, created_unix_s: i64, last_id: i64, taken_unix_s: i64) -> bool {
    created_unix_s < taken_unix_s || (created_unix_s == taken_unix_s && id <= last_id)
}

fn kind_of(stored: i64) -> rusqlite::Result<RememberedKind> {
    match stored {
        1 => Ok(RememberedKind::Person),
        2 => Ok(RememberedKind::Device),
        found => Err(rusqlite::Error::IntegralValueOutOfRange(0, found)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fails if somebody who came later under the same name is taken for the one who went.
    #[test]
    fn who_came_later_is_another() {
        assert!(is_the_one(5, 100, 5, 200), "withdrawn later");
        assert!(
            is_the_one(5, 200, 5, 200),
            "withdrawn in the second of the enrolment"
        );
        assert!(
            !is_the_one(6, 200, 5, 200),
            "enrolled again within that second"
        );
        assert!(
            !is_the_one(3, 300, 5, 200),
            "enrolled again, after a restore"
        );
    }

    /// Fails without either bound, or if the newest go.
    #[test]
    fn the_old_and_the_too_many_are_forgotten() {
        let db = Connection::open_in_memory().expect("database");
        db.execute_batch("CREATE TABLE remembered(hash BLOB PRIMARY KEY, kind, last_id, at)")
            .expect("table");
        for number in 1..=10_u8 {
            let entry = Remembered {
                kind: RememberedKind::Person,
                hash: [number; 32],
                last_id: 1,
                at_unix_s: number.into(),
            };
            insert(&db, &entry).expect("inserted");
            let earlier = Remembered {
                at_unix_s: 0,
                ..entry
            };
            insert(&db, &earlier).expect("the later one stays");
        }
        assert_eq!(forget(&db, 3, 5), Ok(2 + 3));
        let left: String = db
            .query_row(
                "SELECT group_concat(at) FROM (SELECT at FROM remembered ORDER BY at)",
                [],
                |row| row.get(0),
            )
            .expect("rows");
        assert_eq!(left, "6,7,8,9,10");
    }
}
