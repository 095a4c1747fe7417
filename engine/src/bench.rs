//! Single passes over rows in memory, for benches and for the gate on instruction counts. Not for
//! searching: there is no file, no view and no answer here.

use crate::int8::{Int8Norm, Int8Probe, Int8Rows};
use crate::kernel::{Int8Scan, PEAK_CHAINS, PlaneScan, Survivor, TileMemory, Work};
use crate::plane::{BLOCK_ROWS, Geometry, Line, PlaneProbe, PlaneRows};
use crate::synthetic::{Shape, Stream, Synthetic};
use crate::{DIM, Kernel, Threshold};

/// The first pass over random rows.
#[derive(Debug)]
pub struct PlanePass {
    kernel: Kernel,
    geometry: Geometry,
    rows: usize,
    lines: Vec<Line>,
    numbers: Vec<Line>,
    probes: Vec<PlaneProbe>,
    survivors: Vec<Survivor>,
    tiles: TileMemory,
}

/// The int8 pass over random rows.
#[derive(Debug)]
pub struct Int8Pass {
    kernel: Kernel,
    codes: Vec<[i8; DIM]>,
    norms: Vec<Int8Norm>,
    probes: Vec<Int8Probe>,
    survivors: Vec<Survivor>,
}

impl PlanePass {
    /// Rows of a lone plane of 256 dimensions at 4 bits and as many at 2; nearly all are discarded.
    pub fn lone(kernel: Kernel, rows: usize, batch: usize) -> Self {
        Self::new(kernel, rows, batch, Geometry::lone(256, 256))
    }

    /// Rows of a batch plane of 256 dimensions at 6 bits.
    pub fn batch(kernel: Kernel, rows: usize, batch: usize) -> Self {
        Self::new(kernel, rows, batch, Geometry::batch(256))
    }

    fn new(kernel: Kernel, rows: usize, batch: usize, geometry: Geometry) -> Self {
        assert!(geometry.is_sound());
        let mut random = Stream::new(1);
        let mut lines = |count: usize, mask: u8| -> Vec<Line> {
            (0..count)
                .map(|_| std::array::from_fn(|_| random.bits() as u8 & mask))
                .collect()
        };
        let blocks = rows.div_ceil(BLOCK_ROWS);
        let numbers = lines(blocks, 127);
        let codes = if geometry.is_batch() { 63 } else { 255 };
        let lines = lines(blocks * geometry.lines(), codes);
        let probes = (0..batch)
            .map(|_| PlaneProbe::random(&mut Stream::new(2)))
            .collect();
        Self {
            kernel,
            geometry,
            rows,
            lines,
            numbers,
            probes,
            survivors: Vec::new(),
            tiles: TileMemory::default(),
        }
    }

    /// Bytes that one pass reads.
    pub fn bytes(&self) -> usize {
        self.rows * self.geometry.row_bytes()
    }

    /// Multiplications and additions of one pass.
    pub fn operations(&self) -> usize {
        2 * self.rows * self.probes.len() * self.geometry.dims()
    }

    /// One pass; how many rows survive.
    pub fn run(&mut self) -> usize {
        self.survivors.clear();
        let (geometry, rows) = (self.geometry, self.rows);
        let plane = PlaneRows {
            geometry,
            lines: &self.lines,
            numbers: &self.numbers,
            rows,
        };
        let scan = PlaneScan {
            plane,
            probes: &self.probes,
            survivors: &mut self.survivors,
            then: None,
        };
        self.kernel.run(Work::Plane(scan, &mut self.tiles));
        self.survivors.len()
    }
}

impl Int8Pass {
    /// Rows of 512 dimensions; nearly all are discarded.
    pub fn new(kernel: Kernel, rows: usize, batch: usize) -> Self {
        let mut random = Stream::new(1);
        let code = |random: &mut Stream| (random.bits() % 255) as u8 as i16 - 127;
        let codes = (0..rows)
            .map(|_| std::array::from_fn(|_| code(&mut random) as i8))
            .collect();
        let norms = vec![
            Int8Norm {
                scale: 6e-4,
                residual: 0.004
            };
            rows
        ];
        let people = Synthetic::new(1, Shape::Realistic);
        let threshold = Threshold::new(0.9).expect("in range");
        let prepare = |n| Int8Probe::new(people.stranger(n).as_array(), threshold, 0.0);
        let probes = (0..batch as u64).map(prepare).collect();
        Self {
            kernel,
            codes,
            norms,
            probes,
            survivors: Vec::new(),
        }
    }

    /// Bytes that one pass reads.
    pub fn bytes(&self) -> usize {
        self.codes.len() * (DIM + size_of::<Int8Norm>())
    }

    /// Multiplications and additions of one pass.
    pub fn operations(&self) -> usize {
        2 * self.codes.len() * self.probes.len() * DIM
    }

    /// One pass; how many rows survive.
    pub fn run(&mut self) -> usize {
        self.survivors.clear();
        let rows = Int8Rows {
            codes: &self.codes,
            norms: &self.norms,
        };
        let scan = Int8Scan {
            rows,
            probes: &self.probes,
            survivors: &mut self.survivors,
        };
        self.kernel.run(Work::Int8(scan));
        self.survivors.len()
    }
}

/// Operations (2 per multiply-add) that `rounds` rounds of [`peak`] make on a kernel.
pub fn peak_operations(kernel: Kernel, rounds: u32) -> u64 {
    let a_chain = match kernel.name() {
        "avx512-vnni" => 2 * 128,
        "avx-vnni" => 2 * 64,
        "avx2" => 64,
        _ => 2,
    };
    u64::from(rounds) * PEAK_CHAINS as u64 * a_chain
}

/// The plane's instructions on registers alone.
pub fn peak(kernel: Kernel, rounds: u32) {
    kernel.run(Work::Peak(rounds));
}
