//! Every bound of the messages, in bytes unless the name says otherwise.

/// Length of the head of a request and of a reply.
pub const HEAD_BYTES: usize = 64;
/// Numbers in an embedding.
pub const DIMENSION: u16 = 512;
/// An embedding as 512 little-endian f32.
pub const EMBEDDING_F32_BYTES: usize = 512 * 4;
/// An embedding as one f32 scale and 512 signed bytes in -127..=127.
pub const EMBEDDING_INT8_BYTES: usize = 4 + 512;
/// The one-time token of a commissioning code.
pub const TOKEN_BYTES: usize = 16;
/// The longest certificate request (DER) the server reads.
pub const CSR_BYTES_MAX: usize = 2_048;
/// The longest certificate (DER) in a reply.
pub const CERTIFICATE_BYTES_MAX: usize = 4_096;
/// The longest payload of a command for a device, its identifier included.
pub const COMMAND_BYTES_MAX: usize = 4_096;
/// The longest name of a door in a commissioning code.
pub const DOOR_NAME_BYTES_MAX: usize = 64;
/// The longest commissioning code as text.
pub const CODE_CHARS_MAX: usize = 256;
/// The name of a capture.
pub const CAPTURE_BYTES: usize = 16;
/// The code that a person shows for a capture: six digits, or an invitation's token of 22.
pub const CAPTURE_CODE_BYTES: usize = 24;
/// Embeddings of one capture.
pub const CAPTURE_EMBEDDINGS_MAX: usize = 4;
/// An enrolment's payload before its embeddings.
pub const ENROL_FIXED_BYTES: usize = CAPTURE_BYTES + CAPTURE_CODE_BYTES + 4;
/// The longest body of a request: the head and the largest payload.
pub const REQUEST_BYTES_MAX: usize = HEAD_BYTES
    + largest(
        ENROL_FIXED_BYTES + CAPTURE_EMBEDDINGS_MAX * EMBEDDING_F32_BYTES,
        TOKEN_BYTES + CSR_BYTES_MAX,
    );
/// The longest body of a reply: the head and two length-prefixed certificates.
pub const REPLY_BYTES_MAX: usize =
    HEAD_BYTES + largest(2 * (4 + CERTIFICATE_BYTES_MAX), COMMAND_BYTES_MAX);

const fn largest(a: usize, b: usize) -> usize {
    if a > b { a } else { b }
}

const _: () = assert!(EMBEDDING_INT8_BYTES < EMBEDDING_F32_BYTES);
const _: () = assert!(
    REQUEST_BYTES_MAX <= 8_448,
    "a request must fit one small buffer"
);
