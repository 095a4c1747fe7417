//! From the client's events to the site: rights come into force at once, on the client's thread;
//! what is stored goes through the writer.

use std::sync::{Arc, Mutex, PoisonError};

use cardea_space::client::{Event, SpaceClient};
use cardea_space::rights::{Rights, Timetables};
use cardea_space::status::Status;

use super::setup::SpaceSetup;
use crate::api::{Completion, loop_of};
use crate::authorise::{Authoriser, SpaceAuthoriser};
use crate::completions::CompletionSender;
use crate::site::Site;
use crate::writer::{Command, WriterHandle};

/// The connection to Space of a running server.
pub struct SpaceLink {
    shared: Arc<Shared>,
    client: Option<Arc<SpaceClient>>,
}

struct Shared {
    site: Arc<Site>,
    writer: WriterHandle,
    loops: Vec<CompletionSender<Completion>>,
    timetables: Arc<Timetables>,
    known: Mutex<Known>,
}

/// What the events have brought so far; the authoriser is made of it anew each time.
#[derive(Default)]
struct Known {
    client: Option<Arc<SpaceClient>>,
    rights: Option<Arc<Rights>>,
    /// The link has ended: late events change nothing.
    ended: bool,
}

impl SpaceLink {
    /// Starts to talk to Space. From here on Space's rights decide; until the first sync nobody
    /// passes.
    ///
    /// # Errors
    /// Why it cannot be started, in words; nobody passes then either.
    pub fn start(
        setup: &SpaceSetup,
        site: &Arc<Site>,
        writer: &WriterHandle,
        loops: &[CompletionSender<Completion>],
        timetables: Arc<Timetables>,
    ) -> Result<Self, String> {
        let shared = Arc::new(Shared {
            site: Arc::clone(site),
            writer: writer.clone(),
            loops: loops.to_vec(),
            timetables,
            known: Mutex::default(),
        });
        shared.publish(|_| {});
        let config = setup.client_config()?;
        let notified = Arc::downgrade(&shared);
        let client = SpaceClient::start(
            config,
            Arc::new(move |event| {
                if let Some(shared) = notified.upgrade() {
                    shared.take(event);
                }
            }),
        )
        .map_err(|error| error.to_string())?;
        let client = Arc::new(client);
        shared.publish(|known| known.client = Some(Arc::clone(&client)));
        Ok(Self {
            shared,
            client: Some(client),
        })
    }

    /// The card's content.
    #[must_use]
    pub fn status(&self) -> Option<Status> {
        self.client.as_ref().map(|client| client.status())
    }

    /// Starts a sync now.
    pub fn sync_now(&self) {
        if let Some(client) = &self.client {
            client.sync_now();
        }
    }
}

impl Drop for SpaceLink {
    fn drop(&mut self) {
        // Nothing holds the client but requests that are on their way; the last one ends it.
        self.shared.publish(|known| {
            *known = Known {
                ended: true,
                ..Known::default()
            }
        });
        self.client = None;
    }
}

impl Shared {
    fn publish(&self, change: impl FnOnce(&mut Known)) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.ended {
            return;
        }
        change(&mut known);
        self.site.set_authoriser(Authoriser::Space(SpaceAuthoriser {
            client: known.client.clone(),
            rights: known.rights.clone(),
            timetables: Arc::clone(&self.timetables),
        }));
    }

    fn take(&self, event: Event) {
        match event {
            Event::Opened(completion) => {
                if let Some(done) = self.loops.get(usize::from(loop_of(completion.ticket))) {
                    done.send(Completion::Opened(completion));
                }
            }
            Event::Synced(snapshot) => {
                self.publish(|known| known.rights = Some(Arc::clone(&snapshot.rights)));
                // A writer that is busy stores the next sync: rights are in force already.
                if self
                    .writer
                    .try_send(Command::SpaceSynced(snapshot))
                    .is_err()
                {
                    tracing::warn!("the writer is busy; this sync is not stored");
                }
            }
            // The client logs both; the status is asked for where it is shown.
            Event::StatusChanged(_) | Event::SyncFailed(_) => {}
        }
    }
}
