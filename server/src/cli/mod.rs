//! The command line.

pub mod backup;
pub mod calibrate;
pub mod calibrate_chart;
pub mod check_host;
pub mod connect;
pub mod enrol;
pub mod init;
pub mod install;
pub mod latency;
pub mod people;
pub mod people_file;
pub mod site;
pub mod space;
pub mod team;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::admin::message::SpaceKey;
use install::{FirewallArgs, HostEventArg, SetupArgs};

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
    /// Connects Salto Space.
    #[command(subcommand)]
    Space(SpaceCommand),
    /// Shows, renews and rolls over the site's own certificates.
    #[command(subcommand)]
    Pki(PkiCommand),
    /// Invites people to enrol, and follows them.
    #[command(subcommand)]
    Enrol(enrol::EnrolCommand),
    /// Joins Connect, so that the site is seen and kept from afar.
    #[command(subcommand)]
    Connect(ConnectCommand),
    /// Gathers what helps to find a fault into a new tar file: no person, no key.
    Diagnostics {
        /// The file.
        file: PathBuf,
    },
    /// Updates of devices and server that came by Connect.
    #[command(subcommand)]
    Update(UpdateCommand),
    /// Adds, lists and removes who works with the console.
    #[command(subcommand)]
    Team(team::TeamCommand),
    /// Shows access attempts.
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Shows the gallery.
    #[command(subcommand)]
    Gallery(GalleryCommand),
    /// Searches the gallery by itself: which decision threshold for which rate of false matches.
    Calibrate(CalibrateArgs),
    /// Says whether this machine can serve a site, why not, and what to do. Exit status: 0 all
    /// pass, 3 something to look at, 4 something fails.
    CheckHost(check_host::CheckHostArgs),
    /// Takes an encrypted backup of the whole site, also while it is served.
    Backup(backup::BackupArgs),
    /// Makes a key for backups: the secret key goes to a new file, the public key is printed.
    BackupKey {
        /// The file; keep it off this machine.
        file: PathBuf,
    },
    /// Says in cardea.toml where backups go and for whom.
    #[command(hide = true)]
    BackupSet {
        /// The folder.
        #[arg(long)]
        directory: Option<PathBuf>,
        /// A public key; may be repeated.
        #[arg(long)]
        to: Vec<String>,
    },
    /// Makes the site again from a backup, in an empty data directory.
    Restore(backup::RestoreArgs),
    /// Gives the server another address, with devices following.
    #[command(subcommand)]
    Address(AddressCommand),
    /// Prints percentiles per stage and the worst requests from the latency logs.
    Latency(LatencyArgs),
    /// Sets up what the package installed: site, network, clock, service, firewall.
    Setup(Box<SetupArgs>),
    /// Shows, checks, loads and confirms the firewall.
    Firewall(FirewallArgs),
    /// Lists the hosts and ports of the integrations that are set up.
    Integrations,
    /// Tells the server what happens to the machine.
    #[command(hide = true)]
    HostEvent {
        /// What.
        what: HostEventArg,
    },
}

/// `cardea init`.
#[derive(Debug, Args)]
pub struct InitArgs {
    /// The server's address as devices reach it; `cardea address` changes it later.
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
        /// Space's name for the door (`ExtDoorID`), for a single one.
        #[arg(long)]
        space_door: Option<String>,
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

/// `cardea space ..`.
#[derive(Debug, Subcommand)]
pub enum SpaceCommand {
    /// Says how Space is reached; prints both keys. A running server uses it at once.
    Set(SpaceArgs),
    /// Takes the set-up away: the store's own rights decide again.
    Remove,
    /// How Space is, since when, and why.
    Status,
    /// Begins a sync now.
    Sync,
    /// Lists Space's doors.
    Doors,
    /// Shows the fingerprint of the certificate that Space has; believes and sends nothing.
    Fingerprint {
        /// Space's host name or address.
        host: String,
        /// Port of its web service.
        #[arg(default_value_t = 8100)]
        port: u16,
    },
    /// Shows both keys again, to be copied into Space.
    Keys,
    /// Makes a key anew; the old one is refused from then on.
    RotateKey {
        /// Which.
        key: SpaceKey,
    },
    /// Agrees to erase people who are gone from Space, when many went at once.
    Release,
    /// Writes the PowerShell script for Space's machine; it holds no secret.
    InstallScript,
}

/// How Space is reached.
#[derive(Debug, Args)]
pub struct SpaceArgs {
    /// Space's host name or address.
    #[arg(long)]
    pub host: String,
    /// Port of its web service.
    #[arg(long, default_value_t = 8100)]
    pub port: u16,
    /// SHA-256 of Space's certificate; `cardea space fingerprint` shows it.
    #[arg(long, conflicts_with_all = ["ca", "tcp"])]
    pub fingerprint: Option<String>,
    /// A PEM file of authorities that issue Space's certificate.
    #[arg(long, conflicts_with = "tcp")]
    pub ca: Option<PathBuf>,
    /// SHIP over TCP, for older sites: neither key nor encryption.
    #[arg(long)]
    pub tcp: bool,
    /// Which GPF field holds a person's e-mail address, 1 to 5: who is invited without one is
    /// written to there.
    #[arg(long)]
    pub email_field: Option<u8>,
    /// A file with the SHIP key, where it is not to be made here.
    #[arg(long)]
    pub ship_key_file: Option<PathBuf>,
}

/// `cardea address ..`.
#[derive(Debug, Clone, Copy, Subcommand)]
pub enum AddressCommand {
    /// Tells devices in advance, and serves both addresses. The old address again goes back.
    Change {
        /// The new address.
        to: IpAddr,
    },
    /// Shows which devices have followed.
    Status,
    /// Ends the move: the new address is the only one.
    Finish {
        /// Also if devices have not followed; they must be commissioned anew.
        #[arg(long)]
        leave_behind: bool,
    },
}

/// `cardea pki ..`.
#[derive(Debug, Clone, Copy, Subcommand)]
pub enum PkiCommand {
    /// The certificates in force; during a roll-over, who still needs the CA before.
    Show,
    /// Gives the server a new key and certificate now; it does so itself in time.
    RenewServer,
    /// Makes a new site CA. Devices learn it when they renew; the one before holds until then.
    RollCa,
}

/// `cardea connect ..`.
#[derive(Debug, Subcommand)]
pub enum ConnectCommand {
    /// Joins with a code from the operator: makes a key here and has it certified.
    Join {
        /// The code.
        code: String,
    },
    /// How the broker is, since when and why; the newest commands.
    Status,
    /// What waits for the broker.
    Pending {
        /// At most this many.
        #[arg(long, default_value_t = 50)]
        limit: u32,
    },
    /// Leaves: key, certificate and what waits are removed.
    Leave,
}

/// `cardea update ..`.
#[derive(Debug, Subcommand)]
pub enum UpdateCommand {
    /// The devices' firmware, and how far each is with a new one.
    Status,
    /// Checks an update in a folder, as the unit does that applies it.
    Verify(VerifyArgs),
}

/// `cardea update verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// The folder with manifest, signature and files.
    pub folder: PathBuf,
    /// A file of public keys as minisign writes them.
    #[arg(long)]
    pub keys: PathBuf,
    /// The version that is installed.
    #[arg(long, default_value = env!("CARGO_PKG_VERSION"))]
    pub installed: String,
    /// Also an older version.
    #[arg(long)]
    pub allow_older: bool,
}

/// `cardea audit ..`.
#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// The newest attempts and changes, oldest first.
    Tail {
        /// At most this many; 1,000 at most.
        #[arg(short = 'n', long, default_value_t = 20)]
        count: u32,
        /// Only those before this number, to page back.
        #[arg(long, value_name = "NUMBER")]
        before: Option<u64>,
    },
}

/// `cardea gallery ..`.
#[derive(Debug, Subcommand)]
pub enum GalleryCommand {
    /// The gallery in force: its size, and why it is searched as it is.
    Show,
}

/// `cardea calibrate`.
#[derive(Debug, Args)]
pub struct CalibrateArgs {
    /// The wanted rate of strangers who would match somebody (FPIR).
    #[arg(long, default_value_t = 1e-3, value_parser = parse_rate)]
    pub fpir: f64,
    /// Searches a day by people who are not enrolled; by default those that the audit counted as
    /// no match.
    #[arg(long)]
    pub searches_per_day: Option<f64>,
    /// References to search with, spread evenly; at most 50,000.
    #[arg(long, default_value_t = 20_000)]
    pub searches: usize,
    /// Draws the tail of the scores into this file.
    #[arg(long)]
    pub svg: Option<PathBuf>,
    /// Puts the threshold for the wanted rate into force.
    #[arg(long)]
    pub set: bool,
}

fn parse_rate(text: &str) -> Result<f64, String> {
    let rate: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if rate > 0.0 && rate < 1.0 {
        Ok(rate)
    } else {
        Err("a rate lies between 0 and 1".to_owned())
    }
}

/// `cardea latency`.
#[derive(Debug, Args)]
pub struct LatencyArgs {
    /// Log files, or folders of them, merged; by default the site's own.
    pub paths: Vec<PathBuf>,
    /// Only intervals that begin at or after this time, Unix seconds.
    #[arg(long, default_value_t = 0.0)]
    pub from: f64,
    /// Only intervals that begin before this time, Unix seconds.
    #[arg(long, default_value_t = f64::MAX, hide_default_value = true)]
    pub to: f64,
}
