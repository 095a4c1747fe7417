//! The request ids of the last hour: has this attempt been recorded before?

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher as _, RandomState};

use crate::limits::AUDIT_REPEAT_WINDOW_US;

/// Request ids within the window, as 64-bit hashes with a key of this process, each with the
/// record's number. Who finds one must compare with the record: hashes may collide.
#[derive(Debug)]
pub(super) struct Repeats {
    key: RandomState,
    sequences: HashMap<u64, u64>,
    oldest_first: VecDeque<(i64, u64)>,
    ids_max: usize,
}

impl Repeats {
    /// Nothing, and room for `ids_max` ids.
    pub(super) fn new(ids_max: usize) -> Self {
        Self {
            key: RandomState::new(),
            sequences: HashMap::new(),
            oldest_first: VecDeque::new(),
            ids_max,
        }
    }

    /// The hash of an attempt's name.
    pub(super) fn hash(&self, device: u64, request_id: &[u8; 16]) -> u64 {
        self.key.hash_one((device, request_id))
    }

    /// The record that may be of this attempt.
    pub(super) fn find(&self, hash: u64) -> Option<u64> {
        self.sequences.get(&hash).copied()
    }

    /// No more ids can be remembered before some leave the window.
    pub(super) fn is_full(&self) -> bool {
        self.oldest_first.len() >= self.ids_max
    }

    /// Remembers an attempt that is not there yet, the newest so far.
    pub(super) fn insert(&mut self, hash: u64, sequence: u64, at_unix_us: i64) {
        assert!(!self.is_full(), "asked before");
        let before = self.sequences.insert(hash, sequence);
        assert!(before.is_none(), "looked up before");
        self.oldest_first.push_back((at_unix_us, hash));
    }

    /// Forgets what the last `count` calls of `insert` brought: their records were not written.
    pub(super) fn take_back(&mut self, count: usize) {
        for _ in 0..count {
            if let Some((_, hash)) = self.oldest_first.pop_back() {
                self.sequences.remove(&hash);
            }
        }
    }

    /// Forgets what lies more than the window before `now_unix_us`. A clock that steps back keeps
    /// ids longer; one that steps forward forgets them as if that time had passed.
    pub(super) fn forget_old(&mut self, now_unix_us: i64) {
        let start = now_unix_us.saturating_sub(AUDIT_REPEAT_WINDOW_US);
        while let Some((at_unix_us, hash)) = self.oldest_first.front() {
            if *at_unix_us >= start {
                break;
            }
            self.sequences.remove(hash);
            self.oldest_first.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_found_within_the_window_and_not_after() {
        let mut repeats = Repeats::new(10);
        let hash = repeats.hash(1, &[1; 16]);
        assert_ne!(hash, repeats.hash(2, &[1; 16]));
        repeats.insert(hash, 7, 0);
        repeats.forget_old(AUDIT_REPEAT_WINDOW_US);
        assert_eq!(repeats.find(hash), Some(7));
        repeats.forget_old(-5);
        assert_eq!(repeats.find(hash), Some(7));
        repeats.forget_old(AUDIT_REPEAT_WINDOW_US + 1);
        assert_eq!(repeats.find(hash), None);
    }

    #[test]
    fn the_limit_is_reached_and_what_was_not_written_is_taken_back() {
        let mut repeats = Repeats::new(3);
        for sequence in 0..3 {
            assert!(!repeats.is_full());
            repeats.insert(sequence, sequence, 0);
        }
        assert!(repeats.is_full());
        repeats.take_back(2);
        assert!(!repeats.is_full());
        assert_eq!(
            [0, 1, 2].map(|hash| repeats.find(hash)),
            [Some(0), None, None]
        );
    }
}
