//! The thread that talks to the broker: one connection after the other, each built anew, with a
//! pause that grows.
//!
//! The MQTT library keeps publishes of its own and sends them again by itself, in an order of its
//! own, and can wait for ever for one acknowledgement. So nothing of it outlives a connection:
//! what to publish is always read from the outbox, from the oldest row that is not acknowledged.
//! The session at the broker stays, so that commands wait there while the site is away; they are
//! acknowledged when the server has stored them.
//!
//! ```text
//! Waiting --pause--> Connecting --CONNACK--> status, subscribe, rows .. --PUBACK--> Delivered
//!    ^                    |                            |
//!    +------ Fault -------+----------------------------+   (TLS, refusal, silence, no PUBACK)
//! ```

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{SystemTime, UNIX_EPOCH};

use rumqttc::{
    AsyncClient, Event as MqttEvent, EventLoop, LastWill, MqttOptions, NetworkOptions, Outgoing,
    Packet, Publish, QoS, SubscribeReasonCode, TlsConfiguration, Transport,
};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::backoff::pause;
use crate::fault::Fault;
use crate::limits::{
    ACK_TIMEOUT, CONNECT_TIMEOUT, CONTROLS_QUEUED_MAX, DELIVERED_DELAY, KEEP_ALIVE,
    PACKET_IN_BYTES_MAX, PACKET_OUT_BYTES_MAX, PUBLISHES_IN_FLIGHT_MAX, REQUESTS_QUEUED_MAX,
    STOP_TIMEOUT,
};
use crate::link::Link;
use crate::session::{Published, Window};
use crate::status::{Connection, Status};
use crate::topics::{Kind, Topics};

/// How the broker is reached, and what is said first and last.
#[derive(Clone)]
pub struct ClientConfig {
    /// The site's topics.
    pub topics: Topics,
    /// The site's name at the broker: one session each.
    pub client_id: String,
    /// Host name or address, as the broker's certificate names it.
    pub host: String,
    /// Its port; 8883 by custom.
    pub port: u16,
    /// Keys and certificates.
    pub tls: Arc<rustls::ClientConfig>,
    /// The status while connected, retained.
    pub online: Vec<u8>,
    /// The status that the broker itself publishes when the site is lost.
    pub offline: Vec<u8>,
    /// The status when the server stops in good order.
    pub stopped: Vec<u8>,
}

/// A row of the outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Its number; rows are published in their order.
    pub number: u64,
    /// Where.
    pub kind: Kind,
    /// What.
    pub payload: Vec<u8>,
}

/// Reads rows after a number, at most so many, oldest first. Called on the client's thread.
pub type Source = Box<dyn FnMut(u64, usize) -> Vec<Row> + Send>;

/// What the client tells. Called on its thread; it must not wait.
pub type Notify = Box<dyn Fn(Event) + Send>;

/// What the client tells.
#[derive(Debug)]
pub enum Event {
    /// The status is another one than before.
    Status(Status),
    /// The broker has every row up to this one.
    Delivered(u64),
    /// A message on the command topic, to be acknowledged once it is stored or refused.
    Command(Vec<u8>, Token),
    /// The broker's queue for this site was given up: a message in it was too long to be taken.
    SessionCleared,
}

/// Names a message that is to be acknowledged.
#[derive(Debug, Clone)]
pub struct Token {
    connection: u64,
    publish: Publish,
}

#[derive(Debug)]
enum Control {
    Wake,
    Publish(Kind, Vec<u8>),
    Acknowledge(Token),
    /// With a farewell, or at once.
    Stop(bool),
}

/// A running client.
pub struct Client {
    controls: mpsc::Sender<Control>,
    status: Arc<Mutex<Status>>,
    thread: Option<JoinHandle<()>>,
}

impl Client {
    /// Starts the thread. It ends with the client, or when it panics: see [`Self::has_ended`].
    ///
    /// # Errors
    /// If the system gives no thread or no event queue.
    pub fn start(config: ClientConfig, source: Source, notify: Notify) -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (controls, received) = mpsc::channel(CONTROLS_QUEUED_MAX);
        let status = Arc::new(Mutex::new(Status {
            connection: Connection::NoStatus,
            since_unix_s: unix_s(),
            why: "not tried yet".to_owned(),
        }));
        let shown = Arc::clone(&status);
        let thread = thread::Builder::new()
            .name("connect".to_owned())
            .spawn(move || {
                let mut talker = Talker {
                    config,
                    controls: received,
                    source,
                    notify,
                    status: shown,
                    connections: 0,
                    clear_session: false,
                };
                runtime.block_on(talker.run());
                // A name that is being resolved keeps nobody waiting.
                runtime.shutdown_background();
            })?;
        Ok(Self {
            controls,
            status,
            thread: Some(thread),
        })
    }

    /// The card's content.
    #[must_use]
    pub fn status(&self) -> Status {
        self.status
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// There are new rows in the outbox.
    pub fn wake(&self) {
        // A full queue is looked at anyway, and then the outbox as well.
        let _ = self.controls.try_send(Control::Wake);
    }

    /// Publishes something that is not kept; dropped while there is no connection.
    pub fn publish(&self, kind: Kind, payload: Vec<u8>) {
        let _ = self.controls.try_send(Control::Publish(kind, payload));
    }

    /// A message is stored or refused: the broker may forget it. If there is no room the broker
    /// sends it again at the next connection, and it is known then.
    pub fn acknowledge(&self, token: Token) {
        let _ = self.controls.try_send(Control::Acknowledge(token));
    }

    /// Whether the thread is gone though nobody asked it to stop.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Says good-bye, for [`STOP_TIMEOUT`] at most, and waits for the thread. A client that is
    /// dropped goes without a word: the broker says `offline` for it.
    pub fn stop(mut self) {
        self.end(true);
    }

    fn end(&mut self, farewell: bool) {
        let Some(thread) = self.thread.take() else {
            return;
        };
        // A full queue is drained by a thread that lives; a dead one takes no more.
        let mut control = Control::Stop(farewell);
        while let Err(mpsc::error::TrySendError::Full(back)) = self.controls.try_send(control) {
            control = back;
            thread::yield_now();
        }
        let _ = thread.join();
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.end(false);
    }
}

/// The thread's own state.
struct Talker {
    config: ClientConfig,
    controls: mpsc::Receiver<Control>,
    source: Source,
    notify: Notify,
    status: Arc<Mutex<Status>>,
    connections: u64,
    clear_session: bool,
}

/// The server stops.
struct Stopped;

impl Talker {
    async fn run(&mut self) {
        let mut failures = 0;
        loop {
            let mut accepted = false;
            match self.connection(&mut accepted).await {
                Ok(Stopped) => return,
                Err(fault) => {
                    failures = if accepted { 1 } else { failures + 1 };
                    if fault.clears_session {
                        self.clear_session = true;
                    }
                    self.show(fault.connection, &fault.why);
                }
            }
            if self.pause(failures).await.is_some() {
                return;
            }
        }
    }

    /// Waits before the next attempt; tells if the server stops meanwhile.
    async fn pause(&mut self, failures: u32) -> Option<Stopped> {
        let mut random = [0; 4];
        // Without randomness the pause is only less spread.
        let _ = getrandom::fill(&mut random);
        let until = Instant::now() + pause(failures, u32::from_le_bytes(random));
        loop {
            tokio::select! {
                () = tokio::time::sleep_until(until) => return None,
                control = self.controls.recv() => match control {
                    None | Some(Control::Stop(_)) => return Some(Stopped),
                    // Rows are read, and commands come again, at the next connection.
                    Some(Control::Wake | Control::Publish(..) | Control::Acknowledge(_)) => {}
                },
            }
        }
    }

    /// One connection, from its first packet to its end.
    async fn connection(&mut self, accepted: &mut bool) -> Result<Stopped, Fault> {
        self.connections += 1;
        let (client, mut events) = self.client();
        let mut link = Link {
            client,
            topics: self.config.topics.clone(),
            window: Window::default(),
            accepted: false,
            acked: Instant::now(),
            told: 0,
            tell_at: None,
            stop_at: None,
        };
        loop {
            let event = {
                // Kept until it is done: the library loses what it began when it is dropped.
                let poll = events.poll();
                tokio::pin!(poll);
                loop {
                    let due = link.due();
                    tokio::select! {
                        biased;
                        control = self.controls.recv(), if link.stop_at.is_none() => {
                            self.control(&mut link, control)?;
                        }
                        event = &mut poll => break event,
                        () = tokio::time::sleep_until(due) => {
                            if let Some(stopped) = self.due(&mut link)? {
                                return Ok(stopped);
                            }
                        }
                    }
                }
            };
            match event {
                Ok(event) => self.event(&mut link, event)?,
                Err(_) if link.stop_at.is_some() => return Ok(Stopped),
                Err(error) => {
                    self.tell_delivered(&mut link);
                    return Err(Fault::of(&error));
                }
            }
            *accepted = link.accepted;
        }
    }

    fn client(&mut self) -> (AsyncClient, EventLoop) {
        let config = &self.config;
        let mut options = MqttOptions::new(&config.client_id, &config.host, config.port);
        options
            .set_keep_alive(KEEP_ALIVE)
            .set_clean_session(std::mem::take(&mut self.clear_session))
            .set_manual_acks(true)
            .set_inflight(PUBLISHES_IN_FLIGHT_MAX)
            .set_max_packet_size(PACKET_IN_BYTES_MAX, PACKET_OUT_BYTES_MAX)
            .set_transport(Transport::tls_with_config(TlsConfiguration::Rustls(
                Arc::clone(&config.tls),
            )))
            .set_last_will(LastWill::new(
                config.topics.of_kind(Kind::Status),
                config.offline.clone(),
                QoS::AtLeastOnce,
                true,
            ));
        let (client, mut events) = AsyncClient::new(options, REQUESTS_QUEUED_MAX);
        let mut network = NetworkOptions::new();
        network.set_connection_timeout(CONNECT_TIMEOUT.as_secs());
        network.set_tcp_nodelay(true);
        events.set_network_options(network);
        (client, events)
    }

    fn control(&mut self, link: &mut Link, control: Option<Control>) -> Result<(), Fault> {
        match control {
            Some(Control::Wake) => self.fill(link),
            Some(Control::Publish(kind, payload)) => {
                if link.accepted && link.window.room() > 0 {
                    return link.publish(kind, payload, Published::Unkept);
                }
                Ok(())
            }
            Some(Control::Acknowledge(token)) => {
                if token.connection == self.connections {
                    return link
                        .client
                        .try_ack(&token.publish)
                        .map_err(|_| Fault::disconnected("the client is stuck"));
                }
                Ok(())
            }
            Some(Control::Stop(true)) if link.accepted => {
                link.stop_at = Some(Instant::now() + STOP_TIMEOUT);
                let stopped = self.config.stopped.clone();
                link.publish(Kind::Status, stopped, Published::Unkept)
            }
            None | Some(Control::Stop(_)) => {
                link.stop_at = Some(Instant::now());
                Ok(())
            }
        }
    }

    /// Something is due: to tell, to stop, or to give up.
    fn due(&mut self, link: &mut Link) -> Result<Option<Stopped>, Fault> {
        let now = Instant::now();
        if link.stop_at.is_some_and(|at| at <= now) {
            return Ok(Some(Stopped));
        }
        if link.tell_at.is_some_and(|at| at <= now) {
            self.tell_delivered(link);
        }
        if link.accepted && link.window.awaits() && link.acked + ACK_TIMEOUT <= now {
            return Err(Fault::disconnected("the broker acknowledges nothing"));
        }
        Ok(None)
    }

    fn event(&mut self, link: &mut Link, event: MqttEvent) -> Result<(), Fault> {
        match event {
            MqttEvent::Incoming(Packet::ConnAck(_)) => self.accepted(link),
            MqttEvent::Incoming(Packet::SubAck(answer)) => {
                let refused = answer.return_codes.contains(&SubscribeReasonCode::Failure);
                if refused {
                    return Err(Fault::unauthorized("the broker refuses the command topic"));
                }
                Ok(())
            }
            MqttEvent::Incoming(Packet::PubAck(ack)) => {
                link.acked = Instant::now();
                link.window.acknowledged(ack.pkid);
                if link.window.delivered() > link.told {
                    let many = link.told + u64::from(PUBLISHES_IN_FLIGHT_MAX / 2);
                    if link.window.delivered() >= many {
                        self.tell_delivered(link);
                    } else {
                        link.tell_at.get_or_insert(Instant::now() + DELIVERED_DELAY);
                    }
                }
                if link.stop_at.is_some() {
                    if !link.window.awaits() {
                        self.tell_delivered(link);
                        let _ = link.client.try_disconnect();
                        link.stop_at = Some(Instant::now() + DELIVERED_DELAY);
                    }
                    return Ok(());
                }
                self.fill(link)
            }
            MqttEvent::Incoming(Packet::Publish(publish)) => {
                if publish.topic == link.topics.command() {
                    let payload = publish.payload.to_vec();
                    let connection = self.connections;
                    let token = Token {
                        connection,
                        publish,
                    };
                    (self.notify)(Event::Command(payload, token));
                }
                Ok(())
            }
            MqttEvent::Outgoing(Outgoing::Publish(packet)) => {
                link.window.written(packet);
                Ok(())
            }
            MqttEvent::Incoming(_) | MqttEvent::Outgoing(_) => Ok(()),
        }
    }

    fn accepted(&mut self, link: &mut Link) -> Result<(), Fault> {
        link.accepted = true;
        link.acked = Instant::now();
        let online = self.config.online.clone();
        link.publish(Kind::Status, online, Published::Unkept)?;
        link.client
            .try_subscribe(link.topics.command(), QoS::AtLeastOnce)
            .map_err(|_| Fault::disconnected("the client is stuck"))?;
        self.show(Connection::Connected, "");
        self.fill(link)
    }

    /// Publishes rows while there is room.
    fn fill(&mut self, link: &mut Link) -> Result<(), Fault> {
        let room = link.window.room();
        if !link.accepted || link.stop_at.is_some() || room == 0 {
            return Ok(());
        }
        if !link.window.awaits() {
            // Nothing was awaited: the time without an acknowledgement begins now.
            link.acked = Instant::now();
        }
        for row in (self.source)(link.window.last(), room) {
            link.publish(row.kind, row.payload, Published::Row(row.number))?;
        }
        Ok(())
    }

    fn tell_delivered(&mut self, link: &mut Link) {
        link.tell_at = None;
        let delivered = link.window.delivered();
        if delivered > link.told {
            link.told = delivered;
            (self.notify)(Event::Delivered(delivered));
        }
    }

    fn show(&mut self, connection: Connection, why: &str) {
        let shown = {
            let mut status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
            if status.connection == connection && status.why == why {
                return;
            }
            if status.connection != connection {
                status.since_unix_s = unix_s();
                tracing::info!(status = %connection, why, "Connect");
            }
            status.connection = connection;
            status.why = why.to_owned();
            status.clone()
        };
        if self.clear_session {
            (self.notify)(Event::SessionCleared);
        }
        (self.notify)(Event::Status(shown));
    }
}

fn unix_s() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
