//! What is published. Every message is a JSON object with the version `v`; TOPICS.md and the
//! schemas beside it describe each. No field takes free text from a person's record: devices and
//! doors are numbers, and an event can say nothing that its variant has no field for.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::status::Connection;
use crate::topics::VERSION;

/// A moment as messages say it: RFC 3339, UTC, whole seconds.
#[must_use]
pub fn moment(unix_s: i64) -> String {
    let moment = OffsetDateTime::from_unix_timestamp(unix_s).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    moment.format(&Rfc3339).unwrap_or_default()
}

/// A message of the outbox: its version, its id, when it was made, and what it says.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Envelope<'a> {
    /// [`VERSION`].
    pub v: u32,
    /// Never used for two messages of a site: who sees one twice drops the second.
    pub id: &'a str,
    /// When it was made, RFC 3339.
    pub at: String,
    /// What it says.
    #[serde(flatten)]
    pub body: &'a serde_json::Value,
}

impl<'a> Envelope<'a> {
    /// The message's bytes; the same for the same arguments, so that a repeat is a repeat.
    #[must_use]
    pub fn bytes(id: &'a str, at_unix_s: i64, body: &'a serde_json::Value) -> Vec<u8> {
        let envelope = Self {
            v: VERSION,
            id,
            at: moment(at_unix_s),
            body,
        };
        // Keys are texts and numbers finite: there is nothing that JSON cannot say.
        serde_json::to_vec(&envelope).unwrap_or_default()
    }
}

/// Whether the site is there. Retained; the broker itself says `offline` when the site is lost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SiteStatus {
    /// [`VERSION`].
    pub v: u32,
    /// `online`, `offline` (lost) or `stopped` (in good order).
    pub state: SiteState,
    /// The server's version.
    pub version: String,
    /// Since when it is online, RFC 3339; the last will has that of its connection.
    pub since: String,
}

/// Whether the site is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SiteState {
    /// Connected.
    Online,
    /// Lost.
    Offline,
    /// Stopped in good order.
    Stopped,
}

/// Alive, with counts. Not kept while the broker is away: the next one says the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// [`VERSION`].
    pub v: u32,
    /// When, RFC 3339.
    pub at: String,
    /// The server's version.
    pub version: String,
    /// Since the server's start, seconds.
    pub uptime_s: u64,
    /// Devices.
    pub devices: DeviceCounts,
    /// Enrolments.
    pub enrolments: EnrolmentCounts,
    /// Each integration's status by its name.
    pub integrations: BTreeMap<String, Connection>,
    /// Messages that wait for the broker.
    pub outbox: OutboxCounts,
}

/// How many devices there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceCounts {
    /// All that were added.
    pub known: u64,
    /// Of these, with a certificate.
    pub commissioned: u64,
    /// Of these, heard of in the last ten minutes.
    pub alive: u64,
}

/// How many people were asked to enrol, and have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnrolmentCounts {
    /// Asked.
    pub requested: u64,
    /// Enrolled.
    pub completed: u64,
}

/// What waits for the broker, and what was dropped to make room.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutboxCounts {
    /// Waiting.
    pub waiting: u64,
    /// Telemetry dropped for want of room since the site joined.
    pub telemetry_dropped: u64,
}

/// Something has happened. Devices are named by number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all_fields = "snake_case")]
pub enum Event {
    /// The server is ready.
    #[serde(rename = "server.started")]
    ServerStarted {
        /// Its version.
        version: String,
    },
    /// A device was added.
    #[serde(rename = "device.added")]
    DeviceAdded {
        /// The device.
        device: u64,
    },
    /// A device has its certificate.
    #[serde(rename = "device.commissioned")]
    DeviceCommissioned {
        /// The device.
        device: u64,
    },
    /// A device was removed.
    #[serde(rename = "device.removed")]
    DeviceRemoved {
        /// The device.
        device: u64,
    },
    /// An integration has another status than before.
    #[serde(rename = "integration.status")]
    IntegrationStatus {
        /// Which.
        integration: String,
        /// The status now.
        status: Connection,
    },
    /// An integration was set up, changed or taken away.
    #[serde(rename = "integration.changed")]
    IntegrationChanged {
        /// Which.
        integration: String,
    },
    /// People were imported.
    #[serde(rename = "people.imported")]
    PeopleImported {
        /// How many.
        people: u64,
    },
    /// This site's certificate was renewed.
    #[serde(rename = "certificate.renewed")]
    CertificateRenewed {
        /// Until when, RFC 3339.
        until: String,
    },
    /// A message on the command topic was not acted on, and names no command to answer.
    #[serde(rename = "command.refused")]
    CommandRefused {
        /// Why.
        reason: String,
    },
    /// An update is checked and ready to be applied.
    #[serde(rename = "update.staged")]
    UpdateStaged {
        /// Its version.
        version: String,
    },
    /// The server runs as this version now.
    #[serde(rename = "update.applied")]
    UpdateApplied {
        /// The version.
        version: String,
    },
    /// An update was taken back.
    #[serde(rename = "update.rolled_back")]
    UpdateRolledBack {
        /// The version that did not become ready.
        version: String,
    },
    /// Firmware is kept, and devices are told to fetch it.
    #[serde(rename = "firmware.offered")]
    FirmwareOffered {
        /// Its version.
        version: String,
        /// How many devices are told.
        devices: u64,
    },
}

/// Latency of access requests in one minute.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Telemetry {
    /// When it began, RFC 3339.
    pub from: String,
    /// Its length, seconds.
    pub seconds: u64,
    /// Answers by reason; `granted` for those.
    pub answers: BTreeMap<String, u64>,
    /// Stages that have a request, by name.
    pub stages: BTreeMap<String, StageLatency>,
}

/// One stage's latency.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StageLatency {
    /// Requests.
    pub count: u64,
    /// Percentiles and the exact maximum, in microseconds.
    pub p50_us: u64,
    /// See above.
    pub p90_us: u64,
    /// See above.
    pub p99_us: u64,
    /// See above.
    pub p999_us: u64,
    /// See above.
    pub max_us: u64,
    /// The histogram: HdrHistogram V2, base64.
    pub histogram: String,
}

/// What became of a command.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CommandResult {
    /// The command's id.
    pub command: String,
    /// How far it is.
    pub state: CommandState,
    /// Why it was refused or failed, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What it brought, if anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<serde_json::Value>,
}

/// How far a command is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CommandState {
    /// Remembered; it will be carried out once.
    Accepted,
    /// Carried out.
    Done,
    /// Not acted on.
    Refused,
    /// Acted on, and it did not succeed; or the server stopped in the middle.
    Failed,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_message_has_the_same_bytes() {
        let event = Event::DeviceAdded { device: 7 };
        let body = serde_json::to_value(event).expect("JSON");
        let bytes = Envelope::bytes("ab-1", 1_700_000_000, &body);
        assert_eq!(bytes, Envelope::bytes("ab-1", 1_700_000_000, &body));
        let text =
            r#"{"v":1,"id":"ab-1","at":"2023-11-14T22:13:20Z","event":"device.added","device":7}"#;
        let expected: serde_json::Value = serde_json::from_str(text).expect("JSON");
        assert_eq!(
            serde_json::from_slice::<serde_json::Value>(&bytes).expect("JSON"),
            expected
        );
    }
}
