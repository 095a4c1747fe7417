//! Certificates that take the place of others while devices go on: the server's from time to
//! time, the site CA's hardly ever.
//!
//! A roll-over of the site CA makes a new key with two certificates: one signed by itself, which
//! devices trust from their next renewal on, and one signed by the CA before (*cross*), which
//! leads devices that trust only that one to the new key. The server shows
//!
//! ```text
//! server, by the new key | cross: new key, by the CA before | site CA, by itself | CA before
//! ```
//!
//! so every device finds a way to what it trusts, and a commissioning code made before finds its
//! certificate. The key of the CA before is gone at once; its certificate vouches for devices'
//! certificates that it signed, until nobody has one ([`SitePki::end_roll`]).

use std::net::IpAddr;
use std::path::Path;

use rcgen::{BasicConstraints, IsCa, KeyPair};
use rustls_pki_types::CertificateDer;
use time::{Duration, OffsetDateTime};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer as _;

use super::files::PkiFiles;
use super::{
    CA_BEFORE, CA_CERTIFICATE, CA_CROSS, CA_KEY, Issuer, SERVER_CERTIFICATE, SERVER_KEY, SitePki,
    ca_params, server_params, sha256,
};
use crate::error::PkiError;
use crate::secrets::Sealer;

/// What a certificate says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFacts {
    /// Which one it is.
    pub what: &'static str,
    /// SHA-256 of its DER.
    pub sha256: [u8; 32],
    /// When it begins, Unix seconds.
    pub from_unix_s: i64,
    /// When it ends, Unix seconds.
    pub to_unix_s: i64,
}

impl SitePki {
    /// Gives the server a new key and certificate for `addresses`.
    ///
    /// # Errors
    /// If they cannot be made or written; then the ones before hold on.
    pub fn renew_server(
        &mut self,
        data: &Path,
        sealer: &Sealer,
        (addresses, life_s): (&[IpAddr], u64),
        now: OffsetDateTime,
    ) -> Result<(), PkiError> {
        let mut files = PkiFiles::read(data)?;
        put_server(&mut files, sealer, &self.issuer, (addresses, life_s), now)?;
        files.replace(data)?;
        *self = Self::open(data, sealer)?;
        Ok(())
    }

    /// Makes a new site CA, cross-signed by the one before, and a server's certificate of it.
    ///
    /// # Errors
    /// Those of [`Self::may_roll`]; if something cannot be made or written, and then nothing has
    /// changed.
    pub fn roll(
        &mut self,
        data: &Path,
        sealer: &Sealer,
        site: &str,
        (addresses, life_s): (&[IpAddr], u64),
        now: OffsetDateTime,
    ) -> Result<(), PkiError> {
        self.may_roll()?;
        let key = KeyPair::generate()?;
        let params = ca_params(site, now)?;
        let mut cross = params.clone();
        cross.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        cross.use_authority_key_identifier_extension = true;
        // The way to the CA before does not last longer than it does.
        cross.not_after = cross.not_after.min(not_after(&self.ca)?);
        let cross = cross.signed_by(&key, &self.issuer)?;
        let ca = params.self_signed(&key)?;

        let mut files = PkiFiles::read(data)?;
        files.put(CA_BEFORE, &self.ca);
        files.put(CA_CROSS, cross.der());
        files.put(CA_CERTIFICATE, ca.der());
        files.put_sealed(sealer, CA_KEY, key.serialized_der())?;
        let issuer = Issuer::from_ca_cert_der(ca.der(), key)?;
        put_server(&mut files, sealer, &issuer, (addresses, life_s), now)?;
        files.replace(data)?;
        *self = Self::open(data, sealer)?;
        Ok(())
    }

    /// Whether a roll-over can begin.
    ///
    /// # Errors
    /// [`PkiError::Rolling`] while one is under way, [`PkiError::SignsNoSuccessor`] if the site
    /// CA's own path length forbids it.
    pub fn may_roll(&self) -> Result<(), PkiError> {
        if self.before.is_some() {
            return Err(PkiError::Rolling);
        }
        let ca = parse(&self.ca)?;
        let constraints = ca.basic_constraints().map_err(|_| PkiError::Unreadable)?;
        match constraints.and_then(|found| found.value.path_len_constraint) {
            Some(0) => Err(PkiError::SignsNoSuccessor),
            Some(_) | None => Ok(()),
        }
    }

    /// Ends a roll-over: the CA before vouches for nobody any more.
    ///
    /// # Errors
    /// If the files cannot be written; then the roll-over goes on.
    pub fn end_roll(&mut self, data: &Path, sealer: &Sealer) -> Result<(), PkiError> {
        let mut files = PkiFiles::read(data)?;
        files.remove(CA_BEFORE);
        files.remove(CA_CROSS);
        files.replace(data)?;
        *self = Self::open(data, sealer)?;
        Ok(())
    }

    /// Whether a roll-over of the site CA is under way.
    #[must_use]
    pub fn is_rolling(&self) -> bool {
        self.before.is_some()
    }

    /// Whether the server should have a new certificate: the last third of a life of `life_s` has
    /// begun, or it is not for all of `addresses`.
    #[must_use]
    pub fn server_is_due(&self, addresses: &[IpAddr], life_s: u64, now: OffsetDateTime) -> bool {
        let third = i64::try_from(life_s / 3).map_or(Duration::MAX, Duration::seconds);
        let ends = not_after(&self.server);
        let last_third = ends.is_ok_and(|ends| now.checked_add(third).is_none_or(|at| at >= ends));
        let named = |address: &IpAddr| names(&self.server, *address);
        last_third || !addresses.iter().all(named)
    }

    /// The site's certificates, for people.
    ///
    /// # Errors
    /// If one cannot be read.
    pub fn facts(&self) -> Result<Vec<CertificateFacts>, PkiError> {
        let mut all = vec![("site CA", &self.ca), ("server", &self.server)];
        if let Some(before) = &self.before {
            all.push(("site CA before", &before.ca));
        }
        let facts = |(what, der): (&'static str, &CertificateDer<'_>)| {
            let certificate = parse(der)?;
            Ok(CertificateFacts {
                what,
                sha256: sha256(der),
                from_unix_s: certificate.validity().not_before.timestamp(),
                to_unix_s: certificate.validity().not_after.timestamp(),
            })
        };
        all.into_iter().map(facts).collect()
    }
}

pub(super) fn put_server(
    files: &mut PkiFiles,
    sealer: &Sealer,
    issuer: &Issuer<'_, KeyPair>,
    (addresses, life_s): (&[IpAddr], u64),
    now: OffsetDateTime,
) -> Result<(), PkiError> {
    let key = KeyPair::generate()?;
    let certificate = server_params(addresses, life_s, now)?.signed_by(&key, issuer)?;
    files.put(SERVER_CERTIFICATE, certificate.der());
    files.put_sealed(sealer, SERVER_KEY, key.serialized_der())?;
    Ok(())
}

fn not_after(der: &CertificateDer<'_>) -> Result<OffsetDateTime, PkiError> {
    Ok(parse(der)?.validity().not_after.to_datetime())
}

fn names(der: &CertificateDer<'_>, address: IpAddr) -> bool {
    let Ok(certificate) = parse(der) else {
        return false;
    };
    let octets = match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    };
    let names = certificate.subject_alternative_name().ok().flatten();
    names.is_some_and(|names| {
        let mut names = names.value.general_names.iter();
        names.any(|name| matches!(name, GeneralName::IPAddress(found) if *found == octets))
    })
}

fn parse<'a>(der: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, PkiError> {
    let parsed = X509Certificate::from_der(der);
    parsed
        .map(|(_, certificate)| certificate)
        .map_err(|_| PkiError::Unreadable)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::pki::tests::{at, site};

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
    const DAY_S: u64 = 86_400;

    /// Fails if `put_server` keeps the key, or the files are not replaced on the disk.
    #[test]
    fn the_server_gets_another_certificate_of_the_same_ca() {
        let (folder, sealer, mut pki) = site();
        let (ca, before) = (pki.ca_sha256(), pki.server_chain());
        pki.renew_server(folder.path(), &sealer, (&[HERE], 90 * DAY_S), at(1))
            .expect("renewed");
        assert_eq!(pki.ca_sha256(), ca);
        assert_ne!(pki.server_chain()[0], before[0]);
        let reopened = SitePki::open(folder.path(), &sealer).expect("whole");
        assert_eq!(reopened.server_chain(), pki.server_chain());
        assert!(!folder.path().join("pki.new").exists());
        let facts = pki.facts().expect("readable");
        assert_eq!(facts[1].to_unix_s, at(1).unix_timestamp() + 90 * 86_400);
    }

    /// Fails if `server_is_due` looks at half the life, or not at the address.
    #[test]
    fn the_server_is_due_in_the_last_third_and_at_another_address() {
        let (folder, sealer, mut pki) = site();
        pki.renew_server(folder.path(), &sealer, (&[HERE], 90 * DAY_S), at(0))
            .expect("renewed");
        assert!(!pki.server_is_due(&[HERE], 90 * DAY_S, at(59)));
        assert!(pki.server_is_due(&[HERE], 90 * DAY_S, at(60)));
        assert!(
            pki.server_is_due(&[HERE], u64::MAX, at(0)),
            "no such instant"
        );
        let elsewhere = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
        assert!(pki.server_is_due(&[HERE, elsewhere], 90 * DAY_S, at(0)));
    }

    /// Fails if `roll` leaves the cross certificate out, or the CA before among those trusted
    /// after `end_roll`.
    #[test]
    fn a_roll_over_keeps_both_authorities_until_it_ends() {
        let (folder, sealer, mut pki) = site();
        let before = pki.ca().clone();
        let server = (&[HERE][..], 90 * DAY_S);
        pki.roll(folder.path(), &sealer, "test", server, at(1))
            .expect("rolled");
        assert_ne!(*pki.ca(), before);
        assert_eq!(pki.client_roots(), [pki.ca().clone(), before.clone()]);
        let chain = pki.server_chain();
        assert_eq!(chain.len(), 4);
        assert_eq!(chain[2..], [pki.ca().clone(), before]);
        let (server, cross) = (parse(&chain[0]), parse(&chain[1]));
        let (server, cross) = (server.expect("X.509"), cross.expect("X.509"));
        let old = parse(&chain[3]).expect("X.509");
        assert!(cross.verify_signature(Some(old.public_key())).is_ok());
        assert!(server.verify_signature(Some(cross.public_key())).is_ok());
        let again = pki.roll(folder.path(), &sealer, "test", (&[HERE], DAY_S), at(2));
        assert!(matches!(again, Err(PkiError::Rolling)));

        pki.end_roll(folder.path(), &sealer).expect("ended");
        assert_eq!(pki.client_roots(), [pki.ca().clone()]);
        assert_eq!(pki.server_chain().len(), 2);
        assert!(!pki.is_rolling());
    }

    /// Such a CA once signed its successor, and OpenSSL refused the server. Fails if `may_roll`
    /// does not look at the path length.
    #[test]
    fn a_ca_that_may_sign_no_other_does_not_roll_over() {
        let (folder, sealer, _) = site();
        let key = KeyPair::generate().expect("a key");
        let mut params = ca_params("old", at(0)).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        let ca = params.self_signed(&key).expect("signed");
        let mut files = PkiFiles::read(folder.path()).expect("read");
        files.put(CA_CERTIFICATE, ca.der());
        let sealed = files.put_sealed(&sealer, CA_KEY, key.serialized_der());
        sealed.expect("sealed");
        files.replace(folder.path()).expect("written");
        let mut pki = SitePki::open(folder.path(), &sealer).expect("whole");
        let server = (HERE, DAY_S);
        let refused = pki.roll(folder.path(), &sealer, "test", server, at(1));
        assert!(matches!(refused, Err(PkiError::SignsNoSuccessor)));
        let reopened = SitePki::open(folder.path(), &sealer).expect("whole");
        assert_eq!((reopened.ca(), reopened.is_rolling()), (ca.der(), false));
    }

    /// Fails if `PkiFiles::replace` writes in place: the folder would be half new.
    #[test]
    fn a_set_that_was_not_finished_is_left_over_and_does_no_harm() {
        let (folder, sealer, mut pki) = site();
        let left = folder.path().join("pki.new");
        std::fs::create_dir(&left).expect("a folder");
        std::fs::write(left.join("server.der"), b"half").expect("written");
        let reopened = SitePki::open(folder.path(), &sealer).expect("whole");
        assert_eq!(reopened.server_chain(), pki.server_chain());
        pki.renew_server(folder.path(), &sealer, (&[HERE], DAY_S), at(1))
            .expect("renewed");
        assert!(!left.exists());
    }
}
