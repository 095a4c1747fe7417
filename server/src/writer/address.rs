//! Moving house: the server gets another address while devices follow.
//!
//! ```text
//! change NEW   certificate for both addresses; every device is told with its next reply
//! status       who has come by the new address
//! finish       the new address is the only one: configuration, certificate, commissioning codes
//! ```
//! `change OLD` before the end goes back.

use std::fs;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use cardea_wire::reply::CommandKind;

use super::carry_out::{Refusal, date, table, unix_s};
use super::error::WriterError;
use super::{Session, Writer};
use crate::admin::message::Response;
use crate::config::FILE;
use crate::store::{DeviceId, DeviceState, NewCommand, SettingKey};

/// How often the server looks whether the address it was set up with is still its own.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Where the server moves from, and to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Move {
    pub(super) from: IpAddr,
    pub(super) to: IpAddr,
}

/// Whether the configured address is one of this machine's, as it was last looked at.
pub(super) struct OwnAddress {
    next: Instant,
    is_ours: bool,
}

impl Default for OwnAddress {
    fn default() -> Self {
        Self {
            next: Instant::now(),
            is_ours: true,
        }
    }
}

impl Writer {
    /// The move under way, if there is one.
    pub(super) fn moving(&self) -> Result<Option<Move>, WriterError> {
        let bad = WriterError::BadSetting {
            key: SettingKey::ADDRESS_CHANGE.0,
        };
        let Some(value) = self.store.read().setting(SettingKey::ADDRESS_CHANGE)? else {
            return Ok(None);
        };
        let text = String::from_utf8_lossy(&value);
        let mut both = text.split(' ').map(str::parse);
        match (both.next(), both.next()) {
            (Some(Ok(from)), Some(Ok(to))) => Ok(Some(Move { from, to })),
            _ => Err(bad),
        }
    }

    /// The addresses that the server's certificate is for.
    pub(super) fn server_addresses(&self) -> Result<Vec<IpAddr>, WriterError> {
        Ok(match self.moving()? {
            Some(moving) => vec![moving.from, moving.to],
            None => vec![self.config.address],
        })
    }

    /// Begins to move, or turns back.
    pub(super) fn address_change(&mut self, to: IpAddr) -> Result<Response, Refusal> {
        let configured = self.config.address;
        let moving = match self.moving()? {
            None if to == configured => {
                return Err(Refusal::Words(format!("{to} is the server's address")));
            }
            None => Move {
                from: configured,
                to,
            },
            Some(under_way) if to == under_way.from => Move {
                from: under_way.to,
                to,
            },
            Some(under_way) if to == under_way.to => under_way,
            Some(under_way) => {
                return Err(Refusal::Words(format!(
                    "a move to {} is under way: finish it, or go back with `address change {}`",
                    under_way.to, under_way.from
                )));
            }
        };
        let listen = self.config.listen;
        let everywhere = listen.ip().is_unspecified() && (listen.is_ipv6() || to.is_ipv4());
        if !everywhere {
            return Err(Refusal::Words(format!(
                "the server listens on {listen} only, and would not be heard at {to}: set listen \
                 to \"0.0.0.0:{}\" in {FILE} and restart it first",
                listen.port()
            )));
        }
        let value = format!("{} {}", moving.from, moving.to);
        self.store
            .setting_set(SettingKey::ADDRESS_CHANGE, value.as_bytes())?;
        // Before anybody is told: who comes by the new address must find a certificate for it.
        self.renew_server()?;
        let told = self.store.command_add_to_all(
            CommandKind::Address as u8,
            &command_body(SocketAddr::new(to, listen.port())),
            unix_s(),
        )?;
        self.follow()?;
        Ok(Response::Done {
            text: format!(
                "{told} devices are told with their next reply; the certificate holds for {} and \
                 {}. `cardea address status` shows who has followed",
                moving.from, moving.to
            ),
        })
    }

    /// Who has followed.
    pub(super) fn address_status(&self) -> Result<Response, Refusal> {
        let Some(Move { to, .. }) = self.moving()? else {
            let address = self.config.address;
            let text = format!("no move is under way: the server's address is {address}");
            return Ok(Response::Done { text });
        };
        let devices = self.store.read().devices()?;
        let waiting = |device| -> Result<bool, Refusal> {
            let commands = self.store.read().commands_waiting(device)?;
            let kind = CommandKind::Address as u8;
            Ok(commands.iter().any(|command| command.kind == kind))
        };
        let mut rows = Vec::new();
        for device in &devices {
            let state = match device.state {
                DeviceState::Waiting => "waits to be commissioned",
                _ if follows(device.local.as_deref(), to) => "followed",
                _ if waiting(device.id)? => "not told yet",
                _ => "told",
            };
            rows.push(vec![
                device.name.clone(),
                state.to_owned(),
                device.local.clone().unwrap_or_default(),
                device.last_seen_unix_s.map_or_else(String::new, date),
            ]);
        }
        Ok(table(&["device", "state", "came to", "last seen"], rows))
    }

    /// The new address is the only one.
    pub(super) fn address_finish(&mut self, leave_behind: bool) -> Result<Response, Refusal> {
        let Some(moving) = self.moving()? else {
            return Err(Refusal::Words("no move is under way".to_owned()));
        };
        let behind: Vec<_> = self
            .store
            .read()
            .devices()?
            .into_iter()
            .filter(|device| device.state == DeviceState::Commissioned)
            .filter(|device| !follows(device.local.as_deref(), moving.to))
            .map(|device| device.name)
            .collect();
        if !behind.is_empty() && !leave_behind {
            return Err(Refusal::Words(format!(
                "{} devices have not come by {}: {}. They would be lost: wait, or finish with \
                 --leave-behind and commission them anew",
                behind.len(),
                moving.to,
                behind.join(", ")
            )));
        }
        self.configure_address(moving.to)?;
        // From here on the console holds the address against this one.
        let text = moving.to.to_string();
        self.store
            .setting_set(SettingKey::ADDRESS_AT_SETUP, text.as_bytes())?;
        self.store.setting_remove(SettingKey::ADDRESS_CHANGE)?;
        if let Some(online) = &self.online {
            online.published.site().set_moved_to(moving.to);
        }
        self.renew_server()?;
        self.follow()?;
        Ok(Response::Done {
            text: format!("the server's address is {}", moving.to),
        })
    }

    /// Tells a device that has just been commissioned about a move that is under way.
    pub(super) fn tell_of_move(&mut self, device: DeviceId) -> Result<(), WriterError> {
        if let Some(moving) = self.moving()? {
            let server = SocketAddr::new(moving.to, self.config.listen.port());
            let command = NewCommand {
                device,
                kind: CommandKind::Address as u8,
                body: command_body(server),
            };
            self.store.command_add(&command, unix_s())?;
        }
        Ok(())
    }

    /// Looks whether the address that devices know is still this machine's own.
    pub(super) fn address_tick(&mut self) {
        if Instant::now() < self.own_address.next {
            return;
        }
        self.own_address.next = Instant::now() + LOOK_EVERY;
        let address = self.config.address;
        let is_ours = is_own(address);
        if is_ours != self.own_address.is_ours {
            self.own_address.is_ours = is_ours;
            let action = if is_ours {
                "address.own"
            } else {
                "address.not-own"
            };
            tracing::warn!(%address, is_ours, "the address that devices know");
            self.note_change(
                Session::COMMAND_LINE,
                (action, address.to_string()),
                Some("server"),
            );
        }
        if let Some(online) = &self.online {
            online.published.site().set_address_own(is_ours);
        }
    }

    /// Changes one line of the configuration; the others stay as they were written.
    fn configure_address(&mut self, address: IpAddr) -> Result<(), Refusal> {
        let path = self.directory.file(FILE);
        let text = fs::read_to_string(&path).map_err(WriterError::Io)?;
        let beside = path.with_extension("part");
        let written = fs::write(&beside, with_address(&text, address))
            .and_then(|()| fs::File::open(&beside)?.sync_all())
            .and_then(|()| fs::rename(&beside, &path));
        written.map_err(WriterError::Io)?;
        self.directory.sync()?;
        self.config.address = address;
        Ok(())
    }
}

/// What the command says: where to find the server from now on.
fn command_body(server: SocketAddr) -> Vec<u8> {
    serde_json::json!({ "server": server.to_string() })
        .to_string()
        .into_bytes()
}

fn follows(local: Option<&str>, to: IpAddr) -> bool {
    local.and_then(|local| local.parse().ok()) == Some(to)
}

/// A socket binds to an address only if it is one of this machine's.
fn is_own(address: IpAddr) -> bool {
    address.is_unspecified() || UdpSocket::bind((address, 0)).is_ok()
}

fn with_address(text: &str, address: IpAddr) -> String {
    let mut in_table = false;
    let lines = text.lines().map(|line| {
        in_table |= line.trim_start().starts_with('[');
        let name = line.split('=').next().unwrap_or_default().trim();
        if name == "address" && !in_table {
            format!("address = \"{address}\"\n")
        } else {
            format!("{line}\n")
        }
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fails if a key of a table is taken for the address, or another line is lost.
    #[test]
    fn only_the_address_changes() {
        let text = "# mine\nsite = \"a\"\naddress = \"10.0.0.1\" # old\n[x]\naddress = \"y\"\n";
        let to = IpAddr::from([10, 0, 0, 2]);
        let due = "# mine\nsite = \"a\"\naddress = \"10.0.0.2\"\n[x]\naddress = \"y\"\n";
        assert_eq!(with_address(text, to), due);
    }

    /// Fails if an address of others passes for ours: 192.0.2.0/24 is nobody's.
    #[test]
    fn loopback_is_ours_and_documentation_is_not() {
        assert!(is_own(IpAddr::from([127, 0, 0, 1])));
        assert!(!is_own(IpAddr::from([192, 0, 2, 7])));
    }
}
