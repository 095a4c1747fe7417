//! What setup writes for other programs: systemd's socket, chrony, and the hours of updates.

use std::fmt::Write as _;
use std::net::SocketAddr;

use super::network::Network;

/// What the socket unit of the package listens on, once.
const PACKAGED: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), 443);

/// The socket unit's drop-in; none where the package's own unit says the same.
pub(super) fn socket(listen: SocketAddr, loops: usize) -> Option<String> {
    if listen == PACKAGED && loops == 1 {
        return None;
    }
    let mut text = String::from("# Written by `cardea setup` from cardea.toml.\n[Socket]\n");
    text.push_str("ListenStream=\n");
    for _ in 0..loops {
        // Nothing can be written wrong to a string.
        let _ = writeln!(text, "ListenStream={listen}");
    }
    if loops > 1 {
        text.push_str("ReusePort=yes\n");
    }
    Some(text)
}

/// Where chrony takes the time from, and to whom it gives it.
pub(super) fn chrony(network: &Network) -> String {
    let nts = if network.nts { " nts" } else { "" };
    let mut text = format!(
        "# Written by `cardea setup` from network.toml.\n\
         server time.cloudflare.com iburst{nts}\n"
    );
    for block in &network.devices {
        let _ = writeln!(text, "allow {block}");
    }
    text
}

/// A time of day, as `02:30`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeOfDay {
    minutes: u16,
}

impl TimeOfDay {
    fn later(self, minutes: u16) -> Self {
        Self {
            minutes: (self.minutes + minutes) % (24 * 60),
        }
    }
}

impl std::fmt::Display for TimeOfDay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:02}:{:02}", self.minutes / 60, self.minutes % 60)
    }
}

impl std::str::FromStr for TimeOfDay {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text
            .split_once(':')
            .filter(|(h, m)| h.len() == 2 && m.len() == 2);
        let parts = parts.and_then(|(h, m)| Some((h.parse::<u16>().ok()?, m.parse::<u16>().ok()?)));
        match parts {
            Some((hours, minutes)) if hours < 24 && minutes < 60 => Ok(Self {
                minutes: hours * 60 + minutes,
            }),
            _ => Err(format!("{text:?} is no time of day such as 02:30")),
        }
    }
}

/// The timer's drop-in that installs updates within half an hour of that time, and never makes up
/// for a time that was missed.
pub(super) fn update_timer(at: TimeOfDay) -> String {
    format!(
        "# Written by `cardea setup`.\n[Timer]\nOnCalendar=\nOnCalendar=*-*-* {at}\n\
         RandomizedDelaySec=30m\nPersistent=false\n"
    )
}

/// When a restart that updates need is made: an hour later.
pub(super) fn update_restart(at: TimeOfDay) -> String {
    let restart = at.later(60);
    format!(
        "// Written by `cardea setup`.\nUnattended-Upgrade::Automatic-Reboot-Time \"{restart}\";\n"
    )
}

/// Mirrors that packages are read from without HTTPS, from the text of apt's sources: `host:80`,
/// or the port that the line names.
pub(super) fn mirrors(sources: &str) -> Vec<String> {
    let mut mirrors = Vec::new();
    for line in sources
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'))
    {
        for word in line.split_whitespace() {
            let Some(rest) = word.strip_prefix("http://") else {
                continue;
            };
            let host = rest.split('/').next().unwrap_or_default();
            let mirror = match host.rsplit_once(':') {
                Some((_, port)) if port.parse::<u16>().is_ok() => host.to_owned(),
                _ => format!("{host}:80"),
            };
            mirrors.push(mirror);
        }
    }
    mirrors.sort();
    mirrors.dedup();
    mirrors
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_socket_differs_only_where_the_site_does() {
        assert_eq!(socket(PACKAGED, 1), None);
        let four = socket(PACKAGED, 4).expect("a drop-in");
        assert_eq!(four.matches("ListenStream=0.0.0.0:443").count(), 4);
        assert!(four.contains("ReusePort=yes"));
        let other = socket(SocketAddr::from(([10, 0, 0, 1], 8_443)), 1).expect("a drop-in");
        assert!(
            other.contains("ListenStream=\nListenStream=10.0.0.1:8443\n"),
            "{other}"
        );
    }

    #[test]
    fn times_of_day_wrap_and_are_checked() {
        let late: TimeOfDay = "23:30".parse().expect("a time");
        assert!(update_restart(late).contains("\"00:30\""));
        assert!(update_timer(late).contains("OnCalendar=*-*-* 23:30\n"));
        for bad in ["24:00", "2:30", "02:60", "0230", "", "aa:bb", "-1:00"] {
            bad.parse::<TimeOfDay>().expect_err(bad);
        }
    }

    #[test]
    fn mirrors_over_http_are_found_in_both_forms_of_sources() {
        let sources = "deb http://archive.example/ubuntu noble main\n\
                       # deb http://commented.example/ x y\n\
                       Types: deb\nURIs: http://mirror.example:8080/debian\n\
                       URIs: https://secure.example/debian\n\
                       deb http://archive.example/ubuntu noble-security main\n";
        assert_eq!(
            mirrors(sources),
            ["archive.example:80", "mirror.example:8080"]
        );
    }

    #[test]
    fn the_time_is_given_to_the_devices_alone() {
        let mut network = Network {
            devices: vec!["10.1.0.0/16".parse().expect("a network")],
            admins: vec!["10.2.0.7".parse().expect("an address")],
            ..Network::default()
        };
        let text = chrony(&network);
        assert!(text.contains("allow 10.1.0.0/16\n") && !text.contains("10.2"));
        assert!(text.contains("server time.cloudflare.com iburst\n"));
        network.nts = true;
        assert!(chrony(&network).contains("iburst nts\n"));
    }
}
