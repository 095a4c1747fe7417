//! An embedding: 512 f32 of unit length from a face model.
//!
//! What a parse does, so that an oracle elsewhere can repeat it bit for bit:
//! 1. every component must be finite;
//! 2. `norm2` is the sum of squares in f64, added one after another from component 0 to 511;
//! 3. if `|norm2 - 1| <= 2^-20` the components stay as they are (so parsing twice changes nothing);
//! 4. else, if `|sqrt(norm2) - 1| <= 1e-3`, each component becomes `(f64(x) / sqrt(norm2)) as f32`;
//! 5. else it is refused.

use std::fmt;

/// Components of an embedding.
pub const DIM: usize = 512;

/// How far the norm of what a device or an import gives may be from 1.
const NORM_TOLERANCE: f64 = 1e-3;

/// Largest `|norm2 - 1|` of a parsed embedding. Rounding each component to f32 moves the norm by
/// at most 2^-24 relatively, so one renormalisation always ends inside.
pub(crate) const UNIT_NORM2_SLACK: f64 = 1.0 / (1u64 << 20) as f64;

/// 512 f32, finite, of unit length (`|norm2 - 1| <= 2^-20`).
#[derive(Clone, PartialEq)]
#[repr(C, align(64))]
pub struct Embedding([f32; DIM]);

/// Why bytes or numbers are no embedding.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum EmbeddingError {
    /// Not 512 components (or their bytes).
    Length {
        /// Components, or bytes, that were expected.
        expected: usize,
        /// How many came.
        found: usize,
    },
    /// A component is infinite or not a number.
    NotFinite {
        /// The first such component.
        component: usize,
    },
    /// The norm is further than 1e-3 from 1.
    Norm {
        /// The norm.
        found: f64,
    },
    /// A code is -128, which is not a code.
    Code {
        /// The first such component.
        component: usize,
    },
    /// The scale of int8 codes is not a positive finite number.
    Scale {
        /// The scale.
        found: f32,
    },
}

impl Embedding {
    /// Parses 512 numbers.
    pub fn new(components: &[f32]) -> Result<Self, EmbeddingError> {
        let found = components.len();
        let components = components.try_into().map_err(|_| EmbeddingError::Length {
            expected: DIM,
            found,
        })?;
        Self::from_array(components)
    }

    /// Parses 2,048 bytes: 512 little-endian f32.
    pub fn from_le_bytes(bytes: &[u8]) -> Result<Self, EmbeddingError> {
        let expected = DIM * size_of::<f32>();
        if bytes.len() != expected {
            return Err(EmbeddingError::Length {
                expected,
                found: bytes.len(),
            });
        }
        let mut components = [0.0; DIM];
        for (component, bytes) in components.iter_mut().zip(bytes.as_chunks::<4>().0) {
            *component = f32::from_le_bytes(*bytes);
        }
        Self::from_array(&components)
    }

    /// Parses 512 codes in -127..=127 with one scale: component i is `codes[i] as f32 * scale`.
    /// The scale must make the norm 1 within 1e-3, as with f32.
    pub fn from_codes(codes: &[i8], scale: f32) -> Result<Self, EmbeddingError> {
        if codes.len() != DIM {
            return Err(EmbeddingError::Length {
                expected: DIM,
                found: codes.len(),
            });
        }
        if !(scale.is_finite() && scale > 0.0) {
            return Err(EmbeddingError::Scale { found: scale });
        }
        if let Some(component) = codes.iter().position(|&code| code == i8::MIN) {
            return Err(EmbeddingError::Code { component });
        }
        let mut components = [0.0; DIM];
        for (component, &code) in components.iter_mut().zip(codes) {
            *component = f32::from(code) * scale;
        }
        Self::from_array(&components)
    }

    /// The 512 components.
    pub fn as_slice(&self) -> &[f32] {
        &self.0
    }

    /// The 512 components with their number in the type.
    pub fn as_array(&self) -> &[f32; DIM] {
        &self.0
    }

    /// The components as 2,048 little-endian bytes, as a store keeps them.
    pub fn to_le_bytes(&self) -> [u8; DIM * 4] {
        let mut bytes = [0; DIM * 4];
        for (bytes, component) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(&self.0) {
            *bytes = component.to_le_bytes();
        }
        bytes
    }

    fn from_array(components: &[f32; DIM]) -> Result<Self, EmbeddingError> {
        if let Some(component) = components.iter().position(|x| !x.is_finite()) {
            return Err(EmbeddingError::NotFinite { component });
        }
        let norm2 = norm2(components);
        if (norm2 - 1.0).abs() <= UNIT_NORM2_SLACK {
            return Ok(Self(*components));
        }
        let norm = norm2.sqrt();
        if (norm - 1.0).abs() > NORM_TOLERANCE {
            return Err(EmbeddingError::Norm { found: norm });
        }
        Ok(Self(components.map(|x| (f64::from(x) / norm) as f32)))
    }
}

/// Sum of squares in f64, in order.
pub(crate) fn norm2(components: &[f32; DIM]) -> f64 {
    components
        .iter()
        .fold(0.0, |sum, &x| sum + f64::from(x) * f64::from(x))
}

impl fmt::Debug for Embedding {
    /// Not the components: an embedding is biometric data and must not reach a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Embedding(..)")
    }
}

impl fmt::Display for EmbeddingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length { expected, found } => {
                write!(f, "an embedding has length {expected}, not {found}")
            }
            Self::NotFinite { component } => write!(f, "component {component} is not finite"),
            Self::Norm { found } => {
                write!(
                    f,
                    "the norm is {found:.6}, further than {NORM_TOLERANCE} from 1"
                )
            }
            Self::Code { component } => write!(f, "code {component} is -128, outside -127..=127"),
            Self::Scale { found } => write!(f, "scale {found} is not positive and finite"),
        }
    }
}

impl std::error::Error for EmbeddingError {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn along(component: usize, length: f32) -> [f32; DIM] {
        let mut components = [0.0; DIM];
        components[component] = length;
        components
    }

    #[test]
    fn refuses_what_is_no_embedding() {
        assert!(matches!(
            Embedding::new(&[1.0; 3]),
            Err(EmbeddingError::Length { found: 3, .. })
        ));
        assert!(matches!(
            Embedding::from_le_bytes(&[0; 2047]),
            Err(EmbeddingError::Length { .. })
        ));
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let found = Embedding::new(&along(511, bad));
            assert_eq!(found, Err(EmbeddingError::NotFinite { component: 511 }));
        }
        assert!(matches!(
            Embedding::new(&[0.0; DIM]),
            Err(EmbeddingError::Norm { .. })
        ));
        assert!(matches!(
            Embedding::new(&along(0, 1.001_01)),
            Err(EmbeddingError::Norm { .. })
        ));
        assert!(matches!(
            Embedding::new(&along(0, f32::MAX)),
            Err(EmbeddingError::Norm { .. })
        ));
    }

    #[test]
    fn renormalises_within_a_thousandth() {
        for length in [0.999_01, 1.000_99, -0.9995] {
            let embedding = Embedding::new(&along(7, length)).map(|e| e.as_slice()[7]);
            assert_eq!(embedding, Ok(length.signum()));
        }
    }

    #[test]
    fn codes_of_127_and_no_minus_128() {
        let mut codes = [0i8; DIM];
        codes[0] = -127;
        assert!(Embedding::from_codes(&codes, 1.0 / 127.0).is_ok());
        assert!(matches!(
            Embedding::from_codes(&codes, f32::NAN),
            Err(EmbeddingError::Scale { .. })
        ));
        assert!(matches!(
            Embedding::from_codes(&codes, -1.0),
            Err(EmbeddingError::Scale { .. })
        ));
        codes[3] = -128;
        let found = Embedding::from_codes(&codes, 1.0 / 127.0);
        assert_eq!(found, Err(EmbeddingError::Code { component: 3 }));
    }

    proptest! {
        #[test]
        fn parsing_twice_changes_nothing(
            components in proptest::collection::vec(-1.0f32..1.0, DIM),
            stretch in 0.9991..1.0009f64,
        ) {
            let norm = components.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt();
            let near: Vec<f32> =
                components.iter().map(|&x| (f64::from(x) / norm * stretch) as f32).collect();
            let once = Embedding::new(&near).expect("within the tolerance");
            prop_assert!((norm2(once.as_array()) - 1.0).abs() <= UNIT_NORM2_SLACK);
            let twice = Embedding::from_le_bytes(&once.to_le_bytes());
            prop_assert_eq!(twice, Ok(once));
        }
    }
}
