//! Where a backup may go, the list of withdrawals beside it, and what README says of both.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use cardea_tests::files::write_csv;
use cardea_tests::programs::program;
use cardea_tests::{Site, face};

/// A site of one person, a folder for its backups that the configuration names, and a key.
struct Shelf {
    site: Site,
    folder: PathBuf,
    key: PathBuf,
    public: String,
}

impl Shelf {
    fn new() -> Self {
        let site = Site::new();
        let (csv, npy) = (site.file("people.csv"), site.file("people.npy"));
        write_csv(&csv, &npy, &[("Anna", face(1))]);
        site.done(&["people", "import", text(&csv), "--embeddings", text(&npy)]);
        let (folder, key) = (site.file("backups"), site.file("backup.key"));
        fs::create_dir(&folder).expect("a new folder");
        let public = site.done(&["backup-key", text(&key)]).trim().to_owned();
        let shelf = Self {
            site,
            folder,
            key,
            public,
        };
        shelf.site.done(&shelf.set(&shelf.folder));
        shelf
    }

    /// Has backups go to a folder.
    fn set<'a>(&'a self, folder: &'a Path) -> [&'a str; 5] {
        let directory = ["backup-set", "--directory", text(folder)];
        [
            directory[0],
            directory[1],
            directory[2],
            "--to",
            &self.public,
        ]
    }

    /// Takes a backup into the configured folder.
    fn take(&self) -> PathBuf {
        let said = self.site.done(&["backup"]);
        PathBuf::from(said.split(": ").next().expect("a path first"))
    }

    /// The list of withdrawals.
    fn list(&self) -> PathBuf {
        let names = entries(&self.folder);
        let name = names.iter().find(|name| name.starts_with("withdrawals-"));
        self.folder.join(name.expect("beside the backups"))
    }

    /// What `restore` says.
    fn restored(&self, file: &Path, into: &str) -> String {
        let mut command = Command::new(program("cardea"));
        command.arg("--data").arg(self.site.file(into));
        command.args(["restore", text(file), "--key", text(&self.key)]);
        let output = command.output().expect("it runs");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{error}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

fn entries(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder");
    let names = entries.map(|entry| entry.expect("an entry").file_name());
    let mut names: Vec<_> = names
        .map(|name| name.into_string().expect("UTF-8"))
        .collect();
    names.sort();
    names
}

/// A file of the folder's name was made, and no list could be kept beside it. Fails if `backup`,
/// `check-config` or `backup-set` takes the configured folder without `Target::configured`.
#[test]
fn a_configured_folder_that_is_missing_is_no_file() {
    let shelf = Shelf::new();
    fs::remove_dir(&shelf.folder).expect("it is empty");
    let other = shelf.site.file("other");
    for arguments in [
        &["backup"][..],
        &["check-config"],
        &shelf.set(&shelf.folder),
        &shelf.set(&other),
    ] {
        let folder = match arguments.contains(&text(&other)) {
            true => &other,
            false => &shelf.folder,
        };
        let said = shelf.site.refused(arguments);
        assert!(said.contains(text(folder)), "{arguments:?}: {said}");
        assert!(
            said.contains("no such folder; make it"),
            "{arguments:?}: {said}"
        );
        assert!(!folder.exists(), "{arguments:?}");
    }
    fs::create_dir(&shelf.folder).expect("a new folder");
    shelf.site.done(&["check-config"]);
    assert_eq!(shelf.take().parent(), Some(shelf.folder.as_path()));
}

/// A folder that was missing, with `/` after it, left a `.part`. Fails if `backup` takes its
/// argument without `Target::said`.
#[test]
fn an_argument_that_is_neither_folder_nor_file_is_refused() {
    let shelf = Shelf::new();
    let before = entries(shelf.site.data().parent().expect("a folder"));
    for name in ["missing/", "missing/one.age"] {
        let target = shelf.site.file(name);
        let said = shelf.site.refused(&["backup", text(&target)]);
        assert!(said.contains("folder") && said.contains("make"), "{said}");
    }
    let after = entries(shelf.site.data().parent().expect("a folder"));
    assert_eq!(after, before);
    let file = shelf.folder.join("one.age");
    shelf.site.done(&["backup", text(&file)]);
    assert!(file.is_file());
}

/// Fails if `take` gives the backup its name first, or passes over an error of
/// `save_withdrawals`; and if what could not become a list stays.
#[test]
fn there_is_no_backup_without_its_list() {
    let shelf = Shelf::new();
    let first = shelf.take();
    let list = shelf.list();
    fs::remove_file(&first).expect("it is ours");
    fs::remove_file(&list).expect("it is ours");
    // No file can take its place.
    fs::create_dir(&list).expect("made");
    let said = shelf.site.refused(&["backup"]);
    assert!(said.contains("no backup without its list"), "{said}");
    assert!(said.contains(text(&list)), "{said}");
    let names = entries(&shelf.folder);
    assert!(
        !names.iter().any(|name| name.ends_with(".age")),
        "{names:?}"
    );
    let lists = names.iter().filter(|name| name.starts_with("withdrawals-"));
    assert_eq!(lists.count(), 1, "{names:?}");
    fs::remove_dir(&list).expect("it is ours");
    let second = shelf.take();
    assert!(second.is_file() && list.is_file());
}

/// Somebody came back with a list that was as old as the backup, or an older copy of it, and
/// nothing was said. Fails if `restore_site` prints the warning only where there is no list.
#[test]
fn restore_says_up_to_when_it_knows_of_withdrawals() {
    let shelf = Shelf::new();
    let file = shelf.take();
    let (list, apart) = (shelf.list(), shelf.site.file("apart"));
    fs::create_dir(&apart).expect("a new folder");
    let of = |path: &Path| apart.join(path.file_name().expect("a name"));
    for path in [&file, &list] {
        fs::copy(path, of(path)).expect("copied");
    }
    // Without a server nobody writes the list.
    shelf.site.done(&["people", "withdraw", "Anna"]);
    let kept = format!("kept its own list in {}", text(&shelf.folder));
    for (file, into, why) in [
        (&file, "beside", "no older copy"),
        (&of(&file), "copied", &kept),
    ] {
        let said = shelf.restored(file, into);
        assert!(said.contains("restored: 1 people"), "{said}");
        let until = said.split("known up to ").nth(1).expect("a time");
        let until = until.lines().next().expect("a time");
        let warned = said.lines().find(|line| line.starts_with("WARNING: "));
        let warned = warned.unwrap_or_else(|| panic!("{said}"));
        assert!(warned.contains(&format!("after {until} ")), "{said}");
        assert!(warned.contains(why), "{said}");
    }
}

fn readme() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    fs::read_to_string(path).expect("the page")
}

/// README had a second table `[backup]` written below the one of `init`, which no TOML has. Fails
/// if it says so again, or if a line of it is not taken.
#[test]
fn the_table_of_backups_is_that_of_init() {
    let readme = readme();
    let (before, table) = readme.split_once("\n    [backup]\n").expect("a table");
    let said = before
        .trim_end()
        .rsplit("\n\n")
        .next()
        .expect("a paragraph");
    assert!(said.contains("that `init` wrote"), "{said}");
    let shelf = Shelf::new();
    let table: String = table
        .lines()
        .map_while(|line| line.strip_prefix("    "))
        .map(|line| format!("{line}\n"))
        .collect();
    let table = table.replace("/var/backups/cardea", text(&shelf.folder));
    let file = shelf.site.data().join("cardea.toml");
    let written = fs::read_to_string(&file).expect("init wrote it");
    let (head, _) = written.split_once("[backup]\n").expect("init wrote it");
    assert!(
        table.contains("days = 30") && table.contains("to = "),
        "{table}"
    );
    fs::write(&file, format!("{head}[backup]\n{table}")).expect("written");
    shelf.site.done(&["check-config"]);
}

/// `backup.lock` and the empty `gallery.fault` were unexplained. Fails if a file lies in the data
/// directory of a site that serves, and was backed up, which README does not name.
#[test]
fn readme_names_the_files_of_the_data_directory() {
    let shelf = Shelf::new();
    let server = shelf.site.serve();
    shelf.take();
    let readme = readme();
    let (_, table) = readme
        .split_once("In the data directory:")
        .expect("a table");
    let (table, _) = table.split_once("\n#").expect("the next section");
    let names = entries(&shelf.site.data());
    server.stop();
    let unnamed: Vec<_> = names
        .iter()
        .map(|name| name.trim_end_matches("-wal").trim_end_matches("-shm"))
        .filter(|name| !name.starts_with("reserve."))
        .filter(|name| {
            let (file, folder) = (format!("`{name}`"), format!("`{name}/`"));
            !table.contains(&file) && !table.contains(&folder)
        })
        .collect();
    assert!(unnamed.is_empty(), "{unnamed:?} of {names:?}");
}
