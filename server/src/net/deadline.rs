//! What is due when.
//!
//! A connection's deadline changes several times with each request, nearly always to a later time,
//! and nearly never comes. So the heap is not told of later times: an entry that comes up early
//! is put back. Far deadlines are looked at once in a horizon, so that a connection that switches
//! between near and far ones leaves few dead entries behind.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Instant;

use super::Key;
use crate::limits::DEADLINE_HORIZON;

/// The deadlines of all connections of a loop, by time.
#[derive(Debug, Default)]
pub(super) struct Deadlines {
    heap: BinaryHeap<Reverse<(Instant, Key)>>,
}

/// One connection's part: kept in the connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timer {
    /// When the connection's deadline is.
    due: Instant,
    /// The one entry in the heap that counts.
    scheduled: Option<Instant>,
}

impl Timer {
    /// A timer that is not in the heap yet.
    pub(super) fn new(due: Instant) -> Timer {
        Timer {
            due,
            scheduled: None,
        }
    }
}

impl Deadlines {
    /// Sets the deadline of the connection that `timer` belongs to.
    pub(super) fn set(&mut self, key: Key, timer: &mut Timer, due: Instant, now: Instant) {
        timer.due = due;
        let look = due.min(now + DEADLINE_HORIZON);
        if timer.scheduled.is_none_or(|scheduled| look < scheduled) {
            timer.scheduled = Some(look);
            self.heap.push(Reverse((look, key)));
        }
    }

    /// When [`Deadlines::pop`] is to be called next.
    pub(super) fn next(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse((at, _))| *at)
    }

    /// Takes an entry whose time has come. Unless the connection is gone, ask
    /// [`Deadlines::is_due`] what the entry means.
    pub(super) fn pop(&mut self, now: Instant) -> Option<(Key, Instant)> {
        self.next().filter(|&at| at <= now)?;
        self.heap.pop().map(|Reverse((at, key))| (key, at))
    }

    /// Whether the deadline of `timer` has come, of which an entry for `at` was popped. If not,
    /// another entry sees to it.
    pub(super) fn is_due(
        &mut self,
        key: Key,
        timer: &mut Timer,
        at: Instant,
        now: Instant,
    ) -> bool {
        if timer.scheduled != Some(at) {
            return false;
        }
        timer.scheduled = None;
        if timer.due <= now {
            return true;
        }
        self.set(key, timer, timer.due, now);
        false
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn key(index: u32) -> Key {
        Key {
            index,
            generation: 0,
        }
    }

    fn due_now(
        deadlines: &mut Deadlines,
        timers: &mut BTreeMap<Key, Timer>,
        now: Instant,
    ) -> Vec<Key> {
        let mut due = Vec::new();
        while let Some((key, at)) = deadlines.pop(now) {
            if let Some(timer) = timers.get_mut(&key)
                && deadlines.is_due(key, timer, at, now)
            {
                due.push(key);
            }
        }
        due
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn nothing_is_early_and_nothing_late(
            steps in prop::collection::vec((0u32..8, 0u64..30_000, 0u64..3_000), 1..200),
        ) {
            let mut now = Instant::now();
            let (mut deadlines, mut timers) = (Deadlines::default(), BTreeMap::new());
            let mut expected: BTreeMap<Key, Instant> = BTreeMap::new();
            for (index, in_ms, pass_ms) in steps {
                let due = now + Duration::from_millis(in_ms);
                let timer = timers.entry(key(index)).or_insert(Timer::new(due));
                deadlines.set(key(index), timer, due, now);
                expected.insert(key(index), due);
                now += Duration::from_millis(pass_ms);
                let mut due = due_now(&mut deadlines, &mut timers, now);
                due.sort();
                let late: Vec<Key> = expected
                    .iter()
                    .filter(|&(_, &at)| at <= now)
                    .map(|(&key, _)| key)
                    .collect();
                prop_assert_eq!(&due, &late);
                for key in due {
                    expected.remove(&key);
                    timers.remove(&key);
                }
            }
        }
    }

    #[test]
    fn a_busy_connection_leaves_few_entries_behind() {
        let mut now = Instant::now();
        let (mut deadlines, mut timer) = (Deadlines::default(), Timer::new(now));
        for _ in 0..100_000 {
            now += Duration::from_millis(50);
            deadlines.set(key(0), &mut timer, now + Duration::from_secs(10), now);
            deadlines.set(key(0), &mut timer, now + Duration::from_secs(600), now);
            while let Some((key, at)) = deadlines.pop(now) {
                assert!(!deadlines.is_due(key, &mut timer, at, now));
            }
            assert!(deadlines.heap.len() <= 2, "{}", deadlines.heap.len());
        }
    }
}
