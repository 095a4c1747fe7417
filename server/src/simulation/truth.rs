//! What is true: who is enrolled, with which rights, as of every moment. Kept beside the server
//! and without its code, but for the engine's exhaustive search, which is the oracle.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use cardea_engine::oracle::exhaustive;
use cardea_engine::{CandidateList, Embedding, Row, Threshold};
use cardea_wire::{Decision, Reason};

use super::site::{SiteDevice, THRESHOLD};
use crate::audit::Matched;

/// Somebody who is enrolled.
#[derive(Clone)]
pub(super) struct Enrolled {
    pub(super) external_id: String,
    pub(super) rows: Arc<Vec<Row>>,
    pub(super) every_door: bool,
    pub(super) doors: BTreeSet<u64>,
}

/// What Space says of a person.
#[derive(Clone, Default, PartialEq)]
pub(super) struct SpacePerson {
    pub(super) banned: bool,
    /// No right from then on, Unix seconds.
    pub(super) expires_unix_s: Option<i64>,
    pub(super) doors: BTreeSet<&'static str>,
}

/// What the server knows of Space.
#[derive(Clone, Default)]
pub(super) struct KnownOfSpace {
    /// Space's clock was seen.
    pub(super) has_clock: bool,
    /// As of the last sync.
    pub(super) people: Option<Arc<BTreeMap<String, SpacePerson>>>,
}

/// What is so at one moment.
#[derive(Clone, Default)]
pub(super) struct State {
    /// By the store's number.
    pub(super) people: BTreeMap<u64, Enrolled>,
    /// None where the store's own rights decide.
    pub(super) space: Option<KnownOfSpace>,
}

/// All that was ever so, by when it began, microseconds of the simulated clock.
pub(super) struct Truth(Vec<(u64, State)>);

impl Truth {
    pub(super) fn new(state: State) -> Self {
        Self(vec![(0, state)])
    }

    pub(super) fn now(&self) -> &State {
        &self.0.last().expect("a beginning").1
    }

    pub(super) fn at(&self, us: u64) -> &State {
        let later = self.0.partition_point(|(since, _)| *since <= us);
        &self.0[later.max(1) - 1].1
    }

    pub(super) fn change(&mut self, us: u64, change: impl FnOnce(&mut State)) {
        let mut state = self.now().clone();
        change(&mut state);
        self.0.push((us, state));
    }
}

impl State {
    /// Everybody at or above the threshold, by the exhaustive search.
    pub(super) fn candidates(&self, probe: &Embedding) -> CandidateList {
        let mut rows: Vec<Row> = self
            .people
            .values()
            .flat_map(|person| person.rows.iter().cloned())
            .collect();
        rows.sort_unstable_by_key(|row| row.reference);
        let threshold = Threshold::new(THRESHOLD).expect("a score");
        exhaustive(&rows, std::slice::from_ref(probe), threshold)
            .pop()
            .expect("one probe, one list")
    }

    /// May the person pass the device's door?
    pub(super) fn permits(
        &self,
        person: u64,
        device: &SiteDevice,
        unix_s: i64,
    ) -> Result<(), Reason> {
        let person = self.people.get(&person).ok_or(Reason::Withdrawn)?;
        let Some(space) = &self.space else {
            let has = person.every_door || person.doors.contains(&device.door);
            return if has { Ok(()) } else { Err(Reason::NoRight) };
        };
        let people = space.people.as_ref().ok_or(Reason::SpaceUnavailable)?;
        if !space.has_clock {
            return Err(Reason::SpaceUnavailable);
        }
        let door = device.space_door.ok_or(Reason::DoorNotInSpace)?;
        let person = people.get(&person.external_id).ok_or(Reason::NotInSpace)?;
        if person.banned {
            return Err(Reason::Banned);
        }
        if person.expires_unix_s.is_some_and(|end| end <= unix_s) {
            return Err(Reason::Expired);
        }
        if person.doors.contains(door) {
            Ok(())
        } else {
            Err(Reason::NoRight)
        }
    }
}

/// What must be recorded.
#[derive(Debug, PartialEq)]
pub(super) struct DueRecord {
    pub(super) decision: u8,
    pub(super) reason: u16,
    pub(super) matched: Option<Matched>,
    pub(super) is_final: bool,
}

impl DueRecord {
    pub(super) fn denied(reason: Reason, matched: Option<Matched>) -> Self {
        Self {
            decision: Decision::Denied as u8,
            reason: reason.code(),
            matched,
            is_final: true,
        }
    }

    /// A probe that was searched while `searched` was so, and decided on while `decided` was.
    pub(super) fn of(
        probe: &Embedding,
        searched: &State,
        decided: &State,
        device: &SiteDevice,
        unix_s: i64,
    ) -> Self {
        let candidates = searched.candidates(probe);
        let in_force = |person| decided.people.get(&person);
        let best = candidates.as_slice().iter().find_map(|candidate| {
            let person = in_force(candidate.person.0)?;
            Some(Matched {
                person: candidate.person.0,
                external_id: person.external_id.as_str().into(),
                score: candidate.score,
            })
        });
        let Some(matched) = best else {
            return Self::denied(Reason::NoMatch, None);
        };
        match decided.permits(matched.person, device, unix_s) {
            Ok(()) => Self {
                decision: Decision::Granted as u8,
                reason: 0,
                matched: Some(matched),
                is_final: false,
            },
            Err(reason) => Self::denied(reason, Some(matched)),
        }
    }
}
