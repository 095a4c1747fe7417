//! Every bound of the synthetic site.

/// People in one site.
pub(crate) const PEOPLE_MAX: u64 = 10_000_000;
/// References of one person, as in the store.
pub(crate) const REFERENCES_PER_PERSON_MAX: u64 = 16;
/// Distinct probes unless asked otherwise; the load test sends them in turn.
pub(crate) const DISTINCT_PROBES: usize = 2_000;
/// Attempts to put one probe's score next to the threshold.
pub(crate) const NEAR_ATTEMPTS: u32 = 256;
/// A score as near as this to the threshold, in units in the last place, counts as next to it.
pub(crate) const NEAR_ULPS_MAX: u32 = 2;
/// Rows that one thread makes and scores at a time.
pub(crate) const ROWS_AT_ONCE: u64 = 4_096;
