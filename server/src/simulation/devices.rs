//! Devices and the network between: requests, repeats, and connections that go.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use cardea_engine::Embedding;
use cardea_wire::{AccessRequest, EncodedEmbedding, PadResult, RequestId};
use rustls_pki_types::CertificateDer;

use super::judge::{Asked, Name, Verdict};
use super::server::LOOPS;
use super::site::MODEL;
use super::world::{Event, MS, SECOND, World};
use crate::net::{ExchangeId, Method, Peer, PeerCertificate, Request, Service as _};

/// Where the model stands in a message, see PROTOCOL.md.
const MODEL_AT: usize = 24;

/// How far an exchange has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// On its way to the server.
    Coming,
    /// With the server's service.
    Asked,
    /// The reply is on its way to the kernel.
    Answered,
    Over,
}

/// What is odd about a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Odd {
    No,
    OtherModel,
    CutShort,
    Stranger,
}

/// One request with its answer, on a connection of its own.
#[derive(Debug, Clone)]
pub(super) struct Exchange {
    pub(super) asked: Asked,
    pub(super) at_loop: usize,
    body: Vec<u8>,
    odd: Odd,
    phase: Phase,
}

impl Exchange {
    /// Whether the service has it and the device waits.
    pub(super) fn waits(&self) -> bool {
        self.phase == Phase::Asked
    }
}

impl World {
    /// Somebody will stand before a door at this moment.
    pub(super) fn new_request(&mut self, us: u64) {
        // The last door is one that Space has no name for.
        let device = *self.chance.one(&[0, 0, 0, 1, 1, 1, 2]);
        let name = (device, self.chance.name());
        let pad_failed = self.chance.percent(3);
        let embedding = self.somebody();
        let bytes = embedding.to_le_bytes();
        let message = AccessRequest {
            request_id: RequestId(name.1),
            model: MODEL.0,
            pad: if pad_failed {
                PadResult::Failed
            } else {
                PadResult::Passed
            },
            firmware: 1,
            command_done: 0,
            embedding: EncodedEmbedding::F32(&bytes),
        };
        let mut body = Vec::new();
        message.write(&mut body);
        let as_read = Embedding::from_le_bytes(&bytes).expect("what was written");
        self.judge.probe(name, as_read, pad_failed);
        self.ask(us, name, body);
    }

    /// A message will come at this moment, for the first time or again.
    fn ask(&mut self, us: u64, name: Name, body: Vec<u8>) {
        let odd = if self.chance.percent(self.mood.odd_request) {
            *self
                .chance
                .one(&[Odd::OtherModel, Odd::CutShort, Odd::Stranger])
        } else {
            Odd::No
        };
        let exchange = u32::try_from(self.exchanges.len()).expect("few") + 1;
        let asked = Asked {
            name,
            deadline_us: 0,
            ticket: None,
        };
        let at_loop = self.chance.below(LOOPS as u64) as usize;
        let phase = Phase::Coming;
        let new = Exchange {
            asked,
            at_loop,
            body,
            odd,
            phase,
        };
        self.exchanges.insert(exchange, new);
        self.by_id.insert(ExchangeId::simulated(exchange), exchange);
        self.at(us, Event::Arrive(exchange));
        // It may lose patience, or its connection, at any time.
        if self.chance.percent(self.mood.impatient) {
            let us = us + self.chance.below(2_500 * MS);
            self.at(us, Event::Gone(exchange));
        }
    }

    /// The same message comes again, from a device that has no answer or that is not honest.
    fn ask_again(&mut self, exchange: u32, from_us: u64) {
        let again = self.exchanges[&exchange].clone();
        if self.exchanges.len() > 80 {
            return;
        }
        // Now and then later than anybody remembers.
        let us = if self.chance.percent(3) {
            from_us + 3_590 * SECOND + self.chance.below(30 * SECOND)
        } else {
            from_us + self.chance.below(3 * SECOND)
        };
        self.judge.tally.note("fault: repeat");
        self.ask(us, again.asked.name, again.body);
    }

    pub(super) fn arrive(&mut self, exchange: u32) -> Verdict {
        let Some(coming) = self.exchanges.get(&exchange).cloned() else {
            return Ok(());
        };
        if coming.phase != Phase::Coming {
            return Ok(());
        }
        let at = coming.at_loop;
        if let Some(us) = self.stalled(at) {
            self.at(us, Event::Arrive(exchange));
            return Ok(());
        }
        let now = self.clock.instant();
        let id = ExchangeId::simulated(exchange);
        let (peer, request) = self.message(&coming);
        self.judge.called(self.clock.unix_us(), self.clock.us);
        let server = self.server();
        let deadline = now + server.site.answer_deadline();
        let each = &mut server.loops[at];
        each.api.request(id, &peer, request, now, &mut each.replies);
        let ticket = each.api.ticket_of(id);
        let deadline_us = self.clock.since_start(deadline);
        if let Some(found) = self.exchanges.get_mut(&exchange) {
            found.phase = Phase::Asked;
            found.asked.deadline_us = deadline_us;
            found.asked.ticket = ticket;
        }
        self.judge.tally.note("requests");
        if self.chance.percent(self.mood.repeats) {
            self.ask_again(exchange, self.clock.us);
        }
        self.apply(at)
    }

    fn message(&self, coming: &Exchange) -> (Peer, Request) {
        let fingerprint = match coming.odd {
            Odd::Stranger => [0xEE; 32],
            Odd::No | Odd::OtherModel | Odd::CutShort => {
                self.device(coming.asked.name.0).fingerprint
            }
        };
        let mut body = coming.body.clone();
        match coming.odd {
            Odd::No | Odd::Stranger => {}
            Odd::OtherModel => body[MODEL_AT] ^= 1,
            Odd::CutShort => body.truncate(body.len() - 1),
        }
        let local = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let certificate = PeerCertificate {
            der: CertificateDer::from(Vec::new()),
            fingerprint,
        };
        let peer = Peer {
            address: SocketAddr::new(local, 50_000),
            local,
            certificate: Some(Arc::new(certificate)),
            resumed: false,
        };
        let now = self.clock.instant();
        (peer, Request::new(Method::Post, "/v1/access", body, now))
    }

    /// The service has answered; the reply may never come.
    pub(super) fn was_answered(&mut self, exchange: u32) {
        self.set(exchange, Phase::Answered);
        if self.chance.percent(self.mood.lost_reply) {
            self.judge.tally.note("fault: reply lost");
            self.soon(1, 2 * MS, Event::Gone(exchange));
        } else {
            self.soon(1, 2 * MS, Event::Sent(exchange));
        }
    }

    pub(super) fn sent(&mut self, exchange: u32) {
        if self.exchanges[&exchange].phase != Phase::Answered {
            return;
        }
        self.set(exchange, Phase::Over);
        let (id, now) = (ExchangeId::simulated(exchange), self.clock.instant());
        let at = self.exchanges[&exchange].at_loop;
        self.server().loops[at].api.sent(id, now);
    }

    pub(super) fn gone(&mut self, exchange: u32) {
        let phase = self.exchanges[&exchange].phase;
        if !matches!(phase, Phase::Asked | Phase::Answered) {
            return;
        }
        if phase == Phase::Asked {
            self.judge
                .tally
                .note("fault: device gone while it is asked");
        }
        self.set(exchange, Phase::Over);
        let at = self.exchanges[&exchange].at_loop;
        self.server().loops[at]
            .api
            .gone(ExchangeId::simulated(exchange));
        if self.chance.percent(70) {
            self.ask_again(exchange, self.clock.us);
        }
    }

    /// The device of an attempt goes before anything else happens to it.
    pub(super) fn goes_meanwhile(&mut self, ticket: u64) {
        let mut open = self.exchanges.iter();
        let found = open.find(|(_, found)| found.waits() && found.asked.ticket == Some(ticket));
        if let Some((&exchange, _)) = found {
            self.soon(1, 10, Event::Gone(exchange));
        }
    }

    /// A device was removed: its connections to this loop go; their exchanges.
    pub(super) fn close_device(
        &mut self,
        at: usize,
        fingerprint: [u8; 32],
    ) -> impl Iterator<Item = Option<u32>> + use<> {
        let devices = self.judge.devices.iter();
        let place = devices
            .clone()
            .position(|device| device.fingerprint == fingerprint);
        let open = self.exchanges.iter().filter(|(_, found)| {
            let is_theirs = Some(found.asked.name.0) == place && found.odd != Odd::Stranger;
            is_theirs && found.at_loop == at
        });
        let open: Vec<u32> = open.map(|(exchange, _)| *exchange).collect();
        for &exchange in &open {
            self.gone(exchange);
        }
        open.into_iter().map(Some)
    }

    /// The server has died.
    pub(super) fn devices_lost_connections(&mut self) {
        let open = self.exchanges.iter();
        let open = open.filter(|(_, found)| matches!(found.phase, Phase::Asked | Phase::Answered));
        let open: Vec<u32> = open.map(|(exchange, _)| *exchange).collect();
        for exchange in open {
            self.set(exchange, Phase::Over);
            if self.chance.percent(80) {
                self.ask_again(exchange, self.clock.us);
            }
        }
    }

    fn set(&mut self, exchange: u32, phase: Phase) {
        if let Some(found) = self.exchanges.get_mut(&exchange) {
            found.phase = phase;
        }
    }
}
