//! Inputs from a seed: an input that is as it should be, damaged in a few places.

/// Random numbers from a seed (SplitMix64).
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    /// The same seed gives the same numbers.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`; 0 if that is 0.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.roll() % bound.max(1) as u64) as usize
    }
}

/// Bytes and numbers that readers stumble over.
const ODD: [&[u8]; 16] = [
    b"\0",
    b"\r\n",
    b"\n",
    b"\xFF\xFF\xFF\xFF",
    b"\x00\x00\x00\x80",
    b"18446744073709551616",
    b"-1",
    b"NaN",
    b"<![CDATA[",
    b"<!DOCTYPE",
    b"&#x0;",
    b"\\u0000",
    b"\xC3\x28",
    b"Transfer-Encoding: chunked\r\n",
    b"Content-Length: 0\r\n",
    b"[[[[[[[[[[[[[[[[",
];

/// Longer inputs are cut.
const BYTES_MAX: usize = 1 << 20;

/// Damages `input` in one to eight places; `other` lends what is spliced in.
#[must_use]
pub fn mutated(input: &[u8], other: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mut bytes = input.to_vec();
    for _ in 0..=dice.below(8) {
        let at = dice.below(bytes.len() + 1);
        match dice.below(8) {
            0 if at < bytes.len() => bytes[at] ^= 1 << dice.below(8),
            1 if at < bytes.len() => bytes[at] = dice.roll() as u8,
            2 => bytes.truncate(at),
            3 => insert(&mut bytes, at, ODD[dice.below(ODD.len())]),
            4 => {
                let end = (at + dice.below(64)).min(bytes.len());
                bytes.drain(at..end);
            }
            5 => {
                let end = (at + dice.below(256)).min(bytes.len());
                let again = bytes[at..end].to_vec();
                insert(&mut bytes, end, &again);
            }
            6 => {
                let from = dice.below(other.len() + 1);
                let end = (from + dice.below(256)).min(other.len());
                insert(&mut bytes, at, &other[from..end]);
            }
            // A number that counts or measures: eight bytes, now large, small or off by one.
            _ if at + 8 <= bytes.len() => {
                let number = bytes[at..at + 8].try_into().map_or(0, u64::from_le_bytes);
                let odd = [
                    0,
                    1,
                    number.wrapping_add(1),
                    number.wrapping_sub(1),
                    u64::MAX,
                ];
                let odd = odd[dice.below(odd.len())].to_le_bytes();
                bytes[at..at + 8].copy_from_slice(&odd);
            }
            _ => {}
        }
    }
    bytes.truncate(BYTES_MAX);
    bytes
}

fn insert(bytes: &mut Vec<u8>, at: usize, what: &[u8]) {
    let after = bytes.split_off(at);
    bytes.extend_from_slice(what);
    bytes.extend(after);
}
