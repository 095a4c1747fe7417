//! From a commissioning code to an identity, and from an identity to a renewed one.

use std::fmt;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use cardea_wire::commission::{Certificates, CommissionRequest, RenewRequest};
use cardea_wire::{CommissioningCode, Decision, Kind, Reason, Reply, RequestId, WireError, path};
use rustls_pki_types::CertificateDer;

use crate::blocking::Session;
use crate::client::{Failure, Stage};
use crate::http::Response;
use crate::identity::{Identity, IdentityError, NewKey};
use crate::limits::{CODES_MAX, COMMISSIONING_THREADS, TURNED_AWAY_PAUSE};
use crate::tls;

/// Why a device has no (new) certificate.
#[derive(Debug)]
pub enum CommissionError {
    /// A line that is no commissioning code.
    BadCode {
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        error: WireError,
    },
    /// More than [`CODES_MAX`] codes.
    TooManyCodes,
    /// The exchange failed.
    Exchange(Failure),
    /// The server said no.
    Refused {
        /// The HTTP status.
        status: u16,
        /// Why, where the server said so.
        reason: Option<Reason>,
    },
    /// The key or the file.
    Identity(IdentityError),
}

/// The codes in a text: one a line, the last word of it; blank lines and `#` comments do not count.
///
/// # Errors
/// [`CommissionError::BadCode`], [`CommissionError::TooManyCodes`].
pub fn parse_codes(text: &str) -> Result<Vec<CommissioningCode>, CommissionError> {
    let mut codes = Vec::new();
    for (number, line) in text.lines().enumerate() {
        if line.trim_start().starts_with('#') {
            continue;
        }
        let Some(word) = line.split_whitespace().next_back() else {
            continue;
        };
        let code = CommissioningCode::parse(word);
        let line = number + 1;
        codes.push(code.map_err(|error| CommissionError::BadCode { line, error })?);
        if codes.len() > CODES_MAX {
            return Err(CommissionError::TooManyCodes);
        }
    }
    Ok(codes)
}

/// Trades one code for an identity: makes a key, finds the site CA by the code's SHA-256 in the
/// server's chain, and sends the token only over a connection that this CA vouches for. While the
/// site CA rolls over, the reply brings the new one: the connection vouches for it.
///
/// # Errors
/// [`CommissionError`].
pub fn commission(
    code: &CommissioningCode,
    timeout: Duration,
) -> Result<Identity, CommissionError> {
    let new = NewKey::generate().map_err(CommissionError::Identity)?;
    let config = tls::uncommissioned(code.site_ca_sha256)
        .map_err(|error| CommissionError::Exchange(Failure::new(Stage::Handshake, error)))?;
    let mut session =
        Session::connect(config, code.server, timeout).map_err(CommissionError::Exchange)?;
    let request = CommissionRequest {
        request_id: random_request_id()?,
        token: code.token,
        csr: &new.csr,
    };
    let mut body = Vec::new();
    request.write(&mut body);
    let response = session
        .exchange(path::COMMISSION, &body)
        .map_err(CommissionError::Exchange)?;
    let reply = served(&response, Kind::Commission, request.request_id)?;
    let (certificate, site_ca) = certificates(&reply)?;
    Ok(Identity {
        server: code.server,
        door: code.door.clone(),
        key: new.key,
        certificate,
        site_cas: vec![site_ca],
    })
}

/// Renews an identity with a new key. The site CA may have rolled over: the new one comes first and
/// the one before is kept.
///
/// # Errors
/// [`CommissionError`].
pub fn renew(identity: &Identity, session: &mut Session) -> Result<Identity, CommissionError> {
    let new = NewKey::generate().map_err(CommissionError::Identity)?;
    let request = RenewRequest {
        request_id: random_request_id()?,
        csr: &new.csr,
    };
    let mut body = Vec::new();
    request.write(&mut body);
    let response = session
        .exchange(path::RENEW, &body)
        .map_err(CommissionError::Exchange)?;
    let reply = served(&response, Kind::Renew, request.request_id)?;
    let (certificate, site_ca) = certificates(&reply)?;
    let mut site_cas = vec![site_ca];
    let before = identity.site_cas.first().cloned();
    site_cas.extend(before.filter(|before| *before != site_cas[0]));
    Ok(Identity {
        server: identity.server,
        door: identity.door.clone(),
        key: new.key,
        certificate,
        site_cas,
    })
}

/// Commissions a device for each code, several at a time, and saves the identities in `folder` in
/// the order of the codes. Stops at the first failure. `done` is called with the number done so
/// far.
///
/// # Errors
/// The first [`CommissionError`].
pub fn commission_all(
    codes: &[CommissioningCode],
    folder: &Path,
    timeout: Duration,
    done: &(dyn Fn(usize) + Sync),
) -> Result<(), CommissionError> {
    let next = AtomicUsize::new(0);
    let finished = AtomicUsize::new(0);
    let failed: Mutex<Option<CommissionError>> = Mutex::new(None);
    let work = || {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(code) = codes.get(number) else {
                return;
            };
            let outcome = commission_patiently(code, timeout).and_then(|identity| {
                let path = Identity::path_in(folder, number);
                identity.save(&path).map_err(CommissionError::Identity)
            });
            if let Err(error) = outcome {
                next.store(codes.len(), Ordering::Relaxed);
                if let Ok(mut failed) = failed.lock() {
                    failed.get_or_insert(error);
                }
                return;
            }
            done(finished.fetch_add(1, Ordering::Relaxed) + 1);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..COMMISSIONING_THREADS.min(codes.len()) {
            scope.spawn(work);
        }
    });
    match failed.into_inner() {
        Ok(None) => Ok(()),
        Ok(Some(error)) => Err(error),
        Err(_) => Err(CommissionError::Exchange(Failure::new(
            Stage::Parse,
            "a commissioning thread ended early",
        ))),
    }
}

/// Commissions a device, and tries again where the server turned the connection away before the
/// token was sent: it takes only so many connections a second from one address.
fn commission_patiently(
    code: &CommissioningCode,
    timeout: Duration,
) -> Result<Identity, CommissionError> {
    let deadline = Instant::now() + timeout;
    loop {
        match commission(code, timeout) {
            Err(CommissionError::Exchange(failure))
                if matches!(failure.stage, Stage::Connect | Stage::Handshake)
                    && Instant::now() < deadline =>
            {
                std::thread::sleep(TURNED_AWAY_PAUSE);
            }
            outcome => return outcome,
        }
    }
}

/// Sixteen random bytes: the name of one attempt.
///
/// # Errors
/// [`CommissionError::Identity`] when the system's randomness fails.
pub fn random_request_id() -> Result<RequestId, CommissionError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)
        .map_err(|error| CommissionError::Identity(IdentityError::Key(error.to_string())))?;
    Ok(RequestId(bytes))
}

fn served(response: &Response, kind: Kind, id: RequestId) -> Result<Reply, CommissionError> {
    let reply = Reply::parse(&response.body);
    if response.status != 200 {
        return Err(CommissionError::Refused {
            status: response.status,
            reason: reply.ok().map(|reply| reply.reason),
        });
    }
    let parse = |why: &dyn fmt::Display| CommissionError::Exchange(Failure::new(Stage::Parse, why));
    let reply = reply.map_err(|error| parse(&error))?;
    if reply.kind != kind || reply.request_id != id || reply.decision != Decision::Served {
        return Err(parse(&"the reply is to another request"));
    }
    Ok(reply)
}

type CertificatePair = (CertificateDer<'static>, CertificateDer<'static>);

fn certificates(reply: &Reply) -> Result<CertificatePair, CommissionError> {
    let found = Certificates::parse(&reply.payload)
        .map_err(|error| CommissionError::Exchange(Failure::new(Stage::Parse, error)))?;
    Ok((
        CertificateDer::from(found.device.to_vec()),
        CertificateDer::from(found.site_ca.to_vec()),
    ))
}

impl fmt::Display for CommissionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadCode { line, error } => write!(f, "line {line}: {error}"),
            Self::TooManyCodes => write!(f, "more than {CODES_MAX} codes"),
            Self::Exchange(failure) => write!(f, "commissioning failed: {failure}"),
            Self::Refused { status, reason } => {
                let reason = reason.map_or("no reason given", Reason::text);
                write!(f, "the server refused (HTTP {status}): {reason}")
            }
            Self::Identity(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for CommissionError {}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    #[test]
    fn codes_are_the_last_words_of_lines_and_a_bad_one_is_named_by_its_line() {
        let code = CommissioningCode {
            server: SocketAddr::from(([127, 0, 0, 1], 443)),
            site_ca_sha256: [1; 32],
            token: [2; 16],
            door: "Front door".to_owned(),
        };
        let text = format!(
            "# devices\n\nfront {}\n{}\n",
            code.to_text(),
            code.to_text()
        );
        let codes = parse_codes(&text).expect("two codes");
        assert_eq!(codes, [code.clone(), code]);
        assert!(matches!(
            parse_codes("\nnonsense"),
            Err(CommissionError::BadCode { line: 2, .. })
        ));
    }

    #[test]
    fn the_bound_of_codes_is_kept() {
        let code = CommissioningCode {
            server: SocketAddr::from(([127, 0, 0, 1], 443)),
            site_ca_sha256: [1; 32],
            token: [2; 16],
            door: String::new(),
        };
        let text = format!("{}\n", code.to_text()).repeat(CODES_MAX + 1);
        assert!(matches!(
            parse_codes(&text),
            Err(CommissionError::TooManyCodes)
        ));
    }
}
