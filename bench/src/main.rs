//! Measures the matcher: records for `bench/record/`, wrong answers against the oracle, our side
//! of the comparison with peers, and single passes for the gate on instruction counts.

use cardea_bench::machine::Machine;
use cardea_bench::{exact, figures, peers, record};
use cardea_engine::bench::{Int8Pass, PlanePass};
use cardea_engine::synthetic::Shape;
use cardea_engine::{Kernel, Threshold};
use clap::{Parser, Subcommand, ValueEnum};
use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

/// Benches of the matcher.
#[derive(Debug, Parser)]
struct Arguments {
    /// Where galleries are kept between runs.
    #[arg(long, default_value = "target/bench-galleries")]
    folder: PathBuf,
    /// Decision threshold.
    #[arg(long, default_value_t = 0.41)]
    threshold: f32,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Bandwidth and arithmetic peaks of this machine.
    Machine,
    /// Searches of every batch, tier and thread count, as CSV.
    Record {
        /// Numbers of rows.
        #[arg(long, value_delimiter = ',', default_value = "10000,100000,1000000")]
        rows: Vec<u64>,
        /// Galleries.
        #[arg(long, value_delimiter = ',', default_value = "realistic,isotropic")]
        gallery: Vec<GalleryShape>,
        /// Probes searched together.
        #[arg(long, value_delimiter = ',', default_value = "1,8,64")]
        batch: Vec<usize>,
        /// Rounds through everything.
        #[arg(long, default_value_t = 15)]
        rounds: usize,
    },
    /// Wrong answers against the exhaustive f32 search; exit status 1 if there is one.
    Exact {
        /// Rows of the gallery.
        #[arg(long, default_value_t = 10_000)]
        rows: u64,
        /// Probes for each tier and gallery.
        #[arg(long, default_value_t = 10_000)]
        probes: u64,
        /// Probes of these that the scalar tier searches too.
        #[arg(long, default_value_t = 1_000)]
        scalar: u64,
    },
    /// What is not a search: publishing an enrolment, opening, writing a snapshot meanwhile.
    Figures {
        /// Rows of the gallery.
        #[arg(long, default_value_t = 1_000_000)]
        rows: u64,
    },
    /// Our side of `bench/peers/run`.
    Peers {
        /// Rows of the gallery.
        #[arg(long)]
        rows: u64,
    },
    /// One pass over rows in memory, for counting instructions.
    Pass {
        /// Which pass.
        pass: Pass,
        /// With which kernel.
        #[arg(long, default_value = "avx2")]
        kernel: String,
        /// Rows.
        #[arg(long, default_value_t = 4096)]
        rows: usize,
        /// Probes.
        #[arg(long, default_value_t = 1)]
        batch: usize,
        /// How often.
        #[arg(long, default_value_t = 1)]
        times: usize,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum GalleryShape {
    Realistic,
    Isotropic,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Pass {
    Plane,
    Batch,
    Int8,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(code) => code,
        Err(why) => {
            eprintln!("cardea-bench: {why}");
            ExitCode::from(2)
        }
    }
}

fn run(arguments: &Arguments) -> Result<ExitCode, Box<dyn Error>> {
    let threshold = Threshold::new(arguments.threshold)?;
    let folder = &arguments.folder;
    match &arguments.command {
        Command::Machine => println!("{}", serde_json::to_string_pretty(&Machine::measure())?),
        Command::Record {
            rows,
            gallery,
            batch,
            rounds,
        } => {
            let shapes = gallery.iter().map(|shape| (*shape).into()).collect();
            let plan = record::Plan {
                rows: rows.clone(),
                shapes,
                batches: batch.clone(),
                threshold,
                rounds: *rounds,
            };
            record::run(&plan, folder)?;
        }
        Command::Figures { rows } => figures::run(folder, *rows, threshold)?,
        Command::Exact {
            rows,
            probes,
            scalar,
        } => {
            let mut wrong = 0;
            for shape in [Shape::Realistic, Shape::Isotropic] {
                wrong += exact::run(folder, shape, *rows, (*probes, *scalar), threshold)?;
            }
            println!("{wrong} wrong");
            return Ok(ExitCode::from(u8::from(wrong > 0)));
        }
        Command::Peers { rows } => peers::serve(folder, Shape::Realistic, *rows, threshold)?,
        Command::Pass {
            pass,
            kernel,
            rows,
            batch,
            times,
        } => {
            let kernel = Kernel::by_name(kernel)?;
            let survivors = match pass {
                Pass::Plane => {
                    let mut pass = PlanePass::lone(kernel, *rows, *batch);
                    (0..*times).map(|_| pass.run()).sum::<usize>()
                }
                Pass::Batch => {
                    let mut pass = PlanePass::batch(kernel, *rows, *batch);
                    (0..*times).map(|_| pass.run()).sum::<usize>()
                }
                Pass::Int8 => {
                    let mut pass = Int8Pass::new(kernel, *rows, *batch);
                    (0..*times).map(|_| pass.run()).sum()
                }
            };
            println!("{survivors} survivors");
        }
    }
    Ok(ExitCode::SUCCESS)
}

impl From<GalleryShape> for Shape {
    fn from(shape: GalleryShape) -> Self {
        match shape {
            GalleryShape::Realistic => Self::Realistic,
            GalleryShape::Isotropic => Self::Isotropic,
        }
    }
}
