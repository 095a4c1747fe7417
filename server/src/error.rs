//! The server's errors, one enum per trust boundary. None of them carries personal data.

use std::{fmt, io};

/// Secrets at rest.
#[derive(Debug)]
pub enum SecretError {
    /// A file could not be read or written.
    Io {
        /// The file's name, without its folder.
        file: String,
        /// Why.
        source: io::Error,
    },
    /// The sealing key is not 32 bytes.
    BadKey,
    /// The operating system gives no random numbers.
    NoRandomness,
    /// The bytes were sealed by another key, under another name, or are damaged.
    NotSealedByThisKey {
        /// The secret's name.
        name: String,
    },
}

impl fmt::Display for SecretError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { file, source } => write!(f, "{file}: {source}"),
            Self::BadKey => write!(f, "the sealing key is not 32 bytes"),
            Self::NoRandomness => write!(f, "the operating system gives no random numbers"),
            Self::NotSealedByThisKey { name } => {
                write!(f, "secret {name} is damaged or was sealed by another key")
            }
        }
    }
}

impl std::error::Error for SecretError {}

/// The site's certificates.
#[derive(Debug)]
pub enum PkiError {
    /// A secret could not be sealed, opened or stored.
    Secret(SecretError),
    /// A certificate could not be made or read.
    Certificate(rcgen::Error),
    /// A device's certificate request is not sound.
    BadRequest,
    /// A certificate of ours cannot be read.
    Unreadable,
    /// A roll-over of the site CA is under way already.
    Rolling,
    /// The site CA was made for no CA below it: a successor that it signs is not taken by strict
    /// libraries.
    SignsNoSuccessor,
}

impl fmt::Display for PkiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Secret(error) => error.fmt(f),
            Self::Certificate(error) => write!(f, "certificate: {error}"),
            Self::BadRequest => write!(f, "the certificate request is not sound"),
            Self::Unreadable => write!(f, "a certificate in the folder pki cannot be read"),
            Self::Rolling => write!(
                f,
                "a roll-over of the site CA is under way; `cardea pki show` says who still needs \
                 the CA before"
            ),
            Self::SignsNoSuccessor => write!(
                f,
                "the site CA cannot sign a successor: it has path length 0, as those made by \
                 older versions, and devices with a strict TLS library would be locked out. \
                 Nothing has changed. Make the site anew (`cardea init`) and commission its \
                 devices again"
            ),
        }
    }
}

impl std::error::Error for PkiError {}

impl From<SecretError> for PkiError {
    fn from(error: SecretError) -> Self {
        Self::Secret(error)
    }
}

impl From<rcgen::Error> for PkiError {
    fn from(error: rcgen::Error) -> Self {
        Self::Certificate(error)
    }
}

/// The configuration file.
#[derive(Debug)]
pub enum ConfigError {
    /// The file could not be read.
    Io(io::Error),
    /// The file is not the configuration that this version knows.
    Syntax(toml::de::Error),
    /// A number is out of its range.
    OutOfRange {
        /// The key in the file.
        key: &'static str,
        /// What is allowed.
        allowed: &'static str,
    },
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::Syntax(error) => error.fmt(f),
            Self::OutOfRange { key, allowed } => write!(f, "{key} must be {allowed}"),
        }
    }
}

impl std::error::Error for ConfigError {}
