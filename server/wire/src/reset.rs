//! The codes for a device's camera that are no commissioning: the health check, and the reset of a
//! device that cannot reach its server.
//!
//! ```text
//! cardea-health1                   tests sensor, camera, network and lights; needs no server
//! cardea-reset1.begin              the device draws eight colours and shows them one by one
//! cardea-reset1.<base64url, no padding>
//!     ECDSA P-256 with SHA-256, DER, by the site CA's key, over RESET_CONTEXT, the SHA-256 of
//!     the device's certificate (DER), and the colours' letters
//! ```
//! The device checks the last code with the site CA's certificate that it has, forgets key and
//! certificate, and starts again. Colours hold for five minutes and for one code.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::error::WireError;

/// What a device is shown to test itself.
pub const HEALTH_CODE: &str = "cardea-health1";
/// What a device is shown to begin a reset.
pub const RESET_BEGIN: &str = "cardea-reset1.begin";
/// What the signed message begins with, so that the signature serves nothing else.
pub const RESET_CONTEXT: &[u8; 16] = b"cardea reset 1\r\n";
/// How many colours a device shows: 6^8 are 1.7 million.
pub const RESET_COLOURS: usize = 8;

const PREFIX: &str = "cardea-reset1.";
/// Red, green, blue, yellow, white, violet.
const LETTERS: &[u8; 6] = b"RGBYWV";
/// The longest signature of this kind.
const SIGNATURE_BYTES_MAX: usize = 72;

/// The colours that a device shows, a letter each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Colours([u8; RESET_COLOURS]);

impl Colours {
    /// Reads letters in either case; blanks between them are dropped.
    ///
    /// # Errors
    /// [`WireError::BadField`] for anything but eight of the six letters.
    pub fn parse(text: &str) -> Result<Self, WireError> {
        let bad = WireError::BadField {
            field: "colour sequence",
        };
        let letters: Vec<u8> = text
            .bytes()
            .filter(|byte| !byte.is_ascii_whitespace())
            .map(|byte| byte.to_ascii_uppercase())
            .collect();
        let letters: [u8; RESET_COLOURS] = letters.try_into().map_err(|_| bad)?;
        match letters.iter().all(|letter| LETTERS.contains(letter)) {
            true => Ok(Self(letters)),
            false => Err(bad),
        }
    }

    /// What is signed for a device with this certificate, by the SHA-256 of its DER.
    #[must_use]
    pub fn message(&self, certificate_sha256: &[u8; 32]) -> Vec<u8> {
        [&RESET_CONTEXT[..], certificate_sha256, &self.0].concat()
    }
}

/// The last code of a reset, from its signature.
#[must_use]
pub fn reset_code(signature: &[u8]) -> String {
    format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(signature))
}

/// The signature in the last code of a reset.
///
/// # Errors
/// [`WireError::BadField`] for anything that is no such code.
pub fn parse_reset_code(text: &str) -> Result<Vec<u8>, WireError> {
    let bad = WireError::BadField {
        field: "reset code",
    };
    let encoded = text.trim().strip_prefix(PREFIX).ok_or(bad)?;
    if encoded.len() > SIGNATURE_BYTES_MAX.div_ceil(3) * 4 {
        return Err(bad);
    }
    let signature = URL_SAFE_NO_PAD.decode(encoded).map_err(|_| bad)?;
    match signature.len() {
        8..=SIGNATURE_BYTES_MAX => Ok(signature),
        _ => Err(bad),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Taking a seventh letter into `LETTERS`, or dropping the check of the length, fails this.
    #[test]
    fn only_eight_of_six_letters_are_colours() {
        let colours = Colours::parse("rg by WV rr").expect("colours");
        let message = colours.message(&[7; 32]);
        assert_eq!(message.len(), 16 + 32 + 8);
        assert!(message.ends_with(b"RGBYWVRR") && message.starts_with(RESET_CONTEXT));
        for text in ["", "RGBYWVR", "RGBYWVRRR", "RGBYWVRX", "RGBYWVRé"] {
            assert!(Colours::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_last_code_comes_back_and_nothing_else_is_one() {
        let signature: Vec<u8> = (0..72).collect();
        let code = reset_code(&signature);
        assert_eq!(parse_reset_code(&code), Ok(signature));
        let long = reset_code(&[1; 73]);
        for text in [
            RESET_BEGIN,
            HEALTH_CODE,
            "",
            "cardea-reset1.",
            "cardea1.AAAA",
            &long,
        ] {
            assert!(parse_reset_code(text).is_err(), "{text}");
        }
    }
}
