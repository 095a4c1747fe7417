//! From a request's bytes to an answer, and how to deliver it.

use std::time::{Duration, SystemTime};

use crate::fault::Fault;
use crate::ledger::Entry;
use crate::message::Call;
use crate::ship;
use crate::world::World;

/// A pause that only a change of faults, or the end, cuts short.
const FOR_EVER: Duration = Duration::from_secs(86_400);

/// The request that opens doors.
const OPEN: &str = "OnlineDoor.Open";

/// How an answer reaches the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// As it should be.
    Whole,
    /// As it should be, and then the connection closes without notice.
    ThenClose,
    /// A byte at a time, with so much time between two.
    Trickle(Duration),
    /// In chunks.
    Chunked,
    /// With a length that is too large, and then the connection closes.
    WrongLength,
    /// Only this HTTP status; over TCP, which has none, the connection closes.
    Status(u16),
    /// Not at all: the connection closes.
    Close,
    /// Not at all: the connection is reset.
    Reset,
}

/// What to send, and what to note once it was sent.
pub(crate) struct Answer {
    pub(crate) body: Vec<u8>,
    pub(crate) delivery: Delivery,
    entries: Vec<u64>,
}

impl Answer {
    fn only(delivery: Delivery) -> Self {
        Self {
            body: Vec::new(),
            delivery,
            entries: Vec::new(),
        }
    }

    /// The answer was handed to the network as a whole and true one.
    pub(crate) fn delivered(&self, world: &World) {
        let mut ledger = world.ledger();
        for entry in &self.entries {
            ledger.answered(*entry);
        }
    }
}

/// Takes the time an answer takes, opens what is to be opened, and says what to send. `key` is
/// that of the request; `None` over TCP, which has none.
pub(crate) fn answer(world: &World, connection: u64, key: Option<&str>, body: &[u8]) -> Answer {
    world.count_request();
    if key.is_some_and(|key| key != world.key()) {
        return Answer::only(Delivery::Status(401));
    }
    let style = world.site().style();
    let Some(call) = std::str::from_utf8(body).ok().and_then(Call::parse) else {
        let text = ship::exception("", 500, "malformed XML");
        let body = ship::encode(ship::document(style, &text));
        return Answer {
            body,
            ..Answer::only(Delivery::Whole)
        };
    };
    let fault = world.faults.take(&call.name);
    let pause = world.sampler().sample(call.name == OPEN);
    if !pause.is_zero() {
        std::thread::sleep(pause);
    }
    let asked = Asked {
        world,
        connection,
        held_ms: u64::try_from(pause.as_millis()).unwrap_or(u64::MAX),
        fault,
    };
    if fault == Some(Fault::Hang) {
        asked.enter_all(&call);
        world.faults.pause(FOR_EVER);
        return Answer::only(Delivery::Close);
    }
    let (text, entries) = asked.act(&call);
    let mut body = ship::encode(world.rewritten(ship::document(style, &text)));
    let delivery = match fault {
        None => Delivery::Whole,
        Some(Fault::Unauthorized) => Delivery::Status(401),
        Some(Fault::InternalError) => Delivery::Status(500),
        Some(Fault::Hang | Fault::LostReply | Fault::Gone) => Delivery::Close,
        Some(Fault::Reset | Fault::Stale) => Delivery::Reset,
        Some(Fault::CloseIdle) => Delivery::ThenClose,
        Some(Fault::Trickle(ms)) => Delivery::Trickle(Duration::from_millis(ms)),
        Some(Fault::Chunked) => Delivery::Chunked,
        Some(Fault::WrongLength) => Delivery::WrongLength,
        Some(Fault::Exception(_) | Fault::DoorError(_)) => Delivery::Whole,
        Some(Fault::Garbage) => {
            body = b"\x00\xFF<<<&&& this is no XML".repeat(20);
            Delivery::Whole
        }
        Some(Fault::Doctype) => {
            body = format!("<!DOCTYPE a [<!ENTITY b \"0\">]>{text}").into_bytes();
            Delivery::Whole
        }
        Some(Fault::HalfPage) => {
            body.truncate(body.len() / 2);
            Delivery::Whole
        }
        Some(Fault::Late(ms)) => {
            world.faults.pause(Duration::from_millis(ms));
            Delivery::Whole
        }
    };
    Answer {
        body,
        delivery,
        entries,
    }
}

/// What a request meets here.
struct Asked<'w> {
    world: &'w World,
    connection: u64,
    held_ms: u64,
    fault: Option<Fault>,
}

impl Asked<'_> {
    /// The text of the answer, and the ledger's entries that it answers truly.
    fn act(&self, call: &Call) -> (String, Vec<u64>) {
        if call.name != OPEN {
            let text = match self.fault {
                Some(Fault::Exception(code)) => ship::exception(&call.name, code, "simulated"),
                _ => ship::answer(&self.world.site(), call, &local_time()),
            };
            return (text, Vec::new());
        }
        let entries = self.enter_all(call);
        let text = match self.fault {
            Some(Fault::Exception(code)) => ship::exception(&call.name, code, "simulated"),
            Some(Fault::DoorError(code)) => {
                ship::opened(entries.iter().map(|(door, ..)| (*door, code)))
            }
            _ => {
                let code = |is_known: bool| if is_known { 0 } else { 100 };
                ship::opened(
                    entries
                        .iter()
                        .map(|&(door, is_known, _)| (door, code(is_known))),
                )
            }
        };
        (
            text,
            entries.into_iter().map(|(.., number)| number).collect(),
        )
    }

    /// Enters each door of an `OnlineDoor.Open`: the door, whether there is such a one, its entry.
    fn enter_all<'a>(&self, call: &'a Call) -> Vec<(&'a str, bool, u64)> {
        if call.name != OPEN {
            return Vec::new();
        }
        let site = self.world.site();
        let by_id = call
            .all("ExtDoorID")
            .map(|door| (door, site.doors.contains_key(door)));
        let by_name = call.all("DoorID").map(|door| {
            let is_known = site.doors.values().any(|known| known.name == door);
            (door, is_known)
        });
        let doors: Vec<_> = by_id.chain(by_name).collect();
        drop(site);
        let mut ledger = self.world.ledger();
        let at_ms = u64::try_from(self.world.elapsed().as_millis()).unwrap_or(u64::MAX);
        let enter = |(door, is_known): (&'a str, bool)| {
            let number = ledger.add(Entry {
                number: 0,
                at_ms,
                door: door.to_owned(),
                connection: self.connection,
                opened: is_known && self.fault.is_none_or(Fault::acts),
                held_ms: self.held_ms,
                answered: false,
                fault: self.fault.map(|fault| format!("{fault:?}")),
            });
            (door, is_known, number)
        };
        doors.into_iter().map(enter).collect()
    }
}

/// UTC, which is the simulated site's time zone, unpadded as older Spaces write it.
fn local_time() -> String {
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let seconds = since_1970.map_or(0, |since| since.as_secs());
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    // Days to a date of the Gregorian calendar, counted from 0000-03-01.
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let of_era = shifted % 146_097;
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + u64::from(month <= 2);
    format!(
        "{year}-{month}-{day}T{}:{}:{}",
        rest / 3_600,
        rest / 60 % 60,
        rest % 60
    )
}
