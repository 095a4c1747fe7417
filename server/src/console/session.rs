//! Who asks, by cookie or token; signing in and out.

use std::sync::PoisonError;
use std::time::Instant;

use super::call::{Call, Cookies, Who};
use super::csrf;
use super::desk::Desk;
use super::password;
use super::reply::Failure;
use super::throttle::Attempt;
use crate::limits::{BROWSER_LIFE_S, SESSION_SEEN_S};
use crate::metrics::events;
use crate::store::{SecretHash, secret_hash};
use crate::writer::ConsoleChange;

/// The cookie of a session.
pub(super) const COOKIE: &str = "__Host-session";
/// The cookie of a browser from which somebody has signed in before.
pub(super) const BROWSER: &str = "__Host-browser";
/// What a token of the API begins with, so that scanners of source code know it.
pub(super) const TOKEN_PREFIX: &str = "cardea_";

/// Why nobody was signed in.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum SignInRefused {
    /// Name or password is wrong; which, nobody is told.
    Wrong,
    /// Too many were: to be tried again after so many seconds.
    Wait(i64),
    /// It failed for another reason.
    Failed(Failure),
}

impl From<Failure> for SignInRefused {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// The member whose session the cookie names, and what its forms must carry.
///
/// # Errors
/// Those of a read.
pub(super) fn of_cookie(
    desk: &Desk,
    cookies: &Cookies,
    now_unix_s: i64,
) -> Result<Option<(Who, String)>, Failure> {
    let Some(secret) = cookies.value(COOKIE) else {
        return Ok(None);
    };
    let session = secret_hash(secret);
    let Some((member, seen)) = desk.read.store.session(session, now_unix_s)? else {
        return Ok(None);
    };
    if now_unix_s - seen >= SESSION_SEEN_S {
        desk.note(ConsoleChange::SessionSeen(session));
    }
    Ok(Some((Who::Member { member, session }, csrf::token(secret))))
}

/// The token of the API that an `Authorization` shows.
///
/// # Errors
/// Those of a read.
pub(super) fn of_authorization(
    desk: &Desk,
    shown: &str,
    now_unix_s: i64,
) -> Result<Option<Who>, Failure> {
    let Some((scheme, secret)) = shown.split_once(' ') else {
        return Ok(None);
    };
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Ok(None);
    }
    let hash = secret_hash(secret.trim());
    let Some(token) = desk.read.store.api_token(hash, now_unix_s)? else {
        return Ok(None);
    };
    if token
        .used_unix_s
        .is_none_or(|used| now_unix_s - used >= SESSION_SEEN_S)
    {
        desk.note(ConsoleChange::TokenSeen(token.id));
    }
    Ok(Some(Who::Token(token)))
}

/// Signs somebody in; gives the cookies to set.
///
/// # Errors
/// Why not.
pub(super) fn sign_in(
    desk: &Desk,
    call: &Call,
    name: &str,
    password: &str,
) -> Result<Vec<String>, SignInRefused> {
    let stored = desk.read.store.member_named(name).map_err(Failure::from)?;
    let shown = call.cookies.value(BROWSER).map(secret_hash);
    let mut browser = None;
    if let (Some((member, _)), Some(shown)) = (&stored, shown) {
        let known = desk
            .read
            .store
            .browser_known(shown, member.id, call.now_unix_s);
        browser = known.map_err(Failure::from)?.then_some(shown);
    }
    let attempt = Attempt {
        remote: call.remote,
        name: name.chars().take(64).collect(),
        browser,
    };
    let admitted = throttle(desk, |throttle| throttle.admit(&attempt, call.now_unix_s));
    admitted.map_err(|seconds| {
        events::SIGN_IN_WAITS.count();
        SignInRefused::Wait(seconds)
    })?;
    let hash = stored.as_ref().map_or(password::NOBODYS, |(_, hash)| hash);
    let right = {
        let _one = desk
            .shared
            .hashing
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        password::is_of(hash, password)
    };
    let Some((member, _)) = stored.filter(|_| right) else {
        throttle(desk, |throttle| throttle.failed(&attempt, call.now_unix_s));
        let times = events::PASSWORD_WRONG.count();
        if times.is_power_of_two() {
            tracing::warn!(remote = %call.remote, times, "a wrong password for the console");
        }
        return Err(SignInRefused::Wrong);
    };
    throttle(desk, |throttle| throttle.succeeded(&attempt));
    open(
        desk,
        call.deadline,
        member.id,
        &member.name,
        browser.is_none(),
    )
    .map_err(SignInRefused::Failed)
}

/// Opens a session; gives the cookies to set.
///
/// # Errors
/// If the writer has no time, or the system gives no random numbers.
pub(super) fn open(
    desk: &Desk,
    deadline: Instant,
    member: u64,
    name: &str,
    new_browser: bool,
) -> Result<Vec<String>, Failure> {
    let secret = csrf::new_secret()?;
    let mut cookies = vec![cookie(COOKIE, &secret, None)];
    let mut browser = None;
    if new_browser {
        let known = csrf::new_secret()?;
        cookies.push(cookie(BROWSER, &known, Some(BROWSER_LIFE_S)));
        browser = Some(secret_hash(&known));
    }
    let change = ConsoleChange::SessionOpen {
        session: secret_hash(&secret),
        member,
        name: name.to_owned(),
        browser,
    };
    desk.change(change, deadline)?;
    Ok(cookies)
}

/// Ends a session; gives the cookie to set.
///
/// # Errors
/// If the writer has no time.
pub(super) fn sign_out(desk: &Desk, call: &Call, session: SecretHash) -> Result<String, Failure> {
    desk.change(ConsoleChange::SessionEnd(session), call.deadline)?;
    Ok(cookie(COOKIE, "", Some(0)))
}

/// A cookie for this host alone, out of reach of scripts and other sites. Without `life_s` it goes
/// with the browser.
pub(super) fn cookie(name: &str, value: &str, life_s: Option<i64>) -> String {
    let life = life_s.map_or_else(String::new, |life_s| format!("; Max-Age={life_s}"));
    format!("{name}={value}; Path=/; Secure; HttpOnly; SameSite=Strict{life}")
}

fn throttle<T>(desk: &Desk, look: impl FnOnce(&mut super::throttle::Throttle) -> T) -> T {
    let mut throttle = desk
        .shared
        .throttle
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    look(&mut throttle)
}
