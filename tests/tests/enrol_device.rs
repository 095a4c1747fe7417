//! `/v1/enrol`: every row of PROTOCOL.md's bad input has its answer, and only the device that was
//! asked, with the code of the person who stands there, enrols anybody.

use cardea_loadtest::tls;
use cardea_tests::device::{heartbeat, new_id};
use cardea_tests::enrol::EnrolSite;
use cardea_tests::face::like;
use cardea_tests::raw::{Raw, status};
use cardea_tests::{Device, Face, face};
use cardea_wire::{
    CaptureCode, CaptureId, CaptureOrder, CommissioningCode, Decision, EncodedEmbedding,
    EnrolRequest, PadResult, Reason, Reply, path,
};

/// The face model of these sites.
const MODEL: [u8; 16] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];

fn message(order: &CaptureOrder, code: &str, pad: PadResult, faces: &[Face]) -> Vec<u8> {
    let mut out = Vec::new();
    EnrolRequest {
        request_id: new_id(),
        model: MODEL,
        pad,
        firmware: 1,
        command_done: 0,
        capture: order.capture,
        code: CaptureCode::new(code).expect("a code"),
        embeddings: faces.iter().map(EncodedEmbedding::F32).collect(),
    }
    .write(&mut out);
    out
}

fn send(device: &mut Device, order: &CaptureOrder, code: &str, faces: &[Face]) -> (u16, Reply) {
    let message = message(order, code, PadResult::Passed, faces);
    device.send(path::ENROL, &message)
}

/// What the device is asked for with its next heartbeat.
fn order(device: &mut Device) -> Option<CaptureOrder> {
    let (_, reply) = device.send(path::HEARTBEAT, &heartbeat(new_id()));
    let command = reply.command?;
    Some(CaptureOrder::parse(&command).expect("a capture"))
}

/// Invites somebody on paper, records the consent, and gives path, code and order.
fn waiting(site: &mut EnrolSite, external_id: &str) -> (String, String, CaptureOrder) {
    let path = site.invite(external_id, &["--device", "reader"]);
    let said = site.site.done(&["enrol", "consent", external_id]);
    let code = said
        .split_whitespace()
        .next_back()
        .expect("a code")
        .to_owned();
    let order = order(&mut site.reader).expect("the device is asked");
    (path, code, order)
}

/// Fails if a code of another person, of nobody or of paper counts for more or less than it should.
#[test]
fn the_device_that_was_asked_and_the_code_that_was_shown() {
    let mut site = EnrolSite::start(&[]);
    let (paper, code, order) = waiting(&mut site, "P1");
    // The other device has not been asked.
    let (status, reply) = send(&mut site.other, &order, &code, &[face(1)]);
    assert_eq!((status, reply.reason), (409, Reason::CaptureRefused));
    let wrong = if code == "000000" { "000001" } else { "000000" };
    let (status, reply) = send(&mut site.reader, &order, wrong, &[face(1)]);
    assert_eq!((status, reply.decision), (200, Decision::Denied));
    assert_eq!(reply.reason, Reason::WrongCode);
    assert_eq!((reply.person, reply.score), (0, 0.0));
    // What the printed invitation carries is a code as well.
    let token = paper.rsplit('/').next().expect("a token").to_owned();
    let faces = [face(1), like(1, 0.9)];
    let (status, reply) = send(&mut site.reader, &order, &token, &faces);
    assert_eq!(
        (status, reply.decision, reply.reason),
        (200, Decision::Served, Reason::None)
    );
    assert_eq!(site.other.access(&face(1)).decision, Decision::Granted);
    // It is over: the same again enrols nobody, and the device is asked no more.
    let (status, reply) = send(&mut site.reader, &order, &code, &[face(2)]);
    assert_eq!((status, reply.reason), (409, Reason::CaptureRefused));
    assert_eq!(site.other.access(&face(2)).reason, Reason::NoMatch);
    let (_, reply) = site.reader.heartbeat();
    assert_eq!(reply.command, None);
}

/// Fails if a sixth guess is heard, two people pass for one, or a mask does.
#[test]
fn a_capture_ends_with_the_fifth_wrong_code_and_takes_one_living_face() {
    let mut site = EnrolSite::start(&[]);
    let (_, code, first) = waiting(&mut site, "P1");
    let wrong = if code == "000000" { "000001" } else { "000000" };
    for _ in 0..5 {
        let (_, reply) = send(&mut site.reader, &first, wrong, &[face(1)]);
        assert_eq!(reply.reason, Reason::WrongCode);
    }
    let (_, reply) = send(&mut site.reader, &first, &code, &[face(1)]);
    assert_eq!(reply.reason, Reason::CaptureRefused);

    let (_, code, second) = waiting(&mut site, "P1");
    let (status, reply) = send(&mut site.reader, &second, &code, &[face(1), face(2)]);
    assert_eq!((status, reply.reason), (200, Reason::CapturesDiffer));

    let (_, code, third) = waiting(&mut site, "P1");
    let mask = message(&third, &code, PadResult::Failed, &[face(1)]);
    let (status, reply) = site.reader.send(path::ENROL, &mask);
    assert_eq!((status, reply.reason), (200, Reason::PadFailed));

    site.server
        .admin()
        .enrol("Anna", &face(7))
        .expect("enrolled");
    let (_, code, fourth) = waiting(&mut site, "P1");
    let (status, reply) = send(&mut site.reader, &fourth, &code, &[face(7)]);
    assert_eq!((status, reply.reason), (200, Reason::EnrolmentHeld));
    assert_eq!((reply.person, reply.score), (0, 0.0), "nobody is named");
    assert_eq!(site.other.access(&face(1)).reason, Reason::NoMatch);
}

/// Fails if consent is not looked at when the face comes.
#[test]
fn a_policy_that_changes_before_the_face_comes_stops_it() {
    let mut site = EnrolSite::start(&[]);
    let (_, code, order) = waiting(&mut site, "P1");
    site.site.done(&["enrol", "set", "--policy-version", "2"]);
    let (status, reply) = send(&mut site.reader, &order, &code, &[face(1)]);
    assert_eq!((status, reply.reason), (200, Reason::NoConsent));
    assert_eq!(site.other.access(&face(1)).reason, Reason::NoMatch);
    let why = site.site.refused(&["enrol", "capture", "P1"]);
    assert!(why.contains("consented"), "{why}");
}

/// Fails if a row of bad input has another answer than PROTOCOL.md says.
#[test]
fn what_is_no_enrolment_is_refused() {
    let mut site = EnrolSite::start(&[]);
    let (_, code, order) = waiting(&mut site, "P1");
    let sound = message(&order, &code, PadResult::Passed, &[face(1)]);
    let changed = |at: usize, bytes: &[u8]| {
        let mut message = sound.clone();
        message[at..at + bytes.len()].copy_from_slice(bytes);
        message
    };
    let unknown = CaptureOrder {
        capture: CaptureId([9; 16]),
        ..order
    };
    for (what, message, status, reason) in [
        ("short", sound[..70].to_vec(), 400, Reason::BadLength),
        ("another kind", changed(6, &[1]), 400, Reason::Malformed),
        (
            "another version",
            changed(4, &[2]),
            400,
            Reason::UnknownVersion,
        ),
        (
            "another model",
            changed(24, &[3]),
            409,
            Reason::UnknownModel,
        ),
        (
            "another dimension",
            changed(44, &[1]),
            400,
            Reason::BadDimension,
        ),
        (
            "an unknown encoding",
            changed(7, &[9]),
            400,
            Reason::UnknownEncoding,
        ),
        (
            "no embedding",
            changed(64 + 40, &[0]),
            400,
            Reason::Malformed,
        ),
        (
            "a code with a gap",
            changed(64 + 18, &[0]),
            400,
            Reason::Malformed,
        ),
        (
            "not finite",
            changed(108, &f32::NAN.to_le_bytes()),
            422,
            Reason::NotFinite,
        ),
        (
            "not of unit length",
            changed(108, &3_f32.to_le_bytes()),
            422,
            Reason::NotUnit,
        ),
        (
            "an unknown capture",
            message(&unknown, &code, PadResult::Passed, &[face(1)]),
            409,
            Reason::CaptureRefused,
        ),
    ] {
        let answer = site.reader.send(path::ENROL, &message);
        assert_eq!((answer.0, answer.1.reason), (status, reason), "{what}");
    }
    // Without a certificate.
    let commissioning = CommissioningCode::parse(&site.site.code("unused")).expect("a code");
    let config = tls::uncommissioned(commissioning.site_ca_sha256).expect("a configuration");
    let mut raw = Raw::connect(config, site.server.address);
    let length = sound.len();
    let head = format!(
        "POST /v1/enrol HTTP/1.1\r\nHost: cardea\r\nConnection: close\r\n\
         Content-Length: {length}\r\n\r\n"
    );
    raw.send(&[head.as_bytes(), &sound].concat()).expect("sent");
    assert_eq!(status(&raw.read_to_end().expect("answered")), Some(401));
    // And the sound one is still taken.
    let (_, reply) = site.reader.send(path::ENROL, &sound);
    assert_eq!(reply.decision, Decision::Served);
}
