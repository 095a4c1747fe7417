//! Who can open a backup: keys as the program `age` writes them, and passphrases.

use std::fmt;
use std::fs;
use std::io::{self, Read};
use std::path::Path;

use aws_lc_rs::agreement::{PrivateKey, X25519};
use bech32::{FromBase32 as _, ToBase32 as _, Variant};
use zeroize::Zeroizing;

use super::BackupError;
use crate::limits::{BACKUP_KEY_FILE_BYTES_MAX, BACKUP_PASSPHRASE_BYTES_MIN};
use crate::secrets::random;

/// Bytes of a key.
pub const KEY_BYTES: usize = 32;
const PUBLIC: &str = "age";
const SECRET: &str = "age-secret-key-";

/// A public key: what is sealed for it, only the secret key opens. It may lie on the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(pub [u8; KEY_BYTES]);

/// A secret key; it leaves memory when dropped. It must not lie on the server.
pub struct SecretKey(Zeroizing<[u8; KEY_BYTES]>);

/// A passphrase; it leaves memory when dropped.
pub struct Passphrase(Zeroizing<Vec<u8>>);

/// What a backup is sealed for.
pub enum Lock {
    /// The owners of these keys.
    Keys(Vec<PublicKey>),
    /// Who knows this.
    Passphrase(Passphrase),
}

/// What opens a backup.
pub enum Opener {
    /// Secret keys.
    Keys(Vec<SecretKey>),
    /// A passphrase.
    Passphrase(Passphrase),
}

impl Lock {
    /// Tells one lock from another; it must be kept as secret as a passphrase.
    pub(super) fn mark(&self) -> [u8; KEY_BYTES] {
        let mut hasher = blake3::Hasher::new_derive_key("cardea 2026 mark of a backup's lock");
        match self {
            Self::Keys(keys) => {
                hasher.update(b"keys");
                for key in keys {
                    hasher.update(&key.0);
                }
            }
            Self::Passphrase(passphrase) => {
                hasher.update(b"passphrase");
                hasher.update(passphrase.bytes());
            }
        }
        *hasher.finalize().as_bytes()
    }
}

impl PublicKey {
    /// Reads `age1..`.
    ///
    /// # Errors
    /// [`BackupError::BadKey`].
    pub fn parse(text: &str) -> Result<Self, BackupError> {
        decode(PUBLIC, text.trim()).map(|key| Self(*key))
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&encode(PUBLIC, &self.0))
    }
}

impl SecretKey {
    /// A new key.
    ///
    /// # Errors
    /// [`BackupError::Secret`] if the system gives no random numbers.
    pub fn generate() -> Result<Self, BackupError> {
        Ok(Self(random::<KEY_BYTES>()?))
    }

    /// Reads `AGE-SECRET-KEY-1..`.
    ///
    /// # Errors
    /// [`BackupError::BadKey`].
    pub fn parse(text: &str) -> Result<Self, BackupError> {
        decode(SECRET, text.trim()).map(Self)
    }

    /// As text, for the file of its owner.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        Zeroizing::new(encode(SECRET, self.0.as_slice()).to_uppercase())
    }

    /// The public key that belongs to it.
    ///
    /// # Errors
    /// [`BackupError::BadKey`].
    pub fn public(&self) -> Result<PublicKey, BackupError> {
        let public = self
            .agreement()?
            .compute_public_key()
            .map_err(|_| BackupError::BadKey)?;
        let bytes = public.as_ref().try_into();
        bytes.map(PublicKey).map_err(|_| BackupError::BadKey)
    }

    pub(super) fn agreement(&self) -> Result<PrivateKey, BackupError> {
        PrivateKey::from_private_key(&X25519, self.0.as_slice()).map_err(|_| BackupError::BadKey)
    }
}

impl Passphrase {
    /// Reads the first line of a file, or of standard input for `-`. It is never an argument: other
    /// users of a machine see those.
    ///
    /// # Errors
    /// Those of files; [`BackupError::Refused`] for too short a one.
    pub fn read(path: &Path) -> Result<Self, BackupError> {
        let text = if path == Path::new("-") {
            read(&mut io::stdin().lock())?
        } else {
            read(&mut fs::File::open(path)?)?
        };
        let line = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
        Self::new(line.strip_suffix(b"\r").unwrap_or(line))
    }

    /// A passphrase of these bytes.
    ///
    /// # Errors
    /// [`BackupError::Refused`] for too short a one.
    pub fn new(bytes: &[u8]) -> Result<Self, BackupError> {
        if bytes.len() < BACKUP_PASSPHRASE_BYTES_MIN {
            let min = BACKUP_PASSPHRASE_BYTES_MIN;
            let why = format!("a passphrase has at least {min} bytes");
            return Err(BackupError::Refused(why));
        }
        Ok(Self(Zeroizing::new(bytes.to_vec())))
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// The secret keys of a file: a line each; empty lines and those that begin with `#` are skipped.
///
/// # Errors
/// Those of files; [`BackupError::BadKey`] for another line, or for no key at all.
pub fn secret_keys(path: &Path) -> Result<Vec<SecretKey>, BackupError> {
    let bytes = read(&mut fs::File::open(path)?)?;
    let text = std::str::from_utf8(&bytes).map_err(|_| BackupError::BadKey)?;
    let keys = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(SecretKey::parse)
        .collect::<Result<Vec<_>, _>>()?;
    if keys.is_empty() {
        return Err(BackupError::BadKey);
    }
    Ok(keys)
}

fn read(from: &mut impl Read) -> Result<Zeroizing<Vec<u8>>, BackupError> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(BACKUP_KEY_FILE_BYTES_MAX));
    from.take(BACKUP_KEY_FILE_BYTES_MAX as u64)
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn encode(prefix: &str, key: &[u8]) -> String {
    bech32::encode(prefix, key.to_base32(), Variant::Bech32)
        .expect("both prefixes are lower case and every five-bit group has a letter")
}

fn decode(prefix: &str, text: &str) -> Result<Zeroizing<[u8; KEY_BYTES]>, BackupError> {
    let bad = BackupError::BadKey;
    let Ok((found, groups, Variant::Bech32)) = bech32::decode(text) else {
        return Err(bad);
    };
    let Ok(bytes) = Vec::<u8>::from_base32(&groups).map(Zeroizing::new) else {
        return Err(bad);
    };
    if !found.eq_ignore_ascii_case(prefix) || bytes.len() != KEY_BYTES {
        return Err(bad);
    }
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    key.copy_from_slice(&bytes);
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fails if, for example, the prefix or the length is not looked at.
    #[test]
    fn keys_read_back_and_nothing_else_does() {
        let secret = SecretKey::generate().expect("randomness");
        let text = secret.to_text();
        assert!(text.starts_with("AGE-SECRET-KEY-1"), "{}", *text);
        let again = SecretKey::parse(&text).expect("as written");
        assert_eq!(again.0.as_slice(), secret.0.as_slice());
        let public = secret.public().expect("a key");
        let shown = public.to_string();
        assert_eq!(PublicKey::parse(&shown).expect("as written"), public);
        assert!(
            PublicKey::parse(&text).is_err(),
            "a secret key is no public one"
        );
        assert!(SecretKey::parse(&shown).is_err());
        assert!(PublicKey::parse(&shown[..shown.len() - 1]).is_err());
        let mut other = shown.clone();
        other.replace_range(10..11, if &shown[10..11] == "q" { "p" } else { "q" });
        assert!(PublicKey::parse(&other).is_err(), "its checksum is wrong");
    }

    /// A key pair that the program `age-keygen` made. Fails if the clamping differs from its.
    #[test]
    fn the_public_key_is_that_of_age() {
        let text = "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX";
        let secret = SecretKey::parse(text).expect("a key");
        let public = secret.public().expect("a key").to_string();
        assert_eq!(
            public,
            "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj"
        );
    }

    /// Fails without the least length.
    #[test]
    fn a_passphrase_is_the_first_line_and_not_too_short() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("passphrase");
        fs::write(&path, "correct horse battery\r\nmore\n").expect("written");
        let read = Passphrase::read(&path).expect("long enough");
        assert_eq!(read.bytes(), b"correct horse battery");
        fs::write(&path, "short\n").expect("written");
        assert!(Passphrase::read(&path).is_err());
    }
}
