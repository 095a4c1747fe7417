//! The machine: what it is, how fast it reads memory, how fast it multiplies.

use cardea_engine::{Kernel, bench};
use serde::Serialize;
use std::hint::black_box;
use std::time::Instant;

/// Bytes read to measure bandwidth: more than any cache.
const READ_BYTES: usize = 512 << 20;
/// Rounds of the arithmetic peak: about a millisecond.
const PEAK_ROUNDS: u32 = 200_000;
/// Each figure is the best of so many tries, because other work disturbs.
const TRIES: usize = 9;

/// What a record is about.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    /// As the kernel of the operating system names it.
    pub cpu: String,
    /// Cores that this process may use.
    pub cores: usize,
    /// GB/s on one and on two threads.
    pub read_gb_s: [f64; 2],
    /// Integer Gop/s of the plane's instructions in registers, by tier.
    pub peak_gop_s: Vec<(String, f64)>,
}

impl Machine {
    /// Measures; takes a few seconds.
    pub fn measure() -> Self {
        let memory = vec![1u64; READ_BYTES / 8];
        let peak = |kernel: Kernel| {
            let seconds = best(|| bench::peak(kernel, PEAK_ROUNDS));
            let operations = bench::peak_operations(kernel, PEAK_ROUNDS);
            (kernel.name().to_owned(), operations as f64 / seconds / 1e9)
        };
        Self {
            cpu: cpu_name(),
            cores: std::thread::available_parallelism().map_or(1, |cores| cores.get()),
            read_gb_s: [1, 2]
                .map(|threads| READ_BYTES as f64 / best(|| read(&memory, threads)) / 1e9),
            peak_gop_s: kernels().into_iter().map(peak).collect(),
        }
    }

    /// The peak of a tier.
    pub fn peak(&self, kernel: Kernel) -> f64 {
        let of = |(name, peak): &(String, f64)| (name == kernel.name()).then_some(*peak);
        self.peak_gop_s.iter().find_map(of).unwrap_or(f64::NAN)
    }
}

/// Kernels of this CPU but the scalar one.
pub fn kernels() -> Vec<Kernel> {
    let names = Kernel::names().filter(|name| *name != "scalar");
    names
        .filter_map(|name| {
            Kernel::by_name(name)
                .map_err(|why| eprintln!("skipped: {why}"))
                .ok()
        })
        .collect()
}

/// The shortest of some runs, seconds.
pub fn best(mut run: impl FnMut()) -> f64 {
    let times = (0..TRIES).map(|_| {
        let start = Instant::now();
        run();
        start.elapsed().as_secs_f64()
    });
    times.fold(f64::INFINITY, f64::min)
}

fn read(memory: &[u64], threads: usize) {
    std::thread::scope(|scope| {
        for part in memory.chunks(memory.len().div_ceil(threads)) {
            scope.spawn(move || {
                let mut sums = [0u64; 8];
                for eight in part.as_chunks::<8>().0 {
                    (0..8).for_each(|lane| sums[lane] ^= eight[lane]);
                }
                black_box(sums);
            });
        }
    });
}

fn cpu_name() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |name: &str| {
        let line = text
            .lines()
            .find(|line| line.split(':').next().map(str::trim) == Some(name));
        line.and_then(|line| line.split(':').nth(1))
            .map_or("?", str::trim)
    };
    format!(
        "{} family {} model {}",
        field("model name"),
        field("cpu family"),
        field("model")
    )
}
