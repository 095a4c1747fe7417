//! What a device captured of somebody who is to be enrolled: checked as an access request is, and
//! given to the writer, which answers.

use cardea_wire::{EnrolRequest, Kind, PadResult, Reason};

use super::access::parse_embedding;
use super::refusal::refuse;
use super::{Api, name_of};
use crate::net::{ExchangeId, Peer, Replies, Request};
use crate::writer::{Command, DeviceCapture};

impl Api {
    /// An enrolment at a device has come.
    pub(super) fn enrol(
        &mut self,
        id: ExchangeId,
        peer: &Peer,
        request: &Request,
        to: &mut Replies,
    ) {
        self.interval.counts.add("enrolments_at_devices", 1);
        if let Err(reason) = self.take_enrolment(id, peer, request) {
            to.push(id, refuse(name_of(&request.body, Kind::Enrol), reason));
        }
    }

    fn take_enrolment(
        &mut self,
        id: ExchangeId,
        peer: &Peer,
        request: &Request,
    ) -> Result<(), Reason> {
        let device = self.device(peer)?;
        let message = EnrolRequest::parse(&request.body).map_err(|error| error.reason())?;
        if message.model != self.site.model.0 {
            return Err(Reason::UnknownModel);
        }
        let embeddings = message.embeddings.iter();
        let embeddings = embeddings
            .map(|encoded| parse_embedding(*encoded))
            .collect::<Result<Vec<_>, _>>()?;
        if self.site.is_stopping() {
            return Err(Reason::Stopping);
        }
        self.seen
            .note(&device, peer, message.firmware, message.command_done);
        let captured = DeviceCapture {
            device: device.id,
            capture: message.capture,
            code: message.code,
            pad_failed: message.pad == PadResult::Failed,
            embeddings,
            asker: self.asker(id, message.request_id),
        };
        self.ask(Command::DeviceCaptured(Box::new(captured)))
    }
}
