//! The site's own certificates: a CA made by `cardea init`, the server's certificate for its
//! address, and a certificate for each device from the key that the device made itself.

use std::fs;
use std::net::IpAddr;
use std::path::Path;

use aws_lc_rs::digest;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName,
    DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType, SerialNumber,
    SigningKey as _,
};
use rustls_pki_types::{CertificateDer, CertificateSigningRequestDer, PrivateKeyDer};
use time::{Duration, OffsetDateTime};

use crate::error::{PkiError, SecretError};
use crate::secrets::{Sealer, random, write_new};

const CA_CERTIFICATE: &str = "site-ca.der";
const CA_KEY: &str = "site-ca.key.sealed";
const SERVER_CERTIFICATE: &str = "server.der";
const SERVER_KEY: &str = "server.key.sealed";
/// A CA outlives the devices of a site; devices have no clock to check it with.
const CA_LIFE: Duration = Duration::days(20 * 365);
const SERVER_LIFE: Duration = Duration::days(5 * 365);
/// Certificates begin a little in the past, for peers whose clock is behind.
const BACKDATED: Duration = Duration::hours(1);

/// The site's certificates and the keys that sign with them.
pub struct SitePki {
    ca: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
    server: CertificateDer<'static>,
    server_key: Vec<u8>,
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

impl SitePki {
    /// Makes CA and server certificate in the folder `pki` of `data`, keys sealed.
    ///
    /// # Errors
    /// If they exist already, or cannot be written.
    pub fn create(
        data: &Path,
        sealer: &Sealer,
        site: &str,
        server: IpAddr,
        now: OffsetDateTime,
    ) -> Result<Self, PkiError> {
        let folder = data.join("pki");
        fs::create_dir(&folder).map_err(|source| SecretError::Io {
            file: "pki".to_owned(),
            source,
        })?;

        let ca_key = KeyPair::generate()?;
        let ca_params = ca_params(site, now)?;
        let ca = ca_params.self_signed(&ca_key)?.der().clone();
        let sealed = sealer.seal(CA_KEY, ca_key.serialized_der())?;
        write_new(&folder.join(CA_CERTIFICATE), &ca, 0o644)?;
        write_new(&folder.join(CA_KEY), &sealed, 0o600)?;

        let issuer = Issuer::from_ca_cert_der(&ca, ca_key)?;
        let server_key = KeyPair::generate()?;
        let certificate = server_params(server, now)?.signed_by(&server_key, &issuer)?;
        let sealed = sealer.seal(SERVER_KEY, server_key.serialized_der())?;
        write_new(&folder.join(SERVER_CERTIFICATE), certificate.der(), 0o644)?;
        write_new(&folder.join(SERVER_KEY), &sealed, 0o600)?;
        Self::open(data, sealer)
    }

    /// Opens what [`Self::create`] made.
    ///
    /// # Errors
    /// If a file is missing, damaged, or sealed by another key.
    pub fn open(data: &Path, sealer: &Sealer) -> Result<Self, PkiError> {
        let folder = data.join("pki");
        let read = |name: &str| {
            fs::read(folder.join(name)).map_err(|source| SecretError::Io {
                file: name.to_owned(),
                source,
            })
        };
        let ca = CertificateDer::from(read(CA_CERTIFICATE)?);
        let ca_key = sealer.unseal(CA_KEY, &read(CA_KEY)?)?;
        let ca_key = KeyPair::try_from(ca_key.as_slice())?;
        let server_key = sealer.unseal(SERVER_KEY, &read(SERVER_KEY)?)?;
        Ok(Self {
            issuer: Issuer::from_ca_cert_der(&ca, ca_key)?,
            ca,
            server: CertificateDer::from(read(SERVER_CERTIFICATE)?),
            server_key: server_key.to_vec(),
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

    /// What the server shows: its own certificate, then the CA's.
    #[must_use]
    pub fn server_chain(&self) -> Vec<CertificateDer<'static>> {
        vec![self.server.clone(), self.ca.clone()]
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
        let life = i64::try_from(life_s)
            .map_or(CA_LIFE, Duration::seconds)
            .min(CA_LIFE);
        let not_after = now + life;
        let mut params = CertificateParams::default();
        params.distinguished_name = common_name(&format!("device-{device}"));
        params.not_before = now - BACKDATED;
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

/// SHA-256 of a certificate.
#[must_use]
pub fn sha256(der: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest::digest(&digest::SHA256, der).as_ref());
    hash
}

fn ca_params(site: &str, now: OffsetDateTime) -> Result<CertificateParams, PkiError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = common_name(&format!("{site} site CA"));
    params.not_before = now - BACKDATED;
    params.not_after = now + CA_LIFE;
    params.serial_number = Some(serial()?);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}

fn server_params(address: IpAddr, now: OffsetDateTime) -> Result<CertificateParams, PkiError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = common_name("Cardea server");
    params.not_before = now - BACKDATED;
    params.not_after = now + SERVER_LIFE;
    params.serial_number = Some(serial()?);
    params.subject_alt_names = vec![SanType::IpAddress(address)];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
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
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn site() -> (tempfile::TempDir, SitePki) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let sealer = Sealer::create(folder.path()).expect("a key");
        let now = OffsetDateTime::UNIX_EPOCH + Duration::days(20_000);
        let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let pki = SitePki::create(folder.path(), &sealer, "test", address, now).expect("made");
        (folder, pki)
    }

    #[test]
    fn a_device_gets_our_name_and_life_whatever_it_asks_for() {
        let (_folder, pki) = site();
        let key = KeyPair::generate().expect("a key");
        let mut wished = CertificateParams::default();
        wished.distinguished_name = common_name("administrator");
        wished.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let csr = wished.serialize_request(&key).expect("a request");
        let now = OffsetDateTime::UNIX_EPOCH + Duration::days(20_000);
        let issued = pki.issue_device(csr.der(), 7, 60, now).expect("issued");
        let (_, certificate) = x509_parser::parse_x509_certificate(&issued.der).expect("X.509");
        assert_eq!(certificate.subject().to_string(), "CN=device-7");
        assert!(!certificate.is_ca());
        assert_eq!(issued.not_after_unix_s, now.unix_timestamp() + 60);
        assert_eq!(issued.fingerprint, sha256(&issued.der));
    }

    #[test]
    fn a_request_signed_by_another_key_is_refused() {
        let (_folder, pki) = site();
        let key = KeyPair::generate().expect("a key");
        let csr = CertificateParams::default()
            .serialize_request(&key)
            .expect("a request");
        let mut der = csr.der().to_vec();
        let last = der.len() - 1;
        der[last] ^= 1;
        let now = OffsetDateTime::UNIX_EPOCH + Duration::days(20_000);
        let refused = pki.issue_device(&der, 7, 60, now);
        assert!(matches!(refused, Err(PkiError::BadRequest)));
    }
}
