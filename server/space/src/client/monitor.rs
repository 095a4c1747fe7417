//! The thread that asks `GetInfo`, and so knows the status.

use std::sync::Arc;
use std::time::Instant;

use crossbeam_channel::Receiver;

use super::Event;
use super::caller::{Caller, Interrupt};
use super::shared::{Shared, wake};
use crate::limits::PROBE_TIME_MAX;
use crate::status::{Connection, Probe};

pub(super) fn run(shared: &Arc<Shared>, woken: &Receiver<()>, interrupt: &Interrupt) {
    let mut caller = Caller::interruptible(interrupt);
    loop {
        wait(shared, woken);
        if shared.is_stopping() {
            return;
        }
        shared.endpoint.resolve();
        let outcome = probe(shared, &mut caller);
        if shared.is_stopping() {
            return;
        }
        if let Some(status) = shared.probed(outcome, shared.now()) {
            tracing::info!(
                status = %status.connection, why = status.why, "the status of Space changed"
            );
            if status.connection == Connection::Connected {
                wake(&shared.wake_syncer);
            }
            (shared.notify)(Event::StatusChanged(status));
        }
    }
}

/// Until the next probe is due, or the client stops.
fn wait(shared: &Shared, woken: &Receiver<()>) {
    loop {
        let due = shared.watch().next_probe();
        let left = due.saturating_sub(shared.started.elapsed());
        // Whatever wakes this, the loop looks whether a probe is due now.
        if left.is_zero() || shared.is_stopping() {
            return;
        }
        let _ = woken.recv_timeout(left);
    }
}

fn probe(shared: &Shared, caller: &mut Caller) -> Probe {
    let (deadline, go_on) = (Instant::now() + PROBE_TIME_MAX, || !shared.is_stopping());
    let unix_s = || shared.now().unix_s;
    super::probe::ask(&shared.endpoint, caller, deadline, &go_on, &unix_s)
}
