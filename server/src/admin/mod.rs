//! Administration: what the command line asks of the running server, over a Unix socket, one JSON
//! object a line each way. The same requests are carried out without a server by a command that
//! holds the data directory's lock itself.

pub mod client;
pub mod devices;
pub mod enrol;
pub mod message;
pub mod socket;
