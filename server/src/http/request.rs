//! A whole request, as the service receives it.

use std::borrow::Cow;
use std::time::Instant;

use cardea_wire::{CONTENT_TYPE, path};

/// Targets and values that devices send with every request: no copy is made of them.
const USUAL: [&str; 3] = [path::ACCESS, path::HEARTBEAT, CONTENT_TYPE];

/// A text of a head, to be kept.
pub(super) fn kept(text: &str) -> Cow<'static, str> {
    match USUAL.iter().find(|usual| **usual == text) {
        Some(usual) => Cow::Borrowed(usual),
        None => Cow::Owned(text.to_owned()),
    }
}

/// The methods that some route of ours may know; others are refused while framing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// `GET`
    Get,
    /// `HEAD`: answered like GET, without the body.
    Head,
    /// `POST`
    Post,
    /// `PUT`
    Put,
    /// `PATCH`
    Patch,
    /// `DELETE`
    Delete,
    /// `OPTIONS`
    Options,
}

impl Method {
    /// The method of this name; names are case-sensitive.
    pub fn from_name(name: &str) -> Option<Method> {
        Some(match name {
            "GET" => Method::Get,
            "HEAD" => Method::Head,
            "POST" => Method::Post,
            "PUT" => Method::Put,
            "PATCH" => Method::Patch,
            "DELETE" => Method::Delete,
            "OPTIONS" => Method::Options,
            _ => return None,
        })
    }

    /// Whether a request of this method must say how long its body is.
    pub(super) fn needs_length(self) -> bool {
        matches!(self, Method::Post | Method::Put | Method::Patch)
    }

    /// Whether a request of this method may have a body.
    pub(super) fn may_have_body(self) -> bool {
        !matches!(self, Method::Get | Method::Head)
    }
}

/// The headers that are kept for the service; all others are dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Field {
    /// `Authorization`
    Authorization,
    /// `Content-Type`
    ContentType,
    /// `Cookie`
    Cookie,
    /// `Origin`
    Origin,
    /// `Accept-Language`
    AcceptLanguage,
    /// `Range`
    Range,
    /// `Sec-Fetch-Site`: from where a browser's request comes.
    FetchSite,
}

/// How many they are.
const FIELDS: usize = Field::FetchSite as usize + 1;

impl Field {
    /// The field of this header name, in any case.
    pub(super) fn from_name(name: &str) -> Option<Field> {
        const NAMES: [(&str, Field); FIELDS] = [
            ("content-type", Field::ContentType),
            ("authorization", Field::Authorization),
            ("cookie", Field::Cookie),
            ("origin", Field::Origin),
            ("accept-language", Field::AcceptLanguage),
            ("range", Field::Range),
            ("sec-fetch-site", Field::FetchSite),
        ];
        NAMES
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|&(_, field)| field)
    }
}

/// The kept headers of one request, each at most once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields([Option<Cow<'static, str>>; FIELDS]);

impl Fields {
    /// The value of `field`, without surrounding blanks.
    pub fn value(&self, field: Field) -> Option<&str> {
        self.0[field as usize].as_deref()
    }

    /// Adds a field. Returns whether it was new; a field that is there already stays as it is.
    pub fn insert(&mut self, field: Field, value: &str) -> bool {
        let place = &mut self.0[field as usize];
        let new = place.is_none();
        if new {
            *place = Some(kept(value));
        }
        new
    }
}

/// When the parts of a request arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestTimes {
    /// From accept to the end of the handshake, in microseconds; only with the first request of a
    /// connection.
    pub handshake_us: Option<u32>,
    /// When the first byte of the head arrived.
    pub first_byte: Instant,
    /// When the last byte of the body arrived.
    pub complete: Instant,
}

/// One request, whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// What is to be done.
    pub method: Method,
    /// Path and query, visible ASCII, begins with `/`.
    pub target: Cow<'static, str>,
    /// The headers that are kept.
    pub fields: Fields,
    /// Exactly as long as the request said, at most `limits::BODY_BYTES_MAX`, or
    /// `limits::LARGE_BODY_BYTES_MAX` for the console's paths.
    pub body: Vec<u8>,
    /// When it arrived.
    pub times: RequestTimes,
}

impl Request {
    /// A request without headers that arrived in one piece at `now`.
    pub fn new(method: Method, target: &str, body: Vec<u8>, now: Instant) -> Request {
        Request {
            method,
            target: kept(target),
            fields: Fields::default(),
            body,
            times: RequestTimes {
                handshake_us: None,
                first_byte: now,
                complete: now,
            },
        }
    }

    /// The target up to its query.
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// The target's part after the first `?`.
    pub fn query(&self) -> Option<&str> {
        self.target.split_once('?').map(|(_, query)| query)
    }
}
