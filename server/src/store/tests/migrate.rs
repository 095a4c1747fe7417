//! A process that is killed while it brings an older store to the newest schema: the next start
//! finds a store of one schema or another, and brings everything that was in it to the newest.
//!
//! Canary: write `user_version` outside of the step's transaction in `migrate_with`, or leave the
//! transaction out, and this fails. `CARDEA_CRASHES=500` makes it ten times as long.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use cardea_results::record;
use rusqlite::Connection;

use super::fixture::{Fixture, NOW, embedding, person};
use crate::store::connection::open_writer;
use crate::store::schema::{MIGRATIONS, migrate_with};
use crate::store::{DataDirectory, ReferenceId, Store, StoreError};

const ROUNDS: u64 = 50;
const PEOPLE: u64 = 200;
const FOLDER: &str = "CARDEA_MIGRATE_FOLDER";
const CHILD: &str = "store::tests::migrate::child_that_is_killed";

/// Every table and view of a database: its name and its text.
fn schema_of(db: &Connection) -> Vec<(String, String)> {
    let sql = "SELECT name, coalesce(sql, '') FROM sqlite_schema ORDER BY name";
    let mut select = db.prepare(sql).expect("a schema");
    let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
    let rows: Result<_, _> = rows.expect("rows").collect();
    rows.expect("rows")
}

/// A store of an older schema, with what the newest one holds of it.
fn older(newest: &Path, version: usize, file: &Path) {
    let mut db = open_writer(file, 8_192).expect("a new database");
    migrate_with(&mut db, &MIGRATIONS[..version]).expect("the older schema");
    db.execute("ATTACH ?1 AS newest", [newest.to_str().expect("UTF-8")])
        .expect("both at once");
    let names = "SELECT name FROM main.sqlite_schema WHERE type = 'table'
        AND (name NOT LIKE 'sqlite_%' OR name = 'sqlite_sequence')";
    let mut select = db.prepare(names).expect("a query");
    let tables: Result<Vec<String>, _> = select
        .query_map([], |row| row.get(0))
        .expect("tables")
        .collect();
    db.execute_batch("BEGIN").expect("one sync for all");
    for table in tables.expect("names") {
        let columns = format!("SELECT group_concat(name, ', ') FROM pragma_table_info('{table}')");
        let columns: String = db
            .query_row(&columns, [], |row| row.get(0))
            .expect("columns");
        db.execute_batch(&format!(
            "DELETE FROM main.{table};
             INSERT INTO main.{table}({columns}) SELECT {columns} FROM newest.{table};"
        ))
        .expect("copied");
    }
    drop(select);
    db.execute_batch("COMMIT; DETACH newest; PRAGMA wal_checkpoint(TRUNCATE)")
        .expect("in one file");
}

#[test]
#[ignore = "the child of the test below"]
fn child_that_is_killed() {
    let Ok(folder) = std::env::var(FOLDER) else {
        return;
    };
    let directory = DataDirectory::lock(Path::new(&folder)).expect("lock");
    let mut say = std::io::stdout();
    writeln!(say, "\nmigrating").expect("a parent");
    say.flush().expect("a parent");
    let _store = Store::open(&directory).expect("newest");
    writeln!(say, "migrated").expect("a parent");
    say.flush().expect("a parent");
    // The parent kills us, if it has not.
    loop {
        std::thread::park();
    }
}

/// Has a child migrate the store of a folder, and kills it after so long, or when it is through.
/// Gives how long it was at it.
fn killed_child(folder: &Path, after: Option<Duration>) -> Duration {
    let child = [
        "--exact",
        CHILD,
        "--ignored",
        "--nocapture",
        "--test-threads",
        "1",
    ];
    let mut child = Command::new(std::env::current_exe().expect("this test"))
        .args(child)
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("a child");
    let output = BufReader::new(child.stdout.take().expect("piped"));
    let mut begun = Instant::now();
    let mut took = None;
    for line in output.lines() {
        match (line.expect("a line").as_str(), after) {
            ("migrating", after) => {
                begun = Instant::now();
                let Some(after) = after else { continue };
                while begun.elapsed() < after {
                    std::hint::spin_loop();
                }
            }
            ("migrated", None) => {}
            _ => continue,
        }
        took = Some(begun.elapsed());
        child.kill().expect("killed");
    }
    let status = child.wait().expect("waited for");
    assert!(!status.success(), "the child ended by itself: {status}");
    took.expect("the child was killed")
}

#[test]
fn a_kill_while_migrating_loses_nothing() {
    let rounds = std::env::var("CARDEA_CRASHES").ok();
    let rounds = rounds.map_or(ROUNDS, |rounds| rounds.parse().expect("a number"));
    let mut newest = Fixture::new();
    for n in 1..=PEOPLE {
        let one = person(&format!("e{n}"), &[], &[n]);
        newest.store.person_enrol(&one, NOW).expect("enrolled");
    }
    newest.store.person_withdraw("e1").expect("withdrawn");
    newest.store.erase_log().expect("in one file");
    let right = schema_of(&newest.store.read().db);
    let older_in_folder = |version| {
        let folder = tempfile::tempdir().expect("temporary folder");
        let file = folder.path().join("store.db");
        older(&newest.directory.file("store.db"), version, &file);
        folder
    };
    let versions = 1..MIGRATIONS.len();
    let took: Vec<Duration> = versions
        .map(|version| killed_child(older_in_folder(version).path(), None))
        .collect();
    let mut stopped_at = vec![0_u64; MIGRATIONS.len() + 1];
    let mut on_the_way = 0;
    let mut state = 11_u64;
    let mut round = 0;
    // On a busy machine fewer kills fall between two steps: then there are more of them.
    while round < rounds || (on_the_way <= rounds / 10 && round < 4 * rounds) {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let version = 1 + (round as usize) % took.len();
        let folder = older_in_folder(version);
        let share = ((state >> 20) % 1_000) as f64 / 1_000.0;
        killed_child(folder.path(), Some(took[version - 1].mul_f64(share)));
        let stopped = version_of(folder.path());
        stopped_at[stopped] += 1;
        // Before the first step was over, nobody can tell a kill in it from one before it.
        on_the_way += u64::from(version < stopped && stopped < MIGRATIONS.len());
        let directory = DataDirectory::lock(folder.path()).expect("lock");
        let store = Store::open(&directory).expect("goes on where it stopped");
        assert_eq!(schema_of(&store.read().db), right, "from {version}");
        store.check().expect("sound");
        assert_eq!(store.read().counts().expect("counts").people, PEOPLE - 1);
        let (mut reader, mut seed) = (Vec::new(), 1);
        store
            .read()
            .references_each::<StoreError>(ReferenceId(0), |_, _, bytes| {
                seed += 1;
                reader.push(*bytes == *embedding(seed));
                Ok(())
            })
            .expect("references");
        assert!(reader.len() as u64 == PEOPLE - 1 && reader.iter().all(|whole| *whole));
        round += 1;
    }
    println!("{took:?} unkilled; killed at the versions {stopped_at:?}, {on_the_way} on the way");
    assert!(
        on_the_way > rounds / 10,
        "the kills come too early or too late: {stopped_at:?}"
    );
    let what = "kill -9 of a process between two steps from an older schema to the newest";
    record("Crash", what, on_the_way, 0);
}

/// How far the killed child came.
fn version_of(folder: &Path) -> usize {
    // On a copy: who looks at a log recovers it.
    let look = tempfile::tempdir().expect("temporary folder");
    let copied = |file| fs::copy(folder.join(file), look.path().join(file));
    copied("store.db").expect("the store is there");
    // There may be no log.
    let _ = copied("store.db-wal");
    let db = Connection::open(look.path().join("store.db")).expect("opened");
    let version = db.pragma_query_value(None, "user_version", |row| row.get::<_, u32>(0));
    version.expect("a store that can be read") as usize
}
