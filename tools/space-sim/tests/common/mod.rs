//! A simulated Space and a client that talks to it.
#![allow(dead_code, clippy::unwrap_used)]

use std::cell::RefCell;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::ops::Deref;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cardea_space::client::{ClientConfig, Completion, Event, OpenRequest, Outcome, SpaceClient};
use cardea_space::ext_id::ExtId;
use cardea_space::status::{Connection, Status};
use cardea_space::sync::Snapshot;
use cardea_space::transport::{Endpoint, Fingerprint, Trust};
use cardea_space_sim::{SimConfig, Simulator};
use crossbeam_channel::{Receiver, unbounded};

/// Longer than anything here takes on a busy machine; reaching it is a failure.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// Space, its client, and what the client said.
pub(crate) struct Site {
    pub(crate) simulator: Simulator,
    pub(crate) client: Stopped,
    pub(crate) events: Receiver<Event>,
    /// Events that came while another kind was waited for, the oldest first.
    earlier: RefCell<VecDeque<Event>>,
}

/// A client whose threads have ended when it is dropped: a test's process must not end under them.
pub(crate) struct Stopped(Option<SpaceClient>);

impl Deref for Stopped {
    type Target = SpaceClient;

    fn deref(&self) -> &SpaceClient {
        self.0.as_ref().unwrap()
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        self.0.take().unwrap().stop();
    }
}

pub(crate) fn simulator() -> Simulator {
    Simulator::start(SimConfig::default()).unwrap()
}

pub(crate) fn https(simulator: &Simulator) -> Endpoint {
    https_with(simulator, &SimConfig::default().key)
}

pub(crate) fn https_with(simulator: &Simulator, key: &str) -> Endpoint {
    let address: SocketAddr = simulator.https_address();
    let trust = Trust::Pinned(Fingerprint::parse(&simulator.fingerprint()).unwrap());
    Endpoint::https(&address.ip().to_string(), address.port(), key, &trust).unwrap()
}

pub(crate) fn tcp(simulator: &Simulator) -> Endpoint {
    let address = simulator.tcp_address();
    Endpoint::tcp(&address.ip().to_string(), address.port()).unwrap()
}

/// One connection, so that it is known which one a call takes.
pub(crate) fn config(endpoint: Endpoint) -> ClientConfig {
    ClientConfig {
        connections: 1,
        sync_period: LONG,
        ..ClientConfig::new(endpoint, 7)
    }
}

pub(crate) fn start(simulator: Simulator, config: ClientConfig) -> Site {
    let (sender, events) = unbounded();
    let notify = Arc::new(move |event| drop(sender.send(event)));
    let client = Stopped(Some(SpaceClient::start(config, notify).unwrap()));
    Site {
        simulator,
        client,
        events,
        earlier: RefCell::default(),
    }
}

/// Connected and synced.
pub(crate) fn ready(simulator: Simulator, config: ClientConfig) -> (Site, Arc<Snapshot>) {
    let site = start(simulator, config);
    assert_eq!(site.status().connection, Connection::Connected);
    let snapshot = site.synced();
    (site, snapshot)
}

impl Site {
    /// The first event that `pick` takes; others are kept for later.
    fn event<T>(&self, pick: impl Fn(&Event) -> Option<T>) -> T {
        let mut earlier = self.earlier.borrow_mut();
        for place in 0..earlier.len() {
            if let Some(picked) = pick(&earlier[place]) {
                earlier.remove(place);
                return picked;
            }
        }
        let deadline = Instant::now() + LONG;
        loop {
            let event = self.events.recv_deadline(deadline).unwrap();
            if let Some(picked) = pick(&event) {
                return picked;
            }
            earlier.push_back(event);
        }
    }

    /// The next change of the status.
    pub(crate) fn status(&self) -> Status {
        self.event(|event| match event {
            Event::StatusChanged(status) => Some(status.clone()),
            _ => None,
        })
    }

    /// The status after as many changes as it takes.
    pub(crate) fn until(&self, connection: Connection) -> Status {
        loop {
            let status = self.status();
            if status.connection == connection {
                return status;
            }
        }
    }

    pub(crate) fn synced(&self) -> Arc<Snapshot> {
        self.event(|event| match event {
            Event::Synced(snapshot) => Some(Arc::clone(snapshot)),
            Event::SyncFailed(why) => panic!("{why}"),
            _ => None,
        })
    }

    pub(crate) fn sync_failed(&self) -> String {
        self.event(|event| match event {
            Event::SyncFailed(why) => Some(why.clone()),
            _ => None,
        })
    }

    pub(crate) fn completion(&self) -> Completion {
        self.event(|event| match event {
            Event::Opened(completion) => Some(completion.clone()),
            _ => None,
        })
    }

    /// Opens a door and waits for the end of it.
    pub(crate) fn open(&self, door: &str, timeout: Duration) -> Outcome {
        self.client.open(request(1, door, timeout)).unwrap();
        let completion = self.completion();
        assert_eq!(completion.ticket, 1);
        completion.outcome
    }

    pub(crate) fn execute(&self, command: &str) {
        self.simulator.execute(command).unwrap();
    }

    /// Waits until Space has closed all connections but `count`.
    pub(crate) fn settled(&self, count: u64) {
        let deadline = Instant::now() + LONG;
        while self.simulator.execute("status").unwrap()["connections"] != count {
            assert!(Instant::now() < deadline, "connections stay open");
            std::thread::yield_now();
        }
    }

    /// Doors that were asked to open, and of these how many opened.
    pub(crate) fn asked_and_opened(&self) -> (usize, usize) {
        let ledger = self.simulator.ledger();
        (
            ledger.len(),
            ledger.iter().filter(|entry| entry.opened).count(),
        )
    }
}

pub(crate) fn request(ticket: u64, door: &str, timeout: Duration) -> OpenRequest {
    OpenRequest {
        ticket,
        door: ExtId::parse(door).unwrap(),
        door_name: None,
        deadline: Instant::now() + timeout,
        may_send: Box::new(|| true),
    }
}
