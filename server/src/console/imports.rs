//! An import of people from the browser: one at a time, on a thread of its own, staged in small
//! requests and committed at the end, as the command line does it. Pages look at its progress.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use crossbeam_channel::bounded;

use super::call::Call;
use super::desk::Desk;
use super::reply::Failure;
use crate::admin::message::{NewPerson, Request, Response};
use crate::cli::people_file;
use crate::limits::{ADMIN_PEOPLE_MAX, BAD_LINES_MAX};
use crate::writer::{Command, Session, WriterHandle};

/// How far the last import is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Progress {
    /// Whether it is under way.
    pub running: bool,
    /// Who began it.
    pub by: String,
    /// Lines of the file.
    pub lines: u64,
    /// Lines that were read.
    pub read: u64,
    /// People that were staged or are in force.
    pub people: u64,
    /// Lines that cannot be taken: which, and why; the first of them.
    pub bad: Vec<(u64, String)>,
    /// How many there are.
    pub bad_count: u64,
    /// What it came to, and whether that is good.
    pub outcome: Option<(bool, String)>,
}

/// The last import.
#[derive(Default)]
pub(super) struct Imports(Mutex<Progress>);

impl Imports {
    /// How far the last import is; all zero before the first.
    pub(super) fn progress(&self) -> Progress {
        self.with(|progress| progress.clone())
    }

    fn with<R>(&self, what: impl FnOnce(&mut Progress) -> R) -> R {
        what(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A file to import.
pub(super) struct File {
    /// JSON Lines, or the CSV of `embeddings`.
    pub people: Vec<u8>,
    /// The `.npy` beside a CSV.
    pub embeddings: Option<Vec<u8>>,
    /// Leave bad lines out instead of importing nothing.
    pub skip_bad: bool,
}

/// Begins an import in the name of who calls.
///
/// # Errors
/// [`Failure::Refused`] while another is under way or if the file is none.
pub(super) fn start(desk: &Desk, call: &Call, file: File) -> Result<(), Failure> {
    let shared = Arc::clone(&desk.shared);
    let lines = file.people.split(|byte| *byte == b'\n');
    let lines = lines.filter(|line| !line.is_empty()).count() as u64;
    let begun = shared.imports.with(|progress| {
        let free = !progress.running;
        if free {
            *progress = Progress {
                running: true,
                by: call.who.name().to_owned(),
                lines: lines - u64::from(file.embeddings.is_some() && lines > 0),
                ..Progress::default()
            };
        }
        free
    });
    if !begun {
        return Err(Failure::Refused(call.t("people.import-busy").to_owned()));
    }
    let import = Import {
        writer: desk.parts().writer.clone(),
        session: Desk::new_session(),
        actor: call.who.name().to_owned(),
        staged: Vec::new(),
    };
    let at_work = Arc::clone(&shared);
    let started = thread::Builder::new()
        .name("import".to_owned())
        .spawn(move || import.run(&at_work.imports, file));
    if let Err(error) = started {
        shared.imports.with(|progress| progress.running = false);
        return Err(Failure::Broken(error.to_string()));
    }
    Ok(())
}

struct Import {
    writer: WriterHandle,
    session: Session,
    actor: String,
    staged: Vec<(u64, NewPerson)>,
}

impl Import {
    fn run(mut self, imports: &Imports, file: File) {
        let outcome = self.import(imports, file);
        // What was not committed is taken back; after a commit there is nothing.
        let _ = self.writer.send(Command::SessionEnded(self.session));
        imports.with(|progress| {
            progress.running = false;
            progress.outcome = Some(match outcome {
                Ok(text) => (true, text),
                Err(why) => (false, why),
            });
        });
    }

    fn import(&mut self, imports: &Imports, file: File) -> Result<String, String> {
        let entries = people_file::of_bytes(file.people, file.embeddings);
        let entries = entries.map_err(|error| error.to_string())?;
        self.ask(Request::ImportBegin)?;
        for entry in entries {
            imports.with(|progress| progress.read += 1);
            match entry {
                Ok(entry) => self.staged.push((entry.line, entry.person)),
                Err(bad) => note_bad(imports, bad.line, bad.why),
            }
            if self.staged.len() == ADMIN_PEOPLE_MAX {
                self.stage(imports)?;
            }
        }
        self.stage(imports)?;
        let bad = imports.with(|progress| progress.bad_count);
        if bad > 0 && !file.skip_bad {
            imports.with(|progress| progress.people = 0);
            return Err(format!("{bad} bad lines: nothing was imported"));
        }
        match self.ask(Request::ImportCommit)? {
            Response::Done { text } => Ok(text),
            other => Err(unexpected(&other)),
        }
    }

    fn stage(&mut self, imports: &Imports) -> Result<(), String> {
        if self.staged.is_empty() {
            return Ok(());
        }
        let (lines, people): (Vec<_>, Vec<_>) = self.staged.drain(..).unzip();
        match self.ask(Request::ImportAdd { people })? {
            Response::Staged { refused } => {
                let taken = (lines.len() - refused.len()) as u64;
                imports.with(|progress| progress.people += taken);
                for refused in refused {
                    let line = lines.get(refused.index).copied().unwrap_or(0);
                    note_bad(imports, line, refused.why);
                }
                Ok(())
            }
            other => Err(unexpected(&other)),
        }
    }

    fn ask(&self, request: Request) -> Result<Response, String> {
        let (reply, answer) = bounded(1);
        let command = Command::AdministerAs {
            actor: self.actor.clone(),
            session: self.session,
            request: Box::new(request),
            reply,
        };
        let ended = || "the server is stopping".to_owned();
        self.writer.send(command).map_err(|_| ended())?;
        match answer.recv() {
            Ok(Response::Error { text }) => Err(text),
            Ok(response) => Ok(response),
            Err(_) => Err(ended()),
        }
    }
}

fn note_bad(imports: &Imports, line: u64, why: String) {
    imports.with(|progress| {
        progress.bad_count += 1;
        if progress.bad.len() < BAD_LINES_MAX {
            progress.bad.push((line, why));
        }
    });
}

fn unexpected(_: &Response) -> String {
    "the server answered something else than was asked".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Dropping the check of the length fails this.
    #[test]
    fn bad_lines_are_listed_up_to_a_bound_and_counted_past_it() {
        let imports = Imports::default();
        for line in 0..BAD_LINES_MAX as u64 + 7 {
            note_bad(&imports, line, "why".to_owned());
        }
        let progress = imports.progress();
        assert_eq!(progress.bad.len(), BAD_LINES_MAX);
        assert_eq!(progress.bad_count, BAD_LINES_MAX as u64 + 7);
    }
}
