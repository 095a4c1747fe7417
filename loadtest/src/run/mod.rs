//! The event loop: one thread, mio, every device's socket, and a timer for the next start.
//!
//! ```text
//! prepare: kept-alive and resumed devices connect and send a heartbeat; resumed ones close again
//! run:     due starts begin -> sockets are read and written -> samples
//! ```
//! - Starts begin when the plan says so, whatever the server does.
//! - Sockets are registered once, edge-triggered, for reading and writing. A read ends at a whole
//!   response; bytes behind it are read with the next edge.
//! - A device has one exchange at a time. A start that finds it busy waits, and its response time
//!   goes on counting. A start fails at its timeout, also while it waits.
//! - Nothing is allocated per request but what TLS takes.

mod device;
mod failures;
mod generator;
mod timer;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::ClientConfig;

use crate::client::Failure;
use crate::plan::Plan;
use crate::probes::Probes;
use crate::sample::Sample;
use generator::Generator;

const LEAD: Duration = Duration::from_millis(20);

/// What a run needs.
#[derive(Debug)]
pub struct Setup<'a> {
    /// The server.
    pub server: SocketAddr,
    /// The TLS configuration of each device of the plan, in order.
    pub devices: &'a [Arc<ClientConfig>],
    /// The intended starts.
    pub plan: &'a Plan,
    /// What they send.
    pub probes: &'a Probes,
    /// How long after its intended start a request may end.
    pub timeout: Duration,
    /// Makes the request ids of this run differ from those of every other.
    pub nonce: [u8; 8],
}

/// How far a run has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Devices that are prepared.
    Preparing {
        /// So many.
        done: usize,
        /// Of so many.
        total: usize,
    },
    /// Requests.
    Running {
        /// Started.
        started: usize,
        /// Ended.
        ended: usize,
        /// In the plan.
        total: usize,
    },
}

/// What a run brought.
#[derive(Debug, Clone)]
pub struct Run {
    /// When the plan began.
    pub began: SystemTime,
    /// CPU time that the generator's thread took for the plan, microseconds.
    pub cpu_us: u64,
    /// One sample per start, in the order in which they ended.
    pub samples: Vec<Sample>,
    /// The first few different failures, in words, with their number.
    pub failures: Vec<(String, u64)>,
}

/// Why a run did not take place.
#[derive(Debug)]
pub enum RunError {
    /// Fewer devices than the plan uses.
    TooFewDevices {
        /// There.
        found: usize,
        /// In the plan.
        wanted: usize,
    },
    /// The operating system.
    Io(io::Error),
    /// A device that could not be prepared.
    Prepare {
        /// Its number.
        device: usize,
        /// Why.
        failure: Failure,
    },
}

/// Prepares the devices, carries out the plan and collects the samples.
///
/// # Errors
/// [`RunError`]; failures of single requests are samples.
pub fn run(setup: &Setup<'_>, progress: &mut dyn FnMut(Progress)) -> Result<Run, RunError> {
    let wanted = setup.plan.lanes().len();
    let found = setup.devices.len();
    if found < wanted {
        return Err(RunError::TooFewDevices { found, wanted });
    }
    raise_open_files_limit();
    let mut generator = Generator::new(setup).map_err(RunError::Io)?;
    generator.prepare(progress)?;
    let began = SystemTime::now() + LEAD;
    let cpu_before_us = thread_cpu_us();
    generator.run(progress)?;
    Ok(Run {
        began,
        cpu_us: thread_cpu_us().saturating_sub(cpu_before_us),
        samples: generator.samples,
        failures: generator.failures.into_counts(),
    })
}

/// CPU time of the calling thread.
fn thread_cpu_us() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as u64 * 1_000_000 + time.tv_nsec as u64 / 1_000
}

/// One socket per device: the soft limit is often 1,024.
fn raise_open_files_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Where it cannot be raised, connecting says "too many open files" soon enough.
    let _ = setrlimit(Resource::Nofile, limit);
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooFewDevices { found, wanted } => {
                write!(
                    f,
                    "the plan uses {wanted} devices; there are {found} identities"
                )
            }
            Self::Io(error) => error.fmt(f),
            Self::Prepare { device, failure } => {
                write!(f, "device {device} could not be prepared: {failure}")
            }
        }
    }
}

impl std::error::Error for RunError {}
