//! The `cardea` program; see `cardea --help`.

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;

use cardea::admin::message::Request;
use cardea::backup::Target;
use cardea::cli::{self, Cli, Command, GalleryCommand};
use cardea::config::Config;
use cardea::host::Verdict;
use cardea::install::{self, setup};
use cardea::{recent_log, serve};
use cardea_engine::KernelError;
use clap::Parser as _;

/// The CPU has no AVX2, or not the kernel that was asked for.
const EXIT_NO_KERNEL: u8 = 78;
/// `check-host` found something to look at.
const EXIT_HOST_WARNS: u8 = 3;
/// `check-host` found what does not work.
const EXIT_HOST_FAILS: u8 = 4;

fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_env("CARDEA_LOG")
                .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info")),
        )
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(|| recent_log::Tee)
        // A log that nobody reads any more must not end the thread that writes to it.
        .log_internal_errors(false)
        .init();
    match run(Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            // Nobody may be listening; the exit status says it too.
            let _ = writeln!(std::io::stderr(), "cardea: {error}");
            let no_kernel = error.downcast_ref::<KernelError>().is_some();
            ExitCode::from(if no_kernel { EXIT_NO_KERNEL } else { 1 })
        }
    }
}

fn run(cli: Cli) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let data = &cli.data;
    match cli.command {
        Command::Init(args) => cli::init::run(data, &args)?,
        Command::Serve { kernel } => serve::run(data, kernel.as_deref())?,
        Command::CheckConfig => {
            let config = Config::read(data)?;
            cardea::writer::check(&config)?;
            if let Some(folder) = &config.backup.directory {
                Target::configured(data, folder)?;
            }
            print!("{}", config.to_text());
        }
        Command::People(command) => cli::people::run(data, command)?,
        Command::Device(command) => cli::site::ask(data, &cli::site::device(command)?)?,
        Command::Door(command) => cli::site::ask(data, &cli::site::door(command))?,
        Command::Right(command) => cli::site::ask(data, &cli::site::right(command))?,
        Command::Space(command) => cli::space::run(data, command)?,
        Command::Pki(command) => cli::site::ask(data, &cli::site::pki(command))?,
        Command::Enrol(command) => cli::enrol::run(data, command)?,
        Command::Connect(command) => cli::connect::run(data, command)?,
        Command::Diagnostics { file } => cli::connect::diagnostics(data, &file)?,
        Command::Update(command) => cli::connect::update(data, command)?,
        Command::Team(command) => cli::team::run(data, command)?,
        Command::Audit(command) => cli::site::ask(data, &cli::site::audit(&command))?,
        Command::Gallery(GalleryCommand::Show) => {
            cli::site::ask(data, &Request::GalleryShow)?;
        }
        Command::Calibrate(args) => cli::calibrate::run(data, &args)?,
        Command::CheckHost(args) => {
            let verdict = cli::check_host::run(data, &args)?;
            return Ok(ExitCode::from(match verdict {
                Verdict::Pass => 0,
                Verdict::Warn => EXIT_HOST_WARNS,
                Verdict::Fail => EXIT_HOST_FAILS,
            }));
        }
        Command::Backup(args) => cli::backup::backup(data, &args)?,
        Command::BackupKey { file } => cli::backup::backup_key(&file)?,
        Command::BackupSet { directory, to } => install::backup::configure(data, directory, to)?,
        Command::Restore(args) => cli::backup::restore_site(data, &args)?,
        Command::Address(command) => cli::site::ask(data, &cli::site::address(command))?,
        Command::Latency(args) => cli::latency::print(data, &args)?,
        Command::Setup(args) => setup::run(data, &args)?,
        Command::Firewall(args) => cli::install::firewall(data, args)?,
        Command::Integrations => cli::site::ask(data, &Request::Integrations)?,
        Command::HostEvent { what } => cli::install::host_event(data, what)?,
    }
    Ok(ExitCode::SUCCESS)
}
