//! The attempts of a loop that are taken and not answered, by ticket, device and deadline.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Instant;

use cardea_wire::Reason;
use slab::Slab;

use crate::access::Attempt;
use crate::limits::{ATTEMPTS_IN_FLIGHT_MAX, ATTEMPTS_PER_DEVICE_MAX};
use crate::net::{ExchangeId, RequestTimes};
use crate::space::Gate;

/// The attempts of a loop that are taken and not answered.
pub(super) struct Attempts {
    in_flight: Slab<InFlight>,
    loop_number: u16,
    serial: u32,
    by_device: HashMap<u64, u32>,
    deadlines: Deadlines,
}

/// An attempt, and what its answer needs beside it.
pub(super) struct InFlight {
    pub(super) attempt: Attempt,
    pub(super) exchange: ExchangeId,
    /// Set by [`Attempts::take`].
    pub(super) serial: u32,
    pub(super) times: RequestTimes,
    pub(super) command_done: u32,
    /// It is answered by then, as things stood when it came.
    pub(super) deadline: Instant,
    /// While Space is to open.
    pub(super) gate: Option<Arc<Gate>>,
}

/// Deadlines by instant: a later attempt may have the earlier one, when the configured time was
/// made shorter in between.
#[derive(Default)]
struct Deadlines(BTreeSet<(Instant, u64)>);

impl Deadlines {
    fn first(&self) -> Option<Instant> {
        self.0.first().map(|(deadline, _)| *deadline)
    }

    /// Takes the ticket whose deadline passed first.
    fn due(&mut self, now: Instant) -> Option<u64> {
        let first = self.0.first().copied();
        let (_, ticket) = first
            .filter(|(deadline, _)| *deadline <= now)
            .and_then(|due| self.0.remove(&due).then_some(due))?;
        Some(ticket)
    }
}

/// The loop whose attempt a ticket names.
pub(crate) fn loop_of(ticket: u64) -> u16 {
    (ticket >> 16) as u16
}

const _: () = assert!(
    ATTEMPTS_IN_FLIGHT_MAX <= 1 << 16,
    "a ticket has 16 bits for the place"
);

impl Attempts {
    pub(super) fn new(loop_number: u16) -> Self {
        Self {
            in_flight: Slab::new(),
            loop_number,
            serial: 0,
            by_device: HashMap::new(),
            deadlines: Deadlines::default(),
        }
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.first()
    }

    pub(super) fn has_room(&self, device: u64) -> Result<(), Reason> {
        let of_device = self.by_device.get(&device).copied().unwrap_or(0);
        if of_device >= ATTEMPTS_PER_DEVICE_MAX {
            Err(Reason::DeviceBudget)
        } else if self.in_flight.len() >= ATTEMPTS_IN_FLIGHT_MAX {
            Err(Reason::Overloaded)
        } else {
            Ok(())
        }
    }

    /// Takes an attempt; its ticket never names another one of this loop.
    pub(super) fn take(&mut self, mut in_flight: InFlight) -> u64 {
        let deadline = in_flight.deadline;
        self.serial = self.serial.wrapping_add(1);
        in_flight.serial = self.serial;
        *self
            .by_device
            .entry(in_flight.attempt.device().id)
            .or_insert(0) += 1;
        let key = self.in_flight.insert(in_flight);
        let ticket = u64::from(self.serial) << 32 | u64::from(self.loop_number) << 16 | key as u64;
        self.deadlines.0.insert((deadline, ticket));
        ticket
    }

    pub(super) fn find(&mut self, ticket: u64) -> Option<&mut InFlight> {
        let (key, serial) = (ticket as u16 as usize, (ticket >> 32) as u32);
        self.in_flight
            .get_mut(key)
            .filter(|in_flight| in_flight.serial == serial)
    }

    pub(super) fn end(&mut self, ticket: u64) -> Option<InFlight> {
        self.find(ticket)?;
        let ended = self.in_flight.remove(ticket as u16 as usize);
        self.deadlines.0.remove(&(ended.deadline, ticket));
        let device = ended.attempt.device().id;
        if let Some(count) = self.by_device.get_mut(&device) {
            *count -= 1;
            if *count == 0 {
                self.by_device.remove(&device);
            }
        }
        Some(ended)
    }

    /// Takes the next attempt whose deadline has passed.
    pub(super) fn due(&mut self, now: Instant) -> Option<u64> {
        self.deadlines.due(now)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Attempts taken after the time was made shorter once waited for those before them. Fails if
    /// deadlines are kept in the order in which attempts came.
    #[test]
    fn a_later_attempt_may_be_due_first() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut deadlines = Deadlines::default();
        deadlines
            .0
            .extend([(at(1_800), 1), (at(300), 2), (at(300), 3)]);
        assert_eq!(deadlines.first(), Some(at(300)));
        assert_eq!(deadlines.due(at(299)), None);
        let due: Vec<_> = std::iter::from_fn(|| deadlines.due(at(400))).collect();
        assert_eq!(due, [2, 3]);
        assert_eq!(deadlines.due(at(1_800)), Some(1));
        assert_eq!(deadlines.first(), None);
    }
}
