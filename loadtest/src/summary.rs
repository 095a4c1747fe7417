//! All samples of a run, added up.

use std::collections::BTreeMap;
use std::time::SystemTime;

use crate::client::Stage;
use crate::histogram::Times;
use crate::limits::WORST_REQUESTS;
use crate::plan::{Lane, Message};
use crate::probes::Probes;
use crate::run::Run;
use crate::sample::{Answer, Outcome, Sample};
use crate::verdict::Quantity;

/// What is counted of all requests, and once more per lane. Every request counts in `response` and
/// `service`, also one that was refused or failed, with the time until that was known.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// Requests.
    pub requests: u64,
    /// Decisions: granted.
    pub granted: u64,
    /// Decisions: denied.
    pub denied: u64,
    /// Refusals.
    pub refused: u64,
    /// Requests that failed.
    pub errors: u64,
    /// Handshakes that resumed a session.
    pub resumed: u64,
    /// From the intended start.
    pub response: Times,
    /// From the sending.
    pub service: Times,
    /// TCP and TLS of requests that had to connect.
    pub handshake: Times,
}

/// The server's own times, as its replies tell them.
#[derive(Debug, Clone, Default)]
pub struct ServerTimes {
    /// Waiting for a search.
    pub queue: Times,
    /// Searching.
    pub search: Times,
    /// Making the audit record durable.
    pub record: Times,
    /// Asking for the right, and access control to open.
    pub authorise: Times,
    /// From the request's last byte to the reply's first.
    pub total: Times,
}

/// Answers held against what is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Judged {
    /// Answers that differ from the exhaustive search.
    pub wrong: u64,
    /// Right person, other decision than wanted.
    pub unexpected: u64,
    /// Answered probes of enrolled people.
    pub mated: u64,
    /// Of them, without a match.
    pub false_negatives: u64,
    /// Of them, matched to another person.
    pub wrong_person: u64,
    /// Answered probes of people who are not enrolled.
    pub non_mated: u64,
    /// Of them, with a match.
    pub false_positives: u64,
}

/// A whole run.
#[derive(Debug, Clone)]
pub struct Summary {
    /// When the run began.
    pub began: SystemTime,
    /// CPU time of the generator, microseconds.
    pub cpu_us: u64,
    /// Microseconds from the first intended start to the last end.
    pub duration_us: u64,
    /// All requests.
    pub all: Tally,
    /// Heartbeats, apart: they count nowhere else but in the lateness.
    pub heartbeats: Tally,
    /// The same per lane; only lanes with requests.
    pub lanes: BTreeMap<Lane, Tally>,
    /// The server's stages.
    pub server: ServerTimes,
    /// Answers held against what is known.
    pub judged: Judged,
    /// Failed requests by stage.
    pub errors: BTreeMap<Stage, u64>,
    /// Denials and refusals by reason.
    pub reasons: BTreeMap<String, u64>,
    /// The generator's own lateness.
    pub lateness: Times,
    /// The most that the starts of one burst lie apart; 0 without bursts.
    pub burst_spread_us: u64,
    /// The slowest requests, the slowest first.
    pub worst: Vec<Sample>,
    /// The first different failures in words, with their number.
    pub failures: Vec<(String, u64)>,
}

impl Summary {
    /// Adds up a run.
    ///
    /// # Panics
    /// If a sample names a probe that is not in `probes`.
    #[must_use]
    pub fn new(run: &Run, probes: &Probes) -> Self {
        let is_request = |sample: &&Sample| sample.message == Message::Access;
        let (samples, heartbeats): (Vec<&Sample>, Vec<&Sample>) =
            run.samples.iter().partition(is_request);
        let mut summary = Self {
            began: run.began,
            cpu_us: run.cpu_us,
            duration_us: duration_us(&samples),
            all: Tally::default(),
            heartbeats: Tally::default(),
            lanes: BTreeMap::new(),
            server: ServerTimes::default(),
            judged: Judged::default(),
            errors: BTreeMap::new(),
            reasons: BTreeMap::new(),
            lateness: Times::default(),
            burst_spread_us: burst_spread_us(&samples),
            worst: worst(&samples),
            failures: run.failures.clone(),
        };
        for sample in heartbeats {
            summary.heartbeats.add(sample);
            summary.lateness.record(sample.lateness_us());
        }
        for sample in samples {
            summary.all.add(sample);
            summary.lanes.entry(sample.lane).or_default().add(sample);
            summary.lateness.record(sample.lateness_us());
            match &sample.outcome {
                Outcome::Answered(answer) => summary.add_answer(answer, probes, sample.probe),
                Outcome::Refused { status, reason } => {
                    let text = reason.map_or("no reason given", cardea_wire::Reason::text);
                    *summary
                        .reasons
                        .entry(format!("refused {status}: {text}"))
                        .or_default() += 1;
                }
                Outcome::Served => {}
                Outcome::Failed(stage) => *summary.errors.entry(*stage).or_default() += 1,
            }
        }
        summary
    }

    fn add_answer(&mut self, answer: &Answer, probes: &Probes, probe: u32) {
        if !answer.granted {
            let text = format!("denied: {}", answer.reason.text());
            *self.reasons.entry(text).or_default() += 1;
        }
        let times = answer.times;
        self.server.queue.record(u64::from(times.queue_us));
        self.server.search.record(u64::from(times.search_us));
        self.server.record.record(u64::from(times.record_us));
        self.server.authorise.record(u64::from(times.authorise_us));
        self.server.total.record(u64::from(times.total_us));

        let known = probes.known(probe as usize);
        let judgement = answer.judge(known);
        let judged = &mut self.judged;
        judged.wrong += u64::from(judgement.wrong);
        judged.unexpected += u64::from(judgement.unexpected);
        judged.mated += u64::from(known.truth.is_some());
        judged.non_mated += u64::from(known.truth.is_none());
        judged.false_negatives += u64::from(judgement.false_negative);
        judged.false_positives += u64::from(judgement.false_positive);
        judged.wrong_person += u64::from(judgement.wrong_person);
    }

    /// CPU time of the generator for each request, us.
    #[must_use]
    pub fn cpu_per_request_us(&self) -> f64 {
        let requests = self.all.requests + self.heartbeats.requests;
        self.cpu_us as f64 / requests.max(1) as f64
    }

    /// A figure by the name that assertions use; `None` for a name that means nothing.
    ///
    /// Times: `p50`..`p100`, `max`, `mean` of the response time; `service.`, `handshake.`,
    /// `lateness.` or `server.STAGE.` before them for others; a lane's name before it all for that
    /// lane, `heartbeats.` before it for heartbeats. Counts: `requests`, `granted`, `denied`,
    /// `refused`, `errors`, `errors.STAGE`, `wrong`, `unexpected`, `wrong_person`, `resumed`.
    /// Ratios: `fnir`, `fpir`. Times: `lateness`, `spread`, `cpu_per_request` (the generator's
    /// own).
    #[must_use]
    pub fn quantity(&self, name: &str) -> Option<Quantity> {
        let count = |count| Some(Quantity::Count(count));
        match name {
            "wrong" => return count(self.judged.wrong),
            "unexpected" => return count(self.judged.unexpected),
            "wrong_person" => return count(self.judged.wrong_person),
            "fnir" => return Some(self.judged.fnir()),
            "fpir" => return Some(self.judged.fpir()),
            "cpu_per_request" => return Some(Quantity::TimeUs(self.cpu_per_request_us() as u64)),
            "lateness" => return Some(Quantity::TimeUs(self.lateness.percentile_us(100.0))),
            "spread" => return Some(Quantity::TimeUs(self.burst_spread_us)),
            _ => {}
        }
        if let Some(rest) = name.strip_prefix("errors.") {
            let stage = Stage::ALL.into_iter().find(|stage| stage.name() == rest)?;
            return count(self.errors.get(&stage).copied().unwrap_or(0));
        }
        if let Some(rest) = name.strip_prefix("lateness.") {
            return self.lateness.quantity(rest);
        }
        if let Some(rest) = name.strip_prefix("server.") {
            let (stage, rest) = rest.split_once('.')?;
            return self.server.stage(stage)?.quantity(rest);
        }
        if let Some(rest) = name.strip_prefix("heartbeats.") {
            return self.heartbeats.quantity(rest);
        }
        for lane in Lane::ALL {
            let rest = name.strip_prefix(lane.name());
            if let Some(rest) = rest.and_then(|rest| rest.strip_prefix('.')) {
                let none = Tally::default();
                return self.lanes.get(&lane).unwrap_or(&none).quantity(rest);
            }
        }
        self.all.quantity(name)
    }
}

impl Judged {
    /// Mated probes without a match, as a share of the mated ones.
    #[must_use]
    pub fn fnir(&self) -> Quantity {
        Quantity::Ratio(ratio(self.false_negatives, self.mated))
    }

    /// Non-mated probes with a match, as a share of the non-mated ones.
    #[must_use]
    pub fn fpir(&self) -> Quantity {
        Quantity::Ratio(ratio(self.false_positives, self.non_mated))
    }
}

impl ServerTimes {
    /// The stages by name, in the order in which a request passes them.
    #[must_use]
    pub fn stages(&self) -> [(&'static str, &Times); 5] {
        [
            ("queue", &self.queue),
            ("search", &self.search),
            ("record", &self.record),
            ("authorise", &self.authorise),
            ("total", &self.total),
        ]
    }

    fn stage(&self, name: &str) -> Option<&Times> {
        let stages = self.stages();
        let found = stages.into_iter().find(|(stage, _)| *stage == name)?;
        Some(found.1)
    }
}

impl Tally {
    fn add(&mut self, sample: &Sample) {
        self.requests += 1;
        match &sample.outcome {
            Outcome::Answered(answer) if answer.granted => self.granted += 1,
            Outcome::Answered(_) => self.denied += 1,
            Outcome::Served => {}
            Outcome::Refused { .. } => self.refused += 1,
            Outcome::Failed(_) => self.errors += 1,
        }
        self.resumed += u64::from(sample.resumed == Some(true));
        self.response.record(sample.response_us());
        self.service.record(sample.service_us());
        if let Some(us) = sample.handshake_us {
            self.handshake.record(us);
        }
    }

    fn quantity(&self, name: &str) -> Option<Quantity> {
        let count = |count| Some(Quantity::Count(count));
        match name {
            "requests" => return count(self.requests),
            "granted" => return count(self.granted),
            "denied" => return count(self.denied),
            "refused" => return count(self.refused),
            "errors" => return count(self.errors),
            "resumed" => return count(self.resumed),
            _ => {}
        }
        if let Some(rest) = name.strip_prefix("service.") {
            return self.service.quantity(rest);
        }
        if let Some(rest) = name.strip_prefix("handshake.") {
            return self.handshake.quantity(rest);
        }
        self.response.quantity(name)
    }
}

impl Times {
    fn quantity(&self, name: &str) -> Option<Quantity> {
        let us = match name {
            "max" => self.percentile_us(100.0),
            "mean" => self.mean_us() as u64,
            _ => {
                let percent: f64 = name.strip_prefix('p')?.parse().ok()?;
                if !(0.0..=100.0).contains(&percent) {
                    return None;
                }
                self.percentile_us(percent)
            }
        };
        Some(Quantity::TimeUs(us))
    }
}

fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        0.0
    } else {
        part as f64 / whole as f64
    }
}

fn duration_us(samples: &[&Sample]) -> u64 {
    let from = samples.iter().map(|sample| sample.intended_us).min();
    let to = samples.iter().map(|sample| sample.ended_us).max();
    to.unwrap_or(0).saturating_sub(from.unwrap_or(0))
}

fn burst_spread_us(samples: &[&Sample]) -> u64 {
    let mut bursts: BTreeMap<u32, (u64, u64)> = BTreeMap::new();
    for sample in samples.iter().filter(|sample| sample.burst != 0) {
        let at = sample.noticed_us;
        let (first, last) = bursts.entry(sample.burst).or_insert((at, at));
        *first = (*first).min(at);
        *last = (*last).max(at);
    }
    let spreads = bursts.values().map(|(first, last)| last - first);
    spreads.max().unwrap_or(0)
}

fn worst(samples: &[&Sample]) -> Vec<Sample> {
    let mut order = samples.to_vec();
    let slowest_first = |sample: &&Sample| std::cmp::Reverse(sample.response_us());
    if order.len() > WORST_REQUESTS {
        order.select_nth_unstable_by_key(WORST_REQUESTS - 1, slowest_first);
        order.truncate(WORST_REQUESTS);
    }
    order.sort_by_key(slowest_first);
    order.into_iter().copied().collect()
}

#[cfg(test)]
mod tests;
