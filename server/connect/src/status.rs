//! Whether the broker can be reached: the same four words as for Space.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What the integration's card shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Connection {
    /// Not joined, or joined and not tried yet.
    #[serde(rename = "No status")]
    NoStatus,
    /// The broker has accepted this site.
    Connected,
    /// The broker refuses this site's certificate or its topics.
    Unauthorized,
    /// Anything else that fails.
    Disconnected,
}

impl Connection {
    /// The word for people and messages.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::NoStatus => "No status",
            Self::Connected => "Connected",
            Self::Unauthorized => "Unauthorized",
            Self::Disconnected => "Disconnected",
        }
    }
}

impl fmt::Display for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// The card's whole content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// What the broker is to us now.
    pub connection: Connection,
    /// Since when, Unix seconds.
    pub since_unix_s: i64,
    /// Why, in words; empty while connected.
    pub why: String,
}
