//! What goes back: pages, redirects, JSON, files; each with the headers that keep a browser from
//! doing what a page of ours never wants.

use std::time::Instant;

use askama::Template;

use crate::error::SecretError;
use crate::net::{Method, Response};
use crate::store::StoreError;

/// Nothing but our own origin, no inline script or style, no frame around us.
const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; object-src 'none'; base-uri 'none'; \
    frame-ancestors 'none'; form-action 'self'";
const HTML: &str = "text/html; charset=utf-8";
const JSON: &str = "application/json";

/// Why something was not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// There is no such thing.
    NotFound,
    /// Whoever asks may not.
    Forbidden,
    /// The request cannot be understood, in words.
    BadRequest(String),
    /// It was understood and refused, in words.
    Refused(String),
    /// Too much is in flight.
    Busy,
    /// Something failed; the words are for the log only.
    Broken(String),
}

impl Failure {
    /// The HTTP status.
    pub(super) fn status(&self) -> u16 {
        match self {
            Self::NotFound => 404,
            Self::Forbidden => 403,
            Self::BadRequest(_) => 400,
            Self::Refused(_) => 422,
            Self::Busy => 503,
            Self::Broken(_) => 500,
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound { .. } => Self::NotFound,
            StoreError::Busy => Self::Busy,
            other => Self::Broken(other.to_string()),
        }
    }
}

impl From<SecretError> for Failure {
    fn from(error: SecretError) -> Self {
        Self::Broken(error.to_string())
    }
}

impl From<askama::Error> for Failure {
    fn from(error: askama::Error) -> Self {
        Self::Broken(error.to_string())
    }
}

/// A page.
///
/// # Errors
/// If the template cannot be rendered.
pub(super) fn html(page: &impl Template) -> Result<Response, Failure> {
    html_with(200, page)
}

/// A page with another status.
///
/// # Errors
/// If the template cannot be rendered.
pub(super) fn html_with(status: u16, page: &impl Template) -> Result<Response, Failure> {
    let text = page.render()?;
    Ok(guarded(Response::new(status, HTML, text.into_bytes())))
}

/// See the other page: what every form ends with. The address must be one of ours.
pub(super) fn redirect(to: &str) -> Response {
    guarded(Response::empty(303)).with_field("location", to)
}

/// JSON.
pub(super) fn json(status: u16, value: &serde_json::Value) -> Response {
    guarded(Response::new(status, JSON, value.to_string().into_bytes()))
}

/// A file to be saved under `name`, which must be plain ASCII without quotes.
pub(super) fn file(name: &str, content_type: &'static str, bytes: Vec<u8>) -> Response {
    let disposition = format!("attachment; filename=\"{name}\"");
    guarded(Response::new(200, content_type, bytes)).with_field("content-disposition", &disposition)
}

/// A style, script or picture; `version` in its address changes with it.
pub(super) fn asset(content_type: &'static str, bytes: &'static [u8]) -> Response {
    headers(Response::new(200, content_type, bytes))
        .with_field("cache-control", "public, max-age=31536000, immutable")
}

/// The methods of a path, as the header `Allow` names them.
pub(super) fn allow(methods: &[Method]) -> String {
    let names = methods.iter().map(|method| match method {
        Method::Get => "GET, HEAD",
        Method::Head => "HEAD",
        Method::Post => "POST",
        Method::Put => "PUT",
        Method::Patch => "PATCH",
        Method::Delete => "DELETE",
        Method::Options => "OPTIONS",
    });
    names.collect::<Vec<_>>().join(", ")
}

/// How long the answer took here, as browsers show it: from the request's last byte on, the queue
/// before the console's threads included.
pub(super) fn timed(response: Response, complete: Instant) -> Response {
    let ms = complete.elapsed().as_secs_f64() * 1e3;
    response.with_field("server-timing", &format!("total;dur={ms:.2}"))
}

/// Too much is in flight.
pub fn busy() -> Response {
    let text = "The server is busy. Try again in a moment.\n";
    guarded(Response::text(503, text)).with_field("retry-after", "1")
}

/// Something failed, and the log says what.
pub(super) fn broken() -> Response {
    guarded(Response::text(
        500,
        "Something failed. The log says what.\n",
    ))
}

fn guarded(response: Response) -> Response {
    headers(response).with_field("cache-control", "no-store")
}

fn headers(response: Response) -> Response {
    response
        .with_field("content-security-policy", CONTENT_SECURITY_POLICY)
        .with_field("strict-transport-security", "max-age=31536000")
        .with_field("x-content-type-options", "nosniff")
        .with_field("x-frame-options", "DENY")
        .with_field("referrer-policy", "no-referrer")
        .with_field("cross-origin-opener-policy", "same-origin")
        .with_field(
            "permissions-policy",
            "camera=(self), geolocation=(), microphone=()",
        )
}
