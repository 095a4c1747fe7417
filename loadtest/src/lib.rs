//! Open-loop load of the device protocol, with a verdict.
//!
//! ```text
//! plan (when, who, which probe) ─> run (sockets) ─> samples ─> summary ─> verdict, reports
//!         probes (known answers) ─────────────────────────────────┘
//! ```
//! Response time counts from the intended start, so that a server which makes the generator wait
//! does not hide it; service time, from the first byte's sending, stands beside it.

pub mod blocking;
pub mod client;
pub mod commission;
pub mod compare;
pub mod histogram;
pub mod http;
pub mod identity;
pub mod limits;
pub mod mirror;
pub mod plan;
pub mod plot;
pub mod probes;
pub mod ramp;
pub mod report;
pub mod rng;
pub mod run;
pub mod sample;
pub mod summary;
pub mod tls;
pub mod verdict;
