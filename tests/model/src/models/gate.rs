//! Nothing goes out to Space after the device was told that it will not.

use std::sync::Arc;

use cardea_wire::Reason;
use shuttle::sync::atomic::{AtomicBool, Ordering};
use shuttle::thread;

use crate::gate::Gate;

/// A connection looks twice, a device's time runs out, and a person is withdrawn, all at once.
/// Fails if `Gate::pass` stores `PASSED` instead of exchanging it for `WAITING`, if it says `true`
/// whatever was there, or if `Gate::shut_for` says `true` after a pass.
pub fn run(count: usize) -> usize {
    super::schedules(count, || {
        let gate = Arc::new(Gate::default());
        let withdrawn = Arc::new(AtomicBool::new(false));
        let acknowledged = Arc::new(AtomicBool::new(false));
        let (looks, at, told) = (gate.clone(), withdrawn.clone(), acknowledged.clone());
        let connection = thread::spawn(move || {
            let permit = || match at.load(Ordering::SeqCst) {
                false => Ok(()),
                true => Err(Reason::Withdrawn),
            };
            // The first connection may turn out to be closed: then it looks again.
            let _ = looks.pass(permit);
            let too_late = told.load(Ordering::SeqCst);
            let sent = looks.pass(permit);
            assert!(!(sent && too_late), "sent for who was withdrawn before");
            sent
        });
        let writer = thread::spawn(move || {
            withdrawn.store(true, Ordering::SeqCst);
            acknowledged.store(true, Ordering::SeqCst);
        });
        let will_not_open = gate.shut_for(Reason::SpaceUnavailable);
        let why = gate.why_shut();
        let sent = connection.join().expect("it ends well");
        writer.join().expect("it ends well");
        assert!(!(will_not_open && sent), "sent after the device was told");
        assert!(
            !will_not_open || why.is_some(),
            "it will not open, and nobody knows why"
        );
    })
}
