//! The store's tables, as numbered migrations that only ever add.
//!
//! An embedding lies in a slot: a cell of fixed size in a table that is appended to and
//! overwritten in place, never deleted from. SQLite zeroes what it deletes (`secure_delete`), but
//! a page that is rebuilt while pages merge or split keeps bytes of moved cells in its unused
//! part: with rows of mixed sizes, 1 to 4 in 10,000 deleted ones were still in the file. Cells of
//! this table are never moved, so zeroing one leaves no copy.

use rusqlite::Connection;

use super::connection::write;
use super::error::StoreError;
use super::outbox;

/// Each brings the schema from its index to the next number.
pub(super) const MIGRATIONS: [&str; 8] = [
    V1,
    V2,
    V3_CONSOLE,
    V4_ROLL_OVER,
    V5_ENROLMENT,
    V6_KEEP,
    outbox::SCHEMA,
    V8_INVITED,
];

/// The oldest schema whose program may use a database of this one: 1 while migrations only add
/// tables, indexes, and columns that may be left out. Raising it ends the way back to the
/// releases before. It stands in the database, so that those know.
const USABLE_FROM: u32 = 1;

const V1: &str = "
CREATE TABLE site(
  one INTEGER PRIMARY KEY CHECK (one = 1),
  generation INTEGER NOT NULL,
  feed_oldest INTEGER NOT NULL,
  lineage BLOB NOT NULL
) STRICT;
INSERT INTO site VALUES (1, 0, 0, randomblob(16));

CREATE TABLE settings(
  key TEXT PRIMARY KEY,
  value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE imports(
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  begun INTEGER NOT NULL,
  generation INTEGER,
  reference_first INTEGER NOT NULL,
  reference_last INTEGER NOT NULL
) STRICT;
CREATE INDEX imports_open ON imports(id) WHERE generation IS NULL;

CREATE TABLE people(
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  external_id TEXT NOT NULL UNIQUE,
  name TEXT NOT NULL,
  name_folded TEXT NOT NULL,
  email TEXT,
  state INTEGER NOT NULL,
  every_door INTEGER NOT NULL,
  consent_policy TEXT,
  consent_at INTEGER,
  consent_how INTEGER,
  created INTEGER NOT NULL,
  import INTEGER NOT NULL
) STRICT;
CREATE INDEX people_by_name ON people(name_folded, id);
CREATE INDEX people_by_import ON people(import, id) WHERE import > 0;
CREATE VIEW people_visible AS SELECT * FROM people
  WHERE import NOT IN (SELECT id FROM imports WHERE generation IS NULL);

CREATE TABLE embeddings(
  slot INTEGER PRIMARY KEY,
  bytes BLOB NOT NULL CHECK (length(bytes) = 2048)
) STRICT;
CREATE TABLE slots_free(
  slot INTEGER PRIMARY KEY
) STRICT;

CREATE TABLE references_(
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  person INTEGER NOT NULL REFERENCES people(id),
  slot INTEGER NOT NULL,
  checksum INTEGER NOT NULL,
  quality REAL,
  created INTEGER NOT NULL,
  import INTEGER NOT NULL
) STRICT;
CREATE INDEX references_by_person ON references_(person);
CREATE VIEW references_visible AS SELECT * FROM references_
  WHERE import NOT IN (SELECT id FROM imports WHERE generation IS NULL);

CREATE TABLE doors(
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT NOT NULL UNIQUE,
  space_door TEXT UNIQUE
) STRICT;

CREATE TABLE rights(
  person INTEGER NOT NULL REFERENCES people(id) ON DELETE CASCADE,
  door INTEGER NOT NULL REFERENCES doors(id) ON DELETE CASCADE,
  PRIMARY KEY (person, door)
) STRICT, WITHOUT ROWID;
CREATE INDEX rights_by_door ON rights(door);

CREATE TABLE devices(
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT NOT NULL UNIQUE,
  door INTEGER NOT NULL REFERENCES doors(id),
  state INTEGER NOT NULL,
  fingerprint BLOB UNIQUE,
  not_after INTEGER,
  fingerprint_previous BLOB UNIQUE,
  previous_until INTEGER,
  firmware INTEGER,
  last_seen INTEGER,
  address TEXT,
  created INTEGER NOT NULL
) STRICT;
CREATE INDEX devices_by_door ON devices(door);

CREATE TABLE tokens(
  hash BLOB PRIMARY KEY,
  device INTEGER NOT NULL UNIQUE REFERENCES devices(id) ON DELETE CASCADE,
  expires INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE commands(
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  device INTEGER NOT NULL REFERENCES devices(id) ON DELETE CASCADE,
  kind INTEGER NOT NULL,
  body BLOB NOT NULL,
  created INTEGER NOT NULL,
  done INTEGER
) STRICT;
CREATE INDEX commands_by_device ON commands(device, id);

CREATE TABLE changes(
  generation INTEGER NOT NULL,
  ordinal INTEGER NOT NULL,
  kind INTEGER NOT NULL,
  subject INTEGER NOT NULL,
  other INTEGER NOT NULL,
  PRIMARY KEY (generation, ordinal)
) STRICT, WITHOUT ROWID;
";

const V2: &str = "
CREATE TABLE space_people(
  ext_id TEXT PRIMARY KEY,
  digest INTEGER NOT NULL,
  gone_since INTEGER,
  held INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
CREATE INDEX space_people_gone ON space_people(gone_since) WHERE gone_since IS NOT NULL;
";

const V5_ENROLMENT: &str = "
CREATE TABLE invitations(
  person INTEGER PRIMARY KEY REFERENCES people(id) ON DELETE CASCADE,
  token BLOB NOT NULL UNIQUE,
  device INTEGER REFERENCES devices(id) ON DELETE SET NULL,
  language TEXT NOT NULL,
  created INTEGER NOT NULL,
  expires INTEGER NOT NULL,
  sent INTEGER,
  outcome INTEGER NOT NULL DEFAULT 0,
  allowed INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX invitations_by_device ON invitations(device) WHERE device IS NOT NULL;

CREATE TABLE mails(
  person INTEGER PRIMARY KEY REFERENCES people(id) ON DELETE CASCADE,
  sealed BLOB NOT NULL,
  tries INTEGER NOT NULL,
  due INTEGER,
  error TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX mails_by_due ON mails(due) WHERE due IS NOT NULL;

CREATE TABLE captures(
  person INTEGER PRIMARY KEY REFERENCES people(id) ON DELETE CASCADE,
  device INTEGER NOT NULL REFERENCES devices(id) ON DELETE CASCADE,
  name BLOB NOT NULL UNIQUE,
  code TEXT NOT NULL,
  tries INTEGER NOT NULL,
  command INTEGER NOT NULL,
  expires INTEGER NOT NULL
) STRICT;
CREATE INDEX captures_by_device ON captures(device);
CREATE INDEX captures_by_expires ON captures(expires);

CREATE TABLE duplicates(
  person INTEGER PRIMARY KEY REFERENCES people(id) ON DELETE CASCADE,
  other INTEGER NOT NULL REFERENCES people(id) ON DELETE CASCADE,
  score REAL NOT NULL,
  at INTEGER NOT NULL
) STRICT;
CREATE INDEX duplicates_by_other ON duplicates(other);
";

const V3_CONSOLE: &str = "
CREATE TABLE team(
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT NOT NULL UNIQUE,
  role INTEGER NOT NULL,
  password TEXT NOT NULL,
  must_change INTEGER NOT NULL,
  created INTEGER NOT NULL
) STRICT;
CREATE TABLE sessions(
  hash BLOB NOT NULL UNIQUE,
  member INTEGER NOT NULL REFERENCES team(id) ON DELETE CASCADE,
  begun INTEGER NOT NULL,
  seen INTEGER NOT NULL
) STRICT;
CREATE INDEX sessions_by_member ON sessions(member);
CREATE TABLE browsers(
  hash BLOB NOT NULL UNIQUE,
  member INTEGER NOT NULL REFERENCES team(id) ON DELETE CASCADE,
  since INTEGER NOT NULL
) STRICT;
CREATE INDEX browsers_by_member ON browsers(member);
CREATE TABLE api_tokens(
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT NOT NULL UNIQUE,
  hash BLOB NOT NULL UNIQUE,
  scopes INTEGER NOT NULL,
  created INTEGER NOT NULL,
  expires INTEGER,
  used INTEGER
) STRICT;
";

/// What hangs on the site CA before while it rolls over: fingerprints of devices' certificates, and
/// hashes of tokens of commissioning codes.
const V4_ROLL_OVER: &str = "
CREATE TABLE roll_over(
  hash BLOB PRIMARY KEY
) STRICT, WITHOUT ROWID;
";
/// Where [`USABLE_FROM`] stands: a number in the database's head that SQLite leaves to us.
const COMPATIBILITY: &str = "application_id";

// Who must not come back with a backup; by which of the server's addresses a device comes.
const V6_KEEP: &str = "
CREATE TABLE remembered(
  hash BLOB PRIMARY KEY,
  kind INTEGER NOT NULL,
  last_id INTEGER NOT NULL,
  at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX remembered_by_time ON remembered(at);
ALTER TABLE devices ADD COLUMN local_address TEXT;
";

// Who is to enrol, and who has consented to which policy, among very many.
const V8_INVITED: &str = "
CREATE INDEX people_invited ON people(id) WHERE state = 1;
CREATE INDEX people_by_consent ON people(consent_policy, import)
  WHERE consent_policy IS NOT NULL;
";

/// Brings the database to the newest schema, one transaction for each step.
///
/// # Errors
/// [`StoreError::Newer`]; any error of a statement.
pub(crate) fn migrate(db: &mut Connection) -> Result<(), StoreError> {
    migrate_with(db, &MIGRATIONS)
}

/// Brings a database to the newest schema of `migrations`.
pub(crate) fn migrate_with(db: &mut Connection, migrations: &[&str]) -> Result<(), StoreError> {
    let known = u32::try_from(migrations.len()).unwrap_or(u32::MAX);
    let found: u32 = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if found > known {
        // After a roll-back: what a newer release added stays, and is not needed here.
        let usable_from: u32 = db.pragma_query_value(None, COMPATIBILITY, |row| row.get(0))?;
        if (1..=known).contains(&usable_from) {
            return Ok(());
        }
        return Err(StoreError::Newer { found, known });
    }
    for version in found..known {
        let sql = migrations[version as usize];
        write(db, |db| {
            db.execute_batch(sql)?;
            db.pragma_update(None, "user_version", version + 1)?;
            Ok(())
        })?;
    }
    let usable_from: u32 = db.pragma_query_value(None, COMPATIBILITY, |row| row.get(0))?;
    if usable_from != USABLE_FROM {
        write(db, |db| {
            db.pragma_update(None, COMPATIBILITY, USABLE_FROM)?;
            Ok(())
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(db: &Connection) -> u32 {
        db.pragma_query_value(None, "user_version", |row| row.get(0))
            .expect("version")
    }

    #[test]
    fn migrations_run_once_each_and_in_order() {
        let mut db = Connection::open_in_memory().expect("database");
        let steps = ["CREATE TABLE a(x)", "ALTER TABLE a ADD COLUMN y"];
        migrate_with(&mut db, &steps[..1]).expect("first");
        db.execute("INSERT INTO a VALUES (1)", []).expect("row");
        migrate_with(&mut db, &steps).expect("second");
        migrate_with(&mut db, &steps).expect("nothing to do");
        assert_eq!(version(&db), 2);
        let kept: i64 = db
            .query_row("SELECT count(*) FROM a WHERE y IS NULL", [], |row| {
                row.get(0)
            })
            .expect("row kept");
        assert_eq!(kept, 1);
    }

    #[test]
    fn a_step_that_fails_changes_nothing() {
        let mut db = Connection::open_in_memory().expect("database");
        let steps = ["CREATE TABLE a(x); CREATE TABLE a(x)"];
        migrate_with(&mut db, &steps).expect_err("second table of that name");
        assert_eq!(version(&db), 0);
        db.execute_batch("CREATE TABLE a(x)")
            .expect("no table a was left");
    }

    #[test]
    fn a_newer_database_is_refused() {
        let mut db = Connection::open_in_memory().expect("database");
        db.pragma_update(None, "user_version", 7).expect("version");
        let refused = migrate_with(&mut db, &["SELECT 1"]);
        assert_eq!(refused, Err(StoreError::Newer { found: 7, known: 1 }));
    }

    /// Fails if a newer database is refused although what was added is not needed, or taken
    /// although the newer release says that it is.
    #[test]
    fn a_release_before_uses_what_a_newer_one_only_added_to() {
        let mut db = Connection::open_in_memory().expect("database");
        let added = "CREATE TABLE later(x); ALTER TABLE doors ADD COLUMN later TEXT;";
        let newer = [&MIGRATIONS[..], &[added]].concat();
        migrate_with(&mut db, &newer).expect("the newer release");
        db.execute("INSERT INTO doors(name, later) VALUES ('Front', 'x')", [])
            .expect("row");
        migrate(&mut db).expect("rolled back: nothing to do");
        assert_eq!(version(&db) as usize, newer.len(), "nothing is restored");
        db.execute("INSERT INTO doors(name) VALUES ('Back')", [])
            .expect("the older release goes on");
        migrate_with(&mut db, &newer).expect("and the newer one after it");
        let doors: i64 = db
            .query_row(
                "SELECT count(*) FROM doors WHERE later IS NULL OR later = 'x'",
                [],
                |row| row.get(0),
            )
            .expect("both doors");
        assert_eq!(doors, 2);
        db.pragma_update(None, COMPATIBILITY, newer.len() as u32)
            .expect("a release that changed something");
        let refused = migrate(&mut db);
        assert!(
            matches!(refused, Err(StoreError::Newer { .. })),
            "{refused:?}"
        );
    }

    /// A migration that takes something away, or adds a column that must be given, breaks the
    /// release before: then `USABLE_FROM` is to be raised.
    #[test]
    fn migrations_only_add() {
        for migration in &MIGRATIONS[USABLE_FROM as usize..] {
            for statement in migration.split(';').map(str::trim) {
                let adds = [
                    "CREATE TABLE ",
                    "CREATE INDEX ",
                    "CREATE VIEW ",
                    "INSERT INTO ",
                ];
                let column = statement.starts_with("ALTER TABLE ")
                    && statement.contains(" ADD COLUMN ")
                    && (!statement.contains("NOT NULL") || statement.contains(" DEFAULT "));
                let comment = statement.lines().all(|line| line.trim().starts_with("--"));
                assert!(
                    comment || column || adds.iter().any(|add| statement.starts_with(add)),
                    "{statement}"
                );
            }
        }
    }

    #[test]
    fn what_an_older_version_stored_is_kept() {
        for older in 1..MIGRATIONS.len() {
            let mut db = Connection::open_in_memory().expect("database");
            migrate_with(&mut db, &MIGRATIONS[..older]).expect("older");
            db.execute("INSERT INTO doors(name) VALUES ('Front')", [])
                .expect("row");
            migrate(&mut db).expect("newest");
            assert_eq!(version(&db) as usize, MIGRATIONS.len());
            let kept: i64 = db
                .query_row("SELECT count(*) FROM doors", [], |row| row.get(0))
                .expect("row kept");
            assert_eq!(kept, 1);
        }
    }
}
