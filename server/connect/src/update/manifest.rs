//! The manifest of an update: JSON, signed by minisign in a file of its own beside it.
//!
//! Nothing in it is looked at before the signature is. What it allows is decided here and nowhere
//! else, with the time and the present version as arguments: the server asks before it fetches,
//! and the unit that applies a package asks again, as root, on its own copies.

use std::fmt;
use std::str::FromStr;

use minisign_verify::{PublicKey, Signature};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::limits::{MANIFEST_BYTES_MAX, UPDATE_FILE_BYTES_MAX, UPDATE_FILES_MAX};

/// Three numbers with dots, as in `1.20.3`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u16, pub u16, pub u16);

impl FromStr for Version {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut numbers = text.split('.').map(|number| {
            let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
            digits.then(|| number.parse().ok()).flatten().ok_or(())
        });
        let mut next = || numbers.next().unwrap_or(Err(()));
        let version = Self(next()?, next()?, next()?);
        if numbers.next().is_some() {
            return Err(());
        }
        Ok(version)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

/// What a file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The server's package.
    Server,
    /// Firmware of the devices.
    Firmware,
}

/// A file of an update.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// Its name beside the manifest: letters, digits, `.`, `-`, `_`, `+`, `~`.
    pub name: String,
    /// What it is for.
    pub role: Role,
    /// Its length, bytes.
    pub size: u64,
    /// BLAKE3 of it, hexadecimal.
    pub blake3: String,
    /// Firmware: its version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub firmware: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    v: u32,
    product: String,
    version: String,
    minimum: String,
    expires: String,
    files: Vec<File>,
}

/// A manifest whose signature holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The version it brings.
    pub version: Version,
    /// The oldest version that it may follow.
    pub minimum: Version,
    /// Not to be begun after this, Unix seconds.
    pub expires_unix_s: i64,
    /// Its files.
    pub files: Vec<File>,
}

/// What is there when an update is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Present {
    /// The version that runs.
    pub version: Version,
    /// Unix seconds.
    pub now_unix_s: i64,
    /// Also an older version.
    pub allow_older: bool,
}

/// Why an update is not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UpdateError {
    /// The manifest or its signature is too long.
    TooLong,
    /// No key that updates are signed with is known.
    NoKey,
    /// The signature is not one of ours over this manifest.
    BadSignature,
    /// Signed, and still no manifest; in words.
    Malformed(&'static str),
    /// Past its end.
    Expired,
    /// Older than what runs, or the same.
    NotNewer {
        /// Its version.
        version: Version,
        /// What runs.
        present: Version,
    },
    /// What runs is older than it may follow.
    BelowMinimum {
        /// The oldest it may follow.
        minimum: Version,
        /// What runs.
        present: Version,
    },
    /// A file is not what the manifest says.
    WrongFile {
        /// Its name.
        name: String,
        /// What is wrong with it.
        why: &'static str,
    },
}

impl fmt::Display for UpdateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => f.write_str("manifest too long"),
            Self::NoKey => f.write_str("no key to check updates with"),
            Self::BadSignature => f.write_str("bad signature"),
            Self::Malformed(why) => write!(f, "malformed manifest: {why}"),
            Self::Expired => f.write_str("manifest expired"),
            Self::NotNewer { version, present } => {
                write!(f, "version {version} is not newer than {present}")
            }
            Self::BelowMinimum { minimum, present } => {
                write!(f, "version {present} must first be brought to {minimum}")
            }
            Self::WrongFile { name, why } => write!(f, "file {name}: {why}"),
        }
    }
}

impl std::error::Error for UpdateError {}

impl Manifest {
    /// Checks the signature by any of `keys` (as `minisign` prints them), then reads.
    ///
    /// # Errors
    /// [`UpdateError`]: too long, no key, bad signature, malformed.
    pub fn open(bytes: &[u8], signature: &[u8], keys: &[String]) -> Result<Self, UpdateError> {
        let long = |bytes: &[u8]| bytes.len() as u64 > MANIFEST_BYTES_MAX;
        if long(bytes) || long(signature) {
            return Err(UpdateError::TooLong);
        }
        if keys.is_empty() {
            return Err(UpdateError::NoKey);
        }
        let signature = std::str::from_utf8(signature).ok();
        let signature = signature.and_then(|text| Signature::decode(text).ok());
        let signature = signature.ok_or(UpdateError::BadSignature)?;
        let holds = |key: &String| {
            let key = PublicKey::from_base64(key.trim()).ok();
            key.is_some_and(|key| key.verify(bytes, &signature, false).is_ok())
        };
        if !keys.iter().any(holds) {
            return Err(UpdateError::BadSignature);
        }
        Self::read(bytes)
    }

    /// Reads without a signature: for [`Self::open`] once it has looked at that, and for the
    /// fuzz target. Nothing else may call it.
    ///
    /// # Errors
    /// [`UpdateError::Malformed`].
    #[doc(hidden)]
    pub fn read(bytes: &[u8]) -> Result<Self, UpdateError> {
        let bad = UpdateError::Malformed;
        let wire: Wire = serde_json::from_slice(bytes).map_err(|_| bad("not its JSON"))?;
        if wire.v != 1 {
            return Err(bad("of another version"));
        }
        if wire.product != "cardea" {
            return Err(bad("of another product"));
        }
        let version = |text: &str| text.parse().map_err(|()| bad("no version"));
        let expires = OffsetDateTime::parse(&wire.expires, &Rfc3339);
        if wire.files.is_empty() || wire.files.len() > UPDATE_FILES_MAX {
            return Err(bad("number of files"));
        }
        for (place, file) in wire.files.iter().enumerate() {
            if !is_name(&file.name) || wire.files[..place].iter().any(|f| f.name == file.name) {
                return Err(bad("name of a file"));
            }
            if file.size == 0 || file.size > UPDATE_FILE_BYTES_MAX {
                return Err(bad("size of a file"));
            }
            if blake3::Hash::from_hex(&file.blake3).is_err() {
                return Err(bad("hash of a file"));
            }
            let firmware = file.firmware.as_deref().map(Version::from_str);
            let fits = match file.role {
                Role::Server => firmware.is_none(),
                Role::Firmware => matches!(firmware, Some(Ok(_))),
            };
            if !fits {
                return Err(bad("role of a file"));
            }
        }
        Ok(Self {
            version: version(&wire.version)?,
            minimum: version(&wire.minimum)?,
            expires_unix_s: expires.map_err(|_| bad("no end"))?.unix_timestamp(),
            files: wire.files,
        })
    }

    /// Whether this update may be taken as things are.
    ///
    /// # Errors
    /// [`UpdateError`]: expired, not newer, below minimum.
    pub fn permit(&self, present: Present) -> Result<(), UpdateError> {
        if self.expires_unix_s <= present.now_unix_s {
            return Err(UpdateError::Expired);
        }
        let runs = present.version;
        if runs < self.minimum {
            return Err(UpdateError::BelowMinimum {
                minimum: self.minimum,
                present: runs,
            });
        }
        // Firmware alone may come with the version that runs.
        let server = self.files.iter().any(|file| file.role == Role::Server);
        let back = self.version < runs || (server && self.version == runs);
        if back && !present.allow_older {
            return Err(UpdateError::NotNewer {
                version: self.version,
                present: runs,
            });
        }
        Ok(())
    }
}

fn is_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b".-_+~".contains(&byte);
    (1..=128).contains(&name.len()) && !name.starts_with('.') && name.bytes().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(change: impl Fn(&mut serde_json::Value)) -> Result<Manifest, UpdateError> {
        let mut value = serde_json::json!({
            "v": 1, "product": "cardea", "version": "0.2.0", "minimum": "0.1.0",
            "expires": "2030-01-01T00:00:00Z",
            "files": [{"name": "cardea_0.2.0_amd64.deb", "role": "server", "size": 7,
                       "blake3": "00".repeat(32)}],
        });
        change(&mut value);
        Manifest::read(value.to_string().as_bytes())
    }

    /// Each row fails when its check is taken out of `read`.
    #[test]
    fn what_is_no_manifest_is_refused() {
        assert!(manifest(|_| {}).is_ok());
        let bad: [fn(&mut serde_json::Value); 14] = [
            |m| m["v"] = 2.into(),
            |m| m["product"] = "other".into(),
            |m| m["version"] = "1.2".into(),
            |m| m["version"] = "1.2.3.4".into(),
            |m| m["version"] = "1.+2.3".into(),
            |m| m["minimum"] = "x".into(),
            |m| m["expires"] = "soon".into(),
            |m| m["files"] = serde_json::json!([]),
            |m| m["files"][0]["name"] = "../etc/passwd".into(),
            |m| m["files"][0]["name"] = ".hidden".into(),
            |m| m["files"][0]["size"] = 0.into(),
            |m| m["files"][0]["size"] = (UPDATE_FILE_BYTES_MAX + 1).into(),
            |m| m["files"][0]["blake3"] = "00".into(),
            |m| m["files"][0]["role"] = "firmware".into(),
        ];
        for (row, change) in bad.iter().enumerate() {
            let refused = manifest(change);
            assert!(
                matches!(refused, Err(UpdateError::Malformed(_))),
                "row {row}: {refused:?}"
            );
        }
        let twice = |m: &mut serde_json::Value| {
            let file = m["files"][0].clone();
            m["files"] = serde_json::json!([file.clone(), file]);
        };
        assert!(manifest(twice).is_err());
    }

    #[test]
    fn there_is_no_way_back_without_saying_so() {
        let manifest = manifest(|_| {}).expect("a manifest");
        let present = |version, allow_older| Present {
            version,
            now_unix_s: 1_700_000_000,
            allow_older,
        };
        assert_eq!(manifest.permit(present(Version(0, 1, 9), false)), Ok(()));
        for version in [Version(0, 2, 0), Version(0, 2, 1), Version(1, 0, 0)] {
            let refused = manifest.permit(present(version, false));
            assert!(matches!(refused, Err(UpdateError::NotNewer { .. })));
            assert_eq!(manifest.permit(present(version, true)), Ok(()));
        }
        let refused = manifest.permit(present(Version(0, 0, 9), true));
        assert!(matches!(refused, Err(UpdateError::BelowMinimum { .. })));
        let late = Present {
            now_unix_s: manifest.expires_unix_s,
            ..present(Version(0, 1, 0), true)
        };
        assert_eq!(manifest.permit(late), Err(UpdateError::Expired));
    }

    /// The key and the signature were made by minisign 0.11.
    #[test]
    fn only_a_signature_of_a_known_key_opens_it() {
        let bytes = include_bytes!("testdata/manifest.json");
        let signature = include_bytes!("testdata/manifest.json.minisig");
        let key = include_str!("testdata/update.pub");
        let key = key
            .lines()
            .nth(1)
            .expect("the key is the second line")
            .to_owned();
        let keys = [key];
        assert!(Manifest::open(bytes, signature, &keys).is_ok());
        let mut changed = bytes.to_vec();
        let at = changed
            .iter()
            .position(|byte| *byte == b'7')
            .expect("a size");
        changed[at] = b'8';
        let refused = Manifest::open(&changed, signature, &keys);
        assert_eq!(refused, Err(UpdateError::BadSignature));
        assert_eq!(
            Manifest::open(bytes, b"", &keys),
            Err(UpdateError::BadSignature)
        );
        assert_eq!(
            Manifest::open(bytes, signature, &[]),
            Err(UpdateError::NoKey)
        );
        let other = include_str!("testdata/other.pub");
        let other = other
            .lines()
            .nth(1)
            .expect("the key is the second line")
            .to_owned();
        assert_eq!(
            Manifest::open(bytes, signature, &[other]),
            Err(UpdateError::BadSignature)
        );
    }
}
