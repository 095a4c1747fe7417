//! What threads of the server share, under `shuttle`: a scheduler that runs one thread at a time
//! and lets chance choose who goes on at every step. The sources are the server's own, compiled
//! anew with `sync` of this crate in the place of the server's.
//!
//! - `sync`: atomics and threads of `shuttle`; a channel and a published pointer made of its locks
//! - `site`: of the shared state of a site, what publishing touches
//! - `models`: the models; each names a one-line change of the server that makes it fail

// The server's sources bring more than the models use, and are documented for the server.
// Built for its tests only: compiled as a test itself, it would take the sources' tests along.
#![cfg(not(test))]
#![allow(dead_code, unused_imports, unreachable_pub, missing_docs)]

pub mod models;
mod site;
mod sync;

#[path = "../../../server/src/completions.rs"]
#[rustfmt::skip]
mod completions;
#[path = "../../../server/src/space/gate.rs"]
#[rustfmt::skip]
mod gate;
#[path = "../../../server/src/metrics/handover.rs"]
#[rustfmt::skip]
mod handover;
#[path = "../../../server/src/writer/publish.rs"]
#[rustfmt::skip]
mod publish;
#[path = "../../../server/src/work.rs"]
#[rustfmt::skip]
mod work;

// What these sources name beside each other is the server's.
use cardea::metrics::Interval;
use cardea::{access, api, directory, limits, metrics, store};

/// As `writer::error`.
mod error {
    pub(crate) use cardea::writer::WriterError;
}
