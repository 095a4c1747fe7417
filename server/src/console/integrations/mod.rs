//! The integrations, as pages and API see them: which there are, and how each is.
//!
//! - `connect`: how the connection to Connect is
//! - `space`: how Space is reached, tested when it is saved, and what it must be set to
//! - `service`: the rest of the Enrolment Service: version, other way in, mail
//! - `policy`: the page that says how biometric data is used, looked at when it is saved

pub(super) mod connect;
pub(super) mod policy;
pub(super) mod service;
pub(super) mod space;

use cardea_space::status::Connection;

use super::desk::Desk;
use super::reply::Failure;
use crate::admin::message::Request;
use crate::console::call::Call;
use crate::store::SettingKey;

/// One integration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Name {
    /// The access control system.
    Space,
    /// Where people enrol themselves.
    Enrolment,
    /// Monitoring and updates from afar.
    Connect,
}

impl Name {
    /// All, in the order of the page.
    pub(super) const ALL: [Self; 3] = [Self::Space, Self::Enrolment, Self::Connect];

    /// Its name in paths, texts and symbols.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Space => "space",
            Self::Enrolment => "enrolment",
            Self::Connect => "connect",
        }
    }

    /// Where its options are.
    pub(super) fn path(self) -> &'static str {
        match self {
            Self::Space => "/console/integrations/space",
            Self::Enrolment => "/console/integrations/enrolment",
            Self::Connect => "/console/integrations/connect",
        }
    }
}

/// One of the four indicators of a card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Indicator {
    /// The connection is established.
    Connected,
    /// The server cannot authorize.
    Unauthorized,
    /// The server cannot establish a connection.
    Disconnected,
    /// Not configured yet, or not asked yet.
    NoStatus,
}

impl Indicator {
    /// Its name in texts and the API.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Connected => "connected",
            Self::Unauthorized => "unauthorized",
            Self::Disconnected => "disconnected",
            Self::NoStatus => "no-status",
        }
    }

    /// The colour of its pill.
    pub(super) fn kind(self) -> &'static str {
        match self {
            Self::Connected => "good",
            Self::Unauthorized => "warning",
            Self::Disconnected => "bad",
            Self::NoStatus => "none",
        }
    }
}

impl From<Connection> for Indicator {
    fn from(connection: Connection) -> Self {
        match connection {
            Connection::Connected => Self::Connected,
            Connection::Unauthorized => Self::Unauthorized,
            Connection::Disconnected => Self::Disconnected,
            Connection::NoStatus => Self::NoStatus,
        }
    }
}

/// How an integration is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct State {
    /// Which.
    pub name: Name,
    /// It was added, and shows as a card.
    pub added: bool,
    /// It has been set up.
    pub configured: bool,
    /// How it is.
    pub indicator: Indicator,
    /// Why, in words; empty while connected.
    pub why: String,
    /// Since when, Unix time in seconds, if that is known.
    pub since_unix_s: Option<i64>,
    /// How its mail goes, of the Enrolment Service.
    pub mail: Option<service::MailState>,
}

impl State {
    /// The name of the text that explains the indicator.
    pub(super) fn says(&self) -> &'static str {
        match self.indicator {
            Indicator::NoStatus if self.configured => "not-tried",
            indicator => indicator.name(),
        }
    }
}

/// How every integration is.
///
/// # Errors
/// Those of a read.
pub(super) fn states(desk: &Desk, call: &Call) -> Result<Vec<State>, Failure> {
    let added = desk.text(SettingKey::INTEGRATIONS_ADDED)?;
    let mut states = Vec::new();
    for name in Name::ALL {
        let mut state = match name {
            Name::Space => space::state(desk)?,
            Name::Enrolment => policy::state(desk)?,
            Name::Connect => connect::state(desk, call)?,
        };
        state.added = state.configured || added.split(' ').any(|known| known == name.name());
        states.push(state);
    }
    Ok(states)
}

/// One that has not been set up.
fn unconfigured(name: Name) -> State {
    State {
        name,
        added: false,
        configured: false,
        indicator: Indicator::NoStatus,
        why: String::new(),
        since_unix_s: None,
        mail: None,
    }
}

/// Adds integrations to those that show as cards.
///
/// # Errors
/// Those of the writer.
pub(super) fn add(desk: &Desk, call: &Call, more: &[Name]) -> Result<(), Failure> {
    let before = desk.text(SettingKey::INTEGRATIONS_ADDED)?;
    let names: Vec<String> = Name::ALL
        .into_iter()
        .filter(|name| more.contains(name) || before.split(' ').any(|old| old == name.name()))
        .map(|name| name.name().to_owned())
        .collect();
    desk.ask(call, Request::IntegrationsAdded { names })?;
    Ok(())
}

/// Takes an integration away from those that show as cards.
///
/// # Errors
/// Those of the writer.
pub(super) fn forget(desk: &Desk, call: &Call, gone: Name) -> Result<(), Failure> {
    let before = desk.text(SettingKey::INTEGRATIONS_ADDED)?;
    let names = before
        .split_whitespace()
        .filter(|name| *name != gone.name());
    let names = names.map(str::to_owned).collect();
    desk.ask(call, Request::IntegrationsAdded { names })?;
    Ok(())
}
