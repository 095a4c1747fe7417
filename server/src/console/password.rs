//! Passwords: hashed with argon2id, in PHC form.

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use argon2::{Algorithm, Argon2, Params, Version};

use crate::error::SecretError;
use crate::limits::{PASSWORD_BYTES_MAX, PASSWORD_BYTES_MIN, PASSWORD_MEMORY_KIB, PASSWORD_PASSES};
use crate::secrets::random;

/// A hash of nothing anybody knows: looked at for names that do not exist, so that they take as
/// long as others.
pub const NOBODYS: &str = "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$\
    AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

fn argon2() -> Argon2<'static> {
    let params = Params::new(PASSWORD_MEMORY_KIB, PASSWORD_PASSES, 1, None);
    let params = params.expect("the bounds of the crate are far from these constants");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

/// The hash of a password; takes tens of milliseconds.
///
/// # Errors
/// If the system gives no random numbers.
///
/// # Panics
/// Never: no password within [`is_acceptable`] is too long for the function.
pub fn hash(password: &str) -> Result<String, SecretError> {
    let salt = random::<16>()?;
    let hash: PasswordHash = argon2()
        .hash_password_with_salt(password.as_bytes(), salt.as_slice())
        .expect("salt and password are within the bounds of the function");
    Ok(hash.to_string())
}

/// Whether the hash is this password's; takes tens of milliseconds.
pub fn is_of(hash: &str, password: &str) -> bool {
    let Ok(hash) = PasswordHash::new(hash) else {
        return false;
    };
    password.len() <= PASSWORD_BYTES_MAX
        && argon2().verify_password(password.as_bytes(), &hash).is_ok()
}

/// Whether a password may be chosen: its length decides, and nothing else.
pub fn is_acceptable(password: &str) -> bool {
    (PASSWORD_BYTES_MIN..=PASSWORD_BYTES_MAX).contains(&password.len())
}

/// A new password: four groups of five letters and digits, 98 bits.
///
/// # Errors
/// If the system gives no random numbers.
pub fn generate() -> Result<String, SecretError> {
    // 32 symbols, so that each byte gives one without bias; none looks like another.
    const SYMBOLS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let bytes = random::<20>()?;
    let mut password = String::new();
    for (place, byte) in bytes.iter().enumerate() {
        if place > 0 && place % 5 == 0 {
            password.push('-');
        }
        password.push(char::from(SYMBOLS[usize::from(byte % 32)]));
    }
    Ok(password)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_of_its_password_only() {
        let password = generate().expect("random");
        assert_eq!(password.len(), 23);
        assert!(is_acceptable(&password));
        let stored = hash(&password).expect("random");
        assert!(
            stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{stored}"
        );
        assert!(is_of(&stored, &password));
        assert!(!is_of(&stored, &password[1..]));
        assert!(!is_of(NOBODYS, &password));
        assert!(PasswordHash::new(NOBODYS).is_ok());
        assert!(!is_of("no hash", &password));
        assert_ne!(stored, hash(&password).expect("random"));
        assert!(!is_acceptable("elevenbytes"));
        assert!(!is_acceptable(&"x".repeat(PASSWORD_BYTES_MAX + 1)));
    }
}
