//! Cardea: the server of a face-access system.
//!
//! One access request goes `net` -> `tls` -> `http` -> `api` -> `work` -> `access` -> `audit` ->
//! `net`; ARCHITECTURE.md tells it file by file.

pub mod access;
pub mod admin;
pub mod api;
pub mod audit;
pub mod authorise;
pub mod background;
pub mod backup;
pub mod calibrate;
pub mod cli;
pub mod clock;
pub mod completions;
pub mod config;
pub mod connect;
pub mod console;
pub mod directory;
pub mod enrol;
pub mod error;
pub mod histograms;
pub mod host;
pub mod http;
pub mod install;
pub mod limits;
pub mod metrics;
pub mod net;
pub mod pace;
pub mod pki;
pub mod recent_log;
pub mod secrets;
pub mod serve;
#[cfg(test)]
mod simulation;
pub mod site;
pub mod space;
pub mod store;
mod sync;
pub mod tls;
pub mod whole;
pub mod work;
pub mod writer;
