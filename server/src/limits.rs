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
/// The same to the console, its API and the Enrolment Service: a photo, or a file of people.
pub const LARGE_BODY_BYTES_MAX: usize = 8 << 20;
/// Bytes that a loop holds of bodies longer than [`BODY_BYTES_MAX`], apart from all others.
pub const LARGE_BYTES_IN_FLIGHT_MAX: usize = 24 << 20;
/// From the last byte of a head to the last of such a body.
pub const LARGE_BODY_TIMEOUT: Duration = Duration::from_secs(60);
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
/// File descriptors that connections leave to databases, the gallery, logs and sockets.
pub const DESCRIPTORS_RESERVED: usize = 256;
/// Unfinished handshakes of one loop; past it the stalest is dropped.
pub const HANDSHAKES_MAX: usize = 4_096;
/// Connections of one address (of one /64 for IPv6).
pub const ADDRESS_CONNECTIONS_MAX: usize = 2_048;
/// Unfinished handshakes of one address.
pub const ADDRESS_HANDSHAKES_MAX: usize = 1_024;
/// Connections accepted of one address in a second: nothing of a stranger's costs as much.
pub const ADDRESS_ACCEPTS_PER_SECOND: usize = 1_000;
/// Requests in flight of one address.
pub const ADDRESS_REQUESTS_MAX: usize = 1_024;
/// Connections that carry one device's certificate, over all loops; past it the oldest is closed.
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
// A TLS 1.3 record: header, largest plaintext and largest expansion.
const _: () = assert!(TLS_PENDING_BYTES_MAX >= 5 + 16_384 + 256);
const _: () = assert!(TLS_HANDSHAKE_BYTES_MAX <= TLS_PENDING_BYTES_MAX);
const _: () = assert!(READ_BUFFER_BYTES > TLS_PENDING_BYTES_MAX);
const _: () = assert!(HANDSHAKES_MAX <= CONNECTIONS_MAX && TARGET_BYTES_MAX < HEAD_BYTES_MAX);
const _: () = assert!(BYTES_IN_FLIGHT_MAX > HEAD_BYTES_MAX + BODY_BYTES_MAX + RESPONSE_BYTES_MAX);

// -- store and audit: batches, pages, retention (store, audit) --

/// An embedding as 512 little-endian f32.
pub const EMBEDDING_BYTES: usize = 2_048;
/// References of one person.
pub const PERSON_REFERENCES_MAX: usize = 16;
/// The longest external id of a person.
pub const EXTERNAL_ID_BYTES_MAX: usize = 128;
/// The longest name of a person.
pub const PERSON_NAME_BYTES_MAX: usize = 256;
/// The longest e-mail address (RFC 5321).
pub const EMAIL_BYTES_MAX: usize = 254;
/// The longest version of a privacy policy.
pub const POLICY_VERSION_BYTES_MAX: usize = 64;
/// The longest name of a door; a commissioning code carries it.
pub const DOOR_NAME_BYTES_MAX: usize = cardea_wire::limits::DOOR_NAME_BYTES_MAX;
/// The longest door id of the access control system.
pub const SPACE_DOOR_ID_BYTES_MAX: usize = 128;
/// The longest name of a device.
pub const DEVICE_NAME_BYTES_MAX: usize = 64;
/// The longest address of a device as text: IPv6 with zone and port.
pub const DEVICE_ADDRESS_BYTES_MAX: usize = 80;
/// The longest payload of a command, without its four bytes of identifier on the wire.
pub const COMMAND_BODY_BYTES_MAX: usize = cardea_wire::limits::COMMAND_BYTES_MAX - 4;
/// Commands that wait for one device.
pub const COMMANDS_WAITING_MAX: u64 = 16;
/// Commands done that are kept for one device.
pub const COMMANDS_DONE_MAX: u64 = 32;
/// The longest key of a setting.
pub const SETTING_KEY_BYTES_MAX: usize = 64;
/// The longest value of a setting; certificates and sealed keys are settings.
pub const SETTING_VALUE_BYTES_MAX: usize = 65_536;
/// People in one batch of an import: a transaction of a few milliseconds.
pub const IMPORT_BATCH_MAX: usize = 256;
/// People removed by one transaction when an import is aborted.
pub const IMPORT_SWEEP_MAX: usize = 256;
/// Doors that one person of an import, or an enrolment, names.
pub const PERSON_DOORS_MAX: usize = 1_024;
/// Rows of one page of people, references, changes or audit records.
pub const PAGE_ROWS_MAX: usize = 1_000;
/// Certificates and codes of a site CA's roll-over that are looked at in one turn of the writer.
pub const ROLL_OVER_SWEEP_MAX: usize = 256;
/// Devices in one batch of last-seen times.
pub const DEVICES_SEEN_MAX: usize = 10_000;
/// Changes kept for those who follow; who is further behind starts from the store.
pub const CHANGES_KEPT_MAX: u64 = 200_000;
/// Changes trimmed in one transaction once there are too many.
pub const CHANGES_TRIM_MAX: u64 = 1_000;
/// The store's page, bytes: three embeddings fit.
pub const STORE_PAGE_BYTES: u32 = 8_192;
/// The audit's page, bytes.
pub const AUDIT_PAGE_BYTES: u32 = 4_096;
/// Page cache of each connection, KiB.
pub const STORE_CACHE_KIB: u32 = 8_192;
/// Rows written between two checkpoints of the write-ahead log.
pub const CHECKPOINT_ROWS: u64 = 1_000;
/// The write-ahead log in use, bytes, at which the writer itself checkpoints.
pub const LOG_BYTES_MAX: u64 = 64 << 20;
/// The write-ahead log, bytes, past which an import waits: a reader keeps it from being emptied.
pub const LOG_BULK_BYTES_MAX: u64 = 1 << 30;
/// How long a connection waits for another's lock, milliseconds.
pub const LOCK_WAIT_MS: u64 = 2_000;
/// How long emptying the log waits for readers, milliseconds.
pub const ERASE_WAIT_MS: u64 = 50;
/// Prepared statements kept by a connection.
pub const STATEMENTS_MAX: usize = 96;
/// Records and outcomes that wait for the audit's thread; past it a record is refused at once.
pub const AUDIT_QUEUE_MAX: usize = 16_384;
/// Room in the audit's queue beyond that, for outcomes only.
pub const AUDIT_OUTCOME_ROOM: usize = 16_384;
/// How long the audit waits before it tries to write held outcomes again, milliseconds.
pub const AUDIT_RETRY_MS: u64 = 1_000;
/// Records looked at for one page of the audit.
pub const AUDIT_SCAN_ROWS_MAX: usize = 100_000;
/// Records and outcomes of one transaction.
pub const AUDIT_BATCH_MAX: usize = 1_024;
/// Outcomes held in memory while they cannot be written.
pub const AUDIT_OUTCOMES_HELD_MAX: usize = 16_384;
/// How long a (device, request id) answers repeats, microseconds.
pub const AUDIT_REPEAT_WINDOW_US: i64 = 3_600 * 1_000_000;
/// Request ids remembered within the window; past it attempts are refused, never unrecorded.
pub const AUDIT_REPEATS_MAX: usize = 4_000_000;
/// Of them of one device.
pub const AUDIT_REPEATS_OF_DEVICE_MAX: usize = 500_000;
/// Records older than the window, in a row, that end the look back at start: the clock may step.
pub const AUDIT_LOOK_BACK_ROWS: usize = 1_000;
/// Records removed by one transaction of pruning.
pub const AUDIT_PRUNE_ROWS: usize = 500;
/// Default retention of the audit, days.
pub const AUDIT_RETENTION_DAYS: u32 = 90;
/// The longest actor, action or subject of an administrative change.
pub const AUDIT_TEXT_BYTES_MAX: usize = 256;

// -- Connect --

/// Events and results that wait for the broker; past it the change that would need one more is
/// refused.
pub const OUTBOX_KEPT_MAX: u64 = 500_000;
/// Minutes of telemetry that wait for the broker; past it the oldest goes: a day.
pub const OUTBOX_TELEMETRY_MAX: u64 = 1_440;
/// Commands of the broker's that are remembered.
pub const CONNECT_COMMANDS_MAX: u64 = 10_000;
/// Commands that wait for room at the writer; more stay at the broker, not acknowledged.
pub const CONNECT_HELD_MAX: usize = 64;
/// Commands forgotten by one that is taken.
pub const CONNECT_SWEEP_MAX: u32 = 100;
/// Refused commands that are answered in a minute; past it they are counted only.
pub const CONNECT_REFUSED_PER_MINUTE_MAX: u32 = 60;
/// Jobs that wait for the authority: diagnostics, updates.
pub const CONNECT_JOBS_MAX: usize = 16;
/// The longest part of firmware in one answer.
pub const FIRMWARE_PART_BYTES_MAX: u64 = 256 * 1_024;
/// Requests for firmware that wait.
pub const FIRMWARE_QUEUED_MAX: usize = 256;
/// Firmware that is kept: the newest.
pub const FIRMWARE_KEPT_MAX: usize = 4;
/// Lines of the log kept in memory, for diagnostics.
pub const LOG_KEPT_BYTES_MAX: usize = 512 * 1_024;
/// The longest bundle of diagnostics.
pub const DIAGNOSTICS_BYTES_MAX: usize = 64 << 20;

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
/// Access requests of one device in flight, over all loops.
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
/// People of Space's noted in one transaction.
pub const SPACE_BATCH_MAX: usize = 1_000;
/// Lines of the audit that Space's events and its status may fill in a minute.
pub const SPACE_EVENTS_PER_MINUTE_MAX: u32 = 120;
/// People gone from Space withdrawn in one turn of the writer, so that others wait only shortly.
pub const SPACE_ERASED_PER_TICK: usize = 20;
/// Sessions that devices may resume, over all loops: more than a site has devices.
pub const SESSIONS_MAX: usize = 16_384;
/// Buffers of bodies that a loop keeps for others.
pub const SPARE_BODIES_MAX: usize = 64;
/// The largest of them: an access request fits, and so does an answer with a command.
pub const SPARE_BODY_BYTES_MAX: usize = 8_192;
/// Worst requests kept for each interval of the latency log.
pub const WORST_KEPT: usize = 10;

/// Signs of life that a loop holds for the writer.
pub const SIGNS_HELD_MAX: usize = 10_000;

// -- backup, address, import's pace (backup, writer/address, pace) --

/// Bytes a second that a backup reads or writes, so that the audit's syncs do not wait for it.
pub const BACKUP_BYTES_PER_S: u64 = 64 << 20;
/// A backup that was cut is gone on with within so many seconds of its beginning; its copies hold
/// people who may be withdrawn meanwhile.
pub const BACKUP_RESUME_S: i64 = 1_800;
/// Pages of a database copied between two pauses.
pub const BACKUP_STEP_PAGES: i32 = 64;
/// The shortest passphrase of a backup, bytes.
pub const BACKUP_PASSPHRASE_BYTES_MIN: usize = 12;
/// A file of keys or a passphrase, bytes; more is not read.
pub const BACKUP_KEY_FILE_BYTES_MAX: usize = 16_384;
/// Public keys that one backup is for.
pub const BACKUP_KEYS_MAX: usize = 16;
/// The head of a backup, bytes.
pub const BACKUP_HEAD_BYTES_MAX: usize = 16_384;
/// An attempt recorded within so many milliseconds: doors are being opened, bulk work rests.
pub const IMPORT_BUSY_MS: u64 = 500;
/// An import rests so many times as long as the last commit of attempts took.
pub const IMPORT_PAUSE_FACTOR: u32 = 4;
/// It rests at least so many milliseconds between two batches.
pub const IMPORT_PAUSE_MS_MIN: u64 = 5;
/// It rests at most so many: it comes to its end on a slow disk too.
pub const IMPORT_PAUSE_MS_MAX: u64 = 250;
/// A file of the system that `check-host` reads, bytes; more is not read.
pub const HOST_FILE_BYTES_MAX: u64 = 4 << 20;
/// Layers of block devices that it follows.
pub const HOST_DEPTH_MAX: usize = 16;
/// What a guess at a passphrase costs: KiB of memory, passes, lanes (argon2id).
pub const BACKUP_ARGON_KIB: u32 = 256 * 1_024;
/// Passes over that memory.
pub const BACKUP_ARGON_PASSES: u32 = 3;
/// Lanes of it.
pub const BACKUP_ARGON_LANES: u32 = 1;
/// The most memory that a backup's head may ask for, KiB.
pub const BACKUP_ARGON_KIB_MAX: u32 = 2 * 1_024 * 1_024;
/// The most passes that it may ask for.
pub const BACKUP_ARGON_PASSES_MAX: u32 = 16;
/// Files in a backup.
pub const BACKUP_ENTRIES_MAX: usize = 64;
/// A file of a backup that is read into memory, bytes.
pub const BACKUP_SMALL_FILE_BYTES_MAX: u64 = 4 << 20;
/// How many days backups are kept, at most.
pub const BACKUP_DAYS_MAX: u32 = 3_650;
/// Withdrawals are remembered so many times as long as backups are kept.
pub const REMEMBERED_FACTOR: i64 = 2;
/// People and devices that are remembered; past it the oldest are forgotten.
pub const REMEMBERED_MAX: u64 = 1_000_000;
/// The list of withdrawals as a file, bytes: as many lines.
pub const WITHDRAWALS_FILE_BYTES_MAX: u64 = 128 * REMEMBERED_MAX;
/// People looked at in one page after a restore.
pub const WITHDRAW_AGAIN_ROWS: usize = 1_000;
const _: () = assert!(BACKUP_ARGON_KIB <= BACKUP_ARGON_KIB_MAX);
const _: () = assert!(BACKUP_ARGON_PASSES <= BACKUP_ARGON_PASSES_MAX);

// -- the Enrolment Service (enrol, store, writer) --

/// The longest name of a company.
pub const COMPANY_BYTES_MAX: usize = 200;
/// The longest text that says which way in there is without biometrics.
pub const ALTERNATIVE_BYTES_MAX: usize = 600;
/// The longest address of a page.
pub const URL_BYTES_MAX: usize = 500;
/// The longest host name.
pub const HOST_BYTES_MAX: usize = 253;
/// A language's name: two letters.
pub const LANGUAGE_BYTES: usize = 2;
/// The longest account or password at a mail relay.
pub const MAIL_SECRET_BYTES_MAX: usize = 256;
/// The longest list of authorities for a mail relay, PEM.
pub const MAIL_CA_BYTES_MAX: usize = 32_768;
/// The longest reason kept for a mail that was not sent.
pub const MAIL_ERROR_BYTES_MAX: usize = 200;
/// Each step of a conversation with a mail relay.
pub const MAIL_TIMEOUT: Duration = Duration::from_secs(20);
/// The pause after a mail's first failure, seconds; it doubles.
pub const MAIL_BACK_OFF_FIRST_S: i64 = 5;
/// The longest pause between two tries of a mail, seconds.
pub const MAIL_BACK_OFF_MAX_S: i64 = 3_600;
/// People asked again in one turn of the writer, when the policy has another version.
pub const ASKED_PER_TICK: usize = 20;
/// Ids of people looked at in such a turn: a few milliseconds.
pub const ASKING_IDS_PER_TICK: u64 = 5_000;
/// Mails still to be tried, for the first time or again, beside which nobody more is asked again.
pub const ASKING_MAILS_MAX: u64 = 100;
/// How long saving waits for the mail relay that it tries.
pub const MAIL_TEST_TIMEOUT: Duration = Duration::from_secs(5);
/// People of one request to invite.
pub const INVITEES_MAX: usize = 64;
/// How long an invitation holds unless said otherwise, days.
pub const INVITATION_DAYS: u32 = 14;
/// How long an invitation may hold, days.
pub const INVITATION_DAYS_MAX: u32 = 365;
/// How long a device waits for a person, seconds.
pub const CAPTURE_LIFE_S: i64 = 600;
/// Wrong codes that end a capture: one guess in 200,000 hits six digits.
pub const CAPTURE_TRIES_MAX: u32 = 5;
/// The largest photo.
pub const PHOTO_BYTES_MAX: usize = 6 << 20;
/// Embeddings that an extractor makes of one photo.
pub const PHOTO_FACES_MAX: usize = 4;
/// Photos that wait for the extractor, each at most [`PHOTO_BYTES_MAX`].
pub const PHOTOS_QUEUED_MAX: usize = 4;
/// The longest that an extractor may take, seconds.
pub const EXTRACTOR_TIMEOUT_S_MAX: u64 = 120;
/// The most memory that an extractor may be given, MiB.
pub const EXTRACTOR_MEMORY_MIB_MAX: u64 = 65_536;
const _: () = assert!(PHOTO_FACES_MAX <= PERSON_REFERENCES_MAX);
const _: () = assert!(cardea_wire::limits::CAPTURE_EMBEDDINGS_MAX <= PERSON_REFERENCES_MAX);
// -- console: threads, sessions, sign-in, forms (console, store/team) --

/// Threads that serve the console, its API and the Enrolment Service.
pub const CONSOLE_THREADS: usize = 3;
/// Requests that wait for them; past it 503.
pub const CONSOLE_QUEUED_MAX: usize = 64;
/// Bytes of bodies that wait for them or are with them.
pub const CONSOLE_BYTES_MAX: usize = 32 << 20;
/// From a whole request to its answer: within [`ANSWER_TIMEOUT`].
pub const CONSOLE_ANSWER: Duration = Duration::from_secs(9);
/// How much less of the CPU work at the side gets than others, as nice counts it.
pub const BACKGROUND_NICENESS: i32 = 10;
/// Fields of a form or a query.
pub const FORM_FIELDS_MAX: usize = 1_024;
/// The longest value of such a field: a few certificates in PEM.
pub const FORM_VALUE_BYTES_MAX: usize = 64 << 10;
/// The longest address of a privacy policy.
pub const POLICY_ADDRESS_BYTES_MAX: usize = 1_024;
/// Members of the team.
pub const TEAM_MAX: usize = 256;
/// The longest name of a member or a token.
pub const TEAM_NAME_BYTES_MAX: usize = 64;
/// The shortest password.
pub const PASSWORD_BYTES_MIN: usize = 12;
/// The longest password.
pub const PASSWORD_BYTES_MAX: usize = 256;
/// Memory of hashing a password, KiB; with one pass fewer it would be too quick to guess.
pub const PASSWORD_MEMORY_KIB: u32 = 19_456;
/// Passes of hashing a password.
pub const PASSWORD_PASSES: u32 = 2;
/// A session ends after so long without a request, seconds.
pub const SESSION_IDLE_S: i64 = 30 * 60;
/// A session ends after so long in any case, seconds.
pub const SESSION_LIFE_S: i64 = 12 * 3_600;
/// The use of a session or a token is written down at most this often, seconds.
pub const SESSION_SEEN_S: i64 = 60;
/// Sessions of one member; past it the oldest ends.
pub const SESSIONS_PER_MEMBER_MAX: usize = 16;
/// Browsers from which one member has signed in; past it the oldest is forgotten.
pub const BROWSERS_PER_MEMBER_MAX: usize = 16;
/// A browser is known for so long, seconds.
pub const BROWSER_LIFE_S: i64 = 180 * 86_400;
/// Tokens of the API.
pub const API_TOKENS_MAX: usize = 256;
/// Wrong passwords of one address, or one known browser, before it has to wait.
pub const SIGN_IN_FREE: u32 = 5;
/// The longest that an address has to wait after a wrong password, seconds.
pub const SIGN_IN_WAIT_S_MAX: i64 = 300;
/// Wrong passwords are forgotten after so long without another, seconds.
pub const SIGN_IN_MEMORY_S: i64 = 900;
/// Wrong passwords for one name, from wherever, before addresses that erred have to wait.
pub const SIGN_IN_NAME_FREE: u32 = 20;
/// Addresses, names and browsers whose wrong passwords are remembered; past it the oldest go.
pub const SIGN_IN_REMEMBERED_MAX: usize = 4_096;
/// Passwords of unknown browsers that are looked at in one second, and at once.
pub const SIGN_IN_PER_SECOND: u32 = 4;
/// Searches of one calibration: 100 MB of embeddings.
pub const CALIBRATION_SEARCHES_MAX: usize = 50_000;
/// One calibration takes no longer.
pub const CALIBRATION_TIME_MAX: Duration = Duration::from_secs(15 * 60);
/// Days of the audit that tell how many strangers come.
pub const CALIBRATION_AUDIT_DAYS: u64 = 30;
/// Near-duplicates that a calibration lists.
pub const NEAR_PAIRS_MAX: usize = 1_000;
/// Rows of an answer of the API that names no limit.
pub const API_ROWS: usize = 100;
/// The largest number that a script may name: what every language's JSON keeps exactly.
pub const NUMBER_MAX: u64 = (1 << 53) - 1;
/// Notices that wait for the page after a change.
pub const NOTICES_MAX: usize = 256;

// -- the console's pages of devices, people, logs and latency --

/// A device that is to be decommissioned and is not heard of is removed after so long, seconds.
pub const DECOMMISSION_WAIT_S: i64 = 7 * 86_400;
/// A device that was not heard of for so long is shown as not seen: four heartbeats, seconds.
pub const DEVICE_SILENT_S: i64 = 120;
/// Commissioning codes that pages may show again; past it the oldest is forgotten.
pub const CODES_SHOWN_MAX: usize = 1_024;
/// Rows of a page's table.
pub const TABLE_ROWS: usize = 50;
/// Bad lines of an import that are listed; the rest is counted.
pub const BAD_LINES_MAX: usize = 100;
/// Points in time of a chart.
pub const CHART_POINTS: usize = 60;
/// Intervals of the latency log that one page reads; older ones of its span are left out.
pub const LATENCY_LINES_MAX: usize = 80_000;

const _: () = assert!(TABLE_ROWS <= PAGE_ROWS_MAX && API_ROWS <= PAGE_ROWS_MAX);
const _: () = assert!(CONSOLE_ANSWER.as_secs() < ANSWER_TIMEOUT.as_secs());
const _: () = assert!(LARGE_BODY_BYTES_MAX <= CONSOLE_BYTES_MAX);
const _: () = assert!(LARGE_BODY_BYTES_MAX <= LARGE_BYTES_IN_FLIGHT_MAX);
const _: () = assert!(LARGE_BODY_BYTES_MAX > BODY_BYTES_MAX);
const _: () = assert!(SESSION_IDLE_S < SESSION_LIFE_S && SESSION_SEEN_S < SESSION_IDLE_S);
const _: () = assert!(EMBEDDING_BYTES == cardea_wire::limits::EMBEDDING_F32_BYTES);
const _: () = assert!(
    3 * (EMBEDDING_BYTES + 16) < STORE_PAGE_BYTES as usize,
    "an embedding lies within one page, so that overwriting it is in place"
);
const _: () = assert!(IMPORT_BATCH_MAX <= PAGE_ROWS_MAX && CHANGES_TRIM_MAX < CHANGES_KEPT_MAX);
const _: () = assert!(AUDIT_BATCH_MAX <= AUDIT_QUEUE_MAX && LOG_BYTES_MAX < LOG_BULK_BYTES_MAX);
const _: () = assert!(FIRMWARE_PART_BYTES_MAX < RESPONSE_BYTES_MAX as u64);
const _: () = assert!(PROBES_IN_BATCH_MAX <= PROBES_QUEUED_MAX);
const _: () = assert!(PROBES_IN_BATCH_MAX <= cardea_engine::limits::PROBES_MAX);
const _: () = assert!(ADMIN_PEOPLE_MAX <= IMPORT_BATCH_MAX && SIGNS_HELD_MAX <= DEVICES_SEEN_MAX);

// -- installation: service, clock, firewall (serve, clock, firewall) --

/// Looks at what is alive within the service manager's watchdog time.
pub const WATCHDOG_LOOKS: u32 = 4;
/// Networks of one list of `network.toml`, and peers beside them.
pub const NETWORKS_MAX: usize = 256;
/// How long a rule set is tried before it is taken back, seconds, at most.
pub const FIREWALL_TRIAL_S_MAX: u64 = 600;
/// Between two looks at the clock.
pub const CLOCK_LOOK: Duration = Duration::from_secs(5);
/// How long an answer about the time is waited for.
pub const CLOCK_ANSWER: Duration = Duration::from_secs(1);
/// A change of the calendar against the steady clock that counts as a step, in ms.
pub const CLOCK_STEP_MS: i64 = 1_000;
