//! A Debian machine: a tree made by debootstrap, changed, and booted in namespaces of its own with
//! systemd as its first process.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::space::until;

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// What the tree has beside a minimal Debian 12: what the package needs, and curl to look at it.
const PACKAGES: &str = "systemd,systemd-sysv,dbus,chrony,nftables,iproute2,ca-certificates,\
                        unattended-upgrades,curl";

/// A tree of files, not running; it goes with the value.
pub struct Tree {
    path: PathBuf,
}

impl Tree {
    /// A fresh Debian 12, copied from one that is kept in `cache`; made there the first time.
    ///
    /// # Errors
    /// Why there is none here, in words.
    ///
    /// # Panics
    /// If it cannot be copied.
    pub fn new(cache: &Path) -> Result<Self, String> {
        let base = cache.join("base");
        if !base.join("etc/debian_version").exists() {
            return Err(format!("no Debian tree in {}", base.display()));
        }
        let number = NUMBER.fetch_add(1, Ordering::SeqCst);
        let path = cache.join(format!("tree-{}-{number}", std::process::id()));
        let copied = Command::new("cp").arg("-a").args([&base, &path]).status();
        assert!(
            copied.is_ok_and(|status| status.success()),
            "a copy of {base:?}"
        );
        Ok(Self { path })
    }

    /// Makes the tree that others are copied from, unless it is there.
    ///
    /// # Errors
    /// Why it cannot be made, in words.
    pub fn prepare(cache: &Path) -> Result<(), String> {
        let base = cache.join("base");
        if base.join("etc/debian_version").exists() && !cache.join("half").exists() {
            return Ok(());
        }
        let words = |error: std::io::Error| error.to_string();
        fs::create_dir_all(cache).map_err(words)?;
        // What an interrupted run left is no tree.
        let _ = fs::remove_dir_all(&base);
        fs::write(cache.join("half"), "").map_err(words)?;
        let output = Command::new("debootstrap")
            .arg("--variant=minbase")
            .arg(format!("--include={PACKAGES}"))
            .arg("bookworm")
            .arg(&base)
            .output()
            .map_err(|error| format!("debootstrap: {error}"))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stdout);
            return Err(said
                .lines()
                .last()
                .unwrap_or("debootstrap failed")
                .to_owned());
        }
        fs::remove_file(cache.join("half")).map_err(words)
    }

    /// A path of the tree, seen from outside.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name.trim_start_matches('/'))
    }

    /// Runs a program in the tree, which does not run itself.
    ///
    /// # Panics
    /// If it fails.
    pub fn done(&self, words: &[&str]) -> String {
        let output = Command::new("chroot")
            .arg(&self.path)
            .args(["env", "DEBIAN_FRONTEND=noninteractive"])
            .args(words)
            .output()
            .expect("chroot runs");
        said(words, &output)
    }

    /// Starts the machine.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn boot(self) -> Machine {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("machine.sh");
        let log = fs::File::create(self.path.with_extension("log")).expect("a log");
        let process = Command::new("unshare")
            .args([
                "--pid", "--fork", "--mount", "--uts", "--ipc", "--net", "--cgroup",
            ])
            .arg("--kill-child")
            .arg("sh")
            .arg(script)
            .arg(&self.path)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle"))
            .stderr(log)
            .spawn()
            .expect("unshare runs");
        let mut machine = Machine {
            process,
            init: 0,
            tree: Some(self),
        };
        until("the machine has a first process", || machine.find_init());
        until("the machine is up", || {
            let state = machine.output(&["systemctl", "is-system-running"]);
            let state = String::from_utf8_lossy(&state.stdout).into_owned();
            ["running", "degraded"].contains(&state.trim())
        });
        machine
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        // One that cannot be removed now is in the way of nobody.
        let _ = fs::remove_dir_all(&self.path);
        let _ = fs::remove_file(self.path.with_extension("log"));
    }
}

/// A machine that runs; it is switched off with the value.
pub struct Machine {
    process: Child,
    init: u32,
    tree: Option<Tree>,
}

impl Machine {
    fn find_init(&mut self) -> bool {
        let outer = self.process.id();
        let children = format!("/proc/{outer}/task/{outer}/children");
        let children = fs::read_to_string(children).unwrap_or_default();
        let child = children
            .split_whitespace()
            .next()
            .and_then(|pid| pid.parse().ok());
        self.init = child.unwrap_or(0);
        // Until then it is the script that prepares it.
        fs::read_to_string(format!("/proc/{}/comm", self.init))
            .is_ok_and(|name| name.trim() == "systemd")
    }

    /// A path of its files, seen from outside.
    ///
    /// # Panics
    /// Never: it has its files while it runs.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        let tree = self.tree.as_ref();
        tree.expect("taken by restart alone, which ends it")
            .file(name)
    }

    /// A program, to be run on it.
    #[must_use]
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command
            .args(["-t", &self.init.to_string(), "--all", "--root", "--wd"])
            .args(["env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"])
            .arg("DEBIAN_FRONTEND=noninteractive")
            .args(words);
        command
    }

    /// Runs a program on it, whatever comes of it.
    ///
    /// # Panics
    /// If there is no nsenter.
    #[must_use]
    pub fn output(&self, words: &[&str]) -> Output {
        self.command(words).output().expect("nsenter runs")
    }

    /// Runs a program on it and gives what it printed.
    ///
    /// # Panics
    /// If it fails.
    pub fn done(&self, words: &[&str]) -> String {
        said(words, &self.output(words))
    }

    /// A property of a unit.
    ///
    /// # Panics
    /// If systemd cannot be asked.
    #[must_use]
    pub fn property(&self, unit: &str, name: &str) -> String {
        let shown = self.done(&["systemctl", "show", unit, "--value", "-p", name]);
        shown.trim().to_owned()
    }

    /// Has it restart, which ends it here; gives its files back.
    ///
    /// # Panics
    /// If it does not go down.
    #[must_use]
    pub fn restart(mut self) -> Tree {
        // The way in ends with the machine.
        let _ = self.output(&["systemctl", "reboot"]);
        self.process.wait().expect("a child can be waited for");
        self.tree.take().expect("it has its files until here")
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // With it goes everything in its namespaces.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn said(words: &[&str], output: &Output) -> String {
    let out = String::from_utf8_lossy(&output.stdout).into_owned();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words:?}: {out}\n{error}");
    out
}
