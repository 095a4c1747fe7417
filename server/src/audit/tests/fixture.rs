//! An audit in a temporary folder, and a handle that waits for what becomes of each record.

use crossbeam_channel::{Receiver, unbounded};

use crate::audit::{
    AttemptRecord, Audit, AuditHandle, AuditReader, Completion, Matched, Outcome, Recorded,
};
use crate::store::DataDirectory;

pub(super) const NOW_US: i64 = 1_790_000_000_000_000;

pub(super) struct Fixture {
    pub(super) audit: Audit,
    pub(super) handle: AuditHandle,
    pub(super) completions: Receiver<Completion>,
    pub(super) directory: DataDirectory,
    pub(super) folder: tempfile::TempDir,
}

impl Fixture {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().expect("temporary folder");
        let directory = DataDirectory::lock(folder.path()).expect("lock");
        Self::over(directory, folder, NOW_US)
    }

    /// With memory for so many request ids only.
    pub(super) fn with_repeats_max(repeats_max: usize) -> Self {
        let folder = tempfile::tempdir().expect("temporary folder");
        let directory = DataDirectory::lock(folder.path()).expect("lock");
        let audit = Audit::open_with(&directory, NOW_US, repeats_max).expect("audit");
        Self::around(audit, directory, folder)
    }

    pub(super) fn reopened(self, now_unix_us: i64) -> Self {
        let Self {
            audit,
            handle,
            directory,
            folder,
            ..
        } = self;
        drop((audit, handle));
        Self::over(directory, folder, now_unix_us)
    }

    fn over(directory: DataDirectory, folder: tempfile::TempDir, now_unix_us: i64) -> Self {
        let audit = Audit::open(&directory, now_unix_us).expect("audit");
        Self::around(audit, directory, folder)
    }

    fn around(audit: Audit, directory: DataDirectory, folder: tempfile::TempDir) -> Self {
        let (sender, completions) = unbounded();
        let deliver = move |completion| {
            // Nobody waits any more in a test that is over.
            let _ = sender.send(completion);
        };
        let handle = audit.handle(deliver, || {});
        Self {
            audit,
            handle,
            completions,
            directory,
            folder,
        }
    }

    pub(super) fn begin(&self, record: AttemptRecord) -> Recorded {
        self.handle.begin(record, 1).expect("room");
        self.completions.recv().expect("completion").recorded
    }

    pub(super) fn outcome(&self, sequence: u64, decision: u8, reason: u16) {
        let outcome = Outcome {
            decision,
            reason,
            at_unix_us: NOW_US + 5,
        };
        self.handle
            .outcome(sequence, outcome, Some(2))
            .expect("room");
        let done = self.completions.recv().expect("completion").recorded;
        assert_eq!(done, Recorded::Outcome { sequence });
    }

    pub(super) fn reader(&self) -> AuditReader {
        self.audit.open_reader().expect("reader")
    }
}

/// An attempt that goes on to the door; its request id says `name`.
pub(super) fn attempt(device: u64, name: u64) -> AttemptRecord {
    let mut request_id = [0; 16];
    request_id[..8].copy_from_slice(&name.to_le_bytes());
    AttemptRecord {
        device,
        request_id,
        at_unix_us: NOW_US,
        door: 3,
        decision: 1,
        reason: 0,
        matched: Some(Matched {
            person: 9,
            external_id: "e9".into(),
            score: 0.75,
        }),
        is_final: false,
    }
}

/// An attempt that ends with "no match".
pub(super) fn no_match(device: u64, name: u64) -> AttemptRecord {
    AttemptRecord {
        decision: 0,
        reason: 100,
        matched: None,
        is_final: true,
        ..attempt(device, name)
    }
}
