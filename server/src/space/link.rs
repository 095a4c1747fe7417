//! From the client's events to the site: rights come into force at once, on the client's thread;
//! what is stored goes through the writer.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cardea_space::client::{Completion as Opened, Event, SpaceClient};
use cardea_space::ext_id::ExtId;
use cardea_space::rights::{Rights, Timetables};
use cardea_space::status::Status;
use cardea_space::sync::Snapshot;

use super::journal::Journal;
use super::setup::SpaceSetup;
use crate::api::{Completion, loop_of};
use crate::authorise::{Authoriser, SpaceAuthoriser};
use crate::completions::CompletionSender;
use crate::metrics::events;
use crate::site::{Site, unix_ms};
use crate::writer::{Command, WriterHandle};

/// The connection to Space of a running server.
pub struct SpaceLink {
    setup: SpaceSetup,
    shared: Arc<Shared>,
    client: Option<Arc<SpaceClient>>,
}

struct Shared {
    site: Arc<Site>,
    writer: WriterHandle,
    journal: Journal,
    known: Mutex<Known>,
}

/// What the events have brought so far; the authoriser is made of it anew each time.
#[derive(Default)]
struct Known {
    client: Option<Arc<SpaceClient>>,
    rights: Option<Arc<Rights>>,
    /// What the site's e-mail field held, of those where it held something.
    emails: HashMap<ExtId, String>,
    timetables: Arc<Timetables>,
    syncs: Syncs,
    /// The link has ended: late events change nothing.
    ended: bool,
}

/// How the syncs of a link have gone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Syncs {
    /// How many have come into force.
    pub done: u64,
    /// When the last of them did, in seconds since 1970.
    pub last_unix_s: Option<i64>,
    /// People, doors, and what it could not make sense of, in words.
    pub found: String,
    /// Why the last one failed, if it did.
    pub failed: Option<String>,
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
        journal: Journal,
        timetables: Arc<Timetables>,
    ) -> Result<Self, String> {
        let shared = Arc::new(Shared {
            site: Arc::clone(site),
            writer: writer.clone(),
            journal,
            known: Mutex::default(),
        });
        shared.publish(|known| known.timetables = timetables);
        let config = setup.client_config()?;
        let (notified, loops) = (Arc::downgrade(&shared), loops.to_vec());
        let notify = move |event| match event {
            // Of a link that has ended, too: its last opens come to their end, and devices wait.
            Event::Opened(opened) => pass_on(&loops, opened),
            event => {
                if let Some(shared) = notified.upgrade() {
                    shared.take(event);
                }
            }
        };
        let client = SpaceClient::start(config, Arc::new(notify));
        let client = Arc::new(client.map_err(|error| error.to_string())?);
        shared.publish(|known| known.client = Some(Arc::clone(&client)));
        Ok(Self {
            setup: setup.clone(),
            shared,
            client: Some(client),
        })
    }

    /// Whether this is how `setup` reaches Space: then the link can stay, with its rights.
    #[must_use]
    pub fn is_as(&self, setup: &SpaceSetup) -> bool {
        // Space's key to us has no part in it.
        let face_key = self.setup.face_key.clone();
        self.setup
            == SpaceSetup {
                face_key,
                ..setup.clone()
            }
    }

    /// From here on these timezone tables hold.
    pub fn describe(&self, timetables: Arc<Timetables>) {
        self.shared.publish(|known| known.timetables = timetables);
    }

    /// The card's content.
    #[must_use]
    pub fn status(&self) -> Option<Status> {
        self.client.as_ref().map(|client| client.status())
    }

    /// How the syncs have gone.
    #[must_use]
    pub fn syncs(&self) -> Syncs {
        self.shared.known().syncs.clone()
    }

    /// What stands in a person's e-mail field in Space, as of the last sync; it need be no address.
    #[must_use]
    pub fn email_of(&self, person: &ExtId) -> Option<String> {
        self.shared.known().emails.get(person).cloned()
    }

    /// Ends the link and waits for its threads; opens under way come to their end first. To be
    /// called before the process ends: no thread may use the crypto library while it goes.
    pub fn stop(mut self) {
        let client = self.client.take();
        drop(self);
        // Somebody who looks at the rights just now ends the client instead, and nobody waits.
        if let Some(client) = client.and_then(Arc::into_inner) {
            client.stop();
        }
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
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn publish(&self, change: impl FnOnce(&mut Known)) {
        let mut known = self.known();
        if known.ended {
            return;
        }
        change(&mut known);
        self.site.set_authoriser(Authoriser::Space(SpaceAuthoriser {
            client: known.client.clone(),
            rights: known.rights.clone(),
            timetables: Arc::clone(&known.timetables),
        }));
    }

    fn take(&self, event: Event) {
        match event {
            Event::Synced(snapshot) => {
                let people = snapshot.people.iter();
                let emails = people.filter_map(|person| {
                    let email = person.email.clone()?;
                    Some((person.id.clone(), email))
                });
                let emails = emails.collect();
                self.publish(|known| {
                    known.rights = Some(Arc::clone(&snapshot.rights));
                    known.emails = emails;
                });
                let found = found(&snapshot);
                // A writer that is busy stores the next sync: rights are in force already.
                if self
                    .writer
                    .try_send(Command::SpaceSynced(snapshot))
                    .is_err()
                {
                    events::SPACE_SYNCS_DROPPED.count();
                    tracing::warn!("the writer is busy; this sync is not stored");
                }
                // Counted last: who sees it and then asks the writer asks after the storing.
                let mut known = self.known();
                known.syncs = Syncs {
                    done: known.syncs.done + 1,
                    last_unix_s: i64::try_from(unix_ms() / 1_000).ok(),
                    found,
                    failed: None,
                };
            }
            Event::SyncFailed(why) => {
                events::SPACE_SYNCS_FAILED.count();
                self.known().syncs.failed = Some(why);
            }
            Event::StatusChanged(status) => self.journal.status(&status),
            Event::Opened(_) => unreachable!("passed on before"),
        }
    }
}

/// To the loop whose attempt it is.
pub(crate) fn pass_on(loops: &[CompletionSender<Completion>], opened: Opened) {
    if let Some(done) = loops.get(usize::from(loop_of(opened.ticket))) {
        done.send(Completion::Opened(opened));
    }
}

fn found(snapshot: &Snapshot) -> String {
    let (people, doors, notes) = (snapshot.people.len(), snapshot.doors.len(), &snapshot.notes);
    let mut found = format!("{people} people, {doors} doors");
    if notes.nameless + notes.unreadable > 0 {
        let (nameless, unreadable) = (notes.nameless, notes.unreadable);
        found += &format!("; {nameless} records without an id, {unreadable} people unreadable");
    }
    for request in &notes.unknown_commands {
        found += &format!("; Space does not know {request}");
    }
    found
}
