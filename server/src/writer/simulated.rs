//! The writer without its thread, mailer and reserves: a simulation does the thread's work.

use std::sync::Arc;

use super::{Command, Writer, WriterError, WriterHandle};
use crate::api::Completion;
use crate::completions::CompletionSender;
use crate::site::Site;
use crate::store::Reader;

impl Writer {
    /// Loads everything into memory, and tells `loops` from here on.
    pub(crate) fn simulated(&mut self, handle: &WriterHandle) -> Result<Arc<Site>, WriterError> {
        let site = self.come_online(handle)?;
        self.follow()?;
        Ok(site)
    }

    /// Whom removals of devices are told.
    pub(crate) fn tell_loops(&mut self, loops: Vec<CompletionSender<Completion>>) {
        if let Some(online) = &mut self.online {
            online.published.set_loops(loops);
        }
    }

    /// One command, as the thread takes it.
    pub(crate) fn step(&mut self, command: Command) {
        self.take(command);
    }

    /// What is stored.
    pub(crate) fn stored(&self) -> &Reader {
        self.store.read()
    }
}
