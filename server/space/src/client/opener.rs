//! The threads that open doors.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;

use super::Event;
use super::caller::Caller;
use super::shared::Shared;
use crate::ext_id::ExtId;
use crate::limits::OPEN_TIME_MIN;
use crate::message::Request;
use crate::message::reply::{self, OpenResult, Reply, ReplyError};
use crate::status::Connection;
use crate::transport::{CallError, Fault};

/// A door to be opened.
pub struct OpenRequest {
    /// The caller's own number for it; comes back in the [`Completion`].
    pub ticket: u64,
    /// Which door.
    pub door: ExtId,
    /// The door's name where it is known; some Spaces answer with it.
    pub door_name: Option<String>,
    /// No answer is of use from then on. Nothing is sent when less than [`OPEN_TIME_MIN`] is left.
    pub deadline: Instant,
    /// Asked immediately before the first byte: the last look at whether the person still has the
    /// right. Must not block. May be asked again when nothing was sent.
    pub may_send: Box<dyn Fn() -> bool + Send>,
}

impl fmt::Debug for OpenRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenRequest")
            .field("ticket", &self.ticket)
            .field("door", &self.door)
            .finish_non_exhaustive()
    }
}

/// How an open ended. Only [`Outcome::Opened`] is a grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Space says that it opens the door.
    Opened,
    /// Space says that it does not.
    Refused {
        /// The code of its exception or result, or the HTTP status.
        code: i32,
        /// In words, bounded.
        why: String,
    },
    /// Space was not asked: no byte of the request has left this machine.
    NotSent(String),
    /// Space was asked, at least in part, and its answer did not come, came too late or cannot be
    /// understood: the door may have opened.
    Unknown(String),
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Opened => f.write_str("opened"),
            Self::Refused { why, .. } => write!(f, "refused: {why}"),
            Self::NotSent(why) => write!(f, "not sent: {why}"),
            Self::Unknown(why) => write!(f, "outcome unknown: {why}"),
        }
    }
}

/// The end of an [`OpenRequest`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completion {
    /// As in the request.
    pub ticket: u64,
    /// How it ended.
    pub outcome: Outcome,
    /// How long it waited for a connection's thread.
    pub waited: Duration,
    /// How long the call took, connecting included.
    pub took: Duration,
}

pub(super) struct Job {
    pub(super) request: OpenRequest,
    pub(super) taken: Instant,
}

pub(super) fn run(shared: &Arc<Shared>, jobs: &Receiver<Job>) {
    let mut caller = Caller::default();
    while let Ok(job) = jobs.recv() {
        let began = Instant::now();
        let attempt = || open(shared, &mut caller, &job.request, began);
        let outcome = catch_unwind(AssertUnwindSafe(attempt)).unwrap_or_else(|_| {
            // The panic hook has reported it. Nobody knows what the connection has seen.
            caller = Caller::default();
            Outcome::Unknown("a fault of this server".into())
        });
        report(shared, &job, outcome, began, Instant::now());
    }
}

pub(super) fn report(shared: &Shared, job: &Job, outcome: Outcome, began: Instant, now: Instant) {
    (shared.notify)(Event::Opened(Completion {
        ticket: job.request.ticket,
        outcome,
        waited: began - job.taken,
        took: now - began,
    }));
}

fn open(shared: &Shared, caller: &mut Caller, open: &OpenRequest, began: Instant) -> Outcome {
    if let Err(outcome) = begin(shared, open, began) {
        return outcome;
    }
    let may_send = || may_send(open, Instant::now());
    let request = Request::OpenDoor(open.door.clone());
    let answer = caller.call(&shared.endpoint, &request, open.deadline, &may_send);
    end(shared, open, answer, Instant::now())
}

/// Whether there is any use in trying.
pub(super) fn begin(shared: &Shared, open: &OpenRequest, now: Instant) -> Result<(), Outcome> {
    let connection = shared.connection();
    let why_not = if shared.is_stopping() {
        "the connection to Space is being stopped".into()
    } else if connection != Connection::Connected {
        format!("Space is {connection}")
    } else if !has_time(open, now) {
        "no connection was free in time".into()
    } else {
        return Ok(());
    };
    Err(Outcome::NotSent(why_not))
}

fn has_time(open: &OpenRequest, now: Instant) -> bool {
    open.deadline.saturating_duration_since(now) >= OPEN_TIME_MIN
}

/// The last look before the first byte.
pub(super) fn may_send(open: &OpenRequest, now: Instant) -> bool {
    has_time(open, now) && (open.may_send)()
}

/// What Space's answer, or its absence, comes to.
pub(super) fn end(
    shared: &Shared,
    open: &OpenRequest,
    answer: Result<Vec<u8>, CallError>,
    now: Instant,
) -> Outcome {
    match answer {
        Ok(_) if now >= open.deadline => Outcome::Unknown(Fault::Deadline.to_string()),
        Ok(body) => match reply::read(&Request::OpenDoor(open.door.clone()), &body) {
            Ok(Reply::Opened(results)) => judge(&results, &open.door, open.door_name.as_deref()),
            Ok(_) => Outcome::Unknown("no answer to OnlineDoor.Open".into()),
            Err(error @ ReplyError::Exception { code, .. }) => Outcome::Refused {
                code,
                why: error.to_string(),
            },
            Err(error) => Outcome::Unknown(error.to_string()),
        },
        Err(CallError::NotSent(Fault::Withheld)) if has_time(open, now) => {
            Outcome::NotSent(Fault::Withheld.to_string())
        }
        Err(error) => {
            shared.suspect();
            failed(&error)
        }
    }
}

fn failed(error: &CallError) -> Outcome {
    let why = error.to_string();
    match error {
        CallError::NotSent(_) => Outcome::NotSent(why),
        CallError::Lost(_) => Outcome::Unknown(why),
        // The 400s say that the request was not accepted; anything else may come after the deed.
        CallError::Status(status @ 400..=499) => Outcome::Refused {
            code: i32::from(*status),
            why,
        },
        CallError::Status(_) => Outcome::Unknown(why),
    }
}

/// What Space's results say about `door`: opened only when there is a result for it and none has
/// another code than 0.
#[must_use]
pub fn judge(results: &[OpenResult], door: &ExtId, name: Option<&str>) -> Outcome {
    let mut outcome = Outcome::Unknown("Space's answer says nothing about the door".into());
    for result in results.iter().filter(|result| result.is_about(door, name)) {
        match result.code {
            Some(0) => outcome = Outcome::Opened,
            Some(code) => {
                let words = reply::exception_words(code);
                let why = match result.message.as_str() {
                    "" => format!("Space's door code {code} ({words})"),
                    message => format!("Space's door code {code} ({words}): {message}"),
                };
                return Outcome::Refused { code, why };
            }
            None => return Outcome::Unknown("Space's answer has no result code".into()),
        }
    }
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(door: &str, code: Option<i32>) -> OpenResult {
        OpenResult {
            door: door.into(),
            code,
            message: String::new(),
        }
    }

    fn ask(results: &[OpenResult]) -> Outcome {
        judge(results, &ExtId::parse("20001").unwrap(), Some("Front Door"))
    }

    #[test]
    fn only_a_clear_yes_for_this_door_is_a_grant() {
        assert_eq!(ask(&[result("20001", Some(0))]), Outcome::Opened);
        assert_eq!(ask(&[result("Front Door", Some(0))]), Outcome::Opened);
        assert_eq!(ask(&[result("", Some(0))]), Outcome::Opened);
        assert!(matches!(ask(&[]), Outcome::Unknown(_)));
        assert!(matches!(
            ask(&[result("20002", Some(0))]),
            Outcome::Unknown(_)
        ));
        assert!(matches!(ask(&[result("20001", None)]), Outcome::Unknown(_)));
        let both = [result("20001", Some(0)), result("20001", Some(101))];
        assert!(matches!(ask(&both), Outcome::Refused { code: 101, .. }));
        let other = [result("20002", Some(101)), result("20001", Some(0))];
        assert_eq!(ask(&other), Outcome::Opened);
    }

    #[test]
    fn failures_are_told_apart_by_whether_space_may_have_acted() {
        let not_sent = failed(&CallError::NotSent(Fault::Closed));
        assert!(matches!(not_sent, Outcome::NotSent(_)));
        assert!(matches!(
            failed(&CallError::Lost(Fault::Closed)),
            Outcome::Unknown(_)
        ));
        assert!(matches!(
            failed(&CallError::Status(500)),
            Outcome::Unknown(_)
        ));
        assert!(matches!(
            failed(&CallError::Status(302)),
            Outcome::Unknown(_)
        ));
        assert!(matches!(
            failed(&CallError::Status(401)),
            Outcome::Refused { code: 401, .. }
        ));
    }
}
