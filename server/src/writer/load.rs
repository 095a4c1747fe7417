//! From the store to what is to be in force: gallery, directory, threshold.

use std::sync::Arc;
use std::time::{Duration, Instant};

use cardea_engine::{ModelId, Threshold};

use super::connect::ConnectSide;
use super::fault;
use super::gallery::Snapshots;
use super::publish::Published;
use super::service::Service;
use super::{Journal, Online, Writer, WriterError, WriterHandle};
use crate::site::Site;
use crate::store::SettingKey;

impl Writer {
    /// What is to be in force, but for what the feed has since the gallery's generation.
    pub(super) fn load(
        &self,
        handle: &WriterHandle,
    ) -> Result<(Published, Snapshots), WriterError> {
        let model = ModelId(self.setting(SettingKey::MODEL_ID)?);
        let threshold: [u8; 16] = self.setting(SettingKey::DECISION_THRESHOLD)?;
        let score = f32::from_le_bytes([threshold[0], threshold[1], threshold[2], threshold[3]]);
        let set_for = threshold[4..12].iter().rev();
        let set_for = set_for.fold(0, |people, &byte| people << 8 | u64::from(byte));
        let threshold = Threshold::new(score).map_err(|_| WriterError::BadSetting {
            key: SettingKey::DECISION_THRESHOLD.0,
        })?;
        let mut snapshots = Snapshots::new(
            &self.store,
            &self.directory,
            (model, threshold),
            handle.clone(),
        )?;
        let faulted = fault::unreadable_erased(&self.directory)?;
        let gallery = snapshots.open_or_rebuild(&self.store)?;
        if faulted {
            fault::forgotten(&self.directory)?;
        }
        let deadline = Duration::from_millis(self.config.answer_deadline_ms);
        let published = Published::load(self.store.read(), gallery, threshold, deadline)?;
        published.site().set_threshold_people(set_for);
        Ok((published, snapshots))
    }

    /// Loads what is to be in force and keeps it: from here on the writer serves a site.
    pub(super) fn come_online(&mut self, handle: &WriterHandle) -> Result<Arc<Site>, WriterError> {
        let (published, snapshots) = self.load(handle)?;
        let site = published.site();
        self.online = Some(Online {
            published,
            snapshots,
            handle: handle.clone(),
            space: None,
            journal: Journal::new(self.records.clone()),
            events: None,
            service: Service::default(),
            connect: ConnectSide::default(),
            since: Instant::now(),
            space_stored: false,
            waiting: Vec::new(),
        });
        Ok(site)
    }
}
