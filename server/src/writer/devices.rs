//! Devices: their certificates and their signs of life.

use cardea_wire::commission::Certificates;
use cardea_wire::{CONTENT_TYPE, Decision, Kind, Reason, Reply};
use time::OffsetDateTime;

use super::carry_out::unix_s;
use super::error::WriterError;
use super::{Asker, Writer};
use crate::api::{Completion, refuse};
use crate::error::PkiError;
use crate::metrics::events::WRITER_FAILED;
use crate::net::Response;
use crate::pki::DeviceCertificate;
use crate::store::{CommandId, DeviceId, DeviceSeen, Renewal, StoreError, token_hash};

/// A certificate that was renewed is taken this much longer: the device may not have stored the
/// new one.
const OVERLAP_S: i64 = 86_400;

/// A sign of life of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceSign {
    /// The device.
    pub device: u64,
    /// When, Unix seconds.
    pub at_unix_s: i64,
    /// Its firmware.
    pub firmware: u32,
    /// Its address.
    pub address: String,
    /// The address of the server that it came to.
    pub local: String,
    /// A command that it has carried out, 0 for none.
    pub command_done: u32,
}

impl Writer {
    pub(super) fn commission(
        &mut self,
        token: &[u8; cardea_wire::limits::TOKEN_BYTES],
        csr: &[u8],
        asker: &Asker,
    ) {
        let issued = self.issue_for_token(token, csr);
        self.answer(Kind::Commission, issued, asker);
    }

    fn issue_for_token(
        &mut self,
        token: &[u8; cardea_wire::limits::TOKEN_BYTES],
        csr: &[u8],
    ) -> Result<DeviceCertificate, WriterError> {
        let (token, now) = (token_hash(token), unix_s());
        let device = self.store.token_device(token, now)?;
        let issued = self.issue(device.0, csr)?;
        self.store
            .device_commission(token, &issued.fingerprint, issued.not_after_unix_s, now)?;
        self.tell_of_move(device)?;
        self.follow()?;
        Ok(issued)
    }

    pub(super) fn renew(&mut self, device: u64, shown: [u8; 32], csr: &[u8], asker: &Asker) {
        let issued = self.issue_again(device, shown, csr);
        self.answer(Kind::Renew, issued, asker);
    }

    /// The certificate that the device shows holds on for a while, and no other but the new one: a
    /// device that lost the replies to its last renewals still has only that.
    fn issue_again(
        &mut self,
        device: u64,
        shown: [u8; 32],
        csr: &[u8],
    ) -> Result<DeviceCertificate, WriterError> {
        let issued = self.issue(device, csr)?;
        let stored = self.store.read().device(DeviceId(device))?;
        let end = stored.and_then(|stored| match stored.previous {
            Some((previous, until)) if previous == shown => Some(until),
            _ => stored.not_after_unix_s,
        });
        let renewal = Renewal {
            shown,
            fingerprint: issued.fingerprint,
            not_after_unix_s: issued.not_after_unix_s,
            previous_until_unix_s: end.unwrap_or(i64::MAX).min(unix_s() + OVERLAP_S),
        };
        self.store.device_renew(DeviceId(device), &renewal)?;
        self.follow()?;
        Ok(issued)
    }

    fn issue(&self, device: u64, csr: &[u8]) -> Result<DeviceCertificate, WriterError> {
        let life_s = self.config.device_certificate_life_s;
        Ok(self
            .pki
            .issue_device(csr, device, life_s, OffsetDateTime::now_utc())?)
    }

    fn answer(&self, kind: Kind, issued: Result<DeviceCertificate, WriterError>, asker: &Asker) {
        let response = match issued {
            Ok(issued) => {
                let mut reply = Reply::new(kind, asker.request_id, Decision::Served, Reason::None);
                reply.payload = Certificates {
                    device: &issued.der,
                    site_ca: self.pki.ca(),
                }
                .to_bytes();
                Response::new(200, CONTENT_TYPE, reply.to_bytes())
            }
            Err(error) => {
                let reason = reason(&error);
                if reason == Reason::NotStored && WRITER_FAILED.is_logged() {
                    tracing::error!(%error, "commissioning or renewal");
                }
                refuse((kind, asker.request_id), reason)
            }
        };
        asker.done.send(Completion::Served {
            exchange: asker.exchange,
            response,
        });
    }

    pub(super) fn seen(&mut self, signs: &[DeviceSign]) {
        let seen: Vec<_> = signs
            .iter()
            .map(|sign| DeviceSeen {
                device: DeviceId(sign.device),
                at_unix_s: sign.at_unix_s,
                firmware: sign.firmware,
                address: sign.address.clone(),
                local: sign.local.clone(),
            })
            .collect();
        let noted = self.store.devices_seen(&seen).and_then(|()| {
            signs
                .iter()
                .filter(|sign| sign.command_done != 0)
                .try_for_each(|sign| {
                    let command = CommandId(sign.command_done);
                    self.store
                        .command_done(DeviceId(sign.device), command, sign.at_unix_s)
                        .map(drop)
                })
        });
        if let Err(error) = noted
            .map_err(WriterError::from)
            .and_then(|()| self.follow())
            && WRITER_FAILED.is_logged()
        {
            tracing::error!(%error, "signs of life");
        }
    }

    /// Takes certificates out of force whose overlap has ended.
    pub(super) fn devices_tick(&mut self) -> Result<(), WriterError> {
        if let Some(online) = &mut self.online {
            online.published.end_overlaps(self.store.read(), unix_s())?;
        }
        Ok(())
    }
}

fn reason(error: &WriterError) -> Reason {
    match error {
        WriterError::Store(StoreError::TokenRefused) => Reason::TokenRefused,
        WriterError::Store(StoreError::NotFound { .. }) => Reason::UnknownDevice,
        WriterError::Pki(PkiError::BadRequest) | WriterError::Store(StoreError::Exists { .. }) => {
            Reason::BadCertificateRequest
        }
        WriterError::Store(_)
        | WriterError::Pki(_)
        | WriterError::Tls(_)
        | WriterError::Config(_)
        | WriterError::Secret(_)
        | WriterError::Gallery(_)
        | WriterError::BadSetting { .. }
        | WriterError::BadReference { .. }
        | WriterError::BadTimetable { .. }
        | WriterError::Io(_)
        | WriterError::Backup(_)
        | WriterError::Ended => Reason::NotStored,
    }
}
