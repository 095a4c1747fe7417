//! What Space and the connection to it tell the audit, beside our own attempts: changes of the
//! status, and events of Space's own stream.
//!
//! The stream has neither key nor encryption, so its share of the audit is bounded: past
//! [`SPACE_EVENTS_PER_MINUTE_MAX`] a minute the rest of that minute is counted in the log only.
//! Changes of the status have no part in that: back-off bounds them (`cardea_space::status`), and
//! whoever floods the stream must not hide that Space is gone.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use cardea_space::events::SpaceEvent;
use cardea_space::listener::EventListener;
use cardea_space::status::Status;

use crate::audit::{AdministrativeChange, AuditHandle};
use crate::config::SpaceEvents;
use crate::limits::SPACE_EVENTS_PER_MINUTE_MAX;
use crate::metrics::events::SPACE_EVENTS_DROPPED;
use crate::site::unix_ms;

const ACTOR: &str = "Space";

/// Writes to the audit in Space's name.
#[derive(Debug, Clone)]
pub struct Journal {
    records: AuditHandle,
    minute: Arc<Mutex<Minute>>,
}

/// What one minute has brought.
#[derive(Debug, Default)]
struct Minute {
    number: u64,
    entries: u32,
}

impl Minute {
    /// Whether one more is taken at this time, and whether it is the first that is not.
    fn take(&mut self, now_unix_ms: u64) -> (bool, bool) {
        let number = now_unix_ms / 60_000;
        if number != self.number {
            *self = Self { number, entries: 0 };
        }
        let before = self.entries;
        self.entries = before.saturating_add(1);
        let max = SPACE_EVENTS_PER_MINUTE_MAX;
        (before < max, before == max)
    }
}

impl Journal {
    /// A journal that begins an empty minute.
    #[must_use]
    pub fn new(records: AuditHandle) -> Self {
        Self {
            records,
            minute: Arc::default(),
        }
    }

    /// The status is another one than before.
    pub fn status(&self, status: &Status) {
        let action = format!("status: {}", status.connection);
        self.note(unix_ms(), action, status.why.clone());
    }

    /// An event of Space's stream, if it is worth showing and the minute has room for it.
    fn event(&self, event: &SpaceEvent) {
        if event.notable().is_none() {
            return;
        }
        let now_unix_ms = unix_ms();
        let mut minute = self.minute.lock().unwrap_or_else(PoisonError::into_inner);
        let (taken, first_left_out) = minute.take(now_unix_ms);
        drop(minute);
        if first_left_out {
            tracing::warn!("more events from Space than the audit takes in a minute");
        }
        if !taken {
            SPACE_EVENTS_DROPPED.count();
            return;
        }
        // The door by name; a person only by the id that Space and this server share.
        let mut subject = match (&event.door, event.door_name.as_str()) {
            (Some(door), "") => door.to_string(),
            (_, name) => name.to_owned(),
        };
        if let Some(user) = &event.user {
            subject.push_str(&format!(", {user}"));
        }
        self.note(now_unix_ms, event.words().to_owned(), subject);
    }

    fn note(&self, now_unix_ms: u64, action: String, subject: String) {
        let change = AdministrativeChange {
            at_unix_us: i64::try_from(now_unix_ms.saturating_mul(1_000)).unwrap_or(i64::MAX),
            actor: ACTOR.to_owned(),
            action,
            subject,
        };
        if self.records.change(change, 0).is_err() && SPACE_EVENTS_DROPPED.is_logged() {
            tracing::warn!("the audit is busy; an event from Space is left out");
        }
    }

    /// Listens for Space's stream, from Space's address only.
    ///
    /// # Errors
    /// When the port cannot be had.
    pub fn listen(&self, events: &SpaceEvents) -> io::Result<EventListener> {
        let journal = self.clone();
        let notify = Arc::new(move |event: SpaceEvent| journal.event(&event));
        EventListener::start(events.listen, events.from, notify)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_takes_so_many_and_the_next_one_again() {
        let mut minute = Minute::default();
        for _ in 0..SPACE_EVENTS_PER_MINUTE_MAX {
            assert_eq!(minute.take(60_000), (true, false));
        }
        assert_eq!(minute.take(119_999), (false, true));
        assert_eq!(minute.take(119_999), (false, false));
        assert_eq!(minute.take(120_000), (true, false));
    }
}
