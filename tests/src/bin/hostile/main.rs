//! Hostile peers for a server under test: they hold connections, trickle, flood and lie, all at
//! once, while somebody else measures how the server treats its devices.
//!
//! `hostile 127.0.0.1:8443 seconds=20 idle=5000 trickle=1000 rate=300`
//!
//! Lanes, each with source addresses of its own when the server is on loopback:
//!
//! | lane | size | does |
//! | --- | --- | --- |
//! | `idle` | connections | finishes the handshake and says nothing more |
//! | `trickle` | connections | sends a head, or a body, a byte a second |
//! | `stall` | connections | never begins the handshake |
//! | `deaf` | connections | asks again and again and never reads |
//! | `flood` | a second | shakes hands and leaves, half of the time in the middle |
//! | `garbage` | a second | sends what is not TLS 1.3 |
//! | `liar` | a second | sends what framing must refuse, and checks the status it gets |
//! | `badge` | a second | shows certificates of `badges=FOLDER` that let nobody in |
//!
//! `rate=N` sets the last four. It prints `in place` when the kept connections stand, a table at
//! the end, and exits with 1 if a lie or a certificate was answered with anything but the right
//! status. A lane that the server turns away goes on trying. Loopback only: this is a weapon.

mod aim;
mod badges;
mod kept;
mod paced;

use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::sync::mpsc::channel;
use std::time::Duration;

use aim::{Aim, Lane};
use badges::Badge;

/// What is asked for on the command line.
struct Plan {
    server: SocketAddr,
    seconds: u64,
    sizes: Vec<(Lane, usize)>,
    badges: Vec<Badge>,
}

impl Plan {
    fn parse(mut words: impl Iterator<Item = String>) -> Result<Plan, String> {
        let server = words.next().ok_or("hostile IP:PORT [NAME=NUMBER ..]")?;
        let server: SocketAddr = server
            .parse()
            .map_err(|error| format!("{server}: {error}"))?;
        if !server.ip().is_loopback() {
            return Err(format!("{server} is not on loopback"));
        }
        let sizes = Lane::ALL.iter().map(|&lane| (lane, lane.usual_size()));
        let mut plan = Plan {
            server,
            seconds: 20,
            sizes: sizes.collect(),
            badges: Vec::new(),
        };
        for word in words {
            let (name, number) = word
                .split_once('=')
                .ok_or(format!("{word} is no NAME=NUMBER"))?;
            if name == "badges" {
                plan.badges = badges::load(Path::new(number))?;
                continue;
            }
            let number: usize = number.parse().map_err(|error| format!("{word}: {error}"))?;
            plan.set(name, number)?;
        }
        Ok(plan)
    }

    fn set(&mut self, name: &str, number: usize) -> Result<(), String> {
        if name == "seconds" {
            self.seconds = number as u64;
            return Ok(());
        }
        let mut known = false;
        for (lane, size) in &mut self.sizes {
            if lane.name() == name || (name == "rate" && !lane.is_kept()) {
                *size = number;
                known = true;
            }
        }
        known.then_some(()).ok_or(format!("{name} is no lane"))
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
    let mut aim = Aim::at(plan.server);
    aim.badges = plan.badges;
    let (placed, in_place) = channel::<()>();
    std::thread::scope(|scope| {
        for &(lane, size) in plan.sizes.iter().filter(|(_, size)| *size > 0) {
            let aim = &aim;
            if lane.is_kept() {
                let placed = placed.clone();
                scope.spawn(move || kept::run(aim, lane, size, placed));
            } else {
                scope.spawn(move || paced::run(aim, lane, size));
            }
        }
        drop(placed);
        // Each lane of kept connections says so, or has ended.
        while in_place.recv().is_ok() {}
        println!("in place");
        std::thread::sleep(Duration::from_secs(plan.seconds));
        aim.stop.store(true, Ordering::Relaxed);
    });
    println!(
        "{:>8} {:>9} {:>11} {:>9} {:>9}",
        "lane", "opened", "turned away", "closed", "sent"
    );
    for (lane, _) in plan.sizes {
        let [opened, turned_away, closed, sent] = aim.counts(lane);
        println!(
            "{:>8} {opened:>9} {turned_away:>11} {closed:>9} {sent:>9}",
            lane.name()
        );
    }
    let wrong = aim.wrong.load(Ordering::Relaxed);
    println!("lies and certificates with a wrong answer: {wrong}");
    ExitCode::from(u8::from(wrong > 0))
}
