//! The audit's thread: takes all that waits, commits it as one, then says what became of each.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, TryRecvError};
use rusqlite::Connection;

use super::handle::{Job, Sink};
use super::reader::read_entry;
use super::record::{AdministrativeChange, AttemptRecord, Entry, Outcome, Recorded};
use super::repeats::Repeats;
use super::schema::{KIND_ATTEMPT, KIND_CHANGE};
use crate::limits::{
    AUDIT_BATCH_MAX, AUDIT_LOOK_BACK_ROWS, AUDIT_OUTCOMES_HELD_MAX, AUDIT_PRUNE_ROWS,
    AUDIT_REPEAT_WINDOW_US, AUDIT_REPEATS_OF_DEVICE_MAX, AUDIT_RETRY_MS, AUDIT_TEXT_BYTES_MAX,
};
use crate::metrics::events;
use crate::pace::Pace;
use crate::store::{Checkpoints, StoreError, key, number, write};

/// What the thread owns.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) db: Connection,
    checkpoints: Checkpoints,
    pub(super) jobs: Receiver<Job>,
    repeats: Repeats,
    run_first: u64,
    next: u64,
    // Outcomes that could not be written yet.
    pub(super) held: Vec<(u64, Outcome)>,
    prune_before_unix_us: Option<i64>,
    pace: Option<Arc<Pace>>,
    pub(super) poisoned: bool,
}

/// What a batch will say once it is committed.
struct Report {
    sink: Arc<Sink>,
    ticket: u64,
    recorded: Recorded,
}

/// A batch as it grows within its transaction.
struct Batch<'a> {
    db: &'a Connection,
    repeats: &'a mut Repeats,
    run_first: u64,
    next: u64,
    inserted: usize,
    reports: Vec<Report>,
}

impl Writer {
    pub(super) fn new(
        db: Connection,
        checkpoints: Checkpoints,
        jobs: Receiver<Job>,
        now_unix_us: i64,
        repeats_max: usize,
    ) -> Result<Self, StoreError> {
        let last: i64 = db.query_row(
            "SELECT coalesce(max(sequence), 0) FROM records",
            [],
            |row| row.get(0),
        )?;
        let run_first = number(last) + 1;
        let repeats = look_back(&db, now_unix_us, repeats_max)?;
        Ok(Self {
            db,
            checkpoints,
            jobs,
            repeats,
            run_first,
            next: run_first,
            held: Vec::new(),
            prune_before_unix_us: None,
            pace: None,
            poisoned: false,
        })
    }

    /// The first number of this process.
    pub(super) fn run_first(&self) -> u64 {
        self.run_first
    }

    /// Says from here on how long commits take.
    pub(super) fn show_pace(&mut self, pace: Arc<Pace>) {
        self.pace = Some(pace);
    }

    /// Works until it is told to stop; what was handed in before is written.
    pub(super) fn run(mut self) {
        let mut batch = Vec::with_capacity(AUDIT_BATCH_MAX);
        loop {
            let go_on = self.gather(&mut batch);
            if !batch.is_empty() || !self.held.is_empty() {
                self.commit(&mut batch);
            }
            if !go_on {
                break;
            }
        }
        // What came after the stop is refused, so that nobody waits for it.
        batch.extend(self.jobs.try_iter());
        self.fail(&mut batch, &StoreError::Refused);
    }

    // Waits for a job, then takes all that waits; returns false once it is to stop.
    pub(super) fn gather(&mut self, batch: &mut Vec<Job>) -> bool {
        let first = match self.jobs.try_recv() {
            Ok(job) => Some(job),
            Err(TryRecvError::Disconnected) => return false,
            Err(TryRecvError::Empty) => match self.idle() {
                Ok(job) => job,
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return false,
            },
        };
        let more = first.into_iter().chain(self.jobs.try_iter());
        for job in more.take(AUDIT_BATCH_MAX) {
            match job {
                Job::Stop => return false,
                Job::Prune { before_unix_us } => self.prune_before_unix_us = Some(before_unix_us),
                job => batch.push(job),
            }
        }
        true
    }

    // Nothing waits: removes a few old records, or waits for a job.
    fn idle(&mut self) -> Result<Option<Job>, RecvTimeoutError> {
        if let Some(before_unix_us) = self.prune_before_unix_us {
            match write(&mut self.db, |db| prune(db, before_unix_us)) {
                Ok(0) => self.prune_before_unix_us = None,
                Ok(rows) => {
                    events::AUDIT_PRUNED.add(rows as u64);
                    self.checkpoints.wrote(rows as u64);
                }
                Err(error) => {
                    self.prune_before_unix_us = None;
                    self.poisoned |= error == StoreError::Poisoned;
                    tracing::warn!(%error, "pruning the audit");
                }
            }
            return Ok(None);
        }
        if self.held.is_empty() || self.poisoned {
            let job = self.jobs.recv();
            return job.map(Some).map_err(|_| RecvTimeoutError::Disconnected);
        }
        self.jobs
            .recv_timeout(Duration::from_millis(AUDIT_RETRY_MS))
            .map(Some)
    }

    pub(super) fn commit(&mut self, jobs: &mut Vec<Job>) {
        let began = Instant::now();
        events::OUTCOMES_RETRIED.add(self.held.len() as u64);
        let attempts = jobs.iter().any(|job| matches!(job, Job::Begin { .. }));
        let mut batch = Batch {
            db: &self.db,
            repeats: &mut self.repeats,
            run_first: self.run_first,
            next: self.next,
            inserted: 0,
            reports: Vec::with_capacity(jobs.len()),
        };
        let written = if self.poisoned {
            Err(StoreError::Poisoned)
        } else {
            batch.write(&self.held, jobs)
        };
        let Batch {
            next,
            inserted,
            reports,
            ..
        } = batch;
        match written {
            Ok(()) => {
                self.next = next;
                self.held.clear();
                if let Some(pace) = self.pace.as_ref().filter(|_| attempts) {
                    pace.committed(began, Instant::now());
                }
                self.checkpoints.wrote(jobs.len() as u64);
                jobs.clear();
                report(reports);
            }
            Err(error) => {
                self.repeats.take_back(inserted);
                self.poisoned |= error == StoreError::Poisoned;
                let times = events::AUDIT_FAILED.count();
                if times.is_power_of_two() {
                    tracing::error!(%error, records = jobs.len(), times, "audit not written");
                }
                self.fail(jobs, &error);
            }
        }
    }

    // Nothing of a batch is recorded; outcomes are kept for the next one.
    fn fail(&mut self, jobs: &mut Vec<Job>, why: &StoreError) {
        let mut reports = Vec::with_capacity(jobs.len());
        for job in jobs.drain(..) {
            let (sink, ticket) = match job {
                Job::Begin { ticket, sink, .. } | Job::Change { ticket, sink, .. } => {
                    (sink, Some(ticket))
                }
                Job::Outcome {
                    sequence,
                    outcome,
                    ticket,
                    sink,
                } => {
                    if self.held.len() < AUDIT_OUTCOMES_HELD_MAX {
                        self.held.push((sequence, outcome));
                    } else {
                        events::OUTCOMES_DROPPED.count();
                    }
                    (sink, ticket)
                }
                Job::Prune { .. } | Job::Stop => continue,
            };
            if let Some(ticket) = ticket {
                let recorded = Recorded::Failed { why: why.clone() };
                reports.push(Report {
                    sink,
                    ticket,
                    recorded,
                });
            }
        }
        report(reports);
    }
}

impl Batch<'_> {
    fn write(&mut self, held: &[(u64, Outcome)], jobs: &[Job]) -> Result<(), StoreError> {
        let transaction = self.db.unchecked_transaction()?;
        for (sequence, outcome) in held {
            insert_outcome(self.db, *sequence, outcome)?;
        }
        for job in jobs {
            self.job(job)?;
        }
        transaction.commit()?;
        Ok(())
    }

    fn job(&mut self, job: &Job) -> Result<(), StoreError> {
        match job {
            Job::Begin {
                record,
                ticket,
                sink,
            } => {
                let recorded = self.begin(record)?;
                self.report(sink, *ticket, recorded);
            }
            Job::Outcome {
                sequence,
                outcome,
                ticket,
                sink,
            } => {
                insert_outcome(self.db, *sequence, outcome)?;
                if let Some(ticket) = ticket {
                    let sequence = *sequence;
                    self.report(sink, *ticket, Recorded::Outcome { sequence });
                }
            }
            Job::Change {
                change,
                ticket,
                sink,
            } => {
                let sequence = self.take_number();
                insert_change(self.db, sequence, change)?;
                self.report(sink, *ticket, Recorded::New { sequence });
            }
            Job::Prune { .. } | Job::Stop => {}
        }
        Ok(())
    }

    fn begin(&mut self, record: &AttemptRecord) -> Result<Recorded, StoreError> {
        self.repeats.forget_old(record.at_unix_us);
        let hash = self.repeats.hash(record.device, &record.request_id);
        if let Some(sequence) = self.repeats.find(hash) {
            return self.repeat(record, sequence);
        }
        if self.repeats.is_full(record.device) {
            // A repeat could not be told from a first: nothing opens.
            let times = events::AUDIT_IDS_FULL.count();
            if times.is_power_of_two() {
                tracing::error!(times, "too many attempts within an hour: refused");
            }
            let why = StoreError::Refused;
            return Ok(Recorded::Failed { why });
        }
        let sequence = self.take_number();
        insert_attempt(self.db, sequence, record)?;
        let (device, at_unix_us) = (record.device, record.at_unix_us);
        self.repeats.insert(hash, device, sequence, at_unix_us);
        self.inserted += 1;
        Ok(Recorded::New { sequence })
    }

    fn repeat(&self, record: &AttemptRecord, sequence: u64) -> Result<Recorded, StoreError> {
        let first = read_entry(self.db, sequence, self.run_first)?;
        let answer = match first.map(|first| first.entry) {
            Some(entry @ Entry::Attempt(..)) if is_same(&entry, record) => entry.answer(),
            _ => None,
        };
        match answer {
            Some(answer) => Ok(Recorded::Repeat { sequence, answer }),
            // Another attempt with the same hash, one in a billion hours; or the first was pruned.
            None => Ok(Recorded::Failed {
                why: StoreError::Refused,
            }),
        }
    }

    fn take_number(&mut self) -> u64 {
        let sequence = self.next;
        self.next += 1;
        sequence
    }

    fn report(&mut self, sink: &Arc<Sink>, ticket: u64, recorded: Recorded) {
        self.reports.push(Report {
            sink: Arc::clone(sink),
            ticket,
            recorded,
        });
    }
}

// Delivers everything, then wakes each receiver once.
fn report(reports: Vec<Report>) {
    let mut sinks: Vec<Arc<Sink>> = Vec::new();
    for report in reports {
        report.sink.deliver(report.ticket, report.recorded);
        if !sinks.iter().any(|sink| Arc::ptr_eq(sink, &report.sink)) {
            sinks.push(report.sink);
        }
    }
    for sink in sinks {
        sink.wake();
    }
}

fn is_same(entry: &Entry, record: &AttemptRecord) -> bool {
    match entry {
        Entry::Attempt(first, _) => {
            first.device == record.device && first.request_id == record.request_id
        }
        Entry::Change(_) => false,
    }
}

fn insert_attempt(
    db: &Connection,
    sequence: u64,
    record: &AttemptRecord,
) -> Result<(), StoreError> {
    let matched = record.matched.as_ref();
    db.prepare_cached(
        "INSERT INTO records(sequence, kind, at_us, device, request_id, door, decision, reason,
                             final, person, external_id, score)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
    )?
    .execute((
        key(sequence),
        KIND_ATTEMPT,
        record.at_unix_us,
        key(record.device),
        record.request_id,
        key(record.door),
        record.decision,
        record.reason,
        record.is_final,
        matched.map(|matched| key(matched.person)),
        matched.map(|matched| &*matched.external_id),
        matched.map(|matched| matched.score),
    ))?;
    Ok(())
}

fn insert_outcome(db: &Connection, sequence: u64, outcome: &Outcome) -> Result<(), StoreError> {
    db.prepare_cached(
        "INSERT OR IGNORE INTO outcomes(sequence, decision, reason, at_us) VALUES (?1, ?2, ?3, ?4)",
    )?
    .execute((
        key(sequence),
        outcome.decision,
        outcome.reason,
        outcome.at_unix_us,
    ))?;
    Ok(())
}

fn insert_change(
    db: &Connection,
    sequence: u64,
    change: &AdministrativeChange,
) -> Result<(), StoreError> {
    db.prepare_cached(
        "INSERT INTO records(sequence, kind, at_us, actor, action, subject)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?
    .execute((
        key(sequence),
        KIND_CHANGE,
        change.at_unix_us,
        cut(&change.actor),
        cut(&change.action),
        cut(&change.subject),
    ))?;
    Ok(())
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(AUDIT_TEXT_BYTES_MAX)]
}

// Removes old ones among the first records; returns how many. The newest record stays, so that
// numbers go on from it.
fn prune(db: &Connection, before_unix_us: i64) -> Result<usize, StoreError> {
    let mut old = db.prepare_cached(
        "DELETE FROM records WHERE at_us < ?1
           AND sequence < (SELECT max(sequence) FROM records)
           AND sequence IN (SELECT sequence FROM records ORDER BY sequence LIMIT ?2)
         RETURNING sequence",
    )?;
    let removed = old
        .query_map((before_unix_us, AUDIT_PRUNE_ROWS as i64), |row| row.get(0))?
        .collect::<Result<Vec<i64>, _>>()?;
    let mut outcome = db.prepare_cached("DELETE FROM outcomes WHERE sequence = ?1")?;
    for sequence in &removed {
        outcome.execute([sequence])?;
    }
    Ok(removed.len())
}

// The request ids of the window before `now_unix_us`. A clock that stepped may have left older
// ones among them, so some older ones in a row are looked at before it ends.
fn look_back(db: &Connection, now_unix_us: i64, repeats_max: usize) -> Result<Repeats, StoreError> {
    let start = now_unix_us.saturating_sub(AUDIT_REPEAT_WINDOW_US);
    let mut found = Vec::new();
    let mut repeats = Repeats::new(repeats_max, AUDIT_REPEATS_OF_DEVICE_MAX);
    let mut select = db.prepare(
        "SELECT sequence, device, request_id, at_us FROM records WHERE kind = ?1
         ORDER BY sequence DESC",
    )?;
    let mut rows = select.query([KIND_ATTEMPT])?;
    let mut older_in_a_row = 0;
    while let Some(row) = rows.next()? {
        let at_unix_us: i64 = row.get(3)?;
        if at_unix_us < start {
            older_in_a_row += 1;
            if older_in_a_row == AUDIT_LOOK_BACK_ROWS {
                break;
            }
            continue;
        }
        older_in_a_row = 0;
        let device = number(row.get(1)?);
        let hash = repeats.hash(device, &row.get(2)?);
        found.push((hash, device, number(row.get(0)?), at_unix_us));
    }
    for (hash, device, sequence, at_unix_us) in found.into_iter().rev() {
        // Should two collide, the later one would be taken for new: the first one is kept instead.
        if repeats.find(hash).is_none() && !repeats.is_full(device) {
            repeats.insert(hash, device, sequence, at_unix_us);
        }
    }
    Ok(repeats)
}
