//! Space's stream of events: JSON arrays one after the other, in whatever pieces TCP brings.
//!
//! Which fields an event has depends on what was ticked in Space's wizard, and the framing is
//! documented nowhere public. So the stream is taken apart object by object, whatever stands
//! around the objects must be an array's punctuation, and every field is optional.

use std::fmt;

use serde_json::{Map, Value};

use crate::datetime::LocalDateTime;
use crate::ext_id::ExtId;
use crate::limits::EVENT_BYTES_MAX;
use crate::message::reply::shorten;

/// One event. Texts are shortened to [`crate::limits::WHY_BYTES_MAX`] bytes; absent ones are empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpaceEvent {
    /// `EventID`, a string of 20 digits.
    pub id: String,
    /// `EventDateTime`, the site's local time.
    pub time: Option<LocalDateTime>,
    /// `EventDateTimeUTC`, in seconds since 1970.
    pub time_unix_s: Option<i64>,
    /// `OperationID`.
    pub operation: Option<u32>,
    /// `OperationDescription`, in Space's language.
    pub description: String,
    /// `IsExit`.
    pub is_exit: bool,
    /// `UserType`.
    pub subject: Option<Subject>,
    /// `UserName`.
    pub user_name: String,
    /// `UserExtID`.
    pub user: Option<ExtId>,
    /// `DoorName`.
    pub door_name: String,
    /// `DoorExtID`.
    pub door: Option<ExtId>,
}

/// Who or what an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// `UserType` 0.
    Cardholder,
    /// `UserType` 1.
    Door,
    /// `UserType` 2.
    Software,
}

/// What an administrator wants to see beside our own attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Notable {
    /// Operation 60.
    Intrusion,
    /// Operation 61.
    Tamper,
    /// Operation 62.
    LeftOpen,
    /// Operation 63.
    LeftOpenEnded,
    /// Operations 82, 84, 85, 90 and 103: somebody was denied at the door itself.
    DeniedAtDoor,
    /// Operation 115.
    LowBattery,
}

impl SpaceEvent {
    /// What the event is, where it is worth showing.
    #[must_use]
    pub fn notable(&self) -> Option<Notable> {
        match self.operation? {
            60 => Some(Notable::Intrusion),
            61 => Some(Notable::Tamper),
            62 => Some(Notable::LeftOpen),
            63 => Some(Notable::LeftOpenEnded),
            82 | 84 | 85 | 90 | 103 => Some(Notable::DeniedAtDoor),
            115 => Some(Notable::LowBattery),
            _ => None,
        }
    }

    /// The operation in words, by its number where that is known, as Space describes it
    /// otherwise.
    #[must_use]
    pub fn words(&self) -> &str {
        match self.operation {
            Some(17) => "key used",
            Some(28) => "online command",
            Some(60) => "intrusion",
            Some(61) => "tamper",
            Some(62) => "door left open",
            Some(63) => "door left open, ended",
            Some(82) => "denied at the door: key expired",
            Some(84) => "denied at the door: not allowed here",
            Some(85) => "denied at the door: outside time",
            Some(90) => "denied at the door: anti-passback",
            Some(103) => "denied at the door by the host",
            Some(115) => "low battery",
            Some(_) | None => &self.description,
        }
    }
}

/// Why a stream is not followed any further. The connection should be closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventError {
    /// A byte that can stand neither in nor between arrays of objects; CSV, for example.
    NotJson {
        /// Which.
        byte: u8,
    },
    /// An object that is none after all.
    Malformed,
    /// An object of more than [`EVENT_BYTES_MAX`] bytes.
    TooLong,
}

impl fmt::Display for EventError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotJson { byte } => {
                let byte = byte.escape_ascii();
                write!(
                    f,
                    "the event stream is not JSON arrays of objects: found '{byte}'"
                )
            }
            Self::Malformed => f.write_str("an event is malformed JSON"),
            Self::TooLong => write!(f, "an event is longer than {EVENT_BYTES_MAX} bytes"),
        }
    }
}

impl std::error::Error for EventError {}

/// Takes a stream apart. Holds at most one object.
#[derive(Debug, Default)]
pub struct EventStream {
    object: Vec<u8>,
    /// Braces and brackets open within the object.
    depth: usize,
    in_array: bool,
    in_string: bool,
    is_escaped: bool,
    started: bool,
}

impl EventStream {
    /// Takes the next bytes, and hands each event that they complete to `found`.
    ///
    /// # Errors
    /// Any [`EventError`], after which the stream cannot be followed.
    pub fn feed(
        &mut self,
        bytes: &[u8],
        mut found: impl FnMut(SpaceEvent),
    ) -> Result<(), EventError> {
        for &byte in bytes {
            if self.depth == 0 {
                self.between(byte)?;
            } else {
                self.within(byte)?;
                if self.depth == 0 {
                    found(parse(&self.object)?);
                    self.object.clear();
                }
            }
        }
        Ok(())
    }

    fn between(&mut self, byte: u8) -> Result<(), EventError> {
        // A byte order mark may start the stream.
        let may_start = !self.started && matches!(byte, 0xEF | 0xBB | 0xBF);
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' => return Ok(()),
            b'[' if !self.in_array => self.in_array = true,
            b']' if self.in_array => self.in_array = false,
            b',' if self.in_array => {}
            b'{' => {
                self.object.push(byte);
                self.depth = 1;
            }
            _ if may_start => return Ok(()),
            _ => return Err(EventError::NotJson { byte }),
        }
        self.started = true;
        Ok(())
    }

    fn within(&mut self, byte: u8) -> Result<(), EventError> {
        if self.object.len() == EVENT_BYTES_MAX {
            return Err(EventError::TooLong);
        }
        self.object.push(byte);
        if self.in_string {
            match byte {
                _ if self.is_escaped => self.is_escaped = false,
                b'\\' => self.is_escaped = true,
                b'"' => self.in_string = false,
                _ => {}
            }
            return Ok(());
        }
        match byte {
            b'"' => self.in_string = true,
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => self.depth -= 1,
            _ => {}
        }
        Ok(())
    }
}

fn parse(object: &[u8]) -> Result<SpaceEvent, EventError> {
    let fields: Map<String, Value> =
        serde_json::from_slice(object).map_err(|_| EventError::Malformed)?;
    let text = |name: &str| match fields.get(name) {
        Some(Value::String(text)) => shorten(text.trim().to_owned()),
        Some(Value::Number(number)) => number.to_string(),
        _ => String::new(),
    };
    let truth = |name: &str| match fields.get(name) {
        Some(Value::Bool(truth)) => *truth,
        _ => matches!(text(name).as_str(), "1" | "true" | "True"),
    };
    Ok(SpaceEvent {
        id: text("EventID"),
        time: LocalDateTime::parse(&text("EventDateTime")),
        time_unix_s: utc(&text("EventDateTimeUTC")),
        operation: text("OperationID").parse().ok(),
        description: text("OperationDescription"),
        is_exit: truth("IsExit"),
        subject: match text("UserType").as_str() {
            "0" => Some(Subject::Cardholder),
            "1" => Some(Subject::Door),
            "2" => Some(Subject::Software),
            _ => None,
        },
        user_name: text("UserName"),
        user: ExtId::parse(&text("UserExtID")),
        door_name: text("DoorName"),
        door: ExtId::parse(&text("DoorExtID")),
    })
}

/// UTC with or without the letter that says so.
fn utc(text: &str) -> Option<i64> {
    let text = text.strip_suffix('Z').unwrap_or(text);
    LocalDateTime::parse(text).map(LocalDateTime::seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pieces: &[&[u8]]) -> Result<Vec<SpaceEvent>, EventError> {
        let mut stream = EventStream::default();
        let mut events = Vec::new();
        for piece in pieces {
            stream.feed(piece, |event| events.push(event))?;
        }
        Ok(events)
    }

    const TWO_ARRAYS: &str = r#"[{"EventID":"00000000000000000042","EventDateTime":
        "2023-10-29T24:00:00","EventDateTimeUTC":"2023-10-29T22:00:00Z","OperationID":62,
        "OperationDescription":"Puerta \"abierta\" ]}","IsExit":true,"UserType":1,
        "DoorName":"Front","DoorExtID":"20001","Extra":[{"a":[1]}]},{"OperationID":"103",
        "UserType":"0","UserExtID":"4597bba325a95dc1228008dbbe7ba912","IsExit":0}]
        [] [{"EventID":"3"}]"#;

    #[test]
    fn arrays_one_after_the_other_are_read_in_any_pieces() {
        let whole = read(&[TWO_ARRAYS.as_bytes()]).unwrap();
        assert_eq!(whole.len(), 3);
        let first = &whole[0];
        assert_eq!(
            (first.id.as_str(), first.operation),
            ("00000000000000000042", Some(62))
        );
        assert_eq!(first.time_unix_s, Some(1_698_616_800));
        assert_eq!(first.time, LocalDateTime::parse("2023-10-30T00:00:00"));
        assert_eq!(
            (first.notable(), first.words()),
            (Some(Notable::LeftOpen), "door left open")
        );
        assert_eq!(first.description, "Puerta \"abierta\" ]}");
        assert!(first.is_exit && first.subject == Some(Subject::Door));
        assert_eq!(whole[1].notable(), Some(Notable::DeniedAtDoor));
        assert_eq!(
            whole[1].user.as_ref().unwrap().as_str(),
            "4597BBA325A95DC1228008DBBE7BA912"
        );
        assert_eq!((whole[2].notable(), whole[2].words()), (None, ""));
        for cut in 0..TWO_ARRAYS.len() {
            let (one, other) = TWO_ARRAYS.as_bytes().split_at(cut);
            assert_eq!(read(&[one, other]).unwrap(), whole, "cut at {cut}");
        }
        let bytes: Vec<&[u8]> = TWO_ARRAYS.as_bytes().chunks(1).collect();
        assert_eq!(read(&bytes).unwrap(), whole);
        let marked = [b"\xEF\xBB\xBF".as_slice(), TWO_ARRAYS.as_bytes()];
        assert_eq!(read(&marked).unwrap(), whole);
        // Objects without an array are taken too.
        assert_eq!(read(&[b"{} {}"]).unwrap().len(), 2);
    }

    /// Fails if an operation worth naming is taken for another, or left out.
    #[test]
    fn every_operation_worth_naming_is_known_by_its_number() {
        let known = [
            (17, None, "key used"),
            (28, None, "online command"),
            (60, Some(Notable::Intrusion), "intrusion"),
            (61, Some(Notable::Tamper), "tamper"),
            (62, Some(Notable::LeftOpen), "door left open"),
            (63, Some(Notable::LeftOpenEnded), "door left open, ended"),
            (
                82,
                Some(Notable::DeniedAtDoor),
                "denied at the door: key expired",
            ),
            (
                84,
                Some(Notable::DeniedAtDoor),
                "denied at the door: not allowed here",
            ),
            (
                85,
                Some(Notable::DeniedAtDoor),
                "denied at the door: outside time",
            ),
            (
                90,
                Some(Notable::DeniedAtDoor),
                "denied at the door: anti-passback",
            ),
            (
                103,
                Some(Notable::DeniedAtDoor),
                "denied at the door by the host",
            ),
            (115, Some(Notable::LowBattery), "low battery"),
        ];
        for operation in 0..200 {
            let event = SpaceEvent {
                operation: Some(operation),
                description: "Otra cosa".to_owned(),
                ..SpaceEvent::default()
            };
            let found = known.iter().find(|(number, ..)| *number == operation);
            let expected = found.map_or((None, "Otra cosa"), |(_, what, words)| (*what, *words));
            assert_eq!((event.notable(), event.words()), expected, "{operation}");
        }
    }

    #[test]
    fn other_streams_are_left_at_once() {
        let csv = read(&[b"EventID;DoorName\r\n1;Front"]);
        assert_eq!(csv, Err(EventError::NotJson { byte: b'E' }));
        assert_eq!(
            read(&[b"GET / HTTP/1.1"]),
            Err(EventError::NotJson { byte: b'G' })
        );
        assert_eq!(read(&[b"[["]), Err(EventError::NotJson { byte: b'[' }));
        assert_eq!(read(&[b"]"]), Err(EventError::NotJson { byte: b']' }));
        assert_eq!(read(&[b"{a}"]), Err(EventError::Malformed));
        assert_eq!(read(&[b"{]"]), Err(EventError::Malformed));
    }

    #[test]
    fn an_event_is_bounded_and_its_depth_too() {
        let of = |length: usize| {
            let padding = "x".repeat(length - r#"{"a":""}"#.len());
            format!(r#"{{"a":"{padding}"}}"#)
        };
        assert_eq!(read(&[of(EVENT_BYTES_MAX).as_bytes()]).unwrap().len(), 1);
        assert_eq!(
            read(&[of(EVENT_BYTES_MAX + 1).as_bytes()]),
            Err(EventError::TooLong)
        );
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000));
        assert_eq!(read(&[deep.as_bytes()]), Err(EventError::Malformed));
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(0u8..=255, 0..200)) {
            let _ = read(&[&bytes]);
        }

        #[test]
        fn no_json_like_bytes_panic(text in "[\\[\\]{}\",:\\\\a0 ]{0,60}") {
            let _ = read(&[text.as_bytes()]);
        }
    }
}
