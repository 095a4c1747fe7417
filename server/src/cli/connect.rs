//! `cardea connect ..`, `cardea diagnostics`, `cardea update ..`.

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use cardea_connect::join::Code;
use cardea_connect::update::Version;

use super::{ConnectCommand, UpdateCommand, VerifyArgs, site};
use crate::admin::client::Desk;
use crate::admin::message::{Request, Response};
use crate::connect::join::{self, NO_CODE};
use crate::connect::{diagnostics, updates};
use crate::secrets::write_new;

/// Carries out a `connect` command.
///
/// # Errors
/// If it could not be done; the message says why.
pub fn run(data: &Path, command: ConnectCommand) -> io::Result<()> {
    let request = match command {
        ConnectCommand::Join { code } => join(data, &code)?,
        ConnectCommand::Status => Request::ConnectStatus,
        ConnectCommand::Pending { limit } => Request::ConnectPending { limit },
        ConnectCommand::Leave => Request::ConnectLeave,
    };
    site::ask(data, &request)
}

/// Makes a key, and has the authority certify it. Only then does the site hear of it.
fn join(data: &Path, code: &str) -> io::Result<Request> {
    if Code::parse(code).is_none() {
        return Err(io::Error::other(NO_CODE));
    }
    // The site must be there before its token is used up.
    drop(Desk::open(data)?);
    let setup = join::join(code).map_err(io::Error::other)?;
    Ok(Request::ConnectSet {
        setup: Box::new(setup),
    })
}

/// Writes the bundle of diagnostics into a new file.
///
/// # Errors
/// If it exists, or the site cannot be asked.
pub fn diagnostics(data: &Path, file: &Path) -> io::Result<()> {
    let facts = match Desk::open(data)?.ask(&Request::Diagnostics)? {
        Response::Table { rows, .. } => rows
            .into_iter()
            .filter_map(|row| <[String; 2]>::try_from(row).ok())
            .map(|[name, content]| (name, content))
            .collect(),
        Response::Error { text } => return Err(io::Error::other(text)),
        Response::Done { .. } | Response::Staged { .. } => Vec::new(),
    };
    let bundle = diagnostics::bundle(data, facts)?;
    write_new(file, &bundle, 0o600).map_err(io::Error::other)?;
    let mut out = io::stdout().lock();
    writeln!(out, "{} bytes in {}", bundle.len(), file.display())
}

/// Carries out an `update` command.
///
/// # Errors
/// If it could not be done; for `verify`: if the update must not be applied.
pub fn update(data: &Path, command: UpdateCommand) -> io::Result<()> {
    match command {
        UpdateCommand::Status => site::ask(data, &Request::UpdateStatus),
        UpdateCommand::Verify(args) => verify(&args),
    }
}

fn verify(args: &VerifyArgs) -> io::Result<()> {
    let keys = fs::read_to_string(&args.keys)?;
    // As minisign writes them: comments, and one key a line.
    let keys: Vec<_> = keys
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with("untrusted comment:"))
        .map(str::to_owned)
        .collect();
    let installed: Version = args
        .installed
        .parse()
        .map_err(|()| io::Error::other("the installed version is none"))?;
    let manifest = updates::verify(&args.folder, &keys, installed, args.allow_older)
        .map_err(io::Error::other)?;
    let package = updates::package(&manifest);
    let package = package.ok_or_else(|| io::Error::other("no package of the server in it"))?;
    // What the unit applies: the version, then the file.
    writeln!(io::stdout(), "{} {}", manifest.version, package.name)
}
