//! What a seed is like: which faults there are, and how often.

use super::chance::Chance;
use super::server::LOOPS;
use super::world::{Event, MS, SECOND};

pub(super) struct Mood {
    /// Space decides, and opens.
    pub(super) with_space: bool,
    pub(super) requests: u64,
    pub(super) changes: u64,
    /// Within which all of that begins, microseconds.
    pub(super) lasts_us: u64,
    // Times in a hundred.
    pub(super) slow_search: u64,
    pub(super) slow_disk: u64,
    pub(super) slow_space: u64,
    pub(super) odd_space: u64,
    pub(super) lost_reply: u64,
    pub(super) impatient: u64,
    pub(super) repeats: u64,
    pub(super) odd_request: u64,
    // How often in all.
    crashes: u64,
    disk_full: u64,
    poison: u64,
    stalls: u64,
    steps: u64,
    /// The audit's thread has a batch in hand, or is about to.
    pub(super) audit_busy: bool,
}

impl Mood {
    /// By how much calendars step in all, microseconds.
    pub(super) const STEPS_US_MAX: i64 = 600_000_000;

    pub(super) fn new(chance: &mut Chance) -> Self {
        let often = |chance: &mut Chance| *chance.one(&[0, 0, 0, 5, 15, 40]);
        let times = |chance: &mut Chance| *chance.one(&[0, 0, 0, 1, 2]);
        Self {
            with_space: chance.percent(70),
            requests: chance.within(4, 24),
            changes: chance.within(0, 14),
            lasts_us: chance.within(50 * MS, 5 * SECOND),
            slow_search: often(chance),
            slow_disk: often(chance),
            slow_space: often(chance),
            odd_space: often(chance),
            lost_reply: often(chance),
            impatient: often(chance),
            repeats: often(chance),
            odd_request: often(chance) / 4,
            crashes: times(chance),
            disk_full: times(chance),
            poison: times(chance) / 2,
            stalls: times(chance),
            steps: times(chance),
            audit_busy: false,
        }
    }

    /// Faults that come at any moment.
    pub(super) fn faults(&self, chance: &mut Chance) -> Vec<Event> {
        let mut faults = Vec::new();
        let mut add = |times: u64, event: &mut dyn FnMut() -> Event| {
            (0..times).for_each(|_| faults.push(event()));
        };
        add(self.crashes, &mut || Event::Crash);
        add(self.disk_full, &mut || Event::Disk(true));
        add(self.poison, &mut || Event::Poison);
        add(self.stalls, &mut || {
            let at = chance.below(LOOPS as u64) as usize;
            Event::Stall(at, chance.within(MS, 2_500 * MS))
        });
        // At most two steps: together they stay within the bound.
        add(self.steps, &mut || {
            let by_us = chance.below(Self::STEPS_US_MAX.unsigned_abs()) as i64;
            Event::Step(by_us - Self::STEPS_US_MAX / 2)
        });
        faults
    }
}
