//! Every bound is reached and not passed.

use super::fixture::{Fixture, NOW, consent, person};
use crate::limits::{
    ASKED_PER_TICK, ASKING_IDS_PER_TICK, CHANGES_KEPT_MAX, CHANGES_TRIM_MAX,
    DEVICE_ADDRESS_BYTES_MAX, DEVICE_NAME_BYTES_MAX, DEVICES_SEEN_MAX, DOOR_NAME_BYTES_MAX,
    EMAIL_BYTES_MAX, EXTERNAL_ID_BYTES_MAX, IMPORT_BATCH_MAX, PAGE_ROWS_MAX, PERSON_DOORS_MAX,
    PERSON_NAME_BYTES_MAX, POLICY_VERSION_BYTES_MAX, SETTING_KEY_BYTES_MAX,
    SETTING_VALUE_BYTES_MAX, SPACE_DOOR_ID_BYTES_MAX,
};
use crate::store::{
    Change, DeviceId, DeviceSeen, DoorId, NewDevice, PeopleFilter, PersonId, SettingKey, Store,
    StoreError, token_hash,
};

fn refused<T: std::fmt::Debug>(result: Result<T, StoreError>, expected: usize) {
    match result {
        Err(StoreError::Invalid { max, .. }) => assert_eq!(max, expected),
        other => panic!("{other:?}"),
    }
}

fn text(bytes: usize) -> String {
    "x".repeat(bytes)
}

#[test]
fn texts_of_people() {
    let mut fixture = Fixture::new();
    let store = &mut fixture.store;
    let mut longest = person(&text(EXTERNAL_ID_BYTES_MAX), &[], &[1]);
    longest.name = text(PERSON_NAME_BYTES_MAX);
    longest.email = Some(text(EMAIL_BYTES_MAX));
    longest.consent.policy_version = text(POLICY_VERSION_BYTES_MAX);
    store
        .person_enrol(&longest, NOW)
        .expect("all at their limit");

    let new = || person("e1", &[], &[1]);
    let max = EXTERNAL_ID_BYTES_MAX;
    refused(
        store.person_enrol(&person(&text(max + 1), &[], &[1]), NOW),
        max,
    );
    refused(store.person_enrol(&person("", &[], &[1]), NOW), max);
    refused(store.person_enrol(&person("a\0b", &[], &[1]), NOW), 0);
    let mut long = new();
    long.name = text(PERSON_NAME_BYTES_MAX + 1);
    refused(store.person_enrol(&long, NOW), PERSON_NAME_BYTES_MAX);
    let mut long = new();
    long.email = Some(text(EMAIL_BYTES_MAX + 1));
    refused(store.person_enrol(&long, NOW), EMAIL_BYTES_MAX);
    let mut long = new();
    long.consent.policy_version = text(POLICY_VERSION_BYTES_MAX + 1);
    refused(store.person_enrol(&long, NOW), POLICY_VERSION_BYTES_MAX);
    let mut many = new();
    many.doors = vec![DoorId(1); PERSON_DOORS_MAX + 1];
    refused(store.person_enrol(&many, NOW), PERSON_DOORS_MAX);
    let mut consent = consent();
    consent.policy_version = text(POLICY_VERSION_BYTES_MAX + 1);
    let known = longest.external_id;
    refused(
        store.consent_record(&known, &consent),
        POLICY_VERSION_BYTES_MAX,
    );
    let name = text(PERSON_NAME_BYTES_MAX + 1);
    refused(
        store.person_edit(&known, &name, None),
        PERSON_NAME_BYTES_MAX,
    );
    store
        .person_edit(&known, "Zoë", Some("zoe@example.org"))
        .expect("edited");
    let shown = store
        .read()
        .person_show(&known)
        .expect("read")
        .expect("there");
    assert_eq!(
        (&*shown.name, shown.email.as_deref()),
        ("Zoë", Some("zoe@example.org"))
    );
}

#[test]
fn as_many_doors_as_a_person_may_have() {
    let mut fixture = Fixture::new();
    let store = &mut fixture.store;
    let door = store.door_add("Front", None).expect("door").id;
    let doors = vec![door; PERSON_DOORS_MAX];
    store
        .person_enrol(&person("e1", &doors, &[1]), NOW)
        .expect("at the limit");
    let shown = store
        .read()
        .person_show("e1")
        .expect("read")
        .expect("there");
    assert_eq!(shown.doors, [door]);
}

#[test]
fn texts_of_doors_devices_and_settings() {
    let mut fixture = Fixture::new();
    let store = &mut fixture.store;
    let (name, space) = (text(DOOR_NAME_BYTES_MAX), text(SPACE_DOOR_ID_BYTES_MAX));
    let door = store
        .door_add(&name, Some(&space))
        .expect("at the limit")
        .id;
    refused(
        store.door_add(&text(DOOR_NAME_BYTES_MAX + 1), None),
        DOOR_NAME_BYTES_MAX,
    );
    let space = text(SPACE_DOOR_ID_BYTES_MAX + 1);
    refused(
        store.door_edit(door, "Front", Some(&space)),
        SPACE_DOOR_ID_BYTES_MAX,
    );

    let device = |bytes| NewDevice {
        name: text(bytes),
        door,
    };
    let token = token_hash(&[1; 16]);
    let id = store
        .device_add(&device(DEVICE_NAME_BYTES_MAX), token, NOW, NOW)
        .expect("limit");
    let long = store.device_add(&device(DEVICE_NAME_BYTES_MAX + 1), token, NOW, NOW);
    refused(long, DEVICE_NAME_BYTES_MAX);
    let sign = |bytes| DeviceSeen {
        device: id,
        at_unix_s: NOW,
        firmware: 1,
        address: text(bytes),
        local: text(bytes),
    };
    store
        .devices_seen(&[sign(DEVICE_ADDRESS_BYTES_MAX)])
        .expect("at the limit");
    let long = store.devices_seen(&[sign(DEVICE_ADDRESS_BYTES_MAX + 1)]);
    refused(long, DEVICE_ADDRESS_BYTES_MAX);
    let gone = DeviceSeen {
        device: DeviceId(99),
        ..sign(3)
    };
    store
        .devices_seen(&vec![gone.clone(); DEVICES_SEEN_MAX])
        .expect("at the limit");
    refused(
        store.devices_seen(&vec![gone; DEVICES_SEEN_MAX + 1]),
        DEVICES_SEEN_MAX,
    );

    let key = |bytes| SettingKey(text(bytes).leak());
    let value = vec![1; SETTING_VALUE_BYTES_MAX];
    store
        .setting_set(key(SETTING_KEY_BYTES_MAX), &value)
        .expect("at the limit");
    refused(
        store.setting_set(key(SETTING_KEY_BYTES_MAX + 1), &[]),
        SETTING_KEY_BYTES_MAX,
    );
    let value = vec![1; SETTING_VALUE_BYTES_MAX + 1];
    refused(
        store.setting_set(SettingKey::COMPANY, &value),
        SETTING_VALUE_BYTES_MAX,
    );
}

#[test]
fn batches_and_pages() {
    let mut fixture = Fixture::new();
    let store = &mut fixture.store;
    let import = store.import_begin(NOW).expect("begun");
    let people = |first: usize, count: usize| -> Vec<_> {
        (first..first + count)
            .map(|n| person(&format!("e{n}"), &[], &[1]))
            .collect()
    };
    let max = IMPORT_BATCH_MAX;
    refused(store.import_add(import, &people(0, max + 1), NOW), max);
    for batch in 0..5 {
        store
            .import_add(import, &people(batch * max, max), NOW)
            .expect("at the limit");
    }
    store.import_commit(import).expect("committed");
    let all = PeopleFilter::Name(String::new());
    let page = store
        .read()
        .people_page(&all, None, usize::MAX)
        .expect("page");
    assert_eq!(page.people.len(), PAGE_ROWS_MAX);
    let rest = store
        .read()
        .people_page(&all, page.next, usize::MAX)
        .expect("page");
    assert_eq!(
        (rest.people.len(), rest.next),
        (5 * max - PAGE_ROWS_MAX, None)
    );
}

#[test]
fn the_feed_is_read_in_stretches_and_forgets_what_is_too_far_back() {
    let mut fixture = Fixture::new();
    let store = &mut fixture.store;
    let set = |store: &mut Store| {
        store.setting_set(SettingKey::COMPANY, b"x").expect("set");
    };
    for _ in 0..=PAGE_ROWS_MAX {
        set(store);
    }
    let feed = store.read().changes_since(0).expect("feed");
    assert_eq!(
        (feed.until, feed.changes.len()),
        (PAGE_ROWS_MAX as u64, PAGE_ROWS_MAX)
    );
    let rest = store.read().changes_since(feed.until).expect("feed");
    assert_eq!(
        (rest.until, rest.changes),
        (feed.until + 1, vec![Change::Settings])
    );

    let sql = format!("UPDATE site SET generation = {CHANGES_KEPT_MAX}");
    store
        .reader
        .db
        .execute(&sql, [])
        .expect("as if there had been many");
    assert!(store.read().changes_since(0).is_ok());
    set(store);
    let oldest = CHANGES_TRIM_MAX;
    let trimmed = store.read().changes_since(oldest - 1);
    assert_eq!(trimmed, Err(StoreError::FeedTrimmed { oldest }));
    assert!(store.read().changes_since(oldest).is_ok());
}

#[test]
fn an_import_waits_while_a_reader_keeps_the_log() {
    let mut fixture = Fixture::new();
    fixture.store.log_bulk_bytes_max = 4 << 20;
    let reader = fixture.store.open_reader().expect("reader");
    let snapshot = reader.snapshot().expect("snapshot");
    let store = &mut fixture.store;
    let import = store.import_begin(NOW).expect("begun");
    let seeds: Vec<u64> = (0..16).collect();
    let mut waits = None;
    for batch in 0..100 {
        let people: Vec<_> = (0..32)
            .map(|n| person(&format!("{batch}-{n}"), &[], &seeds))
            .collect();
        if store.import_add(import, &people, NOW) == Err(StoreError::Busy) {
            waits = Some(people);
            break;
        }
    }
    let people = waits.expect("the log is bounded");
    drop(snapshot);
    // The thread for checkpoints may be at it; a staged batch goes through all the same.
    store.import_add(import, &people, NOW).expect("goes on");
    store.import_commit(import).expect("committed");
}

/// Fails without the bound of a step, or if the next step begins too late.
#[test]
fn a_step_of_asking_again_is_bounded() {
    let mut fixture = Fixture::new();
    let store = &mut fixture.store;
    let many = ASKED_PER_TICK as u64 + 3;
    for number in 1..=many {
        let mut one = person(&format!("e{number}"), &[], &[number]);
        // One of them has no address.
        one.email = (number != 2).then(|| format!("e{number}@example.org"));
        store.person_enrol(&one, NOW).expect("enrolled");
    }
    let version = consent().policy_version;
    let reader = store.read();
    let nobody = reader.to_ask_again(PersonId(0), &version).expect("a step");
    assert!(nobody.people.is_empty(), "their consent is to this one");
    assert_eq!(nobody.next, None, "and there is nobody else");
    let first = reader.to_ask_again(PersonId(0), "another").expect("a step");
    assert_eq!(first.people.len(), ASKED_PER_TICK);
    let next = first.next.expect("there are more");
    let second = reader.to_ask_again(next, "another").expect("a step");
    assert_eq!(second.people.len(), 2, "{second:?}");
    assert_eq!(second.next, None);
    // A step ends after so many ids, also where nobody is asked.
    let far = ASKING_IDS_PER_TICK + many + 1;
    let sql = format!("UPDATE people SET id = {far} WHERE id = {many}");
    let other = rusqlite::Connection::open(fixture.folder.path().join("store.db"));
    let other = other.expect("the store");
    other
        .execute_batch("PRAGMA foreign_keys = OFF")
        .expect("set");
    other.execute(&sql, []).expect("moved");
    let reader = fixture.store.read();
    let step = reader
        .to_ask_again(PersonId(many), "another")
        .expect("a step");
    assert!(step.people.is_empty(), "{step:?}");
    assert_eq!(step.next, Some(PersonId(many + ASKING_IDS_PER_TICK)));
}
