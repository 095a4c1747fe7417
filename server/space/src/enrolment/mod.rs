//! What Space asks of this server: enrol a person, disenrol, status. Ours to define, as the
//! vendor's own interface is not public; `openapi.json` beside this crate describes it, and tests
//! keep the two together. This module is the JSON; carrying it is the server's part.
//!
//! ```text
//!   PUT    /api/space/v1/people/{ExtUserID}   enrol: creates the enrolment request, or changes it
//!   DELETE /api/space/v1/people/{ExtUserID}   disenrol: withdraws, and erases
//!   GET    /api/space/v1/people/{ExtUserID}   status
//!   Authorization: Bearer <face-recognition key>
//! ```
//!
//! All three are idempotent: to repeat a `PUT` with the same body neither invites again nor
//! changes anything, to repeat a `DELETE` is answered as the first one was.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ext_id::ExtId;
use crate::limits::{EMAIL_BYTES_MAX, ENROLMENT_BYTES_MAX, NAME_CHARS_MAX};

/// Where the paths above begin.
pub const PATH_PREFIX: &str = "/api/space/v1/people/";

/// The interface as an OpenAPI 3.1 document, in JSON.
pub const OPENAPI: &str = include_str!("../../openapi.json");

/// A language that invitations are written in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// Arabic.
    Ar,
    /// German.
    De,
    /// English.
    #[default]
    En,
    /// Spanish.
    Es,
    /// French.
    Fr,
    /// Dutch.
    Nl,
}

/// The body of a `PUT`. Unknown fields are passed by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnrolRequest {
    /// Where the invitation goes.
    pub email: String,
    /// May be empty.
    #[serde(default)]
    pub first_name: String,
    /// May be empty.
    #[serde(default)]
    pub last_name: String,
    /// Of the invitation.
    #[serde(default)]
    pub language: Language,
}

/// Why a request is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EnrolError {
    /// More than [`ENROLMENT_BYTES_MAX`] bytes.
    TooLong,
    /// Not JSON, or not with these fields.
    Form,
    /// No e-mail address.
    Email,
    /// A name of more than [`NAME_CHARS_MAX`] characters, or with control characters.
    Name,
}

impl EnrolError {
    /// The word in the `error` field of the answer.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::TooLong => "too_long",
            Self::Form => "malformed",
            Self::Email => "bad_email",
            Self::Name => "bad_name",
        }
    }
}

impl fmt::Display for EnrolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(f, "the body is longer than {ENROLMENT_BYTES_MAX} bytes"),
            Self::Form => f.write_str("the body is not a JSON object with the field email"),
            Self::Email => f.write_str("email is not an e-mail address"),
            Self::Name => write!(
                f,
                "a name has more than {NAME_CHARS_MAX} printable characters"
            ),
        }
    }
}

impl std::error::Error for EnrolError {}

impl EnrolRequest {
    /// Reads and checks a body; texts are trimmed.
    ///
    /// # Errors
    /// Any [`EnrolError`].
    pub fn parse(body: &[u8]) -> Result<Self, EnrolError> {
        if body.len() > ENROLMENT_BYTES_MAX {
            return Err(EnrolError::TooLong);
        }
        let mut request: Self = serde_json::from_slice(body).map_err(|_| EnrolError::Form)?;
        for text in [
            &mut request.email,
            &mut request.first_name,
            &mut request.last_name,
        ] {
            *text = text.trim().to_owned();
        }
        if !is_email(&request.email) {
            return Err(EnrolError::Email);
        }
        let is_name =
            |name: &str| name.chars().count() <= NAME_CHARS_MAX && !name.contains(char::is_control);
        if !is_name(&request.first_name) || !is_name(&request.last_name) {
            return Err(EnrolError::Name);
        }
        Ok(request)
    }
}

/// The person named by a path, percent-decoded; `None` when the path is another one.
#[must_use]
pub fn person_of(path: &str) -> Option<ExtId> {
    let encoded = path.strip_prefix(PATH_PREFIX)?;
    let mut bytes = Vec::with_capacity(encoded.len());
    let mut rest = encoded.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'/' | b'?' | b'#' => return None,
            b'%' => {
                let digits = std::str::from_utf8(rest.get(..2)?).ok()?;
                if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
                    return None;
                }
                bytes.push(u8::from_str_radix(digits, 16).ok()?);
                rest = &rest[2..];
            }
            byte => bytes.push(byte),
        }
    }
    ExtId::parse(std::str::from_utf8(&bytes).ok()?)
}

/// How far a person's enrolment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EnrolmentState {
    /// Never asked for, or withdrawn and erased: the two look alike, as nothing is left.
    NotEnrolled,
    /// The invitation has not been sent yet.
    Requested,
    /// The invitation was sent.
    Invited,
    /// The person has read the privacy policy and consented, and is not captured yet.
    Consented,
    /// Done.
    Enrolled,
    /// It failed; the text says why. Enrolling again starts anew.
    Failed,
}

impl EnrolmentState {
    /// As Space shows it.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::NotEnrolled => "User not enrolled",
            Self::Requested => "Enrolment requested",
            Self::Invited => "User invited",
            Self::Consented => "User has consented",
            Self::Enrolled => "User enrolled",
            Self::Failed => "Enrolment failed",
        }
    }
}

/// The body of every answer but an error's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersonStatus {
    /// `ExtUserID`.
    pub ext_user_id: String,
    /// How far the enrolment is.
    pub state: EnrolmentState,
    /// In words.
    pub text: String,
    /// Since when, RFC 3339 in UTC; absent when the person is not enrolled.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub since: Option<String>,
}

impl PersonStatus {
    /// With the state's own words; `since_unix_s` in seconds since 1970.
    #[must_use]
    pub fn new(person: &ExtId, state: EnrolmentState, since_unix_s: Option<i64>) -> Self {
        let since = since_unix_s.and_then(|second| {
            let instant = time::OffsetDateTime::from_unix_timestamp(second).ok()?;
            instant
                .format(&time::format_description::well_known::Rfc3339)
                .ok()
        });
        let text = state.words().to_owned();
        Self {
            ext_user_id: person.to_string(),
            state,
            text,
            since,
        }
    }

    /// As JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("strings and an enum always serialise")
    }
}

/// The body of an error's answer: a word for programs, and a sentence.
#[must_use]
pub fn error_json(word: &str, message: &str) -> String {
    serde_json::json!({ "error": word, "message": message }).to_string()
}

/// What every mail server would take: one `@` with something before it and a dotted name after
/// it, nothing that could end a header line.
fn is_email(text: &str) -> bool {
    let printable = text
        .bytes()
        .all(|byte| byte.is_ascii_graphic() || !byte.is_ascii());
    let unquoted = !text.contains(['<', '>', '"', ',', ';', '(', ')', '\\']);
    let Some((local, domain)) = text.split_once('@') else {
        return false;
    };
    let labels = domain.split('.').all(|label| !label.is_empty());
    let named = !local.is_empty() && domain.contains('.') && !domain.contains('@') && labels;
    text.len() <= EMAIL_BYTES_MAX
        && printable
        && unquoted
        && named
        && !text.contains(|character: char| character.is_whitespace() || character.is_control())
}

#[cfg(test)]
mod tests;
