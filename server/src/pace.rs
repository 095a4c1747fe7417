//! How fast bulk work may go while doors are being opened: an import's syncs share the disk with
//! the record of each attempt, which somebody at a door waits for.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::limits::{
    IMPORT_BUSY_MS, IMPORT_PAUSE_FACTOR, IMPORT_PAUSE_MS_MAX, IMPORT_PAUSE_MS_MIN,
};

/// What the audit last took, and what bulk work made of it. Shared by threads.
#[derive(Debug)]
pub struct Pace {
    began: Instant,
    /// The end of the last commit of attempts, microseconds from the beginning; 0 for none.
    last_us: AtomicU64,
    /// How long it took, microseconds.
    took_us: AtomicU64,
    pauses: AtomicU64,
}

impl Pace {
    /// Nothing has happened yet.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self {
            began: now,
            last_us: AtomicU64::new(0),
            took_us: AtomicU64::new(0),
            pauses: AtomicU64::new(0),
        }
    }

    /// Attempts were committed to the audit.
    pub fn committed(&self, from: Instant, to: Instant) {
        let took = to.saturating_duration_since(from);
        self.took_us.store(micros(took), Ordering::Relaxed);
        self.last_us.store(self.since(to).max(1), Ordering::Release);
    }

    /// How long bulk work should rest before its next batch; counted if it should.
    #[must_use]
    pub fn rest(&self, now: Instant) -> Option<Duration> {
        let last_us = self.last_us.load(Ordering::Acquire);
        let ago = Duration::from_micros(self.since(now).saturating_sub(last_us));
        if last_us == 0 || ago > Duration::from_millis(IMPORT_BUSY_MS) {
            return None;
        }
        self.pauses.fetch_add(1, Ordering::Relaxed);
        let took = Duration::from_micros(self.took_us.load(Ordering::Relaxed));
        let least = Duration::from_millis(IMPORT_PAUSE_MS_MIN);
        let most = Duration::from_millis(IMPORT_PAUSE_MS_MAX);
        Some((took * IMPORT_PAUSE_FACTOR).clamp(least, most))
    }

    /// How often bulk work has rested.
    #[must_use]
    pub fn pauses(&self) -> u64 {
        self.pauses.load(Ordering::Relaxed)
    }

    fn since(&self, now: Instant) -> u64 {
        micros(now.saturating_duration_since(self.began))
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fails if bulk work rests on a quiet site, or does not on a busy one, or not longer on a
    /// slower disk.
    #[test]
    fn bulk_work_rests_while_attempts_are_recorded() {
        let begun = Instant::now();
        let at = |ms| begun + Duration::from_millis(ms);
        let pace = Pace::new(begun);
        assert_eq!(pace.rest(at(5)), None, "nobody has asked yet");
        pace.committed(at(10), at(20));
        let due = Duration::from_millis(10) * IMPORT_PAUSE_FACTOR;
        assert_eq!(pace.rest(at(20)), Some(due));
        assert_eq!(pace.rest(at(20 + IMPORT_BUSY_MS)), Some(due));
        assert_eq!(pace.rest(at(21 + IMPORT_BUSY_MS)), None, "quiet again");
        pace.committed(at(1_000), at(1_000));
        let least = Duration::from_millis(IMPORT_PAUSE_MS_MIN);
        assert_eq!(pace.rest(at(1_001)), Some(least));
        pace.committed(at(2_000), at(9_000));
        let most = Duration::from_millis(IMPORT_PAUSE_MS_MAX);
        assert_eq!(pace.rest(at(9_000)), Some(most));
        assert_eq!(pace.pauses(), 4);
    }
}
