//! The configuration file, `cardea.toml` in the data directory. What a site decides once at
//! installation stands here; what administrators change while it runs stands in the store.

use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::ConfigError;
use crate::limits::{
    ANSWER_DEADLINE_MS_MAX, BACKUP_DAYS_MAX, EXTRACTOR_MEMORY_MIB_MAX, EXTRACTOR_TIMEOUT_S_MAX,
    LOOPS_MAX, SEARCH_THREADS_MAX,
};

/// The file's name in the data directory.
pub const FILE: &str = "cardea.toml";

/// What `cardea.toml` says. Unknown keys are refused, so that a slip of the pen is not silent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The site's name, in certificates and the console.
    pub site: String,
    /// The address that devices are told and that the server's certificate names. It must not
    /// change once devices are commissioned.
    pub address: IpAddr,
    /// Where to listen.
    pub listen: SocketAddr,
    /// Event loops, each with its own listener on the same port.
    #[serde(default = "one")]
    pub loops: usize,
    /// Threads of a search; 0 takes one per core.
    #[serde(default)]
    pub search_threads: usize,
    /// The kernel tier by name, or `best`.
    #[serde(default = "best")]
    pub kernel: String,
    /// From a request's last byte to its answer at the latest, in ms.
    #[serde(default = "answer_deadline_ms")]
    pub answer_deadline_ms: u64,
    /// Life of a device's certificate in seconds; it is renewed from two thirds on.
    #[serde(default = "device_certificate_life_s")]
    pub device_certificate_life_s: u64,
    /// Life of the server's certificate in seconds; it renews itself in the last third.
    #[serde(default = "server_certificate_life_s")]
    pub server_certificate_life_s: u64,
    /// A withdrawn embedding is gone from the data directory after this many seconds.
    #[serde(default = "erasure_period_s")]
    pub erasure_period_s: u64,
    /// How long access attempts are kept.
    #[serde(default = "audit_days")]
    pub audit_days: u32,
    /// Disk space for the latency logs, in MiB.
    #[serde(default = "latency_log_mib")]
    pub latency_log_mib: u64,
    /// Whom the server asks how right its clock is: by default the chrony of this machine.
    #[serde(default = "time_from")]
    pub time_from: SocketAddr,
    /// Space's timezone tables by number, each a list of intervals as `mon-fri 08:00-17:30`. A
    /// right that hangs on a table not described here is denied.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub timetables: BTreeMap<String, Vec<String>>,
    /// A certificate for browsers that ask for one of its names; devices never see it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub console_certificate: Option<CertificateFiles>,
    /// Backups that are taken by a timer, or without being told where to.
    #[serde(default)]
    pub backup: Backup,
    /// What makes embeddings of photos that people send; without it they enrol at a device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extractor: Option<Extractor>,
    /// Takes Space's stream of events, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub space_events: Option<SpaceEvents>,
}

/// A certificate and its key, PEM files; their paths are taken from the data directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertificateFiles {
    /// The certificate, then those of its issuers.
    pub chain: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

/// Where backups go, for whom, and how long they are kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Backup {
    /// A folder, best on another machine; the list of withdrawals is kept there too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directory: Option<PathBuf>,
    /// Public keys (`age1..`) of those who can open them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub to: Vec<String>,
    /// How long they are kept.
    #[serde(default = "backup_days")]
    pub days: u32,
}

impl Default for Backup {
    fn default() -> Self {
        Self {
            directory: None,
            to: Vec::new(),
            days: backup_days(),
        }
    }
}

/// A process that makes embeddings of a photo; `console/EXTRACTOR.md` describes its protocol.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Extractor {
    /// The program and its arguments; no shell reads them.
    pub command: Vec<String>,
    /// Killed after so many seconds.
    #[serde(default = "extractor_timeout_s")]
    pub timeout_s: u64,
    /// Address space that it may have, MiB.
    #[serde(default = "extractor_memory_mib")]
    pub memory_mib: u64,
}

fn extractor_timeout_s() -> u64 {
    20
}

fn extractor_memory_mib() -> u64 {
    4_096
}

/// Where Space's stream of events comes in. It has neither key nor encryption: what it says is
/// shown and decides nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpaceEvents {
    /// Where to listen.
    pub listen: SocketAddr,
    /// Space's address; any other is not listened to.
    pub from: IpAddr,
}

fn one() -> usize {
    1
}

fn best() -> String {
    "best".to_owned()
}

fn answer_deadline_ms() -> u64 {
    1_800
}

fn device_certificate_life_s() -> u64 {
    90 * 86_400
}

fn server_certificate_life_s() -> u64 {
    80 * 86_400
}

fn erasure_period_s() -> u64 {
    3_600
}

fn audit_days() -> u32 {
    90
}

fn backup_days() -> u32 {
    30
}

fn latency_log_mib() -> u64 {
    64
}

fn time_from() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 123))
}

impl Config {
    /// The configuration of a new site.
    #[must_use]
    pub fn new(site: &str, address: IpAddr, listen: SocketAddr) -> Self {
        Self {
            site: site.to_owned(),
            address,
            listen,
            loops: one(),
            search_threads: 0,
            kernel: best(),
            answer_deadline_ms: answer_deadline_ms(),
            device_certificate_life_s: device_certificate_life_s(),
            server_certificate_life_s: server_certificate_life_s(),
            erasure_period_s: erasure_period_s(),
            audit_days: audit_days(),
            latency_log_mib: latency_log_mib(),
            time_from: time_from(),
            timetables: BTreeMap::new(),
            console_certificate: None,
            backup: Backup::default(),
            extractor: None,
            space_events: None,
        }
    }

    /// Reads and checks `cardea.toml` in `data`.
    ///
    /// # Errors
    /// If it is missing, has an unknown key, or a number is out of range.
    pub fn read(data: &Path) -> Result<Self, ConfigError> {
        let text = fs::read_to_string(data.join(FILE)).map_err(ConfigError::Io)?;
        Self::parse(&text)
    }

    /// Checks a configuration's text.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let config: Self = toml::from_str(text).map_err(ConfigError::Syntax)?;
        let within = |holds: bool, key, allowed| {
            if holds {
                Ok(())
            } else {
                Err(ConfigError::OutOfRange { key, allowed })
            }
        };
        within((1..=LOOPS_MAX).contains(&config.loops), "loops", "1 to 16")?;
        within(
            config.search_threads <= SEARCH_THREADS_MAX,
            "search_threads",
            "0 to 64",
        )?;
        within(
            (100..=ANSWER_DEADLINE_MS_MAX).contains(&config.answer_deadline_ms),
            "answer_deadline_ms",
            "100 to 2000",
        )?;
        within(
            config.device_certificate_life_s >= 1,
            "device_certificate_life_s",
            "at least 1",
        )?;
        within(
            config.server_certificate_life_s >= 1,
            "server_certificate_life_s",
            "at least 1",
        )?;
        within(config.audit_days >= 1, "audit_days", "at least 1")?;
        within(
            (1..=86_400).contains(&config.erasure_period_s),
            "erasure_period_s",
            "1 to 86400",
        )?;
        if let Some(extractor) = &config.extractor {
            let timeouts = 1..=EXTRACTOR_TIMEOUT_S_MAX;
            let sound = extractor
                .command
                .first()
                .is_some_and(|program| !program.is_empty())
                && timeouts.contains(&extractor.timeout_s)
                && (16..=EXTRACTOR_MEMORY_MIB_MAX).contains(&extractor.memory_mib);
            let allowed = "a command, timeout_s 1 to 120, memory_mib 16 to 65536";
            within(sound, "extractor", allowed)?;
        }
        within(config.latency_log_mib >= 1, "latency_log_mib", "at least 1")?;
        within(
            (1..=BACKUP_DAYS_MAX).contains(&config.backup.days),
            "backup.days",
            "1 to 3650",
        )?;
        Ok(config)
    }

    /// The file's text.
    ///
    /// # Panics
    /// Never: every field has a form in TOML.
    #[must_use]
    pub fn to_text(&self) -> String {
        toml::to_string_pretty(self).expect("strings and numbers always have a form in TOML")
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn new() -> Config {
        let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
        Config::new("site", address, SocketAddr::new(address, 443))
    }

    #[test]
    fn what_init_writes_is_read_back() {
        assert_eq!(Config::parse(&new().to_text()).expect("sound"), new());
    }

    // Fails without the bounds of `timeout_s` and `memory_mib`, or of an empty command.
    #[test]
    fn an_extractor_keeps_its_bounds() {
        let of = |program: &str, timeout_s, memory_mib| {
            let extractor = Extractor {
                command: vec![program.to_owned()],
                timeout_s,
                memory_mib,
            };
            let config = Config {
                extractor: Some(extractor),
                ..new()
            };
            Config::parse(&config.to_text()).is_ok()
        };
        let (timeout, memory) = (EXTRACTOR_TIMEOUT_S_MAX, EXTRACTOR_MEMORY_MIB_MAX);
        assert!(of("/x", timeout, memory) && of("/x", 1, 16));
        assert!(!of("", 1, 16) && !of("/x", 0, 16) && !of("/x", 1, 15));
        assert!(!of("/x", timeout + 1, 16) && !of("/x", 1, memory + 1));
    }

    #[test]
    fn an_unknown_key_and_a_number_out_of_range_are_refused() {
        let unknown = format!("{}\nlisten_port = 3\n", new().to_text());
        assert!(matches!(
            Config::parse(&unknown),
            Err(ConfigError::Syntax(_))
        ));
        let slow = Config {
            answer_deadline_ms: ANSWER_DEADLINE_MS_MAX + 1,
            ..new()
        };
        let refused = Config::parse(&slow.to_text());
        assert!(matches!(
            refused,
            Err(ConfigError::OutOfRange {
                key: "answer_deadline_ms",
                ..
            })
        ));
        let many = Config {
            loops: LOOPS_MAX + 1,
            ..new()
        };
        assert!(Config::parse(&many.to_text()).is_err());
    }
}
