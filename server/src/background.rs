//! Work at the side: it has the CPU only while nobody who waits at a door needs it.

use thread_priority::{
    Error, NormalThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy,
    set_thread_priority_and_policy, thread_native_id,
};

/// Puts this thread, and those that it starts from now on, below all others (`SCHED_IDLE`): whoever
/// wakes takes the CPU from it at once. Niceness alone does not do that: a nice thread keeps the CPU
/// to the end of its slice (about 3 ms), and a request wakes four threads one after the other. A
/// console under load beside the access path: p99 1.6 to 3.7 times that at rest with niceness 10,
/// 1.1 times so, and as many pages a second.
///
/// Such a thread may be kept waiting for long: it must hold nothing that the access path needs.
pub fn enter() {
    let policy = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
    let set = set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Min, policy);
    if let Err(error) = set.map_err(words) {
        // Its work is done all the same; only others wait longer.
        tracing::warn!(error, "work at the side runs at full priority");
    }
}

fn words(error: Error) -> String {
    match error {
        Error::OS(errno) => std::io::Error::from_raw_os_error(errno).to_string(),
        other => format!("{other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fails if the policy is another one, or that of the whole process.
    #[test]
    fn this_thread_alone_makes_way() {
        let policy = || thread_priority::thread_schedule_policy().expect("known");
        let idle = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
        let before = policy();
        assert_ne!(before, idle);
        let thread = std::thread::spawn(move || {
            enter();
            policy()
        });
        assert_eq!(thread.join().expect("ends"), idle);
        assert_eq!(policy(), before);
    }
}
