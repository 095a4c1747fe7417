//! Mails that wait to be sent, one for each person at most. The invitation's token is sealed: a
//! copy of the database holds no link. A mail is gone once the relay has taken it.

use rusqlite::{Connection, OptionalExtension as _};

use super::error::StoreError;
use super::id::{PersonId, key, number};
use super::reader::Reader;
use super::settings::{SettingKey, put_setting};
use super::{Store, TokenHash};
use crate::limits::MAIL_ERROR_BYTES_MAX;

/// A mail to be sent.
#[derive(Clone, PartialEq, Eq)]
pub struct Mail {
    /// To whom.
    pub person: PersonId,
    /// Which invitation of theirs, by when it was made.
    pub token: TokenHash,
    /// The token, sealed.
    pub sealed: Vec<u8>,
    /// Their name.
    pub name: String,
    /// Their address.
    pub email: String,
    /// Two letters.
    pub language: String,
    /// Until when the invitation holds, Unix time in seconds.
    pub expires_unix_s: i64,
    /// How often it was tried.
    pub tries: u32,
    /// The version of the policy that they have consented to.
    pub consent_policy: Option<String>,
}

impl Store {
    /// Notes that the relay took a mail, unless the invitation has been replaced meanwhile.
    ///
    /// # Errors
    /// Those of a write.
    pub fn mail_sent(
        &mut self,
        person: PersonId,
        token: TokenHash,
        now_unix_s: i64,
    ) -> Result<(), StoreError> {
        self.change(2, |db| {
            let same = db
                .prepare_cached(
                    "UPDATE invitations SET sent = ?3 WHERE person = ?1 AND token = ?2",
                )?
                .execute((key(person.0), token.0, now_unix_s))?;
            if same > 0 {
                put_mail(db, person, None, now_unix_s)?;
                count_sent(db, now_unix_s)?;
            }
            Ok(())
        })
    }

    /// Notes that a mail could not be sent, and when to try again; never for none.
    ///
    /// # Errors
    /// Those of a write.
    pub fn mail_failed(
        &mut self,
        person: PersonId,
        token: TokenHash,
        due_unix_s: Option<i64>,
        error: &str,
    ) -> Result<(), StoreError> {
        let error = &error[..error.floor_char_boundary(MAIL_ERROR_BYTES_MAX)];
        self.change(1, |db| {
            db.prepare_cached(
                "UPDATE mails SET tries = tries + 1, due = ?3, error = ?4
                 WHERE person = ?1
                 AND EXISTS (SELECT 1 FROM invitations WHERE person = ?1 AND token = ?2)",
            )?
            .execute((key(person.0), token.0, due_unix_s, error))?;
            Ok(())
        })
    }

    /// Has every mail that waits, or was refused for good, tried at once: the relay is another.
    ///
    /// # Errors
    /// Those of a write.
    pub fn mails_hasten(&mut self, now_unix_s: i64) -> Result<(), StoreError> {
        self.change(1, |db| {
            db.prepare_cached("UPDATE mails SET due = ?1")?
                .execute([now_unix_s])?;
            Ok(())
        })
    }
}

impl Reader {
    /// The mail that has been due longest, if any is.
    ///
    /// # Errors
    /// Those of a read.
    pub fn mail_due(&self, now_unix_s: i64) -> Result<Option<Mail>, StoreError> {
        let mail = self
            .db
            .prepare_cached(
                "SELECT m.person, i.token, m.sealed, p.name, p.email, i.language, i.expires,
                        m.tries, p.consent_policy
                 FROM mails m JOIN invitations i ON i.person = m.person
                 JOIN people p ON p.id = m.person
                 WHERE m.due <= ?1 AND i.expires > ?1 AND p.email IS NOT NULL
                 ORDER BY m.due, m.person LIMIT 1",
            )?
            .query_row([now_unix_s], |row| {
                Ok(Mail {
                    person: PersonId(number(row.get(0)?)),
                    token: TokenHash(row.get(1)?),
                    sealed: row.get(2)?,
                    name: row.get(3)?,
                    email: row.get(4)?,
                    language: row.get(5)?,
                    expires_unix_s: row.get(6)?,
                    tries: row.get(7)?,
                    consent_policy: row.get(8)?,
                })
            })
            .optional()?;
        Ok(mail)
    }
}

/// What became of all mails, as administrators see it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MailCounts {
    /// Mails that a relay has taken, ever.
    pub sent: u64,
    /// When the last, Unix time in seconds.
    pub sent_unix_s: Option<i64>,
    /// Mails that wait to be tried for the first time.
    pub waiting: u64,
    /// Mails that were tried, and are tried again.
    pub failing: u64,
    /// Mails that the relay has refused for good.
    pub refused: u64,
    /// Why the last of those was not sent; empty if there is none.
    pub error: String,
}

impl Reader {
    /// What became of all mails.
    ///
    /// # Errors
    /// Those of a read.
    pub fn mail_counts(&self) -> Result<MailCounts, StoreError> {
        let (sent, last) = two_numbers(self.setting(SettingKey::MAIL_SENT)?);
        let counts = self
            .db
            .prepare_cached(
                "SELECT count(*) FILTER (WHERE tries = 0),
                        count(*) FILTER (WHERE tries > 0 AND due IS NOT NULL),
                        count(*) FILTER (WHERE tries > 0 AND due IS NULL),
                        (SELECT error FROM mails WHERE tries > 0
                         ORDER BY due IS NULL DESC, due DESC LIMIT 1)
                 FROM mails",
            )?
            .query_row([], |row| {
                let error: Option<String> = row.get(3)?;
                Ok(MailCounts {
                    sent,
                    sent_unix_s: i64::try_from(last).ok().filter(|last| *last > 0),
                    waiting: number(row.get(0)?),
                    failing: number(row.get(1)?),
                    refused: number(row.get(2)?),
                    error: error.unwrap_or_default(),
                })
            })?;
        Ok(counts)
    }
}

impl Reader {
    /// How many mails are still to be tried, for the first time or again. Those that the relay has
    /// refused for good, and those whose invitation has expired, are not.
    ///
    /// # Errors
    /// Those of a read.
    pub fn mails_to_try(&self, now_unix_s: i64) -> Result<u64, StoreError> {
        let count = self
            .db
            .prepare_cached(
                "SELECT count(*) FROM mails m JOIN invitations i ON i.person = m.person
                 WHERE m.due IS NOT NULL AND i.expires > ?1",
            )?
            .query_row([now_unix_s], |row| row.get(0))?;
        Ok(number(count))
    }
}

fn count_sent(db: &Connection, now_unix_s: i64) -> Result<(), StoreError> {
    let stored = db
        .prepare_cached("SELECT value FROM settings WHERE key = ?1")?
        .query_row([SettingKey::MAIL_SENT.0], |row| row.get(0))
        .optional()?;
    let (sent, _) = two_numbers(stored);
    let now = u64::try_from(now_unix_s).unwrap_or_default();
    let value = [(sent + 1).to_le_bytes(), now.to_le_bytes()].concat();
    put_setting(db, SettingKey::MAIL_SENT, &value)
}

/// Two u64, little-endian; zeroes where nothing of that form is stored.
pub(crate) fn two_numbers(stored: Option<Vec<u8>>) -> (u64, u64) {
    let bytes: [u8; 16] = stored
        .and_then(|value| value.try_into().ok())
        .unwrap_or_default();
    let (pairs, _) = bytes.as_chunks::<8>();
    match pairs {
        [first, second] => (u64::from_le_bytes(*first), u64::from_le_bytes(*second)),
        _ => (0, 0),
    }
}

/// Puts a mail into the queue in place of any that waits, or only takes that out.
pub(crate) fn put_mail(
    db: &Connection,
    person: PersonId,
    sealed: Option<&[u8]>,
    now_unix_s: i64,
) -> Result<(), StoreError> {
    db.prepare_cached("DELETE FROM mails WHERE person = ?1")?
        .execute([key(person.0)])?;
    let Some(sealed) = sealed else {
        return Ok(());
    };
    let email: Option<String> = db
        .prepare_cached("SELECT email FROM people WHERE id = ?1")?
        .query_row([key(person.0)], |row| row.get(0))?;
    if email.is_none() {
        return Err(StoreError::Invalid {
            field: "e-mail",
            max: 0,
        });
    }
    db.prepare_cached("INSERT INTO mails(person, sealed, tries, due) VALUES (?1, ?2, 0, ?3)")?
        .execute((key(person.0), sealed, now_unix_s))?;
    Ok(())
}
