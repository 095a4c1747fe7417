//! A request as pages and operations see it.

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::time::Instant;

use super::form::Form;
use super::language::Language;
use super::multipart::{self, Part};
use super::reply::Failure;
use crate::limits::{API_ROWS, PAGE_ROWS_MAX};
use crate::net::{Field, Method, Request};
use crate::store::{ApiToken, Member, Scope, Scopes, SecretHash};

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Who {
    /// Nobody known.
    Nobody,
    /// A member of the team, in a session.
    Member {
        /// Who.
        member: Member,
        /// The session.
        session: SecretHash,
    },
    /// A script with a token of the API.
    Token(ApiToken),
}

/// One request.
pub(super) struct Call {
    /// What is to be done; HEAD comes as GET.
    pub method: Method,
    /// Path, without query.
    pub path: String,
    /// What stood in the places of the route's pattern.
    pub places: Vec<String>,
    /// The query.
    pub query: Form,
    /// The form in the body; empty if it is none.
    pub form: Form,
    /// The body.
    pub body: Vec<u8>,
    /// Its type.
    pub content_type: String,
    /// Who asks.
    pub who: Who,
    /// What the forms of the page must carry.
    pub csrf: String,
    /// What the page is written in.
    pub language: &'static Language,
    /// Where it comes from.
    pub remote: IpAddr,
    /// The cookies.
    pub cookies: Cookies,
    /// The answer must be there then.
    pub deadline: Instant,
    /// The server's clock, Unix time in seconds.
    pub now_unix_s: i64,
}

/// The cookies of a request.
#[derive(Debug, Clone, Default)]
pub(super) struct Cookies(String);

impl Cookies {
    pub(super) fn of(request: &Request) -> Self {
        let header = request.fields.value(Field::Cookie);
        Self(header.unwrap_or_default().to_owned())
    }

    /// The value of a cookie.
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        self.0.split(';').find_map(|pair| {
            let (known, value) = pair.trim().split_once('=')?;
            (known == name).then_some(value)
        })
    }
}

impl Who {
    /// The name for the audit.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Nobody => "nobody",
            Self::Member { member, .. } => &member.name,
            Self::Token(token) => &token.name,
        }
    }

    /// The session, of a member.
    pub(super) fn session(&self) -> Option<SecretHash> {
        match self {
            Self::Member { session, .. } => Some(*session),
            Self::Nobody | Self::Token(_) => None,
        }
    }

    /// The member.
    pub(super) fn member(&self) -> Option<&Member> {
        match self {
            Self::Member { member, .. } => Some(member),
            Self::Nobody | Self::Token(_) => None,
        }
    }

    /// What they may do.
    pub(super) fn scopes(&self) -> Scopes {
        match self {
            Self::Nobody => Scopes::default(),
            Self::Member { member, .. } => member.role.scopes(),
            Self::Token(token) => token.scopes,
        }
    }

    /// Whether they may do this.
    pub(super) fn may(&self, scope: Scope) -> bool {
        self.scopes().allows(scope)
    }
}

impl Call {
    /// What stood in the first place of the route's pattern, as `P1` in `/console/people/{}`.
    pub(super) fn place(&self) -> &str {
        self.places.first().map_or("", String::as_str)
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// [`Failure::BadRequest`] if it is none, or not of this form.
    pub(super) fn json<T: serde::de::DeserializeOwned>(&self) -> Result<T, Failure> {
        serde_json::from_slice(&self.body)
            .map_err(|error| Failure::BadRequest(format!("the body is not as described: {error}")))
    }

    /// A number of the query, where it has one.
    ///
    /// # Errors
    /// [`Failure::BadRequest`] if it is none, or outside of `bounds`.
    pub(super) fn number(
        &self,
        name: &str,
        bounds: RangeInclusive<u64>,
    ) -> Result<Option<u64>, Failure> {
        let Some(text) = self.query.raw(name) else {
            return Ok(None);
        };
        // A sign or a blank before it is none of a whole number's digits.
        let plain = text.bytes().all(|byte| byte.is_ascii_digit());
        let number = plain.then(|| text.parse().ok()).flatten();
        match number.filter(|number| bounds.contains(number)) {
            Some(number) => Ok(Some(number)),
            None => Err(Failure::BadRequest(format!(
                "{name} is a whole number from {} to {}",
                bounds.start(),
                bounds.end()
            ))),
        }
    }

    /// How many rows the query asks for; 100 if it does not say.
    ///
    /// # Errors
    /// As [`Call::number`].
    pub(super) fn rows(&self) -> Result<usize, Failure> {
        let rows = self.number("limit", 1..=PAGE_ROWS_MAX as u64)?;
        Ok(rows.map_or(API_ROWS, |rows| rows as usize))
    }

    /// One of these words of the query, where it has one.
    ///
    /// # Errors
    /// [`Failure::BadRequest`] if it is another.
    pub(super) fn word(
        &self,
        name: &str,
        words: &[&'static str],
    ) -> Result<Option<&'static str>, Failure> {
        let Some(text) = self.query.raw(name) else {
            return Ok(None);
        };
        let found = words.iter().find(|word| **word == text);
        let wrong = || Failure::BadRequest(format!("{name} is one of: {}", words.join(", ")));
        found.copied().map(Some).ok_or_else(wrong)
    }

    /// The parts of a form with files.
    ///
    /// # Errors
    /// [`Failure::BadRequest`] if it is none.
    pub(super) fn multipart(&self) -> Result<Vec<Part<'_>>, Failure> {
        let parts = multipart::parse(&self.content_type, &self.body);
        parts.ok_or_else(|| Failure::BadRequest(self.t("problem.no-file").to_owned()))
    }

    /// Text in the language of the page.
    pub(super) fn t(&self, key: &str) -> &'static str {
        self.language.text(key)
    }
}
