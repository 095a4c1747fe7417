//! The event loop: one thread, mio, every device's socket, and a timer for the next start.
//!
//! ```text
//! prepare: kept-alive and resumed devices connect and send a heartbeat; resumed ones close again
//! run:     due starts begin -> sockets are read and written -> samples
//! ```
//! - Starts begin when the plan says so, whatever the server does.
//! - Sockets are registered once, edge-triggered, for reading and writing. A read ends at a whole
//!   response; bytes behind it are read with the next edge.
//! - A device has one exchange at a time. A start that finds it busy waits, and its response time
//!   goes on counting. A start fails at its timeout, also while it waits.
//! - Nothing is allocated per request but what TLS takes.

mod device;
mod timer;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use cardea_wire::{AccessRequest, EncodedEmbedding, Head, Kind, PadResult, RequestId, path};
use mio::event::Event;
use mio::{Events, Poll, Token};
use rustls::ClientConfig;

use crate::client::{Failure, Stage};
use crate::http::Response;
use crate::limits::{FAILURE_TEXTS_MAX, PREPARE_TIMEOUT, PREPARING_AT_ONCE, STARTS_PER_TURN};
use crate::plan::{Lane, Plan};
use crate::probes::Probes;
use crate::sample::{Outcome, Sample};
use device::{Current, Device, Task};
use timer::Timer;

const TIMER: Token = Token(usize::MAX);
const EVENTS_PER_TURN: usize = 1_024;
const LEAD: Duration = Duration::from_millis(20);
const LONGEST_WAIT: Duration = Duration::from_millis(100);
const FIRMWARE: u32 = 1 << 16;

/// What a run needs.
#[derive(Debug)]
pub struct Setup<'a> {
    /// The server.
    pub server: SocketAddr,
    /// The TLS configuration of each device of the plan, in order.
    pub devices: &'a [Arc<ClientConfig>],
    /// The intended starts.
    pub plan: &'a Plan,
    /// What they send.
    pub probes: &'a Probes,
    /// How long after its intended start a request may end.
    pub timeout: Duration,
    /// Makes the request ids of this run differ from those of every other.
    pub nonce: [u8; 8],
}

/// How far a run has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Devices that are prepared.
    Preparing {
        /// So many.
        done: usize,
        /// Of so many.
        total: usize,
    },
    /// Requests.
    Running {
        /// Started.
        started: usize,
        /// Ended.
        ended: usize,
        /// In the plan.
        total: usize,
    },
}

/// What a run brought.
#[derive(Debug, Clone)]
pub struct Run {
    /// When the plan began.
    pub began: SystemTime,
    /// CPU time that the generator's thread took for the plan, microseconds.
    pub cpu_us: u64,
    /// One sample per start, in the order in which they ended.
    pub samples: Vec<Sample>,
    /// The first few different failures, in words, with their number.
    pub failures: Vec<(String, u64)>,
}

/// Why a run did not take place.
#[derive(Debug)]
pub enum RunError {
    /// Fewer devices than the plan uses.
    TooFewDevices {
        /// There.
        found: usize,
        /// In the plan.
        wanted: usize,
    },
    /// The operating system.
    Io(io::Error),
    /// A device that could not be prepared.
    Prepare {
        /// Its number.
        device: usize,
        /// Why.
        failure: Failure,
    },
}

/// Prepares the devices, carries out the plan and collects the samples.
///
/// # Errors
/// [`RunError`]; failures of single requests are samples.
pub fn run(setup: &Setup<'_>, progress: &mut dyn FnMut(Progress)) -> Result<Run, RunError> {
    let wanted = setup.plan.lanes().len();
    let found = setup.devices.len();
    if found < wanted {
        return Err(RunError::TooFewDevices { found, wanted });
    }
    let mut generator = Generator::new(setup).map_err(RunError::Io)?;
    generator.prepare(progress)?;
    let began = SystemTime::now() + LEAD;
    let cpu_before_us = thread_cpu_us();
    generator.run(progress)?;
    Ok(Run {
        began,
        cpu_us: thread_cpu_us().saturating_sub(cpu_before_us),
        samples: generator.samples,
        failures: generator.failures,
    })
}

struct Generator<'a> {
    setup: &'a Setup<'a>,
    poll: Poll,
    timer: Timer,
    devices: Vec<Device>,
    origin: Instant,
    /// The next start of the plan.
    next: usize,
    /// All starts before this one have ended.
    oldest: usize,
    ended: Vec<bool>,
    samples: Vec<Sample>,
    failures: Vec<(String, u64)>,
    body: Vec<u8>,
}

impl<'a> Generator<'a> {
    fn new(setup: &'a Setup<'a>) -> io::Result<Self> {
        raise_open_files_limit();
        let poll = Poll::new()?;
        let timer = Timer::new(poll.registry(), TIMER)?;
        let lanes = setup.plan.lanes().iter().zip(setup.devices);
        let count = setup.plan.starts().len();
        Ok(Self {
            setup,
            poll,
            timer,
            devices: lanes
                .map(|(lane, config)| Device::new(Arc::clone(config), *lane))
                .collect(),
            origin: Instant::now(),
            next: 0,
            oldest: 0,
            ended: vec![false; count],
            samples: Vec::with_capacity(count),
            failures: Vec::new(),
            body: Vec::new(),
        })
    }

    /// Connects the devices that the plan wants connected, or with a session to resume.
    fn prepare(&mut self, progress: &mut dyn FnMut(Progress)) -> Result<(), RunError> {
        let queue: Vec<usize> = (0..self.devices.len())
            .filter(|device| self.devices[*device].lane != Lane::Cold)
            .collect();
        let (mut begun, mut done) = (0, 0);
        let mut deadlines = vec![Instant::now(); self.devices.len()];
        let mut events = Events::with_capacity(EVENTS_PER_TURN);
        let failed = |device, failure| RunError::Prepare { device, failure };
        while done < queue.len() {
            while begun < queue.len() && begun - done < PREPARING_AT_ONCE {
                let device = queue[begun];
                deadlines[device] = Instant::now() + PREPARE_TIMEOUT;
                self.begin(device, Task::Prepare, 0)
                    .map_err(|failure| failed(device, failure))?;
                begun += 1;
            }
            self.poll(&mut events, LONGEST_WAIT).map_err(RunError::Io)?;
            for event in events.iter().filter(|event| event.token() != TIMER) {
                let device = event.token().0;
                let ready = self.devices[device].ready(event.is_writable(), || 0);
                if let Some(response) = ready.map_err(|failure| failed(device, failure))? {
                    self.prepared(device, &response)
                        .map_err(|failure| failed(device, failure))?;
                    done += 1;
                }
            }
            let now = Instant::now();
            for device in &queue[..begun] {
                let late = self.devices[*device].current.is_some() && now > deadlines[*device];
                if late {
                    let failure = Failure::new(Stage::Timeout, "no answer to a heartbeat");
                    return Err(failed(*device, failure));
                }
            }
            let total = queue.len();
            progress(Progress::Preparing { done, total });
        }
        Ok(())
    }

    fn prepared(&mut self, device: usize, response: &Response) -> Result<(), Failure> {
        if response.status != 200 {
            let reply = cardea_wire::Reply::parse(&response.body).ok();
            let reason = reply.map_or("no reason given", |reply| reply.reason.text());
            let text = format!("heartbeat answered with HTTP {}: {reason}", response.status);
            return Err(Failure::new(Stage::Status, text));
        }
        self.devices[device].current = None;
        if self.devices[device].lane == Lane::Resumed || response.close {
            self.devices[device].close();
        }
        Ok(())
    }

    /// Carries out the plan.
    fn run(&mut self, progress: &mut dyn FnMut(Progress)) -> Result<(), RunError> {
        self.origin = Instant::now() + LEAD;
        let total = self.ended.len();
        let mut events = Events::with_capacity(EVENTS_PER_TURN);
        let mut reported = Instant::now();
        while self.samples.len() < total {
            let more_due = self.start_due();
            self.expire();
            let wait = self.wait(more_due).map_err(RunError::Io)?;
            self.poll(&mut events, wait).map_err(RunError::Io)?;
            for event in events.iter().filter(|event| event.token() != TIMER) {
                self.socket_ready(event);
            }
            if reported.elapsed() >= LONGEST_WAIT {
                reported = Instant::now();
                let (started, ended) = (self.next, self.samples.len());
                progress(Progress::Running {
                    started,
                    ended,
                    total,
                });
            }
        }
        for device in &mut self.devices {
            device.close();
        }
        Ok(())
    }

    /// Begins what is due, a bounded number; whether there is more.
    fn start_due(&mut self) -> bool {
        let starts = self.setup.plan.starts();
        for _ in 0..STARTS_PER_TURN {
            let Some(start) = starts.get(self.next) else {
                return false;
            };
            let Some(now) = Instant::now().checked_duration_since(self.origin) else {
                return false;
            };
            let now_us = now.as_micros() as u64;
            if start.at_us > now_us {
                return false;
            }
            let number = self.next as u32;
            self.next += 1;
            let device = start.device as usize;
            if self.devices[device].current.is_none() {
                self.begin_start(device, number, now_us);
            } else if !self.devices[device].wait(number, now_us) {
                let failure = Failure::new(Stage::Backlog, "too many requests of one device");
                self.record_unbegun(number, now_us, failure);
            }
        }
        true
    }

    /// How long the poll may wait; the timer wakes it at the next start.
    fn wait(&self, more_due: bool) -> io::Result<Duration> {
        if more_due {
            return Ok(Duration::ZERO);
        }
        if let Some(start) = self.setup.plan.starts().get(self.next) {
            let at = self.origin + Duration::from_micros(start.at_us);
            let delay = at.saturating_duration_since(Instant::now());
            if delay.is_zero() {
                return Ok(Duration::ZERO);
            }
            self.timer.set(delay)?;
        }
        Ok(LONGEST_WAIT)
    }

    fn poll(&mut self, events: &mut Events, wait: Duration) -> io::Result<()> {
        match self.poll.poll(events, Some(wait)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                events.clear();
                Ok(())
            }
            outcome => outcome,
        }
    }

    fn socket_ready(&mut self, event: &Event) {
        let device = event.token().0;
        let origin = self.origin;
        let ready = self.devices[device].ready(event.is_writable(), || micros_since(origin));
        match ready {
            Ok(None) => {}
            Ok(Some(response)) => self.answered(device, &response),
            Err(failure) => self.failed(device, failure),
        }
    }

    fn begin_start(&mut self, device: usize, number: u32, noticed_us: u64) {
        if let Err(failure) = self.begin(device, Task::Start(number), noticed_us) {
            self.failed(device, failure);
        }
    }

    fn begin(&mut self, device: usize, task: Task, noticed_us: u64) -> Result<(), Failure> {
        self.body.clear();
        let target = match task {
            Task::Prepare => {
                let id = self.request_id(u64::MAX - device as u64);
                let head = Head {
                    firmware: FIRMWARE,
                    ..Head::new(Kind::Heartbeat, id, 0)
                };
                head.write(&mut self.body);
                path::HEARTBEAT
            }
            Task::Start(number) => {
                let probe = self.setup.plan.starts()[number as usize].probe as usize;
                let request = AccessRequest {
                    request_id: self.request_id(u64::from(number)),
                    model: self.setup.probes.origin.model,
                    pad: PadResult::Passed,
                    firmware: FIRMWARE,
                    command_done: 0,
                    embedding: EncodedEmbedding::F32(self.setup.probes.embedding(probe)),
                };
                request.write(&mut self.body);
                path::ACCESS
            }
        };
        let place = (self.poll.registry(), Token(device), self.setup.server);
        let now_us = micros_since(self.origin);
        self.devices[device].begin(place, (task, target, &self.body), noticed_us, now_us)
    }

    fn answered(&mut self, device: usize, response: &Response) {
        let Some(current) = self.devices[device].current else {
            return;
        };
        let Task::Start(number) = current.task else {
            return;
        };
        match Outcome::of(response, self.request_id(u64::from(number))) {
            Ok(outcome) => self.record(device, number, current, outcome),
            Err(failure) => {
                self.note(&failure);
                self.record(device, number, current, Outcome::Failed(failure.stage));
            }
        }
        let lane = self.devices[device].lane;
        if response.close || lane != Lane::KeptAlive {
            self.devices[device].close();
        }
        self.take_next(device);
    }

    fn failed(&mut self, device: usize, failure: Failure) {
        if let Some(current) = self.devices[device].current
            && let Task::Start(number) = current.task
        {
            self.note(&failure);
            self.record(device, number, current, Outcome::Failed(failure.stage));
        }
        self.devices[device].abandon();
        self.take_next(device);
    }

    /// Begins the device's next waiting start. A failure on the way leaves the rest to the loop's
    /// next turn through [`Generator::expire`] or the next success, never to recursion without end.
    fn take_next(&mut self, device: usize) {
        while self.devices[device].current.is_none() {
            let Some((number, noticed_us)) = self.devices[device].next_waiting() else {
                return;
            };
            if let Err(failure) = self.begin(device, Task::Start(number), noticed_us) {
                self.note(&failure);
                if let Some(current) = self.devices[device].current {
                    self.record(device, number, current, Outcome::Failed(failure.stage));
                }
                self.devices[device].abandon();
            }
        }
    }

    /// Ends the starts whose time is over, the oldest first.
    fn expire(&mut self) {
        let starts = self.setup.plan.starts();
        let timeout_us = self.setup.timeout.as_micros() as u64;
        let now_us = micros_since(self.origin);
        while self.oldest < self.next {
            let number = self.oldest as u32;
            if !self.ended[self.oldest] {
                let start = starts[self.oldest];
                if start.at_us + timeout_us > now_us {
                    return;
                }
                let device = start.device as usize;
                let failure = Failure::new(Stage::Timeout, "no answer in time");
                let current = self.devices[device].current;
                if current.is_some_and(|current| current.task == Task::Start(number)) {
                    self.failed(device, failure);
                } else {
                    self.devices[device].forget(number);
                    self.record_unbegun(number, now_us, failure);
                }
            }
            self.oldest += 1;
        }
    }

    fn record(&mut self, device: usize, number: u32, current: Current, outcome: Outcome) {
        let resumed = self.devices[device].resumed();
        let handshake_us = current.handshake_us;
        let ended_us = micros_since(self.origin);
        let times = (current.noticed_us, current.began_us, ended_us);
        self.push_sample(number, times, (handshake_us, resumed), outcome);
        self.devices[device].current = None;
    }

    fn record_unbegun(&mut self, number: u32, now_us: u64, failure: Failure) {
        self.note(&failure);
        let times = (now_us, now_us, now_us);
        let outcome = Outcome::Failed(failure.stage);
        self.push_sample(number, times, (None, None), outcome);
    }

    fn push_sample(
        &mut self,
        number: u32,
        (noticed_us, began_us, ended_us): (u64, u64, u64),
        (handshake_us, resumed): (Option<u64>, Option<bool>),
        outcome: Outcome,
    ) {
        let start = self.setup.plan.starts()[number as usize];
        assert!(!self.ended[number as usize], "a start ends once");
        self.ended[number as usize] = true;
        self.samples.push(Sample {
            start: number,
            probe: start.probe,
            burst: start.burst,
            lane: self.devices[start.device as usize].lane,
            request_id: self.request_id(u64::from(number)),
            intended_us: start.at_us,
            noticed_us,
            began_us,
            ended_us,
            handshake_us,
            resumed,
            outcome,
        });
    }

    fn note(&mut self, failure: &Failure) {
        let text = failure.to_string();
        let known = self.failures.iter_mut().find(|(known, _)| *known == text);
        if let Some((_, count)) = known {
            *count += 1;
        } else if self.failures.len() < FAILURE_TEXTS_MAX {
            self.failures.push((text, 1));
        }
    }

    fn request_id(&self, number: u64) -> RequestId {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&self.setup.nonce);
        id[8..].copy_from_slice(&number.to_be_bytes());
        RequestId(id)
    }
}

fn micros_since(origin: Instant) -> u64 {
    Instant::now().saturating_duration_since(origin).as_micros() as u64
}

/// CPU time of the calling thread.
fn thread_cpu_us() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as u64 * 1_000_000 + time.tv_nsec as u64 / 1_000
}

/// One socket per device: the soft limit is often 1,024.
fn raise_open_files_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Where it cannot be raised, connecting says "too many open files" soon enough.
    let _ = setrlimit(Resource::Nofile, limit);
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooFewDevices { found, wanted } => {
                write!(
                    f,
                    "the plan uses {wanted} devices; there are {found} identities"
                )
            }
            Self::Io(error) => error.fmt(f),
            Self::Prepare { device, failure } => {
                write!(f, "device {device} could not be prepared: {failure}")
            }
        }
    }
}

impl std::error::Error for RunError {}
