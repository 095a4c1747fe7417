//! Access requests at a steady pace, and how long each took. A device is free whenever its next
//! request is due, so a slow answer delays none, and no time is left out that counts.

use std::thread;
use std::time::{Duration, Instant};

use cardea_tests::device::{access, new_id, parse, tag};
use cardea_tests::{Device, face};
use cardea_wire::{Decision, Reason, StageTimes, path};
use serde_json::{Map, Value, json};

/// People whom Space knows, `P0`, `P1`, ..
pub(crate) const PEOPLE: u64 = 64;
/// From here on faces are nobody's.
const NOBODY: u64 = 1 << 40;

/// Whom a device sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    /// Nobody enrolled: searched and recorded, Space is not asked.
    Strangers,
    /// People enrolled: searched, recorded, Space opens.
    People,
}

impl Lane {
    pub(crate) const ALL: [Lane; 2] = [Lane::Strangers, Lane::People];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Lane::Strangers => "no match",
            Lane::People => "Space opens",
        }
    }
}

/// A device with the faces before it.
pub(crate) struct Asker {
    pub(crate) device: Device,
    pub(crate) lane: Lane,
    /// How many have come.
    count: u64,
}

impl Asker {
    pub(crate) fn new(device: Device, lane: Lane, number: u64) -> Asker {
        Asker {
            device,
            lane,
            count: number << 24,
        }
    }

    /// One request; says whether the answer was right, and what the server says it took.
    fn ask(&mut self) -> (Answer, StageTimes) {
        self.count += 1;
        let number = match self.lane {
            Lane::Strangers => NOBODY + self.count,
            Lane::People => self.count % PEOPLE,
        };
        let message = access(new_id(), &face(number));
        let Ok(response) = self.device.exchange(path::ACCESS, &message) else {
            return (Answer::Failed, StageTimes::default());
        };
        let reply = parse(&response.body);
        let answer = match (self.lane, reply.decision, reply.reason) {
            (Lane::Strangers, Decision::Denied, Reason::NoMatch) => Answer::Right,
            (Lane::People, Decision::Granted, _) if reply.person == tag(&format!("P{number}")) => {
                Answer::Right
            }
            (_, Decision::Granted, _) => Answer::Wrong,
            (Lane::Strangers | Lane::People, _, _) => Answer::Refused,
        };
        (answer, reply.times)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Right,
    /// Nobody passes who would have: late, not recorded, Space away.
    Refused,
    /// Somebody passes who must not, or under another name.
    Wrong,
    Failed,
}

/// The parts of a response time: the server's stages, and what passes before and after them.
pub(crate) const PARTS: [&str; 5] = ["queue", "search", "record", "authorise", "outside"];

/// What a lane's requests took, in one phase, microseconds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Times {
    us: Vec<u64>,
    parts_us: [Vec<u64>; PARTS.len()],
    pub(crate) refused: u64,
    pub(crate) wrong: u64,
    pub(crate) failed: u64,
}

impl Times {
    fn note(&mut self, took: Duration, answer: Answer, server: StageTimes) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.us.push(us);
        let stages = [
            server.queue_us,
            server.search_us,
            server.record_us,
            server.authorise_us,
        ];
        let [queue, search, record, authorise] = stages.map(u64::from);
        let outside = us.saturating_sub(u64::from(server.total_us));
        let parts = [queue, search, record, authorise, outside];
        for (all, us) in self.parts_us.iter_mut().zip(parts) {
            all.push(us);
        }
        match answer {
            Answer::Right => {}
            Answer::Refused => self.refused += 1,
            Answer::Wrong => self.wrong += 1,
            Answer::Failed => self.failed += 1,
        }
    }

    fn add(&mut self, other: Times) {
        let own = [&mut self.us].into_iter().chain(&mut self.parts_us);
        for (all, more) in own.zip([other.us].into_iter().chain(other.parts_us)) {
            all.extend(more);
            all.sort_unstable();
        }
        self.refused += other.refused;
        self.wrong += other.wrong;
        self.failed += other.failed;
    }

    pub(crate) fn count(&self) -> usize {
        self.us.len()
    }

    /// The time that so many of a thousand requests did not exceed, microseconds.
    pub(crate) fn at(&self, per_mille: usize) -> u64 {
        at(&self.us, per_mille)
    }

    /// The p99 of one of [`PARTS`].
    pub(crate) fn p99_of(&self, part: usize) -> u64 {
        at(&self.parts_us[part], 990)
    }

    pub(crate) fn to_json(&self) -> Value {
        let parts = PARTS.iter().enumerate();
        let parts = parts.map(|(part, name)| ((*name).to_owned(), json!(self.p99_of(part))));
        json!({
            "p99_us_of": parts.collect::<Map<_, _>>(),
            "count": self.count(), "p50_us": self.at(500), "p99_us": self.at(990),
            "p100_us": self.at(1_000), "refused": self.refused, "wrong": self.wrong,
            "failed": self.failed,
        })
    }
}

fn at(sorted: &[u64], per_mille: usize) -> u64 {
    let rank = (sorted.len() * per_mille).div_ceil(1_000).max(1);
    sorted.get(rank - 1).copied().unwrap_or(0)
}

/// Has every device ask so often a second for this time; the times of each lane.
pub(crate) fn measure(askers: &mut [Asker], rate: f64, time: Duration) -> [Times; 2] {
    let each = Duration::from_secs_f64(askers.len() as f64 / rate);
    let between = Duration::from_secs_f64(1.0 / rate);
    let began = Instant::now();
    let mut lanes: [Times; 2] = Default::default();
    thread::scope(|scope| {
        let mut running = Vec::new();
        for (number, asker) in (0_u32..).zip(askers) {
            let first = began + between * number;
            running.push(scope.spawn(move || {
                let mut times = Times::default();
                let mut intended = first;
                while intended < began + time {
                    thread::sleep(intended.saturating_duration_since(Instant::now()));
                    // What has passed since the intended start is this thread's own lateness.
                    let begun = Instant::now();
                    let (answer, server) = asker.ask();
                    times.note(begun.elapsed(), answer, server);
                    intended += each;
                }
                (asker.lane, times)
            }));
        }
        for asker in running {
            let (lane, times) = asker.join().expect("a device's thread does not panic");
            lanes[lane as usize].add(times);
        }
    });
    lanes
}
