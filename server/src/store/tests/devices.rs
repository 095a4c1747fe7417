//! Devices and their commands, once right and once wrong.

use super::fixture::{Fixture, NOW};
use crate::store::{Entity, NewCommand, NewDevice, Renewal, StoreError, token_hash};

#[test]
fn a_device_is_commissioned_once_by_its_token() {
    let mut fixture = Fixture::new();
    let store = &mut fixture.store;
    let door = store.door_add("Front", None).expect("door").id;
    let token = token_hash(&[7; 16]);
    let new = NewDevice {
        name: "Reader 1".into(),
        door,
    };
    let id = store.device_add(&new, token, NOW + 60, NOW).expect("added");
    assert_eq!(store.token_device(token, NOW), Ok(id));
    assert_eq!(
        store.token_device(token, NOW + 60),
        Err(StoreError::TokenRefused)
    );
    let other = token_hash(&[8; 16]);
    let refused = store.device_commission(other, &[1; 32], NOW + 1_000, NOW);
    assert_eq!(refused, Err(StoreError::TokenRefused));
    let made = store
        .device_commission(token, &[1; 32], NOW + 1_000, NOW)
        .expect("commissioned");
    assert_eq!(made.device, id);
    let again = store.device_commission(token, &[2; 32], NOW + 1_000, NOW);
    assert_eq!(again, Err(StoreError::TokenRefused));

    let renewal = Renewal {
        shown: [1; 32],
        fingerprint: [2; 32],
        not_after_unix_s: NOW + 2_000,
        previous_until_unix_s: NOW + 500,
    };
    store.device_renew(id, &renewal).expect("renewed");
    assert!(
        store.device_renew(id, &renewal).is_err(),
        "a fingerprint is used once"
    );
    let device = store.read().device(id).expect("read").expect("there");
    assert_eq!(device.fingerprint, Some([2; 32]));
    assert_eq!(device.previous, Some(([1; 32], NOW + 500)));
    let in_use = StoreError::InUseBy {
        entity: Entity::Device,
    };
    assert_eq!(store.door_remove(door), Err(in_use));

    let command = store.device_decommission(id, NOW).expect("leaving");
    assert_eq!(store.read().commands_waiting(id).expect("read").len(), 1);
    assert!(
        store
            .command_done(id, command, NOW)
            .expect("done")
            .is_some()
    );
    assert_eq!(store.command_done(id, command, NOW), Ok(None));
    store.device_remove(id).expect("removed");
    assert_eq!(store.read().devices(), Ok(vec![]));
}

#[test]
fn commands_that_wait_are_bounded() {
    let mut fixture = Fixture::new();
    let store = &mut fixture.store;
    let door = store.door_add("Front", None).expect("door").id;
    let new = NewDevice {
        name: "Reader 1".into(),
        door,
    };
    let device = store
        .device_add(&new, token_hash(&[7; 16]), NOW + 60, NOW)
        .expect("added");
    let mut command = NewCommand {
        device,
        kind: 4,
        body: vec![1, 2],
    };
    for _ in 0..crate::limits::COMMANDS_WAITING_MAX {
        store.command_add(&command, NOW).expect("added");
    }
    assert!(matches!(
        store.command_add(&command, NOW),
        Err(StoreError::Invalid { .. })
    ));
    for waiting in store.read().commands_waiting(device).expect("read") {
        store.command_done(device, waiting.id, NOW).expect("done");
    }
    for _ in 0..crate::limits::COMMANDS_DONE_MAX {
        let id = store.command_add(&command, NOW).expect("added");
        store.command_done(device, id, NOW).expect("done");
    }
    let kept = store.read().commands_of(device).expect("read").len() as u64;
    assert_eq!(kept, crate::limits::COMMANDS_DONE_MAX);
    command.body = vec![0; crate::limits::COMMAND_BODY_BYTES_MAX + 1];
    assert!(matches!(
        store.command_add(&command, NOW),
        Err(StoreError::Invalid { .. })
    ));
}

#[test]
fn doors_are_edited_and_devices_get_another_token() {
    let mut fixture = Fixture::new();
    let store = &mut fixture.store;
    let door = store.door_add("Front", None).expect("door").id;
    store.door_add("Back", Some("7")).expect("door");
    store.door_edit(door, "Main", Some("8")).expect("edited");
    let named = store
        .read()
        .door_named("Main")
        .expect("read")
        .expect("there");
    assert_eq!((named.id, named.space_door.as_deref()), (door, Some("8")));
    let taken = store.door_edit(door, "Main", Some("7"));
    assert!(matches!(taken, Err(StoreError::Exists { .. })));

    let new = NewDevice {
        name: "Reader 1".into(),
        door,
    };
    let (first, second) = (token_hash(&[1; 16]), token_hash(&[2; 16]));
    let id = store.device_add(&new, first, NOW + 60, NOW).expect("added");
    assert!(matches!(
        store.device_add(&new, second, NOW + 60, NOW),
        Err(StoreError::Exists { .. })
    ));
    store.device_token(id, second, NOW + 60).expect("another");
    assert_eq!(
        store.token_device(first, NOW),
        Err(StoreError::TokenRefused)
    );
    store
        .device_commission(second, &[1; 32], NOW, NOW)
        .expect("commissioned");
    let third = token_hash(&[3; 16]);
    store
        .device_token(id, third, NOW + 60)
        .expect("to commission it again");
    let device = store.read().device(id).expect("read").expect("there");
    assert_eq!(device.fingerprint, Some([1; 32]), "taken until then");
    store
        .device_commission(third, &[1; 32], NOW, NOW)
        .expect("the same certificate");
}
