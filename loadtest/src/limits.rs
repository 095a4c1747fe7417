//! Every bound of the load test.

use std::time::Duration;

/// Devices in one run; a token of the event loop is a device's number.
pub const DEVICES_MAX: usize = 100_000;
/// Requests in one run; a sample of each is kept to the end (96 bytes).
pub const REQUESTS_MAX: usize = 4_000_000;
/// Distinct probes in one file (2,176 bytes each).
pub const PROBES_MAX: usize = 100_000;
/// Segments of a mixed plan.
pub const SEGMENTS_MAX: usize = 256;
/// Requests of one device that wait for its connection; the next one fails with stage `backlog`.
pub const WAITING_PER_DEVICE_MAX: usize = 1_024;
/// Devices that connect at the same time before the run, so that preparing floods nobody.
pub const PREPARING_AT_ONCE: usize = 32;
/// How long one device's preparation may take.
pub const PREPARE_TIMEOUT: Duration = Duration::from_secs(20);
/// Starts taken in one turn of the loop before replies are looked at again.
pub const STARTS_PER_TURN: usize = 1_024;
/// The head of a response.
pub const RESPONSE_HEAD_BYTES_MAX: usize = 4_096;
/// Header lines of a response.
pub const RESPONSE_HEADERS_MAX: usize = 32;
/// The body of a response.
pub const RESPONSE_BODY_BYTES_MAX: usize = cardea_wire::limits::REPLY_BYTES_MAX;
/// The body of a response that is a part of firmware.
pub const PART_BYTES_MAX: usize = 256 * 1024;
/// The greatest value of a histogram; the exact maximum is kept beside it.
pub const HISTOGRAM_MAX_US: u64 = 60_000_000;
/// Requests that are reported one by one, the slowest first.
pub const WORST_REQUESTS: usize = 10;
/// Different failure texts that are kept for the report.
pub const FAILURE_TEXTS_MAX: usize = 16;
/// An identity file.
pub const IDENTITY_BYTES_MAX: u64 = 64 * 1024;
/// Commissioning codes in one file.
pub const CODES_MAX: usize = DEVICES_MAX;
/// Before a connection that the server turned away is tried again.
pub const TURNED_AWAY_PAUSE: Duration = Duration::from_millis(250);
/// Threads that commission at the same time.
pub const COMMISSIONING_THREADS: usize = 8;
/// The most that the starts of one burst may lie apart; beyond it the run is void.
pub const BURST_SPREAD_MAX_US: u64 = 5_000;
/// The share of a time limit that the generator's own lateness may take of a failed run.
pub const LATENESS_SHARE_MAX: f64 = 0.10;
/// Conditions in one `--assert`.
pub const CONDITIONS_MAX: usize = 64;
/// A report or a plan that is read back.
pub const REPORT_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Pairs of reports in one comparison.
pub const PAIRS_MAX: usize = 1_000;
/// Steps of one ramp.
pub const RAMP_STEPS_MAX: usize = 100;

const _: () = assert!(RESPONSE_HEAD_BYTES_MAX >= 1_024);
const _: () = assert!(PREPARING_AT_ONCE < DEVICES_MAX);
