//! Every bound is reached and not passed, and what lies past it fails closed.

use crossbeam_channel::{bounded, unbounded};

use super::fixture::{Fixture, NOW_US, attempt, no_match};
use crate::audit::{AuditFilter, Outcome, Recorded};
use crate::limits::{
    AUDIT_LOOK_BACK_ROWS, AUDIT_OUTCOME_ROOM, AUDIT_QUEUE_MAX, AUDIT_REPEAT_WINDOW_US,
    AUDIT_SCAN_ROWS_MAX, PAGE_ROWS_MAX,
};
use crate::store::StoreError;

const OUTCOME: Outcome = Outcome {
    decision: 1,
    reason: 0,
    at_unix_us: NOW_US,
};

#[test]
fn a_full_queue_refuses_attempts_at_once_and_still_takes_outcomes() {
    let fixture = Fixture::new();
    // A receiver that blocks holds the audit's thread, so that everything waits.
    let (inside, is_inside) = unbounded();
    let (open, gate) = bounded::<()>(0);
    let slow = fixture.audit.handle(
        move |_| {
            let _ = inside.send(());
            let _ = gate.recv();
        },
        || {},
    );
    slow.begin(attempt(9, 9), 0).expect("room");
    is_inside.recv().expect("the thread is held");

    for name in 0..AUDIT_QUEUE_MAX as u64 {
        fixture.handle.begin(attempt(1, name), name).expect("room");
    }
    assert_eq!(
        fixture.handle.begin(attempt(2, 1), 0),
        Err(StoreError::Refused)
    );
    assert_eq!(fixture.handle.prune(0), Err(StoreError::Refused));
    for sequence in 0..AUDIT_OUTCOME_ROOM as u64 {
        fixture
            .handle
            .outcome(1 + sequence, OUTCOME, Some(sequence))
            .expect("room");
    }
    assert_eq!(
        fixture.handle.outcome(1, OUTCOME, None),
        Err(StoreError::Refused)
    );
    assert_eq!(
        fixture.handle.waiting(),
        AUDIT_QUEUE_MAX + AUDIT_OUTCOME_ROOM
    );

    drop(open);
    for _ in 0..AUDIT_QUEUE_MAX + AUDIT_OUTCOME_ROOM {
        let recorded = fixture.completions.recv().expect("completion").recorded;
        assert!(matches!(
            recorded,
            Recorded::New { .. } | Recorded::Outcome { .. }
        ));
    }
}

#[test]
fn each_receiver_is_woken_once_for_a_commit() {
    let fixture = Fixture::new();
    let (inside, is_inside) = unbounded();
    let (open, gate) = bounded::<()>(0);
    let slow = fixture.audit.handle(
        move |_| {
            let _ = inside.send(());
            let _ = gate.recv();
        },
        || {},
    );
    slow.begin(attempt(9, 9), 0).expect("room");
    is_inside.recv().expect("the thread is held");
    let (woken, wakes) = unbounded();
    let handle = fixture.audit.handle(
        |_| {},
        move || {
            let _ = woken.send(());
        },
    );
    for name in 0..100 {
        handle.begin(attempt(1, name), name).expect("room");
    }
    drop(open);
    wakes.recv().expect("woken");
    // What follows is in a later commit: all wakes of the first one are there by then.
    fixture.begin(attempt(2, 1));
    assert_eq!(wakes.len(), 0, "one wake for a hundred records");
}

#[test]
fn past_the_memory_for_request_ids_nothing_is_recorded_so_nothing_opens() {
    let fixture = Fixture::with_repeats_max(3);
    for name in 0..3 {
        assert!(matches!(
            fixture.begin(no_match(1, name)),
            Recorded::New { .. }
        ));
    }
    let refused = Recorded::Failed {
        why: StoreError::Refused,
    };
    assert_eq!(fixture.begin(no_match(1, 3)), refused);
    assert!(matches!(
        fixture.begin(no_match(1, 0)),
        Recorded::Repeat { .. }
    ));
    let mut later = no_match(1, 4);
    later.at_unix_us += AUDIT_REPEAT_WINDOW_US + 1;
    assert_eq!(fixture.begin(later), Recorded::New { sequence: 4 });
}

#[test]
fn a_clock_that_stepped_back_hides_no_recent_attempt_at_the_next_start() {
    let fixture = Fixture::new();
    let recent = attempt(1, 1);
    fixture.begin(recent.clone());
    let stepped = |fixture: &Fixture, names: std::ops::Range<u64>| {
        for name in names {
            let mut old = no_match(2, name);
            old.at_unix_us -= 2 * AUDIT_REPEAT_WINDOW_US;
            fixture.begin(old);
        }
    };
    let rows = AUDIT_LOOK_BACK_ROWS as u64;
    stepped(&fixture, 0..rows - 1);
    let fixture = fixture.reopened(NOW_US);
    assert!(matches!(
        fixture.begin(recent.clone()),
        Recorded::Repeat { .. }
    ));
    stepped(&fixture, rows - 1..rows);
    let fixture = fixture.reopened(NOW_US);
    assert!(
        matches!(fixture.begin(recent), Recorded::New { .. }),
        "as far back as is looked"
    );
}

#[test]
fn a_page_looks_at_so_many_records_and_goes_on() {
    let fixture = Fixture::new();
    let count = AUDIT_SCAN_ROWS_MAX as u64 + 10;
    fixture.begin(attempt(7, 1));
    for name in 1..count {
        fixture.handle.begin(no_match(1, name), name).expect("room");
        if name % 10_000 == 0 {
            fixture.completions.iter().take(10_000).for_each(drop);
        }
    }
    fixture.begin(no_match(8, 1));
    let reader = fixture.reader();
    let of_device = AuditFilter {
        device: Some(7),
        ..AuditFilter::default()
    };
    let page = reader.page(of_device, None, 10).expect("page");
    assert_eq!((page.entries.len(), page.next.is_some()), (0, true));
    let page = reader.page(of_device, page.next, 10).expect("page");
    assert_eq!((page.entries.len(), page.next), (1, None));
    assert_eq!(
        reader.tail(usize::MAX, None).expect("tail").len(),
        PAGE_ROWS_MAX
    );
    assert_eq!(
        reader.since(0, usize::MAX).expect("read").len(),
        PAGE_ROWS_MAX
    );
}
