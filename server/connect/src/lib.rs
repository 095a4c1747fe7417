//! Connect: how an operator watches and keeps many sites, over MQTT with client certificates.
//!
//! - `topics`, `message`, `command`: what is said where; TOPICS.md describes it for others
//! - `client`: the thread that talks to the broker
//! - `session`: what one connection has published and not seen acknowledged; pure
//! - `backoff`: when to try again; pure
//! - `fault`: why a connection ended, and what the status shows for it
//! - `tls`: keys, certificates, revocation lists
//! - `authority`: HTTPS to who issues the site's certificate; `join`: the code and its exchange
//! - `update`: signed manifests, and files fetched by ranges
//!
//! Nothing here knows a person: no message has a field that could name one.

pub mod authority;
pub mod backoff;
pub mod client;
pub mod command;
pub mod fault;
pub mod join;
pub mod limits;
mod link;
pub mod message;
mod session;
pub mod status;
pub mod tls;
pub mod topics;
pub mod update;
