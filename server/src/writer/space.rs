//! Space in the store: how it is reached, whom it names, and who is gone from it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cardea_space::ext_id::ExtId;
use cardea_space::install_script::InstallScript;
use cardea_space::listener::EventListener;
use cardea_space::rights::{Interval, Timetables};
use cardea_space::sync::{Erasure, Snapshot, difference};
use cardea_space::transport::Fingerprint;

use super::carry_out::{Refusal, date, done, table, unix_s, words};
use super::error::WriterError;
use super::{Online, Writer};
use crate::admin::message::{Response, SpaceKey};
use crate::config::SpaceEvents;
use crate::limits::{SPACE_BATCH_MAX, SPACE_ERASED_PER_TICK};
use crate::space::{FaceKey, SpaceLink, SpaceSetup, SpaceTrust, new_key};
use crate::store::{Door, SettingKey, SpaceBatch};

/// Who is gone from Space is erased after this long.
const GONE_S: i64 = 24 * 3_600;
/// After a start nobody is erased before the first sync is stored, or this has passed.
const FIRST_SYNC_WAIT: Duration = Duration::from_secs(3_600);

impl Writer {
    /// The set-up, if there is one.
    pub(super) fn space_setup(&self) -> Result<Option<SpaceSetup>, WriterError> {
        self.sealed_setup(SettingKey::SPACE_SEALED)
    }

    /// Talks to Space as it is set up now, instead of as before. A link that is set up so already
    /// stays: a new one knows no rights before its first sync, and until then nobody passes.
    pub(super) fn space_restart(&mut self) -> Result<(), WriterError> {
        let setup = self.space_setup()?;
        let timetables = timetables(&self.config.timetables)?;
        let Some(online) = &mut self.online else {
            return Ok(());
        };
        let face_key = setup.as_ref().map(|setup| FaceKey::of(&setup.face_key));
        online.published.site().set_face_key(face_key);
        if let (Some(setup), Some(link)) = (&setup, &online.space)
            && link.is_as(setup)
        {
            link.describe(timetables);
            return Ok(());
        }
        online.space = None;
        let site = online.published.site();
        let Some(setup) = setup else {
            site.set_authoriser(crate::authorise::Authoriser::Standalone);
            return Ok(());
        };
        let loops = online.published.loops();
        let journal = online.journal.clone();
        match SpaceLink::start(&setup, &site, &online.handle, loops, journal, timetables) {
            Ok(link) => online.space = Some(link),
            Err(why) => tracing::error!(why, "Space cannot be reached as it is set up"),
        }
        Ok(())
    }

    pub(super) fn space_set(&mut self, mut setup: SpaceSetup) -> Result<Response, Refusal> {
        let before = self.space_setup()?;
        let kept =
            |key: fn(&SpaceSetup) -> &String| before.as_ref().map(|setup| key(setup).clone());
        if setup.ship_key.is_empty() {
            setup.ship_key = kept(|setup| &setup.ship_key).map_or_else(new_key, Ok)?;
        }
        if setup.face_key.is_empty() {
            setup.face_key = kept(|setup| &setup.face_key).map_or_else(new_key, Ok)?;
        }
        setup.client_config().map_err(Refusal::Words)?;
        self.space_store(&setup)?;
        Ok(keys(setup))
    }

    /// Both keys again: they have to be copied into Space.
    pub(super) fn space_keys(&self) -> Result<Response, Refusal> {
        let setup = self.space_setup()?;
        setup
            .map(keys)
            .ok_or_else(|| words("Space is not set up; `cardea space set` does that"))
    }

    /// Listens for Space's events as the configuration says now.
    pub(super) fn space_events_restart(&mut self) {
        let wanted = self.config.space_events;
        let Some(online) = &mut self.online else {
            return;
        };
        let held = online.events.as_ref().map(|events| events.configured);
        if held == wanted {
            return;
        }
        // The port is free before it is taken again.
        online.events = None;
        let Some(configured) = wanted else {
            return;
        };
        match online.journal.listen(&configured) {
            Ok(listener) => {
                tracing::info!(address = %listener.address(), "listening for Space's events");
                online.events = Some(SpaceEventsIn {
                    configured,
                    listener,
                });
            }
            Err(error) => tracing::error!(%error, "cannot listen for Space's events"),
        }
    }

    /// The fact of the status that tells of Space's events.
    fn space_events(&self) -> String {
        let events = self
            .online
            .as_ref()
            .and_then(|online| online.events.as_ref());
        match (events, self.config.space_events) {
            (Some(events), _) => {
                let (at, from) = (events.listener.address(), events.configured.from);
                let refused = events.listener.refused();
                format!("taken at {at} from {from}; {refused} others refused")
            }
            (None, Some(configured)) => format!("cannot listen at {}", configured.listen),
            (None, None) => "not configured".to_owned(),
        }
    }

    pub(super) fn space_install_script(&self) -> Result<Response, Refusal> {
        let setup = self
            .space_setup()?
            .ok_or_else(|| words("Space is not set up; `cardea space set` does that"))?;
        let space_fingerprint = match &setup.trust {
            Some(SpaceTrust::Fingerprint(text)) => Fingerprint::parse(text),
            Some(SpaceTrust::CaPem(_)) | None => None,
        };
        let ca_pem = pem(self.pki.ca());
        let script = InstallScript {
            site: &self.config.site,
            server_address: self.config.address,
            server_port: self.config.listen.port(),
            space_host: &setup.host,
            space_port: setup.port,
            space_fingerprint,
            ca_pem: ca_pem.as_bytes(),
        };
        let script = script.render();
        Ok(done(
            &script.map_err(|error| Refusal::Words(error.to_string()))?,
        ))
    }

    fn space_store(&mut self, setup: &SpaceSetup) -> Result<(), Refusal> {
        let key = SettingKey::SPACE_SEALED;
        let json = serde_json::to_vec(setup).map_err(|_| WriterError::BadSetting { key: key.0 })?;
        self.store
            .setting_set(key, &self.sealer.seal(key.0, &json)?)?;
        self.follow()?;
        self.space_restart()?;
        Ok(())
    }

    pub(super) fn space_remove(&mut self) -> Result<Response, Refusal> {
        self.store.setting_remove(SettingKey::SPACE_SEALED)?;
        // Who was gone from a Space that is no longer asked is not erased for it.
        self.store.space_clear()?;
        self.follow()?;
        self.space_restart()?;
        Ok(done("removed: the store's own rights decide now"))
    }

    pub(super) fn space_rotate(&mut self, key: SpaceKey) -> Result<Response, Refusal> {
        let mut setup = self
            .space_setup()?
            .ok_or_else(|| words("Space is not set up"))?;
        let (of, place) = match key {
            SpaceKey::Ship => (&mut setup.ship_key, "SHIP"),
            SpaceKey::Face => (&mut setup.face_key, "Face recognition"),
        };
        *of = new_key()?;
        let shown = of.clone();
        self.space_store(&setup)?;
        Ok(done(&format!(
            "new key, to be entered in Space's {place} tab: {shown}"
        )))
    }

    pub(super) fn space_status(&self) -> Result<Response, Refusal> {
        let fact = |name: &str, value: String| vec![name.to_owned(), value];
        let mut rows = Vec::new();
        match (
            self.space_setup()?,
            self.online
                .as_ref()
                .and_then(|online| online.space.as_ref()),
        ) {
            (None, _) => rows.push(fact("status", "No status: Space is not set up".to_owned())),
            (Some(setup), link) => {
                rows.push(fact("server", format!("{}:{}", setup.host, setup.port)));
                match link.and_then(SpaceLink::status) {
                    None => rows.push(fact("status", "No status: not running".to_owned())),
                    Some(status) => {
                        rows.push(fact("status", status.connection.to_string()));
                        rows.push(fact("since", date(status.since_unix_s)));
                        rows.push(fact("why", status.why));
                        let took = status.round_trip.map(|took| format!("{took:?}"));
                        rows.push(fact("last round trip", took.unwrap_or_default()));
                    }
                }
                let syncs = link.map(SpaceLink::syncs).unwrap_or_default();
                let last = syncs.last_unix_s.map(date);
                rows.push(fact("syncs since the start", syncs.done.to_string()));
                rows.push(fact("last sync", last.unwrap_or_default()));
                rows.push(fact("it found", syncs.found));
                rows.push(fact("why it failed", syncs.failed.unwrap_or_default()));
                rows.push(fact("events", self.space_events()));
            }
        }
        rows.push(fact(
            "people named",
            self.store.read().space_known()?.len().to_string(),
        ));
        rows.push(fact(
            "gone, held",
            self.store.read().space_held()?.to_string(),
        ));
        Ok(table(&["what", "value"], rows))
    }

    pub(super) fn space_sync(&self) -> Result<Response, Refusal> {
        let link = self
            .online
            .as_ref()
            .and_then(|online| online.space.as_ref());
        link.ok_or_else(|| words("no running server talks to Space"))?
            .sync_now();
        Ok(done("begun; `cardea space status` tells how it went"))
    }

    pub(super) fn space_doors(&self) -> Result<Response, Refusal> {
        let doors = self.store.read().doors()?;
        let named = doors.into_iter().filter_map(|door| {
            let space_door = door.space_door?;
            Some(vec![door.name, space_door])
        });
        Ok(table(&["door", "ExtDoorID"], named.collect()))
    }

    pub(super) fn space_release(&mut self) -> Result<Response, Refusal> {
        let held = self.store.space_release()?;
        Ok(done(&format!(
            "{held} people who are gone from Space will be erased"
        )))
    }

    /// Stores what a sync brought, in short transactions.
    pub(super) fn space_synced(&mut self, snapshot: &Arc<Snapshot>) -> Result<(), WriterError> {
        let known: Vec<_> = self
            .store
            .read()
            .space_known()?
            .into_iter()
            .filter_map(|(person, digest)| Some((ExtId::parse(&person)?, digest)))
            .collect();
        let difference = difference(&known, snapshot);
        let held = difference.erasure == Erasure::Held;
        if held {
            tracing::warn!(
                gone = difference.gone.len(),
                "many people are gone from Space at once: erasure waits for `cardea space release`"
            );
        }
        let digests: BTreeMap<_, _> = snapshot
            .people
            .iter()
            .map(|person| (&person.id, person.digest))
            .collect();
        let named: Vec<_> = difference.added.iter().chain(&difference.changed).collect();
        for part in named.chunks(SPACE_BATCH_MAX) {
            let named = part
                .iter()
                .filter_map(|id| Some((id.as_str().to_owned(), *digests.get(id)?)))
                .collect();
            let batch = SpaceBatch {
                named,
                gone: Vec::new(),
                held,
            };
            self.store.space_synced(&batch, unix_s())?;
        }
        for part in difference.gone.chunks(SPACE_BATCH_MAX) {
            let gone = part.iter().map(|id| id.as_str().to_owned()).collect();
            let batch = SpaceBatch {
                named: Vec::new(),
                gone,
                held,
            };
            self.store.space_synced(&batch, unix_s())?;
        }
        self.space_doors_synced(snapshot)?;
        if let Some(online) = &mut self.online {
            online.space_stored = true;
        }
        self.follow()
    }

    /// Adds Space's doors, and follows their names. A door of ours that has the name and is
    /// paired with none yet is that door: devices may stand there already.
    fn space_doors_synced(&mut self, snapshot: &Snapshot) -> Result<(), WriterError> {
        let doors = self.store.read().doors()?;
        let by_space: BTreeMap<&str, &Door> = doors
            .iter()
            .filter_map(|door| Some((door.space_door.as_deref()?, door)))
            .collect();
        let unpaired: BTreeMap<&str, &Door> = doors
            .iter()
            .filter(|door| door.space_door.is_none())
            .map(|door| (door.name.as_str(), door))
            .collect();
        for entry in &snapshot.doors {
            let id = entry.id.as_str();
            let ours = by_space.get(id).or_else(|| unpaired.get(&*entry.name));
            let stored = match ours {
                Some(door) if door.space_door.is_some() && door.name == entry.name => continue,
                Some(door) => self
                    .store
                    .door_edit(door.id, &entry.name, Some(id))
                    .map(drop),
                None => self.store.door_add(&entry.name, Some(id)).map(drop),
            };
            // Two doors of one name: the one that is here keeps it.
            if let Err(error) = stored {
                tracing::warn!(door = id, %error, "a door of Space's is left out");
            }
        }
        Ok(())
    }

    /// Erases who has been gone from Space long enough, a few at a time. Who came back while no
    /// server ran is known by the first sync, which is waited for, though not for ever.
    pub(super) fn space_tick(&mut self) -> Result<(), WriterError> {
        let knows =
            |online: &Online| online.space_stored || online.since.elapsed() > FIRST_SYNC_WAIT;
        if !self.online.as_ref().is_some_and(knows) {
            return Ok(());
        }
        let before_unix_s = unix_s().saturating_sub(GONE_S);
        let gone = self.store.read().space_gone(before_unix_s)?;
        for gone in gone.into_iter().take(SPACE_ERASED_PER_TICK) {
            // Whom we have under no such name there is nothing to erase of.
            if let Some(person) = self.store.read().space_person(&gone)? {
                match self.person_withdraw(&person) {
                    Ok(_) => self.note("Space sync", "person.withdraw", person),
                    // He stays on the list, and the next turn tries again.
                    Err(Refusal::Failed(error)) => return Err(error),
                    Err(Refusal::Words(_)) => unreachable!("a withdrawal fails for a cause"),
                }
            }
            self.store.space_forget(&gone)?;
        }
        Ok(())
    }
}

/// A listener for Space's events, and what it was configured by.
pub(super) struct SpaceEventsIn {
    configured: SpaceEvents,
    listener: EventListener,
}

/// A certificate in PEM.
fn pem(certificate: &[u8]) -> String {
    let encoded = STANDARD.encode(certificate);
    let mut pem = "-----BEGIN CERTIFICATE-----\n".to_owned();
    let mut rest = encoded.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(64));
        pem.push_str(line);
        pem.push('\n');
        rest = after;
    }
    pem + "-----END CERTIFICATE-----\n"
}

/// Both keys, each with its place in Space.
fn keys(setup: SpaceSetup) -> Response {
    let row = |place: &str, key: String| vec![place.to_owned(), key];
    let rows = vec![
        row("SHIP key, for Space's SHIP tab", setup.ship_key),
        row(
            "face-recognition key, for its Face recognition tab",
            setup.face_key,
        ),
    ];
    table(&["what", "value"], rows)
}

/// The tables as the configuration describes them.
pub(super) fn timetables(
    described: &BTreeMap<String, Vec<String>>,
) -> Result<Arc<Timetables>, WriterError> {
    let bad = |why: String| WriterError::BadTimetable { why };
    let mut timetables = Timetables::default();
    for (number, intervals) in described {
        let table = number
            .parse()
            .map_err(|_| bad(format!("{number} is no table's number")))?;
        let intervals = intervals
            .iter()
            .map(|text| Interval::parse(text))
            .collect::<Result<_, _>>()
            .map_err(|error| bad(error.to_string()))?;
        timetables
            .describe(table, intervals)
            .map_err(|error| bad(error.to_string()))?;
    }
    Ok(Arc::new(timetables))
}
