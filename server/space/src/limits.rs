//! Every bound of this crate, by name. Each has a test that reaches it, in the module that
//! applies it.

use std::time::Duration;

/// Longest reply to a call that returns no list, in bytes of the body.
pub const REPLY_BYTES_MAX: usize = 1 << 20;

/// Longest page of a list, in bytes of the body. 10,000 users in one page have been seen; this
/// leaves each of them 6 KiB.
pub const PAGE_BYTES_MAX: usize = 64 << 20;

/// Deepest nesting of elements. The messages seen in public clients reach 8.
pub const XML_DEPTH_MAX: usize = 32;

/// Longest text of one element, in bytes.
pub const XML_TEXT_BYTES_MAX: usize = 64 << 10;

/// Longest head of an HTTP reply, in bytes.
pub const HTTP_HEAD_BYTES_MAX: usize = 16 << 10;

/// Longest decimal length in the frame of SHIP over TCP, in digits.
pub const STP_LENGTH_DIGITS_MAX: usize = 9;

/// Longest `ExtUserID`, `ExtDoorID`, .., in bytes. Space's own are 32 hex digits.
pub const EXT_ID_BYTES_MAX: usize = 64;

/// Longest request that is sent, in bytes. Must stay below the TLS library's own send buffer
/// (64 KiB), so that one write takes it whole.
pub const REQUEST_BYTES_MAX: usize = 32 << 10;

/// Most users of one site.
pub const USERS_MAX: usize = 1_000_000;

/// Most doors, zones or groups of one site, each. Indices are kept in 16 bits.
pub const TARGETS_MAX: usize = 60_000;

/// Most permissions of one site, over all users and groups, after equal lists were shared.
pub const PERMISSIONS_MAX: usize = 60_000_000;

/// Most calls of one sync. Reached only by a Space that hands out tiny pages for ever.
pub const SYNC_CALLS_MAX: u32 = 20_000;

/// Most users who may vanish in one sync, in percent of those known, before erasing waits for
/// an administrator.
pub const VANISHED_PERCENT_MAX: usize = 5;

/// Most intervals of one described timezone table.
pub const TIMETABLE_INTERVALS_MAX: usize = 64;

/// Longest single event of Space's event stream, in bytes.
pub const EVENT_BYTES_MAX: usize = 64 << 10;

/// Most connections of Space's event stream at once.
pub const EVENT_CONNECTIONS_MAX: usize = 4;

/// Longest body of a request that Space makes of this server, in bytes.
pub const ENROLMENT_BYTES_MAX: usize = 8 << 10;

/// Longest e-mail address, in bytes (RFC 5321: 254).
pub const EMAIL_BYTES_MAX: usize = 254;

/// Longest first or last name, in characters.
pub const NAME_CHARS_MAX: usize = 100;

/// Most connections for opening doors at once.
pub const CONNECTIONS_MAX: usize = 64;

/// Most opens that wait for a connection.
pub const OPEN_QUEUE_MAX: usize = 4_096;

/// A kept-alive connection that was idle for longer is not used again: web servers on Windows
/// drop idle connections after 120 s by default, and middleboxes earlier.
pub const IDLE_MAX: Duration = Duration::from_secs(30);

/// An open with less time left than this is not sent: no answer could come in time, and the
/// door would open after the device has shown red.
pub const OPEN_TIME_MIN: Duration = Duration::from_millis(20);

/// How long connecting (TCP and TLS) may take.
pub const CONNECT_TIME_MAX: Duration = Duration::from_millis(1_500);

/// How long the call that finds out the status may take, connecting included.
pub const PROBE_TIME_MAX: Duration = Duration::from_millis(2_000);

/// How often the status is asked for while connected.
pub const PROBE_PERIOD: Duration = Duration::from_secs(10);

/// First wait after a failed probe; doubled after each further one.
pub const BACKOFF_MIN: Duration = Duration::from_millis(250);

/// Longest wait after a failed probe.
pub const BACKOFF_MAX: Duration = Duration::from_millis(2_000);

/// Space is Connected again at the latest this long after its return.
pub const RECOVERY_TIME_MAX: Duration = Duration::from_millis(5_000);

/// How long one page of a list may take.
pub const PAGE_TIME_MAX: Duration = Duration::from_secs(30);

/// How long a whole sync may take.
pub const SYNC_TIME_MAX: Duration = Duration::from_secs(600);

/// Longest description of a failure that is kept or logged, in bytes.
pub const WHY_BYTES_MAX: usize = 300;

// A probe that began just before Space returned may hang for its whole time; then comes one
// back-off and one more probe, which is answered.
const _: () =
    assert!(PROBE_TIME_MAX.as_millis() + BACKOFF_MAX.as_millis() < RECOVERY_TIME_MAX.as_millis());
const _: () = assert!(BACKOFF_MIN.as_millis() <= BACKOFF_MAX.as_millis());
const _: () = assert!(CONNECT_TIME_MAX.as_millis() < PROBE_TIME_MAX.as_millis());
const _: () = assert!(REPLY_BYTES_MAX <= PAGE_BYTES_MAX);
const _: () = assert!(XML_TEXT_BYTES_MAX <= REPLY_BYTES_MAX);
const _: () = assert!(TARGETS_MAX <= u16::MAX as usize);
const _: () = assert!(PERMISSIONS_MAX <= u32::MAX as usize);
const _: () = assert!(REQUEST_BYTES_MAX < 64 << 10);

/// What is looked at of a web page, bytes.
pub const WEB_PAGE_BYTES_MAX: usize = 2 << 20;

/// Redirects that are followed to a web page.
pub const PAGE_REDIRECTS_MAX: usize = 5;
