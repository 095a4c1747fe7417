//! Every bound of the server, with its unit in its name; relations between them are checked below.

// -- front end: connections, handshakes, heads, bodies, deadlines (net, tls, http) --

// -- store and audit: batches, pages, retention (store, audit) --

// -- access: queue, batch, deadlines of an attempt (work, access, api) --

/// The longest that a site may let a device wait, in ms: the promise of the requirements.
pub const ANSWER_DEADLINE_MS_MAX: u64 = 2_000;
/// Event loops.
pub const LOOPS_MAX: usize = 16;
/// Threads of a search.
pub const SEARCH_THREADS_MAX: usize = 64;
/// Probes that wait for a search, over all loops. 2,048 at 1 ms each is past any deadline.
pub const PROBES_QUEUED_MAX: usize = 2_048;
/// Probes searched in one pass.
pub const PROBES_IN_BATCH_MAX: usize = 64;
/// Access requests of one loop in flight: taken and not answered.
pub const ATTEMPTS_IN_FLIGHT_MAX: usize = 8_192;
/// Access requests of one device in flight.
pub const ATTEMPTS_PER_DEVICE_MAX: u32 = 4;
/// Commissionings, renewals and heartbeats that wait for the writer.
pub const WRITER_QUEUED_MAX: usize = 1_024;
/// Rows that changes may put beside the snapshot before a new one is written.
pub const OVERLAY_ROWS_MAX: usize = 4_096;
/// People of one line on the administration socket.
pub const ADMIN_PEOPLE_MAX: usize = 64;
/// Bytes of one line on the administration socket: 64 people with 16 references of 2,732
/// characters each, and room for their names.
pub const ADMIN_LINE_BYTES_MAX: usize = 4 * 1_024 * 1_024;
/// Connections to the administration socket at once.
pub const ADMIN_CONNECTIONS_MAX: usize = 8;
/// Worst requests kept for each interval of the latency log.
pub const WORST_KEPT: usize = 10;

const _: () = assert!(PROBES_IN_BATCH_MAX <= PROBES_QUEUED_MAX);
/// Signs of life that a loop holds for the writer.
pub const SIGNS_HELD_MAX: usize = 10_000;
/// References of one person.
pub const REFERENCES_PER_PERSON_MAX: usize = 16;
