//! Searches of every size, batch, tier and thread count, as CSV lines for `bench/record/`.

use crate::machine::{Machine, kernels};
use crate::population::{probes, view};
use cardea_engine::synthetic::Shape;
use cardea_engine::{Kernel, Searcher, Threshold, View};
use rustix::time::{ClockId, clock_gettime};
use std::error::Error;
use std::path::Path;
use std::time::Instant;

/// What is measured.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Numbers of rows.
    pub rows: Vec<u64>,
    /// Realistic or isotropic.
    pub shapes: Vec<Shape>,
    /// Probes searched together.
    pub batches: Vec<usize>,
    /// Decision threshold.
    pub threshold: Threshold,
    /// Rounds; each round goes once through everything of one gallery, so that a disturbance
    /// hits all alike.
    pub rounds: usize,
}

const THREADS: [usize; 2] = [1, 2];
/// Head of the CSV.
const HEAD: &str = "cpu,gallery,rows,bytes_a_row,kernel,batch,threads,ms_min,ms_median,\
                    rows_per_s,gb_per_s,share_of_bandwidth,share_of_peak,cpu_ms_min,speed_up";

struct Case {
    kernel: Kernel,
    batch: usize,
    searcher: Searcher,
    ms: Vec<f64>,
    /// Least processor time of all threads together: what the code does beside other load.
    cpu_ms: f64,
}

/// Measures and prints.
pub fn run(plan: &Plan, folder: &Path) -> Result<(), Box<dyn Error>> {
    let machine = Machine::measure();
    eprintln!("{machine:?}");
    println!("{HEAD}");
    for &shape in &plan.shapes {
        for &rows in &plan.rows {
            let view = view(folder, shape, rows)?;
            let prediction = view.snapshot().and_then(|s| s.prediction(plan.threshold));
            if let Some(why) = prediction {
                eprintln!("{shape:?} {rows}: {why}");
            }
            let mut alone = f64::NAN;
            for case in measure(plan, &view, shape, rows)? {
                if case.searcher.threads() == 1 {
                    alone = case.ms[0];
                }
                let row_bytes = prediction.map_or(0, |p| p.row_bytes(case.batch));
                print(
                    &machine,
                    shape,
                    (rows, row_bytes),
                    &case,
                    alone / case.ms[0],
                );
            }
        }
    }
    Ok(())
}

fn measure(plan: &Plan, view: &View, shape: Shape, rows: u64) -> Result<Vec<Case>, Box<dyn Error>> {
    let probes = probes(shape, rows, plan.threshold.value(), 0, 256);
    let mut cases = Vec::new();
    for kernel in kernels() {
        for &batch in &plan.batches {
            for threads in THREADS {
                let searcher = Searcher::new(kernel, threads)?;
                cases.push(Case {
                    kernel,
                    batch,
                    searcher,
                    ms: Vec::new(),
                    cpu_ms: f64::INFINITY,
                });
            }
        }
    }
    for round in 0..=plan.rounds {
        for case in &mut cases {
            // Of one probe three searches a round, each another probe.
            for repeat in 0..if case.batch == 1 { 3 } else { 1 } {
                let first = (round * 3 + repeat) * case.batch % (probes.len() - case.batch + 1);
                let (start, cpu) = (Instant::now(), cpu_ms());
                case.searcher
                    .search(view, &probes[first..first + case.batch], plan.threshold)?;
                // The first round warms up.
                if round > 0 {
                    case.ms.push(start.elapsed().as_secs_f64() * 1e3);
                    case.cpu_ms = case.cpu_ms.min(cpu_ms() - cpu);
                }
            }
        }
    }
    cases
        .iter_mut()
        .for_each(|case| case.ms.sort_by(f64::total_cmp));
    Ok(cases)
}

/// Processor time of this process, milliseconds.
fn cpu_ms() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 * 1e3 + time.tv_nsec as f64 / 1e6
}

/// One line: rows and the bytes of each that the first pass reads; `speed_up` is the time of one
/// thread divided by this one's.
fn print(
    machine: &Machine,
    shape: Shape,
    (rows, row_bytes): (u64, usize),
    case: &Case,
    speed_up: f64,
) {
    let (min, median) = (case.ms[0], case.ms[case.ms.len() / 2]);
    let threads = case.searcher.threads();
    let gb_s = row_bytes as f64 * rows as f64 / min / 1e6;
    // All 512 dimensions once, also those that the pass does not read.
    let gop_s = 2.0 * rows as f64 * case.batch as f64 * 512.0 / min / 1e6;
    println!(
        "{},{shape:?},{rows},{row_bytes},{},{},{threads},{min:.3},{median:.3},{:.0},{gb_s:.1},\
         {:.2},{:.2},{:.3},{speed_up:.2}",
        machine.cpu,
        case.kernel.name(),
        case.batch,
        rows as f64 * case.batch as f64 / median * 1e3,
        gb_s / machine.read_gb_s[threads - 1],
        gop_s / machine.peak(case.kernel) / threads as f64,
        case.cpu_ms,
    );
}
