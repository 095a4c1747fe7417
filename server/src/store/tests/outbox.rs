//! The outbox: order, bounds, and events in the transaction of their change.

use cardea_connect::message::{CommandResult, CommandState, Event};
use cardea_connect::topics::Kind;
use serde_json::json;

use super::fixture::{Fixture, NOW};
use crate::limits::{CONNECT_COMMANDS_MAX, OUTBOX_KEPT_MAX, OUTBOX_TELEMETRY_MAX};
use crate::store::{NewDevice, SettingKey, Taken, TokenHash};

fn joined() -> Fixture {
    let mut fixture = Fixture::new();
    let store = &mut fixture.store;
    store
        .setting_set(SettingKey::CONNECT_SEALED, b"sealed")
        .expect("joined");
    store.outbox_delivered(u64::MAX).expect("empty");
    fixture
}

/// Fails when `add` does not look whether the site has joined, or a kind takes another's place.
#[test]
fn messages_wait_in_their_order_and_only_while_joined() {
    let mut fixture = Fixture::new();
    let event = Event::DeviceAdded { device: 1 };
    fixture
        .store
        .outbox_add(Kind::Event, &event)
        .expect("ignored");
    assert_eq!(fixture.store.read().outbox(0, 10), Ok(Vec::new()));

    let mut fixture = joined();
    let store = &mut fixture.store;
    store.outbox_add(Kind::Event, &event).expect("added");
    store
        .outbox_add(Kind::Telemetry, &json!({"n": 1}))
        .expect("added");
    store
        .outbox_add(Kind::Result, &json!({"n": 2}))
        .expect("added");
    let waiting = store.read().outbox(0, 10).expect("read");
    let kinds: Vec<_> = waiting.iter().map(|message| message.kind).collect();
    assert_eq!(kinds, [Kind::Event, Kind::Telemetry, Kind::Result]);
    assert_eq!(store.read().outbox(0, 1).expect("read").len(), 1);
    let after = store.read().outbox(waiting[1].number, 10).expect("read");
    assert_eq!(after, waiting[2..]);
    store.outbox_delivered(waiting[1].number).expect("removed");
    assert_eq!(store.read().outbox(0, 10).expect("read"), waiting[2..]);
    assert_eq!(store.read().outbox_counts().expect("read").waiting, 1);
    store.outbox_delivered(waiting[2].number).expect("removed");
    store.outbox_add(Kind::Event, &event).expect("added");
    let next = store.read().outbox(0, 1).expect("read");
    assert!(
        next[0].number > waiting[2].number,
        "no number is used twice"
    );
}

/// Fails when telemetry is not bounded, when an event goes for it, or when it is not counted.
#[test]
fn the_oldest_telemetry_goes_first_and_events_never() {
    let mut fixture = joined();
    let store = &mut fixture.store;
    let event = Event::DeviceAdded { device: 1 };
    store.outbox_add(Kind::Event, &event).expect("added");
    for minute in 0..OUTBOX_TELEMETRY_MAX + 3 {
        store
            .outbox_add(Kind::Telemetry, &json!({"minute": minute}))
            .expect("added");
    }
    let counts = store.read().outbox_counts().expect("read");
    assert_eq!(counts.telemetry_dropped, 3);
    assert_eq!(counts.waiting, OUTBOX_TELEMETRY_MAX + 1);
    let oldest = store.read().outbox(0, 2).expect("read");
    assert_eq!(oldest[0].kind, Kind::Event);
    assert_eq!(oldest[1].body["minute"], 3);
}

/// Fails when the bound is not looked at: the change must be refused, not the event dropped.
#[test]
fn a_change_whose_event_has_no_room_is_refused_whole() {
    let mut fixture = joined();
    let store = &mut fixture.store;
    let door = store.door_add("front", None).expect("a door");
    let new = NewDevice {
        name: "d".to_owned(),
        door: door.id,
    };
    let device = store
        .device_add(&new, TokenHash([0; 32]), NOW + 60, NOW)
        .expect("a device");
    let full = "UPDATE outbox_counts SET kept = ?1";
    let max = OUTBOX_KEPT_MAX as i64;
    store
        .read()
        .db
        .execute(full, [max])
        .expect("as if it were full");
    let refused = store.device_remove(device);
    assert!(refused.is_err(), "{refused:?}");
    let found = store.read().device(device).expect("read");
    assert!(found.is_some(), "the change is as if it had not been");
}

/// Fails when a second delivery is `New`, or when the result is not in the outbox.
#[test]
fn a_command_is_new_once() {
    let mut fixture = joined();
    let store = &mut fixture.store;
    let mut take = |id: &str| store.connect_command_take(id, "sync", (100, 200));
    assert_eq!(take("a"), Ok(Taken::New));
    assert_eq!(take("a"), Ok(Taken::Repeat));
    assert_eq!(
        store.read().connect_commands_waiting(),
        Ok(vec!["a".to_owned()])
    );
    let result = CommandResult {
        command: "a".to_owned(),
        state: CommandState::Done,
        reason: None,
        result: None,
    };
    store.connect_command_end(&result).expect("ended");
    assert_eq!(store.read().connect_commands_waiting(), Ok(Vec::new()));
    let said: Vec<_> = store.read().outbox(0, 10).expect("read");
    let states: Vec<_> = said.iter().map(|message| &message.body["state"]).collect();
    assert_eq!(states, ["accepted", "done"]);
    // Long after its end it is forgotten; one that has no end is not.
    assert_eq!(
        store.connect_command_take("b", "sync", (150, 160)),
        Ok(Taken::New)
    );
    assert_eq!(
        store.connect_command_take("c", "sync", (300, 400)),
        Ok(Taken::New)
    );
    assert_eq!(store.read().connect_command_known("a"), Ok(false));
    assert_eq!(store.read().connect_command_known("b"), Ok(true));
}

#[test]
fn so_many_commands_are_remembered_and_no_more() {
    let mut fixture = joined();
    let store = &mut fixture.store;
    let filled = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
        INSERT INTO connect_commands SELECT 'f' || i, 'sync', 1, 1000, 1, NULL FROM n";
    let count = CONNECT_COMMANDS_MAX as i64 - 1;
    store
        .read()
        .db
        .execute(filled, [count])
        .expect("as if they had come");
    let taken = store.connect_command_take("last", "sync", (100, 200));
    assert_eq!(taken, Ok(Taken::New));
    let taken = store.connect_command_take("more", "sync", (100, 200));
    assert_eq!(taken, Ok(Taken::TooMany));
}
