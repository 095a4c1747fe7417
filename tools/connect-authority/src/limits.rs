//! Every bound of the test authority.

/// The longest head of a request.
pub(crate) const HEAD_BYTES_MAX: usize = 16 << 10;
/// The longest body of a request: a bundle of diagnostics.
pub(crate) const BODY_BYTES_MAX: usize = 64 << 20;
