//! The writer's share of backups: that one begins and ends is noted, withdrawals are remembered,
//! and the list of them is written beside the backups soon after each.

use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::Writer;
use super::carry_out::{Refusal, done, unix_s};
use super::error::WriterError;
use crate::admin::message::Response;
use crate::backup::{self, BackupError};
use crate::limits::REMEMBERED_FACTOR;
use crate::secrets::Sealer;
use crate::store::{SettingKey, Store, StoreOrSecret, WithdrawalKey};

/// How often it is looked whether a backup was cut.
const SWEEP_EVERY: Duration = Duration::from_secs(10);
/// How often withdrawals that no backup has any more are forgotten.
const FORGET_EVERY: Duration = Duration::from_secs(3_600);

/// The list of withdrawals on its way to the folder of backups.
pub(super) struct Export {
    /// The folder lacks what the store knows.
    due: bool,
    // Its folder may be on another machine that does not answer: nobody waits for it.
    thread: Option<JoinHandle<Result<(), BackupError>>>,
    /// Why the last try failed: said once, until it works again.
    failed: Option<String>,
    forgot: Option<Instant>,
    /// Erases what a backup left that was cut.
    sweeper: Option<JoinHandle<()>>,
    swept: Option<Instant>,
}

impl Default for Export {
    fn default() -> Self {
        Self {
            // A run before may have ended between a withdrawal and its writing.
            due: true,
            thread: None,
            failed: None,
            forgot: None,
            sweeper: None,
            swept: None,
        }
    }
}

/// Gives the store the site's key for remembering withdrawals; makes one where there is none.
pub(super) fn remember_withdrawals(store: &mut Store, sealer: &Sealer) -> Result<(), WriterError> {
    if store.read().setting(SettingKey::WITHDRAWAL_KEY)?.is_none() {
        let sealed = WithdrawalKey::sealed(sealer)?;
        store.setting_set(SettingKey::WITHDRAWAL_KEY, &sealed)?;
    }
    let key = WithdrawalKey::of_site(store.read(), sealer).map_err(|error| match error {
        StoreOrSecret::Store(error) => WriterError::Store(error),
        StoreOrSecret::Secret(error) => WriterError::Secret(error),
    })?;
    if let Some(key) = key {
        store.remember_with(key);
    }
    Ok(())
}

impl Writer {
    /// When the newest backup was taken, Unix seconds; 0 for never.
    pub(super) fn backup_last(&self) -> Result<i64, WriterError> {
        let value = self.store.read().setting(SettingKey::BACKUP_LAST)?;
        let bytes = value.and_then(|value| value.try_into().ok());
        Ok(bytes.map_or(0, i64::from_le_bytes))
    }

    /// A backup was asked for; the audit says so. Refused into the folder of backups while the list
    /// of withdrawals cannot be kept there: it would bring back who withdraws later.
    pub(super) fn backup_begin(&self, target: &str) -> Result<Response, Refusal> {
        if let (Some(why), Some(folder)) = (&self.export.failed, &self.config.backup.directory)
            && folder == Path::new(target)
        {
            return Err(Refusal::Words(format!(
                "no backup without its list of withdrawals, which the server cannot write: {why}; \
                 mend that (the server tries again each second) and take it again"
            )));
        }
        Ok(done("begun"))
    }

    /// A backup is at its place.
    pub(super) fn backup_end(&mut self, taken_unix_s: i64) -> Result<Response, Refusal> {
        self.store
            .setting_set(SettingKey::BACKUP_LAST, &taken_unix_s.to_le_bytes())?;
        self.follow()?;
        // The backup may have put an older list in the place of the server's.
        self.withdrawals_changed();
        if let Some(online) = &self.online {
            online.published.site().set_backup_unix_s(taken_unix_s);
        }
        Ok(done("noted"))
    }

    /// Somebody was withdrawn, or a device removed.
    pub(super) fn withdrawals_changed(&mut self) {
        self.export.due = true;
    }

    /// Writes the list where it is due, on a thread of its own; forgets who went so long ago that
    /// no backup has them.
    pub(super) fn backup_tick(&mut self) {
        let now = unix_s();
        if is_due(self.export.forgot, Instant::now(), FORGET_EVERY) {
            self.export.forgot = Some(Instant::now());
            let days = REMEMBERED_FACTOR * i64::from(self.config.backup.days);
            if let Err(error) = self.store.remembered_forget(now - days * 86_400) {
                tracing::warn!(%error, "forgetting old withdrawals");
            }
        }
        self.sweep_cut_backup(now);
        let Some(folder) = self.config.backup.directory.clone() else {
            self.export.due = false;
            return;
        };
        let busy = self.export.thread.as_ref();
        if busy.is_some_and(|thread| !thread.is_finished()) {
            return;
        }
        if let Some(thread) = self.export.thread.take() {
            match thread.join() {
                Ok(Ok(())) => self.export.failed = None,
                Ok(Err(error)) => self.export_failed(&error.to_string()),
                Err(_) => self.export_failed("it panicked"),
            }
        }
        if self.export.due {
            self.export.due = false;
            self.export_to(folder, now);
        }
        self.show_export();
    }

    /// Has the copies of a backup erased that was cut and not gone on with: people may have been
    /// withdrawn since, and the erasure period holds for copies too.
    fn sweep_cut_backup(&mut self, now: i64) {
        let busy = self.export.sweeper.as_ref();
        if !is_due(self.export.swept, Instant::now(), SWEEP_EVERY)
            || busy.is_some_and(|thread| !thread.is_finished())
            || !backup::is_begun(self.directory.path())
        {
            return;
        }
        self.export.swept = Some(Instant::now());
        let data = self.directory.path().to_owned();
        let kept_s = backup::kept_s(self.config.erasure_period_s);
        let spawned = std::thread::Builder::new()
            .name("backup-sweep".to_owned())
            .spawn(move || {
                if let Err(error) = backup::sweep(&data, now, kept_s) {
                    tracing::warn!(%error, "copies of a backup stay in the data directory");
                }
            });
        self.export.sweeper = spawned.ok();
    }

    fn export_to(&mut self, folder: PathBuf, now: i64) {
        let data = self.directory.path().to_owned();
        let spawned = std::thread::Builder::new()
            .name("withdrawals".to_owned())
            .spawn(move || backup::export_withdrawals(&data, &folder, now));
        match spawned {
            Ok(thread) => self.export.thread = Some(thread),
            Err(error) => self.export_failed(&error.to_string()),
        }
    }

    fn export_failed(&mut self, why: &str) {
        if self.export.failed.is_none() {
            tracing::warn!(why, "the list of withdrawals is not beside the backups");
        }
        self.export.failed = Some(why.to_owned());
        self.export.due = true;
    }

    fn show_export(&self) {
        if let Some(online) = &self.online {
            let pending = self.export.due || self.export.thread.is_some();
            online.published.site().set_withdrawals_pending(pending);
        }
    }
}

/// Whether it is time again. By a clock that nobody sets: after an hour set back, nothing was swept
/// for an hour.
fn is_due(last: Option<Instant>, now: Instant, every: Duration) -> bool {
    last.is_none_or(|last| now.saturating_duration_since(last) >= every)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::message::Request;
    use crate::cli::{InitArgs, init};
    use crate::writer::Session;

    /// A backup was taken although the server could not keep the list beside it, which only its
    /// log said. Fails without the refusal in `backup_begin`, or if it holds for other folders.
    #[test]
    fn no_backup_begins_where_the_server_cannot_keep_the_list() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (data, shelf) = (folder.path().join("data"), folder.path().join("shelf"));
        let args = InitArgs {
            ip: std::net::Ipv4Addr::LOCALHOST.into(),
            listen: None,
            site: "test".to_owned(),
            model: "0".repeat(31) + "1",
            threshold: 0.5,
        };
        init::run(&data, &args).expect("a new site");
        let mut writer = Writer::offline(&data).expect("nobody else has it");
        writer.config.backup.directory = Some(shelf.clone());
        let begin = |writer: &mut Writer, target: &std::path::Path| {
            let target = target.display().to_string();
            writer.carry_out(Session::COMMAND_LINE, Request::BackupBegin { target })
        };
        tried(&mut writer);
        let refused = begin(&mut writer, &shelf);
        let listed = matches!(&refused, Response::Error { text } if text.contains("withdrawals-"));
        assert!(listed, "{refused:?}");
        let elsewhere = begin(&mut writer, folder.path());
        assert!(matches!(elsewhere, Response::Done { .. }), "{elsewhere:?}");
        std::fs::create_dir(&shelf).expect("made");
        // The try that is under way may not have seen it.
        (0..2).for_each(|_| tried(&mut writer));
        let begun = begin(&mut writer, &shelf);
        assert!(matches!(begun, Response::Done { .. }), "{begun:?}");
    }

    /// Has the list written, and what came of it noted.
    fn tried(writer: &mut Writer) {
        writer.backup_tick();
        let going = |writer: &Writer| {
            let thread = writer.export.thread.as_ref();
            thread.is_some_and(|thread| !thread.is_finished())
        };
        while going(writer) {
            std::thread::yield_now();
        }
        writer.backup_tick();
    }

    /// Fails if the first look waits, or a later one for longer than its time. By the types the
    /// wall clock has no say.
    #[test]
    fn a_look_is_due_at_once_and_then_each_time() {
        let now = Instant::now();
        assert!(is_due(None, now, SWEEP_EVERY));
        assert!(!is_due(Some(now), now, SWEEP_EVERY));
        let almost = now + SWEEP_EVERY - Duration::from_nanos(1);
        assert!(!is_due(Some(now), almost, SWEEP_EVERY));
        assert!(is_due(Some(now), now + SWEEP_EVERY, SWEEP_EVERY));
    }
}
