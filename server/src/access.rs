//! One access request as a state machine: events in, an action out; no thread, socket or clock.
//!
//! ```text
//!            begin
//!              | Search                       PAD failed: Record (final)
//!              v                                        |
//!          Searching -- no match, no right: Record (final) --+
//!              | a person with a right: Record (intent)      v
//!              v                                         Recording
//!          Recording -- durable, the right still holds --> Reply granted + outcome
//!              |        durable, no longer so -----------> Reply denied  + outcome
//!              |        a repeat ------------------------> Reply as recorded, or interrupted
//!              +------- cannot be recorded --------------> Reply refused
//! ```
//! A deadline ends any state with a refusal. What is recorded as an intent and never gets an
//! outcome reads "interrupted": nothing was granted.

use std::sync::Arc;
use std::time::Instant;

use cardea_engine::CandidateList;
use cardea_wire::{Decision, Kind, Reason, Reply, RequestId};

use crate::directory::{Device, Directory};
use crate::histograms::{Stage, Timings};

/// What the audit is to hold of an attempt.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// The device that asks.
    pub device: u64,
    /// The device's name for the attempt.
    pub request_id: RequestId,
    /// The door it stands at.
    pub door: u64,
    /// What was decided; for an intent, what is about to be granted.
    pub decision: Decision,
    /// Why.
    pub reason: Reason,
    /// Who matched; nobody below the threshold.
    pub matched: Option<Matched>,
    /// Whether the outcome is still to come.
    pub intent: bool,
}

/// Who matched, and how well.
#[derive(Debug, Clone, PartialEq)]
pub struct Matched {
    /// The person's number.
    pub person: u64,
    /// The site's own name for the person.
    pub external_id: Box<str>,
    /// The tag for the reply.
    pub tag: u64,
    /// Comparison score.
    pub score: f32,
}

/// How an intent ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// The record's number.
    pub sequence: u64,
    /// What the device is told.
    pub decision: Decision,
    /// Why.
    pub reason: Reason,
}

/// What the audit made of a record.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Recorded {
    /// Durable, under this number.
    New {
        /// Its number.
        sequence: u64,
    },
    /// The device has sent this attempt before; its outcome, if it came to one.
    Repeat {
        /// What was answered then.
        answer: Option<RecordedAnswer>,
    },
    /// It could not be made durable.
    Failed,
}

/// What was answered to an attempt.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RecordedAnswer {
    /// What was decided.
    pub decision: Decision,
    /// Why.
    pub reason: Reason,
    /// Who matched: the tag, or 0.
    pub tag: u64,
    /// Comparison score, or 0.
    pub score: f32,
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
    Record(Record),
    /// Answer, and append the outcome to the audit if there is one.
    Reply {
        /// The answer.
        reply: Reply,
        /// The end of an intent.
        outcome: Option<Outcome>,
    },
}

enum State {
    Searching,
    Recording { record: Record, since: Instant },
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
        now: Instant,
    ) -> (Self, Action) {
        let state = State::Searching;
        let mut attempt = Self { device, request_id, complete, state, timings: Timings::default() };
        let action = if pad_failed {
            attempt.record(Decision::Denied, Reason::PadFailed, None, now)
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
        directory: &Directory,
        now: Instant,
    ) -> Action {
        assert!(matches!(self.state, State::Searching), "a search ends once");
        self.timings.set(Stage::Queue, queue_us);
        self.timings.set(Stage::Search, search_us);
        let candidates = match end {
            SearchEnd::Candidates(candidates) => candidates,
            SearchEnd::Late => return self.refuse(Reason::DeadlinePassed, now),
            SearchEnd::Failed => return self.refuse(Reason::GalleryUnavailable, now),
        };
        // The view that was searched may be older than a withdrawal: who is no longer in force is
        // passed over, as if the search had been made now.
        let matched = candidates.as_slice().iter().find_map(|candidate| {
            directory.person(candidate.person.0).map(|person| Matched {
                person: candidate.person.0,
                external_id: person.external_id.clone(),
                tag: person.tag,
                score: candidate.score,
            })
        });
        let Some(matched) = matched else {
            return self.record(Decision::Denied, Reason::NoMatch, None, now);
        };
        match directory.authorise(matched.person, self.device.door) {
            Ok(_) => self.record(Decision::Granted, Reason::None, Some(matched), now),
            Err(reason) => self.record(Decision::Denied, reason, Some(matched), now),
        }
    }

    /// The audit has answered. Only here can a grant arise, from a durable record, and only if
    /// the right still holds.
    pub fn recorded(&mut self, recorded: Recorded, directory: &Directory, now: Instant) -> Action {
        let State::Recording { record, since } = std::mem::replace(&mut self.state, State::Ended)
        else {
            unreachable!("a record is asked for before it is made");
        };
        self.timings.set(Stage::Record, micros(now, since));
        match recorded {
            Recorded::Failed => self.refuse(Reason::NotRecorded, now),
            Recorded::Repeat { answer } => {
                let mut reply = self.reply(Decision::Denied, Reason::Interrupted, now);
                if let Some(answer) = answer {
                    reply.decision = answer.decision;
                    reply.reason = answer.reason;
                    reply.person = answer.tag;
                    reply.score = answer.score;
                }
                Action::Reply { reply, outcome: None }
            }
            Recorded::New { sequence } => self.conclude(&record, sequence, directory, now),
        }
    }

    /// The deadline has passed: the device is told, and no grant can arise any more.
    pub fn late(&mut self, now: Instant) -> Action {
        self.refuse(Reason::DeadlinePassed, now)
    }

    /// The request cannot be taken on.
    pub fn refuse(&mut self, reason: Reason, now: Instant) -> Action {
        self.state = State::Ended;
        Action::Reply { reply: self.reply(Decision::Refused, reason, now), outcome: None }
    }

    fn conclude(
        &mut self,
        record: &Record,
        sequence: u64,
        directory: &Directory,
        now: Instant,
    ) -> Action {
        let Some(matched) = &record.matched else {
            let reply = self.reply(record.decision, record.reason, now);
            return Action::Reply { reply, outcome: None };
        };
        let (decision, reason) = if record.intent {
            match directory.authorise(matched.person, self.device.door) {
                Ok(_) => (Decision::Granted, Reason::None),
                Err(reason) => (Decision::Denied, reason),
            }
        } else {
            (record.decision, record.reason)
        };
        let mut reply = self.reply(decision, reason, now);
        if reason != Reason::Withdrawn {
            reply.person = matched.tag;
            reply.score = matched.score;
        }
        let outcome = record.intent.then_some(Outcome { sequence, decision, reason });
        Action::Reply { reply, outcome }
    }

    fn record(
        &mut self,
        decision: Decision,
        reason: Reason,
        matched: Option<Matched>,
        now: Instant,
    ) -> Action {
        let record = Record {
            device: self.device.id,
            request_id: self.request_id,
            door: self.device.door,
            decision,
            reason,
            matched,
            intent: decision == Decision::Granted,
        };
        self.state = State::Recording { record: record.clone(), since: now };
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

/// Microseconds from `since` to `now`; saturates.
#[must_use]
pub fn micros(now: Instant, since: Instant) -> u32 {
    u32::try_from(now.saturating_duration_since(since).as_micros()).unwrap_or(u32::MAX)
}
