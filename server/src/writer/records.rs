//! The writer's share of the audit: what was changed, and what has been kept long enough.

use std::time::Instant;

use super::{Session, Writer};
use crate::audit::AdministrativeChange;
use crate::metrics::events::AUDIT_CHANGES_DROPPED;
use crate::site::moment;

impl Writer {
    /// Removes attempts that have been kept long enough, once an hour.
    pub(super) fn prune_audit(&mut self) {
        let now = moment(Instant::now()).unix_s();
        if now - self.pruned_unix_s < 3_600 {
            return;
        }
        let before = now - i64::from(self.config.audit_days) * 86_400;
        // A full queue has more important work; the next tick tries again.
        if self.records.prune(before.saturating_mul(1_000_000)).is_ok() {
            self.pruned_unix_s = now;
        }
    }

    /// Notes a change that was carried out, for the audit; by `actor`, or else by whoever the
    /// session is.
    pub(super) fn note_change(
        &self,
        session: Session,
        (action, subject): (&'static str, String),
        actor: Option<&str>,
    ) {
        let actor = actor.unwrap_or(if session == Session::COMMAND_LINE {
            "command line, without a server"
        } else {
            "command line"
        });
        let change = AdministrativeChange {
            at_unix_us: moment(Instant::now()).unix_us,
            actor: actor.to_owned(),
            action: action.to_owned(),
            subject,
        };
        if let Err(error) = self.records.change(change, 0) {
            AUDIT_CHANGES_DROPPED.count();
            tracing::error!(%error, "a change could not be noted in the audit");
        }
    }
}
