//! Whether Space can be reached: Connected, Unauthorized, Disconnected, or not configured; and
//! when to ask again. Pure: time and seed are arguments.

use std::fmt;
use std::time::Duration;

use crate::limits::{BACKOFF_MAX, BACKOFF_MIN, PROBE_PERIOD};

/// What the integration's card shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Connection {
    /// Not configured, or configured and not asked yet.
    NoStatus,
    /// `GetInfo` was answered.
    Connected,
    /// Space refused the key: HTTP 401.
    Unauthorized,
    /// Anything else that fails.
    Disconnected,
}

impl fmt::Display for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoStatus => "No status",
            Self::Connected => "Connected",
            Self::Unauthorized => "Unauthorized",
            Self::Disconnected => "Disconnected",
        })
    }
}

/// The card's whole content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// What Space is to us now.
    pub connection: Connection,
    /// Since when, in seconds since 1970, UTC.
    pub since_unix_s: i64,
    /// Why, in words; empty while connected.
    pub why: String,
    /// How long the last answered `GetInfo` took.
    pub round_trip: Option<Duration>,
    /// Seconds that Space's clock is ahead of UTC, as last seen: its time zone.
    pub offset_s: Option<i32>,
}

/// How a probe ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probe {
    /// Answered.
    Answered {
        /// From the first byte sent to the last received.
        round_trip: Duration,
        /// Space's time zone, where its answer says what time it is there.
        offset_s: Option<i32>,
    },
    /// HTTP 401.
    Unauthorized,
    /// Anything else, in words.
    Failed(String),
}

/// An instant: on a clock that never goes back, and on the calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Since any fixed start.
    pub monotonic: Duration,
    /// Seconds since 1970, UTC.
    pub unix_s: i64,
}

/// Follows the status from probe to probe.
#[derive(Debug)]
pub struct Watch {
    status: Status,
    failures: u32,
    next_probe: Duration,
    seed: u64,
}

impl Watch {
    /// Nothing known, first probe due at once. `seed` spreads the probes of many servers.
    #[must_use]
    pub fn new(now: Now, seed: u64) -> Self {
        let status = Status {
            connection: Connection::NoStatus,
            since_unix_s: now.unix_s,
            why: "not asked yet".into(),
            round_trip: None,
            offset_s: None,
        };
        Self {
            status,
            failures: 0,
            next_probe: now.monotonic,
            seed,
        }
    }

    /// The status now.
    #[must_use]
    pub fn status(&self) -> &Status {
        &self.status
    }

    /// When the next probe is due, on the monotonic clock.
    #[must_use]
    pub fn next_probe(&self) -> Duration {
        self.next_probe
    }

    /// Something other than a probe went wrong: look at once. Does nothing while the status is
    /// not Connected, where probes come often enough.
    pub fn suspect(&mut self, now: Now) {
        if self.status.connection == Connection::Connected {
            self.next_probe = self.next_probe.min(now.monotonic);
        }
    }

    /// Takes the end of a probe. Returns whether the connection changed, which is an event.
    pub fn probed(&mut self, probe: Probe, now: Now) -> bool {
        let (connection, why) = match probe {
            Probe::Answered {
                round_trip,
                offset_s,
            } => {
                self.status.round_trip = Some(round_trip);
                self.status.offset_s = offset_s.or(self.status.offset_s);
                (Connection::Connected, String::new())
            }
            Probe::Unauthorized => (
                Connection::Unauthorized,
                "Space refuses the SHIP key (HTTP 401)".to_owned(),
            ),
            Probe::Failed(why) => (Connection::Disconnected, why),
        };
        let wait = if connection == Connection::Connected {
            self.failures = 0;
            PROBE_PERIOD
        } else {
            self.failures = self.failures.saturating_add(1);
            self.back_off()
        };
        self.next_probe = now.monotonic + wait;
        self.status.why = why;
        let changed = connection != self.status.connection;
        if changed {
            self.status.connection = connection;
            self.status.since_unix_s = now.unix_s;
        }
        changed
    }

    /// Doubles with each failure, then takes a random half off.
    fn back_off(&mut self) -> Duration {
        let doublings = (self.failures - 1).min(16);
        let wait = BACKOFF_MIN.saturating_mul(1 << doublings).min(BACKOFF_MAX);
        wait / 2 + wait.mul_f64(self.random() / 2.0)
    }

    /// SplitMix64, in 0.0..1.0.
    fn random(&mut self) -> f64 {
        self.seed = self.seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.seed;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^= mixed >> 31;
        (mixed >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::{PROBE_TIME_MAX, RECOVERY_TIME_MAX};

    fn at(ms: u64) -> Now {
        Now {
            monotonic: Duration::from_millis(ms),
            unix_s: 1_000 + (ms / 1_000) as i64,
        }
    }

    fn answered() -> Probe {
        Probe::Answered {
            round_trip: Duration::from_millis(7),
            offset_s: Some(3_600),
        }
    }

    #[test]
    fn every_change_is_an_event_with_its_time_and_reason() {
        let mut watch = Watch::new(at(0), 1);
        assert_eq!(watch.status().connection, Connection::NoStatus);
        assert!(watch.probed(answered(), at(2_000)));
        assert_eq!(watch.status().since_unix_s, 1_002);
        assert!(!watch.probed(answered(), at(12_000)));
        assert_eq!(watch.status().since_unix_s, 1_002);
        assert!(watch.probed(Probe::Failed("connection refused".into()), at(22_000)));
        assert_eq!(watch.status().why, "connection refused");
        assert!(!watch.probed(Probe::Failed("no answer in time".into()), at(23_000)));
        assert_eq!(watch.status().why, "no answer in time");
        assert!(watch.probed(Probe::Unauthorized, at(24_000)));
        assert_eq!(watch.status().connection.to_string(), "Unauthorized");
        assert!(watch.probed(answered(), at(25_000)));
        assert_eq!(watch.status().why, "");
        // The zone stays known while Space is away.
        assert_eq!(watch.status().offset_s, Some(3_600));
    }

    #[test]
    fn waits_grow_to_their_bound_and_differ_by_seed() {
        let mut one = Watch::new(at(0), 1);
        let mut other = Watch::new(at(0), 2);
        let mut waits = Vec::new();
        let mut same = true;
        for _ in 0..40 {
            one.probed(Probe::Unauthorized, at(0));
            other.probed(Probe::Failed(String::new()), at(0));
            same &= one.next_probe() == other.next_probe();
            waits.push(one.next_probe());
        }
        assert!(!same);
        assert!(waits[0] >= BACKOFF_MIN / 2 && waits[0] <= BACKOFF_MIN);
        assert!(waits.iter().all(|wait| *wait <= BACKOFF_MAX));
        assert!(waits[39] >= BACKOFF_MAX / 2);
    }

    #[test]
    fn space_is_connected_again_within_five_seconds_of_its_return() {
        for seed in 0..50 {
            let mut watch = Watch::new(at(0), seed);
            let mut now = 0;
            let mut probes = 0;
            // Space hangs: each probe takes its whole time.
            while probes < 20 {
                now = now.max(watch.next_probe().as_millis() as u64);
                let began = now;
                now += PROBE_TIME_MAX.as_millis() as u64;
                watch.probed(Probe::Failed("no answer in time".into()), at(now));
                probes += 1;
                // It returns just after this probe began; the next one is answered.
                let next = watch.next_probe().as_millis() as u64;
                assert!(u128::from(next - began) < RECOVERY_TIME_MAX.as_millis());
            }
        }
    }

    /// Each change is an entry of the audit that no budget bounds. Looking at once after a failed
    /// probe, as after a suspicion, fails this.
    #[test]
    fn a_space_that_comes_and_goes_as_fast_as_it_can_changes_so_often_and_no_more() {
        const MINUTE_MS: u64 = 60_000;
        let shortest_wait_ms = BACKOFF_MIN.as_millis() as u64 / 2;
        let most = 2 * (MINUTE_MS / shortest_wait_ms + 1);
        let mut watch = Watch::new(at(0), 1);
        let mut changes = 0;
        loop {
            let now = at(watch.next_probe().as_millis() as u64);
            if now.monotonic >= at(MINUTE_MS).monotonic {
                break;
            }
            // It is gone for every other probe, and an open suspects it as soon as it is back.
            let is_back = watch.status().connection != Connection::Connected;
            let gone = || Probe::Failed(String::new());
            changes += u64::from(watch.probed(if is_back { answered() } else { gone() }, now));
            watch.suspect(now);
            assert!(changes <= most, "{changes} at {now:?}");
        }
        assert!(changes > most / 2, "{changes}");
    }

    #[test]
    fn a_suspicion_brings_the_probe_forward_only_while_connected() {
        let mut watch = Watch::new(at(0), 1);
        watch.probed(answered(), at(0));
        assert_eq!(watch.next_probe(), PROBE_PERIOD);
        watch.suspect(at(100));
        assert_eq!(watch.next_probe(), at(100).monotonic);
        watch.probed(Probe::Unauthorized, at(200));
        let due = watch.next_probe();
        watch.suspect(at(201));
        assert_eq!(watch.next_probe(), due);
    }
}
