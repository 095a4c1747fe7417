//! Every bound of the simulated device.

use std::time::Duration;

/// How long one exchange with the server may take.
pub(crate) const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(10);
/// The first pause before connecting again; it doubles with each failure.
pub(crate) const BACK_OFF_FIRST: Duration = Duration::from_millis(500);
/// The longest pause before connecting again.
pub(crate) const BACK_OFF_MAX: Duration = Duration::from_secs(30);
/// A heartbeat's period, shortest and longest, in seconds, whatever a configuration says.
pub(crate) const HEARTBEAT_S: std::ops::RangeInclusive<u32> = 1..=3_600;
/// The longest firmware that is fetched.
pub(crate) const FIRMWARE_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// Embeddings read from one file.
pub(crate) const EMBEDDINGS_MAX: usize = 100_000;
/// How long the colours of a reset hold.
pub(crate) const COLOURS_LIFE: Duration = Duration::from_secs(300);
