//! The command line.

pub mod init;
pub mod latency;
pub mod people;
pub mod people_file;
pub mod site;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// The server of a face-access system.
#[derive(Debug, Parser)]
#[command(name = "cardea", version, about)]
pub struct Cli {
    /// The site's data directory.
    #[arg(long, global = true, default_value = "/var/lib/cardea")]
    pub data: PathBuf,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Makes a new site: data directory, certificates, configuration.
    Init(InitArgs),
    /// Runs the server until SIGTERM.
    Serve {
        /// Kernel tier instead of the configured one: scalar, avx2, avx-vnni, avx512-vnni.
        #[arg(long)]
        kernel: Option<String>,
    },
    /// Checks the configuration and says what it means.
    CheckConfig,
    /// Imports, lists, shows and withdraws people.
    #[command(subcommand)]
    People(PeopleCommand),
    /// Adds, lists and removes devices.
    #[command(subcommand)]
    Device(DeviceCommand),
    /// Adds and lists doors.
    #[command(subcommand)]
    Door(DoorCommand),
    /// Grants and revokes the rights of people at doors.
    #[command(subcommand)]
    Right(RightCommand),
    /// Shows access attempts.
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Prints percentiles per stage and the worst requests from the latency logs.
    Latency(LatencyArgs),
}

/// `cardea init`.
#[derive(Debug, Args)]
pub struct InitArgs {
    /// The server's address as devices reach it; it must not change later.
    #[arg(long)]
    pub ip: IpAddr,
    /// Where to listen; by default port 443 of every address.
    #[arg(long)]
    pub listen: Option<SocketAddr>,
    /// The site's name.
    #[arg(long, default_value = "Cardea")]
    pub site: String,
    /// The face model of this site's devices, 32 hexadecimal digits.
    #[arg(long, default_value = "00000000000000000000000000000001")]
    pub model: String,
    /// Decision threshold, a comparison score.
    #[arg(long, default_value_t = 0.5, value_parser = parse_threshold)]
    pub threshold: f32,
}

fn parse_threshold(text: &str) -> Result<f32, String> {
    let score: f32 = text.parse().map_err(|_| "not a number".to_owned())?;
    cardea_engine::Threshold::new(score)
        .map(|threshold| threshold.value())
        .map_err(|error| error.to_string())
}

/// `cardea people ..`.
#[derive(Debug, Subcommand)]
pub enum PeopleCommand {
    /// Imports JSON Lines, or a CSV beside an .npy of embeddings.
    Import {
        /// The file of people.
        file: PathBuf,
        /// The .npy that belongs to a CSV.
        #[arg(long)]
        embeddings: Option<PathBuf>,
        /// Take the good rows of a file with bad ones; otherwise a bad row refuses the file.
        #[arg(long)]
        skip_bad: bool,
    },
    /// Lists people by external id.
    List {
        /// Only names and external ids that begin so.
        #[arg(long)]
        search: Option<String>,
        /// Begin after this external id.
        #[arg(long)]
        after: Option<String>,
        /// At most this many.
        #[arg(long, default_value_t = 50)]
        limit: u32,
    },
    /// Shows one person.
    Show {
        /// The site's own name for the person.
        external_id: String,
    },
    /// Withdraws a person: denied at once, erased within the period.
    Withdraw {
        /// The site's own name for the person.
        external_id: String,
    },
}

/// `cardea device ..`.
#[derive(Debug, Subcommand)]
pub enum DeviceCommand {
    /// Adds a device and prints its commissioning code; or many from a file.
    Add {
        /// The device's name.
        #[arg(required_unless_present = "file")]
        name: Option<String>,
        /// The door it stands at.
        #[arg(long, required_unless_present = "file")]
        door: Option<String>,
        /// A CSV with the columns name and door, instead of one name.
        #[arg(long, conflicts_with_all = ["name", "door"])]
        file: Option<PathBuf>,
    },
    /// Lists devices.
    List,
    /// Removes a device; its certificate is refused from here on.
    Remove {
        /// The device's name.
        name: String,
    },
}

/// `cardea door ..`.
#[derive(Debug, Subcommand)]
pub enum DoorCommand {
    /// Adds doors.
    Add {
        /// Their names.
        #[arg(required = true)]
        names: Vec<String>,
    },
    /// Lists doors.
    List,
}

/// `cardea right ..`.
#[derive(Debug, Subcommand)]
pub enum RightCommand {
    /// Lets a person pass a door.
    Grant(RightArgs),
    /// Takes that right back.
    Revoke(RightArgs),
}

/// A person and a door.
#[derive(Debug, Args)]
pub struct RightArgs {
    /// The site's own name for the person.
    pub external_id: String,
    /// The door's name.
    #[arg(required_unless_present = "every_door")]
    pub door: Option<String>,
    /// Every door of the site, also those added later.
    #[arg(long, conflicts_with = "door")]
    pub every_door: bool,
}

/// `cardea audit ..`.
#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// The newest attempts.
    Tail {
        /// At most this many.
        #[arg(short = 'n', long, default_value_t = 20)]
        count: u32,
    },
}

/// `cardea latency`.
#[derive(Debug, Args)]
pub struct LatencyArgs {
    /// A log file or a folder of them; by default the site's own.
    pub path: Option<PathBuf>,
    /// Only intervals that begin at or after this time, Unix seconds.
    #[arg(long, default_value_t = 0.0)]
    pub from: f64,
    /// Only intervals that begin before this time, Unix seconds.
    #[arg(long, default_value_t = f64::MAX)]
    pub to: f64,
}
