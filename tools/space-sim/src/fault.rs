//! What can be wrong with Space, and what is wrong now.

use std::net::SocketAddr;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::listener::nudge;

/// One way to misbehave. "Acts" says whether a door that is to be opened opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// HTTP 401. Does not act.
    Unauthorized,
    /// HTTP 500. Does not act.
    InternalError,
    /// Reads the request and never answers; the connection closes when the fault is cleared.
    /// Does not act.
    Hang,
    /// Reads the request, then resets the connection. Does not act.
    Reset,
    /// Resets a connection when the first byte of a further request arrives on it, without
    /// reading it: a kept-alive connection that turns out stale too late. Does not act.
    Stale,
    /// Answers, then closes the connection without having said so. Acts.
    CloseIdle,
    /// Sends the answer one byte at a time, one each so many milliseconds. Acts.
    Trickle(u64),
    /// Answers with bytes that are no XML. Acts.
    Garbage,
    /// Answers with a document type and an entity. Acts.
    Doctype,
    /// Answers with an exception of this code. Does not act.
    Exception(i32),
    /// Answers that the door failed with this code. Does not act.
    DoorError(i32),
    /// Answers with an XML document cut in half, its length given rightly. Acts.
    HalfPage,
    /// Announces a longer answer than it sends, then closes. Acts.
    WrongLength,
    /// Acts, then closes the connection without an answer.
    LostReply,
    /// Acts, then waits so many milliseconds before it answers.
    Late(u64),
    /// Sends the answer in chunks of HTTP. Acts. No fault, but seldom tested.
    Chunked,
    /// Nobody listens; connections are closed.
    Gone,
}

impl Fault {
    /// Reads a name as in [`crate::command::HELP`], with `:NUMBER` where it takes one.
    ///
    /// # Errors
    /// In words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (name, number) = text
            .split_once(':')
            .map_or((text, None), |(n, v)| (n, Some(v)));
        let number = match number {
            None => None,
            Some(number) => Some(
                number
                    .parse::<u32>()
                    .map_err(|_| format!("{number:?} is no number"))?,
            ),
        };
        let code = |otherwise: i32| number.map_or(otherwise, u32::cast_signed);
        Ok(match name {
            "401" => Self::Unauthorized,
            "500" => Self::InternalError,
            "hang" => Self::Hang,
            "reset" => Self::Reset,
            "stale" => Self::Stale,
            "close-idle" => Self::CloseIdle,
            "trickle" => Self::Trickle(number.unwrap_or(200).into()),
            "garbage" => Self::Garbage,
            "doctype" => Self::Doctype,
            "exception" => Self::Exception(code(4)),
            "door-error" => Self::DoorError(code(401)),
            "half-page" => Self::HalfPage,
            "wrong-length" => Self::WrongLength,
            "lost-reply" => Self::LostReply,
            "late" => Self::Late(number.unwrap_or(3_000).into()),
            "chunked" => Self::Chunked,
            "gone" => Self::Gone,
            _ => return Err(format!("{name:?} is no fault")),
        })
    }

    /// Whether a door opens in spite of it.
    #[must_use]
    pub fn acts(self) -> bool {
        match self {
            Self::Unauthorized
            | Self::InternalError
            | Self::Hang
            | Self::Reset
            | Self::Stale
            | Self::Exception(_)
            | Self::DoorError(_)
            | Self::Gone => false,
            Self::CloseIdle
            | Self::Trickle(_)
            | Self::Garbage
            | Self::Doctype
            | Self::HalfPage
            | Self::WrongLength
            | Self::LostReply
            | Self::Late(_)
            | Self::Chunked => true,
        }
    }
}

/// Which requests a fault is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All.
    Any,
    /// `OnlineDoor.Open`.
    Open,
    /// `GetInfo`.
    Info,
    /// Lists.
    List,
}

impl Scope {
    /// Reads `any`, `open`, `info`, `list`.
    ///
    /// # Errors
    /// In words.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text {
            "any" => Ok(Self::Any),
            "open" => Ok(Self::Open),
            "info" => Ok(Self::Info),
            "list" => Ok(Self::List),
            _ => Err(format!("{text:?} is none of any, open, info, list")),
        }
    }

    fn holds(self, request: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Open => request == "OnlineDoor.Open",
            Self::Info => request == "GetInfo",
            Self::List => request.ends_with("List.Read"),
        }
    }
}

/// A fault with its conditions.
#[derive(Clone, Copy, Debug)]
struct Active {
    fault: Fault,
    scope: Scope,
    /// How many matching requests pass unharmed first.
    skip: u32,
    /// How many requests it is for after that; `None` until it is cleared.
    count: Option<u32>,
}

#[derive(Default)]
struct State {
    active: Option<Active>,
    /// Counts changes, so that those who hang know when theirs is over.
    generation: u64,
    stopping: bool,
    /// Listeners that `gone` closes.
    listeners: Vec<SocketAddr>,
}

/// What is wrong now.
#[derive(Default)]
pub(crate) struct Faults {
    state: Mutex<State>,
    changed: Condvar,
}

impl Faults {
    pub(crate) fn set(&self, fault: Fault, scope: Scope, skip: u32, count: Option<u32>) {
        self.change(Some(Active {
            fault,
            scope,
            skip,
            count,
        }));
    }

    pub(crate) fn clear(&self) {
        self.change(None);
    }

    /// The fault for a request of this name, counted as used.
    pub(crate) fn take(&self, request: &str) -> Option<Fault> {
        let mut state = self.lock();
        let active = state.active.as_mut()?;
        if !active.scope.holds(request) || active.fault == Fault::Stale {
            return None;
        }
        if active.skip > 0 {
            active.skip -= 1;
            return None;
        }
        let fault = active.fault;
        Self::use_up(&mut state);
        Some(fault)
    }

    /// Whether a connection that has answered before is to be reset at its next first byte.
    pub(crate) fn take_stale(&self) -> bool {
        let mut state = self.lock();
        let stale = state
            .active
            .is_some_and(|active| active.fault == Fault::Stale);
        if stale {
            Self::use_up(&mut state);
        }
        stale
    }

    pub(crate) fn name(&self) -> Option<String> {
        self.lock().active.map(|active| format!("{active:?}"))
    }

    pub(crate) fn is_gone(&self) -> bool {
        self.lock()
            .active
            .is_some_and(|active| active.fault == Fault::Gone)
    }

    pub(crate) fn on_gone(&self, listener: SocketAddr) {
        self.lock().listeners.push(listener);
    }

    /// Waits until Space is not gone any more. False when the simulator stops instead.
    pub(crate) fn wait_for_return(&self) -> bool {
        let state = self.lock();
        let gone = |state: &mut State| {
            let gone = state
                .active
                .is_some_and(|active| active.fault == Fault::Gone);
            gone && !state.stopping
        };
        let state = self
            .changed
            .wait_while(state, gone)
            .unwrap_or_else(PoisonError::into_inner);
        !state.stopping
    }

    /// Waits for `duration`, or until the faults change or the simulator stops. True when the
    /// whole time passed.
    pub(crate) fn pause(&self, duration: Duration) -> bool {
        let state = self.lock();
        let generation = state.generation;
        let same = |state: &mut State| state.generation == generation && !state.stopping;
        let waited = self.changed.wait_timeout_while(state, duration, same);
        waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    pub(crate) fn stop(&self) {
        self.lock().stopping = true;
        self.changed.notify_all();
    }

    fn change(&self, active: Option<Active>) {
        let mut state = self.lock();
        state.active = active;
        state.generation += 1;
        let gone = active.is_some_and(|active| active.fault == Fault::Gone);
        let listeners = if gone {
            state.listeners.clone()
        } else {
            Vec::new()
        };
        drop(state);
        self.changed.notify_all();
        for listener in listeners {
            nudge(listener);
        }
    }

    fn use_up(state: &mut State) {
        if let Some(Active {
            count: Some(count), ..
        }) = &mut state.active
        {
            *count -= 1;
            if *count == 0 {
                state.active = None;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_for_its_requests_and_its_count() {
        let faults = Faults::default();
        faults.set(Fault::Garbage, Scope::Open, 1, Some(2));
        assert_eq!(faults.take("GetInfo"), None);
        assert_eq!(faults.take("OnlineDoor.Open"), None);
        assert_eq!(faults.take("OnlineDoor.Open"), Some(Fault::Garbage));
        assert_eq!(faults.take("OnlineDoor.Open"), Some(Fault::Garbage));
        assert_eq!(faults.take("OnlineDoor.Open"), None);
        faults.set(Fault::Hang, Scope::List, 0, None);
        assert_eq!(faults.take("SaltoDBUserList.Read"), Some(Fault::Hang));
        assert_eq!(faults.take("SaltoDBUserList.Read"), Some(Fault::Hang));
        faults.clear();
        assert_eq!(faults.take("SaltoDBUserList.Read"), None);
    }

    #[test]
    fn names_are_read_with_their_numbers() {
        assert_eq!(Fault::parse("exception:502"), Ok(Fault::Exception(502)));
        assert_eq!(Fault::parse("trickle"), Ok(Fault::Trickle(200)));
        assert!(Fault::parse("late:x").is_err());
        assert!(Fault::parse("explode").is_err());
        assert!(!Fault::Hang.acts() && Fault::LostReply.acts());
    }
}
