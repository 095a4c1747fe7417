//! Whom the server reaches: the firewall lets exactly these through.

use super::Writer;
use super::carry_out::{Refusal, table};
use crate::admin::message::Response;

impl Writer {
    /// Name, host and TCP port of every integration that is set up.
    pub(super) fn integrations(&self) -> Result<Response, Refusal> {
        let mut rows = Vec::new();
        if let Some(space) = self.space_setup()? {
            rows.push(vec!["space".to_owned(), space.host, space.port.to_string()]);
        }
        if let Some(mail) = self.mail_setup()? {
            rows.push(vec!["mail".to_owned(), mail.host, mail.port.to_string()]);
        }
        Ok(table(&["name", "host", "port"], rows))
    }
}
