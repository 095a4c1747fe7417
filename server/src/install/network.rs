//! `network.toml`: who may reach the server, and whom it may reach beside its integrations.
//!
//! It belongs to root and stands outside the data directory: a server that was taken over cannot
//! open the firewall with it.

use std::fmt;
use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::limits::NETWORKS_MAX;

/// The file's name.
pub const FILE: &str = "network.toml";

/// What `network.toml` says. Unknown keys are refused, so that a slip of the pen is not silent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Network {
    /// The devices: HTTPS and time.
    pub devices: Vec<Block>,
    /// Who uses the console to administer: HTTPS.
    pub admins: Vec<Block>,
    /// Who enrols from their own machine: HTTPS.
    pub people: Vec<Block>,
    /// Space: HTTPS, and the port of its events if that is set up.
    pub space: Vec<Block>,
    /// Who may log in by SSH; nobody if it is empty.
    pub ssh: Vec<Block>,
    /// Whether the time is asked for by NTS, TCP port 4460.
    pub nts: bool,
    /// What else this machine reaches, each `host:port` over TCP, as package mirrors on port 80.
    pub out: Vec<Peer>,
}

impl Network {
    /// Reads `network.toml` in `folder`.
    ///
    /// # Errors
    /// If it is missing, is no such file, or names too much.
    pub fn read(folder: &Path) -> io::Result<Self> {
        let path = folder.join(FILE);
        let about =
            |error: &dyn fmt::Display| io::Error::other(format!("{}: {error}", path.display()));
        let text = fs::read_to_string(&path).map_err(|error| about(&error))?;
        Self::parse(&text).map_err(|error| about(&error))
    }

    /// Checks the file's text.
    ///
    /// # Errors
    /// Why it is not taken, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let network: Self = toml::from_str(text).map_err(|error| error.to_string())?;
        let lists = [
            ("devices", network.devices.len()),
            ("admins", network.admins.len()),
            ("people", network.people.len()),
            ("space", network.space.len()),
            ("ssh", network.ssh.len()),
            ("out", network.out.len()),
        ];
        match lists.iter().find(|(_, length)| *length > NETWORKS_MAX) {
            Some((name, length)) => Err(format!(
                "{name} has {length} entries, at most {NETWORKS_MAX} are taken"
            )),
            None => Ok(network),
        }
    }

    /// The file's text.
    ///
    /// # Panics
    /// Never: every field has a form in TOML.
    #[must_use]
    pub fn to_text(&self) -> String {
        let keys = toml::to_string(self).expect("lists of strings always have a form in TOML");
        format!(
            "# Who may reach this server, and whom it may reach beside its integrations.\n\
             # After a change: cardea firewall apply, and cardea setup for the clock.\n{keys}"
        )
    }
}

/// An address, or a network as `10.1.0.0/16`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Block {
    address: IpAddr,
    prefix: u8,
}

impl Block {
    /// Its first address: that of the network.
    #[must_use]
    pub fn address(&self) -> IpAddr {
        self.address
    }

    fn bits(address: IpAddr) -> u8 {
        if address.is_ipv4() { 32 } else { 128 }
    }

    /// Whether no address bit is set past the prefix.
    fn is_whole(&self) -> bool {
        let bits = match self.address {
            IpAddr::V4(address) => u128::from(u32::from(address)) << 96,
            IpAddr::V6(address) => u128::from(address),
        };
        self.prefix == 128 || bits << self.prefix == 0
    }
}

impl From<IpAddr> for Block {
    fn from(address: IpAddr) -> Self {
        let prefix = Self::bits(address);
        Self { address, prefix }
    }
}

impl FromStr for Block {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let no = || format!("{text:?} is no address and no network such as 10.1.0.0/16");
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| no())?;
        let prefix = match prefix {
            Some(prefix) => prefix.parse().map_err(|_| no())?,
            None => Self::bits(address),
        };
        let block = Self { address, prefix };
        if prefix > Self::bits(address) {
            return Err(no());
        }
        if !block.is_whole() {
            return Err(format!(
                "{text:?} is an address with a prefix: write the network's first address"
            ));
        }
        Ok(block)
    }
}

impl fmt::Display for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.prefix == Self::bits(self.address) {
            write!(f, "{}", self.address)
        } else {
            write!(f, "{}/{}", self.address, self.prefix)
        }
    }
}

impl TryFrom<String> for Block {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Block> for String {
    fn from(block: Block) -> Self {
        block.to_string()
    }
}

/// A host and a TCP port, as `mirror.example:80`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Peer {
    /// A name or an address.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl FromStr for Peer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let no = || format!("{text:?} is not HOST:PORT");
        let (host, port) = text.rsplit_once(':').ok_or_else(no)?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let is_name = |c: char| c.is_ascii_alphanumeric() || "-.:_".contains(c);
        let port = port.parse().ok().filter(|port| *port > 0).ok_or_else(no)?;
        if host.is_empty() || !host.chars().all(is_name) {
            return Err(no());
        }
        let host = host.to_owned();
        Ok(Self { host, port })
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl TryFrom<String> for Peer {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Peer> for String {
    fn from(peer: Peer) -> Self {
        peer.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_and_peers_are_parsed_and_what_is_none_is_refused() {
        for good in ["10.1.0.0/16", "10.1.2.3", "fd00::/8", "::1", "0.0.0.0/0"] {
            assert_eq!(
                good.parse::<Block>().map(|b| b.to_string()),
                Ok(good.to_owned())
            );
        }
        let bad = "10.1.2.3/16 10.0.0.0/33 fd00::1/8 ::/129 10.1 x 10.0.0.0/ 10.0.0.0/x ; {}";
        for bad in bad.split(' ') {
            bad.parse::<Block>().expect_err(bad);
        }
        for good in ["mirror.example:80", "10.0.0.1:8100", "[fd00::1]:443"] {
            assert_eq!(
                good.parse::<Peer>().map(|p| p.to_string()),
                Ok(good.to_owned())
            );
        }
        for bad in [
            "mirror", "mirror:0", "mirror:x", ":80", "a b:80", "a}:80", "a:70000",
        ] {
            bad.parse::<Peer>().expect_err(bad);
        }
    }

    #[test]
    fn what_setup_writes_is_read_back_and_too_much_is_refused() {
        let network = Network {
            devices: vec!["10.1.0.0/16".parse().expect("a network")],
            out: vec!["mirror.example:80".parse().expect("a peer")],
            nts: true,
            ..Network::default()
        };
        assert_eq!(Network::parse(&network.to_text()), Ok(network.clone()));
        Network::parse("device = []").expect_err("an unknown key");
        let most = Network {
            devices: vec![network.devices[0]; NETWORKS_MAX],
            ..Network::default()
        };
        Network::parse(&most.to_text()).expect("as many as may be");
        let more = Network {
            devices: vec![network.devices[0]; NETWORKS_MAX + 1],
            ..Network::default()
        };
        let error = Network::parse(&more.to_text()).expect_err("one too many");
        assert!(error.contains("devices has 257"), "{error}");
    }
}
