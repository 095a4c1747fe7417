//! The loop itself: prepares the devices, begins what is due, reads what comes, ends what is late.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cardea_wire::{AccessRequest, EncodedEmbedding, Head, Kind, PadResult, Reply, RequestId, path};
use mio::event::Event;
use mio::{Events, Poll, Token};

use super::device::{Current, Device, Task};
use super::failures::Failures;
use super::timer::Timer;
use super::{LEAD, Progress, RunError, Setup};
use crate::client::{Failure, Stage};
use crate::http::Response;
use crate::limits::{PREPARE_TIMEOUT, PREPARING_AT_ONCE, STARTS_PER_TURN};
use crate::plan::{Lane, Message};
use crate::sample::{Outcome, Sample};

const TIMER: Token = Token(usize::MAX);
const EVENTS_PER_TURN: usize = 1_024;
const LONGEST_WAIT: Duration = Duration::from_millis(100);
const FIRMWARE: u32 = 1 << 16;

/// Devices, sockets and samples of one run.
pub(super) struct Generator<'a> {
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
    pub(super) samples: Vec<Sample>,
    pub(super) failures: Failures,
    body: Vec<u8>,
}

impl<'a> Generator<'a> {
    pub(super) fn new(setup: &'a Setup<'a>) -> io::Result<Self> {
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
            failures: Failures::default(),
            body: Vec::new(),
        })
    }

    /// Connects the devices that the plan wants connected, or with a session to resume.
    pub(super) fn prepare(&mut self, progress: &mut dyn FnMut(Progress)) -> Result<(), RunError> {
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
            let reply = Reply::parse(&response.body).ok();
            let reason = reply.map_or("no reason given", |reply| reply.reason.text());
            let text = format!("heartbeat answered with HTTP {}: {reason}", response.status);
            return Err(Failure::new(Stage::Status, text));
        }
        self.devices[device].current = None;
        self.devices[device].obey(&response.body);
        if self.devices[device].lane == Lane::Resumed || response.close {
            self.devices[device].close();
        }
        Ok(())
    }

    /// Carries out the plan.
    pub(super) fn run(&mut self, progress: &mut dyn FnMut(Progress)) -> Result<(), RunError> {
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
                self.write_heartbeat(device, u64::MAX - device as u64);
                path::HEARTBEAT
            }
            Task::Start(number) => {
                let start = self.setup.plan.starts()[number as usize];
                if start.message == Message::Heartbeat {
                    self.write_heartbeat(device, u64::from(number));
                    return self.begin_with(device, (task, path::HEARTBEAT), noticed_us);
                }
                let probe = start.probe as usize;
                let request = AccessRequest {
                    request_id: self.request_id(u64::from(number)),
                    model: self.setup.probes.origin.model,
                    pad: PadResult::Passed,
                    firmware: FIRMWARE,
                    command_done: self.devices[device].command_done,
                    embedding: EncodedEmbedding::F32(self.setup.probes.embedding(probe)),
                };
                request.write(&mut self.body);
                path::ACCESS
            }
        };
        self.begin_with(device, (task, target), noticed_us)
    }

    fn write_heartbeat(&mut self, device: usize, number: u64) {
        let head = Head {
            firmware: FIRMWARE,
            command_done: self.devices[device].command_done,
            ..Head::new(Kind::Heartbeat, self.request_id(number), 0)
        };
        head.write(&mut self.body);
    }

    /// Sends the body that lies ready.
    fn begin_with(
        &mut self,
        device: usize,
        (task, target): (Task, &str),
        noticed_us: u64,
    ) -> Result<(), Failure> {
        let server = self.devices[device].server(self.setup.server);
        let place = (self.poll.registry(), Token(device), server);
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
        let message = self.setup.plan.starts()[number as usize].message;
        match Outcome::of(response, message, self.request_id(u64::from(number))) {
            Ok(outcome) => self.record(device, number, current, outcome),
            Err(failure) => {
                self.failures.note(&failure);
                self.record(device, number, current, Outcome::Failed(failure.stage));
            }
        }
        let lane = self.devices[device].lane;
        if response.close || lane != Lane::KeptAlive {
            self.devices[device].close();
        }
        self.devices[device].obey(&response.body);
        self.take_next(device);
    }

    fn failed(&mut self, device: usize, failure: Failure) {
        if let Some(current) = self.devices[device].current
            && let Task::Start(number) = current.task
        {
            self.failures.note(&failure);
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
                self.failures.note(&failure);
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
        self.failures.note(&failure);
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
            message: start.message,
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
