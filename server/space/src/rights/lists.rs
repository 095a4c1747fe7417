//! How [`super::Rights`] is kept small: identifiers in one sorted run of text, lists of
//! permissions end to end, equal lists once.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::ops::Range;

use crate::ext_id::ExtId;

/// Identifiers in ascending order, without an allocation for each.
#[derive(Debug, Default)]
pub(super) struct Ids {
    text: String,
    /// Where each one ends in `text`.
    ends: Vec<u32>,
}

impl Ids {
    /// `ids` must ascend strictly.
    pub(super) fn from_sorted<'a>(ids: impl Iterator<Item = &'a ExtId>) -> Self {
        let mut sorted = Self::default();
        for id in ids {
            assert!(
                sorted.len() == 0 || sorted.get(sorted.len() - 1) < id.as_str(),
                "identifiers must ascend"
            );
            sorted.text.push_str(id.as_str());
            let end = u32::try_from(sorted.text.len());
            sorted
                .ends
                .push(end.expect("USERS_MAX * EXT_ID_BYTES_MAX fits 32 bits"));
        }
        sorted
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(super) fn find(&self, id: &ExtId) -> Option<usize> {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low + (high - low) / 2;
            match self.get(middle).cmp(id.as_str()) {
                std::cmp::Ordering::Equal => return Some(middle),
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        None
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.text.len() + size_of_val(self.ends.as_slice())
    }

    fn get(&self, place: usize) -> &str {
        let start = place.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.text[start as usize..self.ends[place] as usize]
    }
}

/// The name of a list in [`Lists`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct List(u32);

/// Lists of (target, rule), each sorted by target. A target may occur more than once.
#[derive(Debug, Default)]
pub(super) struct Lists {
    /// Where each list ends in the two below.
    ends: Vec<u32>,
    targets: Vec<u16>,
    rules: Vec<u32>,
}

impl Lists {
    pub(super) fn entries(&self, list: List) -> impl Iterator<Item = (u16, u32)> {
        let range = self.range(list);
        let rules = &self.rules[range.clone()];
        self.targets[range]
            .iter()
            .copied()
            .zip(rules.iter().copied())
    }

    /// The rules of all entries of `list` for `target`.
    pub(super) fn rules_of(&self, list: List, target: u16) -> impl Iterator<Item = u32> {
        let range = self.range(list);
        let targets = &self.targets[range.clone()];
        let first = targets.partition_point(|&other| other < target);
        let count = targets[first..].partition_point(|&other| other == target);
        let start = range.start + first;
        self.rules[start..start + count].iter().copied()
    }

    pub(super) fn memory_bytes(&self) -> usize {
        size_of_val(self.ends.as_slice())
            + size_of_val(self.targets.as_slice())
            + size_of_val(self.rules.as_slice())
    }

    fn range(&self, list: List) -> Range<usize> {
        let List(list) = list;
        let start = list
            .checked_sub(1)
            .map_or(0, |before| self.ends[before as usize]);
        start as usize..self.ends[list as usize] as usize
    }
}

/// Adds lists to a [`Lists`], equal ones once.
#[derive(Debug, Default)]
pub(super) struct ListsBuilder {
    lists: Lists,
    /// By hash; a list whose hash another one already has is kept without being shared.
    by_hash: HashMap<u64, u32>,
    hasher: RandomState,
}

impl ListsBuilder {
    /// `entries` are sorted here. `None` when there would be more than `entries_max` in all.
    pub(super) fn add(&mut self, mut entries: Vec<(u16, u32)>, entries_max: usize) -> Option<List> {
        entries.sort_unstable();
        entries.dedup();
        let hash = self.hasher.hash_one(&entries);
        if let Some(&known) = self.by_hash.get(&hash)
            && self.lists.entries(List(known)).eq(entries.iter().copied())
        {
            return Some(List(known));
        }
        if self.lists.targets.len() + entries.len() > entries_max {
            return None;
        }
        let list = u32::try_from(self.lists.ends.len()).ok()?;
        self.lists
            .targets
            .extend(entries.iter().map(|&(target, _)| target));
        self.lists
            .rules
            .extend(entries.iter().map(|&(_, rule)| rule));
        self.lists
            .ends
            .push(u32::try_from(self.lists.targets.len()).ok()?);
        self.by_hash.insert(hash, list);
        Some(List(list))
    }

    pub(super) fn finish(mut self) -> Lists {
        self.lists.ends.shrink_to_fit();
        self.lists.targets.shrink_to_fit();
        self.lists.rules.shrink_to_fit();
        self.lists
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_found_and_others_are_not() {
        let ids: Vec<_> = ["a", "ab", "b", "z"]
            .iter()
            .filter_map(|id| ExtId::parse(id))
            .collect();
        let sorted = Ids::from_sorted(ids.iter());
        for (place, id) in ids.iter().enumerate() {
            assert_eq!(sorted.find(id), Some(place));
        }
        for other in ["A", "aa", "c", "zz"] {
            assert_eq!(sorted.find(&ExtId::parse(other).unwrap()), None);
        }
        assert_eq!(Ids::default().find(&ids[0]), None);
    }

    #[test]
    fn equal_lists_are_kept_once_and_the_bound_holds() {
        let mut lists = ListsBuilder::default();
        let first = lists.add(vec![(2, 0), (1, 5), (2, 7)], 4).unwrap();
        let same = lists.add(vec![(2, 7), (2, 0), (1, 5), (1, 5)], 4).unwrap();
        assert_eq!(first, same);
        assert!(lists.add(vec![(9, 9)], 4).is_some());
        assert!(lists.add(vec![(9, 8)], 4).is_none());
        let empty = lists.add(Vec::new(), 4).unwrap();
        let lists = lists.finish();
        assert_eq!(lists.rules_of(first, 2).collect::<Vec<_>>(), [0, 7]);
        assert_eq!(lists.rules_of(first, 3).count(), 0);
        assert_eq!(lists.entries(empty).count(), 0);
    }
}
