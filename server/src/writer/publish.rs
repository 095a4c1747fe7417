//! From the store's feed of changes to what is in force. Additions enter the directory before the
//! gallery, removals leave it first, so that no search ever finds who may not be found.

use std::sync::Arc;
use std::time::Duration;

use cardea_engine::{Embedding, Gallery, PersonId, ReferenceId, Row, Threshold, View, ViewError};
use cardea_wire::reply::{Command, CommandKind};

use super::error::WriterError;
use crate::api::Completion;
use crate::completions::CompletionSender;
use crate::directory::{Device, Directory, Doors, Person};
use crate::limits::OVERLAY_ROWS_MAX;
use crate::site::{Site, unix_ms};
use crate::store;
use crate::store::{
    Change, Device as StoredDevice, DeviceId, ImportId, PersonEntry, PersonState, Reader,
};
use crate::work::Searched;

/// What is in force, and how far it follows the store.
pub(super) struct Published {
    site: Arc<Site>,
    loops: Vec<CompletionSender<Completion>>,
    generation: u64,
    /// What became visible in this generation is in force only with a snapshot that has it.
    wanted: Option<u64>,
}

impl Published {
    /// Loads people and devices; the gallery may be older than the store.
    pub(super) fn load(
        reader: &Reader,
        gallery: Arc<Gallery>,
        threshold: Threshold,
        answer_deadline: Duration,
    ) -> Result<Self, WriterError> {
        let mut directory = Directory::default();
        directory.reserve_people(usize::try_from(reader.counts()?.people).unwrap_or(0));
        reader.people_each(|entry| {
            put_person(&mut directory, &entry);
            Ok::<_, WriterError>(())
        })?;
        for stored in reader.devices()? {
            for (fingerprint, device) in certificates_of(reader, &stored)? {
                directory.put_device(fingerprint, device);
            }
        }
        let generation = gallery.generation();
        let searched = Searched {
            view: View::of_snapshot(gallery),
            threshold,
        };
        let site = Arc::new(Site::new(searched, directory, answer_deadline));
        Ok(Self {
            site,
            loops: Vec::new(),
            generation,
            wanted: None,
        })
    }

    pub(super) fn site(&self) -> Arc<Site> {
        Arc::clone(&self.site)
    }

    pub(super) fn set_loops(&mut self, loops: Vec<CompletionSender<Completion>>) {
        self.loops = loops;
    }

    /// Where completions for the loops go.
    pub(super) fn loops(&self) -> &[CompletionSender<Completion>] {
        &self.loops
    }

    /// The view in force.
    pub(super) fn view(&self) -> View {
        self.site.searched.load().view.clone()
    }

    /// From here on this threshold decides.
    pub(super) fn set_threshold(&self, threshold: Threshold) {
        let view = self.view();
        let searched = Searched { view, threshold };
        self.site.searched.store(Arc::new(searched));
    }

    /// The generation that only a snapshot brings into force, if there is one.
    pub(super) fn in_force_with_snapshot(&self) -> Option<u64> {
        self.wanted
    }

    /// Whether a snapshot should be written: it is waited for, or the overlay has grown long.
    pub(super) fn wants_snapshot(&self) -> bool {
        self.wanted.is_some() || self.view().overlay_rows() > OVERLAY_ROWS_MAX
    }

    /// Whether somebody withdrawn may still be in the snapshot's file.
    pub(super) fn snapshot_holds_withdrawn(&self) -> bool {
        self.view().withdrawals() > 0
    }

    /// Swaps a newer snapshot in; returns the one that is no longer in force.
    pub(super) fn swap(
        &mut self,
        gallery: Arc<Gallery>,
    ) -> Result<Option<Arc<Gallery>>, WriterError> {
        let generation = gallery.generation();
        let view = self.view();
        let retired = view.snapshot().cloned();
        self.publish(view.with_snapshot(gallery).map_err(gallery_error)?);
        if self.wanted.is_some_and(|wanted| wanted <= generation) {
            self.wanted = None;
        }
        Ok(retired)
    }

    /// Follows the feed to its end.
    pub(super) fn follow(&mut self, reader: &Reader) -> Result<(), WriterError> {
        loop {
            let changes = reader.changes_since(self.generation)?;
            if changes.changes.is_empty() {
                self.generation = changes.until;
                return Ok(());
            }
            let mut rows = Vec::new();
            let mut withdrawn = Vec::new();
            let (mut bulk, mut doors) = (false, false);
            for change in &changes.changes {
                match *change {
                    // Once for all of them: each sync with Space may bring hundreds.
                    Change::Door(_) | Change::DoorRemoved(_) => doors = true,
                    Change::ReferenceWithdrawn(reference, _) => {
                        withdrawn.push(ReferenceId(reference.0));
                    }
                    Change::Reference(reference, _) => {
                        if let Some(stored) = reader.reference(reference)? {
                            let embedding = stored.embedding.as_slice();
                            rows.push(row(reference, stored.person, embedding)?);
                        }
                    }
                    Change::Imported(import) => {
                        bulk |= !self.imported(reader, import, &mut rows)?;
                    }
                    other => self.follow_directory(reader, other)?,
                }
            }
            if doors {
                self.doors_changed(reader)?;
            }
            self.put_rows(rows, &withdrawn, changes.until, bulk)?;
            self.generation = changes.until;
        }
    }

    fn follow_directory(&self, reader: &Reader, change: Change) -> Result<(), WriterError> {
        match change {
            Change::Person(person) => match reader.person_entry(person)? {
                Some(entry) => put_person(&mut self.site.directory_mut(), &entry),
                None => drop(self.site.directory_mut().remove_person(person.0)),
            },
            Change::PersonWithdrawn(person) => {
                self.site.directory_mut().remove_person(person.0);
            }
            Change::Device(device) => self.device_changed(reader, device)?,
            Change::DeviceRemoved(device) => {
                let gone = self.site.directory_mut().remove_device(device.0);
                self.close(gone);
            }
            Change::Settings => {}
            Change::Door(_)
            | Change::DoorRemoved(_)
            | Change::Reference(..)
            | Change::ReferenceWithdrawn(..)
            | Change::Imported(_) => {
                unreachable!("gathered by the caller")
            }
        }
        Ok(())
    }

    /// Takes an import's people, and its rows if they are few; `false` says they are many.
    fn imported(
        &self,
        reader: &Reader,
        import: ImportId,
        rows: &mut Vec<Row>,
    ) -> Result<bool, WriterError> {
        reader.imported_people_each(import, |entry| {
            put_person(&mut self.site.directory_mut(), &entry);
            Ok::<_, WriterError>(())
        })?;
        let before = rows.len();
        let walked = reader.imported_references_each(import, |reference, person, bytes| {
            if rows.len() >= OVERLAY_ROWS_MAX {
                return Err(Walk::TooMany);
            }
            rows.push(row(reference, person, bytes).map_err(Walk::Failed)?);
            Ok(())
        });
        match walked {
            Ok(_) => Ok(true),
            Err(Walk::TooMany) => {
                rows.truncate(before);
                Ok(false)
            }
            Err(Walk::Failed(error)) => Err(error),
        }
    }

    fn put_rows(
        &mut self,
        mut rows: Vec<Row>,
        withdrawn: &[ReferenceId],
        generation: u64,
        bulk: bool,
    ) -> Result<(), WriterError> {
        let mut view = self.view();
        rows.sort_unstable_by_key(|row| row.reference);
        if bulk {
            self.wanted = Some(generation);
        }
        if !withdrawn.is_empty() {
            view = view
                .with_withdrawn(withdrawn, generation)
                .map_err(gallery_error)?;
        }
        if !rows.is_empty() {
            match view.with_enrolled(&rows, generation) {
                Ok(enrolled) => view = enrolled,
                // An import's numbers may be older than those of who was enrolled meanwhile.
                Err(ViewError::OverlayFull { .. } | ViewError::ReferenceOrder { .. }) => {
                    self.wanted = Some(generation);
                }
                Err(error) => return Err(gallery_error(error)),
            }
        }
        self.publish(view);
        Ok(())
    }

    fn publish(&self, view: View) {
        let threshold = self.site.searched.load().threshold;
        self.site
            .searched
            .store(Arc::new(Searched { view, threshold }));
    }

    fn device_changed(&self, reader: &Reader, device: DeviceId) -> Result<(), WriterError> {
        // Read first: nobody decides while the directory is held.
        let certificates = match reader.device(device)? {
            Some(stored) => certificates_of(reader, &stored)?,
            None => Vec::new(),
        };
        let mut directory = self.site.directory_mut();
        let before = directory.remove_device(device.0);
        for (fingerprint, device) in certificates {
            directory.put_device(fingerprint, device);
        }
        let gone = before
            .into_iter()
            .filter(|held| directory.device(held).is_none())
            .collect();
        drop(directory);
        self.close(gone);
        Ok(())
    }

    fn doors_changed(&self, reader: &Reader) -> Result<(), WriterError> {
        for stored in reader.devices()? {
            let certificates = certificates_of(reader, &stored)?;
            let directory = self.site.directory();
            let is_known = certificates.iter().all(|(fingerprint, device)| {
                let known = directory.device(fingerprint);
                known.is_some_and(|known| **known == *device)
            });
            drop(directory);
            if !is_known {
                self.device_changed(reader, stored.id)?;
            }
        }
        Ok(())
    }

    /// Takes certificates out of force whose overlap with a newer one has ended.
    pub(super) fn end_overlaps(&self, reader: &Reader, now_unix_s: i64) -> Result<(), WriterError> {
        for device in reader.devices()? {
            if let Some((fingerprint, until)) = device.previous
                && until <= now_unix_s
            {
                let held = self.site.directory().device(&fingerprint).is_some();
                if held {
                    self.site.directory_mut().remove_certificate(&fingerprint);
                    self.close(vec![fingerprint]);
                }
            }
        }
        Ok(())
    }

    fn close(&self, certificates: Vec<[u8; 32]>) {
        for fingerprint in certificates {
            self.loops
                .iter()
                .for_each(|done| done.send(Completion::CloseDevice(fingerprint)));
        }
    }
}

enum Walk {
    TooMany,
    Failed(WriterError),
}

impl From<store::StoreError> for Walk {
    fn from(error: store::StoreError) -> Self {
        Self::Failed(error.into())
    }
}

/// A row of the gallery from the store.
pub(super) fn row(
    reference: store::ReferenceId,
    person: store::PersonId,
    bytes: &[u8],
) -> Result<Row, WriterError> {
    let embedding = Embedding::from_le_bytes(bytes).map_err(|_| WriterError::BadReference {
        reference: reference.0,
    })?;
    Ok(Row {
        reference: ReferenceId(reference.0),
        person: PersonId(person.0),
        embedding,
    })
}

fn put_person(directory: &mut Directory, entry: &PersonEntry) {
    let doors = match entry.state {
        PersonState::Enrolled => {
            let mut some: Vec<_> = entry.doors.iter().map(|door| door.0).collect();
            some.sort_unstable();
            Doors {
                every: entry.every_door,
                some,
            }
        }
        PersonState::Invited | PersonState::Suspended => Doors::default(),
    };
    directory.put_person(entry.id.0, Person::new(&entry.external_id, doors));
}

/// The certificates of a device that are in force, each with what it stands for.
fn certificates_of(
    reader: &Reader,
    stored: &StoredDevice,
) -> Result<Vec<([u8; 32], Device)>, WriterError> {
    let command = reader.commands_waiting(stored.id)?.into_iter().next();
    let device = Device {
        id: stored.id.0,
        door: stored.door.0,
        not_after_unix_s: stored.not_after_unix_s.unwrap_or(i64::MAX),
        space_door: reader
            .door(stored.door)?
            .and_then(|door| door.space_door.map(Into::into)),
        command: command.and_then(|command| {
            let kind = CommandKind::from_code(command.kind)?;
            Some(Command {
                kind,
                id: command.id.0,
                body: command.body,
            })
        }),
    };
    let now_unix_s = i64::try_from(unix_ms() / 1_000).unwrap_or(i64::MAX);
    let mut certificates = Vec::new();
    certificates.extend(stored.fingerprint.map(|current| (current, device.clone())));
    if let Some((previous, until)) = stored.previous
        && until > now_unix_s
    {
        let not_after_unix_s = until;
        let device = Device {
            not_after_unix_s,
            ..device
        };
        certificates.push((previous, device));
    }
    Ok(certificates)
}

fn gallery_error(error: ViewError) -> WriterError {
    WriterError::Gallery(error.to_string())
}
