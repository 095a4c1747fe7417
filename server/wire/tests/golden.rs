//! Messages byte for byte: the files were written from PROTOCOL.md's tables by another program, and
//! never change. A change here is a new version of the protocol.

use std::net::{Ipv6Addr, SocketAddr};

use cardea_wire::commission::{Certificates, CommissionRequest, RenewRequest};
use cardea_wire::reply::{Command, CommandKind, StageTimes};
use cardea_wire::{
    AccessRequest, CaptureCode, CaptureId, CaptureOrder, CommissioningCode, Decision,
    EncodedEmbedding, EnrolRequest, Head, Kind, PadResult, Reason, Reply, RequestId,
};

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
    let byte = |pair: &[u8]| {
        let text = std::str::from_utf8(pair).expect("ASCII");
        u8::from_str_radix(text, 16).expect("two digits")
    };
    digits.chunks(2).map(byte).collect()
}

fn golden(name: &str) -> Vec<u8> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden");
    let hex = std::fs::read_to_string(format!("{folder}/{name}.hex"));
    bytes(&hex.expect("a committed file"))
}

fn id() -> RequestId {
    RequestId(std::array::from_fn(|i| 16 + i as u8))
}

fn embedding() -> [u8; 2_048] {
    let mut bytes = [0; 2_048];
    for (i, component) in bytes.as_chunks_mut::<4>().0.iter_mut().enumerate() {
        *component = ((i as f32 - 256.0) / 4_096.0).to_le_bytes();
    }
    bytes
}

fn access(pad: PadResult, command_done: u32, embedding: EncodedEmbedding<'_>) -> AccessRequest<'_> {
    AccessRequest {
        request_id: id(),
        model: std::array::from_fn(|i| 160 + i as u8),
        pad,
        firmware: 0x0001_0203,
        command_done,
        embedding,
    }
}

#[test]
fn access_requests() {
    let rows = embedding();
    let request = access(PadResult::Passed, 7, EncodedEmbedding::F32(&rows));
    let file = golden("access_f32");
    assert_eq!(AccessRequest::parse(&file), Ok(request));
    let mut out = Vec::new();
    request.write(&mut out);
    assert_eq!(out, file);

    let codes: [u8; 512] = std::array::from_fn(|i| ((i % 255) as i16 - 127) as i8 as u8);
    let scale = 0.007_812_5;
    let int8 = EncodedEmbedding::Int8 {
        scale,
        codes: &codes,
    };
    let request = access(PadResult::Failed, 0, int8);
    let file = golden("access_int8");
    assert_eq!(AccessRequest::parse(&file), Ok(request));
    let mut out = Vec::new();
    request.write(&mut out);
    assert_eq!(out, file);
}

#[test]
fn heartbeat() {
    let head = Head {
        state: 1,
        firmware: 0x0001_0203,
        command_done: 9,
        uptime_ms: 123_456_789_012,
        ..Head::new(Kind::Heartbeat, id(), 0)
    };
    let file = golden("heartbeat");
    assert_eq!(Head::parse(&file), Ok(head));
    let mut out = Vec::new();
    head.write(&mut out);
    assert_eq!(out, file);
}

#[test]
fn commissioning_and_renewal() {
    let request = CommissionRequest {
        request_id: id(),
        token: std::array::from_fn(|i| 48 + i as u8),
        csr: &[0x30, 3, 2, 1, 5],
    };
    let file = golden("commission");
    assert_eq!(CommissionRequest::parse(&file), Ok(request));
    let mut out = Vec::new();
    request.write(&mut out);
    assert_eq!(out, file);

    let request = RenewRequest {
        request_id: id(),
        csr: &[0x30, 3, 2, 1, 6],
    };
    let file = golden("renew");
    assert_eq!(RenewRequest::parse(&file), Ok(request));
    let mut out = Vec::new();
    request.write(&mut out);
    assert_eq!(out, file);
}

#[test]
fn enrolment_at_a_device() {
    let rows = embedding();
    let request = EnrolRequest {
        request_id: id(),
        model: std::array::from_fn(|i| 160 + i as u8),
        pad: PadResult::Passed,
        firmware: 0x0001_0203,
        command_done: 7,
        capture: CaptureId(std::array::from_fn(|i| 80 + i as u8)),
        code: CaptureCode::new("042137").expect("six digits"),
        embeddings: vec![EncodedEmbedding::F32(&rows); 2],
    };
    let file = golden("enrol");
    assert_eq!(EnrolRequest::parse(&file), Ok(request.clone()));
    let mut out = Vec::new();
    request.write(&mut out);
    assert_eq!(out, file);

    let order = CaptureOrder {
        capture: request.capture,
        until_unix_ms: 1_800_000_600_000,
    };
    let mut served = Reply::new(Kind::Heartbeat, id(), Decision::Served, Reason::None);
    served.person = 1_800_000_000_123;
    let command = Command {
        kind: CommandKind::Capture,
        id: 78,
        body: order.to_bytes(),
    };
    assert_eq!(CaptureOrder::parse(&command), Ok(order));
    served.command = Some(command);
    same(&served, &golden("reply_capture_command"));
}

fn same(reply: &Reply, file: &[u8]) {
    assert_eq!(Reply::parse(file).as_ref(), Ok(reply));
    assert_eq!(reply.to_bytes(), file);
}

#[test]
fn replies() {
    let mut granted = Reply::new(Kind::Access, id(), Decision::Granted, Reason::None);
    granted.person = 0x0123_4567_89ab_cdef;
    granted.score = 0.75;
    granted.times = StageTimes {
        queue_us: 11,
        search_us: 222,
        record_us: 3_333,
        authorise_us: 44_444,
        total_us: 555_555,
    };
    same(&granted, &golden("reply_granted"));

    let mut denied = Reply::new(Kind::Access, id(), Decision::Denied, Reason::NoMatch);
    denied.times = StageTimes {
        queue_us: 1,
        search_us: 2,
        record_us: 3,
        authorise_us: 0,
        total_us: 9,
    };
    same(&denied, &golden("reply_denied_no_match"));

    let refused = Reply::new(Kind::Access, id(), Decision::Refused, Reason::Overloaded);
    same(&refused, &golden("reply_refused_overloaded"));

    let mut served = Reply::new(Kind::Heartbeat, id(), Decision::Served, Reason::None);
    served.person = 1_800_000_000_123;
    served.command = Some(Command {
        kind: CommandKind::Configure,
        id: 77,
        body: br#"{"heartbeat_s":15}"#.to_vec(),
    });
    same(&served, &golden("reply_heartbeat_command"));

    let mut served = Reply::new(Kind::Commission, id(), Decision::Served, Reason::None);
    let certificates = Certificates {
        device: b"abc",
        site_ca: b"defg",
    };
    served.payload = certificates.to_bytes();
    same(&served, &golden("reply_certificates"));
    assert_eq!(Certificates::parse(&served.payload), Ok(certificates));
}

#[test]
fn commissioning_codes() {
    let sha256 = bytes("6959097001d10501ac7d54c0bdb8db61420f658f2922cc26e46d536119a31126");
    let text = include_str!("golden/code.txt");
    let code = CommissioningCode::parse(text).expect("a code");
    assert_eq!(code.server, SocketAddr::from(([192, 0, 2, 7], 443)));
    assert_eq!(code.site_ca_sha256.as_slice(), sha256);
    assert_eq!(code.token, std::array::from_fn(|i| 48 + i as u8));
    assert_eq!(code.door, "Tür 1");
    assert_eq!(code.to_text(), text.trim());

    let text = include_str!("golden/code6.txt");
    let code = CommissioningCode::parse(text).expect("a code");
    let address = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
    assert_eq!(code.server, SocketAddr::from((address, 8_443)));
    assert_eq!(code.to_text(), text.trim());
}
