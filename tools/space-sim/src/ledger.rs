//! What was asked of the doors.

use serde::Serialize;

/// One `OnlineDoor.Open` for one door, received whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// Counts from 1.
    pub number: u64,
    /// Milliseconds since the simulator started.
    pub at_ms: u64,
    /// `ExtDoorID`, or the name where the request named the door.
    pub door: String,
    /// Number of the connection.
    pub connection: u64,
    /// Whether the door opened.
    pub opened: bool,
    /// How long the answer was held back, as the latency said, in milliseconds.
    pub held_ms: u64,
    /// Whether a whole, true answer was handed to the network.
    pub answered: bool,
    /// The fault that this request met.
    pub fault: Option<String>,
}

/// All entries since the start, or since it was cleared.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    entries: Vec<Entry>,
}

impl Ledger {
    /// Adds an entry as unanswered, and returns its place.
    pub(crate) fn add(&mut self, mut entry: Entry) -> u64 {
        entry.number = self.entries.len() as u64 + 1;
        self.entries.push(entry);
        self.entries.len() as u64
    }

    pub(crate) fn answered(&mut self, number: u64) {
        let place = number
            .checked_sub(1)
            .and_then(|place| usize::try_from(place).ok());
        if let Some(entry) = place.and_then(|place| self.entries.get_mut(place)) {
            entry.answered = true;
        }
    }

    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    pub(crate) fn clear(&mut self) {
        self.entries.clear();
    }
}
