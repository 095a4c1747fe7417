//! The bundle of diagnostics: a tar of what helps whoever keeps the site from afar, and of nothing
//! that names a person or opens anything. What goes in is listed here; nothing is gathered by
//! walking folders, so that a new file in the data directory is not in it by accident.

use std::fs;
use std::io::{self, Read as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::config;
use crate::histograms::log::FOLDER as LATENCY;
use crate::limits::DIAGNOSTICS_BYTES_MAX;
use crate::site::unix_ms;

/// `cardea check-host` may take this long.
const CHECK_HOST_MAX: Duration = Duration::from_secs(60);
const CHECK_HOST_BYTES_MAX: u64 = 256 * 1_024;

/// The bundle. `facts` are names and contents of files that only the writer can fill.
///
/// # Errors
/// Those of the file system; a file that cannot be read is left out and said so.
pub fn bundle(data: &Path, facts: Vec<(String, String)>) -> io::Result<Vec<u8>> {
    let mut tar = Bundle {
        builder: tar::Builder::new(Vec::new()),
        missing: Vec::new(),
    };
    for (name, content) in facts {
        tar.add(&name, content.as_bytes())?;
    }
    tar.add("versions.json", versions().as_bytes())?;
    tar.file("cardea.toml", &data.join(config::FILE))?;
    tar.file("os-release", Path::new("/etc/os-release"))?;
    tar.file("cpuinfo", Path::new("/proc/cpuinfo"))?;
    tar.file("meminfo", Path::new("/proc/meminfo"))?;
    tar.folder(LATENCY, &data.join(LATENCY))?;
    match check_host(data) {
        Ok(text) => tar.add("check-host.json", text.as_bytes())?,
        Err(why) => tar.missing.push(format!("check-host.json: {why}")),
    }
    let missing = tar.missing.join("\n");
    tar.add("left-out.txt", missing.as_bytes())?;
    tar.builder.into_inner()
}

struct Bundle {
    builder: tar::Builder<Vec<u8>>,
    missing: Vec<String>,
}

impl Bundle {
    fn add(&mut self, name: &str, content: &[u8]) -> io::Result<()> {
        if self.builder.get_ref().len() + content.len() > DIAGNOSTICS_BYTES_MAX {
            self.missing.push(format!("{name}: the bundle is full"));
            return Ok(());
        }
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o600);
        header.set_mtime(unix_ms() / 1_000);
        self.builder.append_data(&mut header, name, content)
    }

    fn file(&mut self, name: &str, path: &Path) -> io::Result<()> {
        match fs::read(path) {
            Ok(content) => self.add(name, &content),
            Err(error) => {
                self.missing.push(format!("{name}: {error}"));
                Ok(())
            }
        }
    }

    /// The files of a folder, newest first by name: when the bundle is full the oldest stay out.
    fn folder(&mut self, name: &str, path: &Path) -> io::Result<()> {
        let entries = match fs::read_dir(path) {
            Ok(entries) => entries,
            Err(error) => {
                self.missing.push(format!("{name}: {error}"));
                return Ok(());
            }
        };
        let mut names: Vec<_> = entries
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .collect();
        names.sort_unstable_by(|one, other| other.cmp(one));
        for file in names {
            self.file(&format!("{name}/{file}"), &path.join(&file))?;
        }
        Ok(())
    }
}

fn versions() -> String {
    let kernel = fs::read_to_string("/proc/version").unwrap_or_default();
    serde_json::json!({
        "cardea": env!("CARGO_PKG_VERSION"),
        "kernel": kernel.trim(),
        "cores": std::thread::available_parallelism().map_or(0, std::num::NonZero::get),
    })
    .to_string()
}

/// What `cardea check-host --json` says, where this program has that command.
fn check_host(data: &Path) -> Result<String, String> {
    let words = |error: io::Error| error.to_string();
    let program = std::env::current_exe().map_err(words)?;
    let mut child = Command::new(program)
        .arg("--data")
        .arg(data)
        .args(["check-host", "--json"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(words)?;
    let out = child.stdout.take().ok_or("no output")?;
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        let _ = out.take(CHECK_HOST_BYTES_MAX).read_to_string(&mut text);
        text
    });
    let until = Instant::now() + CHECK_HOST_MAX;
    while child.try_wait().map_err(words)?.is_none() {
        if Instant::now() > until {
            // Both fail only for a child that has ended by itself.
            let _ = child.kill();
            let _ = child.wait();
            return Err("it took too long".to_owned());
        }
        std::thread::park_timeout(Duration::from_millis(20));
    }
    let text = reader.join().unwrap_or_default();
    if text.trim_start().starts_with(['{', '[']) {
        Ok(text)
    } else {
        Err("this version has no such command".to_owned())
    }
}
