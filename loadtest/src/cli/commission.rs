//! `loadtest commission`.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use cardea_loadtest::commission;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use super::{CliError, check_loopback, parse_seconds, say};

/// Trade commissioning codes for certificates.
#[derive(Debug, Args)]
pub(crate) struct Commission {
    /// Commissioning codes, one a line; what stands before a code on its line is ignored.
    #[arg(long)]
    codes: PathBuf,
    /// Folder for the identities, one file per code, mode 0600.
    #[arg(long)]
    identities: PathBuf,
    /// How long one device may take.
    #[arg(long, default_value = "10s", value_parser = parse_seconds)]
    timeout: f64,
    /// Aim at another machine.
    #[arg(long)]
    yes_really: bool,
}

impl Commission {
    pub(crate) fn carry_out(self) -> Result<u8, CliError> {
        let named = |error| CliError::usage(format!("{}: {error}", self.codes.display()));
        let text = fs::read_to_string(&self.codes).map_err(|error| named(error.to_string()))?;
        let codes = commission::parse_codes(&text).map_err(|error| named(error.to_string()))?;
        for code in &codes {
            check_loopback(code.server, self.yes_really)?;
        }
        fs::create_dir_all(&self.identities).map_err(CliError::usage)?;
        let style =
            ProgressStyle::with_template("commissioning {bar:40} {pos}/{len} devices {eta}")
                .unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = ProgressBar::new(codes.len() as u64).with_style(style);
        let timeout = Duration::from_secs_f64(self.timeout);
        let done = |count| bar.set_position(count as u64);
        commission::commission_all(&codes, &self.identities, timeout, &done)
            .map_err(CliError::not_served)?;
        bar.finish_and_clear();
        let (count, folder) = (codes.len(), self.identities.display());
        say(format_args!(
            "{count} devices commissioned, identities in {folder}\n"
        ));
        Ok(0)
    }
}
