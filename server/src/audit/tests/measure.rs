//! How fast the audit is on this disk; run by hand: `cargo test --release -p cardea measure --
//! --ignored --nocapture --test-threads 1`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::fixture::{Fixture, NOW_US, attempt};
use crate::audit::Outcome;
use crate::store::{Consent, ConsentHow, NewPerson, NewReference, Store};

const OUTCOME: Outcome = Outcome {
    decision: 1,
    reason: 0,
    at_unix_us: NOW_US,
};

fn percentiles(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    format!("p50 {:?} p99 {:?} max {:?}", at(0.5), at(0.99), at(1.0))
}

#[test]
#[ignore = "measures this disk"]
fn measure_one_at_a_time_and_bursts() {
    let fixture = Fixture::new();
    let mut name = 0;
    let mut ones = Vec::new();
    for _ in 0..2_000 {
        let start = Instant::now();
        fixture.begin(attempt(1, name));
        ones.push(start.elapsed());
        name += 1;
    }
    println!("one at a time: {}", percentiles(ones));
    for burst in [70_u64, 700] {
        let mut bursts = Vec::new();
        for _ in 0..100 {
            let start = Instant::now();
            for _ in 0..burst {
                fixture.handle.begin(attempt(1, name), name).expect("room");
                name += 1;
            }
            for _ in 0..burst {
                fixture.completions.recv().expect("completion");
            }
            bursts.push(start.elapsed());
        }
        println!("bursts of {burst}: {}", percentiles(bursts));
    }
}

#[test]
#[ignore = "measures this disk"]
fn measure_records_in_a_stream() {
    const RECORDS: u64 = 400_000;
    const WINDOW: u64 = 2_000;
    let fixture = Fixture::new();
    let start = Instant::now();
    let cpu = cpu_us();
    let mut done = 0;
    for name in 0..RECORDS {
        fixture.handle.begin(attempt(1, name), name).expect("room");
        while name + 1 - done >= WINDOW {
            let completion = fixture.completions.recv().expect("completion");
            fixture
                .handle
                .outcome(completion.ticket + 1, OUTCOME, None)
                .expect("room");
            done += 1;
        }
    }
    for _ in done..RECORDS {
        fixture.completions.recv().expect("completion");
    }
    let seconds = start.elapsed().as_secs_f64();
    let per_record = (cpu_us() - cpu) as f64 / RECORDS as f64;
    println!(
        "{:.0} attempts/s, each with an outcome; {per_record:.1} us of CPU each, all threads",
        RECORDS as f64 / seconds
    );
    let file = |name| std::fs::metadata(fixture.directory.file(name)).map_or(0, |file| file.len());
    println!(
        "audit.db {} B/record, log {} MB",
        file("audit.db") / RECORDS,
        file("audit.db-wal") >> 20
    );
    let open = Instant::now();
    let fixture = fixture.reopened(NOW_US);
    println!(
        "opened again with {RECORDS} ids to remember in {:?}",
        open.elapsed()
    );
    drop(fixture);
}

#[test]
#[ignore = "measures this disk"]
fn measure_beside_an_import() {
    let fixture = Fixture::new();
    let mut store = Store::open(&fixture.directory).expect("store");
    let import = store.import_begin(0).expect("begun");
    let mut name = 0;
    let mut one = || {
        name += 1;
        let start = Instant::now();
        fixture.begin(attempt(1, name));
        start.elapsed()
    };
    for _ in 0..3 {
        println!(
            "at rest: {}",
            percentiles((0..1_000).map(|_| one()).collect())
        );
    }
    let done = AtomicBool::new(false);
    let beside = std::thread::scope(|scope| {
        scope.spawn(|| {
            for batch in 0..400 {
                let people: Vec<_> = (0..256).map(|n| person(batch, n)).collect();
                store.import_add(import, &people, 0).expect("staged");
            }
            done.store(true, Ordering::Relaxed);
        });
        let mut times = Vec::new();
        while !done.load(Ordering::Relaxed) {
            times.push(one());
        }
        times
    });
    println!("{} beside an import: {}", beside.len(), percentiles(beside));
}

fn person(batch: u64, place: u64) -> NewPerson {
    NewPerson {
        external_id: format!("{batch}-{place}"),
        name: "Somebody".into(),
        email: None,
        consent: Consent {
            policy_version: "1".into(),
            at_unix_s: 0,
            how: ConsentHow::Imported,
        },
        every_door: true,
        doors: Vec::new(),
        references: vec![NewReference {
            embedding: Box::new([7; 2048]),
            quality: None,
        }],
    }
}

// User and system time of this process, from /proc in ticks of 10 ms.
fn cpu_us() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("stat");
    let after_name = stat.rsplit(')').next().expect("a name");
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let ticks = |field: usize| fields[field].parse::<u64>().expect("ticks");
    (ticks(11) + ticks(12)) * 10_000
}
