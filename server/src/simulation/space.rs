//! Space, and the connections to it: late, lost, hanging, wrong, or away.

use std::collections::BTreeMap;
use std::sync::Arc;

use cardea_space::client::Opening;
use cardea_space::transport::{CallError, Fault};

use super::canary::Canary;
use super::judge::Verdict;
use super::site::DOORS;
use super::truth::{KnownOfSpace, SpacePerson};
use super::world::{Event, MS, World};

/// Connections for opening doors.
const CONNECTIONS: usize = 3;

/// How a call goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Plan {
    Opens,
    Refuses,
    Exception,
    Status(u16),
    Garbage,
    OtherDoor,
    NoCode,
    Lost,
    Hangs,
    NoConnection,
}

struct Call {
    opening: Opening,
    plan: Plan,
    /// The kept connection turns out to be closed before it takes a byte.
    stale: bool,
    sequence: Option<u64>,
}

/// Space as it is, whatever the server knows of it.
#[derive(Default)]
pub(super) struct Space {
    people: BTreeMap<String, SpacePerson>,
    calls: BTreeMap<u64, Call>,
    calls_made: u64,
    connected: bool,
}

impl Space {
    pub(super) fn lost_connections(&mut self) {
        self.calls.clear();
        self.connected = false;
    }
}

impl World {
    /// The server talks to Space from here on; until the first sync nobody passes.
    pub(super) fn space_began(&mut self) {
        self.server().space_synced(None);
        let us = self.clock.us;
        let known = KnownOfSpace::default();
        self.judge
            .truth
            .change(us, |state| state.space = Some(known));
        self.soon(1, 30 * MS, Event::Probe(true));
        self.soon(1, 60 * MS, Event::Sync);
    }

    pub(super) fn probed(&mut self, answered: bool) {
        let (us, unix_s) = self.now();
        let since = std::time::Duration::from_micros(us);
        self.server().space_probed(answered, since, unix_s);
        self.space.connected = answered;
        if answered {
            self.change_known(|known| known.has_clock = true);
        } else {
            self.judge.tally.note("fault: Space away");
            self.soon(50 * MS, 900 * MS, Event::Probe(true));
        }
    }

    pub(super) fn synced(&mut self) {
        let people = Arc::new(self.space.people.clone());
        self.server().space_synced(Some(&people));
        self.change_known(|known| known.people = Some(people));
    }

    fn change_known(&mut self, change: impl FnOnce(&mut KnownOfSpace)) {
        let us = self.clock.us;
        self.judge.truth.change(us, |state| {
            if let Some(known) = &mut state.space {
                change(known);
            }
        });
    }

    /// Space has somebody of this name too, most of the time.
    pub(super) fn space_person(&mut self, name: &str) {
        if !self.mood.with_space || self.chance.percent(10) {
            return;
        }
        let doors = DOORS.into_iter().filter_map(|(_, space_door)| space_door);
        let doors = doors.filter(|_| self.chance.percent(80)).collect();
        let person = SpacePerson {
            doors,
            ..SpacePerson::default()
        };
        self.space.people.insert(name.to_owned(), person);
        self.soon(1, 300 * MS, Event::Sync);
    }

    /// An administrator of Space does something, or Space goes away for a while.
    pub(super) fn change_space(&mut self) {
        if self.chance.percent(25) {
            self.soon(1, 10 * MS, Event::Probe(false));
            return;
        }
        let (_, unix_s) = self.now();
        let names: Vec<String> = self.space.people.keys().cloned().collect();
        if names.is_empty() {
            return;
        }
        let name = self.chance.one(&names).clone();
        let kind = self.chance.below(4);
        let in_s = self.chance.below(3) as i64;
        let door = *self.chance.one(&["20001", "20002"]);
        if kind == 0 {
            self.space.people.remove(&name);
        } else if let Some(person) = self.space.people.get_mut(&name) {
            match kind {
                1 => person.banned = !person.banned,
                2 => person.expires_unix_s = Some(unix_s + in_s),
                _ if person.doors.contains(door) => drop(person.doors.remove(door)),
                _ => drop(person.doors.insert(door)),
            }
        }
        self.soon(1, 300 * MS, Event::Sync);
    }

    /// Connections that are free take what waits.
    pub(super) fn take_opens(&mut self) {
        while self.space.calls.len() < CONNECTIONS {
            let now = self.clock.instant();
            let Some(opening) = self.server().driven.take(now) else {
                return;
            };
            let plan = if self.chance.percent(self.mood.odd_space) {
                *self.chance.one(&[
                    Plan::Refuses,
                    Plan::Exception,
                    Plan::Status(500),
                    Plan::Status(401),
                    Plan::Garbage,
                    Plan::OtherDoor,
                    Plan::NoCode,
                    Plan::Lost,
                    Plan::Hangs,
                    Plan::NoConnection,
                ])
            } else {
                Plan::Opens
            };
            let call = Call {
                opening,
                plan,
                stale: self.chance.percent(self.mood.odd_space),
                sequence: None,
            };
            self.space.calls_made += 1;
            let number = self.space.calls_made;
            self.space.calls.insert(number, call);
            self.soon_at_space(Event::Send(number));
        }
    }

    fn soon_at_space(&mut self, event: Event) {
        let slow = self.chance.percent(self.mood.slow_space);
        let to_us = if slow { 2_000 * MS } else { 20 * MS };
        self.soon(10, to_us, event);
    }

    /// A connection is there: the last look, then the first byte.
    pub(super) fn send(&mut self, number: u64) -> Verdict {
        let Some(mut call) = self.space.calls.remove(&number) else {
            return Ok(());
        };
        let now = self.clock.instant();
        let ended = |world: &mut Self, call: &Call, fault| {
            let answer = Err(CallError::NotSent(fault));
            world.server().driven.end(&call.opening, answer, now);
        };
        if call.plan == Plan::NoConnection {
            ended(self, &call, Fault::Connect("refused".to_owned()));
            return Ok(());
        }
        let may_send = self.server().driven.may_send(&call.opening, now);
        if !may_send && self.canary != Some(Canary::SentAllTheSame) {
            self.judge.tally.note("opens withheld at the last look");
            ended(self, &call, Fault::Withheld);
            return Ok(());
        }
        self.judge.may_send(call.opening.request().ticket);
        if call.stale {
            call.stale = false;
            self.judge.tally.note("fault: stale connection to Space");
            if self.chance.percent(30) {
                self.goes_meanwhile(call.opening.request().ticket);
            }
            self.space.calls.insert(number, call);
            self.soon_at_space(Event::Send(number));
            return Ok(());
        }
        let (ticket, door) = {
            let request = call.opening.request();
            (request.ticket, request.door.as_str().to_owned())
        };
        let waiting = self.exchanges.values().filter(|exchange| exchange.waits());
        let waiting: Vec<_> = waiting.map(|exchange| &exchange.asked).collect();
        let moment = (self.clock.us, self.clock.unix_us().div_euclid(1_000_000));
        let reader = &self.server.as_ref().expect("it is running").reader;
        let sequence = self
            .judge
            .first_byte(ticket, &door, moment, &waiting, reader)?;
        let opens = match call.plan {
            Plan::Opens | Plan::Hangs => true,
            Plan::Lost | Plan::Garbage | Plan::NoCode | Plan::Status(500) => {
                self.chance.percent(50)
            }
            Plan::Refuses
            | Plan::Exception
            | Plan::Status(_)
            | Plan::OtherDoor
            | Plan::NoConnection => false,
        };
        self.judge.space_did(sequence, opens, false);
        call.sequence = Some(sequence);
        if call.plan == Plan::Hangs {
            let deadline = self.clock.since_start(call.opening.request().deadline);
            self.at(deadline, Event::Answer(number));
        } else {
            self.soon_at_space(Event::Answer(number));
        }
        self.space.calls.insert(number, call);
        Ok(())
    }

    /// The call ends.
    pub(super) fn answer(&mut self, number: u64) {
        let Some(call) = self.space.calls.remove(&number) else {
            return;
        };
        let now = self.clock.instant();
        let door = call.opening.request().door.as_str().to_owned();
        self.judge.tally.note(match call.plan {
            Plan::Status(_) => "Space: HTTP status".to_owned(),
            plan => format!("Space: {plan:?}"),
        });
        if call.plan == Plan::Opens && now < call.opening.request().deadline {
            let sequence = call.sequence.expect("it was sent");
            self.judge.space_did(sequence, true, true);
        }
        let result = |door: &str, code: &str| {
            let xml = format!(
                "<RequestResponse><RequestName>OnlineDoor.Open</RequestName><Params>\
                 <OnlineDoorActionResultList><OnlineDoorActionResult><DoorID>{door}</DoorID>{code}\
                 </OnlineDoorActionResult></OnlineDoorActionResultList></Params></RequestResponse>"
            );
            Ok(xml.into_bytes())
        };
        let answer = match call.plan {
            Plan::Opens => result(&door, "<ErrorCode>0</ErrorCode>"),
            Plan::Refuses => result(&door, "<ErrorCode>401</ErrorCode>"),
            Plan::OtherDoor => result("29999", "<ErrorCode>0</ErrorCode>"),
            Plan::NoCode => result(&door, ""),
            Plan::Exception => Ok(
                b"<RequestResponse><RequestName>OnlineDoor.Open</RequestName>\
                <Exception><Code>101</Code><Message/></Exception></RequestResponse>"
                    .to_vec(),
            ),
            Plan::Garbage => Ok(b"<html>?</html>".to_vec()),
            Plan::Status(status) => Err(CallError::Status(status)),
            Plan::Lost | Plan::NoConnection => Err(CallError::Lost(Fault::Closed)),
            Plan::Hangs => Err(CallError::Lost(Fault::Deadline)),
        };
        self.server().driven.end(&call.opening, answer, now);
    }
}
