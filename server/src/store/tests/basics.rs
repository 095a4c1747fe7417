//! Each named operation, once right and once wrong.

use super::fixture::{Fixture, NOW, embedding, person, reference};
use crate::limits::PERSON_REFERENCES_MAX;
use crate::store::{
    Change, Counts, Entity, ImportRefusal, NewInvitation, PeopleFilter, PersonId, PersonState,
    ReferenceId, RightScope, SettingKey, StoreError,
};

const NO_PERSON: StoreError = StoreError::NotFound {
    entity: Entity::Person,
};

#[test]
fn an_enrolled_person_is_read_back_after_reopening() {
    let mut fixture = Fixture::new();
    let door = fixture
        .store
        .door_add("Front", Some("20001"))
        .expect("door")
        .id;
    let made = fixture
        .store
        .person_enrol(&person("e1", &[door], &[1, 2]), NOW)
        .expect("enrolled");
    assert_eq!(made.references, [ReferenceId(1), ReferenceId(2)]);
    assert_eq!(made.generation, 2);

    let fixture = fixture.reopened();
    let read = fixture.store.read();
    let found = read.person_show("e1").expect("read").expect("there");
    assert_eq!(found.id, made.person);
    assert_eq!(found.state, PersonState::Enrolled);
    assert_eq!(found.doors, [door]);
    assert_eq!(found.references.len(), 2);
    assert_eq!(
        found.consent.map(|consent| consent.policy_version),
        Some("2026-01".into())
    );
    let stored = read
        .reference(ReferenceId(2))
        .expect("read")
        .expect("there");
    assert_eq!(stored.person, made.person);
    assert!(stored.embedding == embedding(2));
    assert_eq!(read.generation(), Ok(2));
    fixture.store.check().expect("sound");
}

#[test]
fn enrolling_someone_twice_is_refused_and_adding_references_is_another_operation() {
    let mut fixture = Fixture::new();
    let store = &mut fixture.store;
    store
        .person_enrol(&person("e1", &[], &[1]), NOW)
        .expect("enrolled");
    let again = store.person_enrol(&person("e1", &[], &[2]), NOW);
    let exists = StoreError::Exists {
        entity: Entity::Person,
        id: 1,
    };
    assert_eq!(again, Err(exists));
    let more: Vec<_> = (2..=PERSON_REFERENCES_MAX as u64).map(reference).collect();
    let added = store.references_add("e1", &more, NOW).expect("15 more");
    assert_eq!(added.references.len(), PERSON_REFERENCES_MAX - 1);
    let max = PERSON_REFERENCES_MAX;
    let full = store.references_add("e1", &[reference(99)], NOW);
    assert_eq!(
        full,
        Err(StoreError::Invalid {
            field: "references",
            max
        })
    );
    assert_eq!(
        store.references_add("e2", &[reference(99)], NOW),
        Err(NO_PERSON)
    );
    let none = store.person_enrol(&person("e3", &[], &[]), NOW);
    assert_eq!(
        none,
        Err(StoreError::Invalid {
            field: "references",
            max
        })
    );
}

#[test]
fn a_withdrawn_person_is_gone_and_their_ids_stay_unused() {
    let mut fixture = Fixture::new();
    let store = &mut fixture.store;
    let door = store.door_add("Front", None).expect("door").id;
    store
        .person_enrol(&person("e1", &[door], &[1, 2]), NOW)
        .expect("enrolled");
    let gone = store.person_withdraw("e1").expect("withdrawn");
    assert_eq!(gone.references, [ReferenceId(1), ReferenceId(2)]);
    assert_eq!(store.read().person_show("e1"), Ok(None));
    assert_eq!(store.read().reference(ReferenceId(1)), Ok(None));
    assert_eq!(store.person_withdraw("e1"), Err(NO_PERSON));

    let mut fixture = fixture.reopened();
    let anew = fixture
        .store
        .person_enrol(&person("e1", &[door], &[3]), NOW)
        .expect("enrolled anew");
    assert_eq!(
        (anew.person, &anew.references[..]),
        (PersonId(2), &[ReferenceId(3)][..])
    );
    let one = fixture
        .store
        .reference_withdraw(ReferenceId(3))
        .expect("one reference");
    assert_eq!(one.person, PersonId(2));
    let shown = fixture
        .store
        .read()
        .person_show("e1")
        .expect("read")
        .expect("still there");
    assert!(shown.references.is_empty());
    fixture.store.check().expect("sound");
}

#[test]
fn an_invited_person_is_completed_by_enrolling() {
    let mut fixture = Fixture::new();
    let store = &mut fixture.store;
    let invitation = NewInvitation {
        external_id: "e1".into(),
        name: "Zoë".into(),
        email: Some("zoe@example.org".into()),
    };
    let id = store.person_invite(&invitation, NOW).expect("invited");
    assert!(store.person_invite(&invitation, NOW).is_err(), "once");
    assert_eq!(
        store.references_add("e1", &[reference(1)], NOW),
        Err(NO_PERSON)
    );
    assert_eq!(store.person_suspend("e1", true), Err(NO_PERSON));
    let made = store
        .person_enrol(&person("e1", &[], &[1]), NOW)
        .expect("enrolled");
    assert_eq!(made.person, id);
    store.person_suspend("e1", true).expect("suspended");
    let entry = store.read().person_entry(id).expect("read").expect("there");
    assert_eq!(entry.state, PersonState::Suspended);
}

#[test]
fn rights_are_granted_and_taken_back() {
    let mut fixture = Fixture::new();
    let store = &mut fixture.store;
    let front = store.door_add("Front", None).expect("door").id;
    let back = store.door_add("Back", None).expect("door").id;
    let id = store
        .person_enrol(&person("e1", &[], &[1]), NOW)
        .expect("enrolled")
        .person;
    let entry = |store: &crate::store::Store| {
        let entry = store.read().person_entry(id).expect("read").expect("there");
        (entry.every_door, entry.doors)
    };
    for door in [back, front, back] {
        store
            .right_grant("e1", RightScope::Door(door))
            .expect("granted");
    }
    store
        .right_grant("e1", RightScope::EveryDoor)
        .expect("granted");
    assert_eq!(entry(store), (true, vec![front, back]));
    store
        .right_revoke("e1", RightScope::EveryDoor)
        .expect("revoked");
    store.door_remove(back).expect("removed, with its rights");
    assert_eq!(entry(store), (false, vec![front]));
    let no_door = StoreError::NotFound {
        entity: Entity::Door,
    };
    assert_eq!(
        store.right_grant("e1", RightScope::Door(back)),
        Err(no_door.clone())
    );
    assert_eq!(
        store.right_grant("e2", RightScope::EveryDoor),
        Err(NO_PERSON)
    );
    assert_eq!(store.door_remove(back), Err(no_door));
    let exists = StoreError::Exists {
        entity: Entity::Door,
        id: front.0,
    };
    assert_eq!(store.door_add("Front", None), Err(exists));
}

#[test]
fn an_import_is_visible_all_at_once_or_never() {
    let mut fixture = Fixture::new();
    let store = &mut fixture.store;
    store
        .person_enrol(&person("old", &[], &[1]), NOW)
        .expect("enrolled");
    let import = store.import_begin(NOW).expect("begun");
    let open = StoreError::ImportOpen { import: import.0 };
    assert_eq!(store.import_begin(NOW), Err(open.clone()));
    let batch = [
        person("n1", &[], &[2]),
        person("old", &[], &[3]),
        person("n2", &[], &[4, 5]),
    ];
    let refusals = store.import_add(import, &batch, NOW).expect("staged");
    let why = StoreError::Exists {
        entity: Entity::Person,
        id: 1,
    };
    assert_eq!(refusals, [ImportRefusal { index: 1, why }]);
    assert_eq!(store.read().counts().expect("counts").people, 1);
    assert_eq!(store.read().person_show("n1"), Ok(None));
    assert_eq!(store.person_withdraw("n1"), Err(NO_PERSON));
    assert_eq!(store.person_enrol(&person("n1", &[], &[6]), NOW), Err(open));
    store
        .person_enrol(&person("between", &[], &[7]), NOW)
        .expect("enrolled beside");
    store
        .import_add(import, &[person("n3", &[], &[8])], NOW)
        .expect("staged");

    let before = store.read().generation().expect("generation");
    let done = store.import_commit(import).expect("committed");
    assert_eq!((done.people, done.generation), (3, before + 1));
    let changes = store.read().changes_since(before).expect("feed").changes;
    assert_eq!(changes, [Change::Imported(import)]);
    let mut imported = Vec::new();
    store
        .read()
        .imported_references_each::<StoreError>(import, |_, _, bytes| {
            imported.push(*bytes);
            Ok(())
        })
        .expect("read");
    assert_eq!(imported, [2, 4, 5, 8].map(|seed| *embedding(seed)));
    let mut people = Vec::new();
    store
        .read()
        .imported_people_each::<StoreError>(import, |person| {
            people.push(person.external_id);
            Ok(())
        })
        .expect("read");
    assert_eq!(people, ["n1", "n2", "n3"]);
    assert!(store.import_commit(import).is_err(), "once");
    store.check().expect("sound");
}

#[test]
fn an_import_that_was_not_committed_is_gone_at_the_next_start() {
    let mut fixture = Fixture::new();
    let import = fixture.store.import_begin(NOW).expect("begun");
    let batch: Vec<_> = (0..256)
        .map(|n| person(&format!("n{n}"), &[], &[n]))
        .collect();
    fixture
        .store
        .import_add(import, &batch, NOW)
        .expect("staged");
    fixture
        .store
        .import_add(import, &[person("last", &[], &[999])], NOW)
        .expect("staged");
    let mut fixture = fixture.reopened();
    let nothing = Counts {
        people: 0,
        references: 0,
        doors: 0,
        devices: 0,
    };
    assert_eq!(fixture.store.read().counts(), Ok(nothing));
    assert!(fixture.store.import_add(import, &[], NOW).is_err());
    fixture
        .store
        .person_enrol(&person("n1", &[], &[1]), NOW)
        .expect("free again");
    let import = fixture.store.import_begin(NOW).expect("begun");
    fixture
        .store
        .import_add(import, &batch[5..10], NOW)
        .expect("staged");
    fixture.store.import_abort(import).expect("aborted");
    assert_eq!(fixture.store.read().counts().expect("counts").people, 1);
    fixture.store.check().expect("sound");
}

#[test]
fn pages_walk_every_match_once_in_order() {
    let mut fixture = Fixture::new();
    let store = &mut fixture.store;
    for (id, name) in [
        ("a1", "Åsa"),
        ("a2", "asta"),
        ("b1", "Asta"),
        ("b2", "Bo"),
        ("c%", "as"),
    ] {
        let mut new = person(id, &[], &[1]);
        new.name = name.into();
        store.person_enrol(&new, NOW).expect("enrolled");
    }
    let walk = |filter: PeopleFilter| {
        let mut found = Vec::new();
        let mut after = None;
        loop {
            let page = store.read().people_page(&filter, after, 1).expect("page");
            found.extend(page.people.into_iter().map(|person| person.external_id));
            after = page.next;
            if after.is_none() {
                return found;
            }
        }
    };
    assert_eq!(walk(PeopleFilter::Name("AS".into())), ["c%", "a2", "b1"]);
    assert_eq!(walk(PeopleFilter::Name("å".into())), ["a1"]);
    assert_eq!(walk(PeopleFilter::Name(String::new())).len(), 5);
    assert_eq!(walk(PeopleFilter::ExternalId("b".into())), ["b1", "b2"]);
    assert_eq!(walk(PeopleFilter::ExternalId("%".into())), [""; 0]);
}

#[test]
fn the_feed_is_followed_and_trimmed() {
    let mut fixture = Fixture::new();
    let store = &mut fixture.store;
    let lineage = store.read().lineage().expect("lineage");
    assert_ne!(lineage, [0; 16]);
    store
        .setting_set(SettingKey::MODEL_ID, &[9; 16])
        .expect("set");
    let one = store
        .person_enrol(&person("e1", &[], &[1]), NOW)
        .expect("enrolled");
    store.person_withdraw("e1").expect("withdrawn");
    let feed = store.read().changes_since(1).expect("feed");
    let (who, what) = (one.person, one.references[0]);
    let expected = [
        Change::Person(who),
        Change::Reference(what, who),
        Change::PersonWithdrawn(who),
        Change::ReferenceWithdrawn(what, who),
    ];
    assert_eq!(feed.changes, expected);
    assert_eq!((feed.until, feed.generation), (3, 3));
    let ahead = StoreError::FeedTrimmed { oldest: 0 };
    assert_eq!(store.read().changes_since(4), Err(ahead));
    store.changes_trim(2).expect("trimmed");
    let behind = StoreError::FeedTrimmed { oldest: 2 };
    assert_eq!(store.read().changes_since(1), Err(behind));
    assert_eq!(
        store.read().changes_since(2).expect("feed").changes,
        expected[2..]
    );
    assert_eq!(
        store.read().setting(SettingKey::MODEL_ID),
        Ok(Some(vec![9; 16]))
    );
    store.setting_remove(SettingKey::MODEL_ID).expect("removed");
    assert_eq!(store.read().setting(SettingKey::MODEL_ID), Ok(None));
}
