//! The plan: when each request is meant to start, of which device, with which probe.
//!
//! A plan is made before anything is sent and does not look at the answers (an *open loop*), so a
//! slow server cannot slow its own load down. The same arguments and seed give the same plan.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::limits::{DEVICES_MAX, REQUESTS_MAX, SEGMENTS_MAX};
use crate::rng::Rng;

/// How a device's connection stands when its request starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Lane {
    /// Connected and authenticated before the run.
    KeptAlive,
    /// Connects for each request and resumes its TLS session.
    Resumed,
    /// Connects for each request with a full handshake.
    Cold,
}

impl Lane {
    /// Every lane, in the order of reports.
    pub const ALL: [Self; 3] = [Self::KeptAlive, Self::Resumed, Self::Cold];

    /// The lane's name in reports, assertions and on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::KeptAlive => "kept-alive",
            Self::Resumed => "resumed",
            Self::Cold => "cold",
        }
    }
}

/// How the starts of a segment lie in its window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shape {
    /// Equal gaps.
    Uniform,
    /// Exponential gaps with the mean that fills the window.
    Poisson,
    /// All devices at the same instant; as many bursts as it takes, evenly over the window.
    Burst,
    /// Each start anywhere in the window, independently.
    Window,
}

/// What a start sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Message {
    /// An access request.
    Access,
    /// A heartbeat.
    Heartbeat,
}

/// A part of a plan. Segments may overlap; each has devices of its own.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Segment {
    /// How the starts lie.
    pub shape: Shape,
    /// Number of starts.
    pub requests: usize,
    /// Seconds from the run's beginning to the window's.
    #[serde(default)]
    pub from_s: f64,
    /// Length of the window in seconds.
    pub window_s: f64,
    /// Devices that take turns in random order.
    pub devices: usize,
    /// Their lane.
    pub lane: Lane,
    /// Seconds between the heartbeats of each device during the window, beside the requests, each
    /// device at a phase of its own; 0 for none.
    #[serde(default)]
    pub heartbeat_s: f64,
}

/// One intended start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Start {
    /// Microseconds from the beginning of the run.
    pub at_us: u64,
    /// The device's number.
    pub device: u32,
    /// What is sent.
    pub message: Message,
    /// The probe's number; 0 for a heartbeat.
    pub probe: u32,
    /// Which burst it belongs to; bursts are counted from 1 through the whole plan, 0 is none.
    pub burst: u32,
}

/// All intended starts in order of time, and the lane of each device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    starts: Vec<Start>,
    lanes: Vec<Lane>,
}

/// Why segments are no plan.
#[derive(Debug, Clone, PartialEq)]
pub enum PlanError {
    /// No start at all.
    Empty,
    /// Too many of something.
    TooMany {
        /// Of what.
        what: &'static str,
        /// The bound.
        limit: usize,
    },
    /// A window or a beginning that is negative, not a number or beyond a day.
    BadTime {
        /// The segment's number, from 0.
        segment: usize,
    },
    /// A segment with requests and no device.
    NoDevice {
        /// The segment's number, from 0.
        segment: usize,
    },
    /// No probe to send.
    NoProbe,
}

impl Plan {
    /// The plan of these segments; probes are taken in random order, each as often as any other.
    ///
    /// # Errors
    /// [`PlanError`] where a bound is passed or nothing would be sent.
    pub fn new(segments: &[Segment], probes: usize, seed: u64) -> Result<Self, PlanError> {
        check(segments, probes)?;
        let mut rng = Rng::new(seed);
        let mut starts = Vec::with_capacity(segments.iter().map(|s| s.requests).sum());
        let mut lanes = Vec::new();
        let mut bursts = 0;
        for segment in segments {
            let first_device = lanes.len() as u32;
            lanes.extend(std::iter::repeat_n(segment.lane, segment.devices));
            add_segment(&mut starts, segment, first_device, &mut bursts, &mut rng);
        }
        starts.sort_by_key(|start| start.at_us);
        let order = rng.permutation(probes as u32);
        let requests = starts
            .iter_mut()
            .filter(|start| start.message == Message::Access);
        for (start, probe) in requests.zip(order.iter().cycle()) {
            start.probe = *probe;
        }
        Ok(Self { starts, lanes })
    }

    /// The starts, in order of time.
    #[must_use]
    pub fn starts(&self) -> &[Start] {
        &self.starts
    }

    /// The lane of each device.
    #[must_use]
    pub fn lanes(&self) -> &[Lane] {
        &self.lanes
    }

    /// Microseconds from the run's beginning to the last start.
    #[must_use]
    pub fn last_start_us(&self) -> u64 {
        self.starts.last().map_or(0, |start| start.at_us)
    }
}

fn check(segments: &[Segment], probes: usize) -> Result<(), PlanError> {
    let too_many = |what, limit| Err(PlanError::TooMany { what, limit });
    if segments.len() > SEGMENTS_MAX {
        return too_many("segments", SEGMENTS_MAX);
    }
    let mut requests = 0_usize;
    let mut devices = 0_usize;
    for (segment, s) in segments.iter().enumerate() {
        let sound = |seconds: f64| (0.0..=86_400.0).contains(&seconds);
        if !sound(s.from_s) || !sound(s.window_s) || !sound(s.heartbeat_s) {
            return Err(PlanError::BadTime { segment });
        }
        if s.requests > 0 && s.devices == 0 {
            return Err(PlanError::NoDevice { segment });
        }
        requests = requests.saturating_add(s.requests);
        requests = requests.saturating_add(heartbeats_max(s));
        devices = devices.saturating_add(s.devices);
    }
    if requests == 0 {
        return Err(PlanError::Empty);
    }
    if requests > REQUESTS_MAX {
        return too_many("requests", REQUESTS_MAX);
    }
    if devices > DEVICES_MAX {
        return too_many("devices", DEVICES_MAX);
    }
    if probes == 0 {
        return Err(PlanError::NoProbe);
    }
    Ok(())
}

fn add_segment(
    starts: &mut Vec<Start>,
    segment: &Segment,
    first_device: u32,
    bursts: &mut u32,
    rng: &mut Rng,
) {
    let from_us = segment.from_s * 1e6;
    let window_us = segment.window_s * 1e6;
    let offsets = offsets_us(segment, window_us, rng);
    let order = rng.permutation(segment.devices as u32);
    for (number, offset_us) in offsets.into_iter().enumerate() {
        let burst = match segment.shape {
            Shape::Burst => *bursts + 1 + (number / segment.devices) as u32,
            Shape::Uniform | Shape::Poisson | Shape::Window => 0,
        };
        starts.push(Start {
            at_us: (from_us + offset_us) as u64,
            device: first_device + order[number % order.len()],
            message: Message::Access,
            probe: 0,
            burst,
        });
    }
    add_heartbeats(starts, segment, first_device, rng);
    if segment.shape == Shape::Burst {
        *bursts += segment.requests.div_ceil(segment.devices.max(1)) as u32;
    }
}

fn add_heartbeats(starts: &mut Vec<Start>, segment: &Segment, first_device: u32, rng: &mut Rng) {
    if segment.heartbeat_s <= 0.0 {
        return;
    }
    for device in 0..segment.devices as u32 {
        let mut at_s = rng.unit() * segment.heartbeat_s;
        while at_s < segment.window_s {
            starts.push(Start {
                at_us: ((segment.from_s + at_s) * 1e6) as u64,
                device: first_device + device,
                message: Message::Heartbeat,
                probe: 0,
                burst: 0,
            });
            at_s += segment.heartbeat_s;
        }
    }
}

/// No fewer than the heartbeats of a segment.
fn heartbeats_max(segment: &Segment) -> usize {
    if segment.heartbeat_s <= 0.0 {
        return 0;
    }
    let of_each = (segment.window_s / segment.heartbeat_s).ceil() as usize;
    of_each.saturating_mul(segment.devices)
}

/// Offsets from the window's beginning, rising.
fn offsets_us(segment: &Segment, window_us: f64, rng: &mut Rng) -> Vec<f64> {
    let count = segment.requests;
    match segment.shape {
        Shape::Uniform => {
            let gap = window_us / count.max(1) as f64;
            (0..count).map(|i| i as f64 * gap).collect()
        }
        Shape::Poisson => {
            let mean = window_us / count.max(1) as f64;
            let mut at = 0.0;
            (0..count)
                .map(|_| {
                    at += -(1.0 - rng.unit()).ln() * mean;
                    at
                })
                .collect()
        }
        Shape::Burst => {
            let bursts = count.div_ceil(segment.devices.max(1)).max(1);
            let gap = window_us / bursts as f64;
            (0..count)
                .map(|i| (i / segment.devices.max(1)) as f64 * gap)
                .collect()
        }
        Shape::Window => {
            let mut offsets: Vec<f64> = (0..count).map(|_| rng.unit() * window_us).collect();
            offsets.sort_by(f64::total_cmp);
            offsets
        }
    }
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => write!(f, "the plan has no request"),
            Self::TooMany { what, limit } => write!(f, "more than {limit} {what} in one plan"),
            Self::BadTime { segment } => {
                write!(f, "segment {segment}: times must be 0 to 86,400 seconds")
            }
            Self::NoDevice { segment } => write!(f, "segment {segment} has no device"),
            Self::NoProbe => write!(f, "no probe to send"),
        }
    }
}

impl std::error::Error for PlanError {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn segment(shape: Shape, requests: usize, devices: usize) -> Segment {
        Segment {
            shape,
            requests,
            from_s: 0.0,
            window_s: 10.0,
            devices,
            lane: Lane::KeptAlive,
            heartbeat_s: 0.0,
        }
    }

    #[test]
    fn uniform_starts_lie_at_equal_gaps_and_devices_take_turns() {
        let plan = Plan::new(&[segment(Shape::Uniform, 100, 50)], 10, 1).expect("a plan");
        let gaps: Vec<u64> = plan
            .starts()
            .windows(2)
            .map(|pair| pair[1].at_us - pair[0].at_us)
            .collect();
        assert!(gaps.iter().all(|gap| *gap == 100_000), "{gaps:?}");
        let mut first: Vec<u32> = plan.starts()[..50].iter().map(|s| s.device).collect();
        first.sort_unstable();
        assert_eq!(first, (0..50).collect::<Vec<_>>());
    }

    #[test]
    fn a_burst_is_one_instant_and_several_bursts_share_the_window() {
        let plan = Plan::new(&[segment(Shape::Burst, 70, 70)], 10, 1).expect("a plan");
        assert!(plan.starts().iter().all(|s| s.at_us == 0 && s.burst == 1));

        let plan = Plan::new(&[segment(Shape::Burst, 700, 70)], 10, 1).expect("a plan");
        let ninth = &plan.starts()[8 * 70..9 * 70];
        assert!(ninth.iter().all(|s| s.at_us == 8_000_000 && s.burst == 9));
    }

    #[test]
    fn poisson_gaps_have_the_mean_and_the_spread_of_an_exponential() {
        let plan = Plan::new(&[segment(Shape::Poisson, 50_000, 5)], 10, 3).expect("a plan");
        let gaps: Vec<f64> = plan
            .starts()
            .windows(2)
            .map(|pair| (pair[1].at_us - pair[0].at_us) as f64)
            .collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let variance = gaps.iter().map(|g| (g - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
        assert!((mean - 200.0).abs() < 5.0, "mean {mean}");
        assert!(
            (variance.sqrt() - 200.0).abs() < 8.0,
            "sd {}",
            variance.sqrt()
        );
    }

    #[test]
    fn the_same_seed_gives_the_same_plan_and_another_seed_another() {
        let window = [segment(Shape::Window, 1_000, 70)];
        let plan = |seed| Plan::new(&window, 33, seed).expect("a plan");
        assert_eq!(plan(5), plan(5));
        assert_ne!(plan(5), plan(6));
    }

    #[test]
    fn segments_have_devices_and_lanes_of_their_own() {
        let cold = Segment {
            lane: Lane::Cold,
            from_s: 2.0,
            ..segment(Shape::Window, 10, 3)
        };
        let plan = Plan::new(&[segment(Shape::Uniform, 10, 2), cold], 4, 1).expect("a plan");
        assert_eq!(
            plan.lanes(),
            [
                Lane::KeptAlive,
                Lane::KeptAlive,
                Lane::Cold,
                Lane::Cold,
                Lane::Cold
            ]
        );
        assert!(
            plan.starts()
                .iter()
                .all(|s| s.device < 2 || s.at_us >= 2_000_000)
        );
    }

    #[test]
    fn every_device_sends_its_heartbeats_at_its_period_beside_the_requests() {
        let with_heartbeats = Segment {
            heartbeat_s: 3.0,
            ..segment(Shape::Window, 40, 20)
        };
        let plan = Plan::new(&[with_heartbeats], 4, 1).expect("a plan");
        let (mut beats, mut requests) = (vec![Vec::new(); 20], 0);
        for start in plan.starts() {
            match start.message {
                Message::Access => requests += 1,
                Message::Heartbeat => beats[start.device as usize].push(start.at_us),
            }
        }
        assert_eq!(requests, 40);
        for beats in beats {
            assert!((3..=4).contains(&beats.len()), "{beats:?}");
            assert!(
                beats
                    .windows(2)
                    .all(|pair| (pair[1] - pair[0]).abs_diff(3_000_000) <= 1)
            );
        }
    }

    #[test]
    fn every_bound_is_kept() {
        let many = |requests, devices| [segment(Shape::Window, requests, devices)];
        let error = |segments: &[Segment], probes| Plan::new(segments, probes, 0).err();
        assert_eq!(error(&[], 1), Some(PlanError::Empty));
        assert_eq!(error(&many(1, 1), 0), Some(PlanError::NoProbe));
        assert_eq!(
            error(&many(1, 0), 1),
            Some(PlanError::NoDevice { segment: 0 })
        );
        let what = |what, limit| Some(PlanError::TooMany { what, limit });
        assert_eq!(
            error(&many(REQUESTS_MAX + 1, 1), 1),
            what("requests", REQUESTS_MAX)
        );
        assert_eq!(
            error(&many(1, DEVICES_MAX + 1), 1),
            what("devices", DEVICES_MAX)
        );
        let segments = vec![segment(Shape::Window, 1, 1); SEGMENTS_MAX + 1];
        assert_eq!(error(&segments, 1), what("segments", SEGMENTS_MAX));
        let mut late = many(1, 1);
        late[0].heartbeat_s = 1e-9;
        assert_eq!(error(&late, 1), what("requests", REQUESTS_MAX));
        late[0].from_s = f64::NAN;
        assert_eq!(error(&late, 1), Some(PlanError::BadTime { segment: 0 }));
    }

    proptest! {
        #[test]
        fn any_plan_is_in_order_and_whole(
            requests in 1_usize..500, devices in 1_usize..40, probes in 1_usize..30,
            window in 0.0_f64..5.0, seed: u64, shape in 0..4_usize,
        ) {
            let shape = [Shape::Uniform, Shape::Poisson, Shape::Burst, Shape::Window][shape];
            let segment = Segment { window_s: window, ..segment(shape, requests, devices) };
            let plan = Plan::new(&[segment], probes, seed).expect("a plan");
            prop_assert_eq!(plan.starts().len(), requests);
            prop_assert!(plan.starts().is_sorted_by_key(|s| s.at_us));
            prop_assert!(plan.starts().iter().all(|s| (s.device as usize) < devices));
            prop_assert!(plan.starts().iter().all(|s| (s.probe as usize) < probes));
        }
    }
}
