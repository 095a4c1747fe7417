//! What changed between what was known and a new snapshot.

use super::snapshot::Snapshot;
use crate::ext_id::ExtId;
use crate::limits::VANISHED_PERCENT_MAX;

/// Whether those who are gone may be erased when their day is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Erasure {
    /// Yes, after the waiting time.
    Scheduled,
    /// More than [`VANISHED_PERCENT_MAX`] percent vanished at once, which looks like a mistake: an
    /// administrator must confirm. They are denied in the meantime like all others.
    Held,
}

/// Who came, changed and went, each by ascending identifier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// In the snapshot and not known.
    pub added: Vec<ExtId>,
    /// Known, with another digest.
    pub changed: Vec<ExtId>,
    /// Known and not in the snapshot.
    pub gone: Vec<ExtId>,
    /// What becomes of those who are gone.
    pub erasure: Erasure,
}

/// Compares `known`, identifiers and digests of the people of the last sync by ascending
/// identifier, with `snapshot`. The known ones may come from memory or from the store.
///
/// # Panics
/// When `known` does not ascend strictly.
#[must_use]
pub fn difference(known: &[(ExtId, u64)], snapshot: &Snapshot) -> Difference {
    let ascends = known.is_sorted_by(|(one, _), (other, _)| one < other);
    assert!(ascends, "known people must ascend by identifier");
    let (mut added, mut changed, mut gone) = (Vec::new(), Vec::new(), Vec::new());
    let mut known_people = known.iter().peekable();
    for person in &snapshot.people {
        while let Some((id, _)) = known_people.next_if(|(id, _)| *id < person.id) {
            gone.push(id.clone());
        }
        match known_people.next_if(|(id, _)| *id == person.id) {
            None => added.push(person.id.clone()),
            Some((_, digest)) if *digest != person.digest => changed.push(person.id.clone()),
            Some(_) => {}
        }
    }
    gone.extend(known_people.map(|(id, _)| id.clone()));
    let too_many = gone.len() * 100 > VANISHED_PERCENT_MAX * known.len();
    let erasure = if too_many {
        Erasure::Held
    } else {
        Erasure::Scheduled
    };
    Difference {
        added,
        changed,
        gone,
        erasure,
    }
}
