//! Every bound of Connect, with its unit in its name.

use std::time::Duration;

/// Publishes that the broker has not acknowledged yet.
pub const PUBLISHES_IN_FLIGHT_MAX: u16 = 128;
/// Requests that wait for the MQTT library: all publishes, acknowledgements and a subscription.
pub const REQUESTS_QUEUED_MAX: usize = 512;
/// What the server may ask of the client's thread at once.
pub const CONTROLS_QUEUED_MAX: usize = 256;
/// The longest packet taken from the broker; the library's own default is 10 KiB.
pub const PACKET_IN_BYTES_MAX: usize = 1 << 20;
/// The longest packet given to the broker.
pub const PACKET_OUT_BYTES_MAX: usize = 1 << 20;
/// The longest message in the outbox.
pub const MESSAGE_BYTES_MAX: usize = 256 * 1_024;
/// The longest command.
pub const COMMAND_BYTES_MAX: usize = 64 * 1_024;
/// The longest id of a command or of a site.
pub const ID_CHARS_MAX: usize = 64;
/// How far ahead a command may expire: its id is remembered until then.
pub const COMMAND_EXPIRY_MAX: Duration = Duration::from_secs(30 * 86_400);
/// How often the connection is tried when nothing is to be said.
pub const KEEP_ALIVE: Duration = Duration::from_secs(20);
/// From the first packet to the broker's acceptance.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Without one acknowledgement for so long, while some are awaited, the client is built anew.
pub const ACK_TIMEOUT: Duration = Duration::from_secs(20);
/// Between two attempts to connect, at least and at most: a broker that is back is found well
/// within a minute.
pub const BACKOFF_MIN: Duration = Duration::from_millis(500);
/// See [`BACKOFF_MIN`].
pub const BACKOFF_MAX: Duration = Duration::from_secs(15);
/// Acknowledgements are gathered for so long before they are told, unless there are many.
pub const DELIVERED_DELAY: Duration = Duration::from_millis(100);
/// From the wish to stop to the end, for the farewell.
pub const STOP_TIMEOUT: Duration = Duration::from_secs(2);
/// A whole exchange with the authority, downloads apart.
pub const HTTPS_TIMEOUT: Duration = Duration::from_secs(30);
/// The longest answer of the authority, downloads apart.
pub const HTTPS_ANSWER_BYTES_MAX: u64 = 256 * 1_024;
/// The longest words of the authority, or of its certificate, that are shown.
pub const WORDS_BYTES_MAX: usize = 200;
/// The longest code to join with.
pub const CODE_CHARS_MAX: usize = 2_048;
/// The longest manifest of an update.
pub const MANIFEST_BYTES_MAX: u64 = 64 * 1_024;
/// Files of one update.
pub const UPDATE_FILES_MAX: usize = 16;
/// The longest file of an update.
pub const UPDATE_FILE_BYTES_MAX: u64 = 1 << 30;
/// How often a download that was cut is taken up again without a byte of progress.
pub const DOWNLOAD_TRIES_MAX: u32 = 5;

const _: () = assert!(COMMAND_BYTES_MAX < PACKET_IN_BYTES_MAX);
const _: () = assert!(MESSAGE_BYTES_MAX < PACKET_OUT_BYTES_MAX);
const _: () = assert!(PUBLISHES_IN_FLIGHT_MAX as usize + CONTROLS_QUEUED_MAX < REQUESTS_QUEUED_MAX);
