//! `cardea people ..`: an import is streamed and staged in small parts, and committed at the end.

use std::io;
use std::path::{Path, PathBuf};

use indicatif::{ProgressBar, ProgressStyle};

use super::{PeopleCommand, people_file, site};
use crate::admin::client::Desk;
use crate::admin::message::{NewPerson, Request, Response};
use crate::background;
use crate::limits::ADMIN_PEOPLE_MAX;

/// Bad lines that are printed one by one; the rest is counted.
const BAD_LINES_SHOWN: usize = 20;

/// Carries out a `people` command.
///
/// # Errors
/// If it could not be done; the message says why.
pub fn run(data: &Path, command: PeopleCommand) -> io::Result<()> {
    match command {
        PeopleCommand::Import {
            file,
            embeddings,
            skip_bad,
        } => import(data, &file, embeddings.as_deref(), skip_bad),
        PeopleCommand::List {
            search,
            after,
            limit,
        } => site::ask(
            data,
            &Request::PeopleList {
                after,
                search,
                limit,
            },
        ),
        PeopleCommand::Show { external_id } => {
            site::ask(data, &Request::PersonShow { external_id })
        }
        PeopleCommand::Withdraw { external_id } => {
            site::ask(data, &Request::PersonWithdraw { external_id })
        }
    }
}

fn import(data: &Path, file: &Path, embeddings: Option<&Path>, skip_bad: bool) -> io::Result<()> {
    let entries = people_file::open(file, embeddings)?;
    background::enter();
    let mut import = Import {
        desk: Desk::open(data)?,
        staged: Vec::with_capacity(ADMIN_PEOPLE_MAX),
        lines: Vec::with_capacity(ADMIN_PEOPLE_MAX),
        people: 0,
        bad: 0,
        progress: progress(),
        file: file.to_owned(),
    };
    import.expect_done(&Request::ImportBegin)?;
    for entry in entries {
        match entry {
            Ok(entry) => import.add(entry.line, entry.person)?,
            Err(bad) => import.note_bad(bad.line, &bad.why),
        }
    }
    import.flush()?;
    if import.bad > 0 && !skip_bad {
        import.progress.abandon();
        return Err(io::Error::other(format!(
            "{} bad rows: nothing was imported (--skip-bad takes the good ones)",
            import.bad
        )));
    }
    import
        .progress
        .set_message("making it durable and in force");
    let reply = import.desk.ask(&Request::ImportCommit)?;
    import.progress.finish_and_clear();
    site::print(reply)
}

fn progress() -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} {pos} people, {per_sec} {msg}")
        .unwrap_or_else(|_| ProgressStyle::default_spinner());
    ProgressBar::no_length().with_style(style)
}

struct Import {
    desk: Desk,
    staged: Vec<NewPerson>,
    lines: Vec<u64>,
    people: u64,
    bad: u64,
    progress: ProgressBar,
    file: PathBuf,
}

impl Import {
    fn add(&mut self, line: u64, person: NewPerson) -> io::Result<()> {
        self.staged.push(person);
        self.lines.push(line);
        if self.staged.len() == ADMIN_PEOPLE_MAX {
            self.flush()
        } else {
            Ok(())
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.staged.is_empty() {
            return Ok(());
        }
        let people = std::mem::take(&mut self.staged);
        let lines = std::mem::take(&mut self.lines);
        match self.desk.ask(&Request::ImportAdd { people })? {
            Response::Staged { refused } => {
                self.people += (lines.len() - refused.len()) as u64;
                self.progress.set_position(self.people);
                for refused in refused {
                    let line = lines.get(refused.index).copied().unwrap_or(0);
                    self.note_bad(line, &refused.why);
                }
                Ok(())
            }
            other => unexpected(other),
        }
    }

    fn note_bad(&mut self, line: u64, why: &str) {
        self.bad += 1;
        if self.bad <= BAD_LINES_SHOWN as u64 {
            let file = self.file.display();
            self.progress.suspend(|| eprintln!("{file}:{line}: {why}"));
        }
    }

    fn expect_done(&mut self, request: &Request) -> io::Result<()> {
        match self.desk.ask(request)? {
            Response::Done { .. } => Ok(()),
            other => unexpected(other),
        }
    }
}

fn unexpected(reply: Response) -> io::Result<()> {
    match reply {
        Response::Error { text } => Err(io::Error::other(text)),
        Response::Done { .. } | Response::Staged { .. } | Response::Table { .. } => Err(
            io::Error::other("the server answered something else than was asked"),
        ),
    }
}
