//! `space-sim`: a simulator of Salto Space as its own process.

use std::io::BufRead;
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use cardea_space_sim::latency::Latency;
use cardea_space_sim::site::{RightsMode, SiteConfig, Style};
use cardea_space_sim::{SimConfig, Simulator, command};
use clap::{Parser, ValueEnum};

/// Simulates Salto Space: SHIP over HTTPS and TCP, faults on command, a ledger of every opening.
///
/// Prints one line of JSON when it is ready: addresses, the certificate's fingerprint, the key.
/// Then it takes commands on standard input, one a line, until that ends (unless --no-stdin), and
/// on the control port. Whatever it makes up comes from the seed, but for its certificates.
#[derive(Parser)]
#[command(version, after_long_help = command::HELP)]
struct Options {
    /// Address to listen on
    #[arg(long, default_value = "127.0.0.1")]
    address: IpAddr,
    /// Port of SHIP over HTTPS, 0 for any
    #[arg(long, default_value_t = 8100)]
    https: u16,
    /// Port of SHIP over TCP, 0 for any
    #[arg(long, default_value_t = 8101)]
    tcp: u16,
    /// Port for commands and the ledger (plain HTTP), 0 for any
    #[arg(long, default_value_t = 8102)]
    control: u16,
    /// SHIP key to take
    #[arg(long, default_value = "SIMULATED0SHIP0KEY0000000000000X")]
    key: String,
    /// Further name or address in the certificate; may be repeated
    #[arg(long = "name")]
    names: Vec<String>,
    /// Write the CA's certificate to this file
    #[arg(long)]
    ca_file: Option<PathBuf>,
    /// Speak TLS 1.2 only, as older Windows does
    #[arg(long)]
    tls12_only: bool,
    /// Users
    #[arg(long, default_value_t = 1_000)]
    users: usize,
    /// Doors
    #[arg(long, default_value_t = 100)]
    doors: usize,
    /// Zones
    #[arg(long, default_value_t = 10)]
    zones: usize,
    /// Groups
    #[arg(long, default_value_t = 20)]
    groups: usize,
    /// Pattern of ExtUserIDs: `{n}` is the number from 0, `{n8}` the same in 8 digits, `{hex}` 32
    /// hex digits
    #[arg(long, default_value = "{hex}")]
    user_id: String,
    /// Pattern of ExtDoorIDs: `{n}` is the number from 20001, `{hex}` 32 hex digits
    #[arg(long, default_value = "{n}")]
    door_id: String,
    /// Who may open what
    #[arg(long, value_enum, default_value_t = Rights::All)]
    rights: Rights,
    /// Write answers as oddly as real servers do: ISO-8859-1, padding, hour 24
    #[arg(long)]
    odd: bool,
    /// How long answers take, in milliseconds: MEAN,SD,TAIL_PERCENT,TAIL_MS
    #[arg(long, default_value = "0", value_parser = Latency::parse)]
    latency: Latency,
    /// Do something at a second after the start: NAME@SECOND or "COMMAND WORDS@SECOND", for
    /// example hang@10, clear@20; may be repeated
    #[arg(long = "fault", value_name = "NAME@SECOND")]
    faults: Vec<String>,
    /// Seed of everything made up, and of how long answers take
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Run until killed, without reading standard input
    #[arg(long)]
    no_stdin: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Rights {
    /// Everybody every door, always
    All,
    /// Some for each; some banned, expired, with a period or a timezone table
    Mixed,
}

fn main() -> ExitCode {
    match run(Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("space-sim: {why}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: Options) -> Result<(), String> {
    let simulator = Simulator::start(config(&options))?;
    if let Some(file) = &options.ca_file {
        let written = std::fs::write(file, simulator.ca_pem());
        written.map_err(|error| format!("cannot write {}: {error}", file.display()))?;
    }
    simulator.schedule(&options.faults)?;
    let ready = serde_json::json!({
        "https": simulator.https_address().to_string(),
        "tcp": simulator.tcp_address().to_string(),
        "control": simulator.control_address().to_string(),
        "fingerprint": simulator.fingerprint(),
        "key": options.key,
    });
    println!("{ready}");
    if options.no_stdin {
        loop {
            std::thread::park();
        }
    }
    for line in std::io::stdin().lock().lines() {
        let line = line.map_err(|error| error.to_string())?;
        if line.trim().is_empty() {
            continue;
        }
        match simulator.execute(&line) {
            Ok(value) => println!("{value}"),
            Err(why) => println!("{}", serde_json::json!({ "error": why })),
        }
    }
    Ok(())
}

fn config(options: &Options) -> SimConfig {
    SimConfig {
        address: options.address,
        https_port: options.https,
        tcp_port: options.tcp,
        control_port: options.control,
        key: options.key.clone(),
        names: options.names.clone(),
        tls12_only: options.tls12_only,
        site: SiteConfig {
            users: options.users,
            doors: options.doors,
            zones: options.zones,
            groups: options.groups,
            seed: options.seed,
            user_id: options.user_id.clone(),
            door_id: options.door_id.clone(),
            rights: match options.rights {
                Rights::All => RightsMode::All,
                Rights::Mixed => RightsMode::Mixed,
            },
            style: if options.odd {
                Style::Odd
            } else {
                Style::Plain
            },
        },
        latency: options.latency,
    }
}
