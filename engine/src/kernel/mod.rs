//! The one dispatch: which instructions score, chosen once and proven by holding a [`Kernel`].
//!
//! Each tier is one file with one entry, a safe function with its own `#[target_feature]`, so that
//! the binary as a whole stays baseline x86-64. The scalar tier is the specification: every other
//! tier is tested against it, bit for bit.

// One number names a probe or a half in several arrays at once; zips of zips read worse.
#![allow(clippy::needless_range_loop)]

mod avx2;
mod avx512_vnni;
mod avx_vnni;
mod scalar;
mod tile;

pub(crate) use tile::TileMemory;

use crate::DIM;
use crate::int8::{Int8Probe, Int8Rows};
use crate::plane::{BLOCK_ROWS, PlaneProbe, PlaneRows};
use std::fmt;

/// A tier that this CPU (and its operating system, XCR0) is known to have.
#[derive(Clone, Copy)]
pub struct Kernel(&'static Tier);

struct Tier {
    name: &'static str,
    /// The first feature that is missing, if any.
    missing: fn() -> Option<&'static str>,
    /// Must be called only where nothing is missing.
    run: unsafe fn(Work<'_>),
}

/// One piece of work for any tier.
#[derive(Debug)]
pub(crate) enum Work<'a> {
    /// Integer dot products over whole rows; keeps those that may reach the threshold.
    Int8(Int8Scan<'a>),
    /// The plane's integers over whole rows, then int8 over what they left; keeps the rows that
    /// may reach the threshold.
    Plane(PlaneScan<'a>, &'a mut TileMemory),
    /// f32 scores of every row with every probe.
    Scores(Scores<'a>),
    /// The plane's instructions on registers alone, so many rounds: what the pass is compared with.
    Peak(u32),
}

/// Independent chains of a round of [`Work::Peak`]: enough to hide the latency, and few enough
/// for 16 registers.
pub(crate) const PEAK_CHAINS: usize = 6;

/// See [`Work::Int8`]: survivors are appended by rising row, then rising probe within a row.
#[derive(Debug)]
pub(crate) struct Int8Scan<'a> {
    pub(crate) rows: Int8Rows<'a>,
    pub(crate) probes: &'a [Int8Probe],
    pub(crate) survivors: &'a mut Vec<Survivor>,
}

/// See [`Work::Plane`]. Survivors are appended in any order.
#[derive(Debug)]
pub(crate) struct PlaneScan<'a> {
    pub(crate) plane: PlaneRows<'a>,
    pub(crate) probes: &'a [PlaneProbe],
    pub(crate) survivors: &'a mut Vec<Survivor>,
    /// None in benches and tests of the plane alone.
    pub(crate) then: Option<Int8Next<'a>>,
}

/// What looks at the rows that the plane leaves.
#[derive(Debug)]
pub(crate) struct Int8Next<'a> {
    pub(crate) rows: Int8Rows<'a>,
    pub(crate) probes: &'a [Int8Probe],
    /// Counts rows and probes that the plane left.
    pub(crate) listed: &'a mut usize,
}

/// See [`Work::Scores`]. `scores[row * probes.len() + probe]`.
#[derive(Debug)]
pub(crate) struct Scores<'a> {
    pub(crate) rows: &'a [&'a [f32; DIM]],
    pub(crate) probes: &'a [&'a [f32; DIM]],
    pub(crate) scores: &'a mut [f32],
}

/// A row that a pass could not discard for a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Survivor {
    /// Row within the rows of the scan.
    pub(crate) row: u32,
    /// Probe within the probes of the scan.
    pub(crate) probe: u32,
}

/// Survivors ahead whose codes are called for: memory answers in about 100 ns, a row takes 10.
const PREFETCH_AHEAD: usize = 12;

impl Int8Next<'_> {
    /// Of the survivors from number `first` on, keeps what may reach, by a tier's own dot product;
    /// calls for rows ahead of their turn.
    #[inline(always)]
    fn retain(
        &mut self,
        survivors: &mut Vec<Survivor>,
        first: usize,
        dot: impl Fn(&[i8; DIM], &Int8Probe) -> i32,
    ) {
        let Self { rows, probes, .. } = self;
        *self.listed += survivors.len() - first;
        let mut kept = first;
        for at in first..survivors.len() {
            if let Some(ahead) = survivors.get(at + PREFETCH_AHEAD) {
                prefetch(bytemuck::bytes_of(&rows.codes[ahead.row as usize]));
            }
            let survivor = survivors[at];
            let (row, probe) = (survivor.row as usize, &probes[survivor.probe as usize]);
            if probe.may_reach(dot(&rows.codes[row], probe), rows.norms[row]) {
                survivors[kept] = survivor;
                kept += 1;
            }
        }
        survivors.truncate(kept);
    }
}

impl PlaneScan<'_> {
    /// Appends the rows of a block whose bits are set in `mask`, but no padding.
    #[inline(always)]
    fn keep(survivors: &mut Vec<Survivor>, rows: usize, block: usize, probe: usize, mut mask: u32) {
        while mask != 0 {
            let row = block * BLOCK_ROWS + mask.trailing_zeros() as usize;
            if row < rows {
                survivors.push(Survivor {
                    row: row as u32,
                    probe: probe as u32,
                });
            }
            mask &= mask - 1;
        }
    }
}

/// Calls bytes, line by line, into the cache.
#[allow(unsafe_code)]
#[inline(always)]
fn prefetch(bytes: &[u8]) {
    for line in bytes.as_chunks::<64>().0 {
        // JUSTIFICATION: survivors lie far apart, and without prefetching each waits for memory;
        // there is no safe interface.
        // SAFETY: any address may be prefetched, this one is even valid; SSE is in the baseline.
        unsafe {
            std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(
                line.as_ptr().cast(),
            );
        }
    }
}

/// Why a kernel cannot be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KernelError {
    /// No tier has this name.
    Unknown {
        /// The name.
        name: String,
    },
    /// The CPU, or the operating system, lacks a feature of the tier.
    Missing {
        /// The tier's name.
        kernel: &'static str,
        /// The first feature missing, as `/proc/cpuinfo` spells it.
        feature: &'static str,
    },
}

/// Slowest first.
static TIERS: [Tier; 4] = [
    Tier {
        name: "scalar",
        missing: || None,
        run: scalar::run,
    },
    Tier {
        name: "avx2",
        missing: avx2::missing,
        run: avx2::run,
    },
    Tier {
        name: "avx-vnni",
        missing: avx_vnni::missing,
        run: avx_vnni::run,
    },
    Tier {
        name: "avx512-vnni",
        missing: avx512_vnni::missing,
        run: avx512_vnni::run,
    },
];

/// What the product requires.
const REQUIRED: &str = "avx2";

impl Kernel {
    /// The fastest kernel of this CPU. An error if it lacks AVX2, which the product requires.
    pub fn best() -> Result<Self, KernelError> {
        Self::by_name(REQUIRED)?;
        Ok(Self::fastest())
    }

    /// The fastest kernel of this CPU, whatever it is: for work that is no search.
    pub(crate) fn fastest() -> Self {
        let best = TIERS.iter().rev().find(|tier| (tier.missing)().is_none());
        Self(best.unwrap_or(&TIERS[0]))
    }

    /// The kernel with this name, for tests and `--kernel`.
    pub fn by_name(name: &str) -> Result<Self, KernelError> {
        let tier = TIERS.iter().find(|tier| tier.name == name);
        let tier = tier.ok_or_else(|| KernelError::Unknown {
            name: name.to_owned(),
        })?;
        match (tier.missing)() {
            None => Ok(Self(tier)),
            Some(feature) => Err(KernelError::Missing {
                kernel: tier.name,
                feature,
            }),
        }
    }

    /// Names of all kernels, slowest first, whether or not this CPU has them.
    pub fn names() -> impl Iterator<Item = &'static str> {
        TIERS.iter().map(|tier| tier.name)
    }

    /// `scalar`, `avx2`, ..
    pub fn name(self) -> &'static str {
        self.0.name
    }

    /// Does the work.
    #[allow(unsafe_code)]
    pub(crate) fn run(self, work: Work<'_>) {
        // JUSTIFICATION: a function compiled for instructions beyond the baseline can only be
        // called from baseline code through `unsafe`.
        // SAFETY: the one requirement is that the CPU has the tier's features; `Kernel` values are
        // made in `by_name` and `best` only, after `missing` found none missing.
        unsafe { (self.0.run)(work) }
    }
}

impl fmt::Debug for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kernel({})", self.name())
    }
}

impl fmt::Display for KernelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { name } => {
                write!(f, "no kernel is named {name:?}; there are")?;
                Kernel::names().try_for_each(|name| write!(f, " {name}"))
            }
            Self::Missing { kernel, feature } if *kernel == REQUIRED => write!(
                f,
                "this CPU lacks {feature}, which Cardea requires (Intel Haswell of 2013, AMD \
                 Excavator of 2015 or later): in a virtual machine, set the CPU type to \"host\" \
                 (Proxmox, libvirt: host-passthrough) or to a model with AVX2, and on VMware \
                 raise the EVC level to Haswell or later"
            ),
            Self::Missing { kernel, feature } => {
                write!(f, "kernel {kernel} needs {feature}, which this CPU lacks")
            }
        }
    }
}

impl std::error::Error for KernelError {}

#[cfg(test)]
mod tests;
