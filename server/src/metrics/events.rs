//! What any thread counts: what is refused, dropped, done again or compacted. One static for each
//! event, of the process, without a lock: whoever does it counts it where it is done.
//!
//! What a peer can make happen as often as it likes is logged at powers of two of its count, so
//! that no peer makes the log grow.

use std::sync::atomic::{AtomicU64, Ordering};

use cardea_wire::reason::ALL as REASONS;
use cardea_wire::{Kind, Reason, path};

/// A family of counters in `/metrics`, with its help and its labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Family {
    pub(super) name: &'static str,
    pub(super) help: &'static str,
    pub(super) labels: &'static [&'static str],
}

/// Refused: what, and why.
const REFUSED: Family = Family {
    name: "refused_total",
    help: "Refused by what is behind the front end, by what was asked and why",
    labels: &["what", "why"],
};
/// Left out, for good.
const DROPPED: Family = Family {
    name: "dropped_total",
    help: "Left out because there was no room or no time for it",
    labels: &["what"],
};
/// Done, or answered, once more.
const RETRIED: Family = Family {
    name: "retried_total",
    help: "Tried again, or asked for again",
    labels: &["what"],
};
/// Made smaller.
const COMPACTED: Family = Family {
    name: "compacted_total",
    help: "Written anew in less room, or removed because its time is over",
    labels: &["what"],
};
/// Doors that Space was to open.
const OPENINGS: Family = Family {
    name: "space_openings_total",
    help: "Doors that Space was to open, by what came of it",
    labels: &["outcome"],
};

/// The families, in the order of `/metrics`.
pub(super) const FAMILIES: [Family; 5] = [REFUSED, DROPPED, RETRIED, COMPACTED, OPENINGS];

/// Something that is counted.
#[derive(Debug)]
pub struct Event {
    family: Family,
    labels: &'static [&'static str],
    count: AtomicU64,
}

impl Event {
    const fn of(family: Family, labels: &'static [&'static str]) -> Self {
        assert!(
            family.labels.len() == labels.len(),
            "a value for each label"
        );
        Self {
            family,
            labels,
            count: AtomicU64::new(0),
        }
    }

    /// Counts one; returns how many there were, with this one.
    pub fn count(&self) -> u64 {
        self.add(1) + 1
    }

    /// Counts some; returns how many there were before.
    pub fn add(&self, count: u64) -> u64 {
        self.count.fetch_add(count, Ordering::Relaxed)
    }

    /// Counts one; whether it is to be logged: the first, the second, the fourth and so on.
    pub fn is_logged(&self) -> bool {
        self.count().is_power_of_two()
    }

    fn value(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }
}

/// A path that is nobody's.
pub static PATH_UNKNOWN: Event = Event::of(REFUSED, &["path", "not found"]);
/// A method that a path does not have.
pub static METHOD_UNKNOWN: Event = Event::of(REFUSED, &["method", "not allowed"]);
/// `/metrics` asked for by another machine.
pub static METRICS_AFAR: Event = Event::of(REFUSED, &["/metrics", "not this machine"]);
/// Firmware asked for without a certificate.
pub static FIRMWARE_STRANGER: Event = Event::of(REFUSED, &["/v1/firmware", "no certificate"]);
/// Firmware asked for with a certificate that is not in force.
pub static FIRMWARE_UNKNOWN_DEVICE: Event = Event::of(REFUSED, &["/v1/firmware", "unknown device"]);
/// Firmware that is not kept.
pub static FIRMWARE_NOT_FOUND: Event = Event::of(REFUSED, &["/v1/firmware", "not found"]);
/// A part of firmware that does not exist, or is more than one answer holds.
pub static FIRMWARE_RANGE: Event = Event::of(REFUSED, &["/v1/firmware", "bad range"]);
/// Too many fetch firmware, or it cannot be read.
pub static FIRMWARE_UNAVAILABLE: Event = Event::of(REFUSED, &["/v1/firmware", "unavailable"]);
/// Space, without the face-recognition key in force.
pub static SPACE_UNAUTHORISED: Event = Event::of(REFUSED, &["/api/space/v1", "unauthorised"]);
/// Space's request has another form than is described.
pub static SPACE_MALFORMED: Event = Event::of(REFUSED, &["/api/space/v1", "malformed"]);
/// Space's request is about nobody who can be enrolled.
pub static SPACE_UNKNOWN_USER: Event = Event::of(REFUSED, &["/api/space/v1", "unknown user"]);
/// Too much is in flight for a request of Space's.
pub static SPACE_OVERLOADED: Event = Event::of(REFUSED, &["/api/space/v1", "overloaded"]);
/// A request of Space's cannot be stored.
pub static SPACE_NOT_STORED: Event = Event::of(REFUSED, &["/api/space/v1", "not stored"]);
/// A wrong name or password at the console.
pub static PASSWORD_WRONG: Event = Event::of(REFUSED, &["sign-in", "wrong password"]);
/// A sign-in that was told to wait.
pub static SIGN_IN_WAITS: Event = Event::of(REFUSED, &["sign-in", "told to wait"]);
/// A request for the console that waited until nobody waited for it.
pub static CONSOLE_LATE: Event = Event::of(REFUSED, &["console", "too late"]);
/// A page of the console that could not be made.
pub static CONSOLE_BROKEN: Event = Event::of(REFUSED, &["console", "broken"]);
/// A photo of which no embedding could be taken.
pub static PHOTO_REFUSED: Event = Event::of(REFUSED, &["photo", "not taken"]);
/// A command for the writer that found its queue full.
pub static WRITER_FULL: Event = Event::of(REFUSED, &["writer", "queue full"]);
/// A change that could not be stored.
pub static WRITER_FAILED: Event = Event::of(REFUSED, &["writer", "not stored"]);
/// Upkeep of the store's, once a second, that failed.
pub static UPKEEP_FAILED: Event = Event::of(REFUSED, &["upkeep", "not stored"]);
/// A batch of the audit's that could not be written.
pub static AUDIT_FAILED: Event = Event::of(REFUSED, &["audit batch", "not written"]);
/// An attempt past the request ids that the audit remembers.
pub static AUDIT_IDS_FULL: Event = Event::of(REFUSED, &["attempt", "too many request ids"]);
/// A batch of probes that could not be searched.
pub static SEARCH_FAILED: Event = Event::of(REFUSED, &["search", "gallery unavailable"]);

/// The outcome of an attempt that could not be written, and more are held than may be.
pub static OUTCOMES_DROPPED: Event = Event::of(DROPPED, &["audit outcome"]);
/// A change that the audit had no room for.
pub static AUDIT_CHANGES_DROPPED: Event = Event::of(DROPPED, &["audit change"]);
/// A device's sign of life.
pub static SIGNS_DROPPED: Event = Event::of(DROPPED, &["sign of life"]);
/// That a session or token was used.
pub static NOTES_DROPPED: Event = Event::of(DROPPED, &["console note"]);
/// An event of Space's, or a change of its status, that the audit did not take.
pub static SPACE_EVENTS_DROPPED: Event = Event::of(DROPPED, &["Space event"]);
/// A sync with Space that was not stored.
pub static SPACE_SYNCS_DROPPED: Event = Event::of(DROPPED, &["Space sync"]);
/// Telemetry for Connect that gave way to newer.
pub static TELEMETRY_DROPPED: Event = Event::of(DROPPED, &["telemetry"]);
/// An event for Connect that belongs to no change.
pub static CONNECT_EVENTS_DROPPED: Event = Event::of(DROPPED, &["Connect event"]);
/// A mail that trying again would not help.
pub static MAILS_DROPPED: Event = Event::of(DROPPED, &["mail"]);

/// A request id again, answered from the audit.
pub static REPEATS: Event = Event::of(RETRIED, &["access request"]);
/// The outcome of an attempt that could not be written before.
pub static OUTCOMES_RETRIED: Event = Event::of(RETRIED, &["audit outcome"]);
/// A mail that was not sent and is due again later.
pub static MAILS_RETRIED: Event = Event::of(RETRIED, &["mail"]);
/// A sync with Space that came to nothing.
pub static SPACE_SYNCS_FAILED: Event = Event::of(RETRIED, &["Space sync"]);

/// A snapshot of the gallery that came into force.
pub static SNAPSHOTS: Event = Event::of(COMPACTED, &["snapshot"]);
/// A write-ahead log that was moved into its database.
pub static CHECKPOINTS: Event = Event::of(COMPACTED, &["checkpoint"]);
/// A record of the audit that was kept long enough.
pub static AUDIT_PRUNED: Event = Event::of(COMPACTED, &["audit record"]);

/// Space opened.
pub static OPENED: Event = Event::of(OPENINGS, &["opened"]);
/// Space said that it does not.
pub static OPENING_REFUSED: Event = Event::of(OPENINGS, &["refused"]);
/// Space was not asked.
pub static OPENING_NOT_SENT: Event = Event::of(OPENINGS, &["not sent"]);
/// Space was asked, and what became of it is not known.
pub static OPENING_UNKNOWN: Event = Event::of(OPENINGS, &["unknown"]);

/// Each of them, for `/metrics`.
static EVENTS: [&Event; 44] = [
    &PATH_UNKNOWN,
    &METHOD_UNKNOWN,
    &METRICS_AFAR,
    &FIRMWARE_STRANGER,
    &FIRMWARE_UNKNOWN_DEVICE,
    &FIRMWARE_NOT_FOUND,
    &FIRMWARE_RANGE,
    &FIRMWARE_UNAVAILABLE,
    &SPACE_UNAUTHORISED,
    &SPACE_MALFORMED,
    &SPACE_UNKNOWN_USER,
    &SPACE_OVERLOADED,
    &SPACE_NOT_STORED,
    &PASSWORD_WRONG,
    &SIGN_IN_WAITS,
    &CONSOLE_LATE,
    &CONSOLE_BROKEN,
    &PHOTO_REFUSED,
    &WRITER_FULL,
    &WRITER_FAILED,
    &UPKEEP_FAILED,
    &AUDIT_FAILED,
    &AUDIT_IDS_FULL,
    &SEARCH_FAILED,
    &OUTCOMES_DROPPED,
    &AUDIT_CHANGES_DROPPED,
    &SIGNS_DROPPED,
    &NOTES_DROPPED,
    &SPACE_EVENTS_DROPPED,
    &SPACE_SYNCS_DROPPED,
    &TELEMETRY_DROPPED,
    &CONNECT_EVENTS_DROPPED,
    &MAILS_DROPPED,
    &REPEATS,
    &OUTCOMES_RETRIED,
    &MAILS_RETRIED,
    &SPACE_SYNCS_FAILED,
    &SNAPSHOTS,
    &CHECKPOINTS,
    &AUDIT_PRUNED,
    &OPENED,
    &OPENING_REFUSED,
    &OPENING_NOT_SENT,
    &OPENING_UNKNOWN,
];

/// Messages of devices that were refused, by kind and reason. Access requests are not among them:
/// `access_answers_total` has their reasons.
static MESSAGES: [[AtomicU64; REASONS.len()]; 4] =
    [const { [const { AtomicU64::new(0) }; REASONS.len()] }; 4];
const KINDS: [Kind; 4] = [Kind::Heartbeat, Kind::Commission, Kind::Renew, Kind::Enrol];

/// The lowest code of a refusal; below are denials, which are answers.
const REFUSALS_FROM: u16 = 200;

/// A device's message was refused.
pub fn refused(kind: Kind, reason: Reason) {
    let kind = KINDS.iter().position(|known| *known == kind);
    let reason = REASONS.iter().position(|known| *known == reason);
    if let (Some(kind), Some(reason)) = (kind, reason) {
        MESSAGES[kind][reason].fetch_add(1, Ordering::Relaxed);
    }
}

const fn path_of(kind: Kind) -> &'static str {
    match kind {
        Kind::Access => path::ACCESS,
        Kind::Heartbeat => path::HEARTBEAT,
        Kind::Commission => path::COMMISSION,
        Kind::Renew => path::RENEW,
        Kind::Enrol => path::ENROL,
    }
}

/// What a family has counted: the value of each label, and the number.
pub(super) fn counted(family: Family) -> impl Iterator<Item = (Vec<&'static str>, u64)> {
    let messages = KINDS.iter().zip(&MESSAGES).flat_map(|(kind, counts)| {
        let refusals = REASONS.iter().zip(counts);
        let refusals = refusals.filter(|(reason, _)| reason.code() >= REFUSALS_FROM);
        refusals.map(|(reason, count)| {
            let count = count.load(Ordering::Relaxed);
            (vec![path_of(*kind), reason.text()], count)
        })
    });
    let events = EVENTS.iter().filter(move |event| event.family == family);
    events
        .map(|event| (event.labels.to_vec(), event.value()))
        .chain(messages.filter(move |_| family == REFUSED))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fails if an event is left out of `EVENTS`, or two are shown as one.
    #[test]
    fn every_event_is_shown_once() {
        let source = include_str!("events.rs");
        let events = source.matches("\npub static ").count();
        assert_eq!(EVENTS.len(), events);
        let mut shown: Vec<_> = FAMILIES
            .into_iter()
            .flat_map(|family| counted(family).map(move |(labels, _)| (family.name, labels)))
            .collect();
        let all = shown.len();
        shown.sort_unstable();
        shown.dedup();
        assert_eq!((shown.len(), all > events), (all, true));
    }

    /// Fails if `refused` counts under another kind or reason.
    #[test]
    fn a_refused_message_counts_for_its_path_and_reason() {
        let value = || {
            let due = [path::RENEW, Reason::BadCertificateRequest.text()];
            let mut shown = counted(REFUSED);
            shown
                .find(|(labels, _)| *labels == due)
                .map(|(_, count)| count)
        };
        let before = value().expect("it is shown from the start");
        refused(Kind::Renew, Reason::BadCertificateRequest);
        assert!(value() > Some(before));
        refused(Kind::Access, Reason::BadCertificateRequest);
    }

    /// Fails if `is_logged` says so each time.
    #[test]
    fn an_event_is_logged_less_and_less() {
        let event = Event::of(DROPPED, &["nothing"]);
        let logged = (0..1_000).filter(|_| event.is_logged()).count();
        assert_eq!(logged, 10);
    }
}
