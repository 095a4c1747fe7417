//! Nothing goes out to Space after the device was told that it will not.

use std::sync::Arc;

use cardea_wire::Reason;
use shuttle::sync::atomic::{AtomicBool, Ordering};
use shuttle::thread;

use crate::gate::Gate;

/// A connection looks once, or again because its first one turned out to be closed, while a
/// device's time runs out and a person is withdrawn. Fails if `Gate::pass` stores `PASSED` instead
/// of exchanging it for `WAITING`, if it says `true` whatever was there, or if `Gate::shut_for`
/// says `true` after a pass.
pub fn run(count: usize) -> usize {
    looks(1, count / 2) + looks(2, count / 2)
}

fn looks(times: u32, count: usize) -> usize {
    super::schedules(count, move || {
        let gate = Arc::new(Gate::default());
        let withdrawn = Arc::new(AtomicBool::new(false));
        let acknowledged = Arc::new(AtomicBool::new(false));
        let (looks, at, told) = (
            Arc::clone(&gate),
            Arc::clone(&withdrawn),
            Arc::clone(&acknowledged),
        );
        let connection = thread::spawn(move || {
            let permit = || match at.load(Ordering::SeqCst) {
                false => Ok(()),
                true => Err(Reason::Withdrawn),
            };
            // Who is told no does not ask again.
            (0..times).all(|_| {
                let too_late = told.load(Ordering::SeqCst);
                let may_send = looks.pass(permit);
                assert!(!(may_send && too_late), "sent for who was withdrawn before");
                may_send
            })
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
            "nobody knows why it is shut"
        );
    })
}
