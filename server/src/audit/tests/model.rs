//! The audit against a model of maps, through restarts and as time goes by.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::fixture::{Fixture, NOW_US, attempt, no_match};
use crate::audit::{
    AdministrativeChange, Answer, AttemptRecord, AuditEntry, Entry, Outcome, Progress, Recorded,
};
use crate::limits::AUDIT_REPEAT_WINDOW_US;

#[derive(Debug, Clone)]
enum Operation {
    Begin(u64, u64, bool),
    Outcome(usize, u8),
    Change,
    Wait(i64),
    Reopen,
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        6 => (0_u64..3, 0_u64..6, any::<bool>())
            .prop_map(|(device, name, last)| Operation::Begin(device, name, last)),
        3 => (any::<usize>(), 0_u8..2)
            .prop_map(|(which, decision)| Operation::Outcome(which, decision)),
        1 => Just(Operation::Change),
        2 => (0..AUDIT_REPEAT_WINDOW_US).prop_map(Operation::Wait),
        1 => Just(Operation::Reopen),
    ]
}

#[derive(Default)]
struct Model {
    now_us: i64,
    /// The latest record of each name.
    latest: BTreeMap<(u64, u64), u64>,
    entries: BTreeMap<u64, Entry>,
    /// Begun since the last start and without an outcome.
    in_flight: Vec<u64>,
}

impl Model {
    fn next(&self) -> u64 {
        1 + self.entries.len() as u64
    }

    fn begin(&mut self, device: u64, name: u64, last: bool) -> (AttemptRecord, Recorded) {
        let mut record = if last {
            no_match(device, name)
        } else {
            attempt(device, name)
        };
        record.at_unix_us = NOW_US + self.now_us;
        let sequence = self.next();
        let first = self
            .latest
            .get(&(device, name))
            .map(|first| (*first, &self.entries[first]));
        if let Some((sequence, entry)) = first
            && at_us(entry) + AUDIT_REPEAT_WINDOW_US >= record.at_unix_us
        {
            let answer = entry.answer().expect("an attempt");
            return (record, Recorded::Repeat { sequence, answer });
        }
        self.latest.insert((device, name), sequence);
        let progress = if last {
            Progress::Final
        } else {
            Progress::InFlight
        };
        if !last {
            self.in_flight.push(sequence);
        }
        self.entries
            .insert(sequence, Entry::Attempt(record.clone(), progress));
        (record, Recorded::New { sequence })
    }

    fn outcome(&mut self, sequence: u64, decision: u8) {
        let outcome = Outcome {
            decision,
            reason: 0,
            at_unix_us: NOW_US + 5,
        };
        if let Some(Entry::Attempt(_, progress)) = self.entries.get_mut(&sequence) {
            *progress = Progress::Outcome(outcome);
        }
    }

    fn restart(&mut self) {
        self.in_flight.clear();
        for entry in self.entries.values_mut() {
            if let Entry::Attempt(_, progress @ Progress::InFlight) = entry {
                *progress = Progress::Interrupted;
            }
        }
    }
}

fn at_us(entry: &Entry) -> i64 {
    match entry {
        Entry::Attempt(record, _) => record.at_unix_us,
        Entry::Change(change) => change.at_unix_us,
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 60,
        failure_persistence: None,
        ..Default::default()
    })]

    #[test]
    fn the_audit_agrees_with_the_model(
        operations in proptest::collection::vec(operation(), 1..60)
    ) {
        let mut fixture = Fixture::new();
        let mut model = Model::default();
        for operation in operations {
            match operation {
                Operation::Begin(device, name, last) => {
                    let (record, expected) = model.begin(device, name, last);
                    prop_assert_eq!(fixture.begin(record), expected);
                }
                Operation::Outcome(which, decision) => {
                    if model.in_flight.is_empty() {
                        continue;
                    }
                    let place = which % model.in_flight.len();
                    let sequence = model.in_flight.swap_remove(place);
                    fixture.outcome(sequence, decision, 0);
                    model.outcome(sequence, decision);
                }
                Operation::Change => {
                    let change = AdministrativeChange {
                        at_unix_us: NOW_US + model.now_us,
                        actor: "root".into(),
                        action: "door.add".into(),
                        subject: "1".into(),
                    };
                    fixture.handle.change(change.clone(), 0).expect("room");
                    let sequence = model.next();
                    let recorded = fixture.completions.recv().expect("completion").recorded;
                    prop_assert_eq!(recorded, Recorded::New { sequence });
                    model.entries.insert(sequence, Entry::Change(change));
                }
                Operation::Wait(us) => model.now_us += us,
                Operation::Reopen => {
                    fixture = fixture.reopened(NOW_US + model.now_us);
                    model.restart();
                }
            }
        }
        let found = fixture.reader().tail(1_000, None).expect("tail");
        let entry = |(sequence, entry)| AuditEntry { sequence, entry };
        let expected: Vec<_> = model.entries.into_iter().map(entry).collect();
        prop_assert_eq!(found, expected);
    }
}

#[test]
fn answers_follow_from_entries() {
    let decided = Entry::Attempt(no_match(1, 1), Progress::Final).answer();
    assert!(matches!(decided, Some(Answer::Decided { reason: 100, .. })));
    let cut_off = Entry::Attempt(attempt(1, 1), Progress::Interrupted).answer();
    assert_eq!(cut_off, Some(Answer::Interrupted));
}
