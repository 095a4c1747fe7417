use std::io::{Read, Write};
use std::sync::Arc;

use rustls::crypto::aws_lc_rs::{self, cipher_suite};
use rustls::{AlertDescription, CipherSuite, Error, HandshakeKind};

use super::testkit::{Pair, Site};
use super::*;
use crate::limits::TLS_HANDSHAKE_BYTES_MAX;

fn sessions() -> Arc<Sessions> {
    Arc::new(Sessions::new(16))
}

/// Fails without `config.session_storage` in `server_config`.
#[test]
fn a_device_is_known_by_its_certificate_and_resumes_on_another_loop() {
    let (site, sessions) = (Site::new(), sessions());
    let device = site.device();
    let expected = PeerCertificate::new(device.certificate.clone());
    let peer = site.peer(Some(&device));
    let mut full = Pair::new(&peer, &site.server(&sessions));
    full.pump(usize::MAX).expect("a good handshake");
    assert!(full.seen.handshake_done && !full.server.is_handshaking());
    assert!(!full.server.is_resumed());
    assert_eq!(
        full.server.certificate(),
        Some(PeerCertificate::new(device.certificate))
    );
    // Each loop, and each reload, has a configuration of its own.
    for _ in 0..3 {
        let mut resumed = Pair::new(&peer, &site.server(&sessions));
        resumed.pump(usize::MAX).expect("a good handshake");
        assert!(resumed.server.is_resumed());
        assert_eq!(
            resumed.client.handshake_kind(),
            Some(HandshakeKind::Resumed)
        );
        let certificate = resumed
            .server
            .certificate()
            .expect("of the first handshake");
        assert_eq!(certificate.fingerprint, expected.fingerprint);
    }
    assert_eq!(sessions.count(), (1, 0));
}

/// Fails without `allow_unauthenticated` in `server_config`.
#[test]
fn a_stranger_comes_in_without_a_certificate_and_has_a_shelf_of_its_own() {
    let (site, sessions) = (Site::new(), sessions());
    let mut pair = Pair::new(&site.peer(None), &site.server(&sessions));
    pair.pump(usize::MAX).expect("certificates are optional");
    assert_eq!(pair.server.certificate(), None);
    assert_eq!(sessions.count(), (0, 1));
}

/// Fails without `with_client_cert_verifier` in `server_config`, or `alert` in
/// `Session::receive`.
#[test]
fn foreign_and_expired_certificates_are_refused_with_an_alert() {
    let site = Site::new();
    for (device, alert) in [
        (Site::named("another").device(), AlertDescription::UnknownCA),
        // Another authority that gave itself our name.
        (Site::new().device(), AlertDescription::DecryptError),
        (site.expired_device(), AlertDescription::CertificateExpired),
    ] {
        let mut pair = Pair::new(&site.peer(Some(&device)), &site.server(&sessions()));
        let error = pair.pump(usize::MAX).expect_err("not one of ours");
        assert!(error.is_certificate(), "{error}");
        let told = pair.client.process_new_packets();
        assert_eq!(
            told.expect_err("an alert came"),
            Error::AlertReceived(alert)
        );
    }
}

/// Fails without `self.keep(rest)` in `Session::receive`.
#[test]
fn any_split_of_the_ciphertext_gives_the_same_plaintext() {
    let site = Site::new();
    let peer = site.peer(Some(&site.device()));
    let text: Vec<u8> = (0..40_000u32).map(|i| (i % 251) as u8).collect();
    for piece in [1, 2, 7, 1_000, 16_384] {
        let mut pair = Pair::new(&peer, &site.server(&sessions()));
        pair.pump(piece).expect("a good handshake");
        for part in text.chunks(20_000) {
            pair.client.writer().write_all(part).expect("room for it");
            pair.client.refresh_traffic_keys().expect("TLS 1.3 does");
            pair.pump(piece).expect("good records");
        }
        assert!(pair.plaintext == text, "pieces of {piece}");
        assert_eq!(pair.server.buffered(), 0);
    }
}

#[test]
fn a_long_response_arrives_whole_and_the_end_is_told() {
    let site = Site::new();
    let mut pair = Pair::new(&site.peer(None), &site.server(&sessions()));
    pair.pump(usize::MAX).expect("a good handshake");
    let text: Vec<u8> = (0..100_000u32).map(|i| (i % 249) as u8).collect();
    let mut outgoing = Vec::new();
    pair.server.send(&text, &mut outgoing).expect("open");
    pair.server.close(&mut outgoing).expect("open");
    let (mut received, mut rest) = (Vec::new(), &outgoing[..]);
    while !rest.is_empty() {
        pair.client.read_tls(&mut rest).expect("memory");
        pair.client.process_new_packets().expect("good records");
        let mut part = [0; 65_536];
        while let Ok(length @ 1..) = pair.client.reader().read(&mut part) {
            received.extend_from_slice(&part[..length]);
        }
    }
    assert!(received == text);
    let state = pair.client.process_new_packets().expect("a clean end");
    assert!(state.peer_has_closed());
}

#[test]
fn an_answer_can_be_sent_while_half_a_record_waits() {
    let site = Site::new();
    let mut pair = Pair::new(&site.peer(None), &site.server(&sessions()));
    pair.pump(usize::MAX).expect("a good handshake");
    pair.client.writer().write_all(b"question").expect("room");
    let mut record = Vec::new();
    pair.client.write_tls(&mut record).expect("memory");
    let mut outgoing = Vec::new();
    pair.feed(&record[..9], &mut outgoing).expect("a beginning");
    assert!(pair.server.buffered() >= 9);
    pair.server.send(b"answer", &mut outgoing).expect("open");
    pair.deliver(&outgoing);
    let mut answer = [0; 6];
    pair.client.reader().read_exact(&mut answer).expect("whole");
    assert_eq!(&answer, b"answer");
    outgoing.clear();
    pair.feed(&record[9..], &mut outgoing).expect("the rest");
    assert_eq!(pair.plaintext, b"question");
    assert_eq!(pair.server.buffered(), 0);
}

/// Fails if `server_config` leaves the order of suites to the peer: most put SHA-384 first, which
/// costs 40 us a handshake.
#[test]
fn the_suite_that_costs_least_is_chosen_and_others_are_taken() {
    let site = Site::new();
    let server = site.server(&sessions());
    let device = site.device();
    let default = aws_lc_rs::default_provider();
    for (offered, chosen) in [
        (
            default.cipher_suites.clone(),
            CipherSuite::TLS13_AES_128_GCM_SHA256,
        ),
        (
            vec![cipher_suite::TLS13_AES_256_GCM_SHA384],
            CipherSuite::TLS13_AES_256_GCM_SHA384,
        ),
        (
            vec![cipher_suite::TLS13_CHACHA20_POLY1305_SHA256],
            CipherSuite::TLS13_CHACHA20_POLY1305_SHA256,
        ),
    ] {
        let mut pair = Pair::new(&site.peer_offering(offered, Some(&device)), &server);
        pair.pump(usize::MAX).expect("a handshake");
        let suite = pair.client.negotiated_cipher_suite();
        assert_eq!(suite.map(|suite| suite.suite()), Some(chosen));
    }
}

/// A ClientHello of TLS 1.2, by hand: version, random, no session, one suite, no compression.
fn old_client_hello() -> Vec<u8> {
    let mut body = vec![3, 3];
    body.extend_from_slice(&[7; 32]);
    body.extend_from_slice(&[0, 0, 2, 0xc0, 0x2b, 1, 0]);
    // signature_algorithms, without which rustls would look no further
    body.extend_from_slice(&[0, 8, 0, 13, 0, 4, 0, 2, 4, 3]);
    let mut message = vec![1, 0, 0, body.len() as u8];
    message.append(&mut body);
    let mut record = vec![22, 3, 1, 0, message.len() as u8];
    record.append(&mut message);
    record
}

/// Fails if `with_protocol_versions` names TLS 1.2 too, or without `alert` in `Session::receive`.
#[test]
fn old_versions_and_garbage_are_refused_with_an_alert() {
    let site = Site::new();
    let plain = b"GET / HTTP/1.1\r\nhost: door\r\n\r\n".to_vec();
    for (what, bytes) in [
        ("TLS 1.2", old_client_hello()),
        ("plain HTTP", plain),
        ("zeros", vec![0; 600]),
        ("ones", vec![0xff; 600]),
    ] {
        for piece in [1, bytes.len()] {
            let mut pair = Pair::new(&site.peer(None), &site.server(&sessions()));
            let mut outgoing = Vec::new();
            let result: Result<(), TlsError> = bytes
                .chunks(piece)
                .try_for_each(|part| pair.feed(part, &mut outgoing));
            let error = result.expect_err(what);
            assert!(matches!(error, TlsError::Protocol(_)), "{what}: {error}");
            assert!(!error.is_certificate() && !error.is_alert_received());
            assert_eq!(outgoing[..2], [21, 3], "{what}: an alert");
        }
    }
}

/// Fails without `rest.len() > limit` in `Session::keep`.
#[test]
fn an_endless_handshake_message_is_cut_off() {
    let site = Site::new();
    let mut pair = Pair::new(&site.peer(None), &site.server(&sessions()));
    let mut outgoing = Vec::new();
    // One ClientHello of 60,000 bytes, in records of 1,000.
    let mut message = vec![1, 0, 0xea, 0x60];
    message.resize(60_004, 3);
    let mut sent = 0;
    let error = loop {
        let part = &message[sent..sent + 1_000];
        let mut record = vec![22, 3, 1, 3, 0xe8];
        record.extend_from_slice(part);
        if let Err(error) = pair.feed(&record, &mut outgoing) {
            break error;
        }
        sent += 1_000;
        assert!(pair.server.buffered() <= 2 * TLS_HANDSHAKE_BYTES_MAX);
    };
    assert!(
        matches!(error, TlsError::TooLong(TLS_HANDSHAKE_BYTES_MAX)),
        "{error}"
    );
    assert!((11_000..=13_000).contains(&sent), "{sent}");
}

#[test]
fn the_warm_up_succeeds_and_leaves_no_devices_session() {
    let (site, sessions) = (Site::new(), sessions());
    warm_up(&site.server(&sessions), 5).expect("handshakes with ourselves");
    assert_eq!(sessions.count().0, 0);
}

/// Fails if `warm_up_as` shows no certificate, or resumes: then the verifier is not asked, or once.
#[test]
fn the_warm_up_of_devices_has_each_certificate_verified() {
    let (site, stranger) = (Site::new(), Site::named("another"));
    let config = site.server(&sessions());
    warm_up_as(site.device().chain_and_key(), &config, 3).expect("the site's own certificate");
    for refused in [stranger.device(), site.expired_device()] {
        let error = warm_up_as(refused.chain_and_key(), &config, 1).err();
        let error = error.expect("a certificate that is not taken");
        assert!(error.is_certificate(), "{error}");
    }
    let full = sessions();
    warm_up_as(site.device().chain_and_key(), &site.server(&full), 3).expect("handshakes");
    assert_eq!(full.count().0, 3, "a session for each full handshake");
}
