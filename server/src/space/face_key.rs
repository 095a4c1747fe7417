//! Space's key to this server.

use blake3::Hash;

const SCHEME: &str = "Bearer ";

/// The face-recognition key, as a hash: whatever length is shown, comparing takes as long.
#[derive(Debug, Clone, Copy)]
pub struct FaceKey(Hash);

impl FaceKey {
    /// The key in force.
    #[must_use]
    pub fn of(key: &str) -> Self {
        Self(blake3::hash(key.as_bytes()))
    }

    /// Whether a request's `Authorization` shows this key, in constant time.
    #[must_use]
    pub fn admits(&self, authorization: Option<&str>) -> bool {
        let Some(shown) = authorization else {
            return false;
        };
        let scheme = shown.get(..SCHEME.len()).unwrap_or_default();
        let key = shown.get(SCHEME.len()..).unwrap_or_default().trim();
        // Hashes are equal in constant time by their own `==`.
        scheme.eq_ignore_ascii_case(SCHEME) && Self::of(key).0 == self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_key_itself_is_admitted() {
        let key = FaceKey::of("ABCDEFGHJKLMNPQRSTUVWXYZ23456789");
        assert!(key.admits(Some("Bearer ABCDEFGHJKLMNPQRSTUVWXYZ23456789")));
        assert!(key.admits(Some("bearer  ABCDEFGHJKLMNPQRSTUVWXYZ23456789")));
        for other in [
            "ABCDEFGHJKLMNPQRSTUVWXYZ23456789",
            "Basic ABCDEFGHJKLMNPQRSTUVWXYZ23456789",
            "Bearer ABCDEFGHJKLMNPQRSTUVWXYZ2345678",
            "Bearer ",
            "é",
            "",
        ] {
            assert!(!key.admits(Some(other)), "{other}");
        }
        assert!(!key.admits(None));
    }
}
