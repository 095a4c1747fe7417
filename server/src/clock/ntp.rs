//! One question and one answer of NTP, version 4 (RFC 5905, as SNTP uses it). Bytes in, bytes
//! out.

use std::fmt;
use std::time::Duration;

/// Bytes of a message without extensions.
const BYTES: usize = 48;
/// From 1900, where NTP begins, to 1970.
const TO_UNIX_S: u64 = 2_208_988_800;
/// A leap indicator that says: not synchronised.
const LEAP_UNKNOWN: u8 = 3;
/// The mode of an answer.
const MODE_SERVER: u8 = 4;
/// The reference of a server that follows its own clock, as chrony's `local` does: 127.127.1.1.
const OWN_CLOCK: [u8; 4] = [127, 127, 1, 1];

/// What a source of time says of itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// Its distance from a reference clock, 1 to 15.
    pub stratum: u8,
    /// How far it may be off at most, by its own account, in ms.
    pub error_ms: f64,
    /// Its time minus ours, in ms.
    pub offset_ms: f64,
}

/// Why an answer tells no time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doubt {
    /// It says that it follows no other clock.
    Unsynchronised,
    /// It is no NTP answer.
    Malformed {
        /// Bytes received.
        length: usize,
    },
    /// It answers another question.
    NotOurs,
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsynchronised => write!(f, "it follows no other clock"),
            Self::Malformed { length } => write!(f, "{length} bytes that are no NTP answer"),
            Self::NotOurs => write!(f, "an answer to another question"),
        }
    }
}

/// A question, sent at `sent` after 1970.
pub(super) fn request(sent: Duration) -> [u8; BYTES] {
    let mut bytes = [0; BYTES];
    // No leap warning, version 4, client.
    bytes[0] = 0x23;
    bytes[40..].copy_from_slice(&timestamp(sent).to_be_bytes());
    bytes
}

impl Answer {
    /// Reads the answer to the question of `sent`, received at `received`.
    ///
    /// # Errors
    /// [`Doubt`].
    pub fn parse(bytes: &[u8], sent: Duration, received: Duration) -> Result<Self, Doubt> {
        let length = bytes.len();
        let Some(bytes) = bytes.first_chunk::<BYTES>() else {
            return Err(Doubt::Malformed { length });
        };
        let (leap, version, mode) = (bytes[0] >> 6, bytes[0] >> 3 & 7, bytes[0] & 7);
        if mode != MODE_SERVER || !(3..=4).contains(&version) {
            return Err(Doubt::Malformed { length });
        }
        let at = |from: usize| {
            let mut number = [0; 8];
            number.copy_from_slice(&bytes[from..from + 8]);
            u64::from_be_bytes(number)
        };
        if at(24) != timestamp(sent) {
            return Err(Doubt::NotOurs);
        }
        let stratum = bytes[1];
        if leap == LEAP_UNKNOWN || !(1..=15).contains(&stratum) || bytes[12..16] == OWN_CLOCK {
            return Err(Doubt::Unsynchronised);
        }
        // 16.16 fixed point, in seconds.
        let short = |from: usize| {
            let mut number = [0; 4];
            number.copy_from_slice(&bytes[from..from + 4]);
            f64::from(u32::from_be_bytes(number)) / 65_536.0
        };
        let there = difference_s(at(32), timestamp(sent));
        let back = difference_s(at(40), timestamp(received));
        Ok(Self {
            stratum,
            error_ms: (short(4) / 2.0 + short(8)) * 1e3,
            offset_ms: (there + back) / 2.0 * 1e3,
        })
    }
}

/// Seconds since 1900 as 32.32 fixed point, modulo 2^32 seconds.
fn timestamp(since_1970: Duration) -> u64 {
    let seconds = since_1970.as_secs().wrapping_add(TO_UNIX_S);
    let fraction = (u64::from(since_1970.subsec_nanos()) << 32) / 1_000_000_000;
    seconds << 32 | fraction
}

/// `one - other` in seconds; right also where an era ends between them.
fn difference_s(one: u64, other: u64) -> f64 {
    one.wrapping_sub(other).cast_signed() as f64 / 4_294_967_296.0
}

#[cfg(test)]
mod tests {
    use super::*;

    const SENT: Duration = Duration::from_millis(1_700_000_000_250);

    fn answer() -> [u8; BYTES] {
        let mut bytes = [0; BYTES];
        bytes[0] = 0x24;
        bytes[1] = 3;
        bytes[4..8].copy_from_slice(&65_536_u32.to_be_bytes());
        bytes[8..12].copy_from_slice(&32_768_u32.to_be_bytes());
        bytes[12..16].copy_from_slice(&[192, 0, 2, 1]);
        bytes[24..32].copy_from_slice(&timestamp(SENT).to_be_bytes());
        let there = timestamp(SENT + Duration::from_millis(510));
        bytes[32..40].copy_from_slice(&there.to_be_bytes());
        bytes[40..].copy_from_slice(&there.to_be_bytes());
        bytes
    }

    fn parse(bytes: &[u8]) -> Result<Answer, Doubt> {
        Answer::parse(bytes, SENT, SENT + Duration::from_millis(20))
    }

    #[test]
    fn an_answer_is_read() {
        let answer = parse(&answer()).expect("sound");
        assert_eq!((answer.stratum, answer.error_ms), (3, 1_000.0));
        assert!((answer.offset_ms - 500.0).abs() < 0.001, "{answer:?}");
    }

    #[test]
    fn what_cannot_be_believed_is_not() {
        let changed = |at: usize, byte: u8| {
            let mut bytes = answer();
            bytes[at] = byte;
            parse(&bytes)
        };
        assert_eq!(changed(0, 0xe4), Err(Doubt::Unsynchronised), "leap");
        assert_eq!(changed(1, 0), Err(Doubt::Unsynchronised), "stratum 0");
        assert_eq!(changed(1, 16), Err(Doubt::Unsynchronised), "stratum 16");
        assert_eq!(
            changed(0, 0x23),
            Err(Doubt::Malformed { length: 48 }),
            "a client's"
        );
        assert_eq!(changed(30, 9), Err(Doubt::NotOurs));
        let mut own = answer();
        own[12..16].copy_from_slice(&OWN_CLOCK);
        assert_eq!(parse(&own), Err(Doubt::Unsynchronised));
        for length in 0..BYTES {
            let short = &answer()[..length];
            assert_eq!(parse(short), Err(Doubt::Malformed { length }));
        }
    }

    #[test]
    fn the_question_names_its_own_time() {
        let question = request(SENT);
        assert_eq!(question[0], 0x23);
        assert_eq!(&question[40..], &answer()[24..32]);
    }
}
