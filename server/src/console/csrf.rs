//! What proves that a form came from a page of ours: a token made from a secret that only the
//! same browser's cookie has. In a session it is the session's; before, one made for it.

use crate::error::SecretError;
use crate::secrets::random;

/// The field of a form that carries the token.
pub(super) const FIELD: &str = "csrf";
/// The cookie of browsers that are not signed in.
pub(super) const COOKIE: &str = "__Host-form";
const TOKEN_DIGITS: usize = 32;

/// The token that belongs to a secret.
pub(super) fn token(secret: &str) -> String {
    let key = blake3::derive_key("cardea 2026 console form token", secret.as_bytes());
    let mut text = blake3::Hash::from_bytes(key).to_hex().to_string();
    text.truncate(TOKEN_DIGITS);
    text
}

/// Whether this is the token that belongs to the secret, in constant time.
pub(super) fn is_token(shown: &str, token: &str) -> bool {
    // Hashes are equal in constant time by their own `==`.
    blake3::hash(shown.as_bytes()) == blake3::hash(token.as_bytes())
}

/// A new secret: 64 hexadecimal digits.
///
/// # Errors
/// If the system gives no random numbers.
pub(super) fn new_secret() -> Result<String, SecretError> {
    let bytes = random::<32>()?;
    Ok(blake3::Hash::from_bytes(*bytes).to_hex().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_fits_its_secret_only() {
        let (one, other) = (new_secret().expect("random"), new_secret().expect("random"));
        assert_eq!((one.len(), token(&one).len()), (64, TOKEN_DIGITS));
        assert!(is_token(&token(&one), &token(&one)));
        assert!(!is_token(&token(&other), &token(&one)));
        assert!(!is_token("", &token(&one)));
    }
}
