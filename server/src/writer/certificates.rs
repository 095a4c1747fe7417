//! The site's own certificates: shown, renewed in time, rolled over. What is new is on the disk
//! first, then in force for new connections; those that are open stay.

use time::OffsetDateTime;

use super::carry_out::{Refusal, date, done, table, unix_s};
use super::error::WriterError;
use super::{Session, Writer};
use crate::admin::message::Response;
use crate::pki::SitePki;

/// After a failure the certificates are looked at again only then, seconds.
const PAUSE_S: i64 = 60;
/// Who has changed something without being asked.
const UPKEEP: &str = "upkeep";

impl Writer {
    pub(super) fn pki_show(&self) -> Result<Response, Refusal> {
        let mut rows: Vec<_> = self
            .pki
            .facts()?
            .into_iter()
            .map(|facts| {
                let sha256 = facts.sha256.iter().map(|byte| format!("{byte:02x}"));
                vec![
                    facts.what.to_owned(),
                    date(facts.from_unix_s),
                    date(facts.to_unix_s),
                    sha256.collect(),
                ]
            })
            .collect();
        if self.pki.is_rolling() {
            let left = self.store.read().roll_over(unix_s())?;
            rows.push(vec![
                format!(
                    "the site CA before is needed by {} devices and {} commissioning codes",
                    left.devices, left.codes
                ),
                String::new(),
                date(left.until_unix_s),
                String::new(),
            ]);
        }
        Ok(table(&["certificate", "from", "until", "SHA-256"], rows))
    }

    pub(super) fn pki_renew_server(&mut self) -> Result<Response, Refusal> {
        self.renew_server()?;
        Ok(done("the server has a new key and certificate"))
    }

    /// The store first notes what hangs on the CA before; no certificate is issued in between,
    /// because nobody else issues any.
    pub(super) fn pki_roll_ca(&mut self) -> Result<Response, Refusal> {
        self.pki.may_roll()?;
        self.store.roll_over_begin()?;
        let addresses = self.server_addresses()?;
        let server = (addresses.as_slice(), self.config.server_certificate_life_s);
        self.pki.roll(
            self.directory.path(),
            &self.sealer,
            &self.config.site,
            server,
            OffsetDateTime::now_utc(),
        )?;
        self.put_certificates()?;
        Ok(done(
            "a new site CA signs from now on. Devices learn it when they renew; the one before \
             holds until the last of them has (`cardea pki show`). Run Space's install script \
             again before that",
        ))
    }

    /// Renews the server's certificate in time, and ends a roll-over that nobody needs any more.
    pub(super) fn pki_tick(&mut self) {
        let now = unix_s();
        if self.online.is_none() || now < self.certificates_pause_unix_s {
            return;
        }
        if let Err(error) = self.pki_upkeep(now) {
            self.certificates_pause_unix_s = now + PAUSE_S;
            tracing::error!(%error, "certificates");
        }
    }

    fn pki_upkeep(&mut self, now_unix_s: i64) -> Result<(), WriterError> {
        let life_s = self.config.server_certificate_life_s;
        let now = OffsetDateTime::now_utc();
        if self
            .pki
            .server_is_due(&self.server_addresses()?, life_s, now)
        {
            self.renew_server()?;
            tracing::info!("the server's certificate was renewed");
            self.note_upkeep("pki.renew-server");
        }
        if self.pki.is_rolling() && self.store.roll_over_sweep(now_unix_s)? {
            self.pki.end_roll(self.directory.path(), &self.sealer)?;
            self.put_certificates()?;
            tracing::info!("the roll-over of the site CA has ended");
            self.note_upkeep("pki.end-roll");
        }
        Ok(())
    }

    /// Reads the certificates from the disk again.
    pub(super) fn pki_reload(&mut self) {
        let opened = SitePki::open(self.directory.path(), &self.sealer).map_err(WriterError::from);
        let read = opened.and_then(|pki| {
            if let Some(tls) = &self.tls {
                tls.put(&pki)?;
            }
            self.pki = pki;
            Ok(())
        });
        match read {
            Ok(()) => tracing::info!("certificates read again"),
            Err(error) => tracing::error!(%error, "certificates stay as they were"),
        }
    }

    pub(super) fn renew_server(&mut self) -> Result<(), WriterError> {
        let addresses = self.server_addresses()?;
        self.pki.renew_server(
            self.directory.path(),
            &self.sealer,
            (&addresses, self.config.server_certificate_life_s),
            OffsetDateTime::now_utc(),
        )?;
        self.put_certificates()
    }

    fn put_certificates(&self) -> Result<(), WriterError> {
        match &self.tls {
            Some(tls) => Ok(tls.put(&self.pki)?),
            None => Ok(()),
        }
    }

    fn note_upkeep(&self, action: &'static str) {
        self.note_change(Session::COMMAND_LINE, (action, String::new()), Some(UPKEEP));
    }
}
