//! The steps that the code took, and a step that fails.

use std::cell::RefCell;
use std::io;
use std::path::PathBuf;

/// One change to the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Create(PathBuf),
    SetLength(PathBuf, u64),
    Write(PathBuf, u64, Vec<u8>),
    Sync(PathBuf),
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
    SyncFolder,
}

/// Which steps fail, and how.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fault {
    /// The first that fails.
    pub(crate) at: usize,
    /// Also all after it.
    pub(crate) for_good: bool,
    pub(crate) errno: rustix::io::Errno,
}

#[derive(Default)]
struct Disk {
    steps: Vec<Step>,
    fault: Option<Fault>,
}

thread_local! {
    static DISK: RefCell<Option<Disk>> = const { RefCell::new(None) };
}

/// Every step that this thread takes in `body`, also those that failed.
pub(crate) fn steps_of<T>(fault: Option<Fault>, body: impl FnOnce() -> T) -> (T, Vec<Step>) {
    let disk = Disk {
        steps: Vec::new(),
        fault,
    };
    DISK.set(Some(disk));
    let out = body();
    (out, DISK.take().map_or_else(Vec::new, |disk| disk.steps))
}

/// Called before each step.
pub(super) fn note(step: Step) -> io::Result<()> {
    DISK.with_borrow_mut(|disk| {
        let Some(disk) = disk else {
            return Ok(());
        };
        let at = disk.steps.len();
        disk.steps.push(step);
        match disk.fault {
            Some(fault) if at == fault.at || (fault.for_good && at > fault.at) => {
                Err(fault.errno.into())
            }
            _ => Ok(()),
        }
    })
}
