//! Latency by stage: each loop records into plain histograms of its own and hands them over once
//! an interval; one thread merges them, keeps the totals for `/metrics`, and writes the log.

pub mod log;
pub mod series;
pub mod stage;

pub use stage::{Stage, StageHistograms, Timings, Worst};
