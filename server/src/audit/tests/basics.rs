//! Records, repeats, outcomes, pages and pruning.

use super::fixture::{Fixture, NOW_US, attempt, no_match};
use crate::audit::{AdministrativeChange, Answer, AuditFilter, Entry, Outcome, Progress, Recorded};
use crate::limits::{AUDIT_PRUNE_ROWS, AUDIT_REPEAT_WINDOW_US, AUDIT_TEXT_BYTES_MAX};

fn decided(decision: u8, reason: u16, record: &crate::audit::AttemptRecord) -> Answer {
    Answer::Decided {
        decision,
        reason,
        matched: record.matched.clone(),
    }
}

#[test]
fn a_repeat_gets_the_first_ones_answer_also_after_a_restart() {
    let fixture = Fixture::new();
    let (denied, granted, cut_off) = (no_match(1, 1), attempt(1, 2), attempt(2, 2));
    assert_eq!(fixture.begin(denied.clone()), Recorded::New { sequence: 1 });
    assert_eq!(
        fixture.begin(granted.clone()),
        Recorded::New { sequence: 2 }
    );
    assert_eq!(
        fixture.begin(cut_off.clone()),
        Recorded::New { sequence: 3 }
    );
    let repeat = |sequence, answer| Recorded::Repeat { sequence, answer };
    assert_eq!(
        fixture.begin(denied.clone()),
        repeat(1, decided(0, 100, &denied))
    );
    assert_eq!(fixture.begin(granted.clone()), repeat(2, Answer::InFlight));
    fixture.outcome(2, 0, 113);
    assert_eq!(
        fixture.begin(granted.clone()),
        repeat(2, decided(0, 113, &granted))
    );
    fixture.outcome(2, 1, 0);
    assert_eq!(
        fixture.begin(granted.clone()),
        repeat(2, decided(0, 113, &granted))
    );

    let fixture = fixture.reopened(NOW_US + AUDIT_REPEAT_WINDOW_US);
    assert_eq!(
        fixture.begin(denied.clone()),
        repeat(1, decided(0, 100, &denied))
    );
    assert_eq!(
        fixture.begin(granted.clone()),
        repeat(2, decided(0, 113, &granted))
    );
    assert_eq!(
        fixture.begin(cut_off.clone()),
        repeat(3, Answer::Interrupted)
    );

    let fixture = fixture.reopened(NOW_US + AUDIT_REPEAT_WINDOW_US + 1);
    assert_eq!(fixture.begin(denied), Recorded::New { sequence: 4 });
}

#[test]
fn what_is_read_is_what_was_recorded() {
    let fixture = Fixture::new();
    let reader = fixture.reader();
    let (granted, denied) = (attempt(1, 1), no_match(2, 1));
    fixture.begin(granted.clone());
    fixture.begin(denied.clone());
    let change = AdministrativeChange {
        at_unix_us: NOW_US,
        actor: "root".into(),
        action: "door.add".into(),
        subject: "é".repeat(AUDIT_TEXT_BYTES_MAX),
    };
    fixture.handle.change(change, 7).expect("room");
    let done = fixture.completions.recv().expect("completion");
    assert_eq!(
        (done.ticket, done.recorded),
        (7, Recorded::New { sequence: 3 })
    );

    let entries = reader.tail(10, None).expect("tail");
    assert_eq!(entries.len(), 3);
    assert_eq!(
        entries[0].entry,
        Entry::Attempt(granted.clone(), Progress::InFlight)
    );
    assert_eq!(entries[1].entry, Entry::Attempt(denied, Progress::Final));
    let Entry::Change(change) = &entries[2].entry else {
        panic!("a change");
    };
    assert_eq!(change.subject.len(), AUDIT_TEXT_BYTES_MAX);
    fixture.outcome(1, 1, 0);
    let outcome = Outcome {
        decision: 1,
        reason: 0,
        at_unix_us: NOW_US + 5,
    };
    let first = reader.entry(1).expect("read").expect("there");
    assert_eq!(
        first.entry,
        Entry::Attempt(granted, Progress::Outcome(outcome))
    );
    assert_eq!(reader.since(1, 1).expect("read")[0].sequence, 2);
    reader.check().expect("sound");
}

#[test]
fn pages_go_back_and_filter() {
    let fixture = Fixture::new();
    for name in 0..10 {
        fixture.begin(no_match(name % 2, name));
    }
    fixture.begin(attempt(5, 1));
    let reader = fixture.reader();
    let of_device = AuditFilter {
        device: Some(1),
        ..AuditFilter::default()
    };
    let mut found = Vec::new();
    let mut before = None;
    loop {
        let page = reader.page(of_device, before, 2).expect("page");
        found.extend(page.entries.iter().map(|entry| entry.sequence));
        before = page.next;
        if before.is_none() {
            break;
        }
    }
    assert_eq!(found, [10, 8, 6, 4, 2]);
    let of_person = AuditFilter {
        person: Some(9),
        ..AuditFilter::default()
    };
    let page = reader.page(of_person, None, 10).expect("page");
    assert_eq!(page.entries.len(), 1);
    let changes = AuditFilter {
        changes_only: true,
        ..AuditFilter::default()
    };
    assert_eq!(reader.page(changes, None, 10).expect("page").entries, []);
}

#[test]
fn old_records_are_pruned_and_numbers_go_on() {
    let fixture = Fixture::new();
    let count = AUDIT_PRUNE_ROWS as u64 * 2 + 10;
    for name in 0..count {
        fixture.handle.begin(attempt(1, name), name).expect("room");
    }
    for _ in 0..count {
        fixture.completions.recv().expect("completion");
    }
    fixture.outcome(1, 1, 0);
    fixture.handle.prune(NOW_US + 1).expect("room");
    // Dropping the audit does not wait for pruning: a record that is new shows that it is over,
    // since pruning goes on whenever nothing waits.
    let reader = fixture.reader();
    let mut name = count;
    while reader.entry(count - 1).expect("read").is_some() {
        let mut record = attempt(1, name);
        record.at_unix_us = NOW_US + 2;
        fixture.begin(record);
        name += 1;
    }
    assert_eq!(reader.entry(1), Ok(None));
    let sequence = name + 1;
    let fixture = fixture.reopened(NOW_US);
    assert_eq!(fixture.begin(attempt(3, 1)), Recorded::New { sequence });
}
