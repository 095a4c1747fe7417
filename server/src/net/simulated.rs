//! The front end's side of the contract, for simulations: exchanges without sockets.

use super::{ExchangeId, Key, Replies, Reply, Response};

/// What a service wanted done.
#[derive(Debug)]
pub(crate) enum Told {
    /// An exchange is answered.
    Answer(ExchangeId, Response),
    /// A device's connections close.
    CloseDevice([u8; 32]),
    /// An exchange's connection closes without an answer.
    Close,
}

impl ExchangeId {
    /// The only exchange of a connection with a number of its own.
    pub(crate) fn simulated(connection: u32) -> Self {
        Self {
            connection: Key {
                index: connection,
                generation: 1,
            },
            number: 1,
        }
    }
}

impl Replies {
    /// What the service wants done, in order.
    pub(crate) fn take(&mut self) -> Vec<Told> {
        let told = |reply| match reply {
            Reply::Answer(id, response) => Told::Answer(id, response),
            Reply::CloseDevice(fingerprint) => Told::CloseDevice(fingerprint),
            Reply::Close(_) => Told::Close,
        };
        self.wanted.drain(..).map(told).collect()
    }
}
