//! Administrators, and who stands before doors.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cardea_engine::{Embedding, PersonId, ReferenceId, Row, Threshold};

use super::canary::Canary;
use super::site::DOORS;
use super::truth::Enrolled;
use super::world::World;
use crate::admin::message::{NewPerson, Request, Response};
use crate::work::Searched;

impl World {
    /// Somebody stands before a door: enrolled or not, well or badly captured.
    pub(super) fn somebody(&mut self) -> Embedding {
        let people: Vec<Embedding> = self.faces();
        if people.is_empty() || self.chance.percent(10) {
            return self.chance.face();
        }
        let person = self.chance.one(&people).clone();
        // Most are captured well; some stand at the threshold, to the last bit.
        let score = *self.chance.one(&[
            0.99, 0.95, 0.9, 0.8, 0.7, 0.6, 0.55, 0.500_01, 0.5, 0.499_99, 0.3,
        ]);
        self.chance.face_like(&person, score)
    }

    fn faces(&self) -> Vec<Embedding> {
        let people = self.judge.truth.now().people.values();
        let rows = people.flat_map(|person| person.rows.iter());
        rows.map(|row| row.embedding.clone()).collect()
    }

    /// An administrator does one thing or another.
    pub(super) fn administer(&mut self) {
        match self.chance.below(100) {
            0..25 => self.enrol(),
            25..50 => self.withdraw(),
            50..70 => self.change_right(),
            70..90 if self.mood.with_space => self.change_space(),
            70..90 => self.change_right(),
            90..98 => {
                let deadline = Duration::from_millis(self.chance.within(100, 2_000));
                self.server().site.set_answer_deadline(deadline);
            }
            _ => self.remove_device(),
        }
    }

    fn done(&mut self, request: Request) -> bool {
        match self.server().administer(request) {
            Response::Done { .. } => true,
            Response::Staged { refused } => refused.is_empty(),
            Response::Error { .. } => false,
            other => panic!("{other:?}"),
        }
    }

    /// Enrols somebody with one or two references; often somebody's twin.
    pub(super) fn enrol(&mut self) {
        self.people_made += 1;
        let name = format!("p{}", self.people_made);
        let people = self.faces();
        let face = if people.is_empty() || self.chance.percent(50) {
            self.chance.face()
        } else {
            let twin = self.chance.one(&people).clone();
            let score = *self.chance.one(&[1.0, 0.95, 0.8, 0.55]);
            self.chance.face_like(&twin, score)
        };
        let mut faces = vec![face];
        if self.chance.percent(40) {
            let other = self.chance.face_like(&faces[0], 0.8);
            faces.push(other);
        }
        let every_door = self.chance.percent(40);
        let doors: Vec<usize> = (0..DOORS.len())
            .filter(|_| self.chance.percent(60))
            .collect();
        let names: Vec<&str> = doors.iter().map(|door| DOORS[*door].0).collect();
        let person = NewPerson {
            external_id: name.clone(),
            name: name.clone(),
            doors: if every_door {
                "*".to_owned()
            } else {
                names.join(";")
            },
            policy_version: "1".to_owned(),
            consented_at: "2026-01-01T00:00:00Z".to_owned(),
            references: faces
                .iter()
                .map(|face| STANDARD.encode(face.to_le_bytes()))
                .collect(),
        };
        let people = vec![person];
        assert!(self.done(Request::ImportBegin) && self.done(Request::ImportAdd { people }));
        assert!(self.done(Request::ImportCommit), "an import of one");
        let (number, references) = self.server().enrolled(&name);
        let row = |(reference, face): (u64, &Embedding)| Row {
            reference: ReferenceId(reference),
            person: PersonId(number),
            embedding: Embedding::from_le_bytes(&face.to_le_bytes()).expect("what was written"),
        };
        let rows = references.into_iter().zip(&faces).map(row).collect();
        let devices = &self.judge.devices;
        let doors: BTreeSet<u64> = doors.iter().map(|door| devices[*door].door).collect();
        let person = Enrolled {
            external_id: name.clone(),
            rows: Arc::new(rows),
            every_door,
            doors: if every_door { BTreeSet::new() } else { doors },
        };
        let us = self.clock.us;
        self.judge
            .truth
            .change(us, |state| drop(state.people.insert(number, person)));
        self.space_person(&name);
    }

    fn anybody(&mut self) -> Option<(u64, Enrolled)> {
        let people: Vec<_> = self.judge.truth.now().people.clone().into_iter().collect();
        (!people.is_empty()).then(|| self.chance.one(&people).clone())
    }

    fn withdraw(&mut self) {
        let Some((number, person)) = self.anybody() else {
            return;
        };
        let external_id = person.external_id;
        let forgets = self.canary == Some(Canary::WithdrawalsForgotten);
        assert!(forgets || self.done(Request::PersonWithdraw { external_id }));
        let us = self.clock.us;
        self.judge
            .truth
            .change(us, |state| drop(state.people.remove(&number)));
        self.judge.tally.note("withdrawals");
    }

    fn change_right(&mut self) {
        let Some((number, person)) = self.anybody().filter(|(_, person)| !person.every_door) else {
            return;
        };
        let place = self.chance.below(DOORS.len() as u64) as usize;
        let (id, name) = {
            let device = self.device(place);
            (device.door, device.door_name)
        };
        let has = person.doors.contains(&id);
        let external_id = person.external_id;
        let door = Some(name.to_owned());
        let request = if has {
            Request::RightRevoke { external_id, door }
        } else {
            Request::RightGrant { external_id, door }
        };
        assert!(self.done(request), "a right of somebody enrolled");
        let us = self.clock.us;
        self.judge.truth.change(us, |state| {
            if let Some(person) = state.people.get_mut(&number) {
                if has {
                    person.doors.remove(&id);
                } else {
                    person.doors.insert(id);
                }
            }
        });
    }

    fn remove_device(&mut self) {
        let place = self.chance.below(DOORS.len() as u64) as usize;
        let name = self.device(place).name.clone();
        // It may have been removed already.
        if self.done(Request::DeviceRemove { name }) {
            self.judge.tally.note("devices removed");
        }
    }

    /// For a canary: as if the nearest were good enough.
    pub(super) fn search_below_the_threshold(&mut self) {
        let searched = &self.server().site.searched;
        let view = searched.load().view.clone();
        let threshold = Threshold::new(0.2).expect("a score");
        searched.store(Arc::new(Searched { view, threshold }));
    }
}
