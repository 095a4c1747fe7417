//! The store against a model of maps, operation by operation, and a follower that knows only the
//! feed of changes.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::fixture::{Fixture, NOW, embedding, person, reference};
use crate::limits::PERSON_REFERENCES_MAX;
use crate::store::{
    Change, DoorId, Entity, ImportId, PersonEntry, PersonId, ReferenceId, RightScope, Store,
    StoreError,
};

#[derive(Debug, Clone)]
enum Operation {
    Enrol(u8, u8),
    Add(u8, u8),
    Withdraw(u8),
    Grant(u8, Option<u8>),
    Revoke(u8, Option<u8>),
    DoorAdd(u8),
    DoorRemove(u8),
    Import(Vec<u8>, bool),
    Suspend(u8, bool),
    Follow,
    Trim,
    Reopen,
}

fn operation() -> impl Strategy<Value = Operation> {
    let who = 0_u8..6;
    let door = 0_u8..3;
    let scope = proptest::option::of(door.clone());
    prop_oneof![
        4 => (who.clone(), 1_u8..6).prop_map(|(who, count)| Operation::Enrol(who, count)),
        2 => (who.clone(), 1_u8..9).prop_map(|(who, count)| Operation::Add(who, count)),
        3 => who.clone().prop_map(Operation::Withdraw),
        2 => (who.clone(), scope.clone()).prop_map(|(who, scope)| Operation::Grant(who, scope)),
        2 => (who.clone(), scope).prop_map(|(who, scope)| Operation::Revoke(who, scope)),
        2 => door.clone().prop_map(Operation::DoorAdd),
        1 => door.prop_map(Operation::DoorRemove),
        2 => (proptest::collection::vec(who.clone(), 0..5), any::<bool>())
            .prop_map(|(who, commit)| Operation::Import(who, commit)),
        1 => (who, any::<bool>()).prop_map(|(who, on)| Operation::Suspend(who, on)),
        2 => Just(Operation::Follow),
        1 => Just(Operation::Trim),
        1 => Just(Operation::Reopen),
    ]
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct ModelPerson {
    every_door: bool,
    suspended: bool,
    doors: BTreeSet<u8>,
    seeds: Vec<u64>,
}

#[derive(Debug, Default)]
struct Model {
    people: BTreeMap<u8, ModelPerson>,
    doors: BTreeMap<u8, DoorId>,
    seed: u64,
}

/// What somebody knows who only follows the feed.
#[derive(Debug, Default)]
struct Follower {
    generation: u64,
    people: BTreeMap<PersonId, PersonEntry>,
    references: BTreeMap<ReferenceId, (PersonId, [u8; 2048])>,
    doors: BTreeSet<DoorId>,
}

const NO_PERSON: StoreError = StoreError::NotFound {
    entity: Entity::Person,
};
const NO_DOOR: StoreError = StoreError::NotFound {
    entity: Entity::Door,
};

fn name(who: u8) -> String {
    format!("person-{who}")
}

impl Model {
    fn seeds(&mut self, count: u8) -> Vec<u64> {
        let first = self.seed;
        self.seed += u64::from(count);
        (first..self.seed).collect()
    }

    fn new_person(seeds: Vec<u64>) -> ModelPerson {
        ModelPerson {
            every_door: false,
            suspended: false,
            doors: BTreeSet::new(),
            seeds,
        }
    }

    fn enrol(&mut self, store: &mut Store, who: u8, count: u8) {
        let seeds = self.seeds(count);
        let done = store.person_enrol(&person(&name(who), &[], &seeds), NOW);
        match self.people.entry(who) {
            Entry::Occupied(_) => assert!(matches!(done, Err(StoreError::Exists { .. }))),
            Entry::Vacant(place) => {
                assert_eq!(done.expect("enrolled").references.len(), seeds.len());
                place.insert(Self::new_person(seeds));
            }
        }
    }

    fn add(&mut self, store: &mut Store, who: u8, count: u8) {
        let seeds = self.seeds(count);
        let references: Vec<_> = seeds.iter().map(|seed| reference(*seed)).collect();
        let done = store.references_add(&name(who), &references, NOW);
        match self.people.get_mut(&who) {
            None => assert_eq!(done, Err(NO_PERSON)),
            Some(known) if known.seeds.len() + seeds.len() > PERSON_REFERENCES_MAX => {
                assert!(matches!(done, Err(StoreError::Invalid { .. })));
            }
            Some(known) => {
                done.expect("added");
                known.seeds.extend(seeds);
            }
        }
    }

    fn withdraw(&mut self, store: &mut Store, who: u8) {
        let done = store.person_withdraw(&name(who));
        match self.people.remove(&who) {
            Some(known) => {
                assert_eq!(done.expect("withdrawn").references.len(), known.seeds.len());
            }
            None => assert_eq!(done, Err(NO_PERSON)),
        }
    }

    fn right(&mut self, store: &mut Store, who: u8, at: Option<u8>, grant: bool) {
        let door = |door: u8| self.doors.get(&door).copied().unwrap_or(DoorId(9_999));
        let scope = at.map_or(RightScope::EveryDoor, |at| RightScope::Door(door(at)));
        let done = if grant {
            store.right_grant(&name(who), scope)
        } else {
            store.right_revoke(&name(who), scope)
        };
        let Some(known) = self.people.get_mut(&who) else {
            assert_eq!(done, Err(NO_PERSON));
            return;
        };
        match at {
            None => known.every_door = grant,
            Some(at) if grant && !self.doors.contains_key(&at) => {
                assert_eq!(done, Err(NO_DOOR));
                return;
            }
            Some(at) if grant => {
                known.doors.insert(at);
            }
            Some(at) => {
                known.doors.remove(&at);
            }
        }
        done.expect("done");
    }

    fn door_add(&mut self, store: &mut Store, door: u8) {
        let done = store.door_add(&format!("door-{door}"), None);
        match self.doors.entry(door) {
            Entry::Occupied(_) => assert!(matches!(done, Err(StoreError::Exists { .. }))),
            Entry::Vacant(place) => {
                place.insert(done.expect("added").id);
            }
        }
    }

    fn door_remove(&mut self, store: &mut Store, door: u8) {
        match self.doors.remove(&door) {
            None => assert_eq!(store.door_remove(DoorId(9_999)), Err(NO_DOOR)),
            Some(id) => {
                store.door_remove(id).expect("removed");
                for known in self.people.values_mut() {
                    known.doors.remove(&door);
                }
            }
        }
    }

    fn import(&mut self, store: &mut Store, who: &[u8], commit: bool) {
        let import = store.import_begin(NOW).expect("begun");
        let mut staged = BTreeMap::new();
        for who in who {
            let seeds = self.seeds(1);
            let new = person(&name(*who), &[], &seeds);
            let refused = store.import_add(import, &[new], NOW).expect("staged");
            let known = self.people.contains_key(who) || staged.contains_key(who);
            assert_eq!(refused.is_empty(), !known);
            if !known {
                staged.insert(*who, Self::new_person(seeds));
            }
        }
        if commit {
            let done = store.import_commit(import).expect("committed");
            assert_eq!(done.people, staged.len() as u64);
            self.people.extend(staged);
        } else {
            store.import_abort(import).expect("aborted");
        }
    }

    fn suspend(&mut self, store: &mut Store, who: u8, suspended: bool) {
        let done = store.person_suspend(&name(who), suspended);
        match self.people.get_mut(&who) {
            None => assert_eq!(done, Err(NO_PERSON)),
            Some(known) => {
                done.expect("done");
                known.suspended = suspended;
            }
        }
    }
}

impl Follower {
    fn start(store: &Store) -> Self {
        let mut follower = Self::default();
        let read = store.read().snapshot().expect("snapshot");
        follower.generation = read.generation().expect("generation");
        read.people_each(|entry| follower.person(entry))
            .expect("people");
        read.references_each(ReferenceId(0), |id, person, bytes| {
            follower.reference(id, person, bytes)
        })
        .expect("references");
        follower.doors = read
            .doors()
            .expect("doors")
            .iter()
            .map(|door| door.id)
            .collect();
        follower
    }

    fn person(&mut self, entry: PersonEntry) -> Result<(), StoreError> {
        self.people.insert(entry.id, entry);
        Ok(())
    }

    fn reference(
        &mut self,
        id: ReferenceId,
        person: PersonId,
        bytes: &[u8; 2048],
    ) -> Result<(), StoreError> {
        self.references.insert(id, (person, *bytes));
        Ok(())
    }

    fn follow(&mut self, store: &Store) {
        let read = store.read();
        loop {
            let feed = match read.changes_since(self.generation) {
                Ok(feed) => feed,
                Err(StoreError::FeedTrimmed { .. }) => {
                    *self = Self::start(store);
                    return;
                }
                Err(error) => panic!("{error}"),
            };
            for change in feed.changes {
                self.take(store, change);
            }
            self.generation = feed.until;
            if feed.until == feed.generation {
                return;
            }
        }
    }

    fn take(&mut self, store: &Store, change: Change) {
        let read = store.read();
        match change {
            Change::Person(id) => {
                if let Some(entry) = read.person_entry(id).expect("read") {
                    self.people.insert(id, entry);
                }
            }
            Change::PersonWithdrawn(id) => {
                self.people.remove(&id);
            }
            Change::Reference(id, person) => {
                if let Some(stored) = read.reference(id).expect("read") {
                    assert_eq!(stored.person, person);
                    self.references.insert(id, (person, *stored.embedding));
                }
            }
            Change::ReferenceWithdrawn(id, _) => {
                self.references.remove(&id);
            }
            Change::Imported(import) => self.imported(store, import),
            Change::Door(id) => {
                if read.door(id).expect("read").is_some() {
                    self.doors.insert(id);
                }
            }
            Change::DoorRemoved(id) => {
                self.doors.remove(&id);
                for entry in self.people.values_mut() {
                    entry.doors.retain(|door| *door != id);
                }
            }
            Change::Device(_) | Change::DeviceRemoved(_) | Change::Settings => {
                panic!("nobody changed any")
            }
        }
    }

    fn imported(&mut self, store: &Store, import: ImportId) {
        let read = store.read();
        read.imported_people_each(import, |entry| self.person(entry))
            .expect("people");
        read.imported_references_each(import, |id, person, bytes| {
            self.reference(id, person, bytes)
        })
        .expect("references");
    }

    fn assert_equals(&self, model: &Model) {
        let doors: BTreeSet<_> = model.doors.values().copied().collect();
        assert_eq!(self.doors, doors);
        let mut expected = BTreeMap::new();
        for (who, known) in &model.people {
            let doors: BTreeSet<_> = known.doors.iter().map(|door| model.doors[door]).collect();
            let seeds = known.seeds.clone();
            expected.insert(
                name(*who),
                (known.every_door, known.suspended, doors, seeds),
            );
        }
        let mut found = BTreeMap::new();
        for entry in self.people.values() {
            let suspended = entry.state == crate::store::PersonState::Suspended;
            let doors: BTreeSet<_> = entry.doors.iter().copied().collect();
            let own = self
                .references
                .values()
                .filter(|(owner, _)| *owner == entry.id);
            let seeds = own
                .map(|(_, bytes)| (0..model.seed).find(|seed| *bytes == *embedding(*seed)))
                .map(|seed| seed.expect("an embedding that was enrolled"))
                .collect::<Vec<_>>();
            found.insert(
                entry.external_id.clone(),
                (entry.every_door, suspended, doors, seeds),
            );
        }
        assert_eq!(found, expected);
        let references: usize = model.people.values().map(|known| known.seeds.len()).sum();
        assert_eq!(self.references.len(), references);
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 40,
        failure_persistence: None,
        ..Default::default()
    })]

    #[test]
    fn store_and_follower_agree_with_the_model(
        operations in proptest::collection::vec(operation(), 1..40)
    ) {
        let mut fixture = Fixture::new();
        let mut model = Model::default();
        let mut follower = Follower::start(&fixture.store);
        for operation in operations {
            let store = &mut fixture.store;
            match operation {
                Operation::Enrol(who, count) => model.enrol(store, who, count),
                Operation::Add(who, count) => model.add(store, who, count),
                Operation::Withdraw(who) => model.withdraw(store, who),
                Operation::Grant(who, at) => model.right(store, who, at, true),
                Operation::Revoke(who, at) => model.right(store, who, at, false),
                Operation::DoorAdd(door) => model.door_add(store, door),
                Operation::DoorRemove(door) => model.door_remove(store, door),
                Operation::Import(who, commit) => model.import(store, &who, commit),
                Operation::Suspend(who, on) => model.suspend(store, who, on),
                Operation::Follow => follower.follow(store),
                Operation::Trim => {
                    let now = store.read().generation().expect("generation");
                    store.changes_trim(now / 2).expect("trimmed");
                }
                Operation::Reopen => fixture = fixture.reopened(),
            }
        }
        follower.follow(&fixture.store);
        follower.assert_equals(&model);
        Follower::start(&fixture.store).assert_equals(&model);
        fixture.store.check().expect("sound");
    }
}
