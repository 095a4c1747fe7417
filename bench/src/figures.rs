//! What is not a search: how soon an enrolment is found, how long opening takes, and what writing a
//! snapshot in the background does to the searches beside it.

use crate::population::{SEED, probe, view};
use cardea_engine::gallery::Writer;
use cardea_engine::synthetic::{Shape, Synthetic};
use cardea_engine::{Gallery, Kernel, ModelId, Row, Searcher, Threshold, View};
use std::error::Error;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Enrolments, and searches at rest.
const TIMES: u64 = 200;
/// Between the starts of two searches beside the writer: a busy site, not a saturated one.
const PACE: Duration = Duration::from_millis(50);

/// Measures and prints, one line a figure.
pub fn run(folder: &Path, rows: u64, threshold: Threshold) -> Result<(), Box<dyn Error>> {
    let people = Synthetic::new(SEED, Shape::Realistic);
    let view = view(folder, Shape::Realistic, rows)?;
    let searcher = Searcher::new(Kernel::best()?, 2)?;
    let path = view.snapshot().map(|snapshot| snapshot.path().to_owned());
    if let Some(path) = path {
        let start = Instant::now();
        let opened = Gallery::open(&path)?;
        let probe = [people.stranger(0)];
        searcher.search(&View::of_snapshot(opened.into()), &probe, threshold)?;
        println!("open, check and first search: {:.0} ms", ms(start));
    }
    println!("publish an enrolment: {}", publish(&view, &people, rows)?);
    let rest = searches(&searcher, &view, &people, threshold, |done| done < TIMES)?;
    println!("search at rest: {rest}");
    let busy = beside_snapshot(folder, &searcher, &view, threshold)?;
    println!("search while a snapshot is written: {busy}");
    Ok(())
}

/// Each enrolment on top of those before, as the server's writer does it.
fn publish(view: &View, people: &Synthetic, rows: u64) -> Result<Spread, Box<dyn Error>> {
    let (mut view, mut times) = (view.clone(), Vec::new());
    for number in 0..TIMES {
        let row: Row = people.row(rows + number);
        let start = Instant::now();
        view = view.with_enrolled(&[row], 2 + number)?;
        times.push(ms(start));
    }
    Ok(Spread(times))
}

fn searches(
    searcher: &Searcher,
    view: &View,
    people: &Synthetic,
    threshold: Threshold,
    goes_on: impl Fn(u64) -> bool,
) -> Result<Spread, Box<dyn Error>> {
    let mut times = Vec::new();
    while goes_on(times.len() as u64) {
        let number = times.len() as u64;
        let probe = [probe(people, view.rows() as u64, threshold.value(), number)];
        let start = Instant::now();
        searcher.search(view, &probe, threshold)?;
        times.push(ms(start));
        std::thread::sleep(PACE.saturating_sub(start.elapsed()));
    }
    Ok(Spread(times))
}

fn beside_snapshot(
    folder: &Path,
    searcher: &Searcher,
    view: &View,
    threshold: Threshold,
) -> Result<Spread, Box<dyn Error>> {
    let (path, people) = (
        folder.join("beside.cardea"),
        Synthetic::new(SEED, Shape::Realistic),
    );
    let written = AtomicBool::new(false);
    let spread = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let result = write(view, &path).map_err(|error| error.to_string());
            written.store(true, Ordering::Release);
            result
        });
        let goes_on = |_| !written.load(Ordering::Acquire);
        let spread = searches(searcher, view, &people, threshold, goes_on);
        match writer.join() {
            Ok(result) => println!("write a snapshot: {:.1} s", result?),
            Err(panic) => std::panic::resume_unwind(panic),
        }
        spread
    })?;
    std::fs::remove_file(&path)?;
    Ok(spread)
}

/// The whole gallery once more; seconds.
fn write(view: &View, path: &Path) -> Result<f64, Box<dyn Error>> {
    let start = Instant::now();
    let _ = std::fs::remove_file(path);
    let snapshot = view.snapshot().ok_or("no snapshot")?;
    let mut writer = Writer::create(path, ModelId([1; 16]), 1, snapshot.rows() as u64)?;
    for row in 0..snapshot.rows() {
        writer.push(&Row {
            reference: snapshot.reference(row),
            person: snapshot.person(row),
            embedding: cardea_engine::Embedding::new(snapshot.embedding(row)?)?,
        })?;
    }
    writer.finish()?;
    Ok(start.elapsed().as_secs_f64())
}

fn ms(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1e3
}

/// Times in milliseconds.
struct Spread(Vec<f64>);

impl std::fmt::Display for Spread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut times = self.0.clone();
        times.sort_by(f64::total_cmp);
        let at = |part: f64| {
            times
                .get((times.len() as f64 * part) as usize)
                .or(times.last())
        };
        let [median, high, most] = [0.5, 0.99, 1.0].map(|part| at(part).copied().unwrap_or(0.0));
        let count = times.len();
        write!(
            f,
            "median {median:.3} ms, p99 {high:.3}, max {most:.3} ({count} times)"
        )
    }
}
