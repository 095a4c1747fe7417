//! The authority's keys and what it issues.

use std::fs;
use std::path::Path;

use aws_lc_rs::digest::{SHA256, digest};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams,
    CertificateSigningRequestParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevocationReason, RevokedCertParams, SanType,
    SerialNumber,
};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use time::{Duration, OffsetDateTime};

use crate::Outcome;

/// Certificates begin a little in the past.
const BACKDATED: Duration = Duration::minutes(5);

/// A CA that can sign.
pub(crate) struct Authority {
    ca: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its key, PEM.
pub(crate) struct Certificate {
    chain: String,
    key: String,
    host: Option<String>,
}

impl Certificate {
    /// Writes `NAME.pem` and `NAME.key`, and `NAME.host` for a server.
    pub(crate) fn write(&self, folder: &Path, name: &str) -> Outcome<()> {
        fs::write(folder.join(format!("{name}.pem")), &self.chain)?;
        fs::write(folder.join(format!("{name}.key")), &self.key)?;
        if let Some(host) = &self.host {
            fs::write(folder.join(format!("{name}.host")), host)?;
        }
        Ok(())
    }
}

impl Authority {
    /// A new CA in `ca.pem` and `ca.key`.
    pub(crate) fn create(folder: &Path) -> Outcome<Self> {
        let key = KeyPair::generate()?;
        let now = OffsetDateTime::now_utc();
        let mut params = CertificateParams::default();
        params.distinguished_name = named("Connect test authority");
        params.not_before = now - BACKDATED;
        params.not_after = now + Duration::days(3_650);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let ca = params.self_signed(&key)?;
        fs::write(folder.join("ca.pem"), ca.pem())?;
        fs::write(folder.join("ca.key"), key.serialize_pem())?;
        Self::open(folder)
    }

    /// The CA of a folder.
    pub(crate) fn open(folder: &Path) -> Outcome<Self> {
        let ca = CertificateDer::from_pem_file(folder.join("ca.pem"))?;
        let key = KeyPair::from_pem(&fs::read_to_string(folder.join("ca.key"))?)?;
        let issuer = Issuer::from_ca_cert_der(&ca, key)?;
        Ok(Self { ca, issuer })
    }

    /// SHA-256 of the CA's certificate, hexadecimal.
    pub(crate) fn fingerprint(&self) -> String {
        hex(digest(&SHA256, &self.ca).as_ref())
    }

    /// A server certificate for a host, and the CA's behind it.
    pub(crate) fn server(&self, host: &str, life_s: i64) -> Outcome<Certificate> {
        let key = KeyPair::generate()?;
        let mut params = leaf(host, life_s, ExtendedKeyUsagePurpose::ServerAuth)?;
        params.subject_alt_names = vec![match host.parse() {
            Ok(address) => SanType::IpAddress(address),
            Err(_) => SanType::DnsName(host.try_into()?),
        }];
        let signed = params.signed_by(&key, &self.issuer)?;
        Ok(Certificate {
            chain: signed.pem() + &self.ca_pem(),
            key: key.serialize_pem(),
            host: Some(host.to_owned()),
        })
    }

    /// A client certificate with a key of ours.
    pub(crate) fn client(&self, site: &str, life_s: i64) -> Outcome<Certificate> {
        let key = KeyPair::generate()?;
        let params = leaf(site, life_s, ExtendedKeyUsagePurpose::ClientAuth)?;
        let signed = params.signed_by(&key, &self.issuer)?;
        Ok(Certificate {
            chain: signed.pem(),
            key: key.serialize_pem(),
            host: None,
        })
    }

    /// Signs a site's request: only its key is taken from it.
    pub(crate) fn sign(&self, csr: &str, site: &str, life_s: i64) -> Outcome<String> {
        let request = CertificateSigningRequestParams::from_pem(csr)?;
        let params = leaf(site, life_s, ExtendedKeyUsagePurpose::ClientAuth)?;
        Ok(params.signed_by(&request.public_key, &self.issuer)?.pem())
    }

    /// Revokes a certificate: its serial number joins those in `revoked`.
    pub(crate) fn revoke(&self, folder: &Path, certificate: &Path) -> Outcome<()> {
        let der = CertificateDer::from_pem_file(certificate)?;
        let (_, parsed) = x509_parser::parse_x509_certificate(&der)?;
        let list = folder.join("revoked");
        let mut serials = fs::read_to_string(&list).unwrap_or_default();
        serials.push_str(&hex(parsed.raw_serial()));
        serials.push('\n');
        fs::write(&list, &serials)?;
        let serials: Vec<_> = serials.lines().map(unhex).collect();
        self.write_revoked(folder, &serials)
    }

    /// Writes `crl.pem`.
    pub(crate) fn write_revoked(&self, folder: &Path, serials: &[Vec<u8>]) -> Outcome<()> {
        let now = OffsetDateTime::now_utc();
        let revoked = serials.iter().map(|serial| RevokedCertParams {
            serial_number: SerialNumber::from_slice(serial),
            revocation_time: now - BACKDATED,
            reason_code: Some(RevocationReason::KeyCompromise),
            invalidity_date: None,
        });
        let number = u64::try_from(serials.len())? + 1;
        let list = CertificateRevocationListParams {
            this_update: now - BACKDATED,
            next_update: now + Duration::days(365),
            crl_number: SerialNumber::from(number),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let pem = list.signed_by(&self.issuer)?.pem()?;
        fs::write(folder.join("crl.pem"), pem)?;
        Ok(())
    }

    /// The CA's certificate.
    pub(crate) fn ca(&self) -> &CertificateDer<'static> {
        &self.ca
    }

    fn ca_pem(&self) -> String {
        use base64::Engine as _;
        let encoded = base64::engine::general_purpose::STANDARD.encode(&self.ca);
        let (mut pem, mut rest) = ("-----BEGIN CERTIFICATE-----\n".to_owned(), &encoded[..]);
        while !rest.is_empty() {
            let (line, after) = rest.split_at(rest.len().min(64));
            pem = pem + line + "\n";
            rest = after;
        }
        pem + "-----END CERTIFICATE-----\n"
    }
}

fn leaf(name: &str, life_s: i64, used: ExtendedKeyUsagePurpose) -> Outcome<CertificateParams> {
    let now = OffsetDateTime::now_utc();
    let mut params = CertificateParams::default();
    params.distinguished_name = named(name);
    params.not_after = now + Duration::seconds(life_s);
    // One that is to live for seconds begins now: its renewal is counted from its beginning.
    let long = life_s > 3_600 || life_s <= 0;
    let from = now - if long { BACKDATED } else { Duration::ZERO };
    params.not_before = from.min(params.not_after - Duration::seconds(1));
    let mut serial = [0; 16];
    getrandom::fill(&mut serial).map_err(|error| error.to_string())?;
    serial[0] = serial[0] & 0x7f | 1;
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![used];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

fn named(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

/// 32 random hexadecimal digits.
pub(crate) fn random_hex() -> Outcome<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| error.to_string())?;
    Ok(hex(&bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let pairs = text.as_bytes().chunks(2);
    pairs
        .filter_map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect()
}
