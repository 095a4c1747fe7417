//! The memory.

use super::{Check, Root};

/// A machine sold with 32 GB shows somewhat less.
const ASKED_FOR_KIB: u64 = 30 << 20;
/// A gallery of 100,000 people, the system and room for the page cache.
const LEAST_KIB: u64 = 2 << 20;

pub(super) fn check(root: &Root) -> Check {
    const NAME: &str = "memory";
    let text = root.read("/proc/meminfo").unwrap_or_default();
    let total = text
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))
        .and_then(|rest| rest.trim().strip_suffix(" kB"))
        .and_then(|number| number.parse::<u64>().ok());
    let Some(kib) = total else {
        return Check::warn(NAME, "unknown", "look it up: 32 GB is asked for");
    };
    let found = format!("{:.1} GiB", kib as f64 / f64::from(1 << 20));
    if kib >= ASKED_FOR_KIB {
        Check::pass(NAME, found)
    } else if kib >= LEAST_KIB {
        let advice = "32 GB is asked for; a gallery takes about 3 GB for a million people";
        Check::warn(NAME, found, advice)
    } else {
        Check::fail(
            NAME,
            found,
            "too little to serve a site: 32 GB is asked for",
        )
    }
}
