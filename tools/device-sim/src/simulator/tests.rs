use std::sync::atomic::{AtomicU32, Ordering};

use cardea_loadtest::mirror::{Answers, Heartbeats, Mirror};
use cardea_wire::reply::CommandKind;
use cardea_wire::{Command, Decision, EncodedEmbedding, Head, Kind, Reason};

use super::*;

/// Grants the first embedding, denies all others.
fn answers() -> Box<Answers> {
    Box::new(|request| {
        let known = matches!(request.embedding, EncodedEmbedding::F32(bytes) if bytes[0] == 1);
        let (decision, reason) = match known {
            true => (Decision::Granted, Reason::None),
            false => (Decision::Denied, Reason::NoMatch),
        };
        Reply::new(Kind::Access, request.request_id, decision, reason)
    })
}

fn served(head: &Head) -> Reply {
    Reply::new(head.kind, head.request_id, Decision::Served, Reason::None)
}

/// Runs a device against a mirror; what it showed, and whether it still has an identity.
fn show(heartbeats: Box<Heartbeats>, messages: u64) -> (String, bool) {
    let mirror = Mirror::start_with(answers(), heartbeats).expect("a mirror");
    let folder = tempfile::tempdir().expect("a folder");
    let orders = Orders {
        identity: folder.path().join("device.identity"),
        code: Some(mirror.code("Front door")),
        camera: None,
        enrol_code: None,
        enrol_face: Vec::new(),
        embeddings: vec![[1; 2_048], [2; 2_048]],
        access_every: Duration::ZERO,
        messages: Some(messages),
    };
    let identity = orders.identity.clone();
    let mut out = Vec::new();
    let mut simulator = Simulator::new(orders, Device::new([0; 16]), &mut out);
    simulator.work().expect("a working device");
    let text = String::from_utf8(out).expect("UTF-8");
    (text, identity.exists())
}

#[test]
fn from_a_code_to_a_granted_and_a_denied_request_every_light_is_shown_in_order() {
    let (text, has_identity) = show(Box::new(served), 3);
    let expected = "\
light: flashing yellow (waiting to be commissioned)
light: flashing blue (connecting to the server)
light: flashing green (commissioned)
  paired with door \"Front door\"
light: flashing blue (connecting to the server)
light: solid white (idle)
light: flashing white (requesting access)
light: solid green (granted)
  person 0000000000000000, score 0.0000
light: solid white (idle)
light: flashing white (requesting access)
light: solid red (denied)
  denied: no match
light: solid white (idle)
";
    assert_eq!(text, expected);
    assert!(has_identity);
}

#[test]
fn a_decommissioned_device_forgets_its_identity_and_waits() {
    let decommission = |head: &Head| {
        let mut reply = served(head);
        reply.command = Some(Command {
            kind: CommandKind::Decommission,
            id: 1,
            body: Vec::new(),
        });
        reply
    };
    let (text, has_identity) = show(Box::new(decommission), 10);
    assert!(
        text.ends_with("light: flashing yellow (waiting to be commissioned)\n"),
        "{text}"
    );
    assert!(!has_identity);
}

#[test]
fn a_certificate_is_renewed_once_two_thirds_of_its_life_are_over_by_the_servers_clock() {
    // The mirror's certificates end in the year 4096.
    let late = |head: &Head| {
        let mut reply = served(head);
        reply.person = 60_000_000_000_000;
        reply
    };
    let (text, _) = show(Box::new(late), 1);
    assert!(text.contains("certificate renewed"), "{text}");
    let (text, _) = show(Box::new(served), 1);
    assert!(!text.contains("certificate renewed"), "{text}");
}

#[test]
fn after_an_error_the_device_connects_again() {
    let count = AtomicU32::new(0);
    let first_fails = move |head: &Head| {
        let mut reply = served(head);
        if count.fetch_add(1, Ordering::Relaxed) == 0 {
            // A reply that the mirror sends but no device can read.
            reply.payload = vec![0; 9_000];
        }
        reply
    };
    let (text, _) = show(Box::new(first_fails), 2);
    let after = text.split("light: flashing red (error)").nth(1);
    let after = after.expect("an error is shown");
    assert!(
        after.contains("light: flashing blue (connecting to the server)"),
        "{text}"
    );
    assert!(after.contains("light: solid green (granted)"), "{text}");
}
