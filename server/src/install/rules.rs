//! The firewall as the text of an nftables table, `inet cardea`, to be loaded in one step.
//!
//! nftables has `devices` for a word of its own, so every set's name ends with its address family.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};

use super::network::{Block, Network};

/// The table.
pub const TABLE: &str = "inet cardea";
/// Where the time comes from by NTS: the port of its keys.
const NTS_PORT: u16 = 4_460;

/// What the table is made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// Who may reach the server.
    pub network: Network,
    /// The server's port.
    pub port: u16,
    /// The port for Space's events, and who sends them.
    pub events: Option<(u16, IpAddr)>,
    /// Space, mail, broker and the like: addresses and TCP ports.
    pub peers: BTreeSet<SocketAddr>,
}

impl Rules {
    /// The text that replaces whatever table of ours there is by this one, at once.
    #[must_use]
    pub fn text(&self) -> String {
        let network = &self.network;
        let mut space = network.space.clone();
        space.extend(self.events.map(|(_, from)| Block::from(from)));
        let mut text = format!("{}table {TABLE} {{\n", removal());
        for (name, blocks) in [
            ("devices", &network.devices),
            ("admins", &network.admins),
            ("people", &network.people),
            ("space", &space),
            ("ssh", &network.ssh),
        ] {
            sets(&mut text, name, blocks);
        }
        text.push_str(&peer_sets(&self.peers));
        for counter in ["dropped_in", "dropped_out", "dropped_forward"] {
            // Nothing can be written wrong to a string.
            let _ = writeln!(text, "  counter {counter} {{ }}");
        }
        text.push_str(&self.input());
        text.push_str(&self.output());
        text.push_str(
            "  chain forward {\n    type filter hook forward priority filter; policy drop;\n    \
             counter name dropped_forward drop\n  }\n}\n",
        );
        text
    }

    fn input(&self) -> String {
        let mut text = String::from(
            "  chain input {\n    type filter hook input priority filter; policy drop;\n    \
             iif lo accept\n    ct state established,related accept\n    \
             ct state invalid counter name dropped_in drop\n",
        );
        text.push_str(NEIGHBOURS);
        text.push_str(
            "    udp sport 67 udp dport 68 accept\n    \
             ip6 saddr fe80::/10 udp sport 547 udp dport 546 accept\n",
        );
        from(&mut text, "devices", "udp dport 123");
        let https = format!("tcp dport {}", self.port);
        for set in ["devices", "admins", "people", "space"] {
            from(&mut text, set, &https);
        }
        if let Some((port, _)) = self.events {
            from(&mut text, "space", &format!("tcp dport {port}"));
        }
        if !self.network.ssh.is_empty() {
            from(&mut text, "ssh", "tcp dport 22");
        }
        text.push_str("    counter name dropped_in drop\n  }\n");
        text
    }

    fn output(&self) -> String {
        let mut text = String::from(
            "  chain output {\n    type filter hook output priority filter; policy drop;\n    \
             oif lo accept\n    ct state established,related accept\n",
        );
        text.push_str(NEIGHBOURS);
        text.push_str(
            "    icmpv6 type { nd-router-solicit, mld2-listener-report } accept\n    \
             udp sport 68 udp dport 67 accept\n    udp sport 546 udp dport 547 accept\n    \
             meta l4proto { tcp, udp } th dport 53 accept\n    udp dport 123 accept\n    \
             tcp dport { 443, 8883 } accept\n",
        );
        if self.network.nts {
            let _ = writeln!(text, "    tcp dport {NTS_PORT} accept");
        }
        text.push_str(
            "    ip daddr . tcp dport @peers4 accept\n    \
             ip6 daddr . tcp dport @peers6 accept\n    \
             counter name dropped_out drop\n  }\n",
        );
        text
    }
}

/// ICMP's errors, and what IPv6 needs to find its neighbours.
const NEIGHBOURS: &str = "    icmp type { destination-unreachable, time-exceeded, \
                          parameter-problem } accept\n    \
                          icmpv6 type { destination-unreachable, packet-too-big, time-exceeded, \
                          parameter-problem } accept\n    \
                          icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, \
                          nd-router-advert } ip6 hoplimit 255 accept\n";

/// The text that removes the table, whether it is there or not.
#[must_use]
pub fn removal() -> String {
    format!("table {TABLE} {{ }}\ndelete table {TABLE}\n")
}

/// The text that puts other peers into the table that is loaded. Unless `all` of them are known,
/// those that it has stay.
#[must_use]
pub fn peers(peers: &BTreeSet<SocketAddr>, all: bool) -> String {
    let mut text = String::new();
    for (set, elements) in [
        ("peers4", of_family(peers, true)),
        ("peers6", of_family(peers, false)),
    ] {
        if all {
            let _ = writeln!(text, "flush set {TABLE} {set}");
        }
        if !elements.is_empty() {
            let _ = writeln!(text, "add element {TABLE} {set} {{ {elements} }}");
        }
    }
    text
}

fn from(text: &mut String, set: &str, what: &str) {
    let _ = writeln!(text, "    ip saddr @{set}4 {what} accept");
    let _ = writeln!(text, "    ip6 saddr @{set}6 {what} accept");
}

fn sets(text: &mut String, name: &str, blocks: &[Block]) {
    for (family, kind, is_v4) in [(4, "ipv4_addr", true), (6, "ipv6_addr", false)] {
        let elements: Vec<_> = blocks
            .iter()
            .filter(|block| block.address().is_ipv4() == is_v4)
            .map(Block::to_string)
            .collect();
        let _ = write!(
            text,
            "  set {name}{family} {{\n    type {kind}; flags interval; auto-merge\n"
        );
        if !elements.is_empty() {
            let _ = writeln!(text, "    elements = {{ {} }}", elements.join(", "));
        }
        text.push_str("  }\n");
    }
}

fn peer_sets(peers: &BTreeSet<SocketAddr>) -> String {
    let mut text = String::new();
    for (family, kind, is_v4) in [(4, "ipv4_addr", true), (6, "ipv6_addr", false)] {
        let _ = writeln!(
            text,
            "  set peers{family} {{\n    type {kind} . inet_service"
        );
        let elements = of_family(peers, is_v4);
        if !elements.is_empty() {
            let _ = writeln!(text, "    elements = {{ {elements} }}");
        }
        text.push_str("  }\n");
    }
    text
}

fn of_family(peers: &BTreeSet<SocketAddr>, is_v4: bool) -> String {
    let elements: Vec<_> = peers
        .iter()
        .filter(|peer| peer.is_ipv4() == is_v4)
        .map(|peer| format!("{} . {}", peer.ip(), peer.port()))
        .collect();
    elements.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> Rules {
        let network = "devices = [\"10.1.0.0/16\", \"fd00::/8\"]\nadmins = [\"10.2.0.7\"]";
        Rules {
            network: Network::parse(network).expect("sound"),
            port: 443,
            events: Some((8_200, IpAddr::from([10, 3, 0, 1]))),
            peers: BTreeSet::from([SocketAddr::from(([10, 3, 0, 1], 8_100))]),
        }
    }

    #[test]
    fn only_what_is_asked_for_is_open() {
        let text = rules().text();
        for line in [
            "elements = { 10.1.0.0/16 }",
            "elements = { fd00::/8 }",
            "elements = { 10.3.0.1 . 8100 }",
            "ip saddr @devices4 udp dport 123 accept",
            "ip6 saddr @admins6 tcp dport 443 accept",
            "ip saddr @space4 tcp dport 8200 accept",
        ] {
            assert!(text.contains(line), "no {line}\n{text}");
        }
        // Neither SSH nor NTS was asked for.
        for absent in ["dport 22", "4460"] {
            assert!(!text.contains(absent), "{absent}\n{text}");
        }
        let mut more = rules();
        more.network.ssh = vec!["10.2.0.7".parse().expect("an address")];
        more.network.nts = true;
        let text = more.text();
        assert!(
            text.contains("ip saddr @ssh4 tcp dport 22 accept"),
            "{text}"
        );
        assert!(text.contains("    tcp dport 4460 accept"), "{text}");
    }

    #[test]
    fn peers_that_could_not_be_found_again_stay() {
        let known = rules().peers;
        assert!(peers(&known, true).contains("flush set inet cardea peers4"));
        assert!(!peers(&known, false).contains("flush"));
        assert!(!peers(&BTreeSet::new(), true).contains("add element"));
    }
}
