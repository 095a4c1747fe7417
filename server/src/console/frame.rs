//! What is around every page: names, navigation, the language, and a notice of what was just done.

use std::net::UdpSocket;

use super::assets;
use super::call::Call;
use super::desk::Desk;
use super::language::Language;
use super::reply::Failure;
use crate::store::{Scope, Scopes};

/// An entry of the navigation: to add a page, add a line. `name` is the text `nav.NAME` and the
/// symbol of that name in `icons.svg`.
pub(super) struct Entry {
    /// Its name.
    pub name: &'static str,
    /// Where it leads.
    pub path: &'static str,
    /// Who sees it.
    pub scope: Scope,
}

const fn entry(name: &'static str, path: &'static str, scope: Scope) -> Entry {
    Entry { name, path, scope }
}

const NAVIGATION: &[Entry] = &[
    entry("dashboard", "/console/", Scope::Read),
    entry("invitations", "/console/invitations", Scope::Read),
    entry("integrations", "/console/integrations", Scope::Read),
    entry("people", "/console/people", Scope::Read),
    entry("devices", "/console/devices", Scope::Read),
    entry("doors", "/console/doors", Scope::Read),
    entry("logs", "/console/logs/attempts", Scope::Read),
    entry("latency", "/console/latency", Scope::Read),
    entry("team", "/console/team", Scope::Team),
    entry("tokens", "/console/tokens", Scope::Team),
    entry("changes", "/console/changes", Scope::Read),
];

/// What a notice is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// It was done.
    Good,
    /// It was done, and something is to be seen to.
    Warning,
    /// It was not done.
    Bad,
}

/// A sentence at the head of the next page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Notice {
    /// What it is about.
    pub kind: Kind,
    /// The sentence, in the language of who reads it.
    pub text: String,
}

impl Notice {
    /// It was done.
    pub(super) fn good(text: impl Into<String>) -> Self {
        let text = text.into();
        Self {
            kind: Kind::Good,
            text,
        }
    }

    /// It was done, and something is to be seen to.
    pub(super) fn warning(text: impl Into<String>) -> Self {
        Self {
            kind: Kind::Warning,
            ..Self::good(text)
        }
    }

    /// It was not done.
    pub(super) fn bad(text: impl Into<String>) -> Self {
        Self {
            kind: Kind::Bad,
            ..Self::good(text)
        }
    }

    /// Its name in styles.
    pub(super) fn name(&self) -> &'static str {
        match self.kind {
            Kind::Good => "good",
            Kind::Warning => "warning",
            Kind::Bad => "bad",
        }
    }
}

/// What is around a page. Every page has one, as the field `f`.
pub(super) struct Frame {
    /// What it is written in.
    pub language: &'static Language,
    /// What its forms carry.
    pub csrf: String,
    /// The name of who looks; empty for nobody.
    pub member: String,
    /// The name of their role.
    pub role: &'static str,
    /// The entry of the navigation that it belongs to.
    pub active: &'static str,
    /// Its own path.
    pub path: String,
    /// The site's name.
    pub site: String,
    /// What was just done.
    pub notice: Option<Notice>,
    /// The server's address is not this machine's: devices do not find it.
    pub lost_address: Option<String>,
    scopes: Scopes,
}

impl Frame {
    /// What is around the page that is the answer to `call`.
    pub(super) fn new(desk: &Desk, call: &Call, active: &'static str) -> Self {
        let parts = desk.parts();
        let member = call.who.member();
        let notice = call
            .who
            .session()
            .and_then(|session| desk.shared.take(session));
        Self {
            language: call.language,
            csrf: call.csrf.clone(),
            member: member.map_or_else(String::new, |member| member.name.clone()),
            role: member.map_or("", |member| member.role.name()),
            active,
            path: call.path.clone(),
            site: parts.site_name.clone(),
            notice,
            lost_address: member.and_then(|_| lost_address(desk).ok().flatten()),
            scopes: call.who.scopes(),
        }
    }

    /// The text of a key.
    pub(super) fn t(&self, key: &str) -> &'static str {
        self.language.text(key)
    }

    /// The text of `before.name`, as of a role or a status.
    pub(super) fn named(&self, before: &str, name: &str) -> &'static str {
        self.language.text(&format!("{before}.{name}"))
    }

    /// The text of a key with the place `{0}` filled.
    pub(super) fn with_0(&self, key: &str, value: impl ToString) -> String {
        self.language.filled(key, &[("0", &value.to_string())])
    }

    /// The text of a key with one named place filled.
    pub(super) fn filled(&self, key: &str, place: &str, value: impl ToString) -> String {
        self.language.filled(key, &[(place, &value.to_string())])
    }

    /// Whether who looks may do this, by the scope's name.
    pub(super) fn may(&self, scope: &str) -> bool {
        Scope::named(scope).is_some_and(|scope| self.scopes.allows(scope))
    }

    /// What the navigation shows to who looks.
    pub(super) fn navigation(&self) -> impl Iterator<Item = &'static Entry> {
        let scopes = self.scopes;
        NAVIGATION
            .iter()
            .filter(move |entry| scopes.allows(entry.scope))
    }

    /// All languages.
    pub(super) fn languages(&self) -> &'static [Language] {
        Language::all()
    }

    /// The address of a file among the assets; it changes with the file.
    pub(super) fn asset(&self, name: &str) -> String {
        assets::address(name)
    }

    /// A moment for people: day and minute, UTC.
    pub(super) fn moment(&self, unix_s: &i64) -> String {
        moment(*unix_s)
    }

    /// The same for machines, as `<time datetime>` wants it.
    pub(super) fn iso(&self, unix_s: &i64) -> String {
        moment(*unix_s).replace(' ', "T") + "Z"
    }
}

/// `2026-11-22 05:40`, UTC.
pub(super) fn moment(unix_s: i64) -> String {
    let Ok(at) = time::OffsetDateTime::from_unix_timestamp(unix_s) else {
        return unix_s.to_string();
    };
    let (month, day) = (u8::from(at.month()), at.day());
    let (year, hour, minute) = (at.year(), at.hour(), at.minute());
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}")
}

/// The address that devices were told, if this machine no longer has it or the configuration now
/// names another.
pub(super) fn lost_address(desk: &Desk) -> Result<Option<String>, Failure> {
    let parts = desk.parts();
    let now = parts.address();
    let first = desk.text(crate::store::SettingKey::ADDRESS_AT_SETUP)?;
    if !first.is_empty() && first != now.to_string() {
        return Ok(Some(first));
    }
    // Only an address of this machine can be bound.
    let held = UdpSocket::bind((now, 0)).is_ok();
    Ok((!held).then(|| now.to_string()))
}
