//! Work at the side: it has the CPU only while nobody who waits at a door needs it.

use rustix::process::setpriority_process;
use thread_priority::{
    NormalThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy,
    set_thread_priority_and_policy, thread_native_id,
};

use crate::limits::BACKGROUND_NICENESS;

/// Puts this thread, and those that it starts from now on, below all others (`SCHED_IDLE`):
/// whoever wakes takes the CPU from it at once. Niceness alone does not do that: a nice thread
/// keeps the CPU to the end of its slice (about 3 ms), and a request wakes four threads one
/// after the other. A console under load beside the access path: p99 1.6 to 3.7 times that at
/// rest with niceness 10, 1.1 times so, and as many pages a second.
///
/// Such a thread may be kept waiting for long: it must hold nothing that the access path needs.
/// And others of the machine must not keep it waiting: a service has a control group with a
/// share of its own, but in a session busy tests stopped the console altogether. There it is
/// nice only.
pub fn enter() {
    let set = if is_service() {
        let policy = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
        set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Min, policy)
            .map_err(|error| format!("{error:?}"))
    } else {
        // On Linux, of this thread alone.
        let set = setpriority_process(None, BACKGROUND_NICENESS);
        set.map(drop).map_err(|error| error.to_string())
    };
    if let Err(error) = set {
        // Its work is done all the same; only others wait longer.
        tracing::warn!(error, "work at the side runs at full priority");
    }
}

/// Whether systemd started this very process, and not one that this one descends from.
fn is_service() -> bool {
    let started = std::env::var("SYSTEMD_EXEC_PID").ok();
    started.and_then(|pid| pid.parse().ok()) == Some(std::process::id())
}
