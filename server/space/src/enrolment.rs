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
pub const OPENAPI: &str = include_str!("../openapi.json");

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
mod tests {
    use serde_json::Value;

    use super::*;

    fn parse(body: &str) -> Result<EnrolRequest, EnrolError> {
        EnrolRequest::parse(body.as_bytes())
    }

    #[test]
    fn a_request_is_read_trimmed_and_checked() {
        let request = parse(r#"{"email":" a@example.org ","first_name":"A","later":1}"#).unwrap();
        assert_eq!(
            (request.email.as_str(), request.language),
            ("a@example.org", Language::En)
        );
        assert_eq!(
            parse(r#"{"email":"a@b.c","language":"nl"}"#)
                .unwrap()
                .language,
            Language::Nl
        );
        assert_eq!(
            parse(r#"{"email":"a@b.c","language":"xx"}"#),
            Err(EnrolError::Form)
        );
        assert_eq!(parse("{}"), Err(EnrolError::Form));
        assert_eq!(parse("[]"), Err(EnrolError::Form));
        let emails = [
            "",
            "a",
            "a@",
            "@b.c",
            "a@b",
            "a@b.c@d.e",
            "a b@c.d",
            "a@b..c",
            "a@.b",
            "<a@b.c>",
            "a@b.c,d@e.f",
            "a@b.c\r\nBcc: d@e.f",
        ];
        for email in emails {
            let body = serde_json::json!({ "email": email }).to_string();
            assert_eq!(parse(&body), Err(EnrolError::Email), "{email:?}");
        }
    }

    #[test]
    fn lengths_are_bounded() {
        let email = |length: usize| {
            let local = "x".repeat(length - "@b.c".len());
            parse(&serde_json::json!({ "email": format!("{local}@b.c") }).to_string())
        };
        assert!(email(EMAIL_BYTES_MAX).is_ok());
        assert_eq!(email(EMAIL_BYTES_MAX + 1), Err(EnrolError::Email));
        let named = |length: usize| {
            let name = "\u{e4}".repeat(length);
            parse(&serde_json::json!({ "email": "a@b.c", "last_name": name }).to_string())
        };
        assert!(named(NAME_CHARS_MAX).is_ok());
        assert_eq!(named(NAME_CHARS_MAX + 1), Err(EnrolError::Name));
        assert_eq!(
            parse(r#"{"email":"a@b.c","first_name":"a\u0007"}"#),
            Err(EnrolError::Name)
        );
        let padded = |length: usize| format!("{:length$}", r#"{"email":"a@b.c"}"#);
        assert!(parse(&padded(ENROLMENT_BYTES_MAX)).is_ok());
        assert_eq!(
            parse(&padded(ENROLMENT_BYTES_MAX + 1)),
            Err(EnrolError::TooLong)
        );
    }

    #[test]
    fn the_person_is_in_the_path() {
        let person = |rest: &str| person_of(&format!("{PATH_PREFIX}{rest}"));
        assert_eq!(person("staff-7").unwrap().as_str(), "staff-7");
        assert_eq!(person("a%20b%2Fc").unwrap().as_str(), "a b/c");
        for rest in ["", "a/b", "a?b", "%", "%4", "%zz", "%+1", "%FF", "%07"] {
            assert_eq!(person(rest), None, "{rest}");
        }
        assert_eq!(person_of("/api/devices"), None);
    }

    #[test]
    fn an_answer_says_since_when_and_in_words() {
        let person = ExtId::parse("7").unwrap();
        let done = PersonStatus::new(&person, EnrolmentState::Enrolled, Some(0));
        assert_eq!(
            done.to_json(),
            r#"{"ext_user_id":"7","state":"enrolled","text":"User enrolled","since":"1970-01-01T00:00:00Z"}"#
        );
        let none = PersonStatus::new(&person, EnrolmentState::NotEnrolled, None);
        assert!(!none.to_json().contains("since"));
        assert_eq!(error_json("a", "b\""), r#"{"error":"a","message":"b\""}"#);
    }

    fn openapi() -> Value {
        serde_json::from_str(OPENAPI).unwrap()
    }

    #[test]
    fn the_document_describes_what_is_read_and_written() {
        let document = openapi();
        assert_eq!(document["openapi"], "3.1.0");
        let path = format!("{PATH_PREFIX}{{ext_user_id}}");
        let methods = document["paths"][&path].as_object().unwrap();
        for method in ["get", "put", "delete"] {
            assert!(methods[method]["responses"]["401"].is_object(), "{method}");
            assert!(methods[method]["responses"]["200"].is_object(), "{method}");
        }
        let schemas = &document["components"]["schemas"];
        let request = &schemas["EnrolRequest"]["properties"];
        assert_eq!(request["email"]["maxLength"], EMAIL_BYTES_MAX);
        assert_eq!(request["first_name"]["maxLength"], NAME_CHARS_MAX);
        assert_eq!(request["last_name"]["maxLength"], NAME_CHARS_MAX);
        let languages = [
            Language::Ar,
            Language::De,
            Language::En,
            Language::Es,
            Language::Fr,
            Language::Nl,
        ];
        assert_eq!(request["language"]["enum"], serde_json::json!(languages));
        let states = [
            EnrolmentState::NotEnrolled,
            EnrolmentState::Requested,
            EnrolmentState::Invited,
            EnrolmentState::Consented,
            EnrolmentState::Enrolled,
            EnrolmentState::Failed,
        ];
        let status = &schemas["PersonStatus"]["properties"];
        assert_eq!(status["state"]["enum"], serde_json::json!(states));
        let words: Vec<_> = states.iter().map(|state| state.words()).collect();
        assert_eq!(status["text"]["examples"], serde_json::json!(words));
        let errors = [
            EnrolError::TooLong,
            EnrolError::Form,
            EnrolError::Email,
            EnrolError::Name,
        ];
        let listed = schemas["Error"]["properties"]["error"]["examples"]
            .as_array()
            .unwrap();
        for error in errors {
            assert!(listed.contains(&error.word().into()), "{error:?}");
        }
    }

    #[test]
    fn every_reference_in_the_document_leads_somewhere() {
        fn check(value: &Value, document: &Value) -> usize {
            match value {
                Value::Object(fields) => {
                    let mut found = 0;
                    for (name, field) in fields {
                        if let ("$ref", Value::String(target)) = (name.as_str(), field) {
                            let pointer = target.strip_prefix('#').unwrap();
                            assert!(document.pointer(pointer).is_some(), "{target}");
                            found += 1;
                        }
                        found += check(field, document);
                    }
                    found
                }
                Value::Array(items) => items.iter().map(|item| check(item, document)).sum(),
                _ => 0,
            }
        }
        let document = openapi();
        assert!(check(&document, &document) > 5);
    }
}
