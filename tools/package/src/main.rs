//! `cardea-package FOLDER`: man pages, shell completions and the licences of what is linked in,
//! made from the program itself, so that they cannot say something else.

mod licences;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use cardea::cli::Cli;
use clap::CommandFactory as _;
use clap_complete::{Shell, generate_to};

fn main() -> ExitCode {
    let Some(folder) = std::env::args_os().nth(1).map(PathBuf::from) else {
        eprintln!("usage: cardea-package FOLDER");
        return ExitCode::from(2);
    };
    match write(&folder) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cardea-package: {error}");
            ExitCode::FAILURE
        }
    }
}

fn write(folder: &Path) -> io::Result<()> {
    let pages = folder.join("man");
    let completions = folder.join("completions");
    for folder in [&pages, &completions] {
        // A command that is gone must not leave its page behind.
        match fs::remove_dir_all(folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => fs::create_dir_all(folder)?,
        }
    }
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    clap_mangen::generate_to(command.clone(), &pages)?;
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        generate_to(shell, &mut command, "cardea", &completions)?;
    }
    fs::write(folder.join("third-party-licences.txt"), licences::text()?)
}
