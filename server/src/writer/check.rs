//! What a configuration says beyond its form: whether a server could run with it.

use cardea_engine::{Kernel, KernelError};

use super::space;
use crate::config::Config;

/// Checks what only its user can tell: timetables, and the kernel for this CPU.
///
/// # Errors
/// [`super::WriterError::BadTimetable`], [`KernelError`].
pub fn check(config: &Config) -> Result<(), Box<dyn std::error::Error>> {
    space::timetables(&config.timetables)?;
    kernel(&config.kernel)?;
    Ok(())
}

fn kernel(name: &str) -> Result<Kernel, KernelError> {
    match name {
        "best" => Kernel::best(),
        name => Kernel::by_name(name),
    }
}
