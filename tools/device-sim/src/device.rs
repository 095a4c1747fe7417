//! What a device remembers, and what replies make of it. Pure: no socket, no clock, no file.

use std::net::SocketAddr;

use cardea_wire::reply::CommandKind;
use cardea_wire::{
    AccessRequest, CaptureCode, CaptureOrder, Command, Decision, EncodedEmbedding, EnrolRequest,
    Head, Kind, PadResult, Reason, Reply, RequestId,
};
use serde::Deserialize;

use crate::firmware::Offer;
use crate::light::Light;
use crate::limits::HEARTBEAT_S;

const FIRST_FIRMWARE: u32 = 1 << 16;
const HEARTBEAT_S_AT_FIRST: u32 = 30;

/// What the device does next, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    /// Shows this light.
    Show(Light),
    /// Writes a line for whoever watches.
    Say(String),
    /// Forgets key and certificate.
    ForgetIdentity,
    /// Finds the server at another address: tries it with the next message, and calls the command
    /// done once it has been answered there.
    Follow {
        /// The command.
        command: u32,
        /// The server.
        server: SocketAddr,
    },
    /// Fetches firmware part by part and installs it; only then is the command done.
    Fetch {
        /// The command.
        command: u32,
        /// What is offered.
        offer: Offer,
    },
    /// Captures the face of who is to be enrolled, once they show their code.
    Capture {
        /// What the server asked for.
        order: CaptureOrder,
        /// The command, to be acknowledged when the capture has come to an end.
        command: u32,
    },
}

/// A device's memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Device {
    model: [u8; 16],
    firmware: u32,
    command_done: u32,
    /// An update that came to nothing: it is not begun again by itself.
    refused: u32,
    self_test_failed: bool,
    heartbeat_s: u32,
    server_unix_ms: u64,
}

/// The body of a `Configure` command; fields that are absent stay as they are.
#[derive(Debug, Deserialize)]
struct Configuration {
    heartbeat_s: Option<u32>,
}

/// The body of an `Address` command.
#[derive(Debug, Deserialize)]
struct Address {
    server: SocketAddr,
}

impl Device {
    pub(crate) fn new(model: [u8; 16]) -> Self {
        Self {
            model,
            firmware: FIRST_FIRMWARE,
            command_done: 0,
            refused: 0,
            self_test_failed: false,
            heartbeat_s: HEARTBEAT_S_AT_FIRST,
            server_unix_ms: 0,
        }
    }

    /// Sets the period of heartbeats within its bounds.
    pub(crate) fn set_heartbeat_s(&mut self, seconds: u32) {
        self.heartbeat_s = seconds.clamp(*HEARTBEAT_S.start(), *HEARTBEAT_S.end());
    }

    /// Runs this firmware.
    pub(crate) fn set_firmware(&mut self, firmware: u32) {
        self.firmware = firmware;
    }

    pub(crate) fn heartbeat_s(&self) -> u32 {
        self.heartbeat_s
    }

    /// The time of the server's last heartbeat reply in Unix seconds; the device trusts no clock of
    /// its own.
    pub(crate) fn server_unix_s(&self) -> Option<i64> {
        (self.server_unix_ms != 0).then_some((self.server_unix_ms / 1_000) as i64)
    }

    /// The bytes of a heartbeat.
    pub(crate) fn heartbeat(&self, request_id: RequestId, uptime_ms: u64) -> Vec<u8> {
        let head = Head {
            firmware: self.firmware,
            command_done: self.command_done,
            state: u8::from(self.self_test_failed),
            uptime_ms,
            ..Head::new(Kind::Heartbeat, request_id, 0)
        };
        let mut out = Vec::new();
        head.write(&mut out);
        out
    }

    /// The bytes of an access request.
    pub(crate) fn access(&self, request_id: RequestId, embedding: &[u8; 2_048]) -> Vec<u8> {
        let request = AccessRequest {
            request_id,
            model: self.model,
            pad: PadResult::Passed,
            firmware: self.firmware,
            command_done: self.command_done,
            embedding: EncodedEmbedding::F32(embedding),
        };
        let mut out = Vec::new();
        request.write(&mut out);
        out
    }

    /// The bytes of an enrolment.
    pub(crate) fn enrolment(
        &self,
        request_id: RequestId,
        order: &CaptureOrder,
        code: CaptureCode,
        faces: &[[u8; 2_048]],
    ) -> Vec<u8> {
        let request = EnrolRequest {
            request_id,
            model: self.model,
            pad: PadResult::Passed,
            firmware: self.firmware,
            command_done: self.command_done,
            capture: order.capture,
            code,
            embeddings: faces.iter().map(EncodedEmbedding::F32).collect(),
        };
        let mut out = Vec::new();
        request.write(&mut out);
        out
    }

    /// What the reply to an enrolment makes of the device; a wrong code may be shown again.
    pub(crate) fn take_enrolled(&mut self, command: u32, reply: &Reply) -> Vec<Action> {
        if reply.decision == Decision::Served {
            self.command_done = command;
            return vec![
                Action::Show(Light::Enrolled),
                Action::Say("enrolled".to_owned()),
            ];
        }
        let may_try_again = reply.decision == Decision::Refused
            && reply.reason != Reason::CaptureRefused
            || reply.reason == Reason::WrongCode;
        if !may_try_again {
            self.command_done = command;
        }
        let light = match reply.decision {
            Decision::Refused => Light::Error,
            Decision::Denied | Decision::Granted | Decision::Served => Light::Denied,
        };
        vec![
            Action::Show(light),
            Action::Say(format!("not enrolled: {}", reply.reason)),
        ]
    }

    /// What a reply makes of the device.
    pub(crate) fn take(&mut self, reply: &Reply) -> Vec<Action> {
        let mut actions = Vec::new();
        match reply.decision {
            Decision::Granted => {
                actions.push(Action::Show(Light::Granted));
                let (person, score) = (reply.person, reply.score);
                actions.push(Action::Say(format!(
                    "person {person:016x}, score {score:.4}"
                )));
            }
            Decision::Denied => {
                actions.push(Action::Show(Light::Denied));
                actions.push(Action::Say(format!("denied: {}", reply.reason)));
            }
            Decision::Refused => {
                actions.push(Action::Show(Light::Error));
                actions.push(Action::Say(format!("refused: {}", reply.reason)));
            }
            Decision::Served if reply.kind == Kind::Heartbeat => {
                self.server_unix_ms = reply.person;
            }
            Decision::Served => {}
        }
        if let Some(command) = &reply.command
            && command.id != self.command_done
            && command.id != self.refused
        {
            self.obey(command, &mut actions);
        }
        actions
    }

    /// A command that took longer than a reply is carried out.
    pub(crate) fn done(&mut self, command: u32) {
        self.command_done = command;
    }

    /// Firmware is installed: the device restarts with it.
    pub(crate) fn updated(&mut self, command: u32, offer: &Offer) -> Vec<Action> {
        self.firmware = offer.number().unwrap_or(self.firmware);
        self.command_done = command;
        let said = format!("updated to {}", offer.version);
        vec![Action::Show(Light::Off), Action::Say(said)]
    }

    /// An update came to nothing; the device stays as it was, and does not name it as done.
    pub(crate) fn not_updated(&mut self, command: u32, why: &str) -> Vec<Action> {
        self.refused = command;
        let said = format!("command {command}: not updated: {why}");
        vec![Action::Show(Light::Error), Action::Say(said)]
    }

    fn obey(&mut self, command: &Command, actions: &mut Vec<Action>) {
        let done = match command.kind {
            CommandKind::Decommission => {
                actions.push(Action::Say("command: decommission".to_owned()));
                actions.push(Action::ForgetIdentity);
                actions.push(Action::Show(Light::WaitingForCommissioning));
                Ok(())
            }
            CommandKind::Configure => self.configure(&command.body, actions),
            CommandKind::Update => match Offer::parse(&command.body) {
                Ok(offer) if offer.number() != Some(self.firmware) => {
                    let command = command.id;
                    return actions.push(Action::Fetch { command, offer });
                }
                Ok(_) => Ok(()),
                Err(error) => Err(error),
            },
            CommandKind::Address => match serde_json::from_slice::<Address>(&command.body) {
                Ok(Address { server }) => {
                    let command = command.id;
                    actions.push(Action::Follow { command, server });
                    return;
                }
                Err(error) => Err(error.to_string()),
            },
            CommandKind::Capture => match CaptureOrder::parse(command) {
                // Acknowledged when it has come to an end.
                Ok(order) if order.until_unix_ms > self.server_unix_ms => {
                    let command = command.id;
                    return actions.push(Action::Capture { order, command });
                }
                Ok(_) => Ok(()),
                Err(error) => Err(error.to_string()),
            },
            CommandKind::SelfTest => {
                actions.push(Action::Say("command: self-test".to_owned()));
                self.self_test_failed = false;
                actions.push(Action::Show(Light::SelfTestPassed));
                Ok(())
            }
        };
        match done {
            Ok(()) => self.command_done = command.id,
            Err(why) => {
                actions.push(Action::Show(Light::Error));
                actions.push(Action::Say(format!("command {}: {why}", command.id)));
            }
        }
    }

    fn configure(&mut self, body: &[u8], actions: &mut Vec<Action>) -> Result<(), String> {
        let configuration: Configuration =
            serde_json::from_slice(body).map_err(|error| error.to_string())?;
        if let Some(seconds) = configuration.heartbeat_s {
            self.set_heartbeat_s(seconds);
        }
        let seconds = self.heartbeat_s;
        actions.push(Action::Say(format!(
            "command: configure, heartbeat {seconds} s"
        )));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use cardea_wire::Reason;

    use super::*;

    const ID: RequestId = RequestId([1; 16]);

    fn heartbeat_with(kind: CommandKind, id: u32, body: &[u8]) -> Reply {
        let mut reply = Reply::new(Kind::Heartbeat, ID, Decision::Served, Reason::None);
        reply.person = 1_800_000_000_000;
        reply.command = Some(Command {
            kind,
            id,
            body: body.to_vec(),
        });
        reply
    }

    fn head_of(device: &Device) -> Head {
        Head::parse(&device.heartbeat(ID, 7)).expect("a heartbeat")
    }

    #[test]
    fn a_command_is_obeyed_once_and_acknowledged_with_the_next_message() {
        let mut device = Device::new([0; 16]);
        let reply = heartbeat_with(CommandKind::Configure, 4, br#"{"heartbeat_s":5}"#);
        let actions = device.take(&reply);
        assert_eq!(
            actions,
            [Action::Say("command: configure, heartbeat 5 s".to_owned())]
        );
        assert_eq!(head_of(&device).command_done, 4);
        assert_eq!(device.take(&reply), [], "the same command again");
        assert_eq!(device.server_unix_s(), Some(1_800_000_000));
    }

    #[test]
    fn a_command_that_cannot_be_obeyed_is_not_acknowledged() {
        let mut device = Device::new([0; 16]);
        for (kind, body) in [
            (CommandKind::Configure, b"no json".as_slice()),
            (CommandKind::Update, br#"{"version":"1.2.3"}"#),
        ] {
            let actions = device.take(&heartbeat_with(kind, 9, body));
            assert_eq!(actions[0], Action::Show(Light::Error));
            assert_eq!(head_of(&device).command_done, 0);
        }
    }

    // Fails if a capture is acknowledged before it has ended, or never.
    #[test]
    fn a_capture_is_acknowledged_when_it_has_come_to_an_end() {
        let order = CaptureOrder {
            capture: cardea_wire::CaptureId([9; 16]),
            until_unix_ms: 1_800_000_000_001,
        };
        let mut device = Device::new([0; 16]);
        let asked = heartbeat_with(CommandKind::Capture, 6, &order.to_bytes());
        let expected = [Action::Capture { order, command: 6 }];
        assert_eq!(device.take(&asked), expected);
        assert_eq!(head_of(&device).command_done, 0);
        let wrong = Reply::new(Kind::Enrol, ID, Decision::Denied, Reason::WrongCode);
        device.take_enrolled(6, &wrong);
        assert_eq!(device.take(&asked), expected, "another code may be shown");
        let held = Reply::new(Kind::Enrol, ID, Decision::Denied, Reason::EnrolmentHeld);
        device.take_enrolled(6, &held);
        assert_eq!(head_of(&device).command_done, 6);
        let late = CaptureOrder {
            until_unix_ms: 1,
            ..order
        };
        let asked = heartbeat_with(CommandKind::Capture, 7, &late.to_bytes());
        assert_eq!(device.take(&asked), [], "its time is over");
        assert_eq!(head_of(&device).command_done, 7);
    }

    /// Fails if an update is called done before it is installed, or begun again after it was
    /// refused.
    #[test]
    fn an_update_is_done_when_it_is_installed_and_shows_in_the_next_heartbeat() {
        let mut device = Device::new([0; 16]);
        let hash = "ab".repeat(32);
        let body = format!(
            r#"{{"version":"2.3.4","path":"/v1/firmware/{hash}","size":9,"blake3":"{hash}"}}"#
        );
        let offer = Offer::parse(body.as_bytes()).expect("an offer");
        let told = heartbeat_with(CommandKind::Update, 1, body.as_bytes());
        for _ in 0..2 {
            let (command, offer) = (1, offer.clone());
            assert_eq!(device.take(&told), [Action::Fetch { command, offer }]);
            assert_eq!(head_of(&device).command_done, 0);
        }
        device.updated(1, &offer);
        let head = head_of(&device);
        assert_eq!((head.firmware, head.command_done), (0x0002_0304, 1));
        // After a restart the command comes again: it has that firmware already.
        let mut restarted = Device::new([0; 16]);
        restarted.set_firmware(0x0002_0304);
        assert_eq!(restarted.take(&told), []);
        assert_eq!(head_of(&restarted).command_done, 1);
        let mut refuses = Device::new([0; 16]);
        refuses.not_updated(1, "another hash");
        assert_eq!(refuses.take(&told), []);
        assert_eq!(head_of(&refuses).command_done, 0);
    }

    #[test]
    fn decommissioning_forgets_the_identity() {
        let mut device = Device::new([0; 16]);
        let actions = device.take(&heartbeat_with(CommandKind::Decommission, 2, b""));
        assert!(actions.contains(&Action::ForgetIdentity));
        assert_eq!(
            actions.last(),
            Some(&Action::Show(Light::WaitingForCommissioning))
        );
    }

    /// Fails if the command is called done before the server has answered at its new address.
    #[test]
    fn another_address_is_tried_first_and_done_later() {
        let mut device = Device::new([0; 16]);
        let body = br#"{"server":"192.0.2.9:443"}"#;
        let reply = heartbeat_with(CommandKind::Address, 5, body);
        let server = SocketAddr::from(([192, 0, 2, 9], 443));
        for _ in 0..2 {
            let follow = Action::Follow { command: 5, server };
            assert_eq!(device.take(&reply), [follow]);
            assert_eq!(head_of(&device).command_done, 0);
        }
        device.done(5);
        assert_eq!(head_of(&device).command_done, 5);
        assert_eq!(device.take(&reply), []);
    }

    #[test]
    fn the_period_of_heartbeats_keeps_its_bounds() {
        let mut device = Device::new([0; 16]);
        device.set_heartbeat_s(0);
        assert_eq!(device.heartbeat_s(), *HEARTBEAT_S.start());
        device.set_heartbeat_s(u32::MAX);
        assert_eq!(device.heartbeat_s(), *HEARTBEAT_S.end());
    }
}
