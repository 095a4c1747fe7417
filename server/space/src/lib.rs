//! Salto Space, as this server knows it: who may open which door, and the opening itself.
//!
//! Pure parts first, bytes and time in, values out:
//!
//! | module | is |
//! | --- | --- |
//! | [`xml`], [`datetime`], [`ext_id`] | text as real Spaces send it, bounded |
//! | [`message`] | SHIP requests and replies |
//! | [`rights`] | the decision: person, door, local time |
//! | [`sync`] | reading a whole site, page by page; what changed |
//! | [`status`] | Connected, Unauthorized, Disconnected; when to ask again |
//! | [`events`] | Space's stream of events |
//! | [`enrolment`] | what Space asks of this server: enrol, disenrol, status |
//! | [`install_script`] | the PowerShell script for Space's machine |
//!
//! Then the parts with sockets: [`transport`] carries one message, [`client`] owns the threads,
//! [`listener`] accepts Space's events. The server's own loop is not here: outcomes come through
//! a function that it hands in.
//!
//! This works with the SHIP messages seen in public clients. The specification is not public.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod client;
pub mod datetime;
pub mod enrolment;
pub mod events;
pub mod ext_id;
pub mod install_script;
pub mod limits;
pub mod listener;
pub mod message;
pub mod rights;
pub mod status;
pub mod sync;
pub mod transport;
pub mod xml;
