//! Connect, as the writer tells of it.

use super::{Indicator, Name, State, unconfigured};
use crate::admin::message::{Request, Response};
use crate::console::call::Call;
use crate::console::desk::Desk;
use crate::console::reply::Failure;
use crate::store::SettingKey;

/// What the writer says, by name; empty if this site has not joined, or the writer has no time.
///
/// # Errors
/// Those of a read.
pub(crate) fn facts(desk: &Desk, call: &Call) -> Result<Vec<(String, String)>, Failure> {
    let joined = desk.read.store.setting(SettingKey::CONNECT_SEALED)?;
    if joined.is_none() {
        return Ok(Vec::new());
    }
    let Ok(Response::Table { rows, .. }) = desk.ask(call, Request::ConnectStatus) else {
        return Ok(Vec::new());
    };
    let facts = rows.into_iter().filter_map(|row| {
        let [name, value] = <[String; 2]>::try_from(row).ok()?;
        Some((name, value))
    });
    Ok(facts.collect())
}

/// The fact of this name; empty if there is none.
pub(crate) fn fact<'a>(facts: &'a [(String, String)], name: &str) -> &'a str {
    let found = facts.iter().find(|(known, _)| known == name);
    found.map_or("", |(_, value)| value.as_str())
}

/// How it is.
///
/// # Errors
/// Those of a read.
pub(super) fn state(desk: &Desk, call: &Call) -> Result<State, Failure> {
    let key = SettingKey::CONNECT_SEALED;
    let joined = desk.read.store.setting(key)?.is_some();
    let facts = facts(desk, call)?;
    Ok(State {
        configured: joined,
        indicator: indicator(fact(&facts, "status")),
        why: fact(&facts, "why").to_owned(),
        ..unconfigured(Name::Connect)
    })
}

/// The indicator that a status names.
fn indicator(status: &str) -> Indicator {
    match status {
        "Connected" => Indicator::Connected,
        "Unauthorized" => Indicator::Unauthorized,
        "Disconnected" => Indicator::Disconnected,
        _ => Indicator::NoStatus,
    }
}
