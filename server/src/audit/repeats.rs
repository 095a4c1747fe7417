//! The request ids of the last hour: has this attempt been recorded before?

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher as _, RandomState};

use crate::limits::AUDIT_REPEAT_WINDOW_US;

/// Request ids within the window, as 64-bit hashes with a key of this process, each with the
/// record's number. Who finds one must compare with the record: hashes may collide.
#[derive(Debug)]
pub(super) struct Repeats {
    key: RandomState,
    sequences: HashMap<u64, u64>,
    oldest_first: VecDeque<Id>,
    of_device: HashMap<u64, usize>,
    ids_max: usize,
    ids_of_device_max: usize,
}

/// An id that is remembered: since when, its hash, whose.
#[derive(Debug)]
struct Id {
    at_unix_us: i64,
    hash: u64,
    device: u64,
}

impl Repeats {
    /// Nothing, and room for `ids_max` ids, so many of one device.
    pub(super) fn new(ids_max: usize, ids_of_device_max: usize) -> Self {
        Self {
            key: RandomState::new(),
            sequences: HashMap::new(),
            oldest_first: VecDeque::new(),
            of_device: HashMap::new(),
            ids_max,
            ids_of_device_max,
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

    /// No more ids of this device can be remembered before some leave the window. One device has
    /// a share only, so that a stolen one does not keep the others out.
    pub(super) fn is_full(&self, device: u64) -> bool {
        let of_device = self.of_device.get(&device).copied().unwrap_or(0);
        self.oldest_first.len() >= self.ids_max || of_device >= self.ids_of_device_max
    }

    /// Remembers an attempt that is not there yet, the newest so far.
    pub(super) fn insert(&mut self, hash: u64, device: u64, sequence: u64, at_unix_us: i64) {
        assert!(!self.is_full(device), "asked before");
        let before = self.sequences.insert(hash, sequence);
        assert!(before.is_none(), "looked up before");
        *self.of_device.entry(device).or_default() += 1;
        self.oldest_first.push_back(Id {
            at_unix_us,
            hash,
            device,
        });
    }

    /// Forgets what the last `count` calls of `insert` brought: their records were not written.
    pub(super) fn take_back(&mut self, count: usize) {
        for _ in 0..count {
            if let Some(id) = self.oldest_first.pop_back() {
                self.forget(&id);
            }
        }
    }

    /// Forgets what lies more than the window before `now_unix_us`. A clock that steps back keeps
    /// ids longer; one that steps forward forgets them as if that time had passed.
    pub(super) fn forget_old(&mut self, now_unix_us: i64) {
        let start = now_unix_us.saturating_sub(AUDIT_REPEAT_WINDOW_US);
        let is_old = |id: &mut Id| id.at_unix_us < start;
        while let Some(id) = self.oldest_first.pop_front_if(is_old) {
            self.forget(&id);
        }
    }

    fn forget(&mut self, id: &Id) {
        self.sequences.remove(&id.hash);
        if let Entry::Occupied(mut count) = self.of_device.entry(id.device) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_found_within_the_window_and_not_after() {
        let mut repeats = Repeats::new(10, 10);
        let hash = repeats.hash(1, &[1; 16]);
        assert_ne!(hash, repeats.hash(2, &[1; 16]));
        repeats.insert(hash, 1, 7, 0);
        repeats.forget_old(AUDIT_REPEAT_WINDOW_US);
        assert_eq!(repeats.find(hash), Some(7));
        repeats.forget_old(-5);
        assert_eq!(repeats.find(hash), Some(7));
        repeats.forget_old(AUDIT_REPEAT_WINDOW_US + 1);
        assert_eq!(repeats.find(hash), None);
    }

    /// One stolen device once could use up the ids of the whole site. Fails without
    /// `of_device >= self.ids_of_device_max` in `is_full`, or if `forget` gives nothing back.
    #[test]
    fn one_device_leaves_room_for_the_others() {
        let mut repeats = Repeats::new(10, 3);
        for id in 0..3 {
            assert!(!repeats.is_full(7));
            repeats.insert(id, 7, id, 0);
        }
        assert!(repeats.is_full(7) && !repeats.is_full(8));
        repeats.insert(3, 8, 3, 1);
        repeats.forget_old(AUDIT_REPEAT_WINDOW_US + 1);
        assert!(!repeats.is_full(7));
        repeats.take_back(1);
        assert!(repeats.of_device.is_empty(), "nothing stays of a device");
    }

    #[test]
    fn the_limit_is_reached_and_what_was_not_written_is_taken_back() {
        let mut repeats = Repeats::new(3, 3);
        for sequence in 0..3 {
            assert!(!repeats.is_full(1));
            repeats.insert(sequence, 1, sequence, 0);
        }
        assert!(repeats.is_full(2));
        repeats.take_back(2);
        assert!(!repeats.is_full(1));
        assert_eq!(
            [0, 1, 2].map(|hash| repeats.find(hash)),
            [Some(0), None, None]
        );
    }
}
