//! The Enrolment Service's settings: the company in charge, and the privacy policy, which must say
//! how biometric data is used. The page is looked at when it is saved; what is found is a warning,
//! never a refusal: the page may not be there yet.

use std::fs;
use std::time::{Duration, Instant};

use cardea_space::transport::{PageError, fetch};
use serde::{Deserialize, Serialize};

use super::{Indicator, Name, State, service, unconfigured};
use crate::admin::message::Request;
use crate::console::call::Call;
use crate::console::desk::Desk;
use crate::console::reply::Failure;
use crate::enrol::EnrolmentSetup;
use crate::limits::POLICY_ADDRESS_BYTES_MAX;
use crate::store::SettingKey;

/// A page that takes longer is not there in time.
const FETCH_TIMEOUT: Duration = Duration::from_secs(6);
/// The authorities that this machine trusts; `SSL_CERT_FILE` names another file.
const ROOTS: &str = "/etc/ssl/certs/ca-certificates.crt";
/// One of these is in every text that names biometric data in one of the console's languages.
const NAMES_BIOMETRY: [&str; 7] = [
    "biometr",
    "biométr",
    "biomètr",
    "بيومتر",
    "قياسات حيوية",
    "القياسات الحيوية",
    "البصمة",
];

/// What came of looking at the page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Check {
    /// When, Unix time in seconds.
    pub at_unix_s: i64,
    /// What was found.
    pub found: Found,
    /// More about it, in words.
    pub why: String,
}

/// What was found at the address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Found {
    /// A page that names biometric data.
    Good,
    /// A page that does not.
    Silent,
    /// A page that is not for everybody: 401 or 403.
    Closed,
    /// No page.
    Unreachable,
    /// The address is none that begins with `https://`.
    NotHttps,
}

impl Found {
    /// Its name in texts and the API.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Silent => "silent",
            Self::Closed => "closed",
            Self::Unreachable => "unreachable",
            Self::NotHttps => "not-https",
        }
    }
}

/// What is set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Settings {
    /// The company in charge of the site.
    pub company: String,
    /// The address of its privacy policy.
    pub policy_address: String,
    /// What came of looking at it.
    pub check: Option<Check>,
}

/// What is set.
///
/// # Errors
/// Those of a read.
pub(crate) fn settings(desk: &Desk) -> Result<Settings, Failure> {
    let check = desk.text(SettingKey::POLICY_CHECK)?;
    Ok(Settings {
        company: desk.text(SettingKey::COMPANY)?,
        policy_address: desk.text(SettingKey::POLICY_ADDRESS)?,
        check: serde_json::from_str(&check).ok(),
    })
}

/// How the Enrolment Service is: whether people can read its policy.
///
/// # Errors
/// Those of a read.
pub(crate) fn state(desk: &Desk) -> Result<State, Failure> {
    let settings = settings(desk)?;
    if settings.company.is_empty() || settings.policy_address.is_empty() {
        return Ok(unconfigured(Name::Enrolment));
    }
    let check = settings.check;
    let indicator = match check.as_ref().map(|check| check.found) {
        Some(Found::Good | Found::Silent) => Indicator::Connected,
        Some(Found::Closed) => Indicator::Unauthorized,
        Some(Found::Unreachable | Found::NotHttps) => Indicator::Disconnected,
        None => Indicator::NoStatus,
    };
    Ok(State {
        configured: true,
        indicator,
        since_unix_s: check.as_ref().map(|check| check.at_unix_s),
        mail: Some(service::mail_state(desk)?),
        why: check.map(|check| check.why).unwrap_or_default(),
        ..unconfigured(Name::Enrolment)
    })
}

/// Looks at the page and stores all three, with the rest in one request.
///
/// # Errors
/// [`Failure::Refused`] if one of them is missing; those of the writer.
pub(crate) fn save(
    desk: &Desk,
    call: &Call,
    (company, address): (&str, &str),
    more: EnrolmentSetup,
) -> Result<Check, Failure> {
    if company.trim().is_empty() || address.is_empty() || address.len() > POLICY_ADDRESS_BYTES_MAX {
        return Err(Failure::Refused(call.t("enrolment.both").to_owned()));
    }
    let check = look(address, call);
    let json = serde_json::to_string(&check);
    let json = json.map_err(|error| Failure::Broken(error.to_string()))?;
    let request = Request::EnrolmentServiceSet {
        company: company.trim().to_owned(),
        policy_address: address.to_owned(),
        check: json,
        more,
    };
    desk.ask(call, request)?;
    Ok(check)
}

fn look(address: &str, call: &Call) -> Check {
    let deadline = call.deadline.min(Instant::now() + FETCH_TIMEOUT);
    let file = std::env::var("SSL_CERT_FILE").unwrap_or_else(|_| ROOTS.to_owned());
    let roots = fs::read(file).unwrap_or_default();
    let (found, why) = match fetch(address, &roots, deadline) {
        Ok(page) => match page.status {
            200..300 if names_biometry(&page.body) => (Found::Good, String::new()),
            200..300 => (Found::Silent, String::new()),
            401 | 403 => (Found::Closed, format!("HTTP {}", page.status)),
            status => (Found::Unreachable, format!("HTTP {status}")),
        },
        Err(error @ (PageError::Address | PageError::Redirect)) => {
            (Found::NotHttps, error.to_string())
        }
        Err(error) => (Found::Unreachable, error.to_string()),
    };
    Check {
        at_unix_s: call.now_unix_s,
        found,
        why,
    }
}

fn names_biometry(body: &[u8]) -> bool {
    let text = String::from_utf8_lossy(body).to_lowercase();
    NAMES_BIOMETRY.iter().any(|name| text.contains(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_that_names_biometric_data_is_known_in_every_language() {
        for text in [
            "We process BIOMETRIC data",
            "données biométriques",
            "Biometrische Daten",
            "biometrische gegevens",
            "datos biométricos",
            "البيانات البيومترية",
        ] {
            assert!(names_biometry(text.as_bytes()), "{text}");
        }
        assert!(!names_biometry("We process your name.".as_bytes()));
        assert!(!names_biometry(&[0xff, 0xfe]));
    }
}
