//! The attempts of a loop that are taken and not answered, by ticket, device and deadline.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use cardea_wire::Reason;
use slab::Slab;

use crate::access::Attempt;
use crate::limits::{ATTEMPTS_IN_FLIGHT_MAX, ATTEMPTS_PER_DEVICE_MAX};
use crate::net::{ExchangeId, RequestTimes};
use crate::space::Gate;

/// Attempts for which a loop has its tables ready from the start: to grow is to copy, in a burst.
pub(super) const ATTEMPTS_WARM: usize = 1_024;

/// The attempts of a loop that are taken and not answered.
pub(super) struct Attempts {
    in_flight: Slab<InFlight>,
    loop_number: u16,
    serial: u32,
    loads: DeviceLoads,
    /// Of the devices that this loop has seen, so that it asks for each once.
    by_device: HashMap<u64, Arc<AtomicU32>>,
    deadlines: Deadlines,
}

/// How many attempts each device has in flight, over all loops that have a clone of this: one
/// number for each device seen since the start.
#[derive(Clone, Default)]
pub struct DeviceLoads(Arc<Mutex<HashMap<u64, Arc<AtomicU32>>>>);

impl DeviceLoads {
    fn of(&self, device: u64) -> Arc<AtomicU32> {
        let mut loads = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(loads.entry(device).or_default())
    }
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
    pub(super) fn new(loop_number: u16, loads: DeviceLoads) -> Self {
        Self {
            in_flight: Slab::with_capacity(ATTEMPTS_WARM),
            loop_number,
            serial: 0,
            loads,
            by_device: HashMap::with_capacity(ATTEMPTS_WARM),
            deadlines: Deadlines::default(),
        }
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.first()
    }

    /// Counts one more attempt of a device, which is to be taken next.
    pub(super) fn admit(&mut self, device: u64) -> Result<(), Reason> {
        let new = || self.loads.of(device);
        let load = self.by_device.entry(device).or_insert_with(new);
        let one_more = |now: u32| (now < ATTEMPTS_PER_DEVICE_MAX).then_some(now + 1);
        if load.fetch_update(Relaxed, Relaxed, one_more).is_err() {
            return Err(Reason::DeviceBudget);
        }
        if self.in_flight.len() >= ATTEMPTS_IN_FLIGHT_MAX {
            load.fetch_sub(1, Relaxed);
            return Err(Reason::Overloaded);
        }
        Ok(())
    }

    /// Takes an attempt that was admitted; its ticket never names another one of this loop.
    pub(super) fn take(&mut self, mut in_flight: InFlight) -> u64 {
        let deadline = in_flight.deadline;
        self.serial = self.serial.wrapping_add(1);
        in_flight.serial = self.serial;
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
        if let Some(load) = self.by_device.get(&device) {
            load.fetch_sub(1, Relaxed);
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

    /// Fails if a loop counts a device's attempts by itself, or does not give one back.
    #[test]
    fn a_device_has_its_attempts_over_all_loops() {
        let loads = DeviceLoads::default();
        let mut loops = [0, 1].map(|number| Attempts::new(number, loads.clone()));
        for turn in 0..ATTEMPTS_PER_DEVICE_MAX as usize {
            assert_eq!(loops[turn % 2].admit(7), Ok(()));
        }
        for attempts in &mut loops {
            assert_eq!(attempts.admit(7), Err(Reason::DeviceBudget));
            assert_eq!(attempts.admit(8), Ok(()));
        }
    }

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
