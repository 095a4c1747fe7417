//! The commands and what they share.

mod commission;
mod compare;
mod output;
mod ramp;
mod run;
mod self_check;
mod target;

use std::fmt;
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;

use clap::{Parser, Subcommand};

const USAGE: u8 = 2;
const NOT_SERVED: u8 = 1;

/// Load test of the device protocol.
#[derive(Debug, Parser)]
#[command(version, about)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Trade commissioning codes for certificates, one identity file per code.
    Commission(commission::Commission),
    /// Send access requests by a plan, hold the answers against what is known, print the verdict.
    Run(Box<run::Run>),
    /// Raise the rate step by step until the conditions no longer hold: where is the knee?
    Ramp(Box<ramp::Ramp>),
    /// Hold reports of A against reports of B, taken in turn, with a verdict that knows noise.
    Compare(compare::Compare),
    /// Measure the generator itself against a server that answers at once, in this process.
    SelfCheck(self_check::SelfCheck),
}

impl Command {
    pub(crate) fn carry_out(self) -> Result<u8, CliError> {
        match self {
            Self::Commission(command) => command.carry_out(),
            Self::Run(command) => command.carry_out(),
            Self::Ramp(command) => command.carry_out(),
            Self::Compare(command) => command.carry_out(),
            Self::SelfCheck(command) => command.carry_out(),
        }
    }
}

/// Why a command did not do its work.
#[derive(Debug)]
pub(crate) enum CliError {
    /// The arguments, or the files that they name.
    Usage(String),
    /// The server, or the way to it.
    NotServed(String),
}

impl CliError {
    pub(crate) fn usage(why: impl fmt::Display) -> Self {
        Self::Usage(why.to_string())
    }

    pub(crate) fn not_served(why: impl fmt::Display) -> Self {
        Self::NotServed(why.to_string())
    }

    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => USAGE,
            Self::NotServed(_) => NOT_SERVED,
        }
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(why) | Self::NotServed(why) => f.write_str(why),
        }
    }
}

/// Prints a text. A reader that has gone away changes nothing: the exit status still tells.
pub(crate) fn say(text: impl fmt::Display) {
    let mut out = std::io::stdout().lock();
    let _ = write!(out, "{text}").and_then(|()| out.flush());
}

/// A usage error about a file.
pub(crate) fn named(path: &Path, why: impl fmt::Display) -> CliError {
    CliError::usage(format!("{}: {why}", path.display()))
}

/// Load belongs on one's own machine.
pub(crate) fn check_loopback(server: SocketAddr, yes_really: bool) -> Result<(), CliError> {
    if server.ip().is_loopback() || yes_really {
        return Ok(());
    }
    let text = format!("{server} is not this machine; --yes-really sends load to it all the same");
    Err(CliError::Usage(text))
}

/// A time on the command line: `10s`, `500ms`, or plain seconds.
pub(crate) fn parse_seconds(text: &str) -> Result<f64, String> {
    let (number, factor) = if let Some(number) = text.strip_suffix("ms") {
        (number, 1e-3)
    } else {
        (text.strip_suffix('s').unwrap_or(text), 1.0)
    };
    let number: f64 = number.trim().parse().map_err(|_| "no time".to_owned())?;
    let seconds = number * factor;
    if (0.0..=86_400.0).contains(&seconds) {
        Ok(seconds)
    } else {
        Err("0 to 86,400 seconds".to_owned())
    }
}
