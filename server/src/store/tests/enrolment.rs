//! Invitations, captures, mails and duplicates, and that they go with the person.

use super::fixture::{Fixture, NOW, reference};
use crate::store::{
    Consent, ConsentHow, ConsentStanding, DeviceId, EnrolmentOutcome, EnrolmentStage, Entity,
    NewCapture, NewDevice, NewInvitation, NewLink, PersonId, SettingKey, StoreError, TokenHash,
    invitation_hash, token_hash,
};

const LIFE: i64 = 1_000;

fn token(number: u8) -> TokenHash {
    invitation_hash(&[number; 16])
}

fn link(number: u8, device: Option<DeviceId>, mail: bool) -> NewLink {
    NewLink {
        token: token(number),
        device,
        language: "de".to_owned(),
        expires_unix_s: NOW + LIFE,
        mail: mail.then(|| b"a sealed token".to_vec()),
    }
}

fn capture(number: u8) -> NewCapture {
    NewCapture {
        name: [number; 16],
        code: "042137".to_owned(),
        expires_unix_s: NOW + 600,
        order: vec![number; 24],
    }
}

impl Fixture {
    /// Somebody who is asked to enrol, a device, and a policy in force.
    fn invited() -> (Self, PersonId, DeviceId) {
        let mut fixture = Self::new();
        let store = &mut fixture.store;
        let door = store.door_add("Front", None).expect("a door");
        let device = NewDevice {
            name: "Reader".to_owned(),
            door: door.id,
        };
        let device = store
            .device_add(&device, token_hash(&[1; 16]), NOW + 9, NOW)
            .expect("a device");
        store
            .setting_set(SettingKey::POLICY_VERSION, b"2")
            .expect("a policy");
        let invitation = NewInvitation {
            external_id: "P1".to_owned(),
            name: "Pia Neun-Unmistakable".to_owned(),
            email: Some("pia-unmistakable@example.org".to_owned()),
        };
        let person = store.person_invite(&invitation, NOW).expect("a person");
        (fixture, person, device)
    }

    fn stage(&self, now: i64) -> EnrolmentStage {
        let standing = self.store.read().enrolment("P1", now).expect("a read");
        standing.map_or(EnrolmentStage::Withdrawn, |standing| standing.stage)
    }

    fn consents(&mut self, version: &str) {
        let consent = Consent {
            policy_version: version.to_owned(),
            at_unix_s: NOW,
            how: ConsentHow::Online,
        };
        self.store.consent_record("P1", &consent).expect("recorded");
    }

    fn outcome(&self) -> EnrolmentOutcome {
        let standing = self.store.read().enrolment("P1", NOW).expect("a read");
        let invitation = standing.and_then(|standing| standing.invitation);
        invitation.expect("an invitation").outcome
    }
}

// Fails if any step does not store what the next one reads.
#[test]
fn from_asked_for_to_enrolled() {
    let (mut fixture, person, device) = Fixture::invited();
    assert_eq!(fixture.stage(NOW), EnrolmentStage::Requested);
    let by_mail = link(1, Some(device), true);
    fixture
        .store
        .invitation_put("P1", &by_mail, NOW)
        .expect("an invitation");
    assert_eq!(
        fixture.stage(NOW),
        EnrolmentStage::Requested,
        "not sent yet"
    );
    fixture
        .store
        .mail_sent(person, token(1), NOW)
        .expect("sent");
    assert_eq!(fixture.stage(NOW), EnrolmentStage::Invited);
    assert_eq!(fixture.stage(NOW + LIFE), EnrolmentStage::Expired);
    fixture.consents("1");
    let standing = fixture.store.read().enrolment_by_token(token(1), NOW);
    let standing = standing.expect("a read").expect("found by its link");
    assert_eq!(standing.consent, ConsentStanding::Outdated);
    assert_eq!(standing.stage, EnrolmentStage::Invited);
    fixture.consents("2");
    assert_eq!(fixture.stage(NOW), EnrolmentStage::Consented);

    fixture
        .store
        .capture_begin(person, &capture(5), NOW)
        .expect("a capture");
    let waiting = fixture
        .store
        .read()
        .commands_waiting(device)
        .expect("a read");
    assert_eq!(waiting[0].body, [5; 24]);
    let found = fixture.store.read().capture(&[5; 16]).expect("a read");
    assert_eq!(
        found.map(|found| (found.person, found.device)),
        Some((person, device))
    );
    let enrolled = fixture.store.invited_enrol(person, &[reference(3)], NOW);
    assert_eq!(enrolled.expect("enrolled").references.len(), 1);
    assert_eq!(fixture.stage(NOW), EnrolmentStage::Enrolled);
    assert_eq!(fixture.outcome(), EnrolmentOutcome::Enrolled);
    let waiting = fixture
        .store
        .read()
        .commands_waiting(device)
        .expect("a read");
    assert_eq!(waiting, [], "nothing is asked of the device any more");
    let again = fixture.store.invited_enrol(person, &[reference(4)], NOW);
    assert_eq!(
        again,
        Err(StoreError::NotFound {
            entity: Entity::Person
        })
    );
}

// Fails without `consent_policy IS NOT NULL` in `invited_enrol`.
#[test]
fn nobody_is_enrolled_without_consent() {
    let (mut fixture, person, device) = Fixture::invited();
    let paper = link(1, Some(device), false);
    fixture
        .store
        .invitation_put("P1", &paper, NOW)
        .expect("an invitation");
    let refused = fixture.store.invited_enrol(person, &[reference(1)], NOW);
    assert_eq!(
        refused,
        Err(StoreError::NotFound {
            entity: Entity::Person
        })
    );
    assert_eq!(fixture.store.read().counts().expect("counts").references, 0);
}

// Fails if a table keeps a row, or a page of a table a byte.
#[test]
fn withdrawing_takes_everything_along() {
    let (mut fixture, person, device) = Fixture::invited();
    let by_mail = link(1, Some(device), true);
    fixture
        .store
        .invitation_put("P1", &by_mail, NOW)
        .expect("an invitation");
    fixture.consents("2");
    fixture
        .store
        .capture_begin(person, &capture(5), NOW)
        .expect("a capture");
    let twin = NewInvitation {
        external_id: "P2".to_owned(),
        name: "Twin".to_owned(),
        email: None,
    };
    let twin = fixture.store.person_invite(&twin, NOW).expect("a person");
    fixture
        .store
        .duplicate_hold(twin, person, 0.9, NOW)
        .expect("held");
    fixture.store.person_withdraw("P1").expect("withdrawn");
    assert_eq!(fixture.stage(NOW), EnrolmentStage::Withdrawn);
    let read = fixture.store.read();
    assert_eq!(read.enrolment_by_token(token(1), NOW), Ok(None));
    assert_eq!(read.capture(&[5; 16]), Ok(None));
    assert!(read.mail_due(NOW + 99).expect("a read").is_none());
    assert_eq!(read.commands_waiting(device), Ok(Vec::new()));
    let other = read
        .enrolment("P2", NOW)
        .expect("a read")
        .expect("the twin");
    assert_eq!(other.duplicate, None);
    fixture.store.erase_log().expect("erased");
    let file = std::fs::read(fixture.folder.path().join("store.db")).expect("the database");
    for gone in [
        b"Unmistakable".as_slice(),
        b"unmistakable",
        b"042137",
        b"a sealed token",
        &token(1).0,
    ] {
        let found = file.windows(gone.len()).any(|window| window == gone);
        assert!(!found, "{}", String::from_utf8_lossy(gone));
    }
}

// Fails without `capture_tried`, `captures_expire` or the replacement of a capture.
#[test]
fn a_capture_ends_by_itself() {
    let (mut fixture, person, device) = Fixture::invited();
    let paper = link(1, Some(device), false);
    fixture
        .store
        .invitation_put("P1", &paper, NOW)
        .expect("an invitation");
    fixture.consents("2");
    fixture
        .store
        .capture_begin(person, &capture(5), NOW)
        .expect("a capture");
    fixture
        .store
        .capture_begin(person, &capture(6), NOW)
        .expect("another");
    let waiting = fixture
        .store
        .read()
        .commands_waiting(device)
        .expect("a read");
    assert_eq!(waiting.len(), 1, "one for each person");
    assert_eq!(fixture.store.capture_tried(person), Ok(1));
    assert_eq!(fixture.store.capture_tried(person), Ok(2));
    assert_eq!(fixture.store.captures_expire(NOW + 599), Ok(0));
    assert_eq!(fixture.store.captures_expire(NOW + 600), Ok(1));
    assert_eq!(fixture.outcome(), EnrolmentOutcome::TimedOut);
    assert_eq!(
        fixture.store.capture_tried(person),
        Err(StoreError::NotFound {
            entity: Entity::Command
        })
    );
    fixture.store.device_remove(device).expect("removed");
    let refused = fixture.store.capture_begin(person, &capture(7), NOW);
    assert_eq!(
        refused,
        Err(StoreError::NotFound {
            entity: Entity::Device
        })
    );
}

// Fails if a mail is sent twice, never again, or with the link of another invitation.
#[test]
fn mails_wait_and_go_once() {
    let (mut fixture, person, _) = Fixture::invited();
    fixture
        .store
        .invitation_put("P1", &link(1, None, true), NOW)
        .expect("an invitation");
    let due = |fixture: &Fixture, now| {
        let mail = fixture.store.read().mail_due(now).expect("a read");
        mail.map(|mail| (mail.tries, mail.email))
    };
    let to_try = |fixture: &Fixture, now| fixture.store.read().mails_to_try(now).expect("a read");
    let email = "pia-unmistakable@example.org".to_owned();
    assert_eq!(due(&fixture, NOW - 1), None);
    assert_eq!(due(&fixture, NOW), Some((0, email.clone())));
    let later = Some(NOW + 5);
    fixture
        .store
        .mail_failed(person, token(1), later, "away")
        .expect("noted");
    assert_eq!(due(&fixture, NOW + 4), None);
    assert_eq!(due(&fixture, NOW + 5), Some((1, email.clone())));
    assert_eq!(to_try(&fixture, NOW + 4), 1, "also before it is due again");
    assert_eq!(
        (due(&fixture, NOW + LIFE), to_try(&fixture, NOW + LIFE)),
        (None, 0),
        "the invitation has expired"
    );
    fixture
        .store
        .mail_failed(person, token(1), None, "refused")
        .expect("noted");
    assert_eq!(due(&fixture, NOW + 99), None, "refused for good");
    assert_eq!(to_try(&fixture, NOW), 0);
    fixture.store.mails_hasten(NOW + 6).expect("another relay");
    assert_eq!(due(&fixture, NOW + 6), Some((2, email.clone())));
    // Replaced while the first mail was on its way: the second still has to go.
    fixture
        .store
        .invitation_put("P1", &link(2, None, true), NOW)
        .expect("another");
    fixture
        .store
        .mail_sent(person, token(1), NOW)
        .expect("noted");
    assert_eq!(due(&fixture, NOW), Some((0, email)));
    fixture
        .store
        .mail_sent(person, token(2), NOW)
        .expect("noted");
    assert_eq!(due(&fixture, NOW + 99), None);
}

// Fails if cancelling leaves the link, the consent or what the device is asked.
#[test]
fn an_invitation_is_taken_back() {
    let (mut fixture, person, device) = Fixture::invited();
    fixture
        .store
        .invitation_put("P1", &link(1, Some(device), true), NOW)
        .expect("invited");
    fixture.consents("2");
    fixture
        .store
        .capture_begin(person, &capture(5), NOW)
        .expect("a capture");
    fixture.store.invitation_cancel("P1").expect("taken back");
    assert_eq!(fixture.stage(NOW), EnrolmentStage::Requested);
    let read = fixture.store.read();
    assert_eq!(read.enrolment_by_token(token(1), NOW), Ok(None));
    assert_eq!(read.commands_waiting(device), Ok(Vec::new()));
    assert!(read.mail_due(NOW).expect("a read").is_none());
    let standing = read
        .enrolment("P1", NOW)
        .expect("a read")
        .expect("still there");
    assert_eq!(standing.consent, ConsentStanding::Missing);
    assert_eq!(
        fixture.store.invitation_cancel("P1"),
        Err(StoreError::NotFound {
            entity: Entity::Invitation
        })
    );
}

// Fails if an administrator's word is forgotten, or nobody's is needed.
#[test]
fn a_likely_duplicate_waits_for_an_administrator() {
    let (mut fixture, person, device) = Fixture::invited();
    fixture
        .store
        .invitation_put("P1", &link(1, Some(device), false), NOW)
        .expect("invited");
    let other = NewInvitation {
        external_id: "P2".to_owned(),
        name: "Other".to_owned(),
        email: None,
    };
    let other = fixture.store.person_invite(&other, NOW).expect("a person");
    fixture
        .store
        .duplicate_hold(person, other, 0.75, NOW)
        .expect("held");
    let page = fixture
        .store
        .read()
        .enrolments_page(None, 10, NOW)
        .expect("a page");
    let held = page[0].duplicate.clone().expect("held");
    assert_eq!((held.other_external_id.as_str(), held.score), ("P2", 0.75));
    assert_eq!(fixture.outcome(), EnrolmentOutcome::Held);
    fixture.store.duplicate_allow("P1").expect("allowed");
    let standing = fixture.store.read().enrolment("P1", NOW).expect("a read");
    let invitation = standing.and_then(|standing| standing.invitation);
    assert!(invitation.is_some_and(|invitation| invitation.allowed));
    assert!(
        fixture.store.duplicate_allow("P1").is_err(),
        "nothing is held"
    );
    let second = fixture.store.read().enrolments_page(Some(person), 10, NOW);
    assert_eq!(second.expect("a page").len(), 1);
}
