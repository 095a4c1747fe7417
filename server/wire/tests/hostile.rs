//! Any bytes are read or refused, never more; every limit is reached.

use cardea_wire::commission::{Certificates, CommissionRequest, RenewRequest};
use cardea_wire::limits::{
    CERTIFICATE_BYTES_MAX, CODE_CHARS_MAX, COMMAND_BYTES_MAX, CSR_BYTES_MAX, DOOR_NAME_BYTES_MAX,
    EMBEDDING_F32_BYTES, HEAD_BYTES, REPLY_BYTES_MAX, REQUEST_BYTES_MAX, TOKEN_BYTES,
};
use cardea_wire::reply::{Command, CommandKind};
use cardea_wire::{
    AccessRequest, CommissioningCode, Decision, EncodedEmbedding, Head, Kind, PadResult, Reason,
    Reply, RequestId, WireError,
};
use proptest::prelude::*;

const ID: RequestId = RequestId([5; 16]);

fn access() -> Vec<u8> {
    let request = AccessRequest {
        request_id: ID,
        model: [1; 16],
        pad: PadResult::Passed,
        firmware: 1,
        command_done: 0,
        embedding: EncodedEmbedding::F32(&[0; EMBEDDING_F32_BYTES]),
    };
    let mut out = Vec::new();
    request.write(&mut out);
    out
}

fn changed(at: usize, byte: u8) -> Result<(), WireError> {
    let mut message = access();
    message[at] = byte;
    AccessRequest::parse(&message).map(|_| ())
}

/// Fails without the line that returns the error named: of `Head::parse`, `Kind::parse`,
/// `PadResult::parse`, `AccessRequest::parse` or `parse_embedding`.
#[test]
fn every_field_that_means_nothing_is_its_own_error() {
    assert_eq!(changed(0, b'X'), Err(WireError::BadMagic));
    assert_eq!(changed(4, 2), Err(WireError::UnknownVersion { found: 2 }));
    assert_eq!(changed(6, 2), Err(WireError::WrongKind { found: 2 }));
    assert_eq!(changed(6, 9), Err(WireError::WrongKind { found: 9 }));
    assert_eq!(changed(7, 0), Err(WireError::UnknownEncoding { found: 0 }));
    assert_eq!(changed(7, 3), Err(WireError::UnknownEncoding { found: 3 }));
    assert_eq!(changed(44, 1), Err(WireError::BadDimension { found: 513 }));
    assert_eq!(changed(46, 3), Err(WireError::BadField { field: "pad" }));
    let longer = WireError::BadLength {
        expected: HEAD_BYTES + EMBEDDING_F32_BYTES + 1,
        found: HEAD_BYTES + EMBEDDING_F32_BYTES,
    };
    assert_eq!(changed(40, 1), Err(longer));
    // An f32 payload that claims to be int8.
    assert!(matches!(changed(7, 2), Err(WireError::BadLength { .. })));
}

/// Fails without `codes.contains(&0x80)` in `parse_embedding`.
#[test]
fn a_code_of_minus_128_is_refused() {
    let mut codes = [0_u8; 512];
    codes[511] = 0x80;
    let request = AccessRequest {
        request_id: ID,
        model: [1; 16],
        pad: PadResult::NotDone,
        firmware: 0,
        command_done: 0,
        embedding: EncodedEmbedding::Int8 {
            scale: 0.1,
            codes: &codes,
        },
    };
    let mut out = Vec::new();
    request.write(&mut out);
    let field = "codes";
    assert_eq!(
        AccessRequest::parse(&out),
        Err(WireError::BadField { field })
    );
}

/// Fails without `message.len() != expected` in `Head::parse`.
#[test]
fn requests_are_cut_at_every_byte_without_being_read() {
    let whole = access();
    for length in 0..whole.len() {
        let cut = AccessRequest::parse(&whole[..length]);
        assert!(matches!(cut, Err(WireError::BadLength { .. })), "{length}");
    }
}

/// Fails without `csr.is_empty()` or `csr.len() > CSR_BYTES_MAX` in `checked_csr`.
#[test]
fn certificate_requests_reach_their_limit_and_no_further() {
    for (length, fits) in [
        (0, false),
        (1, true),
        (CSR_BYTES_MAX, true),
        (CSR_BYTES_MAX + 1, false),
    ] {
        let csr = vec![7; length];
        let mut commission = Vec::new();
        CommissionRequest {
            request_id: ID,
            token: [1; TOKEN_BYTES],
            csr: &csr,
        }
        .write(&mut commission);
        assert_eq!(
            CommissionRequest::parse(&commission).is_ok(),
            fits,
            "{length}"
        );
        assert!(!fits || commission.len() <= REQUEST_BYTES_MAX);
        let mut renew = Vec::new();
        RenewRequest {
            request_id: ID,
            csr: &csr,
        }
        .write(&mut renew);
        assert_eq!(RenewRequest::parse(&renew).is_ok(), fits, "{length}");
    }
}

/// Fails without `CERTIFICATE_BYTES_MAX` in `length_prefixed`, or `!rest.is_empty()` in
/// `Certificates::parse`.
#[test]
fn certificates_reach_their_limit_and_no_further() {
    for (length, fits) in [
        (CERTIFICATE_BYTES_MAX, true),
        (CERTIFICATE_BYTES_MAX + 1, false),
    ] {
        let der = vec![3; length];
        let certificates = Certificates {
            device: &der,
            site_ca: &der,
        };
        let payload = certificates.to_bytes();
        assert_eq!(Certificates::parse(&payload).is_ok(), fits, "{length}");
        assert!(!fits || HEAD_BYTES + payload.len() == REPLY_BYTES_MAX);
    }
    let trailing = [
        Certificates {
            device: b"a",
            site_ca: b"b",
        }
        .to_bytes(),
        vec![0],
    ]
    .concat();
    assert!(matches!(
        Certificates::parse(&trailing),
        Err(WireError::BadLength { .. })
    ));
}

/// Fails without `payload.len() > COMMAND_BYTES_MAX` or the four bytes of the identifier in
/// `parse_payload`, or without the assertion about `command_length` in `Reply::write`.
#[test]
fn commands_reach_their_limit_and_no_further() {
    let mut reply = Reply::new(Kind::Heartbeat, ID, Decision::Served, Reason::None);
    reply.command = Some(Command {
        kind: CommandKind::Update,
        id: 1,
        body: vec![b'x'; COMMAND_BYTES_MAX - 4],
    });
    let mut bytes = reply.to_bytes();
    assert_eq!(Reply::parse(&bytes), Ok(reply.clone()));
    bytes.push(b'x');
    let length = (bytes.len() - HEAD_BYTES) as u32;
    bytes[28..32].copy_from_slice(&length.to_le_bytes());
    assert!(matches!(
        Reply::parse(&bytes),
        Err(WireError::BadLength { .. })
    ));

    bytes.truncate(HEAD_BYTES + 3);
    bytes[28..32].copy_from_slice(&3_u32.to_le_bytes());
    assert!(matches!(
        Reply::parse(&bytes),
        Err(WireError::BadLength { .. })
    ));
    if let Some(command) = &mut reply.command {
        command.body.push(b'x');
    }
    assert!(std::panic::catch_unwind(|| reply.to_bytes()).is_err());
}

/// Fails without `door.len() > DOOR_NAME_BYTES_MAX` or `text.len() > CODE_CHARS_MAX` in
/// `CommissioningCode`.
#[test]
fn commissioning_codes_reach_their_limits_and_no_further() {
    let mut code = CommissioningCode {
        server: std::net::SocketAddr::from(([127, 0, 0, 1], 1)),
        site_ca_sha256: [1; 32],
        token: [2; TOKEN_BYTES],
        door: "d".repeat(DOOR_NAME_BYTES_MAX),
    };
    assert_eq!(CommissioningCode::parse(&code.to_text()), Ok(code.clone()));
    assert!(code.to_text().len() <= CODE_CHARS_MAX);
    code.door.push('d');
    assert!(CommissioningCode::parse(&code.to_text()).is_err());
    let long = format!("cardea1.{}", "A".repeat(CODE_CHARS_MAX));
    assert!(CommissioningCode::parse(&long).is_err());
}

/// Fails if a reason is left out of `reason::ALL`, or two have one number.
#[test]
fn every_reason_has_its_own_number_and_comes_back_from_it() {
    for reason in cardea_wire::reason::ALL {
        assert_eq!(Reason::from_code(reason.code()), Some(reason));
        assert!(reason == Reason::None || !reason.text().is_empty());
    }
    let known = (0..=u16::MAX).filter(|code| Reason::from_code(*code).is_some());
    assert_eq!(known.count(), cardea_wire::reason::ALL.len());
}

/// Fails if a reason comes, goes or is worded anew without its row in PROTOCOL.md.
#[test]
fn the_page_of_the_protocol_has_every_reason_with_its_number_and_words() {
    let page = include_str!("../../../PROTOCOL.md");
    let table = page.split("| reason | status |").nth(1);
    let rows: Vec<Vec<&str>> = table
        .expect("the table of reasons")
        .lines()
        .filter(|line| line.starts_with("| "))
        .map(|line| line.split('|').map(str::trim).collect())
        .collect();
    for reason in cardea_wire::reason::ALL {
        let number = reason.code().to_string();
        let row = rows.iter().find(|row| row[1] == number && row.len() == 6);
        let row = row.unwrap_or_else(|| panic!("no row for reason {number}"));
        assert!(reason == Reason::None || row[3] == reason.text(), "{row:?}");
        let served = reason.code() < 200;
        assert_eq!(row[2] == "200", served, "{row:?}");
    }
}

fn a_reply() -> impl Strategy<Value = Reply> {
    let kinds = prop_oneof![Just(Kind::Access), Just(Kind::Heartbeat), Just(Kind::Renew)];
    let decisions = prop_oneof![Just(Decision::Denied), Just(Decision::Granted)];
    let body = proptest::collection::vec(any::<u8>(), 0..64);
    let reasons = 0..cardea_wire::reason::ALL.len();
    (
        kinds,
        decisions,
        reasons,
        any::<[u8; 16]>(),
        any::<u64>(),
        any::<u32>(),
        body,
    )
        .prop_map(|(kind, decision, reason, id, person, number, body)| {
            let reason = cardea_wire::reason::ALL[reason];
            let mut reply = Reply::new(kind, RequestId(id), decision, reason);
            reply.person = person;
            reply.score = number as f32 / 1e9;
            reply.times.search_us = number;
            if kind == Kind::Renew {
                reply.payload = body;
            } else if number % 2 == 0 {
                let kind = CommandKind::SelfTest;
                reply.command = Some(Command {
                    kind,
                    id: number,
                    body,
                });
            }
            reply
        })
}

proptest! {
    /// Fails if `Reply::write` and `Reply::parse` put a field at different offsets.
    #[test]
    fn any_reply_comes_back_as_it_went(reply in a_reply()) {
        prop_assert_eq!(Reply::parse(&reply.to_bytes()), Ok(reply));
    }

    /// Fails if `Head::write` and `Head::parse` put a field at different offsets.
    #[test]
    fn any_access_request_comes_back_as_it_went(
        id: [u8; 16], model: [u8; 16], firmware: u32, command_done: u32, fill: u8,
    ) {
        let rows = [fill; EMBEDDING_F32_BYTES];
        let request = AccessRequest {
            request_id: RequestId(id),
            model,
            pad: PadResult::Passed,
            firmware,
            command_done,
            embedding: EncodedEmbedding::F32(&rows),
        };
        let mut out = Vec::new();
        request.write(&mut out);
        prop_assert_eq!(AccessRequest::parse(&out), Ok(request));
    }

    /// Fails if any of the readers indexes past what came.
    #[test]
    fn any_bytes_are_read_or_refused(
        mut bytes in proptest::collection::vec(any::<u8>(), 0..700), like_ours: bool,
    ) {
        if like_ours && bytes.len() >= HEAD_BYTES {
            bytes[..6].copy_from_slice(b"CRDA\x01\x00");
            let length = (bytes.len() - HEAD_BYTES) as u32;
            bytes[40..44].copy_from_slice(&length.to_le_bytes());
            bytes[28..32].copy_from_slice(&length.to_le_bytes());
        }
        let _ = Head::parse(&bytes);
        let _ = AccessRequest::parse(&bytes);
        let _ = CommissionRequest::parse(&bytes);
        let _ = RenewRequest::parse(&bytes);
        let _ = Reply::parse(&bytes);
        let _ = Certificates::parse(&bytes);
    }

    /// Fails if `CommissioningCode::to_text` writes what `parse` reads otherwise.
    #[test]
    fn any_text_is_a_code_or_none(text in "(cardea1\\.)?[A-Za-z0-9_-]{0,120}") {
        if let Ok(code) = CommissioningCode::parse(&text) {
            prop_assert_eq!(CommissioningCode::parse(&code.to_text()), Ok(code));
        }
    }
}
