//! Commands to the server, as they come from the broker: checked before anything else looks at
//! them. Time is an argument.

use std::fmt;

use serde::Deserialize;
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::limits::{COMMAND_BYTES_MAX, COMMAND_EXPIRY_MAX};
use crate::topics::{VERSION, is_id};

/// A command that may be acted on, once.
#[derive(Debug, Clone, PartialEq)]
pub struct Command {
    /// Its id; whatever comes again under the same id is a repeat.
    pub id: String,
    /// Nothing is begun after this, Unix seconds.
    pub expires_unix_s: i64,
    /// What to do.
    pub ask: Ask,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "do", content = "with", deny_unknown_fields)]
pub enum Ask {
    /// Adds a device; the result has its commissioning code.
    #[serde(rename = "device.commission")]
    DeviceCommission {
        /// Its name.
        name: String,
        /// Its door's name.
        door: String,
    },
    /// Removes a device.
    #[serde(rename = "device.delete")]
    DeviceDelete {
        /// Its number.
        device: u64,
    },
    /// Sets an integration up.
    #[serde(rename = "integration.set")]
    IntegrationSet {
        /// Which; `space`.
        integration: String,
        /// How, as the integration itself describes it.
        setup: Value,
    },
    /// Makes a key between this server and an integration anew.
    #[serde(rename = "key.rotate")]
    KeyRotate {
        /// Which: `ship` or `face`.
        key: String,
    },
    /// Begins a sync with Space.
    #[serde(rename = "sync")]
    Sync {},
    /// Gathers diagnostics and uploads them to the authority.
    #[serde(rename = "diagnostics")]
    Diagnostics {},
    /// Fetches an update.
    #[serde(rename = "update")]
    Update {
        /// Where its manifest is, below the authority's `/v1/updates/`.
        manifest: String,
        /// Also a version older than the present one.
        #[serde(default)]
        allow_older: bool,
    },
}

impl Ask {
    /// Its name in messages.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::DeviceCommission { .. } => "device.commission",
            Self::DeviceDelete { .. } => "device.delete",
            Self::IntegrationSet { .. } => "integration.set",
            Self::KeyRotate { .. } => "key.rotate",
            Self::Sync {} => "sync",
            Self::Diagnostics {} => "diagnostics",
            Self::Update { .. } => "update",
        }
    }
}

/// Why a command is not acted on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// More than [`COMMAND_BYTES_MAX`] bytes.
    TooLong,
    /// Not the JSON of a command.
    Malformed,
    /// Of another version.
    UnknownVersion,
    /// Its id is none.
    BadId,
    /// No command of this name.
    UnknownCommand,
    /// The command exists and takes other parameters.
    BadParameters,
    /// Its time is over.
    Expired,
    /// It expires further ahead than ids are remembered.
    ExpiresTooLate,
    /// More commands are remembered than there is room for.
    TooMany,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLong => "too long",
            Self::Malformed => "malformed",
            Self::UnknownVersion => "unknown version",
            Self::BadId => "bad id",
            Self::UnknownCommand => "unknown command",
            Self::BadParameters => "bad parameters",
            Self::Expired => "expired",
            Self::ExpiresTooLate => "expires too late",
            Self::TooMany => "too many commands",
        })
    }
}

/// A refusal, and the id that can be answered, if the message has one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Whom the answer names.
    pub id: Option<String>,
    /// Why.
    pub why: Refused,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    v: u32,
    id: String,
    expires: String,
    #[serde(rename = "do")]
    name: String,
    #[serde(default)]
    with: Option<Value>,
}

/// Reads a message of the command topic.
///
/// # Errors
/// Why it is not acted on.
pub fn parse(bytes: &[u8], now_unix_s: i64) -> Result<Command, Refusal> {
    let unnamed = |why| Refusal { id: None, why };
    if bytes.len() > COMMAND_BYTES_MAX {
        return Err(unnamed(Refused::TooLong));
    }
    // The version first: another one may have other fields.
    let value: Value = serde_json::from_slice(bytes).map_err(|_| unnamed(Refused::Malformed))?;
    if !value.is_object() {
        return Err(unnamed(Refused::Malformed));
    }
    let id = value.get("id").and_then(Value::as_str);
    let id = id.filter(|id| is_id(id)).map(str::to_owned);
    let refused = |why| Refusal {
        id: id.clone(),
        why,
    };
    match value.get("v").and_then(Value::as_u64) {
        Some(version) if version == u64::from(VERSION) => {}
        Some(_) => return Err(refused(Refused::UnknownVersion)),
        None => return Err(refused(Refused::Malformed)),
    }
    let wire: Wire = serde_json::from_value(value).map_err(|_| refused(Refused::Malformed))?;
    debug_assert_eq!(wire.v, VERSION, "looked at above");
    if !is_id(&wire.id) {
        return Err(refused(Refused::BadId));
    }
    let expires = OffsetDateTime::parse(&wire.expires, &Rfc3339)
        .map_err(|_| refused(Refused::Malformed))?
        .unix_timestamp();
    if expires <= now_unix_s {
        return Err(refused(Refused::Expired));
    }
    let latest = now_unix_s.saturating_add_unsigned(COMMAND_EXPIRY_MAX.as_secs());
    if expires > latest {
        return Err(refused(Refused::ExpiresTooLate));
    }
    let ask = ask(&wire.name, wire.with).map_err(refused)?;
    Ok(Command {
        id: wire.id,
        expires_unix_s: expires,
        ask,
    })
}

const NAMES: [&str; 7] = [
    "device.commission",
    "device.delete",
    "integration.set",
    "key.rotate",
    "sync",
    "diagnostics",
    "update",
];

fn ask(name: &str, with: Option<Value>) -> Result<Ask, Refused> {
    if !NAMES.contains(&name) {
        return Err(Refused::UnknownCommand);
    }
    let with = with.unwrap_or_else(|| Value::Object(serde_json::Map::new()));
    let tagged = serde_json::json!({"do": name, "with": with});
    serde_json::from_value(tagged).map_err(|_| Refused::BadParameters)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: i64 = 1_700_000_000;
    const SOON: &str = "2023-11-14T22:14:20Z";

    fn refused(value: &Value) -> Refused {
        parse(value.to_string().as_bytes(), NOW)
            .expect_err("refused")
            .why
    }

    #[test]
    fn a_command_is_read_with_its_parameters() {
        let value = json!({"v": 1, "id": "c-1", "expires": SOON, "do": "device.commission",
            "with": {"name": "d1", "door": "main"}});
        let command = parse(value.to_string().as_bytes(), NOW).expect("a command");
        assert_eq!(command.expires_unix_s, NOW + 60);
        assert_eq!(
            command.ask,
            Ask::DeviceCommission {
                name: "d1".to_owned(),
                door: "main".to_owned(),
            }
        );
        let value = json!({"v": 1, "id": "c-2", "expires": SOON, "do": "sync"});
        let command = parse(value.to_string().as_bytes(), NOW).expect("no parameters needed");
        assert_eq!(command.ask, Ask::Sync {});
    }

    /// Each row fails when the check it names is taken out of `parse`.
    #[test]
    fn what_is_wrong_is_refused_by_name() {
        let with = |key: &str, value: Value| {
            let mut command = json!({"v": 1, "id": "c-1", "expires": SOON, "do": "sync"});
            command[key] = value;
            command
        };
        assert_eq!(refused(&json!([1])), Refused::Malformed);
        assert_eq!(refused(&with("v", json!(2))), Refused::UnknownVersion);
        assert_eq!(refused(&with("v", json!("1"))), Refused::Malformed);
        assert_eq!(refused(&with("more", json!(1))), Refused::Malformed);
        assert_eq!(refused(&with("id", json!("a/b"))), Refused::BadId);
        assert_eq!(refused(&with("id", json!(7))), Refused::Malformed);
        assert_eq!(refused(&with("do", json!("rm"))), Refused::UnknownCommand);
        assert_eq!(
            refused(&with("with", json!({"x": 1}))),
            Refused::BadParameters
        );
        assert_eq!(refused(&with("expires", json!("soon"))), Refused::Malformed);
        let at = |unix_s| json!(crate::message::moment(unix_s));
        assert_eq!(refused(&with("expires", at(NOW))), Refused::Expired);
        let far = NOW + COMMAND_EXPIRY_MAX.as_secs() as i64 + 1;
        assert_eq!(refused(&with("expires", at(far))), Refused::ExpiresTooLate);
        let long = with("do", json!("x".repeat(COMMAND_BYTES_MAX)));
        assert_eq!(refused(&long), Refused::TooLong);
        let bytes = [b'[', 0xff];
        assert_eq!(
            parse(&bytes, NOW).expect_err("not UTF-8").why,
            Refused::Malformed
        );
        let deep = "[".repeat(10_000);
        assert_eq!(
            parse(deep.as_bytes(), NOW).expect_err("too deep").why,
            Refused::Malformed
        );
    }
}
