//! What the console's threads share.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use super::codes::Codes;
use super::frame::Notice;
use super::imports::Imports;
use super::integrations::connect::Trials;
use super::throttle::Throttle;
use crate::audit::AuditReader;
use crate::connect::firmware::Firmware;
use crate::limits::NOTICES_MAX;
use crate::secrets::Sealer;
use crate::site::Site;
use crate::store::{Reader, SecretHash};
use crate::writer::WriterHandle;

/// What a thread reads through.
pub struct Readers {
    /// Of the store.
    pub store: Reader,
    /// Of the audit.
    pub audit: AuditReader,
}

/// What the console is made of.
pub struct Parts {
    /// The site in force.
    pub site: Arc<Site>,
    /// Changes.
    pub writer: WriterHandle,
    /// Opens the settings that are sealed.
    pub sealer: Sealer,
    /// The site's name.
    pub site_name: String,
    /// The address that devices were told at the start: see [`Self::address`].
    pub address_at_start: IpAddr,
    /// The port in force.
    pub port: u16,
    /// People may send photos: an extractor is configured.
    pub has_extractor: bool,
    /// The data directory.
    pub data: std::path::PathBuf,
    /// How far devices have come with their firmware.
    pub firmware: Firmware,
}

impl Parts {
    /// The address that devices are told.
    pub(super) fn address(&self) -> IpAddr {
        self.site.moved_to().unwrap_or(self.address_at_start)
    }
}

/// What the console's threads share.
pub struct Shared {
    /// What the console is made of.
    pub parts: Parts,
    pub(super) throttle: Mutex<Throttle>,
    /// One password at a time is hashed, so that guessing cannot take the machine.
    pub(super) hashing: Mutex<()>,
    notices: Mutex<HashMap<SecretHash, Notice>>,
    /// Codes for Connect.
    pub(super) joining: Arc<Trials>,
    pub(super) codes: Codes,
    pub(super) imports: Imports,
}

impl Shared {
    /// Nothing has happened yet.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self {
            parts,
            throttle: Mutex::default(),
            hashing: Mutex::default(),
            notices: Mutex::default(),
            joining: Arc::default(),
            codes: Codes::default(),
            imports: Imports::default(),
        }
    }

    /// Leaves a notice for the next page of a session. When very many wait, others are forgotten:
    /// they only say what was done.
    pub(super) fn leave(&self, session: SecretHash, notice: Notice) {
        let mut notices = self.notices.lock().unwrap_or_else(PoisonError::into_inner);
        if notices.len() >= NOTICES_MAX {
            notices.clear();
        }
        notices.insert(session, notice);
    }

    /// The notice that waits for a session.
    pub(super) fn take(&self, session: SecretHash) -> Option<Notice> {
        let mut notices = self.notices.lock().unwrap_or_else(PoisonError::into_inner);
        notices.remove(&session)
    }
}
