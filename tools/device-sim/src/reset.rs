//! What a device's camera reads beside commissioning codes: the health check, and the reset of a
//! device that cannot reach its server (PROTOCOL.md, section 6).
//!
//! ```text
//! --begin--> colours are drawn and shown --last code, good--> the device forgets its key
//!                  ^    | wrong code, or five minutes
//!                  +----+ others are drawn
//! ```

use std::time::Instant;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use cardea_loadtest::identity::Identity;
use cardea_loadtest::tls::sha256;
use cardea_wire::reset::{Colours, HEALTH_CODE, RESET_BEGIN, RESET_COLOURS, parse_reset_code};

use crate::limits::COLOURS_LIFE;

/// Before the 65 bytes of a P-256 key in a certificate: the algorithm's names and a bit string's
/// head.
const P256_KEY_HEAD: &[u8] = &[
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
const P256_KEY_BYTES: usize = 65;
const LETTERS: &[u8; 6] = b"RGBYWV";

/// What a code was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Read {
    /// Nothing new, or no code of this kind.
    Nothing,
    /// The device tests itself.
    Health,
    /// These colours are shown now.
    Colours(String),
    /// The last code, and it is good.
    Reset,
    /// A last code that does not hold; other colours are shown now.
    Wrong(String),
}

/// What the camera reads, one code after another.
#[derive(Debug, Default)]
pub(crate) struct Camera {
    last: String,
    shown: Option<(String, Instant)>,
}

impl Camera {
    /// Reads what is before it. `drawn` are random bytes for colours.
    pub(crate) fn read(
        &mut self,
        text: &str,
        identity: &Identity,
        now: Instant,
        drawn: [u8; 16],
    ) -> Read {
        let text = text.trim();
        let over = |at: &Instant| now.duration_since(*at) > COLOURS_LIFE;
        if self.shown.as_ref().is_some_and(|(_, at)| over(at)) {
            self.shown = None;
        }
        if text == self.last {
            return Read::Nothing;
        }
        self.last = text.to_owned();
        match text {
            HEALTH_CODE => return Read::Health,
            RESET_BEGIN => return Read::Colours(self.draw(drawn, now)),
            _ => {}
        }
        let Ok(signature) = parse_reset_code(text) else {
            return Read::Nothing;
        };
        let colours = self.shown.as_ref().map(|(colours, _)| colours.as_str());
        match colours.is_some_and(|colours| holds(&signature, colours, identity)) {
            true => Read::Reset,
            false => Read::Wrong(self.draw(drawn, now)),
        }
    }

    fn draw(&mut self, drawn: [u8; 16], now: Instant) -> String {
        let letter = |byte: &u8| char::from(LETTERS[usize::from(*byte) % LETTERS.len()]);
        let colours: String = drawn[..RESET_COLOURS].iter().map(letter).collect();
        self.shown = Some((colours.clone(), now));
        colours
    }
}

/// Whether a site CA that the device trusts signed these colours for its certificate.
fn holds(signature: &[u8], colours: &str, identity: &Identity) -> bool {
    let Ok(colours) = Colours::parse(colours) else {
        return false;
    };
    let message = colours.message(&sha256(&identity.certificate));
    identity.site_cas.iter().any(|ca| {
        let key = key_of(ca).map(|key| UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, key));
        key.is_some_and(|key| key.verify(&message, signature).is_ok())
    })
}

/// The key of a certificate whose key is of P-256.
fn key_of(certificate: &[u8]) -> Option<&[u8]> {
    let head = P256_KEY_HEAD.len();
    let at = certificate
        .windows(head)
        .position(|window| window == P256_KEY_HEAD)?;
    certificate.get(at + head..at + head + P256_KEY_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::EXCHANGE_TIMEOUT;

    /// Fails if colours outlive their five minutes, or a code that was wrong is read twice. A good
    /// code is the acceptance tests': only a site signs one.
    #[test]
    fn colours_are_drawn_anew_after_a_wrong_code_and_hold_for_five_minutes() {
        let mirror = cardea_loadtest::mirror::Mirror::start(Box::new(|request| {
            let decision = cardea_wire::Decision::Denied;
            let reason = cardea_wire::Reason::NoMatch;
            cardea_wire::Reply::new(
                cardea_wire::Kind::Access,
                request.request_id,
                decision,
                reason,
            )
        }))
        .expect("a mirror");
        let identity = cardea_loadtest::commission::commission(&mirror.code("d"), EXCHANGE_TIMEOUT);
        let identity = identity.expect("commissioned");
        let (mut camera, now) = (Camera::default(), Instant::now());
        assert_eq!(camera.read("", &identity, now, [0; 16]), Read::Nothing);
        assert_eq!(
            camera.read(HEALTH_CODE, &identity, now, [0; 16]),
            Read::Health
        );
        let begun = camera.read(RESET_BEGIN, &identity, now, [1; 16]);
        assert_eq!(begun, Read::Colours("GGGGGGGG".to_owned()));
        let wrong = cardea_wire::reset::reset_code(&[1; 70]);
        let read = camera.read(&wrong, &identity, now, [2; 16]);
        assert_eq!(read, Read::Wrong("BBBBBBBB".to_owned()));
        assert_eq!(camera.read(&wrong, &identity, now, [3; 16]), Read::Nothing);
        assert!(camera.shown.is_some());
        camera.read("", &identity, now + COLOURS_LIFE * 2, [4; 16]);
        assert!(camera.shown.is_none(), "their time is over");
        let own = identity.certificate.as_ref();
        assert_eq!(key_of(own).map(<[u8]>::len), Some(P256_KEY_BYTES));
    }
}
