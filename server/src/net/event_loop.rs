//! The turns of a loop: wait, serve whoever is ready, greet, accept, look at the clock.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use crossbeam_channel::{Receiver, Sender, unbounded};
use mio::net::TcpListener;
use mio::{Events, Interest, Poll, Registry, Token};
use slab::Slab;

use super::bounds::Bounds;
use super::connection::{Connection, Scratch, Stage};
use super::counters::{Counter, Counters, Tally};
use super::deadline::Deadlines;
use super::roster::{Addresses, Devices, Elders, Pace};
use super::{Key, Replies, Service};
use crate::limits::{EVENTS_PER_TURN, HANDSHAKES_TURN, STRANGERS_TURN};
use crate::tls::ServerConfig;

const LISTENER: Token = Token(usize::MAX);
const WAKER: Token = Token(usize::MAX - 1);

/// Rings a loop from any thread.
#[derive(Debug)]
pub struct Waker {
    waker: mio::Waker,
    stop: AtomicBool,
    evicted: Sender<Key>,
}

impl Waker {
    /// A waker, and where its loop finds the connections that are to give their place away.
    pub(super) fn new(registry: &Registry, token: Token) -> io::Result<(Waker, Receiver<Key>)> {
        let (evicted, received) = unbounded();
        let waker = Waker {
            waker: mio::Waker::new(registry, token)?,
            stop: AtomicBool::new(false),
            evicted,
        };
        Ok((waker, received))
    }

    /// Has the loop close a connection whose device has opened too many, at another loop.
    pub(super) fn evict(&self, key: Key) {
        // A loop that has ended has closed it.
        let _ = self.evicted.send(key);
        self.wake();
    }

    /// Has the loop call [`Service::wake`] soon. Several rings may come to one call.
    pub fn wake(&self) {
        // It fails only for want of kernel memory, and then the next ring tells.
        let _ = self.waker.wake();
    }

    /// Has the loop stop: it takes no more connections, answers what is in flight for at most
    /// `Timeouts::stop`, closes all connections and returns.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Release);
        self.wake();
    }
}

/// One loop with its connections and its service.
pub struct EventLoop<S> {
    pub(super) poll: Poll,
    pub(super) listener: Option<TcpListener>,
    /// The listener may have more; an event is not used up.
    pub(super) acceptable: bool,
    /// Accept failed: not before this instant again.
    pub(super) accept_not_before: Option<Instant>,
    pub(super) tls: Arc<ArcSwap<ServerConfig>>,
    pub(super) service: S,
    pub(super) bounds: Bounds,
    pub(super) connections: Slab<Box<Connection>>,
    pub(super) generation: u32,
    pub(super) queues: Queues,
    pub(super) deadlines: Deadlines,
    pub(super) addresses: Addresses,
    pub(super) pace: Pace,
    pub(super) devices: Arc<Devices>,
    pub(super) strangers: Elders,
    pub(super) greeters: Elders,
    pub(super) scratch: Scratch,
    pub(super) replies: Replies,
    pub(super) handshakes: usize,
    pub(super) requests: usize,
    pub(super) bytes: usize,
    pub(super) large_bytes: usize,
    pub(super) tally: Tally,
    counters: Arc<Counters>,
    pub(super) waker: Arc<Waker>,
    /// What other loops have asked this one to close: each connection once at most.
    evicted: Receiver<Key>,
    /// Stopping: all is over at this instant.
    pub(super) stop_at: Option<Instant>,
}

/// Connections that wait for their turn.
#[derive(Debug, Default)]
pub(super) struct Queues {
    devices: VecDeque<Key>,
    strangers: VecDeque<Key>,
    greeting: VecDeque<Key>,
}

impl Queues {
    fn are_empty(&self) -> bool {
        self.devices.is_empty() && self.strangers.is_empty() && self.greeting.is_empty()
    }
}

impl<S: Service> EventLoop<S> {
    /// A loop that accepts from `listener`. New connections take the configuration that `tls`
    /// holds at that moment, so storing another one reloads certificates. `service` makes the
    /// loop's service, which may keep the waker for other threads. All counts go to
    /// `counters`.
    ///
    /// # Errors
    /// When the kernel gives no event queue.
    pub fn new(
        listener: std::net::TcpListener,
        tls: Arc<ArcSwap<ServerConfig>>,
        bounds: Bounds,
        counters: Arc<Counters>,
        service: impl FnOnce(&Arc<Waker>) -> S,
    ) -> io::Result<(EventLoop<S>, Arc<Waker>)> {
        let poll = Poll::new()?;
        listener.set_nonblocking(true)?;
        let mut listener = TcpListener::from_std(listener);
        poll.registry()
            .register(&mut listener, LISTENER, Interest::READABLE)?;
        let (waker, evicted) = Waker::new(poll.registry(), WAKER)?;
        let waker = Arc::new(waker);
        let event_loop = EventLoop {
            poll,
            listener: Some(listener),
            acceptable: true,
            accept_not_before: None,
            tls,
            service: service(&waker),
            bounds,
            // All places now: to grow would be to copy, in the middle of a burst.
            connections: Slab::with_capacity(bounds.connections),
            generation: 0,
            queues: Queues::default(),
            deadlines: Deadlines::default(),
            addresses: Addresses::default(),
            pace: Pace::new(Instant::now()),
            devices: Arc::default(),
            strangers: Elders::default(),
            greeters: Elders::default(),
            scratch: Scratch::new(),
            replies: Replies::default(),
            handshakes: 0,
            requests: 0,
            bytes: 0,
            large_bytes: 0,
            tally: Tally::new(),
            counters,
            waker: waker.clone(),
            evicted,
            stop_at: None,
        };
        Ok((event_loop, waker))
    }

    /// Counts a device's connections together with this other loop's: `device_connections` is for
    /// all loops that share. To be called before either runs.
    pub fn share_devices(&mut self, with: &EventLoop<S>) {
        self.devices = Arc::clone(&with.devices);
    }

    /// Runs until [`Waker::stop`] and the last connection's end; gives the service back.
    ///
    /// # Errors
    /// When the kernel refuses to wait for events, which leaves nothing to do.
    pub fn run(mut self) -> io::Result<S> {
        let mut events = Events::with_capacity(EVENTS_PER_TURN);
        while self.stop_at.is_none() || !self.connections.is_empty() {
            self.turn(&mut events)?;
        }
        Ok(self.service)
    }

    fn turn(&mut self, events: &mut Events) -> io::Result<()> {
        let patience = self.patience(Instant::now());
        match self.poll.poll(events, patience) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let woken = self.note(events);
        let now = Instant::now();
        if self.stop_at.is_none() && self.waker.stop.load(Ordering::Acquire) {
            self.begin_stop(now);
        }
        if woken {
            self.close_evicted(now);
            self.service.wake(now, &mut self.replies);
            self.apply_replies(now);
        }
        if self.service.next_deadline().is_some_and(|at| at <= now) {
            self.service.expire(now, &mut self.replies);
            self.apply_replies(now);
        }
        self.serve_queues();
        self.accept_some(Instant::now());
        self.expire_connections(Instant::now());
        self.publish();
        Ok(())
    }

    /// How long there is nothing to do without an event.
    fn patience(&self, now: Instant) -> Option<Duration> {
        let acceptable = self.acceptable && self.listener.is_some();
        if !self.queues.are_empty() || (acceptable && self.accept_not_before.is_none()) {
            return Some(Duration::ZERO);
        }
        let next = [
            self.deadlines.next(),
            self.service.next_deadline(),
            self.accept_not_before.filter(|_| acceptable),
            self.stop_at,
        ];
        let next = next.into_iter().flatten().min()?;
        Some(next.saturating_duration_since(now))
    }

    /// Remembers what is possible now. Returns whether the waker was rung.
    fn note(&mut self, events: &Events) -> bool {
        let mut woken = false;
        for event in events {
            match event.token() {
                WAKER => woken = true,
                LISTENER => self.acceptable = true,
                Token(index) => {
                    let Some(connection) = self.connections.get_mut(index) else {
                        continue;
                    };
                    let closed = event.is_read_closed();
                    connection.read_closed |= closed;
                    connection.readable |= event.is_readable() || closed || event.is_error();
                    connection.writable |= event.is_writable();
                    let key = connection.key;
                    self.enqueue(key);
                }
            }
        }
        woken
    }

    /// Gives a connection a turn, once.
    pub(super) fn enqueue(&mut self, key: Key) {
        if let Some(connection) = find(&mut self.connections, key)
            && !connection.queued
        {
            connection.queued = true;
            let queue = match (connection.stage, &connection.peer.certificate) {
                (Stage::Greeting, _) => &mut self.queues.greeting,
                (Stage::Open | Stage::Closing, Some(_)) => &mut self.queues.devices,
                (Stage::Open | Stage::Closing, None) | (Stage::Lingering, _) => {
                    &mut self.queues.strangers
                }
            };
            queue.push_back(key);
        }
    }

    fn close_evicted(&mut self, now: Instant) {
        while let Ok(key) = self.evicted.try_recv() {
            self.evict_of_device(key, now);
        }
    }

    /// One turn for every device that is ready, then strangers and handshakes while there is time.
    fn serve_queues(&mut self) {
        self.serve_queue(|queues| &mut queues.devices, Duration::MAX);
        self.serve_queue(|queues| &mut queues.strangers, STRANGERS_TURN);
        self.serve_queue(|queues| &mut queues.greeting, HANDSHAKES_TURN);
    }

    fn serve_queue(&mut self, queue: fn(&mut Queues) -> &mut VecDeque<Key>, time: Duration) {
        let waiting = queue(&mut self.queues).len();
        let began = Instant::now();
        let mut now = began;
        for _ in 0..waiting {
            if let Some(key) = queue(&mut self.queues).pop_front() {
                self.serve(key, now);
            }
            now = Instant::now();
            if now.duration_since(began) >= time {
                break;
            }
        }
    }

    fn expire_connections(&mut self, now: Instant) {
        while let Some((key, at)) = self.deadlines.pop(now) {
            if let Some(connection) = find(&mut self.connections, key)
                && self.deadlines.is_due(key, &mut connection.timer, at, now)
            {
                self.expire_connection(key, now);
            }
        }
        if self.stop_at.is_some_and(|at| at <= now) {
            self.drop_all();
        }
    }

    fn publish(&mut self) {
        self.tally.set(Counter::Connections, self.connections.len());
        self.tally.set(Counter::Handshakes, self.handshakes);
        self.tally.set(Counter::RequestsInFlight, self.requests);
        let bytes = self.bytes + self.large_bytes;
        self.tally.set(Counter::BytesInFlight, bytes);
        self.tally.publish(&self.counters);
    }
}

/// The connection in `key`'s place, if it is still the same one.
pub(super) fn find(connections: &mut Slab<Box<Connection>>, key: Key) -> Option<&mut Connection> {
    let connection = connections.get_mut(key.index as usize)?;
    (connection.key == key).then_some(&mut **connection)
}
