//! Messages of devices: what is read is written again with the same bytes.

use cardea_engine::Embedding;
use cardea_wire::{
    AccessRequest, CommissioningCode, Decision, EncodedEmbedding, Head, Kind, PadResult, Reason,
    Reply, RequestId,
};

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let mut numbers = [0; 2_048];
    numbers[28..32].copy_from_slice(&1.0_f32.to_le_bytes());
    let request = AccessRequest {
        request_id: RequestId([3; 16]),
        model: [5; 16],
        pad: PadResult::Passed,
        firmware: 1 << 16,
        command_done: 0,
        embedding: EncodedEmbedding::F32(&numbers),
    };
    let mut access = Vec::new();
    request.write(&mut access);
    let mut heartbeat = Vec::new();
    Head::new(Kind::Heartbeat, RequestId([4; 16]), 0).write(&mut heartbeat);
    let reply = Reply::new(
        Kind::Access,
        RequestId([3; 16]),
        Decision::Denied,
        Reason::NoMatch,
    );
    let code = CommissioningCode {
        server: ([127, 0, 0, 1], 443).into(),
        site_ca_sha256: [9; 32],
        token: [8; cardea_wire::limits::TOKEN_BYTES],
        door: "Entrance".to_owned(),
    };
    vec![
        access,
        heartbeat,
        reply.to_bytes().to_vec(),
        code.to_text().into_bytes(),
    ]
}

pub(crate) fn run(bytes: &[u8]) {
    if let Ok(head) = Head::parse(bytes) {
        let mut again = Vec::new();
        head.write(&mut again);
        assert_eq!(Head::parse(&with_payload(again, bytes)), Ok(head));
    }
    if let Ok(request) = AccessRequest::parse(bytes) {
        let mut again = Vec::new();
        request.write(&mut again);
        // But for a heartbeat's state and the uptime, which decide nothing here and are not kept.
        assert_eq!(again.len(), bytes.len());
        assert_eq!(
            (&again[..47], &again[48..56]),
            (&bytes[..47], &bytes[48..56])
        );
        assert_eq!(again[64..], bytes[64..]);
        let embedding = match request.embedding {
            EncodedEmbedding::F32(numbers) => Embedding::from_le_bytes(numbers),
            EncodedEmbedding::Int8 { scale, codes } => {
                let codes: Vec<i8> = codes.iter().map(|code| code.cast_signed()).collect();
                Embedding::from_codes(&codes, scale)
            }
        };
        if let Ok(embedding) = embedding {
            let square: f32 = embedding.as_array().iter().map(|x| x * x).sum();
            assert!((square - 1.0).abs() < 1e-3, "of unit length");
        }
    }
    if let Ok(reply) = Reply::parse(bytes) {
        // As bytes: a score that is not a number does not equal itself.
        let written = reply.to_bytes();
        let again = Reply::parse(&written).map(|again| again.to_bytes());
        assert_eq!(again, Ok(written));
    }
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(code) = CommissioningCode::parse(text)
    {
        assert_eq!(CommissioningCode::parse(&code.to_text()), Ok(code));
    }
}

fn with_payload(mut head: Vec<u8>, message: &[u8]) -> Vec<u8> {
    head.extend_from_slice(message.get(head.len()..).unwrap_or_default());
    head
}
