//! The network: the wire, the address, names, and the ports that must be free.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use super::{Check, Root};
use crate::admin::socket;

const HTTPS: u16 = 443;
const NTP: u16 = 123;
/// The devices' own network uses it.
const FORBIDDEN: [u8; 3] = [172, 31, 255];

pub(super) fn checks(root: &Root, data: &Path, address: Option<IpAddr>) -> Vec<Check> {
    let interface = interface(root);
    vec![
        wired(root, interface.as_deref()),
        addresses(root, address),
        reserved(root, interface.as_deref()),
        names(root),
        https_port(root, data),
        ntp_port(root),
    ]
}

/// The interface of the default route, else the first that is up.
fn interface(root: &Root) -> Option<String> {
    let routes = root.read("/proc/net/route").unwrap_or_default();
    let default = routes.lines().skip(1).find_map(|line| {
        let mut words = line.split_whitespace();
        let name = words.next()?;
        (words.next()? == "00000000").then(|| name.to_owned())
    });
    default.or_else(|| {
        let all = root.names("/sys/class/net");
        all.into_iter().find(|name| {
            let state = root.read(&format!("/sys/class/net/{name}/operstate"));
            name != "lo" && state.as_deref() == Some("up")
        })
    })
}

fn wired(root: &Root, interface: Option<&str>) -> Check {
    const NAME: &str = "wired network";
    let Some(name) = interface else {
        let advice = "connect the server to the devices' network by cable";
        return Check::fail(NAME, "no interface is up", advice);
    };
    let folder = format!("/sys/class/net/{name}");
    let wireless = ["wireless", "phy80211"];
    if wireless
        .iter()
        .any(|file| root.exists(&format!("{folder}/{file}")))
    {
        let advice = "a radio link drops what must be answered within 2 s: take a cable";
        return Check::fail(NAME, format!("{name} is wireless"), advice);
    }
    let speed = root
        .read(&format!("{folder}/speed"))
        .and_then(|speed| speed.parse::<i64>().ok())
        .filter(|speed| *speed > 0);
    match speed {
        Some(mbit) if mbit < 1_000 => Check::warn(
            NAME,
            format!("{name}, {mbit} Mbit/s"),
            "Gigabit switches and Cat 5e or Cat 6 are asked for",
        ),
        Some(mbit) => Check::pass(NAME, format!("{name}, {mbit} Mbit/s")),
        None => Check::pass(NAME, name),
    }
}

fn addresses(root: &Root, configured: Option<IpAddr>) -> Check {
    const NAME: &str = "address";
    let own = own_addresses(root);
    let found: Vec<_> = own.iter().map(ToString::to_string).collect();
    let found = found.join(", ");
    let forbidden = |address: &Ipv4Addr| address.octets()[..3] == FORBIDDEN;
    if own.iter().any(forbidden) {
        let advice = "172.31.255.0/24 is used inside the devices: take another network";
        return Check::fail(NAME, found, advice);
    }
    match configured {
        _ if own.is_empty() => Check::fail(NAME, "none", "give the server a reserved address"),
        Some(IpAddr::V4(address)) if !own.contains(&address) && !address.is_loopback() => {
            let advice = format!(
                "devices know {address}, which is not this machine's: give it back, or see \
                 `cardea address change`"
            );
            Check::fail(NAME, found, advice)
        }
        Some(_) | None => Check::pass(NAME, found),
    }
}

/// The IPv4 addresses of this machine but those of loopback.
fn own_addresses(root: &Root) -> Vec<Ipv4Addr> {
    let text = root.read("/proc/net/fib_trie").unwrap_or_default();
    let (mut own, mut last) = (Vec::new(), None);
    for line in text.lines().map(str::trim) {
        if let Some(address) = line.strip_prefix("|-- ") {
            last = address.parse::<Ipv4Addr>().ok();
        } else if line == "/32 host LOCAL"
            && let Some(address) = last.filter(|address| !address.is_loopback())
            && !own.contains(&address)
        {
            own.push(address);
        }
    }
    own
}

fn reserved(root: &Root, interface: Option<&str>) -> Check {
    const NAME: &str = "reserved address";
    let number = interface.and_then(|name| root.read(&format!("/sys/class/net/{name}/ifindex")));
    let networkd =
        number.is_some_and(|number| root.exists(&format!("/run/systemd/netif/leases/{number}")));
    let dhclient = root
        .names("/var/lib/dhcp")
        .iter()
        .any(|name| name.ends_with(".leases"));
    if networkd || dhclient {
        let advice = "make sure that the DHCP server reserves it for this machine: devices know \
                      the server by it, and cannot be told of a sudden change";
        return Check::warn(NAME, "from DHCP", advice);
    }
    let advice = "the address is set by hand: make sure that DHCP gives it to nobody else, and \
                  that there is a DHCP server for the devices";
    Check::warn(NAME, "no DHCP lease", advice)
}

fn names(root: &Root) -> Check {
    const NAME: &str = "DNS";
    let files = ["/run/systemd/resolve/resolv.conf", "/etc/resolv.conf"];
    let servers: Vec<_> = files
        .iter()
        .filter_map(|file| root.read(file))
        .flat_map(|text| {
            let servers = text
                .lines()
                .filter_map(|line| line.strip_prefix("nameserver "));
            servers
                .map(|server| server.trim().to_owned())
                .collect::<Vec<_>>()
        })
        .take(3)
        .collect();
    if servers.is_empty() {
        let advice = "let the DHCP server name one: updates and the clock need it";
        return Check::fail(NAME, "no name server", advice);
    }
    Check::pass(NAME, servers.join(", "))
}

fn https_port(root: &Root, data: &Path) -> Check {
    const NAME: &str = "port 443";
    let files = ["/proc/net/tcp", "/proc/net/tcp6"];
    // 0A: listening.
    let taken = files
        .iter()
        .any(|file| is_bound(root, file, HTTPS, Some("0A")));
    if !taken {
        return Check::pass(NAME, "free");
    }
    if data.join(socket::FILE).exists() {
        return Check::pass(NAME, "taken, by Cardea it seems");
    }
    let advice = "something else listens there: see `ss -ltnp`, and stop it";
    Check::fail(NAME, "taken", advice)
}

fn ntp_port(root: &Root) -> Check {
    const NAME: &str = "port 123";
    let files = ["/proc/net/udp", "/proc/net/udp6"];
    let taken = files.iter().any(|file| is_bound(root, file, NTP, None));
    if taken && !root.exists("/run/chrony") {
        let advice = "the package serves time by chrony: stop what else is there (`ss -lunp`)";
        return Check::warn(NAME, "taken, not by chrony", advice);
    }
    Check::pass(NAME, if taken { "chrony" } else { "free" })
}

/// Whether a socket of this table has this local port, and this state.
fn is_bound(root: &Root, file: &str, port: u16, state: Option<&str>) -> bool {
    let text = root.read(file).unwrap_or_default();
    text.lines().skip(1).any(|line| {
        let mut words = line.split_whitespace().skip(1);
        let local = words.next().and_then(|local| local.rsplit_once(':'));
        let found = words.nth(1);
        let same = local.is_some_and(|(_, hex)| u16::from_str_radix(hex, 16) == Ok(port));
        same && (state.is_none() || found == state)
    })
}
