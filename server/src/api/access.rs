//! An access request on a loop: what the state machine asks for is done here.

use std::sync::Arc;
use std::time::Instant;

use cardea_engine::{Embedding, EmbeddingError};
use cardea_space::client::{Completion as OpenCompletion, OpenRequest, Outcome};
use cardea_space::ext_id::ExtId;
use cardea_wire::{AccessRequest, Decision, EncodedEmbedding, Kind, PadResult, Reason, Reply};

use super::attempts::InFlight;
use super::device::command_for;
use super::refusal::{refuse, response_in};
use super::{Api, name_of};
use crate::access::{Action, Attempt, micros};
use crate::audit::Recorded;
use crate::authorise::Authority;
use crate::histograms::{Stage, Timings, Worst};
use crate::metrics::events;
use crate::net::{ExchangeId, Peer, Replies, Request};
use crate::site::moment;
use crate::space::Gate;
use crate::work::{Probe, SearchDone, Waiting};

/// Where an exchange of an access request stands.
pub(super) enum Exchange {
    /// The attempt is on its way.
    InFlight(u64),
    /// The reply is with the front end since then.
    Sending {
        request: Worst,
        first_byte: Instant,
        made: Instant,
    },
}

impl Api {
    /// An access request has come.
    pub(super) fn access(
        &mut self,
        id: ExchangeId,
        peer: &Peer,
        request: &Request,
        now: Instant,
        replies: &mut Replies,
    ) {
        if let Err(reason) = self.take_on(id, peer, request, now, replies) {
            self.interval.counts.answer(reason);
            replies.push(id, refuse(name_of(&request.body, Kind::Access), reason));
        }
    }

    fn take_on(
        &mut self,
        id: ExchangeId,
        peer: &Peer,
        request: &Request,
        now: Instant,
        replies: &mut Replies,
    ) -> Result<(), Reason> {
        let device = self.device(peer)?;
        let message = AccessRequest::parse(&request.body).map_err(|error| error.reason())?;
        if message.model != self.site.model.0 {
            return Err(Reason::UnknownModel);
        }
        let embedding = parse_embedding(message.embedding)?;
        if self.site.is_stopping() {
            return Err(Reason::Stopping);
        }
        self.attempts.admit(device.id)?;
        self.seen
            .note(&device, peer, message.firmware, message.command_done);

        let complete = request.times.complete;
        let deadline = complete + self.site.answer_deadline();
        let pad_failed = message.pad == PadResult::Failed;
        let (attempt, action) = Attempt::begin(
            device,
            message.request_id,
            pad_failed,
            complete,
            moment(now),
        );
        let in_flight = InFlight {
            attempt,
            exchange: id,
            serial: 0,
            times: request.times,
            command_done: message.command_done,
            deadline,
            gate: None,
        };
        let ticket = self.attempts.take(in_flight);
        self.exchanges.insert(id, Exchange::InFlight(ticket));
        if action == Action::Search {
            let done = self.done.clone();
            let waiting = Waiting {
                queued: now,
                deadline,
                ticket,
                done,
            };
            if self.work.submit(Probe { embedding, waiting }).is_err() {
                self.refuse_attempt(ticket, Reason::Overloaded, now, replies);
            }
        } else {
            self.act(ticket, action, now, replies);
        }
        Ok(())
    }

    /// A search has ended.
    pub(super) fn searched(&mut self, done: SearchDone, now: Instant, replies: &mut Replies) {
        let Some(in_flight) = self.attempts.find(done.ticket) else {
            return;
        };
        let (directory, authoriser) = (self.site.directory(), self.site.authoriser());
        let authority = Authority {
            directory: &directory,
            authoriser: &authoriser,
        };
        let at = moment(now);
        let action =
            in_flight
                .attempt
                .searched(&done.end, done.queue_us, done.search_us, &authority, at);
        drop(directory);
        self.act(done.ticket, action, now, replies);
    }

    /// The audit has answered. An attempt that has ended meanwhile keeps an intent without an
    /// outcome, which reads "interrupted".
    pub(super) fn recorded(
        &mut self,
        ticket: u64,
        recorded: &Recorded,
        now: Instant,
        replies: &mut Replies,
    ) {
        let Some(in_flight) = self.attempts.find(ticket) else {
            return;
        };
        let (directory, authoriser) = (self.site.directory(), self.site.authoriser());
        let authority = Authority {
            directory: &directory,
            authoriser: &authoriser,
        };
        if let Recorded::Repeat { .. } = recorded {
            events::REPEATS.count();
        }
        let action = in_flight
            .attempt
            .recorded(recorded, &authority, moment(now));
        drop(directory);
        self.act(ticket, action, now, replies);
    }

    /// Space has answered for a door, or it will not.
    pub(super) fn opened(&mut self, done: &OpenCompletion, now: Instant, replies: &mut Replies) {
        if let Some(in_flight) = self.attempts.find(done.ticket) {
            let device = in_flight.attempt.device().id;
            let opening = match &done.outcome {
                Outcome::Opened => &events::OPENED,
                Outcome::Refused { .. } => &events::OPENING_REFUSED,
                Outcome::NotSent(_) => &events::OPENING_NOT_SENT,
                Outcome::Unknown(_) => &events::OPENING_UNKNOWN,
            };
            // The audit has each of them; at info, whoever stands at a door writes the log.
            let times = opening.count();
            match &done.outcome {
                Outcome::Opened => {}
                outcome @ (Outcome::Refused { .. } | Outcome::NotSent(_) | Outcome::Unknown(_))
                    if times.is_power_of_two() =>
                {
                    tracing::info!(device, %outcome, times, "Space did not open");
                }
                outcome @ (Outcome::Refused { .. } | Outcome::NotSent(_) | Outcome::Unknown(_)) => {
                    tracing::debug!(device, %outcome, "Space did not open");
                }
            }
            let withheld = in_flight.gate.as_ref().and_then(|gate| gate.why_shut());
            let action = in_flight
                .attempt
                .opened(&done.outcome, withheld, moment(now));
            self.act(done.ticket, action, now, replies);
        }
    }

    /// Hands a door to Space. What cannot be handed over was not sent.
    fn open(&mut self, ticket: u64, door: ExtId, person: u64, now: Instant, replies: &mut Replies) {
        let Some(in_flight) = self.attempts.find(ticket) else {
            return;
        };
        let device = Arc::clone(in_flight.attempt.device());
        let deadline = in_flight.deadline;
        let (site, gate) = (Arc::clone(&self.site), Arc::new(Gate::default()));
        in_flight.gate = Some(Arc::clone(&gate));
        let request = OpenRequest {
            ticket,
            door,
            door_name: None,
            deadline,
            may_send: Box::new(move || gate.pass(|| site.still_permits(person, &device))),
        };
        if let Err(why) = self.site.open(request) {
            let outcome = Outcome::NotSent(why);
            let action = in_flight.attempt.opened(&outcome, None, moment(now));
            self.act(ticket, action, now, replies);
        }
    }

    pub(super) fn expire_attempts(&mut self, now: Instant, replies: &mut Replies) {
        while let Some(ticket) = self.attempts.due(now) {
            if let Some(in_flight) = self.attempts.find(ticket) {
                let attempt = &mut in_flight.attempt;
                let action = match &in_flight.gate {
                    // It waited for a connection to Space all the time, and is not sent any more.
                    Some(gate) if gate.shut_for(Reason::SpaceUnavailable) => {
                        let outcome = Outcome::NotSent("deadline passed".to_owned());
                        attempt.opened(&outcome, gate.why_shut(), moment(now))
                    }
                    Some(_) | None => attempt.late(moment(now)),
                };
                self.act(ticket, action, now, replies);
            }
        }
    }

    fn refuse_attempt(&mut self, ticket: u64, reason: Reason, now: Instant, to: &mut Replies) {
        if let Some(in_flight) = self.attempts.find(ticket) {
            let action = in_flight.attempt.refuse(reason, now);
            self.act(ticket, action, now, to);
        }
    }

    /// Does what the state machine asks for.
    fn act(&mut self, ticket: u64, action: Action, now: Instant, replies: &mut Replies) {
        match action {
            Action::Search => unreachable!("asked for once, when the attempt is taken on"),
            Action::Record(record) => {
                if self.audit.begin(record, ticket).is_err() {
                    self.refuse_attempt(ticket, Reason::NotRecorded, now, replies);
                }
            }
            Action::Open { door, person } => self.open(ticket, door, person, now, replies),
            Action::Reply { reply, outcome } => {
                // Without room for it the record reads "interrupted": nothing opens twice.
                if let Some((sequence, outcome)) = outcome
                    && self.audit.outcome(sequence, outcome, None).is_err()
                {
                    self.interval.counts.add("audit_outcomes_lost", 1);
                }
                self.reply(ticket, reply, now, replies);
            }
        }
    }

    fn reply(&mut self, ticket: u64, mut reply: Reply, now: Instant, replies: &mut Replies) {
        let Some(ended) = self.attempts.end(ticket) else {
            return;
        };
        self.interval.counts.answer(match reply.decision {
            Decision::Granted => Reason::None,
            Decision::Denied | Decision::Refused | Decision::Served => reply.reason,
        });
        let device = ended.attempt.device();
        let mut timings: Timings = ended.attempt.timings();
        if let Some(us) = ended.times.handshake_us {
            timings.set(Stage::Handshake, us);
        }
        timings.set(
            Stage::Receive,
            micros(ended.times.complete, ended.times.first_byte),
        );
        reply.command = command_for(device, ended.command_done);
        let request = Worst {
            request_id: ended.attempt.request_id(),
            device: device.id,
            timings,
        };
        let first_byte = ended.times.first_byte;
        if self.exchanges.remove(&ended.exchange).is_none() {
            // The device has gone while Space was asked: the audit knows, nobody waits.
            return;
        }
        let sending = Exchange::Sending {
            request,
            first_byte,
            made: now,
        };
        self.exchanges.insert(ended.exchange, sending);
        let body = replies.buffer();
        replies.push(ended.exchange, response_in(&reply, body));
    }

    /// The reply's last byte is with the kernel: the request is complete and counts.
    pub(super) fn reply_sent(&mut self, id: ExchangeId, now: Instant) {
        if let Some(Exchange::Sending {
            mut request,
            first_byte,
            made,
        }) = self.exchanges.remove(&id)
        {
            request.timings.set(Stage::Send, micros(now, made));
            request.timings.set(Stage::Total, micros(now, first_byte));
            self.interval.histograms.record(&request);
        }
    }

    /// The device has gone: nothing is granted to it any more. A door that Space has not been
    /// asked for stays closed; one that it has been still gets its outcome in the audit.
    pub(super) fn peer_gone(&mut self, id: ExchangeId) {
        if let Some(Exchange::InFlight(ticket)) = self.exchanges.remove(&id) {
            self.interval.counts.add("access_devices_gone", 1);
            if let Some(gone) = self.attempts.find(ticket)
                && let Some(gate) = &gone.gate
            {
                gate.shut_for(Reason::Interrupted);
                return;
            }
            self.attempts.end(ticket);
        }
    }
}

/// An embedding as a device sent it, checked.
pub(super) fn parse_embedding(encoded: EncodedEmbedding<'_>) -> Result<Embedding, Reason> {
    let parsed = match encoded {
        EncodedEmbedding::F32(bytes) => Embedding::from_le_bytes(bytes),
        EncodedEmbedding::Int8 { scale, codes } => {
            Embedding::from_codes(&codes.map(|code| code as i8), scale)
        }
    };
    parsed.map_err(|error| match error {
        EmbeddingError::NotFinite { .. } => Reason::NotFinite,
        EmbeddingError::Scale { found } if !found.is_finite() => Reason::NotFinite,
        EmbeddingError::Norm { .. } | EmbeddingError::Scale { .. } => Reason::NotUnit,
        EmbeddingError::Length { .. } | EmbeddingError::Code { .. } => Reason::Malformed,
    })
}
