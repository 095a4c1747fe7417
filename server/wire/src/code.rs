//! The commissioning code: what the QR code that pairs a device with its door says.
//!
//! ```text
//! cardea1.<base64url, no padding, of:>
//!   0  address kind u8: 4 or 6      then the address, 4 or 16 bytes
//!      port u16 | SHA-256 of the site CA's certificate (DER), 32 bytes | token, 16 bytes
//!      the door's name, UTF-8, to the end
//! ```

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::error::WireError;
use crate::limits::{CODE_CHARS_MAX, DOOR_NAME_BYTES_MAX, TOKEN_BYTES};

const PREFIX: &str = "cardea1.";

/// A commissioning code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommissioningCode {
    /// The server's address; devices use no names.
    pub server: SocketAddr,
    /// SHA-256 of the site CA's certificate (DER): how the device knows the server.
    pub site_ca_sha256: [u8; 32],
    /// The one-time token: how the server knows the device.
    pub token: [u8; TOKEN_BYTES],
    /// The door's name, for the installer's eyes.
    pub door: String,
}

impl CommissioningCode {
    /// The code as text.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut bytes = Vec::with_capacity(128);
        match self.server.ip() {
            IpAddr::V4(address) => {
                bytes.push(4);
                bytes.extend_from_slice(&address.octets());
            }
            IpAddr::V6(address) => {
                bytes.push(6);
                bytes.extend_from_slice(&address.octets());
            }
        }
        bytes.extend_from_slice(&self.server.port().to_le_bytes());
        bytes.extend_from_slice(&self.site_ca_sha256);
        bytes.extend_from_slice(&self.token);
        bytes.extend_from_slice(self.door.as_bytes());
        format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))
    }

    /// Reads a code; blanks around it are dropped.
    ///
    /// # Errors
    /// [`WireError::BadField`] for anything that is no such code.
    pub fn parse(text: &str) -> Result<Self, WireError> {
        let bad = WireError::BadField {
            field: "commissioning code",
        };
        let text = text.trim();
        if text.len() > CODE_CHARS_MAX {
            return Err(bad);
        }
        let encoded = text.strip_prefix(PREFIX).ok_or(bad)?;
        let bytes = URL_SAFE_NO_PAD.decode(encoded).map_err(|_| bad)?;
        Self::from_bytes(&bytes).ok_or(bad)
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (kind, rest) = bytes.split_first()?;
        let (address, rest) = match kind {
            4 => {
                let (octets, rest) = rest.split_first_chunk::<4>()?;
                (IpAddr::V4(Ipv4Addr::from(*octets)), rest)
            }
            6 => {
                let (octets, rest) = rest.split_first_chunk::<16>()?;
                (IpAddr::V6(Ipv6Addr::from(*octets)), rest)
            }
            _ => return None,
        };
        let (port, rest) = rest.split_first_chunk::<2>()?;
        let (site_ca_sha256, rest) = rest.split_first_chunk::<32>()?;
        let (token, door) = rest.split_first_chunk::<TOKEN_BYTES>()?;
        if door.len() > DOOR_NAME_BYTES_MAX {
            return None;
        }
        Some(Self {
            server: SocketAddr::new(address, u16::from_le_bytes(*port)),
            site_ca_sha256: *site_ca_sha256,
            token: *token,
            door: std::str::from_utf8(door).ok()?.to_owned(),
        })
    }
}
