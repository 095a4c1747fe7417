//! The console's threads and the queue before them. A full queue is refused at once; a panic while
//! serving is logged, answered 500, and the thread goes on.

use std::io;
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::desk::Desk;
use super::dispatch::serve;
use super::reply;
use super::shared::Shared;
use crate::api::Completion;
use crate::background;
use crate::completions::CompletionSender;
use crate::limits::{CONSOLE_ANSWER, CONSOLE_BYTES_MAX, CONSOLE_QUEUED_MAX, CONSOLE_THREADS};
use crate::metrics::events::CONSOLE_LATE;
use crate::net::{ExchangeId, Request};

/// A request on its way to a console thread.
pub struct Job {
    /// The exchange that waits.
    pub exchange: ExchangeId,
    /// Where it comes from.
    pub remote: IpAddr,
    /// What is asked.
    pub request: Request,
    /// The loop.
    pub done: CompletionSender<Completion>,
}

/// The way to the console's threads; cheap to clone, never waits.
#[derive(Clone)]
pub struct ConsoleHandle {
    jobs: Sender<Job>,
    bytes: Arc<AtomicUsize>,
}

impl ConsoleHandle {
    /// The way to no thread at all, for tests.
    #[cfg(test)]
    pub(crate) fn nowhere() -> Self {
        let (jobs, _) = bounded(1);
        let bytes = Arc::default();
        Self { jobs, bytes }
    }

    /// Hands a request over.
    ///
    /// # Errors
    /// The exchange, if too many wait or too many bytes do.
    pub fn try_send(&self, job: Job) -> Result<(), ExchangeId> {
        let (exchange, bytes) = (job.exchange, job.request.body.capacity());
        if self.bytes.fetch_add(bytes, Ordering::SeqCst) + bytes > CONSOLE_BYTES_MAX {
            self.bytes.fetch_sub(bytes, Ordering::SeqCst);
            return Err(exchange);
        }
        self.jobs.try_send(job).map_err(|_| {
            self.bytes.fetch_sub(bytes, Ordering::SeqCst);
            exchange
        })
    }
}

/// Starts the threads; they live as long as the process. `desk` makes what each works with.
///
/// # Errors
/// If a thread or its readers cannot be had.
pub fn start<E: From<io::Error>>(
    shared: &Arc<Shared>,
    mut readers: impl FnMut() -> Result<super::shared::Readers, E>,
) -> Result<ConsoleHandle, E> {
    let (jobs, waiting) = bounded(CONSOLE_QUEUED_MAX);
    let bytes = Arc::new(AtomicUsize::new(0));
    for number in 0..CONSOLE_THREADS {
        let mut desk = Desk::new(Arc::clone(shared), readers()?);
        let (waiting, bytes) = (waiting.clone(), Arc::clone(&bytes));
        thread::Builder::new()
            .name(format!("console-{number}"))
            .spawn(move || run(&mut desk, &waiting, &bytes))?;
    }
    Ok(ConsoleHandle { jobs, bytes })
}

fn run(desk: &mut Desk, waiting: &Receiver<Job>, bytes: &AtomicUsize) {
    background::enter();
    for job in waiting {
        let held = job.request.body.capacity();
        let deadline = job.request.times.complete + CONSOLE_ANSWER;
        let response = if deadline <= Instant::now() {
            // Nobody waits any more.
            CONSOLE_LATE.count();
            reply::busy()
        } else {
            let served = AssertUnwindSafe(|| serve(desk, job.request, job.remote, deadline));
            catch_unwind(served).unwrap_or_else(|_| {
                tracing::error!("a page of the console panicked");
                reply::broken()
            })
        };
        bytes.fetch_sub(held, Ordering::SeqCst);
        job.done.send(Completion::Served {
            exchange: job.exchange,
            response,
        });
    }
}
