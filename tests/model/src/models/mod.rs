//! The models. Each runs many schedules of a few threads.

pub mod completions;
pub mod gate;
pub mod handover;
pub mod publish;
pub mod work;

use shuttle::scheduler::RandomScheduler;
use shuttle::{Config, Runner};

/// Bytes of a model's thread: SQLite and the kernels want more than the scheduler's own choice.
const STACK_BYTES: usize = 1 << 20;

/// Runs so many schedules; panics in the first that fails.
fn schedules(count: usize, model: impl Fn() + Send + Sync + 'static) -> usize {
    let mut config = Config::new();
    config.stack_size = STACK_BYTES;
    Runner::new(RandomScheduler::new_from_seed(7, count), config).run(model)
}
