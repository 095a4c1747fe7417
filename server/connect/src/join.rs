//! Joining: the code that an operator hands out, and what the authority is asked.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::authority::host_and_port;
use crate::limits::CODE_CHARS_MAX;
use crate::topics::is_id;

const PREFIX: &str = "CONNECT1-";

/// A code to join with: where the authority is, how it is known, and a token for one use.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Code {
    /// `https://host[:port]`.
    #[serde(rename = "u")]
    pub url: String,
    /// SHA-256 of the authority's CA, hexadecimal.
    #[serde(rename = "f")]
    pub ca_sha256: String,
    /// The token.
    #[serde(rename = "t")]
    pub token: String,
}

impl Code {
    /// Reads a code; blanks around it do not matter. `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if text.len() > CODE_CHARS_MAX {
            return None;
        }
        let json = URL_SAFE_NO_PAD.decode(text.strip_prefix(PREFIX)?).ok()?;
        let code: Self = serde_json::from_slice(&json).ok()?;
        host_and_port(&code.url).ok()?;
        code.fingerprint()?;
        Some(code)
    }

    /// The code's text.
    #[must_use]
    pub fn to_text(&self) -> String {
        // Three texts: there is nothing that JSON cannot say.
        let json = serde_json::to_vec(self).unwrap_or_default();
        format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(json))
    }

    /// SHA-256 of the authority's CA.
    #[must_use]
    pub fn fingerprint(&self) -> Option<[u8; 32]> {
        let (pairs, rest) = self.ca_sha256.as_bytes().as_chunks::<2>();
        let mut bytes = [0; 32];
        if pairs.len() != bytes.len() || !rest.is_empty() {
            return None;
        }
        for (byte, pair) in bytes.iter_mut().zip(pairs) {
            *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
        }
        Some(bytes)
    }
}

/// What a new site asks: `POST /v1/join`.
#[derive(Serialize, Deserialize)]
pub struct Join {
    /// 1.
    pub v: u32,
    /// The code's token.
    pub token: String,
    /// The certificate request, PEM.
    pub csr: String,
    /// The server's version.
    pub version: String,
}

/// What it is answered.
#[derive(Debug, Serialize, Deserialize)]
pub struct Joined {
    /// The site's id, in topics and in its certificate.
    pub site: String,
    /// The site's certificate, PEM.
    pub certificate: String,
    /// The CA that issues the broker's certificate, PEM.
    pub ca: String,
    /// Revoked certificates, PEM; may be empty.
    #[serde(default)]
    pub crl: String,
    /// The broker's host, as its certificate names it.
    pub broker_host: String,
    /// Its port.
    pub broker_port: u16,
    /// Public keys of minisign that updates are signed with.
    #[serde(default)]
    pub update_keys: Vec<String>,
}

impl Joined {
    /// Why this cannot be used, in words.
    ///
    /// # Errors
    /// That.
    pub fn check(&self) -> Result<(), String> {
        if !is_id(&self.site) {
            return Err("the site's id is none".to_owned());
        }
        if self.broker_host.is_empty() || self.broker_host.len() > 255 {
            return Err("the broker's host is none".to_owned());
        }
        Ok(())
    }
}

/// What a site asks before its certificate ends: `POST /v1/renew`, with the certificate.
#[derive(Serialize, Deserialize)]
pub struct Renew {
    /// 1.
    pub v: u32,
    /// The certificate request, PEM.
    pub csr: String,
}

/// What it is answered.
#[derive(Debug, Serialize, Deserialize)]
pub struct Renewed {
    /// The new certificate, PEM.
    pub certificate: String,
    /// Revoked certificates, PEM; may be empty.
    #[serde(default)]
    pub crl: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_read_as_it_was_written_and_nothing_else_is() {
        let code = Code {
            url: "https://127.0.0.1:8443".to_owned(),
            ca_sha256: "ab".repeat(32),
            token: "t".to_owned(),
        };
        let text = code.to_text();
        let read = Code::parse(&format!(" {text}\n")).expect("a code");
        assert_eq!(read.token, "t");
        assert_eq!(read.fingerprint(), Some([0xab; 32]));
        let bad = |change: fn(&mut Code)| {
            let mut code = code.clone();
            change(&mut code);
            Code::parse(&code.to_text())
        };
        assert!(bad(|code| code.url = "http://a".to_owned()).is_none());
        assert!(bad(|code| code.ca_sha256 = "ab".repeat(31)).is_none());
        assert!(bad(|code| code.ca_sha256 = "xy".repeat(32)).is_none());
        assert!(bad(|code| code.token = "t".repeat(CODE_CHARS_MAX)).is_none());
        for text in ["", "CONNECT1-", "CONNECT1-e30", &text[1..]] {
            assert!(Code::parse(text).is_none(), "{text}");
        }
    }
}
