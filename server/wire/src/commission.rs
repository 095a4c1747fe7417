//! Commissioning and renewal: a device makes its own key and asks for a certificate.

use crate::error::WireError;
use crate::head::{Head, Kind, RequestId};
use crate::limits::{CERTIFICATE_BYTES_MAX, CSR_BYTES_MAX, HEAD_BYTES, TOKEN_BYTES};

/// A new device's request: its token, and a certificate request (PKCS #10, DER).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommissionRequest<'a> {
    /// The device's name for this attempt.
    pub request_id: RequestId,
    /// The one-time token of the commissioning code.
    pub token: [u8; TOKEN_BYTES],
    /// The certificate request, DER.
    pub csr: &'a [u8],
}

impl<'a> CommissionRequest<'a> {
    /// Reads a commissioning request.
    ///
    /// # Errors
    /// Any [`WireError`] of a head; [`WireError::BadLength`] for no or too long a certificate
    /// request.
    pub fn parse(message: &'a [u8]) -> Result<Self, WireError> {
        let (request_id, payload) = payload_of(message, Kind::Commission)?;
        let Some((token, csr)) = payload.split_first_chunk::<TOKEN_BYTES>() else {
            return Err(WireError::BadLength {
                expected: TOKEN_BYTES,
                found: payload.len(),
            });
        };
        Ok(Self {
            request_id,
            token: *token,
            csr: checked_csr(csr)?,
        })
    }

    /// Appends the request to `out`.
    pub fn write(&self, out: &mut Vec<u8>) {
        let length = TOKEN_BYTES + self.csr.len();
        Head::new(Kind::Commission, self.request_id, length as u32).write(out);
        out.extend_from_slice(&self.token);
        out.extend_from_slice(self.csr);
    }
}

/// A commissioned device's request for a new certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RenewRequest<'a> {
    /// The device's name for this attempt.
    pub request_id: RequestId,
    /// The certificate request, DER; it may bring a new key.
    pub csr: &'a [u8],
}

impl<'a> RenewRequest<'a> {
    /// Reads a renewal.
    ///
    /// # Errors
    /// As [`CommissionRequest::parse`].
    pub fn parse(message: &'a [u8]) -> Result<Self, WireError> {
        let (request_id, csr) = payload_of(message, Kind::Renew)?;
        Ok(Self {
            request_id,
            csr: checked_csr(csr)?,
        })
    }

    /// Appends the request to `out`.
    pub fn write(&self, out: &mut Vec<u8>) {
        Head::new(Kind::Renew, self.request_id, self.csr.len() as u32).write(out);
        out.extend_from_slice(self.csr);
    }
}

/// The payload of the reply to both: the device's certificate, then the site CA's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Certificates<'a> {
    /// The device's certificate, DER.
    pub device: &'a [u8],
    /// The site CA's certificate, DER.
    pub site_ca: &'a [u8],
}

impl<'a> Certificates<'a> {
    /// Reads the payload of a reply.
    ///
    /// # Errors
    /// [`WireError::BadLength`] where the lengths do not fit.
    pub fn parse(payload: &'a [u8]) -> Result<Self, WireError> {
        let (device, rest) = length_prefixed(payload)?;
        let (site_ca, rest) = length_prefixed(rest)?;
        if !rest.is_empty() {
            return Err(WireError::BadLength {
                expected: payload.len() - rest.len(),
                found: payload.len(),
            });
        }
        Ok(Self { device, site_ca })
    }

    /// The payload's bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(8 + self.device.len() + self.site_ca.len());
        for der in [self.device, self.site_ca] {
            out.extend_from_slice(&(der.len() as u32).to_le_bytes());
            out.extend_from_slice(der);
        }
        out
    }
}

fn payload_of(message: &[u8], kind: Kind) -> Result<(RequestId, &[u8]), WireError> {
    let head = Head::parse(message)?;
    if head.kind != kind {
        return Err(WireError::WrongKind {
            found: head.kind as u8,
        });
    }
    Ok((head.request_id, &message[HEAD_BYTES..]))
}

fn checked_csr(csr: &[u8]) -> Result<&[u8], WireError> {
    if csr.is_empty() || csr.len() > CSR_BYTES_MAX {
        return Err(WireError::BadLength {
            expected: CSR_BYTES_MAX,
            found: csr.len(),
        });
    }
    Ok(csr)
}

fn length_prefixed(bytes: &[u8]) -> Result<(&[u8], &[u8]), WireError> {
    let Some((length, rest)) = bytes.split_first_chunk::<4>() else {
        return Err(WireError::BadLength {
            expected: 4,
            found: bytes.len(),
        });
    };
    let length = u32::from_le_bytes(*length) as usize;
    if length > CERTIFICATE_BYTES_MAX || length > rest.len() {
        return Err(WireError::BadLength {
            expected: length,
            found: rest.len(),
        });
    }
    Ok(rest.split_at(length))
}
