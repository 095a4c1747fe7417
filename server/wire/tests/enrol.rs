//! Enrolments: every field that means nothing is its own error, every limit is reached.

use cardea_wire::limits::{
    CAPTURE_CODE_BYTES, CAPTURE_EMBEDDINGS_MAX, EMBEDDING_F32_BYTES, EMBEDDING_INT8_BYTES,
    ENROL_FIXED_BYTES, HEAD_BYTES, REQUEST_BYTES_MAX,
};
use cardea_wire::reply::CommandKind;
use cardea_wire::{
    CaptureCode, CaptureId, CaptureOrder, Command, EncodedEmbedding, EnrolRequest, PadResult,
    RequestId, WireError,
};
use proptest::prelude::*;

static ROW: [u8; EMBEDDING_F32_BYTES] = [0; EMBEDDING_F32_BYTES];
static CODES: [u8; 512] = [3; 512];

fn enrol(embeddings: Vec<EncodedEmbedding<'_>>) -> Vec<u8> {
    let mut out = Vec::new();
    EnrolRequest {
        request_id: RequestId([5; 16]),
        model: [1; 16],
        pad: PadResult::Passed,
        firmware: 1,
        command_done: 0,
        capture: CaptureId([7; 16]),
        code: CaptureCode::new("123456").expect("six digits"),
        embeddings,
    }
    .write(&mut out);
    out
}

fn changed(at: usize, byte: u8) -> Result<(), WireError> {
    let mut message = enrol(vec![EncodedEmbedding::F32(&ROW)]);
    message[at] = byte;
    EnrolRequest::parse(&message).map(drop)
}

// Fails if a check in `EnrolRequest::parse` or `CaptureCode::parse` is left out.
#[test]
fn every_field_that_means_nothing_is_its_own_error() {
    let field = |field| Err(WireError::BadField { field });
    assert_eq!(changed(6, 1), Err(WireError::WrongKind { found: 1 }));
    assert_eq!(changed(7, 3), Err(WireError::UnknownEncoding { found: 3 }));
    assert_eq!(changed(44, 1), Err(WireError::BadDimension { found: 513 }));
    assert_eq!(changed(46, 3), field("pad"));
    // The code: a control character, a gap, none at all.
    assert_eq!(changed(HEAD_BYTES + 16, 7), field("code"));
    assert_eq!(changed(HEAD_BYTES + 18, 0), field("code"));
    assert_eq!(changed(HEAD_BYTES + 16, 0), field("code"));
    assert_eq!(changed(HEAD_BYTES + 40, 0), field("count"));
    assert_eq!(changed(HEAD_BYTES + 40, 5), field("count"));
    assert_eq!(changed(HEAD_BYTES + 41, 1), field("reserved"));
    assert!(matches!(
        changed(HEAD_BYTES + 40, 2),
        Err(WireError::BadLength { .. })
    ));
    assert!(matches!(changed(7, 2), Err(WireError::BadLength { .. })));
}

#[test]
fn one_to_four_embeddings_of_either_encoding() {
    for count in 1..=CAPTURE_EMBEDDINGS_MAX {
        let f32s = enrol(vec![EncodedEmbedding::F32(&ROW); count]);
        let length = HEAD_BYTES + ENROL_FIXED_BYTES + count * EMBEDDING_F32_BYTES;
        assert_eq!(f32s.len(), length);
        assert!(length <= REQUEST_BYTES_MAX);
        let read = EnrolRequest::parse(&f32s).expect("an enrolment");
        assert_eq!(read.embeddings.len(), count);
        let scale = 0.1;
        let int8 = EncodedEmbedding::Int8 {
            scale,
            codes: &CODES,
        };
        let int8s = enrol(vec![int8; count]);
        let length = HEAD_BYTES + ENROL_FIXED_BYTES + count * EMBEDDING_INT8_BYTES;
        assert_eq!(int8s.len(), length);
        assert!(EnrolRequest::parse(&int8s).is_ok());
    }
}

#[test]
fn a_code_reaches_its_limit_and_no_further() {
    let longest = "x".repeat(CAPTURE_CODE_BYTES);
    assert_eq!(
        CaptureCode::new(&longest).expect("it fits").as_bytes(),
        longest.as_bytes()
    );
    for bad in ["", " 1", "é", &format!("{longest}x")] {
        assert!(CaptureCode::new(bad).is_err(), "{bad:?}");
    }
    let code = CaptureCode::new("424242").expect("six digits");
    assert!(!format!("{code:?}").contains('4'), "never printed");
}

#[test]
fn an_order_of_another_length_is_none() {
    for length in [0, 23, 25] {
        let command = Command {
            kind: CommandKind::Capture,
            id: 1,
            body: vec![1; length],
        };
        assert!(CaptureOrder::parse(&command).is_err(), "{length}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..5_000)) {
        let _ = EnrolRequest::parse(&bytes);
        let mut message = enrol(vec![EncodedEmbedding::F32(&ROW)]);
        let end = message.len().min(bytes.len());
        for (at, byte) in bytes.iter().enumerate().take(end).filter(|(at, _)| at % 97 == 0) {
            message[at] = *byte;
        }
        let _ = EnrolRequest::parse(&message);
    }

    #[test]
    fn an_enrolment_that_is_cut_is_refused(length in 0_usize..2_156) {
        let whole = enrol(vec![EncodedEmbedding::F32(&ROW)]);
        let cut = EnrolRequest::parse(&whole[..length]);
        let refused = matches!(cut, Err(WireError::BadLength { .. }));
        prop_assert!(refused);
    }
}
