//! The console's team, its sessions, the browsers it has signed in from, and tokens of the API.
//! Sessions, browsers and tokens are kept as hashes: what is in a copy of the store opens nothing.

use rusqlite::{Connection, OptionalExtension as _, Row};

use super::Store;
use super::doors::found;
use super::error::{Entity, StoreError};
use super::id::{key, number};
use super::reader::Reader;
use super::role::{Role, Scopes};
use super::text::checked;
use crate::limits::{
    API_TOKENS_MAX, BROWSER_LIFE_S, BROWSERS_PER_MEMBER_MAX, SESSION_IDLE_S, SESSION_LIFE_S,
    SESSIONS_PER_MEMBER_MAX, TEAM_MAX, TEAM_NAME_BYTES_MAX,
};

/// What the store keeps of a random secret: [`secret_hash`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SecretHash(pub [u8; 32]);

/// The hash of a session's, a browser's or a token's secret. It is random and long, so a plain
/// hash will not be turned around.
#[must_use]
pub fn secret_hash(secret: &str) -> SecretHash {
    SecretHash(blake3::derive_key(
        "cardea 2026 console secret",
        secret.as_bytes(),
    ))
}

/// Somebody who works with the console.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The id.
    pub id: u64,
    /// The name to sign in with, unique.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// The password was made by somebody else: nothing goes on before it is changed.
    pub must_change: bool,
    /// Since when, Unix time in seconds.
    pub created_unix_s: i64,
}

/// A token of the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiToken {
    /// The id.
    pub id: u64,
    /// What it is called, unique.
    pub name: String,
    /// What it may do.
    pub scopes: Scopes,
    /// Since when, Unix time in seconds.
    pub created_unix_s: i64,
    /// Until when, Unix time in seconds; for ever if none.
    pub expires_unix_s: Option<i64>,
    /// When it was last used, Unix time in seconds; up to a minute behind.
    pub used_unix_s: Option<i64>,
}

/// A token to be added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewApiToken {
    /// What it is called, unique, 1 to 64 bytes.
    pub name: String,
    /// What it may do.
    pub scopes: Scopes,
    /// Its secret, hashed.
    pub hash: SecretHash,
    /// Until when, Unix time in seconds.
    pub expires_unix_s: Option<i64>,
}

impl Store {
    /// Adds a member. `password` is a hash in PHC form.
    ///
    /// # Errors
    /// [`StoreError::Exists`] for the name, [`StoreError::Invalid`]; those of a write.
    pub fn team_add(
        &mut self,
        name: &str,
        role: Role,
        password: &str,
        now_unix_s: i64,
    ) -> Result<u64, StoreError> {
        checked("name", name, TEAM_NAME_BYTES_MAX)?;
        self.change(1, |db| {
            unique(db, "team", name, Entity::Member)?;
            room(db, "team", TEAM_MAX)?;
            db.prepare_cached(
                "INSERT INTO team(name, role, password, must_change, created)
                 VALUES (?1, ?2, ?3, 1, ?4)",
            )?
            .execute((name, role as u8, password, now_unix_s))?;
            Ok(number(db.last_insert_rowid()))
        })
    }

    /// Another password; ends the member's sessions, and no browser is known any more.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; those of a write.
    pub fn team_password(
        &mut self,
        name: &str,
        password: &str,
        must_change: bool,
    ) -> Result<(), StoreError> {
        self.change(1, |db| {
            let changed = db
                .prepare_cached("UPDATE team SET password = ?2, must_change = ?3 WHERE name = ?1")?
                .execute((name, password, must_change))?;
            found(changed, Entity::Member)?;
            for table in ["sessions", "browsers"] {
                let sql = format!(
                    "DELETE FROM {table} WHERE member = (SELECT id FROM team WHERE name = ?1)"
                );
                db.prepare_cached(&sql)?.execute([name])?;
            }
            Ok(())
        })
    }

    /// Another role.
    ///
    /// # Errors
    /// [`StoreError::LastAdministrator`], [`StoreError::NotFound`]; those of a write.
    pub fn team_role(&mut self, name: &str, role: Role) -> Result<(), StoreError> {
        self.change(1, |db| {
            let changed = db
                .prepare_cached("UPDATE team SET role = ?2 WHERE name = ?1")?
                .execute((name, role as u8))?;
            found(changed, Entity::Member)?;
            somebody_is_administrator(db)
        })
    }

    /// Removes a member with all sessions.
    ///
    /// # Errors
    /// [`StoreError::LastAdministrator`], [`StoreError::NotFound`]; those of a write.
    pub fn team_remove(&mut self, name: &str) -> Result<(), StoreError> {
        self.change(1, |db| {
            let removed = db
                .prepare_cached("DELETE FROM team WHERE name = ?1")?
                .execute([name])?;
            found(removed, Entity::Member)?;
            somebody_is_administrator(db)
        })
    }

    /// Opens a session; the member's oldest ends if there are too many. Whatever has ended is
    /// removed.
    ///
    /// # Errors
    /// Those of a write.
    pub fn session_open(
        &mut self,
        session: SecretHash,
        member: u64,
        now_unix_s: i64,
    ) -> Result<(), StoreError> {
        self.change(1, |db| {
            db.prepare_cached("DELETE FROM sessions WHERE begun < ?1 OR seen < ?2")?
                .execute((now_unix_s - SESSION_LIFE_S, now_unix_s - SESSION_IDLE_S))?;
            db.prepare_cached(
                "INSERT INTO sessions(hash, member, begun, seen) VALUES (?1, ?2, ?3, ?3)",
            )?
            .execute((session.0, key(member), now_unix_s))?;
            keep_newest(db, "sessions", "begun", member, SESSIONS_PER_MEMBER_MAX)
        })
    }

    /// The session is in use.
    ///
    /// # Errors
    /// Those of a write.
    pub fn session_seen(&mut self, session: SecretHash, now_unix_s: i64) -> Result<(), StoreError> {
        self.change(1, |db| {
            db.prepare_cached("UPDATE sessions SET seen = max(seen, ?2) WHERE hash = ?1")?
                .execute((session.0, now_unix_s))?;
            Ok(())
        })
    }

    /// Ends a session.
    ///
    /// # Errors
    /// Those of a write.
    pub fn session_end(&mut self, session: SecretHash) -> Result<(), StoreError> {
        self.change(1, |db| {
            db.prepare_cached("DELETE FROM sessions WHERE hash = ?1")?
                .execute([session.0])?;
            Ok(())
        })
    }

    /// From here on the member is known to use this browser.
    ///
    /// # Errors
    /// Those of a write.
    pub fn browser_add(
        &mut self,
        browser: SecretHash,
        member: u64,
        now_unix_s: i64,
    ) -> Result<(), StoreError> {
        self.change(1, |db| {
            db.prepare_cached("INSERT INTO browsers(hash, member, since) VALUES (?1, ?2, ?3)")?
                .execute((browser.0, key(member), now_unix_s))?;
            keep_newest(db, "browsers", "since", member, BROWSERS_PER_MEMBER_MAX)
        })
    }

    /// Adds a token of the API.
    ///
    /// # Errors
    /// [`StoreError::Exists`] for the name, [`StoreError::Invalid`]; those of a write.
    pub fn api_token_add(
        &mut self,
        token: &NewApiToken,
        now_unix_s: i64,
    ) -> Result<u64, StoreError> {
        checked("name", &token.name, TEAM_NAME_BYTES_MAX)?;
        self.change(1, |db| {
            unique(db, "api_tokens", &token.name, Entity::Token)?;
            room(db, "api_tokens", API_TOKENS_MAX)?;
            db.prepare_cached(
                "INSERT INTO api_tokens(name, hash, scopes, created, expires)
                 VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute((
                &token.name,
                token.hash.0,
                token.scopes.bits(),
                now_unix_s,
                token.expires_unix_s,
            ))?;
            Ok(number(db.last_insert_rowid()))
        })
    }

    /// Removes a token.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; those of a write.
    pub fn api_token_remove(&mut self, name: &str) -> Result<(), StoreError> {
        self.change(1, |db| {
            let removed = db
                .prepare_cached("DELETE FROM api_tokens WHERE name = ?1")?
                .execute([name])?;
            found(removed, Entity::Token)
        })
    }

    /// The token was used.
    ///
    /// # Errors
    /// Those of a write.
    pub fn api_token_seen(&mut self, token: u64, now_unix_s: i64) -> Result<(), StoreError> {
        self.change(1, |db| {
            db.prepare_cached("UPDATE api_tokens SET used = ?2 WHERE id = ?1")?
                .execute((key(token), now_unix_s))?;
            Ok(())
        })
    }
}

const MEMBER: &str =
    "SELECT t.id, t.name, t.role, t.must_change, t.created, t.password FROM team t";

impl Reader {
    /// The whole team, by name.
    ///
    /// # Errors
    /// Those of a read.
    pub fn team(&self) -> Result<Vec<Member>, StoreError> {
        let mut select = self.prepared(&format!("{MEMBER} ORDER BY t.name"))?;
        let members = select.query_map([], member_of)?.collect::<Result<_, _>>()?;
        Ok(members)
    }

    /// A member and the hash of the password, in PHC form.
    ///
    /// # Errors
    /// Those of a read.
    pub fn member_named(&self, name: &str) -> Result<Option<(Member, String)>, StoreError> {
        let found = self
            .prepared(&format!("{MEMBER} WHERE t.name = ?1"))?
            .query_row([name], |row| Ok((member_of(row)?, row.get(5)?)))
            .optional()?;
        Ok(found)
    }

    /// Whose session this is, and when it was last used (Unix time in seconds), unless it has
    /// ended.
    ///
    /// # Errors
    /// Those of a read.
    pub fn session(
        &self,
        session: SecretHash,
        now_unix_s: i64,
    ) -> Result<Option<(Member, i64)>, StoreError> {
        let sql = "SELECT t.id, t.name, t.role, t.must_change, t.created, s.seen
             FROM sessions s JOIN team t ON t.id = s.member
             WHERE s.hash = ?1 AND s.begun > ?2 AND s.seen > ?3";
        let (begun, seen) = (now_unix_s - SESSION_LIFE_S, now_unix_s - SESSION_IDLE_S);
        let found = self
            .prepared(sql)?
            .query_row((session.0, begun, seen), |row| {
                Ok((member_of(row)?, row.get(5)?))
            })
            .optional()?;
        Ok(found)
    }

    /// Whether the member has signed in from this browser before.
    ///
    /// # Errors
    /// Those of a read.
    pub fn browser_known(
        &self,
        browser: SecretHash,
        member: u64,
        now_unix_s: i64,
    ) -> Result<bool, StoreError> {
        let sql = "SELECT 1 FROM browsers WHERE hash = ?1 AND member = ?2 AND since > ?3";
        let since = now_unix_s - BROWSER_LIFE_S;
        Ok(self
            .prepared(sql)?
            .exists((browser.0, key(member), since))?)
    }

    /// All tokens of the API, by name.
    ///
    /// # Errors
    /// Those of a read.
    pub fn api_tokens(&self) -> Result<Vec<ApiToken>, StoreError> {
        let mut select = self.prepared(&format!("{TOKEN} ORDER BY name"))?;
        let tokens = select.query_map([], token_of)?.collect::<Result<_, _>>()?;
        Ok(tokens)
    }

    /// The token with this secret, unless it has ended.
    ///
    /// # Errors
    /// Those of a read.
    pub fn api_token(
        &self,
        hash: SecretHash,
        now_unix_s: i64,
    ) -> Result<Option<ApiToken>, StoreError> {
        let sql = format!("{TOKEN} WHERE hash = ?1 AND coalesce(expires, ?2 + 1) > ?2");
        let found = self
            .prepared(&sql)?
            .query_row((hash.0, now_unix_s), token_of)
            .optional()?;
        Ok(found)
    }
}

const TOKEN: &str = "SELECT id, name, scopes, created, expires, used FROM api_tokens";

fn member_of(row: &Row<'_>) -> rusqlite::Result<Member> {
    Ok(Member {
        id: number(row.get(0)?),
        name: row.get(1)?,
        role: Role::of(row.get(2)?),
        must_change: row.get(3)?,
        created_unix_s: row.get(4)?,
    })
}

fn token_of(row: &Row<'_>) -> rusqlite::Result<ApiToken> {
    Ok(ApiToken {
        id: number(row.get(0)?),
        name: row.get(1)?,
        scopes: Scopes::of_bits(row.get(2)?),
        created_unix_s: row.get(3)?,
        expires_unix_s: row.get(4)?,
        used_unix_s: row.get(5)?,
    })
}

fn unique(
    db: &Connection,
    table: &'static str,
    name: &str,
    entity: Entity,
) -> Result<(), StoreError> {
    let other: Option<i64> = db
        .prepare_cached(&format!("SELECT id FROM {table} WHERE name = ?1"))?
        .query_row([name], |row| row.get(0))
        .optional()?;
    match other {
        Some(id) => Err(StoreError::Exists {
            entity,
            id: number(id),
        }),
        None => Ok(()),
    }
}

fn room(db: &Connection, table: &'static str, max: usize) -> Result<(), StoreError> {
    let rows: i64 = db
        .prepare_cached(&format!("SELECT count(*) FROM {table}"))?
        .query_row([], |row| row.get(0))?;
    if number(rows) >= max as u64 {
        return Err(StoreError::Invalid { field: table, max });
    }
    Ok(())
}

fn somebody_is_administrator(db: &Connection) -> Result<(), StoreError> {
    let left = db
        .prepare_cached("SELECT 1 FROM team WHERE role = ?1")?
        .exists([Role::Administrator as u8])?;
    left.then_some(()).ok_or(StoreError::LastAdministrator)
}

fn keep_newest(
    db: &Connection,
    table: &'static str,
    by: &'static str,
    member: u64,
    most: usize,
) -> Result<(), StoreError> {
    let sql = format!(
        "DELETE FROM {table} WHERE member = ?1 AND hash NOT IN
           (SELECT hash FROM {table} WHERE member = ?1 ORDER BY {by} DESC, rowid DESC LIMIT ?2)"
    );
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    db.prepare_cached(&sql)?.execute((key(member), most))?;
    Ok(())
}
