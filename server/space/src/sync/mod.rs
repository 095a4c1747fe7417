//! Reading a whole site from Space, page by page, without any I/O.
//!
//! ```text
//!   Plan::new ─> request() ──ask Space──> accept(answer) ─┬─> More(Plan)   ask again
//!                                                         ├─> Done(Snapshot)
//!                                                         └─> SyncError    nothing was changed
//! ```
//!
//! There is no change feed, so each sync reads everything: users, doors, zones, groups. It ends
//! in a whole [`Snapshot`] or in nothing. [`difference`] compares one with what was known.

mod difference;
mod snapshot;

pub use difference::{Difference, Erasure, difference};
pub use snapshot::{DoorEntry, Notes, Person, Snapshot};

use std::collections::HashSet;
use std::fmt;

use crate::ext_id::ExtId;
use crate::limits::SYNC_CALLS_MAX;
use crate::message::record::GPF_FIELDS;
use crate::message::reply::{self, Reply, ReplyError};
use crate::message::{Page, Request};
use crate::rights::TooMany;
use snapshot::Collected;

/// What a site can choose about syncing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SyncOptions {
    /// Most records asked for in one page, 1..=10,000.
    pub page_size: u32,
    /// Which `GPF` field holds the e-mail address, 1..=5. `None` when none does.
    pub email_field: Option<u8>,
}

impl SyncOptions {
    /// The largest page seen in public clients.
    pub const PAGE_SIZE_MAX: u32 = 10_000;

    /// Checks the ranges given at the fields.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        let field = self
            .email_field
            .is_none_or(|field| (1..=GPF_FIELDS as u8).contains(&field));
        field && (1..=Self::PAGE_SIZE_MAX).contains(&self.page_size)
    }
}

impl Default for SyncOptions {
    fn default() -> Self {
        Self {
            page_size: 1_000,
            email_field: None,
        }
    }
}

/// Why a sync came to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SyncError {
    /// Space declined, or its answer is none.
    Reply {
        /// The request that was answered so.
        request: &'static str,
        /// How.
        error: ReplyError,
    },
    /// The site is larger than this server keeps.
    TooMany(TooMany),
    /// More than [`SYNC_CALLS_MAX`] pages.
    TooManyCalls,
}

impl fmt::Display for SyncError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reply { request, error } => write!(f, "{request}: {error}"),
            Self::TooMany(too_many) => write!(f, "{too_many}"),
            Self::TooManyCalls => write!(f, "more than {SYNC_CALLS_MAX} pages"),
        }
    }
}

impl std::error::Error for SyncError {}

impl From<TooMany> for SyncError {
    fn from(too_many: TooMany) -> Self {
        Self::TooMany(too_many)
    }
}

/// What follows an answer.
pub enum Progress {
    /// There is more to ask.
    More(Box<Plan>),
    /// That was all.
    Done(Box<Snapshot>),
}

/// A sync under way; see the module's documentation.
pub struct Plan {
    options: SyncOptions,
    collected: Collected,
    request: Request,
    /// What the pages of the current list have brought.
    seen: HashSet<ExtId>,
    calls: u32,
}

impl Plan {
    /// Starts with the users.
    #[must_use]
    pub fn new(options: SyncOptions) -> Self {
        let count = options.page_size.clamp(1, SyncOptions::PAGE_SIZE_MAX);
        Self {
            options,
            collected: Collected::default(),
            request: Request::ReadUsers { count, after: None },
            seen: HashSet::new(),
            calls: 0,
        }
    }

    /// What to ask next.
    #[must_use]
    pub fn request(&self) -> &Request {
        &self.request
    }

    /// Takes the answer to [`Self::request`]: the body of Space's reply.
    ///
    /// # Errors
    /// Any [`SyncError`]: the plan is gone, and with it what it had collected.
    pub fn accept(mut self, body: &[u8]) -> Result<Progress, SyncError> {
        self.calls += 1;
        if self.calls > SYNC_CALLS_MAX {
            return Err(SyncError::TooManyCalls);
        }
        let reply = match reply::read(&self.request, body) {
            // A Space that does not know zones or groups has none to offer; rights through them
            // are then missing, which denies and never grants.
            Err(error) if error.is_unknown_command() && self.is_optional() => {
                self.collected
                    .notes
                    .unknown_commands
                    .push(self.request.name());
                return self.next_list();
            }
            Err(error) => {
                return Err(SyncError::Reply {
                    request: self.request.name(),
                    error,
                });
            }
            Ok(reply) => reply,
        };
        let following = match reply {
            Reply::Users(page) => {
                let following = self.following(&page, |user| &user.id);
                self.collected.users(page, self.options.email_field)?;
                following
            }
            Reply::Doors(page) => {
                let following = self.following(&page, |door| &door.id);
                self.collected.doors(page)?;
                following
            }
            Reply::Zones(page) => {
                let following = self.following(&page, |zone| &zone.id);
                self.collected.zones(page)?;
                following
            }
            Reply::Groups(page) => {
                let following = self.following(&page, |group| &group.id);
                self.collected.groups(page)?;
                following
            }
            Reply::Info(_) | Reply::Opened(_) => None,
        };
        match following {
            Some(last) => {
                self.continue_after(last);
                Ok(Progress::More(Box::new(self)))
            }
            None => self.next_list(),
        }
    }

    /// The identifier to go on from: the last of `page`, unless it ends the list or brought
    /// nothing new.
    fn following<T>(&mut self, page: &Page<T>, id: impl Fn(&T) -> &ExtId) -> Option<ExtId> {
        let before = self.seen.len();
        self.seen
            .extend(page.items.iter().map(|item| id(item).clone()));
        let brought_something = self.seen.len() > before;
        let last = page.items.last().map(|item| id(item).clone());
        last.filter(|_| brought_something && !page.is_last)
    }

    fn continue_after(&mut self, last: ExtId) {
        match &mut self.request {
            Request::ReadUsers { after, .. }
            | Request::ReadDoors { after, .. }
            | Request::ReadZones { after, .. }
            | Request::ReadGroups { after, .. } => *after = Some(last),
            Request::GetInfo | Request::OpenDoor(_) => {}
        }
    }

    fn next_list(mut self) -> Result<Progress, SyncError> {
        self.seen.clear();
        let count = self.options.page_size.clamp(1, SyncOptions::PAGE_SIZE_MAX);
        self.request = match self.request {
            Request::ReadUsers { .. } => Request::ReadDoors { count, after: None },
            Request::ReadDoors { .. } => Request::ReadZones { count, after: None },
            Request::ReadZones { .. } => Request::ReadGroups { count, after: None },
            Request::ReadGroups { .. } | Request::GetInfo | Request::OpenDoor(_) => {
                self.collected.notes.calls = self.calls;
                return Ok(Progress::Done(Box::new(self.collected.finish()?)));
            }
        };
        Ok(Progress::More(Box::new(self)))
    }

    fn is_optional(&self) -> bool {
        matches!(
            self.request,
            Request::ReadZones { .. } | Request::ReadGroups { .. }
        )
    }
}

#[cfg(test)]
mod tests;
