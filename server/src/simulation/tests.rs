//! Two thousand seeds in an ordinary run, and the canaries.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use super::canary::Canary;
use super::judge::{Broken, Tally};
use super::world::run;

const SEEDS: u64 = 2_000;
const THREADS: u64 = 2;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// A line of the results page, where one is asked for.
fn record(what: &str, tried: u64) {
    cardea_results::record("Simulation", what, tried, 0);
}

/// A seed's end; a panic of the product is a broken promise too.
fn outcome(seed: u64, canary: Option<Canary>) -> Result<Tally, Broken> {
    match catch_unwind(AssertUnwindSafe(|| run(seed, canary))) {
        Ok(ended) => ended.map(|ended| ended.tally),
        Err(panic) => {
            super::set_calendar(None);
            let words = panic.downcast_ref::<String>().cloned();
            let words = words.or_else(|| panic.downcast_ref::<&str>().map(|&text| text.into()));
            Err(Broken(format!("a panic: {}", words.unwrap_or_default())))
        }
    }
}

fn replay(seed: u64, broken: &Broken) -> String {
    format!(
        "seed {seed}: {}\nreplay: CARDEA_SEED={seed} cargo test --release --workspace --lib -- \
         simulation::tests::no_seed",
        broken.0
    )
}

#[test]
fn no_seed_breaks_a_promise() {
    if let Some(seed) = number("CARDEA_SEED") {
        match outcome(seed, None) {
            Ok(tally) => println!("seed {seed}: {tally:#?}"),
            Err(broken) => panic!("{}", replay(seed, &broken)),
        }
        return;
    }
    let seeds = number("CARDEA_SEEDS").unwrap_or(SEEDS);
    let next = AtomicU64::new(0);
    let all = Mutex::new((Tally::default(), Vec::new()));
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds {
                        return;
                    }
                    let ended = outcome(seed, None);
                    let mut all = all.lock().expect("nobody panics with it");
                    match ended {
                        Ok(tally) => all.0.add(&tally),
                        Err(broken) => all.1.push(replay(seed, &broken)),
                    }
                }
            });
        }
    });
    let (tally, broken) = all.into_inner().expect("nobody panics with it");
    println!("{seeds} seeds: {tally:#?}");
    let shown: Vec<_> = broken.iter().take(5).cloned().collect();
    assert!(
        broken.is_empty(),
        "{} seeds break a promise:\n{}",
        broken.len(),
        shown.join("\n")
    );
    if seeds >= SEEDS {
        everything_was_seen(&tally);
    } else {
        println!("skipped: whether everything was seen, which takes {SEEDS} seeds");
    }
    record(
        "seeds of the access path, every promise after every event",
        seeds,
    );
    for (what, times) in tally
        .0
        .iter()
        .filter(|(what, _)| what.starts_with("fault: "))
    {
        record(what, *times);
    }
}

/// A simulation in which nothing happens breaks no promise either.
fn everything_was_seen(tally: &Tally) {
    for what in [
        "granted",
        "denied: no match",
        "denied: no right at this door",
        "denied: withdrawn meanwhile",
        "denied: outcome unknown",
        "denied: interrupted",
        "refused: deadline passed",
        "repeats granted as their first",
        "opens withheld at the last look",
        "Space: Opens",
        "Space: Hangs",
        "fault: server dies",
        "fault: disk refuses writes",
        "fault: disk does not sync",
        "fault: loop stalls",
        "fault: calendar steps",
        "fault: repeat",
        "fault: reply lost",
        "fault: device gone while it is asked",
        "fault: stale connection to Space",
        "fault: Space away",
    ] {
        assert!(
            tally.of(what) >= 20,
            "{what}: seen {} times",
            tally.of(what)
        );
    }
    let asked = tally.of("requests");
    assert!(
        tally.of("granted") * 10 > asked,
        "of {asked}: {}",
        tally.of("granted")
    );
}

/// The first seed that cries, and what.
fn first_cry(canary: Canary) -> String {
    let cry = (0..200).find_map(|seed| outcome(seed, Some(canary)).err());
    cry.map(|broken| broken.0).unwrap_or_default()
}

/// Each fault breaks a promise for certain; a judge who does not say so is blind.
#[test]
fn every_canary_is_heard() {
    for (canary, cries) in [
        (Canary::SentAllTheSame, &["no right", "Space was asked"][..]),
        (Canary::DiskLies, &["without a durable record"][..]),
        (Canary::NearestWins, &["exact oracle"][..]),
        (Canary::NoDeadlines, &["deadline"][..]),
        (
            Canary::WithdrawalsForgotten,
            &["exact oracle", "withdrawn", "no right"][..],
        ),
    ] {
        let cry = first_cry(canary);
        let heard = cries.iter().any(|expected| cry.contains(expected));
        assert!(heard, "{canary:?}: {cry:?}");
    }
    record(
        "canaries: faults that break a promise for certain, heard",
        5,
    );
}

/// A seed that cannot be repeated is of no use to whoever has to mend what it found.
#[test]
fn a_seed_is_the_same_every_time() {
    for seed in 0..20 {
        let one = run(seed, None).map(|ended| (ended.trace, ended.tally));
        let other = run(seed, None).map(|ended| (ended.trace, ended.tally));
        assert_eq!(one, other, "seed {seed}");
    }
}
