//! What a machine must be to serve a site, and whether this one is: `cardea check-host`.
//!
//! Most checks read files that the kernel and the system keep, below a root that is an argument, so
//! that they can be asked about any machine. What only the running machine can answer is in `live`,
//! and how much it serves in `measure`.
//!
//! - `root`: the files of a machine
//! - `processor`, `memory`, `storage`, `network`, `system`: checks on them
//! - `live`: addresses beyond this machine, and its clock
//! - `measure`: what it serves, from a short self-test

pub mod live;
mod measure;
mod memory;
mod network;
mod processor;
mod root;
mod storage;
mod system;

use std::net::IpAddr;
use std::path::Path;

use serde::Serialize;

pub use measure::{Capacity, capacity, measure};
pub use root::Root;

/// How a check ended; the worst of all is the machine's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it must be.
    Pass,
    /// It works, but.
    Warn,
    /// It does not work so.
    Fail,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What.
    pub name: &'static str,
    /// How it ended.
    pub verdict: Verdict,
    /// What was found.
    pub found: String,
    /// What to do; empty for nothing.
    pub advice: String,
}

impl Check {
    pub(crate) fn pass(name: &'static str, found: impl Into<String>) -> Self {
        Self {
            name,
            verdict: Verdict::Pass,
            found: found.into(),
            advice: String::new(),
        }
    }

    pub(crate) fn warn(
        name: &'static str,
        found: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self {
            name,
            verdict: Verdict::Warn,
            found: found.into(),
            advice: advice.into(),
        }
    }

    pub(crate) fn fail(
        name: &'static str,
        found: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self {
            verdict: Verdict::Fail,
            ..Self::warn(name, found, advice)
        }
    }
}

/// Every check that reads files below `root`: for a site in `data`, with the address that its
/// devices know, if there is one yet.
#[must_use]
pub fn checks(root: &Root, data: &Path, address: Option<IpAddr>) -> Vec<Check> {
    let mut checks = processor::checks(root);
    checks.push(memory::check(root));
    checks.extend(storage::checks(root, data));
    checks.extend(network::checks(root, data, address));
    checks.push(system::check(root));
    checks
}

/// The worst of them.
#[must_use]
pub fn worst(checks: &[Check]) -> Verdict {
    let verdicts = checks.iter().map(|check| check.verdict);
    verdicts.max().unwrap_or(Verdict::Pass)
}
