//! One access request as a state machine: events in, an action out; no thread, socket or clock.
//!
//! ```text
//!            begin
//!              | Search                       PAD failed: Record (final)
//!              v                                        |
//!          Searching -- no match, no right: Record (final) --+
//!              | a person with a right: Record (intent)      v
//!              v                                         Recording
//!          Recording -- durable, the right still holds --> Reply granted + outcome, or
//!              |   |                                       Open: Space is to open --+
//!              |   |    durable, no longer so -----------> Reply denied  + outcome  |
//!              |   +--- a repeat ------------------------> Reply as recorded, or    |
//!              |                                           interrupted              v
//!              +------- cannot be recorded --------------> Reply refused         Opening
//!                                                                                   |
//!          Reply granted + outcome <-- Space says so -------------------------------+
//!          Reply denied  + outcome <-- it refuses, was not asked, or nobody knows --+
//! ```
//! A deadline ends any state with a refusal; in Opening with "outcome unknown". What is recorded as
//! an intent and never gets an outcome reads "interrupted": nothing was granted.

use std::sync::Arc;
use std::time::Instant;

use cardea_engine::CandidateList;
use cardea_space::client::Outcome;
use cardea_space::ext_id::ExtId;
use cardea_wire::{Decision, Kind, Reason, Reply, RequestId};

use crate::audit::{self, Answer, AttemptRecord, Matched, Recorded};
use crate::authorise::{Authoriser, Authority, Way};
use crate::directory::{Device, person_tag};
use crate::histograms::{Stage, Timings};

/// An instant by both clocks: the steady one decides, the server's calendar only names.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// The steady clock.
    pub now: Instant,
    /// Unix time in microseconds.
    pub unix_us: i64,
}

impl Moment {
    /// Unix time in seconds.
    #[must_use]
    pub fn unix_s(self) -> i64 {
        self.unix_us.div_euclid(1_000_000)
    }
}

/// How a search ended.
#[derive(Debug)]
pub enum SearchEnd {
    /// With these candidates, best first.
    Candidates(CandidateList),
    /// The deadline passed while the probe waited.
    Late,
    /// The gallery is damaged.
    Failed,
}

/// What is to be done next.
#[derive(Debug, PartialEq)]
pub enum Action {
    /// Search for the probe.
    Search,
    /// Make this durable, then call [`Attempt::recorded`].
    Record(AttemptRecord),
    /// Have Space open this door, then call [`Attempt::opened`].
    Open {
        /// Space's name for the door.
        door: ExtId,
        /// Who is to pass, for the last look before the first byte.
        person: u64,
    },
    /// Answer, and append the outcome to its record in the audit if there is one.
    Reply {
        /// The answer.
        reply: Reply,
        /// The end of an intent.
        outcome: Option<(u64, audit::Outcome)>,
    },
}

enum State {
    Searching,
    Recording {
        record: AttemptRecord,
        since: Instant,
    },
    Opening {
        sequence: u64,
        matched: Matched,
        since: Instant,
    },
    Ended,
}

/// An access request on its way.
pub struct Attempt {
    device: Arc<Device>,
    request_id: RequestId,
    complete: Instant,
    state: State,
    timings: Timings,
}

impl Attempt {
    /// A request that came whole at `complete`. `pad_failed` says that the device's presentation
    /// attack detection failed: never a grant, and nothing to search for.
    #[must_use]
    pub fn begin(
        device: Arc<Device>,
        request_id: RequestId,
        pad_failed: bool,
        complete: Instant,
        moment: Moment,
    ) -> (Self, Action) {
        let state = State::Searching;
        let mut attempt = Self {
            device,
            request_id,
            complete,
            state,
            timings: Timings::default(),
        };
        let action = if pad_failed {
            attempt.record(Decision::Denied, Reason::PadFailed, None, moment)
        } else {
            Action::Search
        };
        (attempt, action)
    }

    /// The device that asks.
    #[must_use]
    pub fn device(&self) -> &Arc<Device> {
        &self.device
    }

    /// The device's name for the attempt.
    #[must_use]
    pub fn request_id(&self) -> RequestId {
        self.request_id
    }

    /// The stages so far.
    #[must_use]
    pub fn timings(&self) -> Timings {
        self.timings
    }

    /// The search has ended, after waiting and searching this long.
    pub fn searched(
        &mut self,
        end: &SearchEnd,
        queue_us: u32,
        search_us: u32,
        authority: &Authority<'_>,
        moment: Moment,
    ) -> Action {
        assert!(matches!(self.state, State::Searching), "a search ends once");
        self.timings.set(Stage::Queue, queue_us);
        self.timings.set(Stage::Search, search_us);
        let candidates = match end {
            SearchEnd::Candidates(candidates) => candidates,
            SearchEnd::Late => return self.refuse(Reason::DeadlinePassed, moment.now),
            SearchEnd::Failed => return self.refuse(Reason::GalleryUnavailable, moment.now),
        };
        // The view that was searched may be older than a withdrawal: who is no longer in force is
        // passed over, as if the search had been made now.
        let matched = candidates.as_slice().iter().find_map(|candidate| {
            authority
                .directory
                .person(candidate.person.0)
                .map(|person| Matched {
                    person: candidate.person.0,
                    external_id: Arc::clone(&person.external_id),
                    score: candidate.score,
                })
        });
        let Some(matched) = matched else {
            return self.record(Decision::Denied, Reason::NoMatch, None, moment);
        };
        let permit = authority.permit(matched.person, &self.device, moment.unix_s());
        // Deciding is a look-up, under a microsecond; Space's answer takes the place of this.
        self.timings.set(Stage::Authorise, 0);
        match permit {
            Ok(_) => self.record(Decision::Granted, Reason::None, Some(matched), moment),
            Err(reason) => self.record(Decision::Denied, reason, Some(matched), moment),
        }
    }

    /// The audit has answered. Only here can a grant arise, from a durable record, and only if
    /// the right still holds.
    pub fn recorded(
        &mut self,
        recorded: &Recorded,
        authority: &Authority<'_>,
        moment: Moment,
    ) -> Action {
        let State::Recording { record, since } = std::mem::replace(&mut self.state, State::Ended)
        else {
            unreachable!("a record is asked for before it is made");
        };
        self.timings.set(Stage::Record, micros(moment.now, since));
        match recorded {
            Recorded::New { sequence } => self.conclude(record, *sequence, authority, moment),
            Recorded::Repeat { answer, .. } => self.repeat(answer, authority, moment),
            // The audit's thread says why, in the log.
            Recorded::Failed { .. } => self.refuse(Reason::NotRecorded, moment.now),
            Recorded::Outcome { .. } => unreachable!("outcomes are not waited for"),
        }
    }

    /// A repeat is answered as its first was, and never opens. One whose first has not come to
    /// an end is denied.
    fn repeat(&self, answer: &Answer, authority: &Authority<'_>, moment: Moment) -> Action {
        let mut reply = self.reply(Decision::Denied, Reason::Interrupted, moment.now);
        if let Answer::Decided {
            decision,
            reason,
            matched,
        } = answer
        {
            reply.decision = decision_of(*decision);
            reply.reason = Reason::from_code(*reason).unwrap_or(Reason::Interrupted);
            if let Some(matched) = matched
                && reply.decision == Decision::Granted
                && let Err(why) = self.still_granted(matched.person, authority, moment)
            {
                (reply.decision, reply.reason) = (Decision::Denied, why);
            }
            // As the first answer: it does not name who was withdrawn meanwhile.
            if let Some(matched) = matched
                && reply.reason != Reason::Withdrawn
            {
                reply.person = person_tag(&matched.external_id);
                reply.score = matched.score;
            }
        }
        Action::Reply {
            reply,
            outcome: None,
        }
    }

    /// Whether a grant that was recorded may be said again. Where a door opens by our answer, the
    /// right must hold now; and nobody is granted after being withdrawn.
    fn still_granted(
        &self,
        person: u64,
        authority: &Authority<'_>,
        moment: Moment,
    ) -> Result<(), Reason> {
        let permit = authority.permit(person, &self.device, moment.unix_s());
        match (permit, authority.authoriser) {
            (Err(why), Authoriser::Standalone) => Err(why),
            (Err(Reason::Withdrawn), Authoriser::Space(_)) => Err(Reason::Withdrawn),
            (Ok(_), _) | (Err(_), Authoriser::Space(_)) => Ok(()),
        }
    }

    /// The deadline has passed: the device is told, and no grant can arise any more.
    pub fn late(&mut self, moment: Moment) -> Action {
        if self.is_opening() {
            let outcome = Outcome::Unknown("deadline passed".to_owned());
            return self.opened(&outcome, None, moment);
        }
        self.refuse(Reason::DeadlinePassed, moment.now)
    }

    /// The request cannot be taken on.
    pub fn refuse(&mut self, reason: Reason, now: Instant) -> Action {
        self.state = State::Ended;
        Action::Reply {
            reply: self.reply(Decision::Refused, reason, now),
            outcome: None,
        }
    }

    fn conclude(
        &mut self,
        record: AttemptRecord,
        sequence: u64,
        authority: &Authority<'_>,
        moment: Moment,
    ) -> Action {
        let recorded = Reason::from_code(record.reason).unwrap_or(Reason::Interrupted);
        let Some(matched) = record.matched else {
            let reply = self.reply(decision_of(record.decision), recorded, moment.now);
            return Action::Reply {
                reply,
                outcome: None,
            };
        };
        if record.is_final {
            let reply =
                self.matched_reply(decision_of(record.decision), recorded, &matched, moment);
            return Action::Reply {
                reply,
                outcome: None,
            };
        }
        match authority.permit(matched.person, &self.device, moment.unix_s()) {
            Ok(Way::ByReply) => {
                self.end_intent(sequence, &matched, Decision::Granted, Reason::None, moment)
            }
            Ok(Way::BySpace(door)) => {
                let person = matched.person;
                self.state = State::Opening {
                    sequence,
                    matched,
                    since: moment.now,
                };
                Action::Open { door, person }
            }
            Err(reason) => self.end_intent(sequence, &matched, Decision::Denied, reason, moment),
        }
    }

    /// Space has answered, or it will not. `withheld` says why it was not asked, where that was
    /// ours to say.
    pub fn opened(
        &mut self,
        outcome: &Outcome,
        withheld: Option<Reason>,
        moment: Moment,
    ) -> Action {
        let State::Opening {
            sequence,
            matched,
            since,
        } = std::mem::replace(&mut self.state, State::Ended)
        else {
            unreachable!("a door is opened once, when it was asked for");
        };
        self.timings
            .set(Stage::Authorise, micros(moment.now, since));
        let (decision, reason) = match outcome {
            Outcome::Opened => (Decision::Granted, Reason::None),
            Outcome::Refused { .. } => (Decision::Denied, Reason::SpaceRefused),
            Outcome::NotSent(_) => {
                let reason = withheld.unwrap_or(Reason::SpaceUnavailable);
                (Decision::Denied, reason)
            }
            Outcome::Unknown(_) => (Decision::Denied, Reason::OutcomeUnknown),
        };
        self.end_intent(sequence, &matched, decision, reason, moment)
    }

    /// Whether Space was given the door.
    fn is_opening(&self) -> bool {
        matches!(self.state, State::Opening { .. })
    }

    fn end_intent(
        &self,
        sequence: u64,
        matched: &Matched,
        decision: Decision,
        reason: Reason,
        moment: Moment,
    ) -> Action {
        let outcome = audit::Outcome {
            decision: decision as u8,
            reason: reason.code(),
            at_unix_us: moment.unix_us,
        };
        let reply = self.matched_reply(decision, reason, matched, moment);
        Action::Reply {
            reply,
            outcome: Some((sequence, outcome)),
        }
    }

    fn matched_reply(
        &self,
        decision: Decision,
        reason: Reason,
        matched: &Matched,
        moment: Moment,
    ) -> Reply {
        let mut reply = self.reply(decision, reason, moment.now);
        if reason != Reason::Withdrawn {
            reply.person = person_tag(&matched.external_id);
            reply.score = matched.score;
        }
        reply
    }

    fn record(
        &mut self,
        decision: Decision,
        reason: Reason,
        matched: Option<Matched>,
        moment: Moment,
    ) -> Action {
        let record = AttemptRecord {
            device: self.device.id,
            request_id: self.request_id.0,
            at_unix_us: moment.unix_us,
            door: self.device.door,
            decision: decision as u8,
            reason: reason.code(),
            matched,
            is_final: decision != Decision::Granted,
        };
        self.state = State::Recording {
            record: record.clone(),
            since: moment.now,
        };
        Action::Record(record)
    }

    fn reply(&self, decision: Decision, reason: Reason, now: Instant) -> Reply {
        let mut reply = Reply::new(Kind::Access, self.request_id, decision, reason);
        reply.times.queue_us = self.timings.of(Stage::Queue).unwrap_or(0);
        reply.times.search_us = self.timings.of(Stage::Search).unwrap_or(0);
        reply.times.record_us = self.timings.of(Stage::Record).unwrap_or(0);
        reply.times.authorise_us = self.timings.of(Stage::Authorise).unwrap_or(0);
        reply.times.total_us = micros(now, self.complete);
        reply
    }
}

/// A recorded decision; what is no decision of ours opens nothing.
fn decision_of(recorded: u8) -> Decision {
    if recorded == Decision::Granted as u8 {
        Decision::Granted
    } else {
        Decision::Denied
    }
}

/// Microseconds from `since` to `now`; saturates.
#[must_use]
pub fn micros(now: Instant, since: Instant) -> u32 {
    u32::try_from(now.saturating_duration_since(since).as_micros()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
