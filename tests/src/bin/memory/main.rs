//! The server's memory: `memory soak`, an hour's requests in minutes, and `memory idle`, thousands
//! of devices that are connected and quiet.
//!
//! `memory soak requests=1000000 seconds=300 devices=500 people=1000 growth=4096`
//! `memory idle devices=10000 people=1000 resident=409600`
//!
//! A soak sends so many requests in so many seconds to a server whose calendar goes so fast
//! (`faketime`) that two hours pass: what it remembers for an hour, the request ids, has come to
//! its full size in the middle. It exits with 1 if the resident size of the last quarter grows
//! above that of the third by more than `growth` KiB, or if a request was not answered rightly.
//! Idle devices are commissioned, connect and ask once each; it exits with 1 if the most that was
//! ever resident is above `resident` KiB, or if they were not all connected at once. `people` are
//! enrolled. `--json FILE` writes the figures.

use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use cardea_tests::load;
use cardea_tests::metrics::value;
use cardea_tests::programs::program;
use cardea_tests::site::{Server, Site};
use serde_json::{Value, json};

/// What a soak lasts by the server's calendar, seconds.
const SOAK_CALENDAR_S: f64 = 7_200.0;
/// Between two looks at the resident size.
const BETWEEN_LOOKS: Duration = Duration::from_millis(200);
/// Idle devices send their one request at this pace, a second.
const IDLE_RATE: u32 = 500;
/// They are all connected for several looks at the connections, one a second.
const IDLE_S_MIN: u32 = 5;

/// What is asked for on the command line.
struct Plan {
    is_soak: bool,
    requests: u32,
    seconds: u32,
    devices: u32,
    people: u32,
    growth_kib: u64,
    resident_kib: u64,
    json: Option<PathBuf>,
}

impl Plan {
    fn parse(mut words: impl Iterator<Item = String>) -> Result<Plan, String> {
        let is_soak = match words.next().as_deref() {
            Some("soak") => true,
            Some("idle") => false,
            _ => return Err("memory soak|idle [NAME=NUMBER ..] [--json FILE]".to_owned()),
        };
        let mut plan = Plan {
            is_soak,
            requests: 1_000_000,
            seconds: 300,
            devices: if is_soak { 500 } else { 10_000 },
            people: 1_000,
            growth_kib: 4_096,
            resident_kib: 400 * 1_024,
            json: None,
        };
        while let Some(word) = words.next() {
            if word == "--json" {
                plan.json = Some(words.next().ok_or("--json FILE")?.into());
                continue;
            }
            let (name, number) = word
                .split_once('=')
                .ok_or(format!("{word} is no NAME=NUMBER"))?;
            let number: u32 = number.parse().map_err(|error| format!("{word}: {error}"))?;
            plan.set(name, number)?;
        }
        Ok(plan)
    }

    fn set(&mut self, name: &str, number: u32) -> Result<(), String> {
        match name {
            "requests" => self.requests = number.max(1),
            "seconds" => self.seconds = number.max(1),
            "devices" => self.devices = number.max(1),
            "people" => self.people = number.max(1),
            "growth" => self.growth_kib = u64::from(number),
            "resident" => self.resident_kib = u64::from(number),
            _ => return Err(format!("{name} is nothing that can be set")),
        }
        Ok(())
    }
}

fn main() -> ExitCode {
    let plan = match Plan::parse(std::env::args().skip(1)) {
        Ok(plan) => plan,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    let (holds, figures) = match plan.is_soak {
        true => soak(&plan),
        false => idle(&plan),
    };
    if let Some(file) = &plan.json {
        let text = format!("{:#}\n", json!({"holds": holds, "figures": figures}));
        if let Err(error) = std::fs::write(file, text) {
            eprintln!("{}: {error}", file.display());
            return ExitCode::from(2);
        }
    }
    ExitCode::from(u8::from(!holds))
}

/// What was seen of the server while the load ran.
struct Seen {
    /// Resident sizes in KiB, one every [`BETWEEN_LOOKS`].
    resident_kib: Vec<u64>,
    /// The most connections at once.
    connections: f64,
    /// Whether every answer was right.
    right: bool,
}

fn soak(plan: &Plan) -> (bool, Value) {
    let site = Site::new();
    let probes = load::people(&site, plan.people, plan.requests);
    let speed = (SOAK_CALENDAR_S / f64::from(plan.seconds)).max(1.0);
    let mut command = site.command(&["serve"]);
    command.envs(faster_calendar(speed));
    let server = site.serve_command(&mut command);
    let (identities, _) = load::devices(&site, "s", plan.devices);
    let mut load = loadtest(&identities, &probes, plan.requests, plan.seconds);
    let seen = watch(&server, &mut load);
    server.stop();
    let quarters = quarters(&seen.resident_kib);
    let grown = quarters[3].saturating_sub(quarters[2]);
    println!(
        "soak: {} requests in {} s, the calendar {speed:.0} times as fast; resident at most, by \
         quarters: {} KiB; the last grew by {grown} KiB (bound {}); answers {}",
        plan.requests,
        plan.seconds,
        quarters.map(|kib| kib.to_string()).join(", "),
        plan.growth_kib,
        if seen.right { "right" } else { "NOT right" },
    );
    let figures = json!({
        "requests": plan.requests, "seconds": plan.seconds, "quarters_kib": quarters,
        "grown_kib": grown, "bound_kib": plan.growth_kib,
    });
    (seen.right && grown <= plan.growth_kib, figures)
}

/// The environment in which a program's calendar goes so many times as fast. The wrapper `faketime`
/// would be a process between us and the server, so it is only asked what it sets.
fn faster_calendar(speed: f64) -> Vec<(String, String)> {
    let speed = format!("+0 x{speed:.1}");
    let shown = load::done(Command::new("faketime").args(["-f", &speed, "env"]));
    let lines = shown.lines().filter_map(|line| line.split_once('='));
    let set = lines.filter(|(name, _)| ["LD_PRELOAD", "FAKETIME"].contains(name));
    let mut set: Vec<_> = set
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    // Deadlines are by the steady clock, which goes as it should.
    set.push(("FAKETIME_DONT_FAKE_MONOTONIC".to_owned(), "1".to_owned()));
    set
}

fn idle(plan: &Plan) -> (bool, Value) {
    let site = Site::new();
    let probes = load::people(&site, plan.people, plan.devices);
    let server = site.serve();
    let before = server.process.resident_kib();
    let (identities, _) = load::devices(&site, "i", plan.devices);
    let seconds = plan.devices.div_ceil(IDLE_RATE).max(IDLE_S_MIN);
    let mut load = loadtest(&identities, &probes, plan.devices, seconds);
    let seen = watch(&server, &mut load);
    let most = server.process.resident_kib_max();
    server.stop();
    let each = most.saturating_sub(before) as f64 / f64::from(plan.devices);
    println!(
        "idle: {} devices connected at once, {most} KiB resident at most (bound {}), {each:.1} KiB \
         a device above the {before} KiB of a server without any; answers {}",
        seen.connections,
        plan.resident_kib,
        if seen.right { "right" } else { "NOT right" },
    );
    let figures = json!({
        "devices": plan.devices, "connections": seen.connections, "resident_kib": most,
        "before_kib": before, "bound_kib": plan.resident_kib,
    });
    let all = seen.connections >= f64::from(plan.devices);
    (seen.right && all && most <= plan.resident_kib, figures)
}

fn loadtest(identities: &PathBuf, probes: &PathBuf, requests: u32, seconds: u32) -> Child {
    let mut command = Command::new(program("loadtest"));
    command
        .arg("run")
        .arg("--identities")
        .arg(identities)
        .arg("--probes")
        .arg(probes)
        .args(["--requests", &requests.to_string()])
        .args(["--window", &format!("{seconds}s"), "--lanes", "kept-alive"])
        .args(["--assert", "wrong=0,errors=0,refused=0"])
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    command.spawn().expect("it starts")
}

/// Looks at the server until the load has ended.
fn watch(server: &Server, load: &mut Child) -> Seen {
    let mut seen = Seen {
        resident_kib: Vec::new(),
        connections: 0.0,
        right: false,
    };
    let mut asked = Instant::now();
    loop {
        if let Some(status) = load.try_wait().expect("a child can be waited for") {
            seen.right = status.success();
            return seen;
        }
        seen.resident_kib.push(server.process.resident_kib());
        if asked.elapsed() >= Duration::from_secs(1) {
            asked = Instant::now();
            let connected = value(&server.metrics(), "cardea_connections ");
            seen.connections = seen.connections.max(connected);
        }
        thread::sleep(BETWEEN_LOOKS);
    }
}

/// The largest of each quarter.
fn quarters(sizes: &[u64]) -> [u64; 4] {
    let place = |quarter: usize| sizes.len() * quarter / 4;
    [0, 1, 2, 3].map(|quarter| {
        let part = &sizes[place(quarter)..place(quarter + 1)];
        part.iter().copied().max().unwrap_or(0)
    })
}
