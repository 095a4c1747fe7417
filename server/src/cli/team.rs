//! `cardea team ..`: who works with the console.

use std::io;
use std::path::Path;

use clap::{Args, Subcommand};

use super::site;
use crate::admin::client::Desk;
use crate::admin::message::{Request, Response};
use crate::console::password;
use crate::store::Role;

/// `cardea team ..`.
#[derive(Debug, Subcommand)]
pub enum TeamCommand {
    /// Lists the team.
    List,
    /// Adds a member and prints a password, which must be changed at the first sign-in.
    Add(MemberArgs),
    /// Makes a new password for a member and prints it; ends all their sessions.
    Reset {
        /// The name.
        name: String,
    },
    /// Gives a member another role.
    Role(MemberArgs),
    /// Removes a member, whose sessions end.
    Remove {
        /// The name.
        name: String,
    },
}

/// A member and a role.
#[derive(Debug, Args)]
pub struct MemberArgs {
    /// The name to sign in with.
    pub name: String,
    /// What they may do.
    #[arg(long, value_enum, default_value = "viewer")]
    pub role: Role,
}

/// Carries a `team` command out.
///
/// # Errors
/// If it could not be done; the message says why.
pub fn run(data: &Path, command: TeamCommand) -> io::Result<()> {
    let new = || {
        let password = password::generate().map_err(io::Error::other)?;
        let hash = password::hash(&password).map_err(io::Error::other)?;
        Ok::<_, io::Error>((password, hash))
    };
    let (name, password, request) = match command {
        TeamCommand::List => return site::ask(data, &Request::TeamList),
        TeamCommand::Role(MemberArgs { name, role }) => {
            return site::ask(data, &Request::TeamRole { name, role });
        }
        TeamCommand::Remove { name } => return site::ask(data, &Request::TeamRemove { name }),
        TeamCommand::Add(MemberArgs { name, role }) => {
            let (password, password_hash) = new()?;
            let request = Request::TeamAdd {
                name: name.clone(),
                role,
                password_hash,
            };
            (name, password, request)
        }
        TeamCommand::Reset { name } => {
            let (password, password_hash) = new()?;
            let request = Request::TeamPassword {
                name: name.clone(),
                password_hash,
            };
            (name, password, request)
        }
    };
    match Desk::open(data)?.ask(&request)? {
        Response::Error { text } => Err(io::Error::other(text)),
        _ => {
            print_password(&name, &password);
            Ok(())
        }
    }
}

/// Says once how to sign in.
pub(super) fn print_password(name: &str, password: &str) {
    println!("Console: sign in as {name} with the password {password}");
    println!("It is shown only now, and must be changed at the first sign-in.");
}
