//! Every bound of the server, with its unit in its name; relations between them are checked below.

use std::time::Duration;

// -- front end: connections, handshakes, heads, bodies, deadlines (net, tls, http) --

/// The longest head of a request, its empty line included.
pub const HEAD_BYTES_MAX: usize = 8_192;
/// Header lines in one request.
pub const HEADERS_MAX: usize = 48;
/// The longest target (path and query) of a request.
pub const TARGET_BYTES_MAX: usize = 2_048;
/// The longest body of a request.
pub const BODY_BYTES_MAX: usize = 16_384;
/// The longest body of a response; longer is a fault of ours and answered 500.
pub const RESPONSE_BYTES_MAX: usize = 1 << 20;

/// Ciphertext kept for one connection whose last record is not whole yet.
pub const TLS_PENDING_BYTES_MAX: usize = 18_432;
/// The same while the handshake runs: two certificates and their signatures fit several times.
pub const TLS_HANDSHAKE_BYTES_MAX: usize = 12_288;
/// Where a loop reads ciphertext to, one buffer for all its connections.
pub const READ_BUFFER_BYTES: usize = TLS_PENDING_BYTES_MAX + 16_384;
/// Reads of one connection in one turn of the loop; the others come first after that.
pub const READS_PER_TURN: usize = 2;
/// How long one turn of the loop may serve peers without a certificate: what a device waits for
/// strangers, at most, and one step of one stranger more.
pub const STRANGERS_TURN: Duration = Duration::from_millis(2);
/// The same for unfinished handshakes.
pub const HANDSHAKES_TURN: Duration = Duration::from_millis(2);
/// Connections accepted in one turn of the loop.
pub const ACCEPTS_PER_TURN: usize = 64;
/// Events taken from the kernel in one turn of the loop.
pub const EVENTS_PER_TURN: usize = 1_024;
/// Connections the kernel keeps for us until we accept them.
pub const BACKLOG: i32 = 4_096;
/// What the kernel may hold of unsent bytes for one connection; it doubles the number itself.
pub const SEND_BUFFER_BYTES: usize = 131_072;
/// Scratch buffers of a loop that grew past this are given back.
pub const SCRATCH_BYTES_KEPT: usize = 65_536;

/// Connections of one loop.
pub const CONNECTIONS_MAX: usize = 16_384;
/// Unfinished handshakes of one loop; past it the stalest is dropped.
pub const HANDSHAKES_MAX: usize = 4_096;
/// Connections of one address (of one /64 for IPv6).
pub const ADDRESS_CONNECTIONS_MAX: usize = 2_048;
/// Unfinished handshakes of one address.
pub const ADDRESS_HANDSHAKES_MAX: usize = 1_024;
/// Requests in flight of one address.
pub const ADDRESS_REQUESTS_MAX: usize = 1_024;
/// Connections that carry one device's certificate; past it the oldest is closed.
pub const DEVICE_CONNECTIONS_MAX: usize = 4;
/// Requests in flight of one loop.
pub const REQUESTS_IN_FLIGHT_MAX: usize = 4_096;
/// Bytes that a loop holds for peers: unfinished records, heads and bodies, unsent responses.
pub const BYTES_IN_FLIGHT_MAX: usize = 64 << 20;
/// Connections looked at to find one to close when a cap is reached.
pub const EVICTION_TRIES: usize = 16;

/// From accept to the end of the handshake.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// From the first byte of a head to its last.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// From the last byte of a head to the last of its body.
pub const BODY_TIMEOUT: Duration = Duration::from_secs(5);
/// From a whole request to its answer: beyond every deadline of the access path.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// From an answer to the moment its last byte went to the kernel.
pub const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// Between requests of a device: devices stay connected.
pub const IDLE_DEVICE_TIMEOUT: Duration = Duration::from_secs(600);
/// Between requests of a peer without a certificate.
pub const IDLE_STRANGER_TIMEOUT: Duration = Duration::from_secs(30);
/// From our last byte to the peer's end of the connection.
pub const LINGER_TIMEOUT: Duration = Duration::from_secs(1);
/// From the wish to stop to the last connection's end.
pub const STOP_TIMEOUT: Duration = Duration::from_secs(5);
/// Pause after accept failed for want of descriptors or memory.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Far deadlines are looked at this often, so that the heap stays small.
pub const DEADLINE_HORIZON: Duration = Duration::from_secs(10);

const _: () = assert!(BODY_BYTES_MAX >= cardea_wire::limits::REQUEST_BYTES_MAX);
const _: () = assert!(RESPONSE_BYTES_MAX >= cardea_wire::limits::REPLY_BYTES_MAX);
const _: () = assert!(TARGET_BYTES_MAX < HEAD_BYTES_MAX);
// A TLS 1.3 record: header, largest plaintext and largest expansion.
const _: () = assert!(TLS_PENDING_BYTES_MAX >= 5 + 16_384 + 256);
const _: () = assert!(TLS_HANDSHAKE_BYTES_MAX <= TLS_PENDING_BYTES_MAX);
const _: () = assert!(READ_BUFFER_BYTES > TLS_PENDING_BYTES_MAX);
const _: () = assert!(HANDSHAKES_MAX <= CONNECTIONS_MAX);
const _: () = assert!(BYTES_IN_FLIGHT_MAX > HEAD_BYTES_MAX + BODY_BYTES_MAX + RESPONSE_BYTES_MAX);

// -- store and audit: batches, pages, retention (store, audit) --

// -- access: queue, batch, deadlines of an attempt (work, access, api) --
