//! Long-lived search threads that share one pass with the thread that asks.
//!
//! The caller takes part, so a searcher of one thread has no thread of its own and never waits
//! for one to wake up. A pass takes its work from a shared counter; who comes late finds less.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

/// The threads, which do a pass together: each calls the pool's function with it once.
pub(crate) struct Pool<P> {
    shared: Arc<Shared<P>>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared<P> {
    run: fn(&P),
    state: Mutex<State<P>>,
    work: Condvar,
    done: Condvar,
}

struct State<P> {
    pass: Option<Arc<P>>,
    /// Number of the pass, so that no thread takes part twice.
    number: u64,
    /// Pool threads that have not finished the pass.
    busy: usize,
    panicked: bool,
    closing: bool,
}

impl<P: Send + Sync + 'static> Pool<P> {
    /// Starts `threads - 1` threads: the caller is the first.
    pub(crate) fn new(threads: usize, run: fn(&P)) -> std::io::Result<Self> {
        let state = State {
            pass: None,
            number: 0,
            busy: 0,
            panicked: false,
            closing: false,
        };
        let shared = Arc::new(Shared {
            run,
            state: Mutex::new(state),
            work: Condvar::new(),
            done: Condvar::new(),
        });
        let mut pool = Self {
            shared,
            threads: Vec::new(),
        };
        for number in 1..threads {
            let shared = Arc::clone(&pool.shared);
            let builder = thread::Builder::new().name(format!("search-{number}"));
            pool.threads.push(builder.spawn(move || serve(&shared))?);
        }
        Ok(pool)
    }

    /// Runs a pass on all threads; returns when all have returned and given it back.
    pub(crate) fn run(&mut self, pass: &Arc<P>) {
        let run = self.shared.run;
        if self.threads.is_empty() {
            return run(pass);
        }
        {
            let mut state = self.shared.lock();
            state.pass = Some(Arc::clone(pass));
            state.number += 1;
            state.busy = self.threads.len();
        }
        self.shared.work.notify_all();
        let own = catch_unwind(AssertUnwindSafe(|| run(pass)));
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
        if let Err(panic) = own {
            resume_unwind(panic);
        }
        assert!(!panicked, "a search thread panicked; its message is above");
    }
}

impl<P> Drop for Pool<P> {
    fn drop(&mut self) {
        self.shared.lock().closing = true;
        self.shared.work.notify_all();
        for thread in self.threads.drain(..) {
            // A panic was already reported by `run`.
            let _ = thread.join();
        }
    }
}

impl<P> Shared<P> {
    fn lock(&self) -> MutexGuard<'_, State<P>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn serve<P>(shared: &Shared<P>) {
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
        let result = catch_unwind(AssertUnwindSafe(|| {
            pass.iter().for_each(|pass| (shared.run)(pass));
        }));
        drop(pass);
        state = shared.lock();
        state.panicked |= result.is_err();
        state.busy -= 1;
        if state.busy == 0 {
            shared.done.notify_all();
        }
    }
}

impl<P> fmt::Debug for Pool<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pool({})", self.threads.len() + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn count(calls: &AtomicUsize) {
        calls.fetch_add(1, Ordering::Relaxed);
    }

    #[test]
    fn every_thread_takes_part_once_each_time() {
        for threads in [1, 2, 5] {
            let mut pool = Pool::new(threads, count).expect("threads start");
            for _ in 0..200 {
                let mut calls = Arc::new(AtomicUsize::new(0));
                pool.run(&calls);
                // Nobody holds it any more.
                let calls = Arc::get_mut(&mut calls).expect("given back");
                assert_eq!(*calls.get_mut(), threads);
            }
        }
    }
}
