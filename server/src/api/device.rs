//! Heartbeats, commissioning and renewal.

use std::collections::HashMap;

use cardea_wire::commission::{CommissionRequest, RenewRequest};
use cardea_wire::{Decision, Head, Kind, Reason, Reply};

use super::refusal::{refuse, response};
use super::{Api, name_of};
use crate::connect::firmware;
use crate::directory::Device;
use crate::limits::SIGNS_HELD_MAX;
use crate::metrics::events;
use crate::net::{ExchangeId, Field, Peer, Replies, Request, Response};
use crate::site::unix_ms;
use crate::writer::{Asker, Command, DeviceSign, WriterHandle};

/// Signs of life that a loop gathers for the writer, the latest of each device.
#[derive(Default)]
pub(super) struct Seen(HashMap<u64, DeviceSign>);

impl Seen {
    /// Notes a sign of life. Past the bound it is dropped: the next one says the same.
    pub(super) fn note(&mut self, device: &Device, peer: &Peer, firmware: u32, command_done: u32) {
        if self.0.len() >= SIGNS_HELD_MAX && !self.0.contains_key(&device.id) {
            events::SIGNS_DROPPED.count();
            return;
        }
        let at_unix_s = i64::try_from(unix_ms() / 1_000).unwrap_or(i64::MAX);
        let address = peer.address.ip().to_canonical().to_string();
        let local = peer.local.to_canonical().to_string();
        let sign = DeviceSign {
            device: device.id,
            at_unix_s,
            firmware,
            address,
            local,
            command_done,
        };
        self.0.insert(device.id, sign);
    }

    /// Gives what was gathered to the writer; keeps it if the writer has no room.
    pub(super) fn flush(&mut self, writer: &WriterHandle) {
        if self.0.is_empty() {
            return;
        }
        let signs = self.0.drain().map(|(_, sign)| sign).collect();
        if let Err(command) = writer.try_send(Command::Seen(signs))
            && let Command::Seen(signs) = *command
        {
            self.0
                .extend(signs.into_iter().map(|sign| (sign.device, sign)));
        }
    }
}

impl Api {
    pub(super) fn heartbeat(&mut self, peer: &Peer, request: &Request) -> Response {
        self.interval.counts.add("heartbeats", 1);
        let served = self.device(peer).and_then(|device| {
            let head = Head::parse(&request.body).map_err(|error| error.reason())?;
            if head.kind != Kind::Heartbeat {
                return Err(Reason::Malformed);
            }
            if head.payload_length != 0 {
                return Err(Reason::BadLength);
            }
            Ok((device, head))
        });
        let (device, head) = match served {
            Ok(served) => served,
            Err(reason) => return refuse(name_of(&request.body, Kind::Heartbeat), reason),
        };
        self.seen
            .note(&device, peer, head.firmware, head.command_done);
        let mut reply = Reply::new(
            Kind::Heartbeat,
            head.request_id,
            Decision::Served,
            Reason::None,
        );
        reply.person = unix_ms();
        reply.command = command_for(&device, head.command_done);
        response(&reply)
    }

    pub(super) fn commission(&mut self, id: ExchangeId, request: &Request, to: &mut Replies) {
        self.interval.counts.add("commissionings", 1);
        let asked = CommissionRequest::parse(&request.body)
            .map_err(|error| error.reason())
            .and_then(|message| {
                let asker = self.asker(id, message.request_id);
                let (token, csr) = (message.token, message.csr.to_vec());
                self.ask(Command::Commission { token, csr, asker })
            });
        if let Err(reason) = asked {
            to.push(id, refuse(name_of(&request.body, Kind::Commission), reason));
        }
    }

    pub(super) fn renew(
        &mut self,
        id: ExchangeId,
        peer: &Peer,
        request: &Request,
        to: &mut Replies,
    ) {
        self.interval.counts.add("renewals", 1);
        let asked = self.device(peer).and_then(|device| {
            let message = RenewRequest::parse(&request.body).map_err(|error| error.reason())?;
            let asker = self.asker(id, message.request_id);
            let shown = peer.certificate.as_ref().map(|shown| shown.fingerprint);
            let (device, csr) = (device.id, message.csr.to_vec());
            let shown = shown.ok_or(Reason::NoCertificate)?;
            self.ask(Command::Renew {
                device,
                shown,
                csr,
                asker,
            })
        });
        if let Err(reason) = asked {
            to.push(id, refuse(name_of(&request.body, Kind::Renew), reason));
        }
    }

    /// A part of firmware: for commissioned devices only.
    pub(super) fn firmware(
        &mut self,
        id: ExchangeId,
        peer: &Peer,
        request: &Request,
        to: &mut Replies,
    ) {
        let device = match self.device(peer) {
            Ok(device) => device,
            Err(Reason::NoCertificate) => {
                events::FIRMWARE_STRANGER.count();
                return to.push(id, Response::empty(401));
            }
            Err(_) => {
                events::FIRMWARE_UNKNOWN_DEVICE.count();
                return to.push(id, Response::empty(403));
            }
        };
        let name = request.path().strip_prefix(firmware::PATH_PREFIX);
        let ask = firmware::Ask {
            device: device.id,
            name: name.unwrap_or_default().to_owned(),
            range: request.fields.value(Field::Range).map(str::to_owned),
            exchange: id,
            done: self.done.clone(),
        };
        if let Err(response) = self.firmware.ask(ask) {
            to.push(id, response);
        }
    }

    pub(super) fn asker(&self, exchange: ExchangeId, request_id: cardea_wire::RequestId) -> Asker {
        Asker {
            exchange,
            request_id,
            done: self.done.clone(),
        }
    }

    pub(super) fn ask(&self, command: Command) -> Result<(), Reason> {
        self.writer
            .try_send(command)
            .map_err(|_| Reason::Overloaded)
    }
}

/// The command that waits for a device, unless this very request says that it is done.
pub(super) fn command_for(
    device: &Device,
    command_done: u32,
) -> Option<cardea_wire::reply::Command> {
    device
        .command
        .clone()
        .filter(|command| command.id != command_done)
}
