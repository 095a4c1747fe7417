//! Sealing of secrets at rest: the site CA's key, the server's key, the keys of integrations.
//!
//! A sealed file is `CSEAL1` | nonce, 12 bytes | AES-256-GCM of the secret, its name as associated
//! data. The sealing key comes from a file with mode 0400 beside the data, or where there is none
//! from systemd's credentials. This protects copies of the data, not a stolen machine.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use zeroize::Zeroizing;

use crate::error::SecretError;

/// The file that holds the sealing key outside systemd.
pub const KEY_FILE: &str = "sealing.key";
/// The credential that holds it under systemd.
pub const CREDENTIAL: &str = "cardea-sealing-key";
const KEY_BYTES: usize = 32;
const MAGIC: &[u8; 6] = b"CSEAL1";

/// The key that seals; it leaves memory when dropped.
pub struct Sealer {
    key: LessSafeKey,
}

impl Sealer {
    /// Makes a new key file in `data`.
    ///
    /// # Errors
    /// If the file exists or cannot be written.
    pub fn create(data: &Path) -> Result<Self, SecretError> {
        let key = random::<KEY_BYTES>()?;
        write_new(&data.join(KEY_FILE), key.as_slice(), 0o400)?;
        Self::from_bytes(key.as_slice())
    }

    /// Reads the key from the file in `data`, else from systemd's credentials.
    ///
    /// # Errors
    /// If there is none, or it is not 32 bytes.
    pub fn open(data: &Path) -> Result<Self, SecretError> {
        let bytes = Self::key_bytes(data)?;
        Self::from_bytes(&bytes)
    }

    /// The key itself, for a backup: whoever has it and the data has every secret.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn key_bytes(data: &Path) -> Result<Zeroizing<Vec<u8>>, SecretError> {
        // A file beside the data goes before the credential: a restore brings it.
        let file = data.join(KEY_FILE);
        let credential = std::env::var_os("CREDENTIALS_DIRECTORY")
            .map(|folder| PathBuf::from(folder).join(CREDENTIAL))
            .filter(|path| !file.exists() && path.exists());
        let path = credential.unwrap_or(file);
        let bytes = fs::read(&path).map_err(|source| SecretError::Io {
            file: file_name(&path),
            source,
        })?;
        Ok(Zeroizing::new(bytes))
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, SecretError> {
        let key = UnboundKey::new(&AES_256_GCM, bytes).map_err(|_| SecretError::BadKey)?;
        Ok(Self {
            key: LessSafeKey::new(key),
        })
    }

    /// Seals `secret` under `name`.
    ///
    /// # Errors
    /// If the machine gives no random numbers.
    pub fn seal(&self, name: &str, secret: &[u8]) -> Result<Vec<u8>, SecretError> {
        let nonce = random::<NONCE_LEN>()?;
        let mut sealed = secret.to_vec();
        self.key
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(*nonce),
                Aad::from(name.as_bytes()),
                &mut sealed,
            )
            .map_err(|_| SecretError::BadKey)?;
        Ok([MAGIC.as_slice(), nonce.as_slice(), &sealed].concat())
    }

    /// Opens what [`Self::seal`] made under the same name.
    ///
    /// # Errors
    /// [`SecretError::NotSealedByThisKey`] for anything else.
    pub fn unseal(&self, name: &str, bytes: &[u8]) -> Result<Zeroizing<Vec<u8>>, SecretError> {
        let damaged = || SecretError::NotSealedByThisKey {
            name: name.to_owned(),
        };
        let rest = bytes.strip_prefix(MAGIC.as_slice()).ok_or_else(damaged)?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>().ok_or_else(damaged)?;
        let mut secret = Zeroizing::new(sealed.to_vec());
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let length = self
            .key
            .open_in_place(nonce, Aad::from(name.as_bytes()), &mut secret)
            .map_err(|_| damaged())?
            .len();
        secret.truncate(length);
        Ok(secret)
    }
}

/// Writes a file that must not exist yet, with its mode from the first byte on.
///
/// # Errors
/// Any of the file system's.
pub fn write_new(path: &Path, bytes: &[u8], mode: u32) -> Result<(), SecretError> {
    let io = |source| SecretError::Io {
        file: file_name(path),
        source,
    };
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)
        .map_err(io)?;
    file.write_all(bytes).map_err(io)?;
    file.sync_all().map_err(io)
}

/// Random bytes from the operating system.
///
/// # Errors
/// If it gives none.
pub fn random<const N: usize>() -> Result<Zeroizing<[u8; N]>, SecretError> {
    let mut bytes = Zeroizing::new([0_u8; N]);
    getrandom::fill(bytes.as_mut_slice()).map_err(|_| SecretError::NoRandomness)?;
    Ok(bytes)
}

fn file_name(path: &Path) -> String {
    path.file_name()
        .map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_secret_opens_only_under_its_name_and_key() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let sealer = Sealer::create(folder.path()).expect("a new key");
        let sealed = sealer.seal("site-ca", b"the key").expect("sealed");
        assert!(!sealed.windows(7).any(|window| window == b"the key"));
        let reopened = Sealer::open(folder.path()).expect("the key file");
        let opened = reopened.unseal("site-ca", &sealed).expect("same key");
        assert_eq!(opened.as_slice(), b"the key");
        assert!(reopened.unseal("server", &sealed).is_err());
        for at in 0..sealed.len() {
            let mut damaged = sealed.clone();
            damaged[at] ^= 1;
            assert!(
                reopened.unseal("site-ca", &damaged).is_err(),
                "byte {at} flipped"
            );
        }
        let elsewhere = tempfile::tempdir().expect("a temporary folder");
        let other = Sealer::create(elsewhere.path()).expect("a new key");
        assert!(other.unseal("site-ca", &sealed).is_err());
    }
}
