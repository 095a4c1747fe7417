//! What members of the team and tokens of the API may do.

use serde::{Deserialize, Serialize};

/// A member's role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Role {
    /// Everything.
    Administrator = 1,
    /// Integrations, doors and devices; no people, no team.
    Installer = 2,
    /// Looks, and changes nothing.
    Viewer = 3,
}

/// One thing that may be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u32)]
pub enum Scope {
    /// Look at everything but keys.
    Read = 1,
    /// Add, change and remove doors and devices.
    Devices = 2,
    /// Enrol, invite and withdraw people, and their rights.
    People = 4,
    /// Set up Space, the Enrolment Service and Connect; see their keys.
    Integrations = 8,
    /// The team and the tokens of the API.
    Team = 16,
}

/// Several things that may be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Scopes(u32);

impl Role {
    /// Every role.
    pub const ALL: [Self; 3] = [Self::Administrator, Self::Installer, Self::Viewer];

    /// The role as the store has it; what it does not know may only look.
    pub(super) fn of(stored: u8) -> Self {
        let known = Self::ALL.into_iter().find(|role| *role as u8 == stored);
        known.unwrap_or(Self::Viewer)
    }

    /// Its name in forms and translations.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Administrator => "administrator",
            Self::Installer => "installer",
            Self::Viewer => "viewer",
        }
    }

    /// The role of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }

    /// What it may do.
    #[must_use]
    pub fn scopes(self) -> Scopes {
        match self {
            Self::Administrator => Scopes::of(&Scope::ALL),
            Self::Installer => Scopes::of(&[Scope::Read, Scope::Devices, Scope::Integrations]),
            Self::Viewer => Scopes::of(&[Scope::Read]),
        }
    }
}

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 5] = [
        Self::Read,
        Self::Devices,
        Self::People,
        Self::Integrations,
        Self::Team,
    ];

    /// Its name in forms, translations and the API.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Devices => "devices",
            Self::People => "people",
            Self::Integrations => "integrations",
            Self::Team => "team",
        }
    }

    /// The scope of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.name() == name)
    }
}

impl Scopes {
    /// These.
    #[must_use]
    pub fn of(scopes: &[Scope]) -> Self {
        let bits = scopes.iter().fold(0, |bits, scope| bits | *scope as u32);
        Self(bits)
    }

    pub(super) fn of_bits(bits: u32) -> Self {
        Self(bits)
    }

    pub(super) fn bits(self) -> u32 {
        self.0
    }

    /// Whether this is one of them.
    #[must_use]
    pub fn allows(self, scope: Scope) -> bool {
        self.0 & scope as u32 != 0
    }

    /// Which they are.
    pub fn each(self) -> impl Iterator<Item = Scope> {
        Scope::ALL
            .into_iter()
            .filter(move |scope| self.allows(*scope))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_viewer_only_looks_and_an_unknown_role_does_no_more() {
        for scope in Scope::ALL {
            assert!(Role::Administrator.scopes().allows(scope));
            assert_eq!(Role::Viewer.scopes().allows(scope), scope == Scope::Read);
            assert_eq!(Scope::named(scope.name()), Some(scope));
        }
        assert!(!Role::Installer.scopes().allows(Scope::Team));
        assert!(!Role::Installer.scopes().allows(Scope::People));
        assert_eq!(Role::of(9), Role::Viewer);
    }
}
