//! The operating system.

use super::{Check, Root};

pub(super) fn check(root: &Root) -> Check {
    const NAME: &str = "operating system";
    let text = root.read("/etc/os-release").unwrap_or_default();
    let value = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.map(|value| value.trim_matches('"').to_owned())
            .unwrap_or_default()
    };
    let found = value("PRETTY_NAME=");
    let found = if found.is_empty() {
        "unknown".to_owned()
    } else {
        found
    };
    if value("ID=") == "ubuntu" && value("VERSION_ID=") == "24.04" {
        // The minimised install has no such package.
        if root.exists("/var/lib/dpkg/info/ubuntu-standard.list") {
            let advice = "the minimised install is asked for: fewer programs, fewer holes";
            return Check::warn(NAME, format!("{found}, not minimised"), advice);
        }
        return Check::pass(NAME, found);
    }
    let advice = "made for Ubuntu Server 24.04 LTS (minimised); tested on Debian 12 as well";
    Check::warn(NAME, found, advice)
}
