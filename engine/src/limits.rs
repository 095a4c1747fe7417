//! Every bound of the engine, with the relations that must hold between them.

/// Probes that one call of [`crate::Searcher::search`] takes.
pub const PROBES_MAX: usize = 64;

/// Persons in one [`crate::CandidateList`]; more are cut off, best first, and the list says so.
pub const CANDIDATES_MAX: usize = 64;

/// Raw hits that a shortlist holds before it is folded into its best [`CANDIDATES_MAX`] persons.
pub const SHORTLIST_MAX: usize = 1024;

/// Threads of one searcher, the calling thread included.
pub const THREADS_MAX: usize = 64;

/// Rows of one gallery file (275 GB of f32 at this bound).
pub const GALLERY_ROWS_MAX: u64 = 1 << 27;

/// Named sections in one gallery file.
pub const SECTIONS_MAX: usize = 32;

/// References in the overlay of one view: 680 MB, and a scan as long as that of two or three times
/// as many rows in a snapshot. The server writes a new snapshot long before.
pub const OVERLAY_ROWS_MAX: usize = 1 << 18;

/// Withdrawals that one view remembers since its snapshot.
pub const WITHDRAWALS_MAX: usize = 1 << 20;

/// Galleries mapped at the same moment that the SIGBUS handler can tell apart: the one that
/// serves, the next one, and those that an unfinished batch still holds.
pub const MAPS_MAX: usize = 16;

/// Rows times probes up to which a search runs on the calling thread alone: waking another thread
/// costs as much.
pub const INLINE_WORK_MAX: usize = 12_000;

/// Rows from which a snapshot gets a rotation and a plane; fewer are read in microseconds anyway.
pub const PLANE_ROWS_MIN: u64 = 1024;

/// Blocks of 64 KiB that one [`crate::Gallery::recheck`] reads: 8 MiB, about 1 ms.
pub const RECHECK_BLOCKS: u64 = 128;

/// Bytes written to a file between two syncs: what somebody else's sync waits for.
pub const SYNC_BYTES: u64 = 1 << 20;

/// Bytes by which a long file is cut before its name goes.
pub const CUT_BYTES: u64 = 4 << 20;

const _: () = assert!(CANDIDATES_MAX < SHORTLIST_MAX);
const _: () = assert!(GALLERY_ROWS_MAX < u32::MAX as u64);
const _: () = assert!(PROBES_MAX <= u16::MAX as usize);
