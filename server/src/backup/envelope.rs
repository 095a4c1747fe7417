//! The head of a backup: for whom it is sealed. The format is age's, version 1
//! (age-encryption.org/v1), so that a backup for a public key opens with the program `age` too:
//!
//! ```text
//! age-encryption.org/v1
//! -> X25519 <ephemeral share>                       one for each public key, or
//! -> cardea/argon2id <salt> <KiB> <passes> <lanes>  one for a passphrase (only we open this)
//! <the file key, sealed: 32 bytes>
//! --- <HMAC-SHA-256 of all above>
//! <nonce, 16 bytes> <the encrypted bytes: see `stream`>
//! ```
//!
//! X25519, HKDF, HMAC and ChaCha20-Poly1305 are those of the provider that TLS uses.

use std::io::{BufRead, Write};

use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::agreement::{UnparsedPublicKey, X25519, agree};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use zeroize::Zeroizing;

use super::BackupError;
use super::keys::{KEY_BYTES, Lock, Opener, Passphrase, PublicKey, SecretKey};
use crate::limits::{
    BACKUP_ARGON_KIB, BACKUP_ARGON_KIB_MAX, BACKUP_ARGON_LANES, BACKUP_ARGON_PASSES,
    BACKUP_ARGON_PASSES_MAX, BACKUP_HEAD_BYTES_MAX, BACKUP_KEYS_MAX,
};
use crate::secrets::random;

const FIRST_LINE: &str = "age-encryption.org/v1\n";
const X25519_INFO: &[u8] = b"age-encryption.org/v1/X25519";
const ARGON_LABEL: &[u8] = b"cardea/argon2id";
const FILE_KEY_BYTES: usize = 16;
const SEALED_BYTES: usize = FILE_KEY_BYTES + 16;
const NONCE_BYTES: usize = 16;

/// The key of the encrypted bytes behind the head.
pub(super) type PayloadKey = Zeroizing<[u8; KEY_BYTES]>;

/// Draws a key, writes the head, and gives the key of what follows.
///
/// # Errors
/// Those of `out`; [`BackupError::Refused`] for no key, or too many.
pub(super) fn write(out: &mut impl Write, lock: &Lock) -> Result<PayloadKey, BackupError> {
    let file_key = random::<FILE_KEY_BYTES>()?;
    let mut head = FIRST_LINE.to_owned();
    match lock {
        Lock::Keys(keys) => {
            if keys.is_empty() || keys.len() > BACKUP_KEYS_MAX {
                let why = format!("a backup is for 1 to {BACKUP_KEYS_MAX} public keys");
                return Err(BackupError::Refused(why));
            }
            for key in keys {
                head.push_str(&for_key(key, &file_key)?);
            }
        }
        Lock::Passphrase(passphrase) => head.push_str(&for_passphrase(passphrase, &file_key)?),
    }
    head.push_str("---");
    let tag = STANDARD_NO_PAD.encode(hmac::sign(&mac_key(&file_key)?, head.as_bytes()));
    let nonce = random::<NONCE_BYTES>()?;
    out.write_all(head.as_bytes())?;
    out.write_all(format!(" {tag}\n").as_bytes())?;
    out.write_all(nonce.as_slice())?;
    derive(nonce.as_slice(), &file_key, b"payload")
}

/// Reads the head and gives the key of what follows.
///
/// # Errors
/// [`BackupError::NotABackup`], [`BackupError::WrongKey`], [`BackupError::Damaged`]; those of
/// `from`.
pub(super) fn read(from: &mut impl BufRead, opener: &Opener) -> Result<PayloadKey, BackupError> {
    let mut head = String::new();
    let mut line = next_line(from, &mut head)?;
    if line != FIRST_LINE {
        return Err(BackupError::NotABackup);
    }
    let mut file_key = None;
    let tag = loop {
        line = next_line(from, &mut head)?;
        if let Some(tag) = line.strip_prefix("--- ") {
            break decode(tag.trim_end())?;
        }
        let stanza = line.strip_prefix("-> ").ok_or(BackupError::NotABackup)?;
        let stanza = stanza.trim_end().to_owned();
        let sealed = body(from, &mut head)?;
        if file_key.is_none() {
            file_key = open(&stanza, &sealed, opener)?;
        }
    };
    let file_key = file_key.ok_or(BackupError::WrongKey)?;
    let signed = head.rfind("---").ok_or(BackupError::NotABackup)? + "---".len();
    hmac::verify(&mac_key(&file_key)?, &head.as_bytes()[..signed], &tag)
        .map_err(|_| BackupError::Damaged)?;
    let mut nonce = [0; NONCE_BYTES];
    from.read_exact(&mut nonce)?;
    derive(&nonce, &file_key, b"payload")
}

fn for_key(
    key: &PublicKey,
    file_key: &Zeroizing<[u8; FILE_KEY_BYTES]>,
) -> Result<String, BackupError> {
    let ephemeral = SecretKey::generate()?;
    let share = ephemeral.public()?;
    let wrap = wrap_key(&ephemeral, key, &share, key)?;
    let arguments = format!("X25519 {}", STANDARD_NO_PAD.encode(share.0));
    stanza(&arguments, &wrap, file_key)
}

fn for_passphrase(
    passphrase: &Passphrase,
    file_key: &Zeroizing<[u8; FILE_KEY_BYTES]>,
) -> Result<String, BackupError> {
    let salt = random::<NONCE_BYTES>()?;
    let cost = (BACKUP_ARGON_KIB, BACKUP_ARGON_PASSES, BACKUP_ARGON_LANES);
    let wrap = stretch(passphrase, salt.as_slice(), cost)?;
    let salt = STANDARD_NO_PAD.encode(salt.as_slice());
    let arguments = format!("cardea/argon2id {salt} {} {} {}", cost.0, cost.1, cost.2);
    stanza(&arguments, &wrap, file_key)
}

fn stanza(
    arguments: &str,
    wrap: &PayloadKey,
    file_key: &Zeroizing<[u8; FILE_KEY_BYTES]>,
) -> Result<String, BackupError> {
    let mut sealed = file_key.to_vec();
    let tag = aead(wrap)?
        .seal_in_place_separate_tag(zero_nonce(), Aad::empty(), &mut sealed)
        .map_err(|_| BackupError::BadKey)?;
    sealed.extend_from_slice(tag.as_ref());
    let sealed = STANDARD_NO_PAD.encode(sealed);
    Ok(format!("-> {arguments}\n{sealed}\n"))
}

/// The file key of a stanza, if it is for this opener.
fn open(
    stanza: &str,
    sealed: &[u8],
    opener: &Opener,
) -> Result<Option<Zeroizing<[u8; FILE_KEY_BYTES]>>, BackupError> {
    let words: Vec<&str> = stanza.split(' ').collect();
    match (words.as_slice(), opener) {
        (["X25519", share], Opener::Keys(keys)) => {
            let share = decode(share)?;
            let share = PublicKey(share.try_into().map_err(|_| BackupError::NotABackup)?);
            for key in keys {
                let own = key.public()?;
                let wrap = wrap_key(key, &share, &share, &own)?;
                if let Some(file_key) = unseal(&wrap, sealed)? {
                    return Ok(Some(file_key));
                }
            }
            Ok(None)
        }
        (["cardea/argon2id", salt, kib, passes, lanes], Opener::Passphrase(passphrase)) => {
            let number = |text: &str| text.parse().map_err(|_| BackupError::NotABackup);
            let cost = (number(kib)?, number(passes)?, number(lanes)?);
            if cost.0 > BACKUP_ARGON_KIB_MAX || cost.1 > BACKUP_ARGON_PASSES_MAX {
                return Err(BackupError::NotABackup);
            }
            let wrap = stretch(passphrase, &decode(salt)?, cost)?;
            unseal(&wrap, sealed)
        }
        _ => Ok(None),
    }
}

fn unseal(
    wrap: &PayloadKey,
    sealed: &[u8],
) -> Result<Option<Zeroizing<[u8; FILE_KEY_BYTES]>>, BackupError> {
    if sealed.len() != SEALED_BYTES {
        return Err(BackupError::NotABackup);
    }
    let mut opened = Zeroizing::new(sealed.to_vec());
    let opened = aead(wrap)?.open_in_place(zero_nonce(), Aad::empty(), &mut opened);
    let Ok(opened) = opened else {
        return Ok(None);
    };
    let mut file_key = Zeroizing::new([0; FILE_KEY_BYTES]);
    file_key.copy_from_slice(opened);
    Ok(Some(file_key))
}

/// The key that seals the file key: from the secret of the two sides, bound to both public keys.
fn wrap_key(
    own: &SecretKey,
    peer: &PublicKey,
    share: &PublicKey,
    recipient: &PublicKey,
) -> Result<PayloadKey, BackupError> {
    let peer = UnparsedPublicKey::new(&X25519, peer.0);
    // A share of low order, which would make the secret known to everyone, is refused here.
    agree(&own.agreement()?, peer, BackupError::BadKey, |secret| {
        derive(&[share.0, recipient.0].concat(), secret, X25519_INFO)
    })
}

fn stretch(
    passphrase: &Passphrase,
    salt: &[u8],
    (kib, passes, lanes): (u32, u32, u32),
) -> Result<PayloadKey, BackupError> {
    let params =
        Params::new(kib, passes, lanes, Some(KEY_BYTES)).map_err(|_| BackupError::NotABackup)?;
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(
            passphrase.bytes(),
            &[ARGON_LABEL, salt].concat(),
            key.as_mut_slice(),
        )
        .map_err(|_| BackupError::NotABackup)?;
    Ok(key)
}

fn mac_key(file_key: &Zeroizing<[u8; FILE_KEY_BYTES]>) -> Result<hmac::Key, BackupError> {
    let key = derive(&[], file_key.as_slice(), b"header")?;
    Ok(hmac::Key::new(hmac::HMAC_SHA256, key.as_slice()))
}

struct Length;

impl KeyType for Length {
    fn len(&self) -> usize {
        KEY_BYTES
    }
}

fn derive(salt: &[u8], secret: impl AsRef<[u8]>, info: &[u8]) -> Result<PayloadKey, BackupError> {
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    Salt::new(HKDF_SHA256, salt)
        .extract(secret.as_ref())
        .expand(&[info], Length)
        .and_then(|expanded| expanded.fill(key.as_mut_slice()))
        .map_err(|_| BackupError::BadKey)?;
    Ok(key)
}

/// A key of ChaCha20-Poly1305.
pub(super) fn aead(key: &PayloadKey) -> Result<LessSafeKey, BackupError> {
    let key = UnboundKey::new(&CHACHA20_POLY1305, key.as_slice());
    key.map(LessSafeKey::new).map_err(|_| BackupError::BadKey)
}

// Each wrapping key seals once.
fn zero_nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; NONCE_LEN])
}

fn decode(text: &str) -> Result<Vec<u8>, BackupError> {
    STANDARD_NO_PAD
        .decode(text)
        .map_err(|_| BackupError::NotABackup)
}

fn next_line(from: &mut impl BufRead, head: &mut String) -> Result<String, BackupError> {
    let left = BACKUP_HEAD_BYTES_MAX - head.len();
    let mut line = Vec::new();
    std::io::Read::take(&mut *from, left as u64).read_until(b'\n', &mut line)?;
    let line = String::from_utf8(line).map_err(|_| BackupError::NotABackup)?;
    if !line.ends_with('\n') {
        return Err(BackupError::NotABackup);
    }
    head.push_str(&line);
    Ok(line)
}

/// A stanza's body: lines of 64 characters, and a shorter one that ends it.
fn body(from: &mut impl BufRead, head: &mut String) -> Result<Vec<u8>, BackupError> {
    let mut text = String::new();
    loop {
        let line = next_line(from, head)?;
        let line = line.trim_end();
        text.push_str(line);
        if line.len() < 64 {
            return decode(&text);
        }
    }
}
