//! The promises, looked at after every event. Beside each stands a one-line change of the product
//! that breaks it; each was tried.

use std::collections::{BTreeMap, HashMap};

use cardea_engine::Embedding;
use cardea_wire::{Decision, Reason, Reply};

use super::site::SiteDevice;
use super::truth::{DueRecord, Truth};
use crate::audit::{AttemptRecord, AuditReader, Entry, Progress, Recorded};
use crate::directory::person_tag;
use crate::limits::AUDIT_REPEAT_WINDOW_US;

/// An attempt by its device's place and its request id.
pub(super) type Name = (usize, [u8; 16]);

/// A promise that was broken, in words.
#[derive(Debug, PartialEq)]
pub(super) struct Broken(pub(super) String);

pub(super) type Verdict = Result<(), Broken>;

/// Holds, or says what does not.
pub(super) fn holds(condition: bool, promise: impl FnOnce() -> String) -> Verdict {
    if condition {
        Ok(())
    } else {
        Err(Broken(promise()))
    }
}

/// A request that was given to the server.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) name: Name,
    pub(super) deadline_us: u64,
    /// The server's own name for the attempt, if it took it on.
    pub(super) ticket: Option<u64>,
}

/// What is known of an attempt by its ticket.
#[derive(Default)]
struct Attempt {
    searched_us: Option<u64>,
    record: Option<AttemptRecord>,
    recorded: Option<Recorded>,
    /// The last look said yes: from then on the first byte may be out.
    looked: bool,
}

/// What Space saw of a record's attempt.
#[derive(Default, Clone, Copy)]
struct AtSpace {
    asked: bool,
    opened: bool,
    said_yes: bool,
}

/// How often what was seen.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Tally(pub(super) BTreeMap<String, u64>);

impl Tally {
    pub(super) fn note(&mut self, what: impl Into<String>) {
        *self.0.entry(what.into()).or_insert(0) += 1;
    }

    pub(super) fn add(&mut self, other: &Self) {
        for (what, count) in &other.0 {
            *self.0.entry(what.clone()).or_insert(0) += count;
        }
    }

    pub(super) fn of(&self, what: &str) -> u64 {
        self.0.get(what).copied().unwrap_or(0)
    }
}

/// Who looks at all that happens.
pub(super) struct Judge {
    pub(super) truth: Truth,
    pub(super) devices: Vec<SiteDevice>,
    pub(super) tally: Tally,
    probes: HashMap<Name, (Embedding, bool)>,
    /// The calendar's microsecond of each call of the server, to the simulated clock's.
    calls: HashMap<i64, u64>,
    attempts: HashMap<u64, Attempt>,
    /// What is durable, as an independent reader found it.
    durable: BTreeMap<u64, AttemptRecord>,
    space: HashMap<u64, AtSpace>,
    /// Grants that were not repeats, by record.
    granted: HashMap<u64, u32>,
    /// What a device was told of its own record, in this life of the server.
    told: HashMap<u64, (u8, u16)>,
}

impl Judge {
    pub(super) fn new(truth: Truth, devices: Vec<SiteDevice>) -> Self {
        Self {
            truth,
            devices,
            tally: Tally::default(),
            probes: HashMap::new(),
            calls: HashMap::new(),
            attempts: HashMap::new(),
            durable: BTreeMap::new(),
            space: HashMap::new(),
            granted: HashMap::new(),
            told: HashMap::new(),
        }
    }

    /// A request will carry this.
    pub(super) fn probe(&mut self, name: Name, embedding: Embedding, pad_failed: bool) {
        self.probes.insert(name, (embedding, pad_failed));
    }

    /// The server was called at this moment.
    pub(super) fn called(&mut self, unix_us: i64, us: u64) {
        self.calls.insert(unix_us, us);
    }

    /// The server has died: its tickets mean nothing any more.
    pub(super) fn died(&mut self) {
        self.attempts.clear();
        self.told.clear();
    }

    pub(super) fn searched(&mut self, ticket: u64, us: u64) {
        self.attempts.entry(ticket).or_default().searched_us = Some(us);
    }

    pub(super) fn heard(&mut self, ticket: u64, recorded: Recorded) {
        self.attempts.entry(ticket).or_default().recorded = Some(recorded);
    }

    /// A connection to Space was told that it may send.
    pub(super) fn may_send(&mut self, ticket: u64) {
        self.attempts.entry(ticket).or_default().looked = true;
    }

    /// **A match by the exact oracle, and a decision by the rights of that moment**: each record
    /// that is handed to the audit. Fails if `access::searched` takes the last candidate;
    /// if `work` searches with another threshold; if `publish::put_rows` leaves out who was
    /// enrolled; if `person_withdraw` does not `follow`.
    pub(super) fn record(&mut self, ticket: u64, record: &AttemptRecord) -> Verdict {
        let attempt = self.attempts.entry(ticket).or_default();
        holds(attempt.record.is_none(), || {
            format!("attempt {ticket:x} is recorded twice")
        })?;
        attempt.record = Some(record.clone());
        let searched_us = attempt.searched_us;
        let device = self.device_of(record)?;
        let name = (device, record.request_id);
        let device = &self.devices[device];
        let Some((probe, pad_failed)) = self.probes.get(&name) else {
            return Err(Broken("a record of nobody's request".to_owned()));
        };
        let Some(decided_us) = self.calls.get(&record.at_unix_us) else {
            return Err(Broken("a record of no moment".to_owned()));
        };
        let due = match (pad_failed, searched_us) {
            (true, _) => DueRecord::denied(Reason::PadFailed, None),
            (false, None) => return Err(Broken("recorded without a search".to_owned())),
            (false, Some(searched_us)) => DueRecord::of(
                probe,
                self.truth.at(searched_us),
                self.truth.at(*decided_us),
                device,
                record.at_unix_us.div_euclid(1_000_000),
            ),
        };
        let found = DueRecord {
            decision: record.decision,
            reason: record.reason,
            matched: record.matched.clone(),
            is_final: record.is_final,
        };
        holds(due == found && record.door == device.door, || {
            format!("exact oracle: {found:?} is recorded where {due:?} is due")
        })
    }

    /// **One record for a request id within the hour**, as an independent reader finds them on the
    /// disk. Fails if `audit::repeats::find` returns `None`, or `look_back` finds nothing.
    pub(super) fn committed(&mut self, reader: &AuditReader, steps_us: i64) -> Verdict {
        let last = self.durable.keys().next_back().copied().unwrap_or(0);
        let entries = reader.since(last, 1_000).expect("a read");
        for entry in entries {
            let Entry::Attempt(record, _) = entry.entry else {
                continue;
            };
            let again = self.durable.values().find(|before| {
                let apart_us = (record.at_unix_us - before.at_unix_us).abs();
                (before.device, before.request_id) == (record.device, record.request_id)
                    && apart_us < AUDIT_REPEAT_WINDOW_US - steps_us
            });
            holds(again.is_none(), || {
                format!("one record for a request id: {again:?} and {record:?}")
            })?;
            self.durable.insert(entry.sequence, record);
        }
        Ok(())
    }

    /// **Nothing is asked of Space without a durable intent, a right at this moment, a device that
    /// waits, and time; and never twice.** Fails if `act` does not wait
    /// for the audit; if the closure `may_send` of `api/access::open` is `true`; if `Gate::pass`
    /// says yes whatever it finds, or does not heed `NOT_AGAIN`; if `peer_gone` does not shut the
    /// gate; if `recorded` concludes on `Failed`.
    pub(super) fn first_byte(
        &mut self,
        ticket: u64,
        door: &str,
        (us, unix_s): (u64, i64),
        waiting: &[&Asked],
        reader: &AuditReader,
    ) -> Result<u64, Broken> {
        let none = || "Space was asked without a durable record".to_owned();
        let attempt = self.attempts.get(&ticket).ok_or_else(|| Broken(none()))?;
        let Some(Recorded::New { sequence }) = attempt.recorded else {
            return Err(Broken(none()));
        };
        let record = self.on_disk(sequence, reader)?;
        holds(attempt.record.as_ref() == Some(&record), none)?;
        let is_intent = !record.is_final && record.decision == Decision::Granted as u8;
        holds(is_intent, || "Space was asked after a denial".to_owned())?;
        let device = &self.devices[self.device_of(&record)?];
        let person = record.matched.as_ref().map_or(0, |matched| matched.person);
        let permit = self.truth.now().permits(person, device, unix_s);
        holds(permit.is_ok(), || {
            format!("no right: Space was asked for somebody whose right is {permit:?}")
        })?;
        holds(device.space_door == Some(door), || {
            format!("Space was asked for door {door}")
        })?;
        let waits = waiting.iter().find(|asked| asked.ticket == Some(ticket));
        holds(waits.is_some(), || {
            "Space was asked for a device that has gone or was told".to_owned()
        })?;
        holds(waits.is_some_and(|asked| us < asked.deadline_us), || {
            "Space was asked after the deadline".to_owned()
        })?;
        let at_space = self.space.entry(sequence).or_default();
        holds(!at_space.asked, || "Space was asked twice".to_owned())?;
        at_space.asked = true;
        self.tally.note("Space asked");
        Ok(sequence)
    }

    /// Space opens the door of this record, or says that it has.
    pub(super) fn space_did(&mut self, sequence: u64, opened: bool, said_yes: bool) {
        let at_space = self.space.entry(sequence).or_default();
        at_space.opened |= opened;
        at_space.said_yes |= said_yes;
    }

    /// A reply to a request that waits.
    pub(super) fn reply(
        &mut self,
        asked: &Asked,
        reply: &Reply,
        (us, unix_s): (u64, i64),
        reader: &AuditReader,
    ) -> Verdict {
        // What cannot be read has no name.
        let nameless = reply.decision == Decision::Refused && reply.request_id.0 == [0; 16];
        holds(reply.request_id.0 == asked.name.1 || nameless, || {
            "a reply with another's request id".to_owned()
        })?;
        let decision = reply.decision;
        self.tally.note(match (decision, reply.reason) {
            (Decision::Granted, _) => "granted".to_owned(),
            (Decision::Denied, reason) => format!("denied: {}", reason.text()),
            (Decision::Refused, reason) => format!("refused: {}", reason.text()),
            (Decision::Served, _) => return Err(Broken("served".to_owned())),
        });
        let nameless = decision == Decision::Refused
            || matches!(
                reply.reason,
                Reason::NoMatch | Reason::PadFailed | Reason::Withdrawn
            );
        holds(!nameless || (reply.person, reply.score) == (0, 0.0), || {
            format!("somebody is named beside {:?}", reply.reason)
        })?;
        if decision == Decision::Granted {
            self.grant(asked, reply, (us, unix_s), reader)?;
        }
        self.tell(asked, reply)
    }

    /// **No grant without a durable record, a right, and Space's yes; none after the deadline; none
    /// for who was withdrawn.** Fails if `act` does not wait for the audit; if `conclude` does not
    /// ask `permit` again; if `opened` grants on `Unknown`; if `Api::wake` does not expire attempts
    /// first; if `access::repeat` grants without `still_granted`.
    fn grant(
        &mut self,
        asked: &Asked,
        reply: &Reply,
        (us, unix_s): (u64, i64),
        reader: &AuditReader,
    ) -> Verdict {
        holds(us < asked.deadline_us, || {
            format!("granted {} us after the deadline", us - asked.deadline_us)
        })?;
        let none = || Broken("granted without a durable record".to_owned());
        let ticket = asked.ticket.ok_or_else(none)?;
        let attempt = self.attempts.get(&ticket).ok_or_else(none)?;
        let (sequence, repeat) = match attempt.recorded {
            Some(Recorded::New { sequence }) => (sequence, false),
            Some(Recorded::Repeat { sequence, .. }) => (sequence, true),
            Some(Recorded::Failed { .. } | Recorded::Outcome { .. }) | None => return Err(none()),
        };
        let record = self.on_disk(sequence, reader)?;
        let device = &self.devices[asked.name.0];
        let is_theirs = (record.device, record.request_id) == (device.id, asked.name.1);
        let Some(matched) = record.matched.as_ref().filter(|_| is_theirs) else {
            return Err(none());
        };
        let named = (person_tag(&matched.external_id), matched.score);
        holds((reply.person, reply.score) == named, || {
            "somebody else is named".to_owned()
        })?;
        let now = self.truth.now();
        holds(!repeat || now.people.contains_key(&matched.person), || {
            "withdrawn: a repeat grants who was withdrawn".to_owned()
        })?;
        if now.space.is_none() {
            let permit = now.permits(matched.person, device, unix_s);
            holds(permit.is_ok(), || {
                format!("no right: granted to somebody whose right is {permit:?}")
            })?;
        } else if !repeat {
            let at_space = self.space.get(&sequence).copied().unwrap_or_default();
            holds(at_space.said_yes, || {
                "granted without Space's yes".to_owned()
            })?;
        }
        if repeat {
            self.tally.note("repeats granted as their first");
            let progress = progress_of(sequence, reader);
            let was = Decision::Granted as u8;
            let granted = matches!(progress, Some(Progress::Outcome(end)) if end.decision == was);
            return holds(granted, || "a repeat grants what was not".to_owned());
        }
        let grants = self.granted.entry(sequence).or_insert(0);
        *grants += 1;
        holds(*grants == 1, || "a record grants twice".to_owned())
    }

    /// **Who is told "no" for certain stands before a closed door.** Fails if `opened` says
    /// `SpaceUnavailable` for `Unknown`; if `Gate::shut_for` returns `true` after a pass.
    fn tell(&mut self, asked: &Asked, reply: &Reply) -> Verdict {
        let attempt = asked.ticket.and_then(|ticket| self.attempts.get(&ticket));
        let Some((attempt, &Recorded::New { sequence })) =
            attempt.and_then(|attempt| Some((attempt, attempt.recorded.as_ref()?)))
        else {
            return Ok(());
        };
        let at_space = self.space.get(&sequence).copied().unwrap_or_default();
        let unknown = reply.reason == Reason::OutcomeUnknown;
        holds(attempt.looked || !unknown, || {
            "outcome unknown, and Space was never asked".to_owned()
        })?;
        let certain = reply.decision != Decision::Granted && !unknown;
        holds(!(certain && at_space.opened), || {
            format!("told {:?}, and the door is open", reply.reason)
        })?;
        if reply.decision != Decision::Refused {
            let told = (reply.decision as u8, reply.reason.code());
            self.told.insert(sequence, told);
        }
        Ok(())
    }

    /// **Answered or refused by the deadline.** Fails if `Attempts::take` does not insert into
    /// `deadlines`, or `expire_attempts` looks at one only.
    pub(super) fn is_in_time(&self, asked: &Asked, us: u64) -> Verdict {
        holds(us <= asked.deadline_us, || {
            let late = us - asked.deadline_us;
            format!("deadline: a request waits {late} us after it")
        })
    }

    /// **What the audit says in the end is what devices were told.** Fails if `act` hands no
    /// outcome to the audit, or `Writer::fail` holds none.
    pub(super) fn at_rest(&self, reader: &AuditReader) -> Verdict {
        for (sequence, told) in &self.told {
            let found = match progress_of(*sequence, reader) {
                Some(Progress::Outcome(outcome)) => (outcome.decision, outcome.reason),
                Some(Progress::Final) => {
                    let record = self.durable.get(sequence);
                    record.map_or((9, 9), |record| (record.decision, record.reason))
                }
                Some(Progress::InFlight | Progress::Interrupted) | None => (9, 9),
            };
            holds(found == *told, || {
                format!("the audit says {found:?} where the device was told {told:?}")
            })?;
        }
        Ok(())
    }

    fn device_of(&self, record: &AttemptRecord) -> Result<usize, Broken> {
        let place = self
            .devices
            .iter()
            .position(|device| device.id == record.device);
        place.ok_or_else(|| Broken("a record of no device".to_owned()))
    }

    /// A record as it is on the disk, or the promise is broken that there is one.
    fn on_disk(&self, sequence: u64, reader: &AuditReader) -> Result<AttemptRecord, Broken> {
        match reader
            .entry(sequence)
            .expect("a read")
            .map(|found| found.entry)
        {
            Some(Entry::Attempt(record, _)) => Ok(record),
            Some(Entry::Change(_)) | None => {
                Err(Broken("without a durable record on the disk".to_owned()))
            }
        }
    }
}

fn progress_of(sequence: u64, reader: &AuditReader) -> Option<Progress> {
    match reader.entry(sequence).expect("a read")?.entry {
        Entry::Attempt(_, progress) => Some(progress),
        Entry::Change(_) => None,
    }
}
