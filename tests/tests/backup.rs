//! Backups: taken while the site is served, restored elsewhere; what they bring back and what not.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use cardea_loadtest::identity::Identity;
use cardea_loadtest::tls;
use cardea_tests::programs::program;
use cardea_tests::raw::Raw;
use cardea_tests::site::contains;
use cardea_tests::{Device, Process, Site, face};
use cardea_wire::{Decision, Reason};

/// A folder for backups and a key for them.
struct Shelf {
    folder: PathBuf,
    key: PathBuf,
    public: String,
}

impl Shelf {
    fn new(site: &Site) -> Self {
        let (folder, key) = (site.file("backups"), site.file("backup.key"));
        fs::create_dir(&folder).expect("a new folder");
        let public = site.done(&["backup-key", text(&key)]);
        let public = public.trim().to_owned();
        Self {
            folder,
            key,
            public,
        }
    }

    fn take(&self, site: &Site) -> PathBuf {
        let folder = text(&self.folder);
        let said = site.done(&["backup", folder, "--to", &self.public]);
        let name = said.split(": ").next().expect("a path first");
        PathBuf::from(name)
    }

    fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.folder).expect("a folder");
        let mut names: Vec<_> = entries
            .map(|entry| {
                entry
                    .expect("an entry")
                    .file_name()
                    .into_string()
                    .expect("UTF-8")
            })
            .collect();
        names.sort();
        names
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

fn restore(data: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(program("cardea"));
    command
        .arg("--data")
        .arg(data)
        .arg("restore")
        .args(arguments);
    command.output().expect("it runs")
}

fn restored(data: &Path, arguments: &[&str]) -> String {
    let output = restore(data, arguments);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn refused(data: &Path, arguments: &[&str]) -> String {
    let output = restore(data, arguments);
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn serve(data: &Path) -> Process {
    let mut command = Command::new(program("cardea"));
    let mut process = Process::start(command.arg("--data").arg(data).arg("serve"));
    process.line(|line| line.starts_with("ready on "));
    process
}

/// A port that is free now, for a site that must come back at the same one.
fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("bound").port()
}

fn site_at(port: u16) -> Site {
    Site::with(&[("listen", &format!("\"127.0.0.1:{port}\""))])
}

/// Fails if a file of the site is left out of `take::pack`, or `restore` makes another CA or key.
#[test]
fn a_site_goes_on_elsewhere_and_its_devices_notice_nothing() {
    let site = site_at(free_port());
    let mut server = site.serve();
    let mut admin = server.admin();
    admin.enrol("Anna", &face(1)).expect("enrolled");
    let mut device = site.device("front");
    assert_eq!(device.access(&face(1)).decision, Decision::Granted);
    let shelf = Shelf::new(&site);
    let file = shelf.take(&site);
    // Not in the clear: neither her face, nor her name, nor a key.
    let sealed = fs::read(&file).expect("there");
    for secret in [&face(1)[..], b"Name of Anna", b"SQLite format 3"] {
        assert!(!contains(&sealed, secret));
    }
    assert!(
        !site.data().join("backup.staging").exists(),
        "the copies are gone"
    );
    assert_eq!(device.access(&face(1)).decision, Decision::Granted);
    drop(admin);
    server.process.kill();

    let elsewhere = site.file("elsewhere");
    let said = restored(&elsewhere, &[text(&file), "--key", text(&shelf.key)]);
    assert!(said.contains("1 people, 1 devices"), "{said}");
    let process = serve(&elsewhere);
    let identity = &device.identity;
    let mut same = Device::of(clone_of(identity));
    let reply = same.access(&face(1));
    assert_eq!(reply.decision, Decision::Granted);
    assert_eq!(same.access(&face(2)).reason, Reason::NoMatch);
    process.terminate();
    let again = refused(&elsewhere, &[text(&file), "--key", text(&shelf.key)]);
    assert!(again.contains("there is a site"), "{again}");
}

fn clone_of(identity: &Identity) -> Identity {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("device");
    identity.save(&path).expect("saved");
    Identity::load(&path).expect("as saved")
}

/// Fails if `person_withdraw` does not remember, `export_to` does not write, or `restore` does not
/// withdraw again; and if it then also takes away who was enrolled anew.
#[test]
fn an_old_backup_brings_nobody_back() {
    let site = Site::new();
    let shelf = Shelf::new(&site);
    let configuration = site.data().join("cardea.toml");
    let table = format!(
        "[backup]\ndirectory = \"{}\"\ndays = 30\n",
        text(&shelf.folder)
    );
    let written = fs::read_to_string(&configuration).expect("there");
    fs::write(
        &configuration,
        written.replace("[backup]\ndays = 30\n", &table),
    )
    .expect("written");
    let mut server = site.serve();
    let mut admin = server.admin();
    for (person, number) in [("Anna", 1), ("Bert", 2), ("Cleo", 3)] {
        admin.enrol(person, &face(number)).expect("enrolled");
    }
    let _stays = site.device("stays");
    let _goes = site.device("goes");
    let file = shelf.take(&site);
    let list = shelf.folder.join(
        shelf
            .files()
            .into_iter()
            .find(|name| name.starts_with("withdrawals-"))
            .expect("beside the backup"),
    );
    let lines = || fs::read_to_string(&list).expect("there").lines().count();
    let before = lines();
    admin.withdraw("Anna").expect("withdrawn");
    admin.withdraw("Bert").expect("withdrawn");
    site.done(&["device", "remove", "goes"]);
    // She changed her mind, but the server dies before the next backup.
    admin.enrol("Bert", &face(4)).expect("enrolled again");
    // The server writes the list by itself, within about a second.
    let begun = std::time::Instant::now();
    while lines() != before + 3 {
        assert!(begun.elapsed().as_secs() < 60, "the list is not written");
        // Each answer takes the writer's own time.
        admin
            .ask(&serde_json::json!({"do": "door_list"}))
            .expect("answered");
    }
    let listed = fs::read_to_string(&list).expect("there");
    assert!(
        !listed.contains("Anna") && !listed.contains("goes"),
        "{listed}"
    );
    drop(admin);
    server.process.kill();

    let data = site.file("restored");
    let said = restored(&data, &[text(&file), "--key", text(&shelf.key)]);
    assert!(
        said.contains("withdrawn again: 2 people, 1 devices"),
        "{said}"
    );
    assert!(said.contains("1 people, 1 devices, as of"), "{said}");
    for number in [1, 2] {
        let found = files_with(&data, &face(number));
        assert!(found.is_empty(), "{found:?} still has the face {number}");
    }
    assert_eq!(
        files_with(&data, &face(3)).len(),
        1,
        "the search is not blind"
    );

    // Without the list it says what that means, and only does it when told.
    fs::create_dir(site.file("apart")).expect("a new folder");
    let apart = site.file("apart").join("alone.age");
    fs::copy(&file, &apart).expect("copied");
    let data = site.file("without");
    let why = refused(&data, &[text(&apart), "--key", text(&shelf.key)]);
    assert!(why.contains("withdrawn since"), "{why}");
    assert!(!data.join("store.db").exists(), "nothing is left of it");
    let arguments = [
        text(&apart),
        "--key",
        text(&shelf.key),
        "--withdrawals-unknown",
    ];
    let said = restored(&data, &arguments);
    assert!(
        said.contains("WARNING") && said.contains("3 people"),
        "{said}"
    );
    // A list that somebody has shortened is not taken.
    let shortened: String = listed
        .lines()
        .filter(|line| !line.starts_with("p "))
        .map(|line| format!("{line}\n"))
        .collect();
    let short = site.file("short");
    fs::write(&short, shortened).expect("written");
    let data = site.file("shortened");
    let arguments = [
        text(&file),
        "--key",
        text(&shelf.key),
        "--withdrawals",
        text(&short),
    ];
    let why = refused(&data, &arguments);
    assert!(why.contains("was changed"), "{why}");
}

/// Fails if who is enrolled again is taken for who was withdrawn.
#[test]
fn who_enrolled_again_comes_back_from_a_later_backup() {
    let site = Site::new();
    let shelf = Shelf::new(&site);
    let server = site.serve();
    let mut admin = server.admin();
    admin.enrol("Bert", &face(1)).expect("enrolled");
    admin.withdraw("Bert").expect("withdrawn");
    admin.enrol("Bert", &face(2)).expect("enrolled again");
    let file = shelf.take(&site);
    server.stop();
    let said = restored(
        &site.file("later"),
        &[text(&file), "--key", text(&shelf.key)],
    );
    assert!(said.contains("restored: 1 people"), "{said}");
    assert!(said.contains("withdrawn again: 0 people"), "{said}");
}

/// Fails if the passphrase is not asked for, the end is not looked at, or a failed restore leaves
/// what makes the next one fail.
#[test]
fn a_damaged_file_or_a_wrong_passphrase_restores_nothing() {
    let site = Site::new();
    let (right, wrong) = (site.file("right"), site.file("wrong"));
    fs::write(&right, "correct horse battery\n").expect("written");
    fs::write(&wrong, "correct horse batterz\n").expect("written");
    // Without a server: the command holds the directory itself.
    let file = site.file("site.age");
    site.done(&["backup", text(&file), "--passphrase-file", text(&right)]);
    let there = site.refused(&["backup", text(&file), "--passphrase-file", text(&right)]);
    assert!(there.contains("is there"), "{there}");
    assert!(
        site.refused(&["backup", text(&site.file("b"))])
            .contains("for whom")
    );

    let data = site.file("data2");
    let why = refused(&data, &[text(&file), "--passphrase-file", text(&wrong)]);
    assert!(why.contains("neither key nor passphrase"), "{why}");
    let bytes = fs::read(&file).expect("there");
    let bad = site.file("bad.age");
    let mut changed = bytes.clone();
    changed[bytes.len() / 2] ^= 1;
    for content in [
        &changed[..],
        &bytes[..bytes.len() - 10_000],
        &bytes[..bytes.len() - 1],
    ] {
        fs::write(&bad, content).expect("written");
        let why = refused(&data, &[text(&bad), "--passphrase-file", text(&right)]);
        assert!(why.contains("changed or cut short"), "{why}");
        assert!(!data.join("cardea.toml").exists() && !data.join("store.db").exists());
    }
    restored(&data, &[text(&file), "--passphrase-file", text(&right)]);
}

/// The real `age` opens our backup, and `tar` what is in it. Fails if the head or the encrypted
/// bytes differ from the format in anything.
#[test]
fn the_program_age_opens_a_backup() {
    if Command::new("age").arg("--version").output().is_err() {
        println!("skipped: `age` is not installed (tools/test installs it)");
        return;
    }
    let site = Site::new();
    let shelf = Shelf::new(&site);
    let file = shelf.take(&site);
    let tar = site.file("opened.tar");
    let output = Command::new("age")
        .args([
            "--decrypt",
            "--identity",
            text(&shelf.key),
            "--output",
            text(&tar),
        ])
        .arg(&file)
        .output()
        .expect("it runs");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    let listed = Command::new("tar")
        .arg("-tf")
        .arg(&tar)
        .output()
        .expect("it runs");
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    for name in [
        "about.json",
        "cardea.toml",
        "store.db",
        "audit.db",
        "checksums.json",
    ] {
        assert!(listed.lines().any(|line| line == name), "{listed}");
    }
}

/// Fails if the copy keeps the audit or the writer waiting past a request's deadline, or is not of
/// one moment while people come and go.
#[test]
fn doors_open_while_a_backup_is_taken() {
    let site = Site::new();
    let shelf = Shelf::new(&site);
    let server = site.serve();
    let mut admin = server.admin();
    (0..300).for_each(|person| {
        admin
            .enrol(&format!("P{person}"), &face(person))
            .expect("enrolled");
    });
    let mut device = site.device("front");
    let folder = text(&shelf.folder).to_owned();
    let mut command = site.command(&["backup", &folder, "--to", &shelf.public]);
    let mut backup = command
        .stdout(std::process::Stdio::null())
        .spawn()
        .expect("it runs");
    let mut answered = 0;
    let status = loop {
        let reply = device.access(&face(answered % 300));
        assert_eq!(reply.decision, Decision::Granted, "{reply:?}");
        answered += 1;
        admin
            .enrol(&format!("N{answered}"), &face(1_000 + answered))
            .expect("enrolled");
        if let Some(status) = backup.try_wait().expect("a child") {
            break status;
        }
    };
    assert!(
        status.success() && answered > 3,
        "{status}, {answered} answered meanwhile"
    );
    server.stop();
    let file = shelf
        .files()
        .into_iter()
        .find(|name| name.ends_with(".age"));
    let file = shelf.folder.join(file.expect("a backup"));
    let said = restored(
        &site.file("copy"),
        &[text(&file), "--key", text(&shelf.key)],
    );
    let people = said
        .split(' ')
        .nth(1)
        .and_then(|people| people.parse::<u64>().ok());
    let people = people.unwrap_or_else(|| panic!("{said}"));
    assert!((300..=300 + answered).contains(&people), "{said}");
}

/// Fails if the newest is not kept, others' files go, or the metric is not set.
#[test]
fn old_backups_go_and_the_age_of_the_newest_is_known() {
    let site = Site::new();
    let shelf = Shelf::new(&site);
    let server = site.serve();
    let first = shelf.take(&site);
    let name = text(Path::new(first.file_name().expect("a file"))).to_owned();
    let (begin, _) = name.rsplit_once('-').expect("a time in it");
    let old = shelf.folder.join(format!("{begin}-20200101T000000Z.age"));
    fs::rename(&first, &old).expect("made old");
    fs::write(shelf.folder.join("notes.txt"), b"mine").expect("written");
    let second = shelf.take(&site);
    assert!(!old.exists(), "its time was over");
    assert!(second.exists() && shelf.folder.join("notes.txt").exists());
    let mut device = site.device("front");
    assert_eq!(device.heartbeat().0, 200);
    let health = get(&device, "/health");
    assert!(health.contains("\"backup_age_s\":"), "{health}");
    assert!(!health.contains("\"backup_age_s\":null"), "{health}");
    let audit = site.done(&["audit", "tail"]);
    assert!(
        audit.contains("backup.begin") && audit.contains("backup.end"),
        "{audit}"
    );
    server.stop();
}

fn get(device: &Device, path: &str) -> String {
    let config = tls::commissioned(&device.identity, false).expect("key and certificate");
    let mut raw = Raw::connect(config, device.identity.server);
    let question = format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    raw.send(question.as_bytes()).expect("sent");
    String::from_utf8_lossy(&raw.read_to_end().expect("answered")).into_owned()
}

fn files_with(folder: &Path, bytes: &[u8]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let entries = fs::read_dir(folder).expect("a folder");
    for path in entries.map(|entry| entry.expect("an entry").path()) {
        if path.is_file() && contains(&fs::read(&path).expect("there"), bytes) {
            found.push(path);
        }
    }
    found
}
