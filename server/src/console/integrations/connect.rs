//! Connect, as the writer tells of it; joining it, and leaving.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Sender, bounded};

use super::{Indicator, Name, State, unconfigured};
use crate::admin::message::{Request, Response};
use crate::connect::join::join as certified;
use crate::console::call::Call;
use crate::console::desk::Desk;
use crate::console::reply::Failure;
use crate::store::SettingKey;
use crate::writer::{Command, WriterHandle};

/// What is left for the page once the authority has answered.
const FOR_THE_PAGE: Duration = Duration::from_millis(500);

/// What the writer says, by name; empty if this site has not joined, or the writer has no time.
///
/// # Errors
/// Those of a read.
pub(crate) fn facts(desk: &Desk, call: &Call) -> Result<Vec<(String, String)>, Failure> {
    let joined = desk.read.store.setting(SettingKey::CONNECT_SEALED)?;
    if joined.is_none() {
        return Ok(Vec::new());
    }
    let Ok(Response::Table { rows, .. }) = desk.ask(call, Request::ConnectStatus) else {
        return Ok(Vec::new());
    };
    let facts = rows.into_iter().filter_map(|row| {
        let [name, value] = <[String; 2]>::try_from(row).ok()?;
        Some((name, value))
    });
    Ok(facts.collect())
}

/// The fact of this name; empty if there is none.
pub(crate) fn fact<'a>(facts: &'a [(String, String)], name: &str) -> &'a str {
    let found = facts.iter().find(|(known, _)| known == name);
    found.map_or("", |(_, value)| value.as_str())
}

/// How it is.
///
/// # Errors
/// Those of a read.
pub(super) fn state(desk: &Desk, call: &Call) -> Result<State, Failure> {
    let key = SettingKey::CONNECT_SEALED;
    let joined = desk.read.store.setting(key)?.is_some();
    let facts = facts(desk, call)?;
    let not_joined = desk.shared.joining.failure().filter(|_| !joined);
    let why = match not_joined {
        Some(why) => call.language.filled("connect.refused", &[("0", &why)]),
        None => fact(&facts, "why").to_owned(),
    };
    Ok(State {
        configured: joined,
        indicator: indicator(fact(&facts, "status")),
        why,
        ..unconfigured(Name::Connect)
    })
}

/// The indicator that a status names.
fn indicator(status: &str) -> Indicator {
    match status {
        "Connected" => Indicator::Connected,
        "Unauthorized" => Indicator::Unauthorized,
        "Disconnected" => Indicator::Disconnected,
        _ => Indicator::NoStatus,
    }
}

/// What came of a code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Joining {
    /// The site has joined.
    Joined,
    /// The authority has not answered yet; a thread waits for it.
    Waits,
}

/// The code that is tried, one at a time, and why the last one could not be used.
#[derive(Default)]
pub(in crate::console) struct Trials(Mutex<Trial>);

#[derive(Default)]
enum Trial {
    #[default]
    None,
    UnderWay,
    Failed(String),
}

impl Trials {
    /// Begins one, and forgets the last; `None` while another is under way.
    fn begin(self: &Arc<Self>) -> Option<Over> {
        let mut trial = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*trial, Trial::UnderWay) {
            return None;
        }
        *trial = Trial::UnderWay;
        let (trials, failure) = (Arc::clone(self), None);
        Some(Over { trials, failure })
    }

    /// Why the last one could not be used.
    fn failure(&self) -> Option<String> {
        match &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            Trial::Failed(why) => Some(why.clone()),
            Trial::None | Trial::UnderWay => None,
        }
    }
}

/// Ends its trial when it is dropped, also after a panic: the next code can be tried.
struct Over {
    trials: Arc<Trials>,
    failure: Option<String>,
}

impl Over {
    /// Ends the trial: who reads the answer may try the next code at once. The page may be gone;
    /// then the status says why.
    fn ended_with(mut self, answer: Result<(), String>) -> Result<(), String> {
        self.failure = answer.clone().err();
        answer
    }
}

impl Drop for Over {
    fn drop(&mut self) {
        let mut trial = self.trials.0.lock().unwrap_or_else(PoisonError::into_inner);
        *trial = self.failure.take().map_or(Trial::None, Trial::Failed);
    }
}

/// Joins with a code. A thread of its own asks the authority, which may take longer than a page:
/// what comes of it then shows in the status.
///
/// # Errors
/// [`Failure::Refused`] with why not; [`Failure::Busy`] while another code is tried.
pub(crate) fn join(desk: &Desk, call: &Call, code: &str) -> Result<Joining, Failure> {
    let Some(over) = desk.shared.joining.begin() else {
        return Err(Failure::Busy);
    };
    let (done, answer) = bounded(1);
    let (code, actor) = (code.to_owned(), call.who.name().to_owned());
    let writer = desk.parts().writer.clone();
    let session = Desk::new_session();
    let ask = move || {
        let setup = certified(&code)?;
        let request = Request::ConnectSet {
            setup: Box::new(setup),
        };
        tell_writer(&writer, |reply| Command::AdministerAs {
            actor,
            session,
            request: Box::new(request),
            reply,
        })
    };
    let started = thread::Builder::new()
        .name("connect-join".to_owned())
        .spawn(move || {
            let _ = done.send(over.ended_with(ask()));
        });
    started.map_err(|error| Failure::Broken(error.to_string()))?;
    match answer.recv_deadline(call.deadline - FOR_THE_PAGE) {
        Ok(Ok(())) => Ok(Joining::Joined),
        Ok(Err(why)) => Err(Failure::Refused(why)),
        Err(_) => Ok(Joining::Waits),
    }
}

fn tell_writer(
    writer: &WriterHandle,
    command: impl FnOnce(Sender<Response>) -> Command,
) -> Result<(), String> {
    let (reply, answer) = bounded(1);
    let ended = |_| "the server is stopping".to_owned();
    writer
        .send(command(reply))
        .map_err(|_| "the server is stopping".to_owned())?;
    match answer.recv().map_err(ended)? {
        Response::Error { text } => Err(text),
        _ => Ok(()),
    }
}

/// Leaves: key and certificate go.
///
/// # Errors
/// Those of the writer.
pub(crate) fn leave(desk: &Desk, call: &Call) -> Result<(), Failure> {
    desk.ask(call, Request::ConnectLeave).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The next code was refused as busy by a thread that had answered and not ended yet. Fails if
    /// `ended_with` does not take its trial, or keeps no failure.
    #[test]
    fn the_next_code_may_follow_the_answer_at_once() {
        let trials = Arc::new(Trials::default());
        let over = trials.begin().expect("none is under way");
        assert!(trials.begin().is_none());
        let answer = over.ended_with(Err("no".to_owned()));
        assert_eq!(answer, Err("no".to_owned()));
        assert_eq!(trials.failure().as_deref(), Some("no"));
        let next = trials.begin().expect("the first has ended");
        assert_eq!(trials.failure(), None, "forgotten");
        drop(next);
        assert!(trials.begin().is_some(), "also after a panic");
    }
}
