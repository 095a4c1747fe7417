//! Commands about doors, devices, rights and the audit: one request, one reply, printed.

use std::io::{self, Write as _};
use std::path::Path;

use super::{
    AddressCommand, AuditCommand, DeviceCommand, DoorCommand, PkiCommand, RightArgs, RightCommand,
};
use crate::admin::client::Desk;
use crate::admin::message::{NewDevice, Request, Response};

/// Asks, and prints the reply.
///
/// # Errors
/// If the reply is an error, or nobody can be asked.
pub fn ask(data: &Path, request: &Request) -> io::Result<()> {
    print(Desk::open(data)?.ask(request)?)
}

/// The request of a `door` command.
#[must_use]
pub fn door(command: DoorCommand) -> Request {
    match command {
        DoorCommand::Add { names, space_door } => Request::DoorAdd { names, space_door },
        DoorCommand::List => Request::DoorList,
    }
}

/// The request of a `device` command.
///
/// # Errors
/// If the file of devices cannot be read.
pub fn device(command: DeviceCommand) -> io::Result<Request> {
    Ok(match command {
        DeviceCommand::Add {
            file: Some(file), ..
        } => {
            let rows = csv::Reader::from_path(file)?.into_deserialize();
            Request::DeviceAdd {
                devices: rows.collect::<Result<_, _>>()?,
            }
        }
        DeviceCommand::Add {
            name,
            door,
            file: None,
        } => {
            let (name, door) = (name.unwrap_or_default(), door.unwrap_or_default());
            Request::DeviceAdd {
                devices: vec![NewDevice { name, door }],
            }
        }
        DeviceCommand::List => Request::DeviceList,
        DeviceCommand::Remove { name } => Request::DeviceRemove { name },
    })
}

/// The request of a `right` command.
#[must_use]
pub fn right(command: RightCommand) -> Request {
    let parts = |args: RightArgs| (args.external_id, args.door);
    match command {
        RightCommand::Grant(args) => {
            let (external_id, door) = parts(args);
            Request::RightGrant { external_id, door }
        }
        RightCommand::Revoke(args) => {
            let (external_id, door) = parts(args);
            Request::RightRevoke { external_id, door }
        }
    }
}

/// The request of an `address` command.
#[must_use]
pub fn address(command: AddressCommand) -> Request {
    match command {
        AddressCommand::Change { to } => Request::AddressChange { to },
        AddressCommand::Status => Request::AddressStatus,
        AddressCommand::Finish { leave_behind } => Request::AddressFinish { leave_behind },
    }
}

/// The request of a `pki` command.
#[must_use]
pub fn pki(command: PkiCommand) -> Request {
    match command {
        PkiCommand::Show => Request::PkiShow,
        PkiCommand::RenewServer => Request::PkiRenewServer,
        PkiCommand::RollCa => Request::PkiRollCa,
    }
}

/// The request of an `audit` command.
#[must_use]
pub fn audit(command: &AuditCommand) -> Request {
    match command {
        AuditCommand::Tail { count, before } => Request::AuditTail {
            count: *count,
            before: *before,
        },
    }
}

/// Prints a reply: a table with tabs between its cells, or a sentence.
///
/// # Errors
/// If the reply is an error.
pub fn print(reply: Response) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match reply {
        Response::Done { text } => writeln!(out, "{text}"),
        Response::Error { text } => Err(io::Error::other(text)),
        Response::Staged { refused } => writeln!(out, "staged, {} refused", refused.len()),
        Response::Table { columns, rows } => {
            writeln!(out, "{}", columns.join("\t"))?;
            rows.iter()
                .try_for_each(|row| writeln!(out, "{}", row.join("\t")))
        }
    }
}
