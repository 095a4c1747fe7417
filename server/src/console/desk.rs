//! What a console thread works with: readers of its own, and the way to the writer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use crossbeam_channel::bounded;

use super::call::Call;
use super::frame::Notice;
use super::reply::Failure;
use super::shared::{Parts, Readers, Shared};
use crate::admin::message::{Request, Response};
use crate::metrics::events::NOTES_DROPPED;
use crate::store::SettingKey;
use crate::writer::{Command, ConsoleAsk, ConsoleChange, Session};

/// Sessions of the writer that are the console's; those of the administration socket count from 1.
static IMPORTS: AtomicU64 = AtomicU64::new(1 << 63);

/// What a console thread works with.
pub(super) struct Desk {
    /// What all threads share.
    pub shared: Arc<Shared>,
    /// What is stored, and what was recorded.
    pub read: Readers,
}

impl Desk {
    pub(super) fn new(shared: Arc<Shared>, read: Readers) -> Self {
        Self { shared, read }
    }

    /// What the console is made of.
    pub(super) fn parts(&self) -> &Parts {
        &self.shared.parts
    }

    /// Has the writer carry a request out in the name of who calls; durable and in force on
    /// return.
    ///
    /// # Errors
    /// [`Failure::Refused`] with the writer's words, [`Failure::Busy`] if it has no time.
    pub(super) fn ask(&self, call: &Call, request: Request) -> Result<Response, Failure> {
        self.ask_in(call, Self::new_session(), request)
    }

    /// A session of the writer's, for an import of several requests. End it by
    /// [`Desk::end_session`].
    pub(super) fn new_session() -> Session {
        Session(IMPORTS.fetch_add(1, Ordering::Relaxed))
    }

    /// As [`Desk::ask`], within a session.
    ///
    /// # Errors
    /// As [`Desk::ask`].
    pub(super) fn ask_in(
        &self,
        call: &Call,
        session: Session,
        request: Request,
    ) -> Result<Response, Failure> {
        let (reply, answer) = bounded(1);
        let command = Command::AdministerAs {
            actor: call.who.name().to_owned(),
            session,
            request: Box::new(request),
            reply,
        };
        let sent = self.parts().writer.try_send(command);
        sent.map_err(|_| Failure::Busy)?;
        match answer.recv_deadline(call.deadline) {
            Ok(Response::Error { text }) => Err(Failure::Refused(text)),
            Ok(response) => Ok(response),
            Err(_) => Err(Failure::Busy),
        }
    }

    /// Takes back what an import that was not committed has staged.
    pub(super) fn end_session(&self, session: Session) {
        // A writer that has ended has nothing staged.
        let _ = self.parts().writer.send(Command::SessionEnded(session));
    }

    /// A change of the console's own; durable on return.
    ///
    /// # Errors
    /// [`Failure::Busy`] if the writer has no time, [`Failure::Refused`] with its words.
    pub(super) fn change(&self, change: ConsoleChange, deadline: Instant) -> Result<(), Failure> {
        let (reply, answer) = bounded(1);
        let ask = ConsoleAsk {
            change,
            reply: Some(reply),
        };
        let sent = self.parts().writer.try_send(Command::Console(ask));
        sent.map_err(|_| Failure::Busy)?;
        match answer.recv_deadline(deadline) {
            Ok(outcome) => outcome.map_err(|error| Failure::Refused(error.to_string())),
            Err(_) => Err(Failure::Busy),
        }
    }

    /// A change of the console's own that nobody waits for; left out if the writer has no time.
    pub(super) fn note(&self, change: ConsoleChange) {
        let ask = ConsoleAsk {
            change,
            reply: None,
        };
        if self.parts().writer.try_send(Command::Console(ask)).is_err() {
            NOTES_DROPPED.count();
        }
    }

    /// Leaves a notice for the next page that the caller sees.
    pub(super) fn tell(&self, call: &Call, notice: Notice) {
        if let Some(session) = call.who.session() {
            self.shared.leave(session, notice);
        }
    }

    /// A setting that is a text; empty if it is not set.
    ///
    /// # Errors
    /// Those of a read.
    pub(super) fn text(&self, key: SettingKey) -> Result<String, Failure> {
        let value = self.read.store.setting(key)?.unwrap_or_default();
        Ok(String::from_utf8_lossy(&value).into_owned())
    }

    /// A sealed setting, opened.
    ///
    /// # Errors
    /// Those of a read; if it was sealed by another key.
    pub(super) fn sealed(&self, key: SettingKey) -> Result<Option<Vec<u8>>, Failure> {
        let Some(sealed) = self.read.store.setting(key)? else {
            return Ok(None);
        };
        let opened = self.parts().sealer.unseal(key.0, &sealed);
        let opened = opened.map_err(|error| Failure::Broken(error.to_string()))?;
        Ok(Some(opened.to_vec()))
    }
}
