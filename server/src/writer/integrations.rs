//! Whom the server reaches: the firewall lets exactly these through.

use cardea_connect::authority::host_and_port;

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
            rows.push(vec![
                "mail".to_owned(),
                mail.host.clone(),
                mail.port.to_string(),
            ]);
        }
        if let Some(connect) = self.connect_setup()? {
            let authority = host_and_port(&connect.authority_url);
            let mut reach = |name: &str, host: String, port: u16| {
                rows.push(vec![name.to_owned(), host, port.to_string()]);
            };
            reach("broker", connect.broker_host, connect.broker_port);
            if let Ok((host, port)) = authority {
                reach("authority", host, port);
            }
        }
        Ok(table(&["name", "host", "port"], rows))
    }
}
