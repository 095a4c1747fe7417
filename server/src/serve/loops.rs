//! The event loops: each with a listener, a service and a waker of its own.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::thread::JoinHandle;

use crate::api::{Api, Completion, DeviceLoads, Parts};
use crate::audit::{Audit, AuditHandle};
use crate::completions::{CompletionSender, Completions};
use crate::connect::firmware::Firmware;
use crate::console::ConsoleHandle;
use crate::metrics::Observer;
use crate::net::{self, Bounds, Counters, EventLoop, Waker};
use crate::site::Site;
use crate::tls::LiveTls;
use crate::work::WorkQueue;
use crate::writer::WriterHandle;

/// What every loop works with.
pub(super) struct Shared<'a> {
    pub(super) site: &'a Arc<Site>,
    pub(super) work: &'a WorkQueue<Completion>,
    pub(super) audit: &'a Audit,
    pub(super) writer: &'a WriterHandle,
    pub(super) console: &'a ConsoleHandle,
    pub(super) observer: &'a Observer,
    pub(super) firmware: &'a Firmware,
    pub(super) tls: &'a LiveTls,
}

/// The loops, what wakes each, and where results for each go.
pub(super) struct Loops {
    pub(super) loops: Vec<EventLoop<Api>>,
    pub(super) wakers: Vec<Arc<Waker>>,
    pub(super) senders: Vec<CompletionSender<Completion>>,
}

impl Loops {
    /// One for each listener.
    pub(super) fn new(
        listeners: Vec<TcpListener>,
        counters: &[Arc<Counters>],
        shared: &Shared<'_>,
    ) -> io::Result<Self> {
        let mut all = Self {
            loops: Vec::new(),
            wakers: Vec::new(),
            senders: Vec::new(),
        };
        let (bounds, loads) = (bounds(listeners.len()), DeviceLoads::default());
        for ((listener, counters), loop_number) in listeners.into_iter().zip(counters).zip(0..) {
            let senders = &mut all.senders;
            let service = |waker: &Arc<Waker>| {
                let waker = Arc::clone(waker);
                let completions = Completions::new(move || waker.wake());
                senders.push(completions.sender());
                Api::new(Parts {
                    loop_number,
                    site: Arc::clone(shared.site),
                    work: shared.work.clone(),
                    audit: audit_handle(shared.audit, completions.sender()),
                    writer: shared.writer.clone(),
                    console: shared.console.clone(),
                    completions,
                    handover: shared.observer.handover(),
                    metrics: shared.observer.text(),
                    firmware: shared.firmware.clone(),
                    loads: loads.clone(),
                })
            };
            let (tls, counters) = (shared.tls.config(), Arc::clone(counters));
            let made = EventLoop::new(listener, tls, bounds, counters, service)?;
            let (mut event_loop, waker) = made;
            if let Some(first) = all.loops.first() {
                event_loop.share_devices(first);
            }
            all.loops.push(event_loop);
            all.wakers.push(waker);
        }
        Ok(all)
    }
}

/// Runs each on a thread of its own, until all have ended.
pub(super) fn run(loops: Vec<EventLoop<Api>>) -> io::Result<()> {
    let threads: Vec<JoinHandle<io::Result<Api>>> = loops
        .into_iter()
        .enumerate()
        .map(|(number, event_loop)| {
            let named = std::thread::Builder::new().name(format!("loop-{number}"));
            named.spawn(move || event_loop.run())
        })
        .collect::<Result<_, _>>()?;
    for thread in threads {
        thread
            .join()
            .map_err(|_| io::Error::other("an event loop panicked"))??;
    }
    Ok(())
}

/// What so many loops may hold with the open files that the process may have.
fn bounds(loops: usize) -> Bounds {
    net::descriptors().map_or_else(Bounds::default, |descriptors| {
        Bounds::within(descriptors, loops)
    })
}

fn audit_handle(audit: &Audit, done: CompletionSender<Completion>) -> AuditHandle {
    // Every delivery rings by itself, once a burst: there is nothing left to wake.
    audit.handle(
        move |completion| done.send(Completion::Recorded(completion)),
        || {},
    )
}
