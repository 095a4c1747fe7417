//! A backup that is cut, and what the next one makes of what it left.

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use cardea_engine::limits::SYNC_BYTES;
use cardea_tests::files::write_csv;
use cardea_tests::programs::program;
use cardea_tests::space::until;
use cardea_tests::{Site, face};
use rusqlite::{Connection, OpenFlags};

/// So many people make a store that is longer than what a backup writes between two syncs.
const PEOPLE: usize = 6_000;
/// The length of a sealed piece.
const PIECE: u64 = 65_536 + 16;

/// A site with many people, a folder for its backups and two keys.
struct Shelf {
    site: Site,
    folder: PathBuf,
    keys: [(PathBuf, String); 2],
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

impl Shelf {
    fn new(configuration: &[(&str, &str)]) -> Self {
        let site = Site::with(configuration);
        let names: Vec<_> = (0..PEOPLE).map(|number| format!("P{number}")).collect();
        let people: Vec<_> = names
            .iter()
            .zip(0..)
            .map(|(name, number)| (name.as_str(), face(number)))
            .collect();
        let (csv, npy) = (site.file("people.csv"), site.file("people.npy"));
        write_csv(&csv, &npy, &people);
        site.done(&["people", "import", text(&csv), "--embeddings", text(&npy)]);
        let folder = site.file("backups");
        fs::create_dir(&folder).expect("a new folder");
        let keys = ["one.key", "other.key"].map(|name| {
            let key = site.file(name);
            let public = site.done(&["backup-key", text(&key)]);
            (key, public.trim().to_owned())
        });
        Self { site, folder, keys }
    }

    fn staging(&self) -> PathBuf {
        self.site.data().join("backup.staging")
    }

    /// Names in the folder that end so.
    fn files(&self, ending: &str) -> Vec<PathBuf> {
        let entries = fs::read_dir(&self.folder).expect("a folder");
        let paths = entries.map(|entry| entry.expect("an entry").path());
        paths.filter(|path| text(path).ends_with(ending)).collect()
    }

    /// Takes a backup that is killed when its file is longer than the store's copy: that is past
    /// the first sync.
    fn cut(&self) -> PathBuf {
        let store = self.site.data().join("store.db");
        let store = Connection::open_with_flags(store, OpenFlags::SQLITE_OPEN_READ_ONLY);
        let store = store.expect("the store can be read");
        let number = |name: &str| -> u64 {
            let value = store.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
            value.expect("a number") as u64
        };
        let bytes = number("page_count") * number("page_size");
        assert!(bytes > SYNC_BYTES + PIECE, "{bytes} are too few");
        // The shell counts in blocks of 512 bytes.
        let blocks = (bytes / 512 + 8).to_string();
        let mut shell = Command::new("sh");
        shell.args([
            "-c",
            "ulimit -c 0; ulimit -f $1; shift; exec \"$@\"",
            "sh",
            &blocks,
        ]);
        shell
            .arg(program("cardea"))
            .arg("--data")
            .arg(self.site.data());
        shell.args(["backup", text(&self.folder), "--to", &self.keys[0].1]);
        let output = shell.output().expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            output.status.signal().is_some(),
            "{}: {said}",
            output.status
        );
        assert!(
            self.staging().join("state").exists(),
            "nothing to go on with"
        );
        let mut parts = self.files(".part");
        let part = parts.pop().expect("an unfinished file");
        assert!(fs::metadata(&part).expect("there").len() > SYNC_BYTES);
        part
    }

    fn take(&self, key: usize) -> String {
        self.site
            .done(&["backup", text(&self.folder), "--to", &self.keys[key].1])
    }

    /// How many people a backup holds; fails if it is not whole.
    fn restored(&self, file: &Path, key: usize) -> usize {
        let data = self.site.file("restored");
        let _ = fs::remove_dir_all(&data);
        let output = Command::new(program("cardea"))
            .arg("--data")
            .arg(&data)
            .args(["restore", text(file), "--key", text(&self.keys[key].0)])
            .output()
            .expect("it runs");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{error}");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let people = said
            .split(' ')
            .nth(1)
            .and_then(|people| people.parse().ok());
        people.unwrap_or_else(|| panic!("{said}"))
    }
}

/// Fails if the second run copies the store again, seals what is on the disk again, or goes on
/// where it must not: for another key, or from copies that somebody has changed.
#[test]
fn a_backup_that_was_cut_goes_on_where_it_was() {
    let shelf = Shelf::new(&[]);
    let part = shelf.cut();
    // Beside a server, which erases the copies in time; without one the command itself does.
    let server = shelf.site.serve();
    shelf.site.done(&["people", "withdraw", "P0"]);
    server.stop();
    let said = shelf.take(0);
    let file = part.with_extension("age");
    assert!(said.starts_with(text(&file)), "another moment: {said}");
    let from = said
        .lines()
        .find_map(|line| line.strip_prefix("gone on at byte "));
    let from: u64 = from
        .and_then(|from| from.parse().ok())
        .expect("it says where");
    assert!(from > SYNC_BYTES - 2 * PIECE, "{from}");
    assert!(!shelf.staging().exists() && shelf.files(".part").is_empty());
    // It is of the moment at which it was begun, and the list beside it is of now.
    assert_eq!(shelf.restored(&file, 0), PEOPLE - 1, "withdrawn again");
    fs::remove_file(&file).expect("it is ours");

    shelf.cut();
    let said = shelf.take(1);
    assert!(!said.contains("gone on"), "for another key: {said}");
    let file = shelf.files(".age").pop().expect("a backup");
    assert_eq!(shelf.restored(&file, 1), PEOPLE - 1);
    assert!(
        shelf.files(".part").is_empty(),
        "what was cut goes in the end"
    );
    fs::remove_file(&file).expect("it is ours");

    shelf.cut();
    let copy = shelf.staging().join("store.db");
    let mut bytes = fs::read(&copy).expect("a copy");
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&copy, bytes).expect("it is ours");
    let said = shelf.take(0);
    assert!(!said.contains("gone on"), "from a changed copy: {said}");
}

/// Fails if the copies of a backup that was cut stay for longer than people who are withdrawn may
/// be anywhere.
#[test]
fn what_a_cut_backup_left_is_erased_in_time() {
    let shelf = Shelf::new(&[("erasure_period_s", "2")]);
    shelf.cut();
    let server = shelf.site.serve();
    until("the copies are erased", || !shelf.staging().exists());
    server.stop();
}
