//! `cardea space ..`.

use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use cardea_space::transport;

use super::{SpaceArgs, SpaceCommand, site};
use crate::admin::message::Request;
use crate::space::{SpaceSetup, SpaceTrust, Transport};

const FINGERPRINT_TIMEOUT: Duration = Duration::from_secs(10);

/// Carries out a `space` command.
///
/// # Errors
/// If it could not be done; the message says why.
pub fn run(data: &Path, command: SpaceCommand) -> io::Result<()> {
    let request = match command {
        SpaceCommand::Set(args) => Request::SpaceSet {
            setup: setup(args)?,
        },
        SpaceCommand::Remove => Request::SpaceRemove,
        SpaceCommand::Status => Request::SpaceStatus,
        SpaceCommand::Sync => Request::SpaceSync,
        SpaceCommand::Doors => Request::SpaceDoors,
        SpaceCommand::RotateKey { key } => Request::SpaceRotateKey { key },
        SpaceCommand::Release => Request::SpaceRelease,
        SpaceCommand::Keys => Request::SpaceKeys,
        SpaceCommand::InstallScript => Request::SpaceInstallScript,
        SpaceCommand::Fingerprint { host, port } => {
            let deadline = Instant::now() + FINGERPRINT_TIMEOUT;
            let fingerprint = transport::fingerprint(&host, port, deadline);
            println!(
                "{}",
                fingerprint.map_err(|fault| io::Error::other(fault.to_string()))?
            );
            return Ok(());
        }
    };
    site::ask(data, &request)
}

fn setup(args: SpaceArgs) -> io::Result<SpaceSetup> {
    let ship_key = match args.ship_key_file {
        Some(file) => fs::read_to_string(file)?.trim().to_owned(),
        None => String::new(),
    };
    let trust = match (args.fingerprint, args.ca) {
        (Some(fingerprint), _) => Some(SpaceTrust::Fingerprint(fingerprint)),
        (None, Some(file)) => Some(SpaceTrust::CaPem(fs::read_to_string(file)?)),
        (None, None) => None,
    };
    Ok(SpaceSetup {
        host: args.host,
        port: args.port,
        transport: if args.tcp {
            Transport::Tcp
        } else {
            Transport::Https
        },
        trust,
        email_field: args.email_field,
        ship_key,
        face_key: String::new(),
    })
}
