//! `cardea setup`, `cardea firewall ..` and `cardea host-event ..`.

use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

use crate::admin::client::{Client, Desk};
use crate::admin::message::{Request, Response};
use crate::install::event::{self, HostEvent};
use crate::install::firewall::{self, Applied, Firewall};
use crate::install::network::{Block, Peer};
use crate::install::{FOLDER, TimeOfDay, owner};

/// `cardea setup`.
#[derive(Debug, Args)]
pub struct SetupArgs {
    /// The server's address as devices reach it; `cardea address` changes it later.
    #[arg(long)]
    pub ip: Option<IpAddr>,
    /// The site's name.
    #[arg(long, default_value = "Cardea")]
    pub site: String,
    /// The face model of this site's devices, 32 hexadecimal digits.
    #[arg(long)]
    pub model: Option<String>,
    /// Decision threshold, a comparison score.
    #[arg(long)]
    pub threshold: Option<f32>,
    /// A network of devices, as 10.1.0.0/16; may be repeated, as those below.
    #[arg(long, value_name = "NETWORK")]
    pub devices: Vec<Block>,
    /// A network from which the console is used.
    #[arg(long, value_name = "NETWORK")]
    pub admins: Vec<Block>,
    /// A network from which people enrol.
    #[arg(long, value_name = "NETWORK")]
    pub people: Vec<Block>,
    /// Space's address.
    #[arg(long, value_name = "NETWORK")]
    pub space: Vec<Block>,
    /// A network that may log in by SSH; without one nobody may.
    #[arg(long, value_name = "NETWORK")]
    pub ssh: Vec<Block>,
    /// Ask for the time by NTS, which needs TCP port 4460 open to the Internet.
    #[arg(long)]
    pub nts: bool,
    /// When updates of the operating system are installed; a restart follows an hour later.
    #[arg(long, default_value = "02:30", value_name = "HH:MM")]
    pub updates_at: TimeOfDay,
    /// Who can open the daily backups: a public key (`cardea backup-key` makes one); may be
    /// repeated.
    #[arg(long, value_name = "KEY")]
    pub backup_to: Vec<String>,
    /// A file whose first line is the passphrase of the daily backups, instead of keys.
    #[arg(long, value_name = "FILE", conflicts_with = "backup_to")]
    pub backup_passphrase_file: Option<PathBuf>,
    /// Where backups go, best on another machine; by default /var/backups/cardea.
    #[arg(long, value_name = "FOLDER")]
    pub backup_directory: Option<PathBuf>,
    /// Whether the firewall is loaded: to be confirmed, at once, or not.
    #[arg(long, value_enum, default_value = "try")]
    pub firewall: FirewallChoice,
    /// How long the firewall is tried, seconds.
    #[arg(long, default_value_t = 60)]
    pub within: u64,
    /// Leave the sealing key in the data directory.
    #[arg(long)]
    pub key_beside_data: bool,
    /// Where a rule set that is tried lies.
    #[arg(long, hide = true, default_value = RUN)]
    pub run: PathBuf,
}

/// What setup does about the firewall.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FirewallChoice {
    /// It is taken back unless `cardea firewall confirm` follows.
    Try,
    /// It stays.
    Now,
    /// It is left alone.
    No,
}

const RUN: &str = "/run/cardea-firewall";

/// `cardea firewall ..`.
#[derive(Debug, Args)]
pub struct FirewallArgs {
    /// Where network.toml and the confirmed rules are.
    #[arg(long, global = true, hide = true, default_value = FOLDER)]
    pub settings: PathBuf,
    /// Where a rule set that is tried lies.
    #[arg(long, global = true, hide = true, default_value = RUN)]
    pub run: PathBuf,
    /// What to do.
    #[command(subcommand)]
    pub command: FirewallCommand,
}

/// What to do with the firewall.
#[derive(Debug, Subcommand)]
pub enum FirewallCommand {
    /// Prints the rules as nftables takes them; changes nothing.
    Show,
    /// Has nftables check the rules; changes nothing.
    Check,
    /// Loads the rules; they are taken back unless confirmed.
    Apply {
        /// How long they are tried, seconds, at most 600.
        #[arg(long, default_value_t = 60)]
        within: u64,
        /// Confirm at once: nothing takes them back.
        #[arg(long, conflicts_with = "within")]
        now: bool,
    },
    /// The rules that are tried stay, also at the next start of the machine.
    Confirm,
    /// Looks the integrations' addresses up again; the package's timer does it every minute.
    Refresh,
    /// Removes the rules.
    Off,
    /// Loads what was loaded before, unless it was confirmed.
    #[command(hide = true)]
    TakeBack {
        /// Of which try.
        token: String,
        /// Wait so many seconds.
        #[arg(long, default_value_t = 0)]
        after: u64,
    },
}

/// `cardea host-event ..`: what the package's units say.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum HostEventArg {
    /// The machine has started.
    Started,
    /// Updates take a restart.
    RebootRequired,
    /// A shutdown has begun, perhaps.
    Stopping,
}

/// Carries a `firewall` command out.
///
/// # Errors
/// If it could not be done; the message says why.
pub fn firewall(data: &Path, args: FirewallArgs) -> io::Result<()> {
    let firewall = Firewall {
        settings: args.settings,
        run: args.run,
    };
    let text = || -> io::Result<String> {
        let (rules, _) = firewall.rules(data, &integrations(data)?)?;
        Ok(rules.text())
    };
    match args.command {
        FirewallCommand::Show => print!("{}", text()?),
        FirewallCommand::Check => {
            firewall::check(&text()?)?;
            println!("nftables takes these rules");
        }
        FirewallCommand::Apply { within, now } => {
            let trial_s = (!now).then_some(within);
            match firewall.apply(&text()?, trial_s)? {
                Applied::AsItWas => println!("these rules are in force already"),
                Applied::Confirmed => println!("in force"),
                Applied::OnTrial(seconds) => println!(
                    "in force, and taken back in {seconds} s unless: cardea firewall confirm"
                ),
            }
        }
        FirewallCommand::Confirm => {
            firewall.confirm()?;
            println!("confirmed");
        }
        FirewallCommand::Refresh => {
            // Without a server nobody needs them; those that are let through stay.
            if Client::connect(data)?.is_some() && !firewall.refresh(data, &integrations(data)?)? {
                println!("no rules are loaded");
            }
        }
        FirewallCommand::Off => {
            firewall.off()?;
            println!("no rules are loaded any more");
        }
        FirewallCommand::TakeBack { token, after } => {
            if firewall.take_back(&token, Duration::from_secs(after))? {
                tracing::warn!("the firewall's rules were not confirmed and are taken back");
            }
        }
    }
    Ok(())
}

/// Carries a `host-event` command out.
///
/// # Errors
/// If the server could not be told.
pub fn host_event(data: &Path, what: HostEventArg) -> io::Result<()> {
    match what {
        HostEventArg::Started => event::tell(data, HostEvent::Started),
        HostEventArg::RebootRequired => event::tell(data, HostEvent::RebootRequired),
        HostEventArg::Stopping => event::tell_of_shutdown(data),
    }
}

/// Hosts and ports of the integrations that are set up, as the server knows them; none where there
/// is no site yet.
///
/// # Errors
/// If the server, or the site, cannot be asked.
pub fn integrations(data: &Path) -> io::Result<Vec<Peer>> {
    if !data.join(crate::config::FILE).exists() {
        return Ok(Vec::new());
    }
    if Client::connect(data)?.is_none()
        && let Some(printed) = owner::output(data, &["integrations"])?
    {
        // The first line names the columns.
        return printed.lines().skip(1).map(peer).collect();
    }
    match Desk::open(data)?.ask(&Request::Integrations)? {
        Response::Table { rows, .. } => rows.iter().map(|row| peer(&row.join("\t"))).collect(),
        Response::Error { text } => Err(io::Error::other(text)),
        Response::Done { .. } | Response::Staged { .. } => {
            Err(io::Error::other("the server's answer is no list"))
        }
    }
}

/// A row of the list: name, host, port.
fn peer(row: &str) -> io::Result<Peer> {
    let cells: Vec<_> = row.split('\t').collect();
    match cells[..] {
        [_, host, port] => format!("{host}:{port}").parse().map_err(io::Error::other),
        _ => Err(io::Error::other(format!("{row:?} is no integration"))),
    }
}
