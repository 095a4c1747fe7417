//! What all connections of the simulator share.

use std::collections::HashMap;
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::SimConfig;
use crate::fault::Faults;
use crate::latency::Sampler;
use crate::ledger::Ledger;
use crate::site::Site;
use crate::tls::Identity;

/// The site, what is wrong with it, and what happened.
pub(crate) struct World {
    pub(crate) faults: Faults,
    site: Mutex<Site>,
    ledger: Mutex<Ledger>,
    sampler: Mutex<Sampler>,
    identity: Mutex<Arc<Identity>>,
    key: Mutex<String>,
    /// What stands in answers, what is written instead, and how often it was.
    rewrites: Mutex<Vec<(String, String, usize)>>,
    names: Vec<String>,
    tls12_only: bool,
    stopping: AtomicBool,
    next_connection: AtomicU64,
    /// Connections of SHIP, to be closed when Space is gone.
    connections: Mutex<HashMap<u64, TcpStream>>,
    /// Threads that serve connections, and who waits for their end.
    threads: Mutex<usize>,
    thread_ended: Condvar,
    requests: AtomicU64,
    handshakes: AtomicU64,
    started: Instant,
}

impl World {
    pub(crate) fn new(config: &SimConfig) -> Result<Self, String> {
        Ok(Self {
            faults: Faults::default(),
            site: Mutex::new(Site::new(&config.site)),
            ledger: Mutex::new(Ledger::default()),
            sampler: Mutex::new(Sampler::new(config.latency, config.site.seed)),
            identity: Mutex::new(Arc::new(Identity::new(&config.names, config.tls12_only)?)),
            key: Mutex::new(config.key.clone()),
            rewrites: Mutex::default(),
            names: config.names.clone(),
            tls12_only: config.tls12_only,
            stopping: AtomicBool::new(false),
            next_connection: AtomicU64::new(1),
            connections: Mutex::new(HashMap::new()),
            threads: Mutex::new(0),
            thread_ended: Condvar::new(),
            requests: AtomicU64::new(0),
            handshakes: AtomicU64::new(0),
            started: Instant::now(),
        })
    }

    pub(crate) fn site(&self) -> MutexGuard<'_, Site> {
        lock(&self.site)
    }

    pub(crate) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        lock(&self.ledger)
    }

    pub(crate) fn sampler(&self) -> MutexGuard<'_, Sampler> {
        lock(&self.sampler)
    }

    pub(crate) fn identity(&self) -> Arc<Identity> {
        Arc::clone(&lock(&self.identity))
    }

    /// A new CA and a new certificate; connections are closed.
    pub(crate) fn change_certificate(&self) -> Result<(), String> {
        let identity = Identity::new(&self.names, self.tls12_only)?;
        *lock(&self.identity) = Arc::new(identity);
        self.close_connections();
        Ok(())
    }

    pub(crate) fn key(&self) -> String {
        lock(&self.key).clone()
    }

    pub(crate) fn set_key(&self, key: &str) {
        key.clone_into(&mut lock(&self.key));
    }

    /// From now on every answer has `to` where it would have `from`.
    pub(crate) fn rewrite(&self, from: String, to: String) {
        lock(&self.rewrites).push((from, to, 0));
    }

    /// No answer is rewritten any more. How often each rewrite was made, in their order.
    pub(crate) fn write_plainly(&self) -> Vec<usize> {
        let ended = std::mem::take(&mut *lock(&self.rewrites));
        ended.into_iter().map(|(.., made)| made).collect()
    }

    /// A document with everything replaced that is to be.
    pub(crate) fn rewritten(&self, document: String) -> String {
        let mut rewrites = lock(&self.rewrites);
        let replace = |text: String, (from, to, made): &mut (String, String, usize)| {
            *made += text.matches(from.as_str()).count();
            text.replace(from.as_str(), to)
        };
        rewrites.iter_mut().fold(document, replace)
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Keeps a copy of the socket, so that it can be closed from outside. Returns its number.
    pub(crate) fn register(&self, socket: &TcpStream) -> u64 {
        let number = self.next_connection.fetch_add(1, Ordering::Relaxed);
        if let Ok(copy) = socket.try_clone() {
            lock(&self.connections).insert(number, copy);
        }
        if self.is_stopping() {
            self.close_connections();
        }
        number
    }

    pub(crate) fn unregister(&self, number: u64) {
        lock(&self.connections).remove(&number);
    }

    pub(crate) fn close_connections(&self) {
        for (_, socket) in lock(&self.connections).drain() {
            // One that is closed already needs no closing.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }

    pub(crate) fn thread_begins(&self) {
        *lock(&self.threads) += 1;
    }

    pub(crate) fn thread_ends(&self) {
        *lock(&self.threads) -= 1;
        self.thread_ended.notify_all();
    }

    /// After [`Self::stop`], and once nobody listens any more: until no connection is served.
    pub(crate) fn wait_for_threads(&self) {
        self.close_connections();
        let waiting = self
            .thread_ended
            .wait_while(lock(&self.threads), |threads| *threads > 0);
        drop(waiting.unwrap_or_else(PoisonError::into_inner));
    }

    pub(crate) fn connection_count(&self) -> usize {
        lock(&self.connections).len()
    }

    pub(crate) fn count_request(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn request_count(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    pub(crate) fn count_handshake(&self) {
        self.handshakes.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn handshake_count(&self) -> u64 {
        self.handshakes.load(Ordering::Relaxed)
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        self.faults.stop();
        self.close_connections();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
