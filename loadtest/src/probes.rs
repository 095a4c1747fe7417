//! The file of probes with known answers, made by `cardea-synth probes`.
//!
//! ```text
//! head, 64 bytes, little-endian
//!   0 magic "CRDAPRB1" | 8 probes u32 | 12 bytes of a record u32 = 2,168 | 16 seed u64
//!  24 people u64 | 32 decision threshold f32 | 36 zero u32 | 40 model, 16 bytes | 56 zero, 8 bytes
//! record, 2,168 bytes, once per probe
//!       0 embedding, 512 f32
//!   2,048 kind u8: 0 mated, 1 non-mated, 2 near the threshold
//!   2,049 answer u8: 0 no match, 1 match
//!   2,050 wanted decision u8: 0 denied, 1 granted, 255 either | 2,051 zero u8
//!   2,052 score's bits u32 | 2,056 answer's person tag u64
//!   2,064 truth's person tag u64, 0 nobody
//!   2,072 answer's external id: length u8, 47 bytes | 2,120 truth's external id: the same
//! ```
//! The *answer* is that of an exhaustive f32 search at the threshold; the *truth* is whose face the
//! probe was made from. They differ where the face model mistakes one person for another.

use std::fmt;
use std::io::{self, Write};

use cardea_wire::limits::EMBEDDING_F32_BYTES;

use crate::limits::PROBES_MAX;

const MAGIC: [u8; 8] = *b"CRDAPRB1";
const HEAD_BYTES: usize = 64;
const RECORD_BYTES: usize = 2_168;
const NAME_BYTES: usize = 48;
const AT_KIND: usize = 2_048;
const AT_ANSWER: usize = 2_049;
const AT_DECISION: usize = 2_050;
const AT_SCORE: usize = 2_052;
const AT_ANSWER_TAG: usize = 2_056;
const AT_TRUTH_TAG: usize = 2_064;
const AT_ANSWER_NAME: usize = 2_072;
const AT_TRUTH_NAME: usize = 2_120;
const EITHER_DECISION: u8 = 255;

const _: () = assert!(AT_KIND == EMBEDDING_F32_BYTES);
const _: () = assert!(AT_ANSWER_NAME + NAME_BYTES == AT_TRUTH_NAME);
const _: () = assert!(AT_TRUTH_NAME + NAME_BYTES == RECORD_BYTES);

/// The longest external id that a probes file holds, in bytes.
pub const EXTERNAL_ID_BYTES_MAX: usize = NAME_BYTES - 1;

/// What a probe was made to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ProbeKind {
    /// Of somebody enrolled.
    Mated = 0,
    /// Of nobody enrolled.
    NonMated = 1,
    /// Its best score lies next to the decision threshold.
    NearThreshold = 2,
}

/// Somebody, by tag and external id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// First 8 bytes of BLAKE3 of the external id, little-endian.
    pub tag: u64,
    /// The external id.
    pub external_id: String,
}

/// Whom the exhaustive search finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Match {
    /// Who.
    pub person: Person,
    /// The bits of the comparison score (f32).
    pub score_bits: u32,
}

/// What is known of one probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// What the probe was made to be.
    pub kind: ProbeKind,
    /// The exhaustive search's answer; `None` is no match.
    pub answer: Option<Match>,
    /// Whose face it is; `None` is nobody enrolled.
    pub truth: Option<Person>,
    /// Whether the door should open; `None` where it is not known.
    pub granted: Option<bool>,
}

/// What a whole file is about.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Origin {
    /// The seed of the people and of the probes.
    pub seed: u64,
    /// People in the gallery that the answers were computed with.
    pub people: u64,
    /// The decision threshold of the answers.
    pub threshold: f32,
    /// The face model.
    pub model: [u8; 16],
}

/// A file of probes, read.
#[derive(Debug, Clone)]
pub struct Probes {
    /// What the file is about.
    pub origin: Origin,
    embeddings: Vec<[u8; EMBEDDING_F32_BYTES]>,
    known: Vec<Known>,
}

/// Why bytes are no file of probes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProbesError {
    /// Another file, or another version.
    BadMagic,
    /// Shorter or longer than its head says.
    BadLength {
        /// Due.
        expected: usize,
        /// There.
        found: usize,
    },
    /// More probes than [`PROBES_MAX`], or none.
    BadCount {
        /// As found.
        found: usize,
    },
    /// A field of a record that means nothing.
    BadField {
        /// The record, from 0.
        record: usize,
        /// The field.
        field: &'static str,
    },
}

impl Probes {
    /// Probes from memory; `probes` gives the embedding's bytes and what is known of each.
    ///
    /// # Errors
    /// [`ProbesError::BadCount`] for none or too many, [`ProbesError::BadField`] for an external id
    /// that does not fit.
    pub fn new(
        origin: Origin,
        probes: Vec<([u8; EMBEDDING_F32_BYTES], Known)>,
    ) -> Result<Self, ProbesError> {
        check_count(probes.len())?;
        let (embeddings, known): (Vec<_>, Vec<Known>) = probes.into_iter().unzip();
        for (record, known) in known.iter().enumerate() {
            let answer = known.answer.as_ref().map(|found| &found.person);
            for person in [answer, known.truth.as_ref()].into_iter().flatten() {
                let length = person.external_id.len();
                if length == 0 || length > EXTERNAL_ID_BYTES_MAX {
                    let field = "external id";
                    return Err(ProbesError::BadField { record, field });
                }
            }
        }
        Ok(Self {
            origin,
            embeddings,
            known,
        })
    }

    /// Reads a file's bytes.
    ///
    /// # Errors
    /// [`ProbesError`] for anything but a whole file of this version.
    pub fn parse(bytes: &[u8]) -> Result<Self, ProbesError> {
        let Some((head, records)) = bytes.split_at_checked(HEAD_BYTES) else {
            return Err(ProbesError::BadLength {
                expected: HEAD_BYTES,
                found: bytes.len(),
            });
        };
        if head[..8] != MAGIC || u32_at(head, 12) as usize != RECORD_BYTES {
            return Err(ProbesError::BadMagic);
        }
        let count = u32_at(head, 8) as usize;
        check_count(count)?;
        if records.len() != count * RECORD_BYTES {
            return Err(ProbesError::BadLength {
                expected: HEAD_BYTES + count * RECORD_BYTES,
                found: bytes.len(),
            });
        }
        let origin = Origin {
            seed: u64_at(head, 16),
            people: u64_at(head, 24),
            threshold: f32::from_bits(u32_at(head, 32)),
            model: array_at(head, 40),
        };
        let mut embeddings = Vec::with_capacity(count);
        let mut known = Vec::with_capacity(count);
        for (number, record) in records.chunks_exact(RECORD_BYTES).enumerate() {
            embeddings.push(array_at(record, 0));
            known.push(parse_known(number, record)?);
        }
        Ok(Self {
            origin,
            embeddings,
            known,
        })
    }

    /// Writes the file.
    ///
    /// # Errors
    /// What `out` answers.
    pub fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let mut head = [0_u8; HEAD_BYTES];
        head[..8].copy_from_slice(&MAGIC);
        put(&mut head, 8, &(self.known.len() as u32).to_le_bytes());
        put(&mut head, 12, &(RECORD_BYTES as u32).to_le_bytes());
        put(&mut head, 16, &self.origin.seed.to_le_bytes());
        put(&mut head, 24, &self.origin.people.to_le_bytes());
        put(&mut head, 32, &self.origin.threshold.to_le_bytes());
        put(&mut head, 40, &self.origin.model);
        out.write_all(&head)?;
        for (embedding, known) in self.embeddings.iter().zip(&self.known) {
            out.write_all(&record_bytes(embedding, known))?;
        }
        Ok(())
    }

    /// Number of probes, at least 1.
    #[must_use]
    pub fn count(&self) -> usize {
        self.known.len()
    }

    /// The bytes of one embedding.
    ///
    /// # Panics
    /// For a number of [`Probes::count`] or above.
    #[must_use]
    pub fn embedding(&self, number: usize) -> &[u8; EMBEDDING_F32_BYTES] {
        &self.embeddings[number]
    }

    /// What is known of one probe.
    ///
    /// # Panics
    /// For a number of [`Probes::count`] or above.
    #[must_use]
    pub fn known(&self, number: usize) -> &Known {
        &self.known[number]
    }
}

fn check_count(found: usize) -> Result<(), ProbesError> {
    if found == 0 || found > PROBES_MAX {
        return Err(ProbesError::BadCount { found });
    }
    Ok(())
}

fn parse_known(record: usize, bytes: &[u8]) -> Result<Known, ProbesError> {
    let bad = |field| ProbesError::BadField { record, field };
    let kind = match bytes[AT_KIND] {
        0 => ProbeKind::Mated,
        1 => ProbeKind::NonMated,
        2 => ProbeKind::NearThreshold,
        _ => return Err(bad("kind")),
    };
    let granted = match bytes[AT_DECISION] {
        0 => Some(false),
        1 => Some(true),
        EITHER_DECISION => None,
        _ => return Err(bad("decision")),
    };
    let person = |tag: u64, at: usize| -> Result<Person, ProbesError> {
        let name = &bytes[at..at + NAME_BYTES];
        let text = name.get(1..1 + usize::from(name[0]));
        let text = text.and_then(|text| std::str::from_utf8(text).ok());
        Ok(Person {
            tag,
            external_id: text.ok_or(bad("external id"))?.to_owned(),
        })
    };
    let answer = match bytes[AT_ANSWER] {
        0 => None,
        1 => Some(Match {
            person: person(u64_at(bytes, AT_ANSWER_TAG), AT_ANSWER_NAME)?,
            score_bits: u32_at(bytes, AT_SCORE),
        }),
        _ => return Err(bad("answer")),
    };
    let truth = match u64_at(bytes, AT_TRUTH_TAG) {
        0 => None,
        tag => Some(person(tag, AT_TRUTH_NAME)?),
    };
    Ok(Known {
        kind,
        answer,
        truth,
        granted,
    })
}

fn record_bytes(embedding: &[u8; EMBEDDING_F32_BYTES], known: &Known) -> [u8; RECORD_BYTES] {
    let mut record = [0_u8; RECORD_BYTES];
    record[..EMBEDDING_F32_BYTES].copy_from_slice(embedding);
    record[AT_KIND] = known.kind as u8;
    record[AT_DECISION] = known.granted.map_or(EITHER_DECISION, u8::from);
    if let Some(found) = &known.answer {
        record[AT_ANSWER] = 1;
        put(&mut record, AT_SCORE, &found.score_bits.to_le_bytes());
        put(&mut record, AT_ANSWER_TAG, &found.person.tag.to_le_bytes());
        put_name(&mut record, AT_ANSWER_NAME, &found.person.external_id);
    }
    if let Some(person) = &known.truth {
        put(&mut record, AT_TRUTH_TAG, &person.tag.to_le_bytes());
        put_name(&mut record, AT_TRUTH_NAME, &person.external_id);
    }
    record
}

fn put_name(record: &mut [u8], at: usize, name: &str) {
    record[at] = name.len() as u8;
    put(record, at + 1, name.as_bytes());
}

fn put(bytes: &mut [u8], at: usize, field: &[u8]) {
    bytes[at..at + field.len()].copy_from_slice(field);
}

fn array_at<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(&bytes[at..at + N]);
    array
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(array_at(bytes, at))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(array_at(bytes, at))
}

impl fmt::Display for ProbesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadMagic => write!(f, "no file of probes of this version"),
            Self::BadLength { expected, found } => {
                write!(f, "file of {found} bytes where {expected} are due")
            }
            Self::BadCount { found } => {
                write!(f, "{found} probes; a file holds 1 to {PROBES_MAX}")
            }
            Self::BadField { record, field } => {
                write!(f, "record {record}: field {field} means nothing")
            }
        }
    }
}

impl std::error::Error for ProbesError {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn person(name: &str, tag: u64) -> Person {
        Person {
            tag,
            external_id: name.to_owned(),
        }
    }

    fn sample() -> Probes {
        let origin = Origin {
            seed: 3,
            people: 100_000,
            threshold: 0.41,
            model: [9; 16],
        };
        let found = Known {
            kind: ProbeKind::Mated,
            answer: Some(Match {
                person: person("p-7", 77),
                score_bits: 0.8_f32.to_bits(),
            }),
            truth: Some(person("p-8", 88)),
            granted: Some(true),
        };
        let stranger = Known {
            kind: ProbeKind::NonMated,
            answer: None,
            truth: None,
            granted: None,
        };
        let probes = vec![([1; 2_048], found), ([2; 2_048], stranger)];
        Probes::new(origin, probes).expect("two probes")
    }

    #[test]
    fn a_file_reads_back_as_written() {
        let probes = sample();
        let mut bytes = Vec::new();
        probes.write(&mut bytes).expect("memory");
        assert_eq!(bytes.len(), HEAD_BYTES + 2 * RECORD_BYTES);
        let again = Probes::parse(&bytes).expect("the same file");
        assert_eq!(again.origin, probes.origin);
        assert_eq!(again.known, probes.known);
        assert_eq!(again.embedding(1), &[2; 2_048]);
    }

    #[test]
    fn a_damaged_file_is_an_error_that_says_where() {
        let mut bytes = Vec::new();
        sample().write(&mut bytes).expect("memory");
        let cut = Probes::parse(&bytes[..bytes.len() - 1]);
        assert!(matches!(cut.err(), Some(ProbesError::BadLength { .. })));
        let mut other = bytes.clone();
        other[0] = b'X';
        assert_eq!(Probes::parse(&other).err(), Some(ProbesError::BadMagic));
        let mut other = bytes.clone();
        other[HEAD_BYTES + RECORD_BYTES + AT_KIND] = 9;
        let field = "kind";
        assert_eq!(
            Probes::parse(&other).err(),
            Some(ProbesError::BadField { record: 1, field })
        );
        let mut other = bytes;
        other[8..12].copy_from_slice(&(PROBES_MAX as u32 + 1).to_le_bytes());
        let found = PROBES_MAX + 1;
        assert_eq!(
            Probes::parse(&other).err(),
            Some(ProbesError::BadCount { found })
        );
    }

    #[test]
    fn an_external_id_that_does_not_fit_is_refused() {
        let known = Known {
            kind: ProbeKind::Mated,
            answer: None,
            truth: Some(person(&"x".repeat(EXTERNAL_ID_BYTES_MAX + 1), 1)),
            granted: None,
        };
        let refused = Probes::new(sample().origin, vec![([0; 2_048], known)]);
        assert!(matches!(refused.err(), Some(ProbesError::BadField { .. })));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(at in 0_usize..4_400, byte: u8) {
            let mut bytes = Vec::new();
            sample().write(&mut bytes).expect("memory");
            let at = at % bytes.len();
            bytes[at] = byte;
            let _ = Probes::parse(&bytes);
        }
    }
}
