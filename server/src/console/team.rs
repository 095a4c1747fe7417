//! What pages and API do with the team and the tokens of the API. Nobody gives away what they may
//! not do themselves.

use std::sync::PoisonError;

use super::call::Call;
use super::csrf;
use super::desk::Desk;
use super::password;
use super::reply::Failure;
use super::session::TOKEN_PREFIX;
use crate::admin::message::{NewToken, Request};
use crate::store::{Role, Scopes, secret_hash};

/// Adds a member; gives the password.
///
/// # Errors
/// [`Failure::Forbidden`] for a role that may more than the caller; the writer's.
pub(super) fn add(desk: &Desk, call: &Call, name: &str, role: Role) -> Result<String, Failure> {
    may_give(call, role.scopes())?;
    let (password, password_hash) = new_password(desk)?;
    let request = Request::TeamAdd {
        name: name.to_owned(),
        role,
        password_hash,
    };
    desk.ask(call, request)?;
    Ok(password)
}

/// Makes a new password for a member, and gives it; ends all their sessions.
///
/// # Errors
/// As [`add`]; [`Failure::NotFound`].
pub(super) fn reset(desk: &Desk, call: &Call, name: &str) -> Result<String, Failure> {
    may_manage(desk, call, name)?;
    let (password, password_hash) = new_password(desk)?;
    let request = Request::TeamPassword {
        name: name.to_owned(),
        password_hash,
    };
    desk.ask(call, request)?;
    Ok(password)
}

/// Gives a member another role.
///
/// # Errors
/// As [`reset`].
pub(super) fn set_role(desk: &Desk, call: &Call, name: &str, role: Role) -> Result<(), Failure> {
    may_manage(desk, call, name)?;
    may_give(call, role.scopes())?;
    let name = name.to_owned();
    desk.ask(call, Request::TeamRole { name, role }).map(drop)
}

/// Removes a member.
///
/// # Errors
/// As [`reset`].
pub(super) fn remove(desk: &Desk, call: &Call, name: &str) -> Result<(), Failure> {
    may_manage(desk, call, name)?;
    let name = name.to_owned();
    desk.ask(call, Request::TeamRemove { name }).map(drop)
}

/// Adds a token of the API; gives its secret.
///
/// # Errors
/// As [`add`].
pub(super) fn add_token(
    desk: &Desk,
    call: &Call,
    name: &str,
    scopes: Scopes,
    days: Option<u16>,
) -> Result<String, Failure> {
    may_give(call, scopes)?;
    let secret = format!("{TOKEN_PREFIX}{}", csrf::new_secret()?);
    let token = NewToken {
        name: name.to_owned(),
        scopes: scopes.each().map(|scope| scope.name().to_owned()).collect(),
        hash: secret_hash(&secret).0.to_vec(),
        days,
    };
    desk.ask(call, Request::TokenAdd { token })?;
    Ok(secret)
}

/// Removes a token of the API.
///
/// # Errors
/// [`Failure::NotFound`]; the writer's.
pub(super) fn remove_token(desk: &Desk, call: &Call, name: &str) -> Result<(), Failure> {
    let tokens = desk.read.store.api_tokens()?;
    let known = tokens.iter().any(|token| token.name == name);
    known.then_some(()).ok_or(Failure::NotFound)?;
    let name = name.to_owned();
    desk.ask(call, Request::TokenRemove { name }).map(drop)
}

fn new_password(desk: &Desk) -> Result<(String, String), Failure> {
    let password = password::generate()?;
    let hashing = &desk.shared.hashing;
    let _one = hashing.lock().unwrap_or_else(PoisonError::into_inner);
    let hash = password::hash(&password)?;
    Ok((password, hash))
}

fn may_give(call: &Call, scopes: Scopes) -> Result<(), Failure> {
    let own = call.who.scopes();
    let within = scopes.each().all(|scope| own.allows(scope));
    within.then_some(()).ok_or(Failure::Forbidden)
}

fn may_manage(desk: &Desk, call: &Call, name: &str) -> Result<(), Failure> {
    let (member, _) = desk
        .read
        .store
        .member_named(name)?
        .ok_or(Failure::NotFound)?;
    may_give(call, member.role.scopes())
}
