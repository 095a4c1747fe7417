//! The load test's command line.
//!
//! Exit status: 0 all assertions hold, 1 one does not (or the server did not serve), 2 usage,
//! 3 void.

mod cli;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    match cli::Arguments::parse().command.carry_out() {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("loadtest: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}
