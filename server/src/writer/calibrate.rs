//! Calibration and the decision threshold: measured beside the server, set by an administrator,
//! and said to be outgrown when many more people are enrolled than it was set for.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

use cardea_engine::{PersonId as EnginePerson, Threshold};
use crossbeam_channel::Sender;

use super::carry_out::{Refusal, words};
use super::{Session, Writer, WriterError, queue};
use crate::admin::message::Response;
use crate::audit::AuditReader;
use crate::background;
use crate::calibrate::{CalibrationAsk, CalibrationReport, NearPair, measure};
use crate::limits::{CALIBRATION_AUDIT_DAYS, CALIBRATION_TIME_MAX};
use crate::site::{Site, unix_ms};
use crate::store::{PersonId, Reader, SettingKey};

/// A threshold is outgrown when half as many people again are in force: FPIR grows as they do.
const OUTGROWN: f64 = 1.5;
const DAY_MS: u64 = 86_400_000;

/// What the writer remembers of calibration.
#[derive(Debug, Default)]
pub(super) struct Calibrating {
    under_way: Arc<AtomicBool>,
    /// The number of people that a threshold was set for, once it is said to be outgrown.
    told: Option<u64>,
}

/// What the calibrating thread needs.
struct Job {
    site: Arc<Site>,
    reader: Reader,
    audit: AuditReader,
    ask: CalibrationAsk,
}

impl Writer {
    /// Begins a calibration; a thread of its own answers.
    pub(super) fn calibrate(&self, ask: CalibrationAsk, reply: Sender<Response>) {
        let under_way = Arc::clone(&self.calibrating.under_way);
        let refuse = |text: String| drop(reply.send(Response::Error { text }));
        if under_way.swap(true, Ordering::AcqRel) {
            return refuse("another calibration is under way".to_owned());
        }
        let ended = Arc::clone(&under_way);
        let answer = reply.clone();
        let site = self.online.as_ref().map(|online| online.published.site());
        let job = site
            .ok_or(WriterError::Ended)
            .and_then(|site| self.calibration_job(site, ask));
        let started = job.and_then(|job| {
            let builder = thread::Builder::new().name("calibrate".to_owned());
            let spawned = builder.spawn(move || {
                background::enter();
                // Who does not wait any more has lost only the answer.
                drop(answer.send(job.run()));
                ended.store(false, Ordering::Release);
            });
            spawned.map(drop).map_err(WriterError::Io)
        });
        if let Err(error) = started {
            under_way.store(false, Ordering::Release);
            refuse(error.to_string());
        }
    }

    /// The same on this thread, where no server runs.
    pub(super) fn calibrate_here(&self, ask: CalibrationAsk) -> Result<Response, Refusal> {
        let site = match &self.online {
            Some(online) => online.published.site(),
            None => {
                // Nothing is written: whatever would be told to the handle is told to nobody.
                let (handle, _commands) = queue();
                let (mut published, _snapshots) = self.load(&handle)?;
                published.follow(self.store.read())?;
                if published.in_force_with_snapshot().is_some() {
                    return Err(words(
                        "an import is not in the gallery yet: start the server once",
                    ));
                }
                published.site()
            }
        };
        Ok(self.calibration_job(site, ask)?.run())
    }

    fn calibration_job(&self, site: Arc<Site>, ask: CalibrationAsk) -> Result<Job, WriterError> {
        Ok(Job {
            site,
            reader: self.store.open_reader()?,
            audit: AuditReader::open(&self.directory)?,
            ask,
        })
    }

    /// Puts a threshold into force, with the number of people and the FPIR it is for.
    pub(super) fn threshold_set(
        &mut self,
        score: f32,
        people: u64,
        fpir: f32,
    ) -> Result<Response, Refusal> {
        let threshold = Threshold::new(score).map_err(|error| words(&error.to_string()))?;
        if !(0.0..=1.0).contains(&fpir) {
            return Err(words("an FPIR lies between 0 and 1"));
        }
        let mut value = [0; 16];
        value[..4].copy_from_slice(&score.to_le_bytes());
        value[4..12].copy_from_slice(&people.to_le_bytes());
        value[12..].copy_from_slice(&fpir.to_le_bytes());
        self.store
            .setting_set(SettingKey::DECISION_THRESHOLD, &value)?;
        if let Some(online) = &mut self.online {
            online.published.set_threshold(threshold);
            online.snapshots.set_threshold(threshold);
            online.published.site().set_threshold_people(people);
        }
        self.follow()?;
        Ok(Response::Done {
            text: format!("threshold {score:.3} in force, for {people} people"),
        })
    }

    /// Says once that a threshold is outgrown.
    pub(super) fn calibration_tick(&mut self) {
        let Some(online) = &self.online else {
            return;
        };
        let site = online.published.site();
        let (set_for, people) = (site.threshold_people(), site.directory().people());
        if !is_outgrown(set_for, people) {
            self.calibrating.told = None;
        } else if self.calibrating.told != Some(set_for) {
            self.calibrating.told = Some(set_for);
            tracing::warn!(
                set_for,
                people,
                "the decision threshold is outgrown: calibrate"
            );
            let subject = format!("set for {set_for} people, {people} are in force");
            let change = ("threshold.outgrown", subject);
            self.note_change(Session::COMMAND_LINE, change, Some("calibration"));
        }
    }
}

/// Whether so many people more are in force than a threshold was set for (0: it never was).
#[must_use]
pub fn is_outgrown(set_for: u64, people: usize) -> bool {
    set_for > 0 && people as f64 > OUTGROWN * set_for as f64
}

impl Job {
    fn run(&self) -> Response {
        let report = self
            .report()
            .and_then(|report| Ok(serde_json::to_string(&report)?));
        match report {
            Ok(text) => Response::Done { text },
            Err(error) => Response::Error {
                text: error.to_string(),
            },
        }
    }

    fn report(&self) -> Result<CalibrationReport, Box<dyn std::error::Error>> {
        let searched = self.site.searched.load_full();
        // The view keeps the files of withdrawn people from being erased: not for long.
        let end = Instant::now() + CALIBRATION_TIME_MAX;
        let may_go_on = || Instant::now() < end && !self.site.is_stopping();
        let measured = measure(&searched.view, self.ask.searches, may_go_on)?;
        let mut near: Vec<_> = measured.near.into_iter().collect();
        near.sort_by(|a, b| b.1.total_cmp(&a.1));
        let mut pairs = Vec::new();
        for ((one, other), score) in near {
            // Who was withdrawn meanwhile is nobody any more.
            if let (Some(one), Some(other)) = (self.name(one)?, self.name(other)?) {
                pairs.push(NearPair { one, other, score });
            }
        }
        let now_ms = unix_ms();
        let since = now_ms.saturating_sub(CALIBRATION_AUDIT_DAYS * DAY_MS);
        Ok(CalibrationReport {
            persons: searched.view.persons() as u64,
            references: searched.view.rows() as u64,
            scores: measured.scores,
            distinct_scores: measured.distinct_scores,
            floor: measured.floor,
            near: pairs,
            near_left_out: measured.near_left_out,
            threshold: searched.threshold.value(),
            threshold_people: self.site.threshold_people(),
            strangers_a_day: self.audit.no_match_a_day(since, now_ms)?,
        })
    }

    fn name(&self, person: EnginePerson) -> Result<Option<String>, Box<dyn std::error::Error>> {
        let entry = self.reader.person_entry(PersonId(person.0))?;
        Ok(entry.map(|entry| entry.external_id))
    }
}
