//! A client without threads: what they would do is done step by step by whoever has this, with
//! the time as an argument. It is there for simulations that repeat from a seed.

use std::sync::Arc;
use std::time::Instant;

use crossbeam_channel::Receiver;

use super::opener::{self, Job, OpenRequest, Outcome};
use super::shared::Shared;
use super::{ClientConfig, Event, Notify, SpaceClient, StartError};
use crate::status::{Now, Probe};
use crate::transport::CallError;

/// The steps of a client's threads.
pub struct Driven {
    shared: Arc<Shared>,
    jobs: Receiver<Job>,
}

/// An open that a connection has taken on.
pub struct Opening {
    job: Job,
    began: Instant,
}

impl SpaceClient {
    /// A client whose threads do not run: the second value does their work. Nothing is sent
    /// anywhere.
    ///
    /// # Errors
    /// [`StartError::Config`].
    pub fn driven(config: ClientConfig, notify: Arc<Notify>) -> Result<(Self, Driven), StartError> {
        let prepared = Self::prepare(config, notify)?;
        let shared = Arc::clone(&prepared.client.shared);
        let jobs = prepared.jobs;
        Ok((prepared.client, Driven { shared, jobs }))
    }
}

impl Driven {
    /// The monitor's share: a probe has ended so.
    pub fn probed(&self, probe: Probe, now: Now) {
        if let Some(status) = self.shared.probed(probe, now) {
            (self.shared.notify)(Event::StatusChanged(status));
        }
    }

    /// A connection's share: takes the next open that is of any use; others end here.
    pub fn take(&self, now: Instant) -> Option<Opening> {
        for job in self.jobs.try_iter() {
            match opener::begin(&self.shared, &job.request, now) {
                Ok(()) => return Some(Opening { job, began: now }),
                Err(outcome) => opener::report(&self.shared, &job, outcome, now, now),
            }
        }
        None
    }

    /// The last look, immediately before the first byte. May be asked again while nothing was sent.
    #[must_use]
    pub fn may_send(&self, opening: &Opening, now: Instant) -> bool {
        opener::may_send(&opening.job.request, now)
    }

    /// The call has ended so.
    pub fn end(&self, opening: &Opening, answer: Result<Vec<u8>, CallError>, now: Instant) {
        let outcome: Outcome = opener::end(&self.shared, &opening.job.request, answer, now);
        opener::report(&self.shared, &opening.job, outcome, opening.began, now);
    }
}

impl Opening {
    /// What was asked for.
    #[must_use]
    pub fn request(&self) -> &OpenRequest {
        &self.job.request
    }
}
