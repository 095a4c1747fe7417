//! Every arrow of the state diagram, with candidates from a real search of a small gallery.

use std::time::Duration;

use cardea_engine::{
    DIM, Embedding, Kernel, ModelId, PersonId, ReferenceId, Row, Searcher, Threshold, View,
};

use super::*;
use crate::authorise::Authoriser;
use crate::directory::{Directory, Doors, Person};
use crate::store::StoreError;

const DOOR: u64 = 7;
const SEQUENCE: u64 = 40;

/// People 1 and 2 look alike; person 1 is the better candidate for a probe of axis 0.
struct Scene {
    directory: Directory,
    authoriser: Authoriser,
    attempt: Attempt,
    start: Instant,
}

fn face(parts: &[(usize, f32)]) -> Embedding {
    let mut numbers = [0.0; DIM];
    parts.iter().for_each(|(axis, part)| numbers[*axis] = *part);
    Embedding::new(&numbers).expect("of unit length")
}

fn search(probe: &Embedding) -> SearchEnd {
    let row = |id, embedding| Row {
        reference: ReferenceId(id),
        person: PersonId(id),
        embedding,
    };
    let rows = [
        row(1, face(&[(0, 1.0)])),
        row(2, face(&[(0, 0.8), (1, 0.6)])),
        row(3, face(&[(5, 1.0)])),
    ];
    let view = View::empty(ModelId([0; 16])).with_enrolled(&rows, 1);
    let kernel = Kernel::by_name("scalar").expect("always there");
    let searcher = Searcher::new(kernel, 1).expect("one thread");
    let threshold = Threshold::new(0.5).expect("a score");
    let lists = searcher.search(
        &view.expect("a view"),
        std::slice::from_ref(probe),
        threshold,
    );
    let list = lists.expect("no file to be damaged").pop();
    SearchEnd::Candidates(list.expect("one probe, one list"))
}

impl Scene {
    fn new() -> Self {
        let mut directory = Directory::default();
        let doors = |some: &[u64]| Doors {
            every: false,
            some: some.to_vec(),
        };
        directory.put_person(1, Person::new("one", doors(&[DOOR])));
        directory.put_person(2, Person::new("two", doors(&[DOOR])));
        directory.put_person(3, Person::new("three", doors(&[DOOR + 1])));
        let device = Device {
            id: 4,
            door: DOOR,
            not_after_unix_s: i64::MAX,
            space_door: None,
            command: None,
        };
        let start = Instant::now();
        let id = RequestId([9; 16]);
        let (attempt, action) = Attempt::begin(Arc::new(device), id, false, start, moment(start));
        assert_eq!(action, Action::Search);
        Self {
            directory,
            authoriser: Authoriser::Standalone,
            attempt,
            start,
        }
    }

    fn now(&self) -> Moment {
        moment(self.start + Duration::from_millis(3))
    }

    fn searched(&mut self, end: &SearchEnd) -> Action {
        let now = self.now();
        let authority = Authority {
            directory: &self.directory,
            authoriser: &self.authoriser,
        };
        self.attempt.searched(end, 100, 200, &authority, now)
    }

    /// Has this probe searched for; the record that is asked for.
    fn found(&mut self, probe: &Embedding) -> AttemptRecord {
        match self.searched(&search(probe)) {
            Action::Record(record) => record,
            other => panic!("{other:?}"),
        }
    }

    fn recorded(&mut self, recorded: &Recorded) -> (Reply, Option<(u64, audit::Outcome)>) {
        let now = self.now();
        let authority = Authority {
            directory: &self.directory,
            authoriser: &self.authoriser,
        };
        replied(self.attempt.recorded(recorded, &authority, now))
    }

    fn opening() -> Self {
        let mut scene = Self::new();
        let record = scene.found(&face(&[(0, 1.0)]));
        scene.attempt.state = State::Opening {
            sequence: SEQUENCE,
            matched: record.matched.expect("person 1"),
            since: scene.start,
        };
        scene
    }
}

fn moment(now: Instant) -> Moment {
    Moment {
        now,
        unix_us: 1_800_000_000_000_000,
    }
}

const NEW: Recorded = Recorded::New { sequence: SEQUENCE };

fn replied(action: Action) -> (Reply, Option<(u64, audit::Outcome)>) {
    match action {
        Action::Reply { reply, outcome } => (reply, outcome),
        other => panic!("{other:?}"),
    }
}

fn answer(reply: &Reply) -> (Decision, Reason, u64) {
    (reply.decision, reply.reason, reply.person)
}

fn outcome(decision: Decision, reason: Reason) -> Option<(u64, audit::Outcome)> {
    let outcome = audit::Outcome {
        decision: decision as u8,
        reason: reason.code(),
        at_unix_us: 1_800_000_000_000_000,
    };
    Some((SEQUENCE, outcome))
}

#[test]
fn a_person_with_the_right_is_granted_only_from_a_durable_intent() {
    let mut scene = Scene::new();
    let record = scene.found(&face(&[(0, 1.0)]));
    assert!(!record.is_final, "an intent, until its outcome");
    assert_eq!(
        (record.device, record.door, record.request_id),
        (4, DOOR, [9; 16])
    );
    assert_eq!(
        (record.decision, record.reason),
        (Decision::Granted as u8, 0)
    );
    let matched = record.matched.expect("somebody");
    assert_eq!(
        (matched.person, &*matched.external_id, matched.score),
        (1, "one", 1.0)
    );

    let (reply, end) = scene.recorded(&NEW);
    assert_eq!(
        answer(&reply),
        (Decision::Granted, Reason::None, person_tag("one"))
    );
    assert_eq!((reply.request_id, reply.score), (RequestId([9; 16]), 1.0));
    assert_eq!((reply.times.queue_us, reply.times.search_us), (100, 200));
    assert_eq!(reply.times.total_us, 3_000);
    assert_eq!(end, outcome(Decision::Granted, Reason::None));
}

#[test]
fn a_failed_pad_is_recorded_and_denied_without_a_search() {
    let scene = Scene::new();
    let device = Arc::clone(scene.attempt.device());
    let id = RequestId([8; 16]);
    let (attempt, action) = Attempt::begin(device, id, true, scene.start, scene.now());
    let Action::Record(record) = action else {
        panic!("{action:?}");
    };
    assert!(record.is_final && record.matched.is_none());
    let mut scene = Scene { attempt, ..scene };
    let (reply, end) = scene.recorded(&NEW);
    assert_eq!(answer(&reply), (Decision::Denied, Reason::PadFailed, 0));
    assert_eq!(end, None);
}

#[test]
fn nobody_below_the_threshold_is_named() {
    let mut scene = Scene::new();
    let record = scene.found(&face(&[(0, 0.4), (9, 0.84f32.sqrt())]));
    assert!(record.is_final && record.matched.is_none());
    assert_eq!(record.reason, Reason::NoMatch.code());
    let (reply, end) = scene.recorded(&NEW);
    assert_eq!(answer(&reply), (Decision::Denied, Reason::NoMatch, 0));
    assert_eq!((reply.score, end), (0.0, None));
}

#[test]
fn without_the_right_the_denial_is_final_and_names_who_matched() {
    let mut scene = Scene::new();
    let record = scene.found(&face(&[(5, 1.0)]));
    assert!(record.is_final);
    assert_eq!(record.reason, Reason::NoRight.code());
    let (reply, end) = scene.recorded(&NEW);
    assert_eq!(
        answer(&reply),
        (Decision::Denied, Reason::NoRight, person_tag("three"))
    );
    assert_eq!(end, None);
}

#[test]
fn a_right_that_goes_while_the_intent_is_recorded_is_no_grant() {
    let mut scene = Scene::new();
    scene.found(&face(&[(0, 1.0)]));
    scene.directory.change_doors(1, |doors| doors.revoke(DOOR));
    let (reply, end) = scene.recorded(&NEW);
    assert_eq!(
        answer(&reply),
        (Decision::Denied, Reason::NoRight, person_tag("one"))
    );
    assert_eq!(end, outcome(Decision::Denied, Reason::NoRight));
}

#[test]
fn who_withdraws_while_the_intent_is_recorded_is_neither_granted_nor_named() {
    let mut scene = Scene::new();
    scene.found(&face(&[(0, 1.0)]));
    scene.directory.remove_person(1);
    let (reply, end) = scene.recorded(&NEW);
    assert_eq!(answer(&reply), (Decision::Denied, Reason::Withdrawn, 0));
    assert_eq!(reply.score, 0.0);
    assert_eq!(end, outcome(Decision::Denied, Reason::Withdrawn));
}

#[test]
fn a_view_older_than_a_withdrawal_finds_the_next_best() {
    let mut scene = Scene::new();
    scene.directory.remove_person(1);
    let matched = scene.found(&face(&[(0, 1.0)])).matched.expect("person 2");
    assert_eq!((matched.person, &*matched.external_id), (2, "two"));

    let mut scene = Scene::new();
    scene.directory.remove_person(1);
    scene.directory.remove_person(2);
    let record = scene.found(&face(&[(0, 1.0)]));
    assert_eq!(
        (record.reason, record.matched),
        (Reason::NoMatch.code(), None)
    );
}

#[test]
fn a_search_that_is_late_or_fails_is_refused_and_not_recorded() {
    for (end, reason) in [
        (SearchEnd::Late, Reason::DeadlinePassed),
        (SearchEnd::Failed, Reason::GalleryUnavailable),
    ] {
        let (reply, end) = replied(Scene::new().searched(&end));
        assert_eq!(answer(&reply), (Decision::Refused, reason, 0));
        assert_eq!(end, None);
    }
}

#[test]
fn what_cannot_be_recorded_does_not_open() {
    let mut scene = Scene::new();
    scene.found(&face(&[(0, 1.0)]));
    let why = StoreError::NotFound {
        entity: crate::store::Entity::Device,
    };
    let (reply, end) = scene.recorded(&Recorded::Failed { why });
    assert_eq!(answer(&reply), (Decision::Refused, Reason::NotRecorded, 0));
    assert_eq!(end, None);
}

/// A repeat of an attempt that ended with a withdrawal once named the person whom the first answer
/// did not.
#[test]
fn a_repeat_is_answered_as_its_first_and_has_no_outcome() {
    let matched = || {
        Some(Matched {
            person: 2,
            external_id: "two".into(),
            score: 0.75,
        })
    };
    let decided = |decision: u8, reason: Reason| Answer::Decided {
        decision,
        reason: reason.code(),
        matched: matched(),
    };
    let two = person_tag("two");
    let (granted, denied) = (Decision::Granted, Decision::Denied);
    for (first, due) in [
        (decided(1, Reason::None), (granted, Reason::None, two)),
        (decided(0, Reason::NoRight), (denied, Reason::NoRight, two)),
        (
            decided(0, Reason::Withdrawn),
            (denied, Reason::Withdrawn, 0),
        ),
        // Numbers that no decision has open nothing.
        (decided(7, Reason::NoRight), (denied, Reason::NoRight, two)),
        (decided(2, Reason::NoRight), (denied, Reason::NoRight, two)),
        (Answer::InFlight, (denied, Reason::Interrupted, 0)),
        (Answer::Interrupted, (denied, Reason::Interrupted, 0)),
    ] {
        let mut scene = Scene::new();
        // Whoever stands there now has the right: it does not matter.
        scene.found(&face(&[(0, 1.0)]));
        let (reply, end) = scene.recorded(&Recorded::Repeat {
            sequence: 3,
            answer: first.clone(),
        });
        assert_eq!(answer(&reply), due, "{first:?}");
        assert_eq!(end, None, "{first:?}");
    }
}

/// A reply that was lost was once said again to the letter: with nobody but our answer to open the
/// door, it opened for who had been withdrawn, or had lost the right, in between.
#[test]
fn a_repeat_of_a_grant_is_none_where_the_right_has_gone() {
    let answer = Answer::Decided {
        decision: Decision::Granted as u8,
        reason: 0,
        matched: Some(Matched {
            person: 1,
            external_id: "one".into(),
            score: 1.0,
        }),
    };
    let change = |scene: &mut Scene, withdrawn: bool| {
        if withdrawn {
            scene.directory.remove_person(1);
        } else {
            scene.directory.change_doors(1, |doors| doors.revoke(DOOR));
        }
    };
    for (withdrawn, due) in [
        (true, (Decision::Denied, Reason::Withdrawn, 0)),
        (
            false,
            (Decision::Denied, Reason::NoRight, person_tag("one")),
        ),
    ] {
        let mut scene = Scene::new();
        scene.found(&face(&[(0, 1.0)]));
        change(&mut scene, withdrawn);
        let (reply, end) = scene.recorded(&Recorded::Repeat {
            sequence: 3,
            answer: answer.clone(),
        });
        assert_eq!(
            ((reply.decision, reply.reason, reply.person), end),
            (due, None)
        );
    }
}

#[test]
fn a_deadline_ends_searching_and_recording_with_a_refusal() {
    let mut searching = Scene::new();
    let mut recording = Scene::new();
    recording.found(&face(&[(0, 1.0)]));
    for scene in [&mut searching, &mut recording] {
        let now = scene.now();
        let (reply, end) = replied(scene.attempt.late(now));
        assert_eq!(
            answer(&reply),
            (Decision::Refused, Reason::DeadlinePassed, 0)
        );
        assert_eq!(end, None);
        assert!(matches!(scene.attempt.state, State::Ended));
    }
}

#[test]
fn only_what_space_says_is_open_is_granted() {
    let refused = Outcome::Refused {
        code: -3,
        why: "no".to_owned(),
    };
    let unknown = Outcome::Unknown("no answer".to_owned());
    let (granted, denied) = (Decision::Granted, Decision::Denied);
    for (said, decision, reason) in [
        (Outcome::Opened, granted, Reason::None),
        (refused, denied, Reason::SpaceRefused),
        (
            Outcome::NotSent("busy".to_owned()),
            denied,
            Reason::SpaceUnavailable,
        ),
        (unknown, denied, Reason::OutcomeUnknown),
    ] {
        let mut scene = Scene::opening();
        assert!(scene.attempt.is_opening());
        let now = scene.now();
        let (reply, end) = replied(scene.attempt.opened(&said, None, now));
        assert_eq!(
            answer(&reply),
            (decision, reason, person_tag("one")),
            "{said:?}"
        );
        assert_eq!(end, outcome(decision, reason), "{said:?}");
        assert!(!scene.attempt.is_opening());
        assert_eq!(reply.times.authorise_us, 3_000, "Space's share");
    }
}

#[test]
fn a_last_look_that_finds_a_withdrawal_names_nobody() {
    let mut scene = Scene::opening();
    let now = scene.now();
    let not_sent = Outcome::NotSent("withheld".to_owned());
    let withdrawn = Some(Reason::Withdrawn);
    let (reply, end) = replied(scene.attempt.opened(&not_sent, withdrawn, now));
    assert_eq!(answer(&reply), (Decision::Denied, Reason::Withdrawn, 0));
    assert_eq!(end, outcome(Decision::Denied, Reason::Withdrawn));
}

#[test]
fn a_deadline_while_space_opens_is_an_unknown_outcome() {
    let mut scene = Scene::opening();
    let now = scene.now();
    let (reply, end) = replied(scene.attempt.late(now));
    assert_eq!(
        (reply.decision, reply.reason),
        (Decision::Denied, Reason::OutcomeUnknown)
    );
    assert_eq!(end, outcome(Decision::Denied, Reason::OutcomeUnknown));
}
