//! What happened, as pages and the API show it: access attempts, events, and messages that wait.

use cardea_wire::reply::CommandKind;
use cardea_wire::{Decision, Reason};

use super::desk::Desk;
use super::reply::Failure;
use super::route::encoded;
use crate::audit::{AttemptRecord, AuditFilter, Entry, Progress};
use crate::store::{Device, Door};

/// An access attempt, the decision first.
#[derive(Debug, Clone)]
pub(super) struct AttemptRow {
    /// Its number in the audit.
    pub sequence: u64,
    /// `granted`, `denied`, `in-flight` or `interrupted`.
    pub decision: &'static str,
    /// Why it was denied; empty for none.
    pub reason: &'static str,
    /// Unix time in seconds.
    pub at: i64,
    /// The door's name.
    pub door: String,
    /// The device's name.
    pub device: String,
    /// Who matched: nobody below the threshold is in the audit, nor here.
    pub person: Option<PersonLink>,
}

/// A person by external id.
#[derive(Debug, Clone)]
pub(super) struct PersonLink {
    /// What the site calls them.
    pub external_id: String,
    /// The same in a path.
    pub path: String,
}

/// An event, or a message that waits.
#[derive(Debug, Clone)]
pub(super) struct EventRow {
    /// Unix time in seconds.
    pub at: i64,
    /// What.
    pub event: String,
    /// In more words.
    pub message: String,
}

impl AttemptRow {
    /// Its pill.
    pub(super) fn kind(&self) -> &'static str {
        match self.decision {
            "granted" => "good",
            "denied" => "bad",
            "interrupted" => "warning",
            _ => "none",
        }
    }

    /// The second within its minute.
    pub(super) fn seconds(&self) -> String {
        format!("{:02}", self.at.rem_euclid(60))
    }
}

/// Rows of a page, and where the next one begins.
pub(super) type Page<T> = (Vec<T>, Option<u64>);

/// Access attempts before this number, newest first.
///
/// # Errors
/// Those of a read.
pub(super) fn attempts(
    desk: &Desk,
    before: Option<u64>,
    limit: usize,
) -> Result<Page<AttemptRow>, Failure> {
    let filter = AuditFilter {
        attempts_only: true,
        ..AuditFilter::default()
    };
    let page = desk.read.audit.page(filter, before, limit)?;
    let (doors, devices) = (desk.read.store.doors()?, desk.read.store.devices()?);
    let rows = page
        .entries
        .into_iter()
        .filter_map(|entry| match entry.entry {
            Entry::Attempt(attempt, progress) => Some(attempt_row(
                entry.sequence,
                attempt,
                progress,
                &doors,
                &devices,
            )),
            Entry::Change(_) => None,
        });
    Ok((rows.collect(), page.next))
}

fn attempt_row(
    sequence: u64,
    attempt: AttemptRecord,
    progress: Progress,
    doors: &[Door],
    devices: &[Device],
) -> AttemptRow {
    let (decision, reason) = outcome(&attempt, progress);
    let door = doors.iter().find(|door| door.id.0 == attempt.door);
    let device = devices.iter().find(|device| device.id.0 == attempt.device);
    AttemptRow {
        sequence,
        decision,
        reason,
        at: attempt.at_unix_us / 1_000_000,
        door: door.map_or_else(String::new, |door| door.name.clone()),
        device: device.map_or_else(|| attempt.device.to_string(), |one| one.name.clone()),
        person: attempt.matched.map(|matched| PersonLink {
            path: encoded(&matched.external_id),
            external_id: matched.external_id.to_string(),
        }),
    }
}

fn outcome(attempt: &AttemptRecord, progress: Progress) -> (&'static str, &'static str) {
    let (decision, reason) = match progress {
        Progress::Final => (attempt.decision, attempt.reason),
        Progress::Outcome(outcome) => (outcome.decision, outcome.reason),
        Progress::InFlight => return ("in-flight", ""),
        Progress::Interrupted => return ("interrupted", ""),
    };
    match decision == Decision::Granted as u8 {
        true => ("granted", ""),
        false => ("denied", Reason::from_code(reason).map_or("", Reason::text)),
    }
}

/// What was changed and what integrations told, before this number, newest first. `words` puts an
/// action in words.
///
/// # Errors
/// Those of a read.
pub(super) fn events(
    desk: &Desk,
    before: Option<u64>,
    limit: usize,
    words: impl Fn(&str) -> String,
) -> Result<Page<EventRow>, Failure> {
    let filter = AuditFilter {
        changes_only: true,
        ..AuditFilter::default()
    };
    let page = desk.read.audit.page(filter, before, limit)?;
    let rows = page
        .entries
        .into_iter()
        .filter_map(|entry| match entry.entry {
            Entry::Attempt(..) => None,
            Entry::Change(change) => Some(EventRow {
                at: change.at_unix_us / 1_000_000,
                event: words(&change.action),
                message: match change.subject.is_empty() {
                    true => change.actor,
                    false => format!("{}: {}", change.actor, change.subject),
                },
            }),
        });
    Ok((rows.collect(), page.next))
}

/// Commands that wait for a device's next contact, newest first, then what Connect's broker has
/// not taken yet, oldest first.
///
/// # Errors
/// Those of a read.
pub(super) fn pending(desk: &Desk, limit: usize) -> Result<Vec<EventRow>, Failure> {
    let devices = desk.read.store.devices()?;
    let waiting = desk.read.store.commands_pending(limit)?;
    let rows = waiting.into_iter().map(|(device, kind, at)| {
        let device = devices.iter().find(|known| known.id == device);
        EventRow {
            at,
            event: command(kind).to_owned(),
            message: device.map_or_else(String::new, |device| device.name.clone()),
        }
    });
    let mut rows: Vec<_> = rows.collect();
    let room = limit.saturating_sub(rows.len());
    let outbox = desk.read.store.outbox(0, room)?;
    rows.extend(outbox.into_iter().map(|message| EventRow {
        at: message.at_unix_s,
        event: "to-connect".to_owned(),
        message: format!("Connect: {}", format!("{:?}", message.kind).to_lowercase()),
    }));
    Ok(rows)
}

/// A command's name in texts and the API.
fn command(kind: u8) -> &'static str {
    match CommandKind::from_code(kind) {
        Some(CommandKind::Decommission) => "decommission",
        Some(CommandKind::Configure) => "configure",
        Some(CommandKind::Update) => "update",
        Some(CommandKind::SelfTest) => "self-test",
        Some(CommandKind::Capture) => "capture",
        Some(CommandKind::Address) => "address",
        None => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::Outcome;

    /// Taking the intended decision of an attempt whose outcome is there fails this: what was to
    /// be granted and was refused by access control would read "granted".
    #[test]
    fn the_outcome_counts_not_what_was_intended() {
        let attempt = AttemptRecord {
            device: 1,
            request_id: [0; 16],
            at_unix_us: 61_000_000,
            door: 1,
            decision: Decision::Granted as u8,
            reason: 0,
            matched: None,
            is_final: false,
        };
        let refused = Outcome {
            decision: Decision::Denied as u8,
            reason: 112,
            at_unix_us: 0,
        };
        let (decision, reason) = outcome(&attempt, Progress::Outcome(refused));
        assert_eq!((decision, reason), ("denied", "refused by access control"));
        assert_eq!(outcome(&attempt, Progress::InFlight).0, "in-flight");
        assert_eq!(outcome(&attempt, Progress::Interrupted).0, "interrupted");
        let row = attempt_row(1, attempt, Progress::InFlight, &[], &[]);
        assert_eq!((row.seconds().as_str(), row.kind()), ("01", "none"));
    }
}
