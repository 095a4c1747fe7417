//! What happens to the machine, told to the server and from there to the audit: a restart that
//! will be needed, one that has begun, and that the machine is up again.

use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::admin::client::Client;
use crate::admin::message::Request;
use crate::limits::AUDIT_TEXT_BYTES_MAX;

/// Packages that ask for a restart, where Debian and Ubuntu note them.
const PACKAGES: &str = "/run/reboot-required.pkgs";

/// What happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum HostEvent {
    /// Updates are installed that take a restart.
    RebootRequired,
    /// The machine restarts.
    Restarting,
    /// The machine is switched off.
    PoweringOff,
    /// The machine has started.
    Started,
}

impl HostEvent {
    /// Its name in the audit.
    #[must_use]
    pub fn action(self) -> &'static str {
        match self {
            Self::RebootRequired => "host.reboot-required",
            Self::Restarting => "host.restarting",
            Self::PoweringOff => "host.powering-off",
            Self::Started => "host.started",
        }
    }
}

/// Tells the server of `data`. One that does not run is not told: nothing waits for it.
///
/// # Errors
/// If the connection breaks.
pub fn tell(data: &Path, event: HostEvent) -> io::Result<()> {
    let mut detail = String::new();
    if event == HostEvent::RebootRequired {
        detail = fs::read_to_string(PACKAGES).unwrap_or_default();
        detail = detail.split_whitespace().collect::<Vec<_>>().join(" ");
        detail.truncate(detail.floor_char_boundary(AUDIT_TEXT_BYTES_MAX));
    }
    let Some(mut client) = Client::connect(data)? else {
        println!("no server runs: not told");
        return Ok(());
    };
    client.ask(&Request::HostEvent { event, detail }).map(drop)
}

/// Tells the server that the machine goes down, if it does: a service alone may be stopped too.
///
/// # Errors
/// If the connection breaks, or systemd cannot be asked.
pub fn tell_of_shutdown(data: &Path) -> io::Result<()> {
    let jobs = Command::new("systemctl")
        .args(["list-jobs", "--no-legend", "--plain"])
        .output()?;
    match of_jobs(&String::from_utf8_lossy(&jobs.stdout)) {
        Some(event) => tell(data, event),
        None => Ok(()),
    }
}

/// What systemd's jobs say that the machine is about to do.
fn of_jobs(jobs: &str) -> Option<HostEvent> {
    let starts = |target: &str| {
        jobs.lines().any(|line| {
            let words: Vec<_> = line.split_whitespace().collect();
            words.contains(&target) && words.contains(&"start")
        })
    };
    if starts("reboot.target") || starts("kexec.target") {
        Some(HostEvent::Restarting)
    } else if starts("poweroff.target") || starts("halt.target") {
        Some(HostEvent::PoweringOff)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_machine_that_goes_down_is_said_to() {
        let reboot = "  1 cardea.service stop running\n 42 reboot.target start waiting\n";
        assert_eq!(of_jobs(reboot), Some(HostEvent::Restarting));
        let off = "42 poweroff.target start waiting";
        assert_eq!(of_jobs(off), Some(HostEvent::PoweringOff));
        assert_eq!(of_jobs("1 cardea.service restart running"), None);
        assert_eq!(of_jobs("7 reboot.target stop waiting"), None);
        assert_eq!(of_jobs(""), None);
    }
}
