//! The site's own certificates: a CA made by `cardea init`, the server's certificate for its
//! address, and a certificate for each device from the key that the device made itself.
//!
//! - `files`: the folder `pki`, which changes as a whole
//! - `roll`: a new certificate for the server, a new CA, and the overlap with the ones before

mod files;
mod roll;

use std::net::IpAddr;
use std::path::Path;

use aws_lc_rs::digest;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName,
    DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType, SerialNumber,
    SigningKey as _,
};
use rustls_pki_types::{
    CertificateDer, CertificateSigningRequestDer, PrivateKeyDer, PrivatePkcs8KeyDer,
};
use time::{Duration, OffsetDateTime};

use crate::error::{PkiError, SecretError};
use crate::secrets::{Sealer, random};
use files::PkiFiles;

pub use roll::CertificateFacts;

const CA_CERTIFICATE: &str = "site-ca.der";
const CA_KEY: &str = "site-ca.key.sealed";
const SERVER_CERTIFICATE: &str = "server.der";
const SERVER_KEY: &str = "server.key.sealed";
/// The CA before, and the certificate of the CA's key that it signed: during a roll-over.
const CA_BEFORE: &str = "site-ca-before.der";
const CA_CROSS: &str = "site-ca-cross.der";
/// A CA outlives the devices of a site; devices have no clock to check it with.
const CA_LIFE: Duration = Duration::days(20 * 365);
/// How long a certificate of nobody lives.
const NOBODY_LIFE_S: u64 = 60;
/// Certificates begin a little in the past, for peers whose clock is behind; those of a short life
/// only by a tenth of it.
const BACKDATED: Duration = Duration::hours(1);

/// The site's certificates and the keys that sign with them.
pub struct SitePki {
    ca: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
    server: CertificateDer<'static>,
    server_key: Vec<u8>,
    before: Option<Before>,
}

/// What a roll-over of the site CA keeps of the one before.
struct Before {
    ca: CertificateDer<'static>,
    cross: CertificateDer<'static>,
}

/// A device's new certificate.
pub struct DeviceCertificate {
    /// The certificate, DER.
    pub der: Vec<u8>,
    /// SHA-256 of it: how the device table knows the device.
    pub fingerprint: [u8; 32],
    /// When it ends, Unix seconds.
    pub not_after_unix_s: i64,
}

/// A chain and its key that belong to nobody.
pub type Nobody = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

impl SitePki {
    /// Makes CA and server certificate in the folder `pki` of `data`, keys sealed. The server's is
    /// for its address and lives so many seconds.
    ///
    /// # Errors
    /// If they exist already, or cannot be written.
    pub fn create(
        data: &Path,
        sealer: &Sealer,
        site: &str,
        (server, life_s): (IpAddr, u64),
        now: OffsetDateTime,
    ) -> Result<Self, PkiError> {
        let ca_key = KeyPair::generate()?;
        let ca = ca_params(site, now)?.self_signed(&ca_key)?.der().clone();
        let mut files = PkiFiles::default();
        files.put(CA_CERTIFICATE, &ca);
        files.put_sealed(sealer, CA_KEY, ca_key.serialized_der())?;
        let issuer = Issuer::from_ca_cert_der(&ca, ca_key)?;
        roll::put_server(&mut files, sealer, &issuer, (&[server], life_s), now)?;
        files.create(data)?;
        Self::open(data, sealer)
    }

    /// Opens what [`Self::create`] made.
    ///
    /// # Errors
    /// If a file is missing, damaged, or sealed by another key.
    pub fn open(data: &Path, sealer: &Sealer) -> Result<Self, PkiError> {
        let files = PkiFiles::read(data)?;
        let certificate = |bytes: &[u8]| CertificateDer::from(bytes.to_vec());
        let ca = certificate(files.get(CA_CERTIFICATE)?);
        let ca_key = sealer.unseal(CA_KEY, files.get(CA_KEY)?)?;
        let ca_key = KeyPair::try_from(ca_key.as_slice())?;
        let server_key = sealer.unseal(SERVER_KEY, files.get(SERVER_KEY)?)?;
        let before = match (files.find(CA_BEFORE), files.find(CA_CROSS)) {
            (Some(ca), Some(cross)) => Some(Before {
                ca: certificate(ca),
                cross: certificate(cross),
            }),
            _ => None,
        };
        Ok(Self {
            issuer: Issuer::from_ca_cert_der(&ca, ca_key)?,
            ca,
            server: certificate(files.get(SERVER_CERTIFICATE)?),
            server_key: server_key.to_vec(),
            before,
        })
    }

    /// The site CA's certificate.
    #[must_use]
    pub fn ca(&self) -> &CertificateDer<'static> {
        &self.ca
    }

    /// SHA-256 of the site CA's certificate, as commissioning codes carry it.
    #[must_use]
    pub fn ca_sha256(&self) -> [u8; 32] {
        sha256(&self.ca)
    }

    /// What the server shows: its own certificate, then the CA's. During a roll-over the way to
    /// the CA before stands between them, and that one last.
    #[must_use]
    pub fn server_chain(&self) -> Vec<CertificateDer<'static>> {
        let mut chain = vec![self.server.clone()];
        chain.extend(self.before.iter().map(|before| before.cross.clone()));
        chain.push(self.ca.clone());
        chain.extend(self.before.iter().map(|before| before.ca.clone()));
        chain
    }

    /// Whose certificates are taken of devices: the site CA's, and during a roll-over those of the
    /// one before.
    #[must_use]
    pub fn client_roots(&self) -> Vec<CertificateDer<'static>> {
        let mut roots = vec![self.ca.clone()];
        roots.extend(self.before.iter().map(|before| before.ca.clone()));
        roots
    }

    /// The server's private key, PKCS #8.
    #[must_use]
    pub fn server_key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(self.server_key.clone().into())
    }

    /// Signs a message with the site CA's key: ECDSA P-256 with SHA-256, DER. The message must be
    /// of a kind that is no certificate.
    ///
    /// # Errors
    /// [`PkiError::Certificate`] if it cannot be signed.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, PkiError> {
        Ok(self.issuer.key().sign(message)?)
    }

    /// Signs a device's request. Only its public key is taken from it: name, use and life are ours.
    ///
    /// # Errors
    /// [`PkiError::BadRequest`] if it is no request, or not signed by the key it names.
    pub fn issue_device(
        &self,
        csr: &[u8],
        device: u64,
        life_s: u64,
        now: OffsetDateTime,
    ) -> Result<DeviceCertificate, PkiError> {
        let csr = CertificateSigningRequestDer::from(csr);
        let request =
            CertificateSigningRequestParams::from_der(&csr).map_err(|_| PkiError::BadRequest)?;
        let life = life(life_s);
        let not_after = now + life;
        let mut params = CertificateParams::default();
        params.distinguished_name = common_name(&format!("device-{device}"));
        params.not_before = beginning(now, life);
        params.not_after = not_after;
        params.serial_number = Some(serial()?);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        let der = params
            .signed_by(&request.public_key, &self.issuer)?
            .der()
            .to_vec();
        let fingerprint = sha256(&der);
        Ok(DeviceCertificate {
            der,
            fingerprint,
            not_after_unix_s: not_after.unix_timestamp(),
        })
    }
}

impl SitePki {
    /// A certificate of nobody, with its key, for handshakes with ourselves before ready. It is in
    /// no device table and ends within a minute.
    ///
    /// # Errors
    /// If the system gives no random numbers.
    pub fn nobody(&self, now: OffsetDateTime) -> Result<Nobody, PkiError> {
        let key = KeyPair::generate()?;
        let request = CertificateParams::default().serialize_request(&key)?;
        let issued = self.issue_device(request.der(), 0, NOBODY_LIFE_S, now)?;
        let key = PrivatePkcs8KeyDer::from(key.serialize_der());
        Ok((vec![issued.der.into()], key.into()))
    }
}

/// SHA-256 of a certificate.
#[must_use]
pub fn sha256(der: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest::digest(&digest::SHA256, der).as_ref());
    hash
}

fn ca_params(site: &str, now: OffsetDateTime) -> Result<CertificateParams, PkiError> {
    let mut params = CertificateParams::default();
    // Each has a name of its own: during a roll-over there are two.
    let own = u32::from_le_bytes(*random::<4>()?);
    params.distinguished_name = common_name(&format!("{site} site CA {own:08x}"));
    params.not_before = now - BACKDATED;
    params.not_after = now + CA_LIFE;
    params.serial_number = Some(serial()?);
    // It signs its successor, once, beside devices and server.
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(1));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}

fn server_params(
    addresses: &[IpAddr],
    life_s: u64,
    now: OffsetDateTime,
) -> Result<CertificateParams, PkiError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = common_name("Cardea server");
    params.not_before = beginning(now, life(life_s));
    params.not_after = now + life(life_s);
    params.serial_number = Some(serial()?);
    params.subject_alt_names = addresses.iter().copied().map(SanType::IpAddress).collect();
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

/// A life in seconds, at most a CA's.
fn life(life_s: u64) -> Duration {
    let life = i64::try_from(life_s).map_or(CA_LIFE, Duration::seconds);
    life.min(CA_LIFE)
}

fn beginning(now: OffsetDateTime, life: Duration) -> OffsetDateTime {
    now - BACKDATED.min(life / 10)
}

fn common_name(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

/// A serial number of 16 random bytes, positive.
fn serial() -> Result<SerialNumber, SecretError> {
    let mut bytes = random::<16>()?;
    bytes[0] &= 0x7f;
    Ok(SerialNumber::from_slice(bytes.as_slice()))
}

#[cfg(test)]
pub(crate) mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    /// So many days after the site was made.
    pub(super) fn at(day: i64) -> OffsetDateTime {
        OffsetDateTime::UNIX_EPOCH + Duration::days(20_000 + day)
    }

    pub(super) fn site() -> (tempfile::TempDir, Sealer, SitePki) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let sealer = Sealer::create(folder.path()).expect("a key");
        let server = (IpAddr::V4(Ipv4Addr::LOCALHOST), 365 * 86_400);
        let pki = SitePki::create(folder.path(), &sealer, "test", server, at(0)).expect("made");
        (folder, sealer, pki)
    }

    #[test]
    fn a_device_gets_our_name_and_life_whatever_it_asks_for() {
        let (_folder, _sealer, pki) = site();
        let key = KeyPair::generate().expect("a key");
        let mut wished = CertificateParams::default();
        wished.distinguished_name = common_name("administrator");
        wished.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let csr = wished.serialize_request(&key).expect("a request");
        let now = at(0);
        let issued = pki.issue_device(csr.der(), 7, 60, now).expect("issued");
        let (_, certificate) = x509_parser::parse_x509_certificate(&issued.der).expect("X.509");
        assert_eq!(certificate.subject().to_string(), "CN=device-7");
        assert!(!certificate.is_ca());
        assert_eq!(issued.not_after_unix_s, now.unix_timestamp() + 60);
        assert_eq!(issued.fingerprint, sha256(&issued.der));
    }

    #[test]
    fn a_request_signed_by_another_key_is_refused() {
        let (_folder, _sealer, pki) = site();
        let key = KeyPair::generate().expect("a key");
        let csr = CertificateParams::default()
            .serialize_request(&key)
            .expect("a request");
        let mut der = csr.der().to_vec();
        let last = der.len() - 1;
        der[last] ^= 1;
        let refused = pki.issue_device(&der, 7, 60, at(0));
        assert!(matches!(refused, Err(PkiError::BadRequest)));
    }
}
