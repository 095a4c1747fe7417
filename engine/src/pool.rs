//! Long-lived search threads that share one pass with the thread that asks.
//!
//! The caller takes part, so a searcher of one thread has no thread of its own and never waits
//! for one to wake up. A pass takes its work from a shared counter; who comes late finds less.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

/// Something that several threads do together, each calling this once.
pub(crate) type Pass = dyn Fn() + Send + Sync;

/// The threads.
pub(crate) struct Pool {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    /// Held by the thread whose pass is running.
    turn: Mutex<()>,
}

struct Shared {
    state: Mutex<State>,
    work: Condvar,
    done: Condvar,
}

struct State {
    pass: Option<Arc<Pass>>,
    /// Number of the pass, so that no thread takes part twice.
    number: u64,
    /// Pool threads that have not finished the pass.
    busy: usize,
    panicked: bool,
    closing: bool,
}

impl Pool {
    /// Starts `threads - 1` threads: the caller is the first.
    pub(crate) fn new(threads: usize) -> std::io::Result<Self> {
        let state = State {
            pass: None,
            number: 0,
            busy: 0,
            panicked: false,
            closing: false,
        };
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            work: Condvar::new(),
            done: Condvar::new(),
        });
        let mut pool = Self {
            shared,
            threads: Vec::new(),
            turn: Mutex::new(()),
        };
        for number in 1..threads {
            let shared = Arc::clone(&pool.shared);
            let builder = thread::Builder::new().name(format!("search-{number}"));
            pool.threads.push(builder.spawn(move || serve(&shared))?);
        }
        Ok(pool)
    }

    /// Threads that take part, the caller included.
    pub(crate) fn threads(&self) -> usize {
        self.threads.len() + 1
    }

    /// Runs a pass on all threads; returns when all have returned. Passes of several callers take
    /// turns.
    pub(crate) fn run(&self, pass: Arc<Pass>) {
        if self.threads.is_empty() {
            return pass();
        }
        let turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        {
            let mut state = self.shared.lock();
            state.pass = Some(Arc::clone(&pass));
            state.number += 1;
            state.busy = self.threads.len();
        }
        self.shared.work.notify_all();
        let own = catch_unwind(AssertUnwindSafe(|| pass()));
        let mut state = self.shared.lock();
        while state.busy > 0 {
            state = self
                .shared
                .done
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        state.pass = None;
        let panicked = std::mem::take(&mut state.panicked);
        drop(state);
        drop(turn);
        if let Err(panic) = own {
            resume_unwind(panic);
        }
        assert!(!panicked, "a search thread panicked; its message is above");
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.lock().closing = true;
        self.shared.work.notify_all();
        for thread in self.threads.drain(..) {
            // A panic was already reported by `run`.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn serve(shared: &Shared) {
    let mut seen = 0;
    let mut state = shared.lock();
    loop {
        while state.number == seen && !state.closing {
            state = shared
                .work
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        if state.closing {
            return;
        }
        seen = state.number;
        let pass = state.pass.clone();
        drop(state);
        let result = catch_unwind(AssertUnwindSafe(|| pass.iter().for_each(|pass| pass())));
        drop(pass);
        state = shared.lock();
        state.panicked |= result.is_err();
        state.busy -= 1;
        if state.busy == 0 {
            shared.done.notify_all();
        }
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pool({})", self.threads())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn every_thread_takes_part_once_each_time() {
        for threads in [1, 2, 5] {
            let pool = Pool::new(threads).expect("threads start");
            for _ in 0..200 {
                let calls = Arc::new(AtomicUsize::new(0));
                let counted = Arc::clone(&calls);
                pool.run(Arc::new(move || {
                    counted.fetch_add(1, Ordering::Relaxed);
                }));
                assert_eq!(calls.load(Ordering::Relaxed), threads);
            }
        }
    }

    #[test]
    fn callers_from_several_threads_take_turns() {
        let pool = Pool::new(3).expect("threads start");
        let calls = Arc::new(AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        let counted = Arc::clone(&calls);
                        pool.run(Arc::new(move || {
                            counted.fetch_add(1, Ordering::Relaxed);
                        }));
                    }
                });
            }
        });
        assert_eq!(calls.load(Ordering::Relaxed), 4 * 50 * 3);
    }
}
