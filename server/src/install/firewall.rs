//! The firewall in force: loaded in one step, tried for a while, taken back unless confirmed.
//!
//! ```text
//! apply ──> pending ──confirm──> confirmed (loaded again at every start of the machine)
//!              └──── time is up ──> what was loaded before
//! ```
//!
//! Whoever renames the file `pending` decides which of the two it is.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write as _};
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::files;
use super::network::{Network, Peer};
use super::rules::{self, Rules};
use crate::config::Config;
use crate::limits::FIREWALL_TRIAL_S_MAX;
use crate::secrets::random;

/// The rule set that is loaded when the machine starts.
const CONFIRMED: &str = "firewall.nft";
const PENDING: &str = "pending";
const BEFORE: &str = "before.nft";
/// The port of a site whose configuration cannot be read yet.
const PORT: u16 = 443;

/// Where the firewall's files are.
pub struct Firewall {
    /// The folder of `network.toml` and of the rule set that was confirmed.
    pub settings: PathBuf,
    /// What does not outlive the machine's run: the rule set that is tried.
    pub run: PathBuf,
}

/// What came of [`Firewall::apply`].
#[derive(Debug, PartialEq, Eq)]
pub enum Applied {
    /// It was loaded and confirmed already.
    AsItWas,
    /// It is loaded, and taken back after so many seconds.
    OnTrial(u64),
    /// It is loaded to stay.
    Confirmed,
}

impl Firewall {
    /// The rules of a site: `network.toml`, the ports of `cardea.toml` and these integrations.
    /// `false` beside them if some integration's name could not be looked up.
    ///
    /// # Errors
    /// If `network.toml` cannot be read.
    pub fn rules(&self, data: &Path, integrations: &[Peer]) -> io::Result<(Rules, bool)> {
        let network = Network::read(&self.settings)?;
        let config = Config::read(data).ok();
        let events = config.as_ref().and_then(|config| config.space_events);
        let (peers, all) = addresses(network.out.iter().chain(integrations));
        let rules = Rules {
            port: config.map_or(PORT, |config| config.listen.port()),
            events: events.map(|events| (events.listen.port(), events.from)),
            network,
            peers,
        };
        Ok((rules, all))
    }

    /// Loads a rule set. With a `trial` of so many seconds it is taken back unless it is
    /// confirmed by then.
    ///
    /// # Errors
    /// If nftables does not take it, another is being tried, or nobody can be set to take it back.
    pub fn apply(&self, text: &str, trial_s: Option<u64>) -> io::Result<Applied> {
        check(text)?;
        let confirmed = fs::read_to_string(self.settings.join(CONFIRMED)).ok();
        let loaded = loaded()?;
        if self.run.join(PENDING).exists() {
            return Err(io::Error::other(
                "a rule set is being tried: confirm it, or wait until it is taken back",
            ));
        }
        if confirmed.as_deref() == Some(text) && loaded.is_some() {
            return Ok(Applied::AsItWas);
        }
        let Some(trial_s) = trial_s else {
            load(text)?;
            files::write(&self.settings.join(CONFIRMED), text, 0o600)?;
            return Ok(Applied::Confirmed);
        };
        let trial_s = trial_s.clamp(1, FIREWALL_TRIAL_S_MAX);
        let token = token()?;
        let before = format!("{}{}", rules::removal(), loaded.unwrap_or_default());
        files::write(&self.run.join(BEFORE), &before, 0o600)?;
        files::write(&self.run.join(PENDING), &format!("{token}\n{text}"), 0o600)?;
        // Somebody who takes it back stands ready before it is loaded.
        let tried = self
            .set_taker_back(&token, trial_s)
            .and_then(|()| load(text));
        if let Err(error) = tried {
            files::remove(&self.run.join(PENDING))?;
            return Err(error);
        }
        Ok(Applied::OnTrial(trial_s))
    }

    /// The rule set that is tried is to stay.
    ///
    /// # Errors
    /// If none is being tried: perhaps it was taken back.
    pub fn confirm(&self) -> io::Result<()> {
        let mine = self.run.join("confirmed");
        fs::rename(self.run.join(PENDING), &mine).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => {
                io::Error::other("no rule set is being tried; if one was, it was taken back")
            }
            _ => error,
        })?;
        let tried = fs::read_to_string(&mine)?;
        let (_, text) = tried.split_once('\n').unwrap_or_default();
        files::write(&self.settings.join(CONFIRMED), text, 0o600)?;
        files::remove(&mine)?;
        Ok(())
    }

    /// Waits, then loads what was loaded before, unless the rule set of this token was confirmed.
    /// Returns whether it did.
    ///
    /// # Errors
    /// If nftables does not take it.
    pub fn take_back(&self, token: &str, after: Duration) -> io::Result<bool> {
        let due = Instant::now() + after;
        while let Some(left) = due.checked_duration_since(Instant::now()) {
            thread::park_timeout(left);
        }
        let pending = self.run.join(PENDING);
        let ours =
            fs::read_to_string(&pending).is_ok_and(|tried| tried.lines().next() == Some(token));
        let mine = self.run.join("taken-back");
        if !ours || fs::rename(&pending, &mine).is_err() {
            return Ok(false);
        }
        load(&fs::read_to_string(self.run.join(BEFORE))?)?;
        files::remove(&mine)?;
        Ok(true)
    }

    /// Puts the integrations of now into the table that is loaded. Returns whether there is one.
    ///
    /// # Errors
    /// If nftables does not take them.
    pub fn refresh(&self, data: &Path, integrations: &[Peer]) -> io::Result<bool> {
        if loaded()?.is_none() {
            return Ok(false);
        }
        let (rules, all) = self.rules(data, integrations)?;
        load(&rules::peers(&rules.peers, all))?;
        Ok(true)
    }

    /// Removes the table, now and for the next starts.
    ///
    /// # Errors
    /// If nftables refuses.
    pub fn off(&self) -> io::Result<()> {
        files::remove(&self.run.join(PENDING))?;
        load(&rules::removal())?;
        files::remove(&self.settings.join(CONFIRMED))?;
        Ok(())
    }

    fn set_taker_back(&self, token: &str, trial_s: u64) -> io::Result<()> {
        let program = std::env::current_exe()?;
        let mut command = if sd_notify::booted()? {
            // It must outlive the login that asked for it.
            let mut command = Command::new("systemd-run");
            command
                .args(["--quiet", "--collect", "--on-active"])
                .arg(format!("{trial_s}s"))
                .arg("--timer-property=AccuracySec=1s")
                .arg(format!("--unit=cardea-firewall-take-back-{token}"))
                .arg(program);
            command
        } else {
            Command::new(program)
        };
        command
            .args(["firewall", "take-back", token, "--settings"])
            .arg(&self.settings)
            .arg("--run")
            .arg(&self.run)
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        if sd_notify::booted()? {
            let status = command.status()?;
            return if status.success() {
                Ok(())
            } else {
                Err(io::Error::other(
                    "systemd-run could not set the timer that takes it back",
                ))
            };
        }
        command
            .args(["--after", &trial_s.to_string()])
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .map(drop)
    }
}

/// Whether nftables would take the text; changes nothing.
///
/// # Errors
/// What it has against it.
pub fn check(text: &str) -> io::Result<()> {
    nft(&["--check", "--file", "-"], text).map(drop)
}

fn load(text: &str) -> io::Result<()> {
    nft(&["--file", "-"], text).map(drop)
}

/// The table that is loaded, without its counts.
fn loaded() -> io::Result<Option<String>> {
    // Which tables there are can always be asked; a table that is not there is an error.
    let tables = nft(&["list", "tables", "inet"], "")?;
    if !tables
        .lines()
        .any(|line| line.trim() == "table inet cardea")
    {
        return Ok(None);
    }
    nft(&["--stateless", "list", "table", "inet", "cardea"], "").map(Some)
}

fn nft(arguments: &[&str], input: &str) -> io::Result<String> {
    let mut child = Command::new("nft")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| io::Error::new(error.kind(), format!("nft: {error}")))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that does not read its input says why in what follows.
        let _ = stdin.write_all(input.as_bytes());
    }
    let output = child.wait_with_output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(io::Error::other(format!("nft: {}", said.trim())));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Every address of these peers, and whether all could be looked up.
fn addresses<'a>(peers: impl Iterator<Item = &'a Peer>) -> (BTreeSet<SocketAddr>, bool) {
    let mut found = BTreeSet::new();
    let mut all = true;
    for peer in peers {
        match (peer.host.as_str(), peer.port).to_socket_addrs() {
            Ok(addresses) => found.extend(addresses),
            Err(error) => {
                all = false;
                tracing::warn!(host = peer.host, %error, "no address: not let through");
            }
        }
    }
    (found, all)
}

fn token() -> io::Result<String> {
    let bytes = random::<8>().map_err(io::Error::other)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_without_an_address_are_left_out_and_said_so() {
        let peers = ["10.0.0.1:8100", "[fd00::1]:25", "no-such-host.invalid:1"];
        let peers: Vec<Peer> = peers.map(|peer| peer.parse().expect("a peer")).to_vec();
        let (found, all) = addresses(peers[..2].iter());
        assert_eq!((found.len(), all), (2, true));
        let (found, all) = addresses(peers.iter());
        assert_eq!((found.len(), all), (2, false));
    }

    #[test]
    fn nothing_to_confirm_is_an_error_and_takes_nothing_back() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let firewall = Firewall {
            settings: folder.path().to_owned(),
            run: folder.path().to_owned(),
        };
        let error = firewall.confirm().expect_err("nothing is tried");
        assert!(error.to_string().contains("no rule set"), "{error}");
        fs::write(folder.path().join(PENDING), "another\ntable").expect("written");
        let taken = firewall.take_back("token", Duration::ZERO).expect("looked");
        assert!(!taken, "the rule set of another try is not touched");
        firewall.confirm().expect("there is one now");
        let kept = fs::read_to_string(folder.path().join(CONFIRMED));
        assert_eq!(kept.expect("confirmed"), "table");
    }
}
