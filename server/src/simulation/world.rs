//! The world around the server, from a seed: its clock, its threads' turns, the network, the disk,
//! Space, devices and administrators, one event after another.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use cardea_engine::{Kernel, Searcher};
use cardea_wire::Reply;

use super::canary::Canary;
use super::chance::Chance;
use super::devices::Exchange;
use super::judge::{Broken, Judge, Tally, Verdict, holds};
use super::mood::Mood;
use super::server::{Clock, LOOPS, Server};
use super::site;
use super::space::Space;
use super::truth::{State, Truth};
use super::{set_calendar, site::SiteDevice};
use crate::net::simulated::Told;
use crate::net::{ExchangeId, Response, Service as _};

/// Events of a seed; none takes a tenth of them.
const STEPS_MAX: usize = 20_000;
/// Events at the same moment push each other on by a microsecond.
pub(super) const GRACE_US: u64 = 1_000;
pub(super) const MS: u64 = 1_000;
pub(super) const SECOND: u64 = 1_000 * MS;

/// What happens next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    /// A request is there as a whole.
    Arrive(u32),
    /// A loop was rung.
    Turn(usize),
    /// The search thread takes what waits.
    Search,
    /// The audit's thread takes what waits.
    Gather,
    /// It commits that.
    Commit,
    /// The last byte of a reply is with the kernel.
    Sent(u32),
    /// A connection is gone.
    Gone(u32),
    /// A connection to Space is there: the last look, and the first byte.
    Send(u64),
    /// The call ends.
    Answer(u64),
    /// Space was probed, and answered or did not.
    Probe(bool),
    /// A sync with Space has ended well.
    Sync,
    /// An administrator does something.
    Administer,
    /// The disk refuses writes, or takes them again.
    Disk(bool),
    /// A sync of the disk fails.
    Poison,
    /// A loop does not run for so long, microseconds.
    Stall(usize, u64),
    /// The calendar steps, microseconds.
    Step(i64),
    /// The server dies, and is started again.
    Crash,
}

pub(super) struct World {
    pub(super) chance: Chance,
    pub(super) mood: Mood,
    pub(super) canary: Option<Canary>,
    pub(super) clock: Clock,
    pub(super) server: Option<Server>,
    pub(super) judge: Judge,
    pub(super) space: Space,
    pub(super) exchanges: BTreeMap<u32, Exchange>,
    pub(super) by_id: HashMap<ExchangeId, u32>,
    pub(super) people_made: u64,
    queue: BTreeMap<(u64, u64), (u32, Event)>,
    scheduled: u64,
    /// Which life of the server this is: events of one before are void.
    life: u32,
    stalled_until: [u64; LOOPS],
    searcher: Searcher,
    folder: tempfile::TempDir,
    /// A hash of all that happened, to compare two runs of a seed.
    trace: blake3::Hasher,
}

/// What a seed came to.
pub(super) struct Ended {
    pub(super) tally: Tally,
    pub(super) trace: blake3::Hash,
}

/// Runs a seed to its end.
///
/// # Errors
/// The first promise that was broken, and when.
pub(super) fn run(seed: u64, canary: Option<Canary>) -> Result<Ended, Broken> {
    let mut world = World::new(seed, canary);
    let verdict = world.run();
    set_calendar(None);
    let us = world.clock.us;
    verdict.map_err(|Broken(what)| Broken(format!("{what} (at {us} us)")))?;
    Ok(Ended {
        tally: world.judge.tally,
        trace: world.trace.finalize(),
    })
}

impl World {
    fn new(seed: u64, canary: Option<Canary>) -> Self {
        let mut chance = Chance::new(seed);
        let mood = Mood::new(&mut chance);
        let (folder, devices) = site::copy();
        let clock = Clock::new();
        set_calendar(Some(clock.unix_us()));
        let server = Server::start(folder.path(), clock.unix_us(), canary);
        let judge = Judge::new(Truth::new(State::default()), devices);
        let kernel = Kernel::best().expect("a kernel");
        Self {
            chance,
            mood,
            canary,
            clock,
            server: Some(server),
            judge,
            space: Space::default(),
            exchanges: BTreeMap::new(),
            by_id: HashMap::new(),
            people_made: 0,
            queue: BTreeMap::new(),
            scheduled: 0,
            life: 0,
            stalled_until: [0; LOOPS],
            searcher: Searcher::new(kernel, 1).expect("the caller's thread"),
            folder,
            trace: blake3::Hasher::new(),
        }
    }

    fn run(&mut self) -> Verdict {
        self.began();
        self.plan();
        for _ in 0..STEPS_MAX {
            if !self.step()? {
                return self.end();
            }
        }
        Err(Broken("the seed does not come to an end".to_owned()))
    }

    /// A life of the server has begun.
    fn began(&mut self) {
        if self.mood.with_space {
            self.space_began();
        }
        if self.canary == Some(Canary::NearestWins) {
            self.search_below_the_threshold();
        }
    }

    /// What is certain to happen: people, requests, administrators and faults.
    fn plan(&mut self) {
        for _ in 0..self.chance.within(2, 7) {
            self.enrol();
        }
        for _ in 0..self.mood.requests {
            let us = self.chance.below(self.mood.lasts_us);
            self.new_request(us);
        }
        for _ in 0..self.mood.changes {
            let us = self.chance.below(self.mood.lasts_us);
            self.at(us, Event::Administer);
        }
        for event in self.mood.faults(&mut self.chance) {
            let us = self.chance.below(self.mood.lasts_us);
            self.at(us, event);
        }
    }

    /// Has something happen at a moment, or as soon as may be.
    pub(super) fn at(&mut self, us: u64, event: Event) {
        self.scheduled += 1;
        let key = (us.max(self.clock.us), self.scheduled);
        self.queue.insert(key, (self.life, event));
    }

    /// Has something happen within a stretch of time from now.
    pub(super) fn soon(&mut self, from_us: u64, to_us: u64, event: Event) {
        let us = self.clock.us + self.chance.within(from_us, to_us);
        self.at(us, event);
    }

    fn step(&mut self) -> Result<bool, Broken> {
        let next = self.queue.first_key_value().map(|((us, _), _)| *us);
        match (next, self.next_deadline()) {
            (None, None) => return Ok(false),
            (next, Some((us, at))) if next.is_none_or(|next| us <= next) => {
                self.advance(us);
                self.turn(at)?;
            }
            _ => {
                let Some(((us, _), (life, event))) = self.queue.pop_first() else {
                    return Ok(false);
                };
                self.advance(us);
                if life == self.life || event.outlives_the_server() {
                    self.happens(event)?;
                }
            }
        }
        self.settle();
        self.look()?;
        Ok(true)
    }

    fn happens(&mut self, event: Event) -> Verdict {
        self.trace
            .update(format!("{} {event:?}\n", self.clock.us).as_bytes());
        match event {
            Event::Arrive(exchange) => self.arrive(exchange)?,
            Event::Turn(at) => self.turn(at)?,
            Event::Search => self.search(),
            Event::Gather => self.gather()?,
            Event::Commit => self.commit()?,
            Event::Sent(exchange) => self.sent(exchange),
            Event::Gone(exchange) => self.gone(exchange),
            Event::Send(call) => self.send(call)?,
            Event::Answer(call) => self.answer(call),
            Event::Probe(answered) => self.probed(answered),
            Event::Sync => self.synced(),
            Event::Administer => self.administer(),
            Event::Disk(refuses) => {
                self.server().audit.refuse_writes(refuses);
                if refuses {
                    self.judge.tally.note("fault: disk refuses writes");
                    self.soon(10 * MS, 1_500 * MS, Event::Disk(false));
                }
            }
            Event::Poison => {
                self.judge.tally.note("fault: disk does not sync");
                self.server().audit.poison();
                // Somebody notices, and starts it anew.
                self.soon(100 * MS, 900 * MS, Event::Crash);
            }
            Event::Stall(at, us) => {
                self.judge.tally.note("fault: loop stalls");
                self.stalled_until[at] = self.clock.us + us;
            }
            Event::Step(by) => {
                self.judge.tally.note("fault: calendar steps");
                self.clock.ahead_us += by;
            }
            Event::Crash => self.crash(),
        }
        Ok(())
    }

    pub(super) fn server(&mut self) -> &mut Server {
        self.server.as_mut().expect("it is started again at once")
    }

    pub(super) fn device(&self, place: usize) -> &SiteDevice {
        &self.judge.devices[place]
    }

    fn advance(&mut self, us: u64) {
        self.clock.us = us.max(self.clock.us + 1);
        set_calendar(Some(self.clock.unix_us()));
    }

    pub(super) fn now(&self) -> (u64, i64) {
        (self.clock.us, self.clock.unix_us().div_euclid(1_000_000))
    }

    /// The loop whose service is due first, and when it can run.
    fn next_deadline(&mut self) -> Option<(u64, usize)> {
        if self.canary == Some(Canary::NoDeadlines) {
            return None;
        }
        let (clock, stalled) = (self.clock, self.stalled_until);
        let loops = self.server().loops.iter().enumerate();
        let due = loops.filter_map(|(at, each)| {
            let due = clock.since_start(each.api.next_deadline()?);
            Some((due.max(stalled[at]), at))
        });
        due.min()
    }

    /// A turn of a loop, in the order of `net::event_loop`.
    fn turn(&mut self, at: usize) -> Verdict {
        if self.clock.us < self.stalled_until[at] {
            let us = self.stalled_until[at];
            self.at(us, Event::Turn(at));
            return Ok(());
        }
        self.judge.called(self.clock.unix_us(), self.clock.us);
        let now = self.clock.instant();
        let looks = self.canary != Some(Canary::NoDeadlines);
        let each = &mut self.server().loops[at];
        if each.rung.swap(false, std::sync::atomic::Ordering::SeqCst) {
            each.api.wake(now, &mut each.replies);
        }
        self.apply(at)?;
        let each = &mut self.server().loops[at];
        if looks && each.api.next_deadline().is_some_and(|due| due <= now) {
            each.api.expire(now, &mut each.replies);
        }
        self.apply(at)
    }

    /// Does what a loop's service wants.
    pub(super) fn apply(&mut self, at: usize) -> Verdict {
        let mut closed = Vec::new();
        for told in self.server().loops[at].replies.take() {
            match told {
                // Told in one breath with the end of its connection, it goes nowhere.
                Told::Answer(id, _) if closed.contains(&self.by_id.get(&id).copied()) => {}
                Told::Answer(id, response) => self.answered(id, &response)?,
                Told::CloseDevice(fingerprint) => closed.extend(self.close_device(at, fingerprint)),
                Told::Close => return Err(Broken("closed without an answer".to_owned())),
            }
        }
        Ok(())
    }

    fn answered(&mut self, id: ExchangeId, response: &Response) -> Verdict {
        let exchange = self.by_id.get(&id).copied().unwrap_or_default();
        let reply = Reply::parse(&response.body);
        let reply = reply.map_err(|error| Broken(format!("no reply: {error:?}")))?;
        let asked = self.exchanges.get(&exchange).filter(|found| found.waits());
        let Some(asked) = asked.map(|found| found.asked.clone()) else {
            return Err(Broken(
                "answered twice, or after the device had gone".to_owned(),
            ));
        };
        let line = format!("{exchange} {:?} {:?}\n", reply.decision, reply.reason);
        self.trace.update(line.as_bytes());
        let now = self.now();
        let server = self.server.as_ref().expect("it is running");
        self.judge.reply(&asked, &reply, now, &server.reader)?;
        self.was_answered(exchange);
        Ok(())
    }

    fn search(&mut self) {
        let slow = self.chance.percent(self.mood.slow_search);
        let us = if slow { 900 * MS } else { 30 * MS };
        let took = Duration::from_micros(self.chance.within(50, us));
        let (start, us) = (self.clock.instant(), self.clock.us);
        let Some(server) = self.server.as_ref().filter(|server| server.search.waits()) else {
            return;
        };
        // The clock is asked at the start of a batch, and at its end.
        let asked = std::cell::Cell::new(0_u32);
        let clock = || {
            asked.set(asked.get() + 1);
            start + took * u32::from(asked.get() > 1)
        };
        let judge = &mut self.judge;
        server
            .search
            .turn(&self.searcher, clock, |ticket| judge.searched(ticket, us));
    }

    fn gather(&mut self) -> Verdict {
        let Self { server, judge, .. } = self;
        let mut verdict = Ok(());
        let server = server.as_mut().expect("it is running");
        server.audit.gather(|ticket, record| {
            if verdict.is_ok() {
                verdict = judge.record(ticket, record);
            }
        });
        let slow = self.chance.percent(self.mood.slow_disk);
        let to_us = if slow { 2_500 * MS } else { 12 * MS };
        self.soon(100, to_us, Event::Commit);
        verdict
    }

    fn commit(&mut self) -> Verdict {
        let Self { server, judge, .. } = self;
        let server = server.as_mut().expect("it is running");
        server.audit.commit();
        for (ticket, recorded) in server.heard() {
            judge.heard(ticket, recorded);
        }
        judge.committed(&server.reader, Mood::STEPS_US_MAX)?;
        self.mood.audit_busy = false;
        Ok(())
    }

    /// What the threads would do next is put into the queue.
    fn settle(&mut self) {
        self.server().serve_writer();
        for at in 0..LOOPS {
            let rung = &self.server().loops[at].rung;
            let is_rung = rung.load(std::sync::atomic::Ordering::SeqCst);
            if is_rung && !self.waits_for(Event::Turn(at)) {
                let stalled_until = self.stalled_until[at];
                let busy = self.chance.percent(self.mood.slow_search);
                let busy_us = if busy { 200 * MS } else { 200 };
                let us = self.clock.us + self.chance.within(1, busy_us);
                self.at(us.max(stalled_until), Event::Turn(at));
            }
        }
        if self.server().search.waits() && !self.waits_for(Event::Search) {
            let slow = self.chance.percent(self.mood.slow_search);
            let to_us = if slow { 2_500 * MS } else { 5 * MS };
            self.soon(10, to_us, Event::Search);
        }
        if self.server().audit.waits() && !self.mood.audit_busy {
            self.mood.audit_busy = true;
            self.soon(10, 3 * MS, Event::Gather);
        }
        self.take_opens();
    }

    /// Until when a loop does not run, if it does not.
    pub(super) fn stalled(&self, at: usize) -> Option<u64> {
        let until = self.stalled_until[at];
        (self.clock.us < until).then_some(until)
    }

    fn waits_for(&self, event: Event) -> bool {
        let mut waiting = self.queue.values();
        waiting.any(|(life, waits)| *life == self.life && *waits == event)
    }

    /// Every request is answered by its deadline, unless its loop does not run.
    fn look(&self) -> Verdict {
        for exchange in self.exchanges.values().filter(|exchange| exchange.waits()) {
            let stalled_until = self.stalled_until[exchange.at_loop];
            if self.clock.us > stalled_until + GRACE_US {
                let us = self.clock.us.saturating_sub(GRACE_US);
                self.judge.is_in_time(&exchange.asked, us)?;
            }
        }
        Ok(())
    }

    fn crash(&mut self) {
        self.judge.tally.note("fault: server dies");
        self.life += 1;
        self.mood.audit_busy = false;
        self.stalled_until = [0; LOOPS];
        self.server = None;
        self.judge.died();
        self.space.lost_connections();
        self.devices_lost_connections();
        let away_us = self.chance.within(200 * MS, 1_500 * MS);
        self.advance(self.clock.us + away_us);
        let unix_us = self.clock.unix_us();
        self.server = Some(Server::start(self.folder.path(), unix_us, self.canary));
        self.began();
    }

    /// Nothing happens any more: nobody waits, and the audit has it all.
    fn end(&mut self) -> Verdict {
        let waits = self.exchanges.values().find(|exchange| exchange.waits());
        holds(waits.is_none(), || {
            "deadline: a request waits for ever".to_owned()
        })?;
        let server = self.server.as_ref().expect("it is running");
        self.judge.at_rest(&server.reader)
    }
}

impl Event {
    /// Whether it comes from outside.
    fn outlives_the_server(self) -> bool {
        match self {
            Self::Arrive(_)
            | Self::Administer
            | Self::Disk(_)
            | Self::Poison
            | Self::Stall(..)
            | Self::Step(_)
            | Self::Crash => true,
            Self::Turn(_)
            | Self::Search
            | Self::Gather
            | Self::Commit
            | Self::Sent(_)
            | Self::Gone(_)
            | Self::Send(_)
            | Self::Answer(_)
            | Self::Probe(_)
            | Self::Sync => false,
        }
    }
}
