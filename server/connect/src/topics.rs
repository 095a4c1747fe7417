//! The names of the topics: `cardea/v1/<site>/<what>`.

use crate::limits::ID_CHARS_MAX;

/// The version of topics and messages that this crate speaks.
pub const VERSION: u32 = 1;

/// What is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Online or not; retained, also the last will.
    Status,
    /// Alive, with counts.
    Heartbeat,
    /// Something has happened.
    Event,
    /// Latency by stage, every minute.
    Telemetry,
    /// What became of a command.
    Result,
}

/// All that is published.
pub const ALL: [Kind; 5] = [
    Kind::Status,
    Kind::Heartbeat,
    Kind::Event,
    Kind::Telemetry,
    Kind::Result,
];

impl Kind {
    /// The last level of the topic.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Heartbeat => "heartbeat",
            Self::Event => "event",
            Self::Telemetry => "telemetry",
            Self::Result => "result",
        }
    }

    /// Whether the broker keeps the last one for who subscribes later.
    #[must_use]
    pub fn is_retained(self) -> bool {
        self == Self::Status
    }
}

/// The topics of one site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topics {
    prefix: String,
}

impl Topics {
    /// The topics of the site of this id; `None` for what is no id, as [`is_id`] says.
    #[must_use]
    pub fn of(site: &str) -> Option<Self> {
        is_id(site).then(|| Self {
            prefix: format!("cardea/v1/{site}/"),
        })
    }

    /// Where this is published.
    #[must_use]
    pub fn of_kind(&self, kind: Kind) -> String {
        format!("{}{}", self.prefix, kind.name())
    }

    /// Where commands for the site are published; the site only subscribes to it.
    #[must_use]
    pub fn command(&self) -> String {
        format!("{}command", self.prefix)
    }
}

/// Whether a text can name a site or a command: 1 to 64 letters, digits, `-` and `_`. So it can
/// hold no wildcard and no other level of a topic.
#[must_use]
pub fn is_id(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (1..=ID_CHARS_MAX).contains(&text.len()) && text.bytes().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fails when `is_id` takes `+`, `#` or `/`: a site could then listen to others.
    #[test]
    fn a_site_reaches_no_other_sites_topics() {
        for id in [
            "",
            "+",
            "#",
            "a/b",
            "a b",
            "ä",
            &"x".repeat(ID_CHARS_MAX + 1),
        ] {
            assert_eq!(Topics::of(id), None, "{id}");
        }
        let topics = Topics::of("site-7_A").expect("an id");
        assert_eq!(topics.command(), "cardea/v1/site-7_A/command");
        assert_eq!(topics.of_kind(Kind::Event), "cardea/v1/site-7_A/event");
        assert!(Topics::of(&"x".repeat(ID_CHARS_MAX)).is_some());
    }
}
