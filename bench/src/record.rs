//! Searches of every size, batch, tier and thread count, as CSV lines for `bench/record/`.

use crate::machine::{Machine, kernels};
use crate::population::{probes, view};
use cardea_engine::synthetic::Shape;
use cardea_engine::{Kernel, Searcher, Threshold, View};
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
    /// Decision threshold.
    pub threshold: Threshold,
    /// Rounds; each round goes once through everything of one gallery, so that a disturbance
    /// hits all alike.
    pub rounds: usize,
}

const BATCHES: [usize; 3] = [1, 8, 64];
const THREADS: [usize; 2] = [1, 2];
/// Head of the CSV.
const HEAD: &str = "cpu,gallery,rows,bytes_a_row,kernel,batch,threads,ms_min,ms_median,\
                    rows_per_s,gb_per_s,share_of_bandwidth,share_of_peak";

struct Case {
    kernel: Kernel,
    batch: usize,
    searcher: Searcher,
    ms: Vec<f64>,
}

/// Measures and prints.
pub fn run(plan: &Plan, folder: &Path) -> Result<(), Box<dyn Error>> {
    let machine = Machine::measure();
    eprintln!("{machine:?}");
    println!("{HEAD}");
    for &shape in &plan.shapes {
        for &rows in &plan.rows {
            let view = view(folder, shape, rows)?;
            if let Some(why) = view.snapshot().and_then(|s| s.prediction(plan.threshold)) {
                eprintln!("{shape:?} {rows}: {why}");
            }
            for case in measure(plan, &view, shape, rows)? {
                print(&machine, &view, shape, rows, &case);
            }
        }
    }
    Ok(())
}

fn measure(plan: &Plan, view: &View, shape: Shape, rows: u64) -> Result<Vec<Case>, Box<dyn Error>> {
    let probes = probes(shape, rows, plan.threshold.value(), 0, 256);
    let mut cases = Vec::new();
    for kernel in kernels() {
        for batch in BATCHES {
            for threads in THREADS {
                let searcher = Searcher::new(kernel, threads)?;
                cases.push(Case {
                    kernel,
                    batch,
                    searcher,
                    ms: Vec::new(),
                });
            }
        }
    }
    for round in 0..=plan.rounds {
        for case in &mut cases {
            // Of one probe three searches a round, each another probe.
            for repeat in 0..if case.batch == 1 { 3 } else { 1 } {
                let first = (round * 3 + repeat) * case.batch % (probes.len() - case.batch + 1);
                let start = Instant::now();
                case.searcher
                    .search(view, &probes[first..first + case.batch], plan.threshold)?;
                // The first round warms up.
                if round > 0 {
                    case.ms.push(start.elapsed().as_secs_f64() * 1e3);
                }
            }
        }
    }
    cases
        .iter_mut()
        .for_each(|case| case.ms.sort_by(f64::total_cmp));
    Ok(cases)
}

fn print(machine: &Machine, view: &View, shape: Shape, rows: u64, case: &Case) {
    let (min, median) = (case.ms[0], case.ms[case.ms.len() / 2]);
    let threads = case.searcher.threads();
    let bytes = view
        .snapshot()
        .map_or(0, |s| s.plane_bytes())
        .saturating_sub(1 << 20);
    let row_bytes = bytes as f64 / rows as f64;
    let gb_s = bytes as f64 / min / 1e6;
    // Every dimension of the plane once: 512 unless the plan drops some.
    let gop_s = 2.0 * rows as f64 * case.batch as f64 * 512.0 / min / 1e6;
    println!(
        "{},{shape:?},{rows},{row_bytes:.0},{},{},{threads},{min:.3},{median:.3},{:.0},{gb_s:.1},\
         {:.2},{:.2}",
        machine.cpu,
        case.kernel.name(),
        case.batch,
        rows as f64 * case.batch as f64 / median * 1e3,
        gb_s / machine.read_gb_s[threads - 1],
        gop_s / machine.peak(case.kernel) / threads as f64,
    );
}
