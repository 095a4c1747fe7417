//! The access path beside everything else that a site does: at rest, beside it, at rest, beside it,
//! so many pairs for each, and one table.
//!
//! `isolation pairs=5 seconds=10 people=20000 rate=80 ratio=1.5 sides=space,disk --json FILE`
//!
//! Devices ask at a steady pace, half of them for people whom Space lets in, half for strangers;
//! there are so many that none asks again before its last answer was due. The sides are `space` (it
//! hangs), `broker` (it comes and goes), `console`, `backup`, `snapshot` (bulk imports), `disk` (20
//! MB/s by control groups: needs root) and `disk-import` (an import on that disk). It exits with 1
//! if an answer was wrong, took longer than 2 s, was refused without need, or if the median ratio
//! of p99 is above `ratio` where it is compared (`ratio=0`: nowhere). A side that cannot be had on
//! this machine is named, with why, and left out.

mod measure;
mod sides;
mod table;
mod world;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use serde_json::json;

use measure::{Asker, Lane, Times, measure};
use sides::Side;
use table::Row;
use world::World;

/// What is asked for on the command line.
struct Plan {
    pairs: usize,
    time: Duration,
    people: u32,
    /// Requests a second, of all devices.
    rate: f64,
    ratio_max: f64,
    sides: Vec<Side>,
    json: Option<PathBuf>,
}

impl Plan {
    fn parse(mut words: impl Iterator<Item = String>) -> Result<Plan, String> {
        let mut plan = Plan {
            pairs: 5,
            time: Duration::from_secs(10),
            people: 20_000,
            rate: 80.0,
            ratio_max: 1.5,
            sides: Side::ALL.to_vec(),
            json: None,
        };
        while let Some(word) = words.next() {
            if word == "--json" {
                plan.json = Some(words.next().ok_or("--json FILE")?.into());
                continue;
            }
            let (name, value) = word
                .split_once('=')
                .ok_or(format!("{word} is no NAME=VALUE"))?;
            plan.set(name, value)?;
        }
        Ok(plan)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        if name == "sides" {
            let side = |word: &str| {
                let mut all = Side::ALL.into_iter();
                let found = all.find(|side| side.word() == word);
                found.ok_or(format!("{word} is no side"))
            };
            self.sides = value.split(',').map(side).collect::<Result<_, _>>()?;
            return Ok(());
        }
        let number: f64 = value.parse().map_err(|error| format!("{name}: {error}"))?;
        if !number.is_finite() || number < 0.0 {
            return Err(format!("{name}={value}"));
        }
        match name {
            "pairs" => self.pairs = number as usize,
            "seconds" => self.time = Duration::from_secs_f64(number),
            "people" => self.people = number as u32,
            "rate" => self.rate = number.max(1.0),
            "ratio" => self.ratio_max = number,
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
    let mut world = World::new(plan.people, plan.rate);
    let mut askers = world.askers();
    // To warm up: connections, caches, the first pages of each file.
    measure(&mut askers, plan.rate, plan.time);
    let mut rows = Vec::new();
    let mut left_out = Vec::new();
    for &side in &plan.sides {
        eprintln!("{}", side.name());
        match pairs(&plan, side, &mut world, &mut askers) {
            Ok(of_side) => rows.extend(of_side),
            Err(why) => left_out.push((side, why)),
        }
    }
    println!("{}", table::markdown(&rows, plan.ratio_max));
    for (side, why) in &left_out {
        println!("Left out: {}: {why}", side.name());
    }
    let fails = rows
        .iter()
        .any(|row| !row.complaints(plan.ratio_max).is_empty());
    if let Some(file) = &plan.json {
        let left_out = left_out.iter();
        let left_out = left_out.map(|(side, why)| json!({"side": side.name(), "why": why}));
        let all = rows.iter().map(|row| row.to_json(plan.ratio_max));
        let report = json!({
            "rows": all.collect::<Vec<_>>(), "left_out": left_out.collect::<Vec<_>>(),
            "requests": rows.iter().map(Row::requests).sum::<u64>(), "holds": !fails,
        });
        if let Err(error) = std::fs::write(file, format!("{report:#}\n")) {
            eprintln!("{}: {error}", file.display());
            return ExitCode::from(2);
        }
    }
    ExitCode::from(u8::from(fails))
}

/// All pairs of one side: a row for each lane.
fn pairs(
    plan: &Plan,
    side: Side,
    world: &mut World,
    askers: &mut [Asker],
) -> Result<[Row; 2], String> {
    let mut rows = Lane::ALL.map(|lane| Row {
        side,
        lane,
        pairs: Vec::new(),
        meanwhile: String::new(),
    });
    for _ in 0..plan.pairs {
        let rest = measure(askers, plan.rate, plan.time);
        let (beside, meanwhile) = beside(plan, side, world, askers)?;
        for ((row, rest), beside) in rows.iter_mut().zip(rest).zip(beside) {
            row.pairs.push((rest, beside));
            row.meanwhile.clone_from(&meanwhile);
        }
    }
    Ok(rows)
}

/// One measurement while the side is disturbed, and what happened meanwhile.
fn beside(
    plan: &Plan,
    side: Side,
    world: &mut World,
    askers: &mut [Asker],
) -> Result<([Times; 2], String), String> {
    let over = AtomicBool::new(false);
    let (placed, in_place) = channel::<()>();
    thread::scope(|scope| {
        let over = &over;
        let measured = scope.spawn(move || {
            // Without a word the side could not be had, and there is nothing to measure.
            let times = in_place.recv().ok();
            let times = times.map(|()| measure(askers, plan.rate, plan.time));
            over.store(true, Ordering::Relaxed);
            times
        });
        let said = side.run(
            world,
            &|| {
                // Who measures waits for this.
                let _ = placed.send(());
            },
            over,
        );
        drop(placed);
        let times = measured.join().expect("measuring does not panic");
        Ok((times.unwrap_or_default(), said?))
    })
}
