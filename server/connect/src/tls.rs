//! TLS towards the broker and the authority: one provider, and certificates that both sides check.

use std::sync::Arc;

use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use rustls::client::WebPkiServerVerifier;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use x509_parser::pem::Pem;
use zeroize::Zeroizing;

/// The crypto provider of every connection.
#[must_use]
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// What the broker's connection is made with. All arguments are PEM; an empty `crl` revokes
/// nothing.
///
/// # Errors
/// What cannot be read, in words.
pub fn client_config(
    ca: &str,
    certificate: &str,
    key: &str,
    crl: &str,
) -> Result<Arc<ClientConfig>, String> {
    let provider = provider();
    let verifier =
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots(ca)?), Arc::clone(&provider))
            .with_crls(revocation_lists(crl)?)
            .allow_unknown_revocation_status()
            .build()
            .map_err(|error| error.to_string())?;
    let chain = certificates(certificate)?;
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes())
        .map_err(|error| format!("the key: {error}"))?;
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_webpki_verifier(verifier)
        .with_client_auth_cert(chain, key)
        .map(Arc::new)
        .map_err(|error| format!("the key is not the certificate's: {error}"))
}

/// The certificates of a PEM text, at least one.
///
/// # Errors
/// What is wrong, in words.
pub fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    let found = found.map_err(|error| format!("a certificate: {error}"))?;
    if found.is_empty() {
        return Err("there is no certificate".to_owned());
    }
    Ok(found)
}

fn roots(pem: &str) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(pem)? {
        roots.add(certificate).map_err(|error| error.to_string())?;
    }
    Ok(roots)
}

/// The revocation lists of a PEM text; it may have none.
fn revocation_lists(pem: &str) -> Result<Vec<CertificateRevocationListDer<'static>>, String> {
    let found: Result<Vec<_>, _> =
        CertificateRevocationListDer::pem_slice_iter(pem.as_bytes()).collect();
    found.map_err(|error| format!("a revocation list: {error}"))
}

/// A new key and the request for its certificate, both PEM.
pub struct Request {
    /// The private key, PKCS #8; it leaves memory when dropped.
    pub key: Zeroizing<String>,
    /// The certificate request.
    pub csr: String,
}

impl Request {
    /// Makes both. The authority decides on the name; what is asked for is only shown to people.
    ///
    /// # Errors
    /// If the machine gives no random numbers.
    pub fn make(name: &str) -> Result<Self, String> {
        let words = |error: rcgen::Error| error.to_string();
        let key = KeyPair::generate().map_err(words)?;
        let mut params = CertificateParams::default();
        let mut distinguished = DistinguishedName::new();
        distinguished.push(DnType::CommonName, name);
        params.distinguished_name = distinguished;
        let csr = params.serialize_request(&key).map_err(words)?;
        Ok(Self {
            csr: csr.pem().map_err(words)?,
            key: Zeroizing::new(key.serialize_pem()),
        })
    }
}

/// From when until when the first certificate of a PEM text is valid, Unix seconds.
#[must_use]
pub fn validity(certificate: &str) -> Option<(i64, i64)> {
    let pem = Pem::iter_from_buffer(certificate.as_bytes()).next()?.ok()?;
    let parsed = pem.parse_x509().ok()?;
    let validity = parsed.validity();
    Some((
        validity.not_before.timestamp(),
        validity.not_after.timestamp(),
    ))
}

/// When a certificate is to be renewed: at two thirds of its life.
#[must_use]
pub fn renew_at((from, until): (i64, i64)) -> i64 {
    let life = until.saturating_sub(from).max(0);
    from.saturating_add(life - life / 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signed() -> (String, String) {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::default();
        params.not_before = rcgen::date_time_ymd(2026, 1, 1);
        params.not_after = rcgen::date_time_ymd(2026, 1, 31);
        let certificate = params.self_signed(&key).expect("signed");
        (certificate.pem(), key.serialize_pem())
    }

    /// Fails when `renew_at` is the end itself.
    #[test]
    fn a_certificate_is_renewed_at_two_thirds_of_its_life() {
        let (certificate, _) = signed();
        let validity = validity(&certificate).expect("a certificate");
        assert_eq!(validity.1 - validity.0, 30 * 86_400);
        assert_eq!(renew_at(validity), validity.0 + 20 * 86_400);
    }

    #[test]
    fn what_does_not_belong_together_is_refused() {
        let (certificate, key) = signed();
        assert!(client_config(&certificate, &certificate, &key, "").is_ok());
        let (_, other) = signed();
        assert!(client_config(&certificate, &certificate, &other, "").is_err());
        assert!(client_config("", &certificate, &key, "").is_err());
        assert!(client_config(&certificate, &certificate, "key", "").is_err());
        let request = Request::make("site").expect("a request");
        assert!(request.csr.contains("CERTIFICATE REQUEST"));
    }
}
