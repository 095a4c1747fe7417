//! Looks at a web page once: is it there, over HTTPS with a certificate that this machine trusts,
//! and what does it say. Used for the site's privacy policy.

use std::fmt;
use std::time::Instant;

use rustls_pki_types::ServerName;
use ureq_proto::client::{
    Call as Exchange, RecvBodyResult, RecvResponseResult, SendRequestResult, state,
};
use ureq_proto::http::header::{ACCEPT, LOCATION, USER_AGENT};
use ureq_proto::http::{Request, Uri};

use super::link::{self, Link};
use super::tls::{self, Trust};
use super::{Endpoint, Fault, send};
use crate::limits::{HTTP_HEAD_BYTES_MAX, PAGE_REDIRECTS_MAX, WEB_PAGE_BYTES_MAX};

const HTTPS_PORT: u16 = 443;
const HEAD_BYTES: usize = 8 << 10;

/// A page as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The HTTP status.
    pub status: u16,
    /// Where it was in the end.
    pub address: String,
    /// Its first [`WEB_PAGE_BYTES_MAX`] bytes.
    pub body: Vec<u8>,
}

/// Why there is no page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PageError {
    /// The address is not `https://host/..`.
    Address,
    /// It leads on and on, or to what is not HTTPS.
    Redirect,
    /// Anything else.
    Fault(Fault),
}

impl fmt::Display for PageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address => f.write_str("the address does not begin with https:// and a host"),
            Self::Redirect => f.write_str("it leads on to a page without HTTPS, or in a circle"),
            Self::Fault(Fault::Resolve) => f.write_str("its host name has no address"),
            Self::Fault(Fault::Connect(why)) => write!(f, "no connection: {why}"),
            Self::Fault(Fault::Certificate(why)) => {
                write!(f, "its certificate is not trusted: {why}")
            }
            Self::Fault(Fault::Deadline) => f.write_str("no answer in time"),
            Self::Fault(Fault::Closed) => f.write_str("the connection ended without an answer"),
            Self::Fault(Fault::Tls(why) | Fault::Socket(why) | Fault::Http(why)) => {
                write!(f, "the connection failed: {why}")
            }
            Self::Fault(
                fault @ (Fault::TooLarge(_)
                | Fault::Frame
                | Fault::RequestTooLarge(_)
                | Fault::Withheld),
            ) => fault.fmt(f),
        }
    }
}

impl std::error::Error for PageError {}

impl From<Fault> for PageError {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// Gets the page at `address`, following at most [`PAGE_REDIRECTS_MAX`] redirects within HTTPS.
/// `roots` are the authorities to believe, PEM.
///
/// # Errors
/// Any [`PageError`].
pub fn fetch(address: &str, roots: &[u8], deadline: Instant) -> Result<Page, PageError> {
    let mut address = address.to_owned();
    for _ in 0..=PAGE_REDIRECTS_MAX {
        let uri = checked(&address)?;
        match get(&uri, roots, deadline)? {
            (status, Some(to), _) if (300..400).contains(&status) => {
                address = resolved(&uri, &to)?;
            }
            (status, _, body) => {
                return Ok(Page {
                    status,
                    address,
                    body,
                });
            }
        }
    }
    Err(PageError::Redirect)
}

fn checked(address: &str) -> Result<Uri, PageError> {
    let uri: Uri = address.parse().map_err(|_| PageError::Address)?;
    let is_https = uri.scheme_str() == Some("https") && uri.host().is_some();
    is_https.then_some(uri).ok_or(PageError::Address)
}

/// Where a redirect leads.
fn resolved(from: &Uri, to: &str) -> Result<String, PageError> {
    if to.starts_with("https://") {
        return Ok(to.to_owned());
    }
    match (
        to.starts_with('/') && !to.starts_with("//"),
        from.authority(),
    ) {
        (true, Some(authority)) => Ok(format!("https://{authority}{to}")),
        _ => Err(PageError::Redirect),
    }
}

type Got = (u16, Option<String>, Vec<u8>);

fn get(uri: &Uri, roots: &[u8], deadline: Instant) -> Result<Got, PageError> {
    let host = uri.host().ok_or(PageError::Address)?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let port = uri.port_u16().unwrap_or(HTTPS_PORT);
    let endpoint = Endpoint::tcp(host, port).map_err(|_| PageError::Address)?;
    endpoint.resolve();
    let trust = Trust::Roots(roots.to_vec());
    let tls = tls::client_config(&trust).map_err(Fault::Tls)?;
    let name = ServerName::try_from(host.to_owned()).map_err(|_| PageError::Address)?;
    let socket = link::connect(&endpoint.addresses(), deadline)?;
    let mut link = Link::secure(socket, &tls, &name, deadline)?;
    let (request, exchange) = render(uri)?;
    let sent = send(&mut link, &request, deadline, &|| true);
    sent.map_err(|_| Fault::Closed)?;
    read(&mut link, exchange, deadline).map_err(PageError::Fault)
}

fn render(uri: &Uri) -> Result<(Vec<u8>, Exchange<state::RecvResponse>), Fault> {
    let request = Request::get(uri)
        .header(
            ACCEPT,
            "text/html, text/plain, application/pdf;q=0.5, */*;q=0.1",
        )
        .header(USER_AGENT, "Cardea")
        .header("connection", "close")
        .body(())
        .map_err(|error| fault(&error))?;
    let exchange = Exchange::new(request).map_err(|error| fault(&error))?;
    let mut exchange = exchange.proceed();
    let mut bytes = vec![0; HEAD_BYTES];
    let length = exchange.write(&mut bytes).map_err(|error| fault(&error))?;
    bytes.truncate(length);
    match exchange.proceed() {
        Ok(Some(SendRequestResult::RecvResponse(exchange))) => Ok((bytes, exchange)),
        _ => Err(Fault::RequestTooLarge(HEAD_BYTES)),
    }
}

fn read(
    link: &mut Link,
    mut exchange: Exchange<state::RecvResponse>,
    deadline: Instant,
) -> Result<Got, Fault> {
    let mut input = Vec::new();
    let (status, location) = loop {
        let parsed = exchange.try_response(&input, false);
        let (used, response) = parsed.map_err(|error| fault(&error))?;
        input.drain(..used);
        if let Some(response) = response {
            let location = response.headers().get(LOCATION);
            let location = location.and_then(|value| value.to_str().ok());
            break (response.status().as_u16(), location.map(str::to_owned));
        }
        if used > 0 {
            continue;
        }
        if input.len() > HTTP_HEAD_BYTES_MAX {
            return Err(Fault::TooLarge(HTTP_HEAD_BYTES_MAX));
        }
        if link.receive(&mut input, deadline)? == 0 {
            return Err(Fault::Closed);
        }
    };
    match exchange.proceed() {
        Some(RecvResponseResult::RecvBody(exchange)) => {
            let body = read_body(link, exchange, input, deadline)?;
            Ok((status, location, body))
        }
        Some(RecvResponseResult::Redirect(_) | RecvResponseResult::Cleanup(_)) | None => {
            Ok((status, location, Vec::new()))
        }
    }
}

/// Reads as much of the body as is looked at; the rest is left.
fn read_body(
    link: &mut Link,
    mut exchange: Exchange<state::RecvBody>,
    mut input: Vec<u8>,
    deadline: Instant,
) -> Result<Vec<u8>, Fault> {
    let mut body = Vec::new();
    let mut output = vec![0; 64 << 10];
    loop {
        let read = exchange.read(&input, &mut output);
        let (used, produced) = read.map_err(|error| fault(&error))?;
        input.drain(..used);
        body.extend_from_slice(&output[..produced]);
        if body.len() >= WEB_PAGE_BYTES_MAX {
            body.truncate(WEB_PAGE_BYTES_MAX);
            return Ok(body);
        }
        if used > 0 || produced > 0 {
            continue;
        }
        let ended = exchange.can_proceed();
        if ended || link.receive(&mut input, deadline)? == 0 {
            // Cut short or whole: what is there can be looked at.
            let _: Option<RecvBodyResult> = exchange.proceed();
            return Ok(body);
        }
    }
}

fn fault(error: &dyn std::error::Error) -> Fault {
    Fault::Http(crate::message::reply::shorten(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_https_is_asked_and_redirects_stay_there() {
        for other in [
            "http://a.example/",
            "a.example",
            "https://",
            "ftp://a/",
            "",
            "https:///x",
        ] {
            assert_eq!(checked(other), Err(PageError::Address), "{other}");
        }
        let from = checked("https://a.example:8443/x").unwrap();
        let leads = |to| resolved(&from, to);
        assert_eq!(leads("/y"), Ok("https://a.example:8443/y".into()));
        assert_eq!(leads("https://b.example/"), Ok("https://b.example/".into()));
        for other in ["http://a.example/", "//b.example/", "y"] {
            assert_eq!(leads(other), Err(PageError::Redirect), "{other}");
        }
    }
}
