//! A device's identity: its key, its certificate, the site CA, and where the server is.
//!
//! The file is PEM with two lines above it, so that other tools read it too (`curl --cert FILE`):
//!
//! ```text
//! server: 192.0.2.7:443
//! door: Front door
//! -----BEGIN PRIVATE KEY-----      PKCS #8, P-256
//! -----BEGIN CERTIFICATE-----      the device's
//! -----BEGIN CERTIFICATE-----      the site CA's; while it rolls over, the one before as well
//! ```

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{CertificateParams, DnType, KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::limits::{DEVICES_MAX, IDENTITY_BYTES_MAX};

const EXTENSION: &str = "identity";

/// Who a device is.
#[derive(Debug, PartialEq, Eq)]
pub struct Identity {
    /// The server.
    pub server: SocketAddr,
    /// The door's name.
    pub door: String,
    /// The device's private key.
    pub key: PrivatePkcs8KeyDer<'static>,
    /// The device's certificate.
    pub certificate: CertificateDer<'static>,
    /// Site CAs that the device trusts, the current one first.
    pub site_cas: Vec<CertificateDer<'static>>,
}

/// Why an identity cannot be read, written or made.
#[derive(Debug)]
pub enum IdentityError {
    /// The file system's answer.
    Io(PathBuf, io::Error),
    /// The file is no identity.
    Malformed(PathBuf, &'static str),
    /// More identities than [`DEVICES_MAX`].
    TooMany,
    /// The key or its certificate request could not be made.
    Key(String),
}

/// A new key and its certificate request.
#[derive(Debug)]
pub struct NewKey {
    /// The private key.
    pub key: PrivatePkcs8KeyDer<'static>,
    /// The certificate request, DER.
    pub csr: Vec<u8>,
}

impl NewKey {
    /// Makes a P-256 key and a request for it. The server chooses what the certificate says.
    ///
    /// # Errors
    /// [`IdentityError::Key`] when the system's randomness fails.
    pub fn generate() -> Result<Self, IdentityError> {
        let failed = |error: rcgen::Error| IdentityError::Key(error.to_string());
        let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(failed)?;
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "device");
        let request = params.serialize_request(&pair).map_err(failed)?;
        Ok(Self {
            key: PrivatePkcs8KeyDer::from(pair.serialize_der()),
            csr: request.der().to_vec(),
        })
    }
}

impl Identity {
    /// Begin and end of the certificate's life in Unix seconds; `None` for one that cannot be read.
    #[must_use]
    pub fn life(&self) -> Option<(i64, i64)> {
        let (_, certificate) = X509Certificate::from_der(&self.certificate).ok()?;
        let validity = certificate.validity();
        Some((
            validity.not_before.timestamp(),
            validity.not_after.timestamp(),
        ))
    }

    /// Whether two thirds of the certificate's life are over: time to renew.
    #[must_use]
    pub fn is_due_for_renewal(&self, now_unix_s: i64) -> bool {
        self.life()
            .is_some_and(|(from, to)| now_unix_s >= to - (to - from) / 3)
    }

    /// Writes the identity beside `path` with mode 0600 and renames it, so that a crash leaves the
    /// old or the new one.
    ///
    /// # Errors
    /// [`IdentityError::Io`].
    pub fn save(&self, path: &Path) -> Result<(), IdentityError> {
        let failed = |error| IdentityError::Io(path.to_owned(), error);
        let beside = path.with_extension("tmp");
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&beside)
            .map_err(failed)?;
        file.write_all(self.to_text().as_bytes()).map_err(failed)?;
        file.sync_all().map_err(failed)?;
        fs::rename(&beside, path).map_err(failed)
    }

    /// Reads an identity.
    ///
    /// # Errors
    /// [`IdentityError::Io`], or [`IdentityError::Malformed`].
    pub fn load(path: &Path) -> Result<Self, IdentityError> {
        let failed = |error| IdentityError::Io(path.to_owned(), error);
        let mut text = String::new();
        File::open(path)
            .map_err(failed)?
            .take(IDENTITY_BYTES_MAX + 1)
            .read_to_string(&mut text)
            .map_err(failed)?;
        if text.len() as u64 > IDENTITY_BYTES_MAX {
            return Err(IdentityError::Malformed(path.to_owned(), "too long"));
        }
        Self::parse(&text).map_err(|why| IdentityError::Malformed(path.to_owned(), why))
    }

    /// Reads the identities of a folder, in order of file names, at most `count`.
    ///
    /// # Errors
    /// As [`Identity::load`]; [`IdentityError::TooMany`].
    pub fn load_folder(folder: &Path, count: usize) -> Result<Vec<Self>, IdentityError> {
        let failed = |error| IdentityError::Io(folder.to_owned(), error);
        let mut paths = Vec::new();
        for entry in fs::read_dir(folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if path.extension().is_some_and(|found| found == EXTENSION) {
                paths.push(path);
            }
            if paths.len() > DEVICES_MAX {
                return Err(IdentityError::TooMany);
            }
        }
        paths.sort();
        paths.truncate(count);
        paths.iter().map(|path| Self::load(path)).collect()
    }

    /// Where the identity of the device with this number lies.
    #[must_use]
    pub fn path_in(folder: &Path, number: usize) -> PathBuf {
        folder.join(format!("{number:06}.{EXTENSION}"))
    }

    fn to_text(&self) -> String {
        let mut text = format!("server: {}\ndoor: {}\n", self.server, self.door);
        push_pem(&mut text, "PRIVATE KEY", self.key.secret_pkcs8_der());
        push_pem(&mut text, "CERTIFICATE", &self.certificate);
        for site_ca in &self.site_cas {
            push_pem(&mut text, "CERTIFICATE", site_ca);
        }
        text
    }

    fn parse(text: &str) -> Result<Self, &'static str> {
        let line = |name: &str| text.lines().find_map(|line| line.strip_prefix(name));
        let server = line("server: ").ok_or("no server")?;
        let pem = text.as_bytes();
        let mut certificates = Vec::new();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            certificates.push(certificate.map_err(|_| "certificate is no PEM")?);
        }
        if certificates.len() < 2 {
            return Err("fewer than two certificates");
        }
        let site_cas = certificates.split_off(1);
        Ok(Self {
            server: server.trim().parse().map_err(|_| "server is no address")?,
            door: line("door: ").unwrap_or_default().to_owned(),
            key: PrivatePkcs8KeyDer::from_pem_slice(pem).map_err(|_| "no PKCS #8 key")?,
            certificate: certificates.remove(0),
            site_cas,
        })
    }
}

fn push_pem(text: &mut String, label: &str, der: &[u8]) {
    let encoded = STANDARD.encode(der);
    text.push_str(&format!("-----BEGIN {label}-----\n"));
    for line in encoded.as_bytes().chunks(64) {
        text.push_str(&String::from_utf8_lossy(line));
        text.push('\n');
    }
    text.push_str(&format!("-----END {label}-----\n"));
}

impl fmt::Display for IdentityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(path, error) => write!(f, "{}: {error}", path.display()),
            Self::Malformed(path, why) => {
                write!(f, "{} is no device identity: {why}", path.display())
            }
            Self::TooMany => write!(f, "more than {DEVICES_MAX} identities"),
            Self::Key(error) => write!(f, "no key could be made: {error}"),
        }
    }
}

impl std::error::Error for IdentityError {}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn sample() -> Identity {
        let new = NewKey::generate().expect("a key");
        Identity {
            server: SocketAddr::from(([127, 0, 0, 1], 8443)),
            door: "Front door".to_owned(),
            key: new.key,
            certificate: CertificateDer::from(vec![1; 100]),
            site_cas: vec![CertificateDer::from(vec![2; 100])],
        }
    }

    #[test]
    fn an_identity_reads_back_as_saved_and_only_its_owner_can_read_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = Identity::path_in(folder.path(), 7);
        let identity = sample();
        identity.save(&path).expect("saved");
        assert_eq!(Identity::load(&path).expect("loaded"), identity);
        let mode = fs::metadata(&path).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let all = Identity::load_folder(folder.path(), 10).expect("a folder");
        assert_eq!(all, [identity]);
        assert!(
            Identity::load_folder(folder.path(), 0)
                .expect("a folder")
                .is_empty()
        );
    }

    #[test]
    fn a_file_that_is_no_identity_is_an_error() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = Identity::path_in(folder.path(), 1);
        let whole = sample().to_text();
        let long = format!("{whole}{}", "#".repeat(IDENTITY_BYTES_MAX as usize));
        for text in ["", "server: 1.2.3.4:5\n", &whole[..whole.len() / 2], &long] {
            fs::write(&path, text).expect("written");
            assert!(matches!(
                Identity::load(&path),
                Err(IdentityError::Malformed(..))
            ));
        }
    }
}
