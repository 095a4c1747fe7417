//! The access path as one deterministic simulation from a seed.
//!
//! Real are the loop's service ([`crate::api::Api`] with its attempts, state machines and gates),
//! the work queue and the engine, the writer with its store and what it publishes, the audit with
//! its database and its repeats, the client of Space up to its connections, and the messages of
//! devices and of Space. The world around them is simulated: the clock, the turns of the threads,
//! the network, the disk's refusals, crashes, Space, devices, administrators. No thread runs; what
//! each would do is an event, and any other may come between.
//!
//! - `world`: the events; `devices`, `people`, `space`: who causes them; `mood`: how often
//! - `server`: one life of the server; `site`: the folder it lives in
//! - `truth`: what is so, kept apart from the server; `judge`: the promises
//! - `canary`: faults that break a promise for certain
//!
//! `CARDEA_SEEDS=N` runs N seeds, `CARDEA_SEED=S` runs that one.

mod canary;
mod chance;
mod devices;
mod judge;
mod mood;
mod people;
mod server;
mod site;
mod space;
mod tests;
mod truth;
mod world;

use std::cell::Cell;
use std::time::Duration;

/// When every simulation begins, Unix time in microseconds.
const START_UNIX_US: i64 = 1_800_000_000_000_000;

thread_local! {
    static CALENDAR_US: Cell<Option<i64>> = const { Cell::new(None) };
}

/// What the calendar of this thread's simulation shows since the Unix epoch.
pub(crate) fn calendar() -> Option<Duration> {
    let us = CALENDAR_US.get()?;
    Some(Duration::from_micros(us.unsigned_abs()))
}

fn set_calendar(us: Option<i64>) {
    CALENDAR_US.set(us);
}
