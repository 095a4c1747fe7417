//! What a site decides about enrolment, and how its mail goes out.

use std::net::IpAddr;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use zeroize::Zeroize;

use crate::limits::{
    ALTERNATIVE_BYTES_MAX, COMPANY_BYTES_MAX, EMAIL_BYTES_MAX, HOST_BYTES_MAX, MAIL_CA_BYTES_MAX,
    MAIL_SECRET_BYTES_MAX, POLICY_VERSION_BYTES_MAX, URL_BYTES_MAX,
};

/// What people are told. A field that is absent stays as it is; an empty one of the last three is
/// taken away.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EnrolmentSetup {
    /// The company in charge.
    pub company: Option<String>,
    /// Where the privacy policy is: `https://..`.
    pub policy_url: Option<String>,
    /// The policy's version; another one asks everybody again.
    pub policy_version: Option<String>,
    /// Which way in there is without biometrics.
    pub alternative: Option<String>,
    /// The device at which people enrol whom Space asks for.
    pub device: Option<String>,
    /// Where links begin: `https://host[:port]`; by default the server's own address.
    pub pages_url: Option<String>,
}

impl EnrolmentSetup {
    /// Checks what it says; the words name what is wrong.
    ///
    /// # Errors
    /// Which field is not acceptable, and why.
    pub fn check(&self) -> Result<(), String> {
        text("company", self.company.as_deref(), COMPANY_BYTES_MAX)?;
        text(
            "policy version",
            self.policy_version.as_deref(),
            POLICY_VERSION_BYTES_MAX,
        )?;
        let (alternative, pages) = (given(&self.alternative), given(&self.pages_url));
        text("alternative", alternative, ALTERNATIVE_BYTES_MAX)?;
        https("policy address", self.policy_url.as_deref())?;
        https("address of the pages", pages)?;
        let path = self.pages_url.as_deref().and_then(|url| url.get(8..));
        if path.is_some_and(|rest| rest.contains(['/', '?', '#'])) {
            return Err("address of the pages: only https://host or https://host:port".to_owned());
        }
        Ok(())
    }
}

/// How the connection to the mail relay is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum MailTls {
    /// TLS from the first byte, usually port 465.
    Tls,
    /// STARTTLS, and nothing without it, usually port 587.
    Starttls,
    /// None: only to a relay on this machine.
    None,
}

/// How mail is sent.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MailSetup {
    /// The relay's host name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is protected.
    pub tls: MailTls,
    /// The sender: an e-mail address.
    pub from: String,
    /// The account, where the relay asks for one.
    #[serde(default)]
    pub user: Option<String>,
    /// Its password.
    #[serde(default)]
    pub password: Option<String>,
    /// Authorities that vouch for the relay, PEM; by default those of the system.
    #[serde(default)]
    pub ca_pem: Option<String>,
}

impl std::fmt::Debug for MailSetup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The password is never printed.
        f.debug_struct("MailSetup")
            .field("host", &self.host)
            .field("port", &self.port)
            .field("tls", &self.tls)
            .finish_non_exhaustive()
    }
}

impl Drop for MailSetup {
    fn drop(&mut self) {
        self.password.zeroize();
    }
}

impl MailSetup {
    /// Checks what it says.
    ///
    /// # Errors
    /// Which field is not acceptable, and why.
    pub fn check(&self) -> Result<(), String> {
        text("host", Some(&self.host), HOST_BYTES_MAX)?;
        text("user", self.user.as_deref(), MAIL_SECRET_BYTES_MAX)?;
        text("password", self.password.as_deref(), MAIL_SECRET_BYTES_MAX)?;
        if self.user.is_some() != self.password.is_some() {
            return Err("user and password go together".to_owned());
        }
        if self.from.len() > EMAIL_BYTES_MAX || self.from.parse::<lettre::Address>().is_err() {
            return Err("the sender is no e-mail address".to_owned());
        }
        if self
            .ca_pem
            .as_ref()
            .is_some_and(|pem| pem.len() > MAIL_CA_BYTES_MAX)
        {
            return Err(format!("authorities: more than {MAIL_CA_BYTES_MAX} bytes"));
        }
        if self.tls == MailTls::None && !self.is_local() {
            return Err(
                "without TLS only to a relay on this machine: a link is a secret".to_owned(),
            );
        }
        Ok(())
    }

    fn is_local(&self) -> bool {
        let address = self.host.parse::<IpAddr>();
        self.host == "localhost" || address.is_ok_and(|address| address.is_loopback())
    }
}

/// The value that is set, not the wish to have none.
fn given(value: &Option<String>) -> Option<&str> {
    value.as_deref().filter(|value| !value.is_empty())
}

fn text(field: &str, value: Option<&str>, max: usize) -> Result<(), String> {
    match value {
        Some(value) if value.trim().is_empty() || value.len() > max => {
            Err(format!("{field}: empty or more than {max} bytes"))
        }
        Some(value) if value.contains(char::is_control) => {
            Err(format!("{field}: control characters"))
        }
        Some(_) | None => Ok(()),
    }
}

fn https(field: &str, value: Option<&str>) -> Result<(), String> {
    text(field, value, URL_BYTES_MAX)?;
    let Some(value) = value else {
        return Ok(());
    };
    let host = value.strip_prefix("https://").unwrap_or_default();
    let host = host.split(['/', '?', '#']).next().unwrap_or_default();
    let odd = |c: char| c.is_whitespace() || "\"'<>\\@".contains(c);
    if host.is_empty() || value.contains(odd) {
        return Err(format!("{field}: it must begin with https:// and a host"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setup(policy_url: &str) -> EnrolmentSetup {
        EnrolmentSetup {
            policy_url: Some(policy_url.to_owned()),
            ..EnrolmentSetup::default()
        }
    }

    // Fails if `https` takes any address, or `check` forgets a field.
    #[test]
    fn only_https_addresses_are_taken() {
        assert_eq!(setup("https://example.org/privacy?v=2").check(), Ok(()));
        for bad in [
            "",
            "http://example.org",
            "https://",
            "https:///x",
            "javascript:alert(1)",
            "https://a\"b",
            "https://user@host/",
        ] {
            assert!(setup(bad).check().is_err(), "{bad}");
        }
        let long = format!("https://{}", "a".repeat(URL_BYTES_MAX));
        assert!(setup(&long).check().is_err());
        let pages = |url: &str| EnrolmentSetup {
            pages_url: Some(url.to_owned()),
            ..EnrolmentSetup::default()
        };
        assert_eq!(pages("https://face.example.org:8443").check(), Ok(()));
        assert!(pages("https://face.example.org/").check().is_err());
        let company = EnrolmentSetup {
            company: Some("x".repeat(COMPANY_BYTES_MAX + 1)),
            ..EnrolmentSetup::default()
        };
        assert!(company.check().is_err());
        let alternative = EnrolmentSetup {
            alternative: Some("x".repeat(ALTERNATIVE_BYTES_MAX + 1)),
            ..EnrolmentSetup::default()
        };
        assert!(alternative.check().is_err());
    }

    // Fails if a link could leave this machine in the clear.
    #[test]
    fn mail_without_tls_stays_on_this_machine() {
        let mut mail = MailSetup {
            host: "127.0.0.1".to_owned(),
            port: 25,
            tls: MailTls::None,
            from: "door@example.org".to_owned(),
            user: None,
            password: None,
            ca_pem: None,
        };
        assert_eq!(mail.check(), Ok(()));
        mail.host = "mail.example.org".to_owned();
        assert!(mail.check().is_err());
        mail.tls = MailTls::Starttls;
        assert_eq!(mail.check(), Ok(()));
        mail.user = Some("u".to_owned());
        assert!(mail.check().is_err(), "a user without a password");
        mail.password = Some("secret".to_owned());
        assert_eq!(mail.check(), Ok(()));
        assert!(!format!("{mail:?}").contains("secret"));
        mail.from = "nobody".to_owned();
        assert!(mail.check().is_err());
        mail.from = "a@example.org".to_owned();
        mail.ca_pem = Some("x".repeat(MAIL_CA_BYTES_MAX + 1));
        assert!(mail.check().is_err());
        mail.ca_pem = None;
        mail.password = Some("x".repeat(MAIL_SECRET_BYTES_MAX + 1));
        assert!(mail.check().is_err());
    }
}
