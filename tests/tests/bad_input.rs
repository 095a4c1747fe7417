//! Everything that can reach the access path from outside has its documented answer, and the
//! server serves on. PROTOCOL.md, section 8, has the same rows.

use std::sync::Arc;

use cardea_loadtest::tls;
use cardea_tests::device::{self, access, new_id, request};
use cardea_tests::face::like;
use cardea_tests::metrics::value;
use cardea_tests::raw::{Raw, status};
use cardea_tests::space::until;
use cardea_tests::{Device, Face, Server, Site, face};
use cardea_wire::{CommissioningCode, Decision, EncodedEmbedding, Reason, Reply, RequestId, path};

const ANNA: u64 = 1;

/// A site with one person at one device.
fn site_with_anna(configuration: &[(&str, &str)]) -> (Site, Server, Device) {
    let site = Site::with(configuration);
    let server = site.serve();
    server.admin().enrol("Anna", &face(ANNA)).expect("enrolled");
    let device = site.device("front");
    (site, server, device)
}

/// Puts bytes at an offset of a sound request for Anna.
fn changed(at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut message = access(new_id(), &face(ANNA));
    message[at..at + bytes.len()].copy_from_slice(bytes);
    message
}

fn int8(scale: f32, code: u8) -> Vec<u8> {
    let mut codes = [0_u8; 512];
    codes[0] = code;
    let mut message = Vec::new();
    let mut int8 = request(new_id(), &[0; 2_048]);
    int8.embedding = EncodedEmbedding::Int8 {
        scale,
        codes: &codes,
    };
    int8.write(&mut message);
    message
}

/// What is wrong, the message, and the answer due.
fn bad_messages() -> Vec<(&'static str, Vec<u8>, u16, Reason)> {
    let sound = access(new_id(), &face(ANNA));
    let longer = [&sound[..], &[0]].concat();
    let mut zero = sound.clone();
    zero[64..].fill(0);
    let mut half = sound[..64 + 1_024].to_vec();
    half[40..44].copy_from_slice(&1_024_u32.to_le_bytes());
    half[44..46].copy_from_slice(&256_u16.to_le_bytes());
    let third = f32::to_le_bytes(1.5);
    vec![
        ("empty", Vec::new(), 400, Reason::BadLength),
        (
            "a head that is short",
            sound[..63].to_vec(),
            400,
            Reason::BadLength,
        ),
        (
            "a payload that is short",
            sound[..2_111].to_vec(),
            400,
            Reason::BadLength,
        ),
        ("a payload that is long", longer, 400, Reason::BadLength),
        (
            "a length past everything",
            changed(40, &[0xff; 4]),
            400,
            Reason::BadLength,
        ),
        ("no magic", changed(0, b"GET "), 400, Reason::Malformed),
        (
            "version 0",
            changed(4, &[0, 0]),
            400,
            Reason::UnknownVersion,
        ),
        (
            "version 2",
            changed(4, &[2, 0]),
            400,
            Reason::UnknownVersion,
        ),
        (
            "a kind that is none",
            changed(6, &[9]),
            400,
            Reason::Malformed,
        ),
        (
            "another path's kind",
            changed(6, &[2]),
            400,
            Reason::Malformed,
        ),
        (
            "an encoding that is none",
            changed(7, &[3]),
            400,
            Reason::UnknownEncoding,
        ),
        (
            "another model",
            changed(24, &[7]),
            409,
            Reason::UnknownModel,
        ),
        (
            "another dimension",
            changed(44, &[0, 1]),
            400,
            Reason::BadDimension,
        ),
        ("half the dimension", half, 400, Reason::BadDimension),
        (
            "a PAD result that is none",
            changed(46, &[3]),
            400,
            Reason::Malformed,
        ),
        (
            "not a number",
            changed(64, &f32::NAN.to_le_bytes()),
            422,
            Reason::NotFinite,
        ),
        (
            "infinite",
            changed(2_108, &f32::INFINITY.to_le_bytes()),
            422,
            Reason::NotFinite,
        ),
        ("norm 0", zero, 422, Reason::NotUnit),
        ("norm 1.8", changed(64, &third), 422, Reason::NotUnit),
        (
            "int8: a code of -128",
            int8(1.0, 0x80),
            400,
            Reason::Malformed,
        ),
        ("int8: scale 0", int8(0.0, 1), 422, Reason::NotUnit),
        ("int8: norm 0", int8(1.0, 0), 422, Reason::NotUnit),
        (
            "int8: scale not a number",
            int8(f32::NAN, 1),
            422,
            Reason::NotFinite,
        ),
        (
            "int8: scale infinite",
            int8(f32::INFINITY, 1),
            422,
            Reason::NotFinite,
        ),
    ]
}

/// Fails if, for example, `Embedding::from_array` does not look at the norm, or `Head::parse` not
/// at the version.
#[test]
fn each_bad_message_has_its_answer_and_the_connection_stays_sound() {
    let (site, server, mut device) = site_with_anna(&[]);
    for (what, message, status, reason) in bad_messages() {
        let (found, reply) = device.send(path::ACCESS, &message);
        assert_eq!((found, reply.reason), (status, reason), "{what}");
        assert_eq!(
            (reply.decision, reply.person),
            (Decision::Refused, 0),
            "{what}"
        );
        if reason == Reason::UnknownModel || reason == Reason::NotUnit {
            assert_eq!(reply.request_id.0, message[8..24], "{what}");
        }
        let granted = device.access(&face(ANNA));
        assert_eq!(granted.decision, Decision::Granted, "after {what}");
    }
    // Refusals are no attempts: only what was granted is in the audit.
    assert_eq!(site.attempts(), bad_messages().len() as i64);
    server.stop();
}

/// Fails if `Embedding`'s tolerance shrinks, or int8 is read with another scale.
#[test]
fn what_is_just_good_enough_is_taken() {
    let (_site, server, mut device) = site_with_anna(&[]);
    let scaled = |factor: f32| -> Face {
        let mut face = face(ANNA);
        for bytes in face.chunks_exact_mut(4) {
            let number = f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
            bytes.copy_from_slice(&(number * factor).to_le_bytes());
        }
        face
    };
    for factor in [0.9992, 1.0008] {
        let reply = device.access(&scaled(factor));
        assert_eq!(reply.decision, Decision::Granted, "norm {factor}");
        assert!(
            (reply.score - 1.0).abs() < 1e-5,
            "norm {factor} is rescaled: {}",
            reply.score
        );
    }
    let (status, reply) = device.send(path::ACCESS, &int8(1.0, 1));
    assert_eq!((status, reply.reason), (200, Reason::NoMatch));
    server.stop();
}

/// Fails if the line `Reason::UnknownDevice` of `Api::device` gives any device at all.
#[test]
fn only_a_device_of_this_site_is_served() {
    let site = Site::new();
    let twin = site.twin();
    let server = site.serve();
    server.admin().enrol("Anna", &face(ANNA)).expect("enrolled");
    let mut device = site.device("front");
    let message = || access(new_id(), &face(ANNA));

    let code = CommissioningCode::parse(&site.code("never commissioned")).expect("a code");
    let config = tls::uncommissioned(code.site_ca_sha256).expect("a configuration");
    for path in [path::ACCESS, path::HEARTBEAT, path::RENEW] {
        let response = post(Arc::clone(&config), &server, path, &message());
        assert_eq!(status(&response), Some(401), "{path} without a certificate");
        assert_eq!(reply_of(&response).reason, Reason::NoCertificate, "{path}");
    }

    // A certificate of this CA that the store does not know: that of a site with the same CA.
    let twin_server = twin.serve();
    let mut unknown = twin.device("of the twin");
    assert_eq!(unknown.heartbeat().0, 200, "at its own site it is known");
    unknown.follow(server.address);
    let (status, reply) = unknown.send(path::ACCESS, &message());
    assert_eq!((status, reply.reason), (403, Reason::UnknownDevice));
    assert_eq!(unknown.heartbeat().0, 403);
    twin_server.stop();

    // A certificate of another CA.
    let foreign_site = Site::new();
    let foreign_server = foreign_site.serve();
    let mut foreign = foreign_site.device("foreign");
    foreign
        .identity
        .site_cas
        .clone_from(&device.identity.site_cas);
    foreign.follow(server.address);
    let failure = foreign
        .exchange(path::ACCESS, &message())
        .expect_err("not of this site");
    assert!(failure.text.contains("fatal alert"), "{failure}");
    foreign_server.stop();

    // A device that was removed: its open connection ends, a new one is of no use to it.
    assert_eq!(device.heartbeat().0, 200);
    site.done(&["device", "remove", "front"]);
    let failure = device
        .exchange(path::ACCESS, &message())
        .expect_err("closed");
    assert!(failure.text.contains("closed"), "{failure}");
    let (status, reply) = device.send(path::ACCESS, &message());
    assert_eq!((status, reply.reason), (403, Reason::UnknownDevice));

    assert_eq!(
        site.device("back").access(&face(ANNA)).decision,
        Decision::Granted
    );
    server.stop();
}

/// Fails if `Api::device` does not look at the certificate's end, which the handshake of a
/// connection that lasts longer than its certificate, or of one resumed, never sees.
#[test]
fn an_expired_certificate_is_refused_on_old_connections_and_new_ones() {
    let (_site, server, mut device) = site_with_anna(&[("device_certificate_life_s", "2")]);
    device.resumes = true;
    assert_eq!(device.access(&face(ANNA)).decision, Decision::Granted);
    // Each answer takes a moment; some day the certificate's end is reached.
    let begun = std::time::Instant::now();
    let refused = loop {
        assert!(begun.elapsed().as_secs() < 60, "served past its end");
        let (status, reply) = device.send(path::ACCESS, &access(new_id(), &face(ANNA)));
        match status {
            200 => assert_eq!(reply.decision, Decision::Granted),
            _ => break (status, reply.reason),
        }
    };
    assert_eq!(
        refused,
        (403, Reason::UnknownDevice),
        "on the connection that is open"
    );
    let message = access(new_id(), &face(ANNA));
    device.disconnect();
    if let Ok(resumed) = device.exchange(path::ACCESS, &message) {
        assert_eq!(resumed.status, 403, "on a session that is resumed");
    }
    device.disconnect();
    let mut fresh = Device::of(device.identity);
    let failure = fresh
        .exchange(path::ACCESS, &message)
        .expect_err("past its end");
    assert!(failure.text.contains("CertificateExpired"), "{failure}");
    server.stop();
}

/// Fails if `Writer::begin` of the audit does not look for a repeat, or looks only at what this
/// process has recorded.
#[test]
fn a_repeated_request_id_gets_the_first_answer_and_is_one_attempt() {
    let (site, server, mut device) = site_with_anna(&[]);
    let (granted, denied) = (access(new_id(), &face(ANNA)), access(new_id(), &face(77)));
    let first = [&granted, &denied].map(|message| device.send(path::ACCESS, message).1);
    assert_eq!(first[0].decision, Decision::Granted);
    assert_eq!(
        (first[1].decision, first[1].reason),
        (Decision::Denied, Reason::NoMatch)
    );

    // The denied attempt's id with a face that would be granted.
    let id = RequestId(first[1].request_id.0);
    let disguised = access(id, &face(ANNA));
    let repeat = |device: &mut Device, when: &str| {
        for (message, first) in [
            (&granted, &first[0]),
            (&denied, &first[1]),
            (&disguised, &first[1]),
        ] {
            let (status, reply) = device.send(path::ACCESS, message);
            assert_eq!(status, 200, "{when}");
            assert_eq!(answer(&reply), answer(first), "{when}");
        }
        assert_eq!(site.attempts(), 2, "{when}");
    };
    repeat(&mut device, "at once");
    server.stop();
    let server = site.serve();
    device.follow(server.address);
    repeat(&mut device, "after a restart");
    server.stop();
    let mut server = site.serve();
    server.process.kill();
    let server = site.serve();
    device.follow(server.address);
    repeat(&mut device, "after a crash");
    // Another device may use the same id.
    let mut other = site.device("back");
    assert_eq!(
        other.send(path::ACCESS, &disguised).1.decision,
        Decision::Granted
    );
    server.stop();
}

/// Fails if the front end hands a body over before it is whole, or takes what follows it: without
/// `pipelined: !after.is_empty()` in `Connection::whole` nobody counts it.
#[test]
fn a_body_of_another_length_than_announced_is_refused_and_the_connection_closed() {
    let (_site, server, mut device) = site_with_anna(&[]);
    let config = tls::commissioned(&device.identity, false).expect("a configuration");
    let message = access(new_id(), &face(ANNA));
    for (announced, due) in [
        (message.len() + 1, 408),
        (message.len() - 1, 400),
        (64, 400),
    ] {
        let mut raw = Raw::connect(Arc::clone(&config), server.address);
        raw.send(&post_bytes(path::ACCESS, announced, &message))
            .expect("sent");
        let response = raw.read_to_end().expect("an answer before the end");
        assert_eq!(
            status(&response),
            Some(due),
            "announced {announced} of {}",
            message.len()
        );
        assert!(
            !cardea_tests::site::contains(&response, b"CRDA\x01\x00\x81\x01"),
            "granted"
        );
    }
    let pipelined = "cardea_requests_refused_total{why=\"pipelined\"}";
    until("both longer ones are refused", || {
        value(&server.metrics(), pipelined) == 2.0
    });
    // A peer that leaves in the middle is nobody's loss.
    let mut raw = Raw::connect(config, server.address);
    raw.send(&post_bytes(path::ACCESS, message.len(), &message[..500]))
        .expect("sent");
    drop(raw);
    assert_eq!(device.access(&face(ANNA)).decision, Decision::Granted);
    server.stop();
}

/// Fails if, for example, `Attempt::searched` records the best candidate below the threshold, or a
/// log line says who is in the gallery.
#[test]
fn who_did_not_match_is_named_nowhere() {
    let site = Site::new();
    let process = &mut site.command(&["serve"]);
    let server = site.serve_command(process.env("CARDEA_LOG", "trace"));
    let mut admin = server.admin();
    admin.enrol("Wilhelmina-77", &face(77)).expect("enrolled");
    admin.enrol("Anna", &face(ANNA)).expect("enrolled");
    let mut device = site.device("front");
    for probe in [like(77, 0.3), face(1_000), face(1_001)] {
        let reply = device.access(&probe);
        assert_eq!(
            (reply.decision, reply.reason),
            (Decision::Denied, Reason::NoMatch)
        );
        assert_eq!(
            (reply.person, reply.score),
            (0, 0.0),
            "a reply names nobody"
        );
    }
    assert_eq!(
        device.access(&like(77, 0.9)).decision,
        Decision::Granted,
        "not like enough"
    );
    site.done(&["right", "revoke", "Wilhelmina-77", "--every-door"]);
    let named = "SELECT count(*) FROM records WHERE reason = 100
        AND (external_id IS NOT NULL OR person IS NOT NULL OR score IS NOT NULL)";
    let named: i64 = site
        .audit()
        .query_row(named, [], |row| row.get(0))
        .expect("a count");
    assert_eq!(named, 0, "the audit names who did not match");
    let log = server.stop();
    assert!(log.contains("ready"), "the test is blind: {log}");
    for name in ["Wilhelmina", "Name of", "Anna"] {
        assert!(!log.contains(name), "the log names {name}:\n{log}");
    }
}

/// Fails if any refusal is logged, at the level that sites run with, each time that it happens.
#[test]
fn a_peer_cannot_make_the_log_grow() {
    let (site, server, mut device) = site_with_anna(&[]);
    let before = server.process.log().lines().count();
    let bad = bad_messages();
    for (_, message, ..) in bad.iter().cycle().take(400) {
        device.send(path::ACCESS, message);
    }
    let code = CommissioningCode::parse(&site.code("never commissioned")).expect("a code");
    let config = tls::uncommissioned(code.site_ca_sha256).expect("a configuration");
    for garbage in [&b"\x16\x03\x01"[..], b"GET / HTTP/1.1\r\n\r\n", &[0; 600]].repeat(20) {
        let mut socket = std::net::TcpStream::connect(server.address).expect("it listens");
        std::io::Write::write_all(&mut socket, garbage).expect("sent");
        drop(socket);
        let mut raw = Raw::connect(Arc::clone(&config), server.address);
        raw.send(b"NONSENSE\r\n\r\n").expect("sent");
        assert_eq!(status(&raw.read_to_end().expect("an answer")), Some(400));
    }
    assert_eq!(device.access(&face(ANNA)).decision, Decision::Granted);
    let log = server.stop();
    assert!(log.lines().count() <= before + 10, "{log}");
}

fn answer(reply: &Reply) -> (Decision, Reason, u64, u32) {
    (
        reply.decision,
        reply.reason,
        reply.person,
        reply.score.to_bits(),
    )
}

fn post_bytes(path: &str, announced: usize, body: &[u8]) -> Vec<u8> {
    let head =
        format!("POST {path} HTTP/1.1\r\nHost: cardea\r\nContent-Length: {announced}\r\n\r\n");
    [head.as_bytes(), body].concat()
}

fn post(config: Arc<rustls::ClientConfig>, server: &Server, path: &str, body: &[u8]) -> Vec<u8> {
    let mut raw = Raw::connect(config, server.address);
    let mut request = post_bytes(path, body.len(), body);
    let end = request
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .expect("a head");
    request.splice(end..end, b"\r\nConnection: close".iter().copied());
    raw.send(&request).expect("sent");
    raw.read_to_end().expect("an answer")
}

fn reply_of(response: &[u8]) -> Reply {
    let end = response
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .expect("a head");
    device::parse(&response[end + 4..])
}
