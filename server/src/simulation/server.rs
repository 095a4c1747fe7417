//! One life of the server: the real parts, and in the place of each thread the steps that it
//! would take. A crash is the end of this value; the next one opens the same folder.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use cardea_space::client::{ClientConfig, Driven, Event, SpaceClient};
use cardea_space::datetime::LocalDateTime;
use cardea_space::ext_id::ExtId;
use cardea_space::message::{Door, Permission, User};
use cardea_space::rights::{Rights, RightsBuilder, Timetables};
use cardea_space::status::{Now, Probe};
use cardea_space::transport::Endpoint;
use crossbeam_channel::{Receiver, bounded};

use super::canary::Canary;
use super::site::DOORS;
use super::truth::SpacePerson;
use crate::admin::message::{Request, Response};
use crate::api::{Api, Completion, DeviceLoads, Parts};
use crate::audit::simulated::AuditSteps;
use crate::audit::{self, Audit, AuditReader, Recorded};
use crate::authorise::{Authoriser, SpaceAuthoriser};
use crate::completions::{CompletionSender, Completions};
use crate::connect::firmware::Firmware;
use crate::console::ConsoleHandle;
use crate::metrics::Handover;
use crate::net::Replies;
use crate::site::Site;
use crate::space::pass_on;
use crate::store::{DataDirectory, StoreError};
use crate::work::WorkQueue;
use crate::work::simulated::SearchSteps;
use crate::writer::{self, Command, Session, Writer};

/// Event loops of the server.
pub(super) const LOOPS: usize = 2;
/// Seconds that Space's clock is ahead of UTC.
pub(super) const SPACE_OFFSET_S: i32 = 3_600;

/// What the audit has said to the loops, as it said it.
pub(super) type Heard = Arc<Mutex<Vec<(u64, Recorded)>>>;

/// A loop's service, and whether it was rung.
pub(super) struct Loop {
    pub(super) api: Api,
    pub(super) rung: Arc<AtomicBool>,
    pub(super) replies: Replies,
}

/// One life of the server. Fields are dropped in this order, as a crash would not.
pub(super) struct Server {
    pub(super) loops: Vec<Loop>,
    pub(super) search: SearchSteps<Completion>,
    pub(super) audit: AuditSteps,
    pub(super) heard: Heard,
    pub(super) reader: AuditReader,
    pub(super) site: Arc<Site>,
    pub(super) driven: Driven,
    client: Arc<SpaceClient>,
    writer: Writer,
    commands: Receiver<Command>,
    _audit: Audit,
}

impl Server {
    /// Starts over the folder of a site.
    pub(super) fn start(folder: &Path, unix_us: i64, canary: Option<Canary>) -> Self {
        // A program that another test of this process starts has every lock until it runs.
        let directory = (0_u32..1_000_000).find_map(|turn| {
            if turn > 0 {
                thread::yield_now();
            }
            let locked = DataDirectory::lock(folder);
            (!matches!(locked, Err(StoreError::InUse { .. }))).then_some(locked)
        });
        let directory = directory.expect("the life before is over");
        let directory = directory.expect("a site that may be read");
        let opened = Audit::simulated(&directory, unix_us);
        let (audit, steps) = opened.expect("an audit");
        let reader = audit.open_reader().expect("a reader");
        let (handle, commands) = writer::queue();
        let mut writer = Writer::open(directory, &audit).expect("a site");
        let site = writer.simulated(&handle).expect("a site that loads");
        let (work, search) = WorkQueue::simulated(Arc::clone(&site.searched));
        let heard = Heard::default();
        let (mut loops, loads) = (Vec::new(), DeviceLoads::default());
        let mut senders = Vec::new();
        for loop_number in 0_u16..LOOPS as u16 {
            let rung = Arc::new(AtomicBool::new(false));
            let ring = Arc::clone(&rung);
            let completions = Completions::new(move || ring.store(true, Ordering::SeqCst));
            senders.push(completions.sender());
            let deliver = deliver(completions.sender(), Arc::clone(&heard), canary);
            let api = Api::new(Parts {
                loop_number,
                site: Arc::clone(&site),
                work: work.clone(),
                audit: audit.handle(deliver, || {}),
                writer: handle.clone(),
                console: ConsoleHandle::nowhere(),
                completions,
                handover: Handover::nowhere(),
                metrics: Arc::new(ArcSwap::from_pointee(String::new())),
                firmware: Firmware::nowhere(),
                loads: loads.clone(),
            });
            let replies = Replies::default();
            loops.push(Loop { api, rung, replies });
        }
        writer.tell_loops(senders.clone());
        let (client, driven) = space_client(senders);
        site.set_ready();
        Self {
            loops,
            search,
            audit: steps,
            heard,
            reader,
            site,
            driven,
            client,
            writer,
            commands,
            _audit: audit,
        }
    }

    /// What the audit has said since the last call.
    pub(super) fn heard(&self) -> Vec<(u64, Recorded)> {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *heard)
    }

    /// An administrator's request, carried out and answered.
    pub(super) fn administer(&mut self, request: Request) -> Response {
        let (reply, answer) = bounded(1);
        self.writer.step(Command::Administer {
            session: Session(1),
            request,
            reply,
        });
        answer.try_recv().expect("an answer at once: few people")
    }

    /// What the threads have asked the writer meanwhile.
    pub(super) fn serve_writer(&mut self) {
        while let Ok(command) = self.commands.try_recv() {
            self.writer.step(command);
        }
    }

    /// A person's number and references in the store.
    pub(super) fn enrolled(&self, external_id: &str) -> (u64, Vec<u64>) {
        let person = self.writer.stored().person_show(external_id);
        let person = person.expect("a read").expect("somebody enrolled");
        let references = person.references.iter().map(|reference| reference.id.0);
        (person.id.0, references.collect())
    }

    /// A probe of Space has ended; from the first on that was answered its clock is known.
    pub(super) fn space_probed(&self, answered: bool, now: Duration, unix_s: i64) {
        let probe = if answered {
            Probe::Answered {
                round_trip: Duration::from_millis(3),
                offset_s: Some(SPACE_OFFSET_S),
            }
        } else {
            Probe::Failed("no answer".to_owned())
        };
        let now = Now {
            monotonic: now,
            unix_s,
        };
        self.driven.probed(probe, now);
    }

    /// Space's rights come into force, as the link publishes them; none before the first sync.
    pub(super) fn space_synced(&self, people: Option<&BTreeMap<String, SpacePerson>>) {
        self.site.set_authoriser(Authoriser::Space(SpaceAuthoriser {
            client: Some(Arc::clone(&self.client)),
            rights: people.map(|people| Arc::new(rights(people))),
            timetables: Arc::new(Timetables::default()),
        }));
    }
}

/// As `serve` does it, and listening in.
fn deliver(
    done: CompletionSender<Completion>,
    heard: Heard,
    canary: Option<Canary>,
) -> impl Fn(audit::Completion) + Send + Sync + 'static {
    move |mut completion: audit::Completion| {
        let ticket = completion.ticket;
        let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.push((ticket, completion.recorded.clone()));
        if canary == Some(Canary::DiskLies)
            && matches!(completion.recorded, Recorded::Failed { .. })
        {
            completion.recorded = Recorded::New { sequence: 1 << 40 };
        }
        done.send(Completion::Recorded(completion));
    }
}

fn space_client(loops: Vec<CompletionSender<Completion>>) -> (Arc<SpaceClient>, Driven) {
    let endpoint = Endpoint::tcp("127.0.0.1", 1).expect("an address");
    let notify = move |event| match event {
        Event::Opened(opened) => pass_on(&loops, opened),
        Event::StatusChanged(_) | Event::Synced(_) | Event::SyncFailed(_) => {}
    };
    let config = ClientConfig::new(endpoint, 1);
    let (client, driven) = SpaceClient::driven(config, Arc::new(notify)).expect("sound numbers");
    (Arc::new(client), driven)
}

fn rights(people: &BTreeMap<String, SpacePerson>) -> Rights {
    let id = |text: &str| ExtId::parse(text).expect("an identifier");
    let mut builder = RightsBuilder::default();
    for door in DOORS.into_iter().filter_map(|(_, space_door)| space_door) {
        let door = Door {
            id: id(door),
            name: String::new(),
            description: String::new(),
            battery: None,
            zones: Vec::new(),
        };
        builder.add_door(&door).expect("room");
    }
    for (name, person) in people {
        let always = |door: &&str| Permission {
            target: id(door),
            timezone_table: 0,
            period: None,
        };
        let expiration = person.expires_unix_s;
        let user = User {
            id: id(name),
            title: String::new(),
            first_name: String::new(),
            last_name: String::new(),
            gpf: Default::default(),
            phone_number: String::new(),
            is_banned: person.banned,
            activation: None,
            expiration: expiration.map(|end| LocalDateTime::at(end, SPACE_OFFSET_S)),
            doors: person.doors.iter().map(always).collect(),
            zones: Vec::new(),
            groups: Vec::new(),
            unreadable: None,
        };
        builder.add_user(&user).expect("room");
    }
    builder.finish().expect("a small site")
}

/// The simulated clock: a steady one from zero, and a calendar that may step.
#[derive(Clone, Copy)]
pub(super) struct Clock {
    base: Instant,
    /// Microseconds since the beginning.
    pub(super) us: u64,
    /// What the calendar is ahead.
    pub(super) ahead_us: i64,
}

impl Clock {
    pub(super) fn new() -> Self {
        Self {
            base: Instant::now(),
            us: 0,
            ahead_us: 0,
        }
    }

    pub(super) fn instant(&self) -> Instant {
        self.base + Duration::from_micros(self.us)
    }

    pub(super) fn since_start(&self, instant: Instant) -> u64 {
        let since = instant.saturating_duration_since(self.base);
        u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
    }

    pub(super) fn unix_us(&self) -> i64 {
        super::START_UNIX_US + self.us as i64 + self.ahead_us
    }
}
