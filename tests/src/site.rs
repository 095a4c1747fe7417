//! A site in a temporary folder, and the server over it.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rusqlite::{Connection, OpenFlags};

use crate::admin::Admin;
use crate::device::Device;
use crate::metrics::metrics;
use crate::process::Process;
use crate::programs::program;

/// The decision threshold of these sites.
pub const THRESHOLD: &str = "0.41";

/// A new site, and what is in its folder. The folder goes with the value.
pub struct Site {
    folder: tempfile::TempDir,
    /// The first password of the console's `admin`, as `init` printed it.
    pub password: String,
}

impl Site {
    /// A site with one door, `main`.
    #[must_use]
    pub fn new() -> Self {
        Self::with(&[])
    }

    /// A site with one door, `main`, and these keys of `cardea.toml` set to these values (TOML).
    ///
    /// # Panics
    /// If it cannot be made.
    #[must_use]
    pub fn with(configuration: &[(&str, &str)]) -> Self {
        let mut site = Self {
            folder: tempfile::tempdir().expect("a temporary folder"),
            password: String::new(),
        };
        let init = ["init", "--ip", "127.0.0.1", "--listen", "127.0.0.1:0"];
        let told = site.done(&[&init[..], &["--threshold", THRESHOLD]].concat());
        site.password = password_in(&told);
        site.configure(configuration);
        site.done(&["door", "add", "main"]);
        site
    }

    /// A copy of this site with the same site CA, as from a backup.
    ///
    /// # Panics
    /// If it cannot be copied.
    #[must_use]
    pub fn twin(&self) -> Self {
        let twin = Self {
            folder: tempfile::tempdir().expect("a temporary folder"),
            password: self.password.clone(),
        };
        let skipped = ["lock", "cardea.sock"];
        copy(&self.data(), &twin.data(), &skipped).expect("a folder can be copied");
        twin
    }

    /// Sets keys of `cardea.toml`.
    ///
    /// # Panics
    /// If the file cannot be read or written.
    pub fn configure(&self, configuration: &[(&str, &str)]) {
        let file = self.data().join("cardea.toml");
        let text = fs::read_to_string(&file).expect("init wrote it");
        let kept = text.lines().filter(|line| {
            !configuration
                .iter()
                .any(|(key, _)| line.starts_with(&format!("{key} = ")))
        });
        let set = configuration
            .iter()
            .map(|(key, value)| format!("{key} = {value}"));
        // Before the file's first table.
        let lines: Vec<String> = set.chain(kept.map(str::to_owned)).collect();
        fs::write(&file, lines.join("\n") + "\n").expect("written");
    }

    /// The data directory.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// A file beside the data directory.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A file beside the data directory that has the site's CA as PEM.
    ///
    /// # Panics
    /// If it cannot be written.
    #[must_use]
    pub fn ca_pem(&self) -> PathBuf {
        let der = fs::read(self.data().join("pki/site-ca.der")).expect("init made it");
        let text = STANDARD.encode(der);
        let pem = format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n");
        let file = self.file("ca.pem");
        fs::write(&file, pem).expect("written");
        file
    }

    /// A `cardea` command on this site.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(program("cardea"));
        command
            .arg("--data")
            .arg(self.data())
            .args(arguments)
            .env_remove("CARDEA_LOG");
        command
    }

    /// Carries a command out, whatever comes of it.
    ///
    /// # Panics
    /// If there is no such program.
    #[must_use]
    pub fn output(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("it runs")
    }

    /// Carries a command out and gives what it printed.
    ///
    /// # Panics
    /// If it fails.
    pub fn done(&self, arguments: &[&str]) -> String {
        let output = self.output(arguments);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {error}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Has a command refused and gives what it said.
    ///
    /// # Panics
    /// If it succeeds, or dies of something else.
    pub fn refused(&self, arguments: &[&str]) -> String {
        let output = self.output(arguments);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {error}");
        error
    }

    /// Starts the server and waits until it is ready.
    #[must_use]
    pub fn serve(&self) -> Server {
        self.serve_with(&[])
    }

    /// Starts the server with more arguments and waits until it is ready.
    #[must_use]
    pub fn serve_with(&self, arguments: &[&str]) -> Server {
        self.serve_command(&mut self.command(&[&["serve"], arguments].concat()))
    }

    /// Starts the server by this command and waits until it is ready.
    ///
    /// # Panics
    /// If it never is.
    #[must_use]
    pub fn serve_command(&self, command: &mut Command) -> Server {
        let mut process = Process::start(command);
        let ready = process.line(|line| line.starts_with("ready on "));
        self.server(process, &ready)
    }

    /// The server of a process that has said where it is ready.
    ///
    /// # Panics
    /// If it said something else.
    #[must_use]
    pub fn server(&self, process: Process, ready: &str) -> Server {
        let address = ready
            .trim_start_matches("ready on ")
            .parse()
            .expect("an address");
        Server {
            process,
            address,
            data: self.data(),
        }
    }

    /// Adds a device at door `main` and gives its commissioning code.
    ///
    /// # Panics
    /// If that fails.
    #[must_use]
    pub fn code(&self, device: &str) -> String {
        let table = self.done(&["device", "add", device, "--door", "main"]);
        let code = table.split_whitespace().next_back();
        code.expect("a table with a code").to_owned()
    }

    /// A new device, commissioned.
    #[must_use]
    pub fn device(&self, name: &str) -> Device {
        Device::commission(&self.code(name))
    }

    /// What the audit says, to be asked in SQL; the server may be running.
    ///
    /// # Panics
    /// If there is no audit.
    #[must_use]
    pub fn audit(&self) -> Connection {
        let path = self.data().join("audit.db");
        let audit = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY);
        audit.expect("the audit can be read")
    }

    /// How many access attempts the audit has.
    ///
    /// # Panics
    /// If there is no audit.
    #[must_use]
    pub fn attempts(&self) -> i64 {
        let attempts = "SELECT count(*) FROM records WHERE kind = 1";
        let count = self.audit().query_row(attempts, [], |row| row.get(0));
        count.expect("a count")
    }

    /// Every file of the data directory that holds these bytes.
    #[must_use]
    pub fn files_with(&self, bytes: &[u8]) -> Vec<PathBuf> {
        let mut found = Vec::new();
        search(&self.data(), bytes, &mut found);
        found
    }
}

impl Default for Site {
    fn default() -> Self {
        Self::new()
    }
}

/// A running server.
pub struct Server {
    /// Its process.
    pub process: Process,
    /// Where it listens.
    pub address: SocketAddr,
    data: PathBuf,
}

impl Server {
    /// A connection to its administration socket.
    #[must_use]
    pub fn admin(&self) -> Admin {
        Admin::connect(&self.data).expect("a server listens")
    }

    /// What its `/metrics` shows.
    #[must_use]
    pub fn metrics(&self) -> String {
        metrics(&self.data, self.address)
    }

    /// Stops it in good order and gives its log.
    ///
    /// # Panics
    /// If it does not end well.
    pub fn stop(self) -> String {
        self.process.terminate();
        let (status, _, log) = self.process.finish();
        assert!(status.success(), "{status}\n{log}");
        log
    }
}

/// The password that `cardea init` and `cardea team` print.
///
/// # Panics
/// If there is none.
#[must_use]
pub fn password_in(told: &str) -> String {
    let line = told.lines().find(|line| line.starts_with("Console: "));
    let password = line.and_then(|line| line.split(' ').next_back());
    password.expect("it is printed").to_owned()
}

fn copy(from: &Path, to: &Path, skipped: &[&str]) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (name, path) = (entry.file_name(), entry.path());
        if path.is_dir() {
            copy(&path, &to.join(name), skipped)?;
        } else if !skipped.iter().any(|skipped| name == *skipped) {
            fs::copy(path, to.join(name))?;
        }
    }
    Ok(())
}

fn search(folder: &Path, bytes: &[u8], found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for path in entries.filter_map(|entry| entry.ok().map(|entry| entry.path())) {
        if path.is_dir() {
            search(&path, bytes, found);
        } else if fs::read(&path).is_ok_and(|content| contains(&content, bytes)) {
            found.push(path);
        }
    }
}

/// Whether `part` lies in `whole`.
#[must_use]
pub fn contains(whole: &[u8], part: &[u8]) -> bool {
    let first = part[0];
    let mut from = 0;
    while let Some(at) = whole[from..].iter().position(|byte| *byte == first) {
        if whole[from + at..].starts_with(part) {
            return true;
        }
        from += at + 1;
    }
    false
}
