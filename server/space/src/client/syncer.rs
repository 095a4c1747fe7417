//! The thread that reads the whole site again and again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;

use super::caller::{Caller, Interrupt};
use super::shared::{Shared, lock};
use super::{Event, SyncStatus};
use crate::limits::{PAGE_TIME_MAX, SYNC_TIME_MAX};
use crate::status::Connection;
use crate::sync::{Plan, Progress, Snapshot, SyncOptions};

/// A failed sync is tried again after this time, or after the period where that is shorter.
const RETRY_WAIT: Duration = Duration::from_secs(10);

pub(super) fn run(
    shared: &Arc<Shared>,
    woken: &Receiver<()>,
    interrupt: &Interrupt,
    period: Duration,
    options: SyncOptions,
) {
    let mut wait = period;
    loop {
        let _ = woken.recv_timeout(wait);
        if shared.is_stopping() {
            return;
        }
        // While Space is away the monitor finds out when it is back, and wakes this.
        if shared.connection() != Connection::Connected {
            wait = period;
            continue;
        }
        let began = Instant::now();
        let outcome = sync(shared, interrupt, options, began + SYNC_TIME_MAX);
        if shared.is_stopping() {
            return;
        }
        wait = match outcome {
            Ok(snapshot) => {
                tracing::info!(
                    people = snapshot.people.len(),
                    doors = snapshot.doors.len(),
                    took_ms = began.elapsed().as_millis(),
                    "synced with Space"
                );
                *lock(&shared.syncs) = SyncStatus {
                    last_good_unix_s: Some(shared.now().unix_s),
                    took: Some(began.elapsed()),
                    failure: None,
                };
                (shared.notify)(Event::Synced(Arc::from(snapshot)));
                period
            }
            Err(why) => {
                tracing::warn!(why, "the sync with Space failed, what was known stays");
                shared.suspect();
                lock(&shared.syncs).failure = Some(why.clone());
                (shared.notify)(Event::SyncFailed(why));
                period.min(RETRY_WAIT)
            }
        };
    }
}

fn sync(
    shared: &Shared,
    interrupt: &Interrupt,
    options: SyncOptions,
    deadline: Instant,
) -> Result<Box<Snapshot>, String> {
    let mut caller = Caller::interruptible(interrupt);
    let mut plan = Plan::new(options);
    loop {
        let page_deadline = page_deadline(Instant::now(), deadline);
        let request = plan.request();
        let go_on = || !shared.is_stopping();
        let body = caller.call(&shared.endpoint, request, page_deadline, &go_on);
        let body = body.map_err(|error| format!("{}: {error}", request.name()))?;
        match plan.accept(&body).map_err(|error| error.to_string())? {
            Progress::More(more) => plan = *more,
            Progress::Done(snapshot) => return Ok(snapshot),
        }
    }
}

/// When a page that is asked for `now` must be there, in a sync that must be done by `whole`.
fn page_deadline(now: Instant, whole: Instant) -> Instant {
    whole.min(now + PAGE_TIME_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_its_own_time_within_that_of_the_whole() {
        let now = Instant::now();
        assert_eq!(page_deadline(now, now + SYNC_TIME_MAX), now + PAGE_TIME_MAX);
        let nearly_over = now + PAGE_TIME_MAX / 2;
        assert_eq!(page_deadline(now, nearly_over), nearly_over);
    }
}
