//! Connect in the writer: how it is set up, what its threads tell, and what they are told.

use std::collections::BTreeMap;
use std::time::Instant;

use cardea_connect::client::Token;
use cardea_connect::message::{CommandState, Event, moment};
use cardea_connect::status::Connection;
use cardea_connect::topics::Kind;
use cardea_space::status::Connection as SpaceConnection;

use super::carry_out::{Refusal, date, done, table, unix_s, words};
use super::error::WriterError;
use super::{Writer, updates};
use crate::admin::message::Response;
use crate::connect::updates::Outcome;
use crate::connect::{ConnectLink, ConnectSetup, JobEnd, News};
use crate::metrics::events::CONNECT_EVENTS_DROPPED;
use crate::space::SpaceLink;
use crate::store::{SettingKey, StoreError};

/// Commands shown in the status.
const COMMANDS_SHOWN: usize = 10;

/// Connect's part of a running writer.
#[derive(Default)]
pub(super) struct ConnectSide {
    pub(super) link: Option<ConnectLink>,
    /// Why there is no link though the site has joined.
    fault: Option<String>,
    /// The last that was told of each integration.
    statuses: BTreeMap<String, Connection>,
    pub(super) refused: Refusals,
    /// What came of an update, told already; its file may be there still.
    pub(super) outcome_told: Option<Outcome>,
    pub(super) firmware: Option<crate::connect::firmware::Firmware>,
    pub(super) metrics: Option<std::sync::Arc<arc_swap::ArcSwap<String>>>,
}

/// Commands that were refused: some are answered, all are counted.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    pub(super) minute: i64,
    pub(super) answered: u32,
    pub(super) count: u64,
    pub(super) last: Option<(i64, String)>,
}

impl Writer {
    /// The set-up, if the site has joined.
    pub(super) fn connect_setup(&self) -> Result<Option<ConnectSetup>, WriterError> {
        self.sealed_setup(SettingKey::CONNECT_SEALED)
    }

    /// Talks to the broker as it is set up now. What cannot be used is shown, and nothing else
    /// suffers from it.
    pub(super) fn connect_restart(&mut self) -> Result<(), WriterError> {
        let setup = self.connect_setup()?;
        let Some(online) = &mut self.online else {
            return Ok(());
        };
        let side = &mut online.connect;
        if let (Some(setup), Some(link)) = (&setup, &side.link)
            && link.is_as(setup)
        {
            return Ok(());
        }
        side.link = None;
        side.fault = None;
        let Some(setup) = setup else {
            return Ok(());
        };
        let (statuses, since) = (side.statuses.clone(), online.since);
        match ConnectLink::start(&setup, &self.directory, &online.handle, statuses, since) {
            Ok(link) => side.link = Some(link),
            Err(why) => {
                tracing::error!(why, "Connect cannot be used as it is set up");
                side.fault = Some(why);
            }
        }
        Ok(())
    }

    /// At the start of a server: what the last run left, and that this one begins.
    pub(super) fn connect_started(&mut self) -> Result<(), WriterError> {
        for command in self.store.read().connect_commands_waiting()? {
            let why = "the server stopped before it was done, or before that was noted";
            self.connect_end(command, CommandState::Failed, Some(why.to_owned()), None)?;
        }
        self.tell(&Event::ServerStarted {
            version: env!("CARGO_PKG_VERSION").to_owned(),
        });
        updates::outcome_tell(self);
        self.connect_restart()
    }

    pub(super) fn connect_set(&mut self, setup: &ConnectSetup) -> Result<Response, Refusal> {
        setup.client_config(unix_s()).map_err(Refusal::Words)?;
        setup.authority().map_err(Refusal::Words)?;
        self.connect_store(setup)?;
        Ok(done(&format!(
            "joined as site {}; `cardea connect status` tells whether the broker is there",
            setup.site
        )))
    }

    fn connect_store(&mut self, setup: &ConnectSetup) -> Result<(), WriterError> {
        let key = SettingKey::CONNECT_SEALED;
        let json = serde_json::to_vec(setup).map_err(|_| WriterError::BadSetting { key: key.0 })?;
        let sealed = self.sealer.seal(key.0, &json)?;
        self.store.setting_set(key, &sealed)?;
        self.follow()?;
        self.connect_restart()
    }

    pub(super) fn connect_leave(&mut self) -> Result<Response, Refusal> {
        if self.connect_setup()?.is_none() {
            return Err(words("this site has not joined"));
        }
        let link = self.online.as_mut().and_then(|on| on.connect.link.take());
        if let Some(link) = link {
            link.stop();
        }
        self.store.setting_remove(SettingKey::CONNECT_SEALED)?;
        self.store.outbox_clear()?;
        self.follow()?;
        Ok(done("left: key, certificate and what waited are gone"))
    }

    pub(super) fn connect_status(&self) -> Result<Response, Refusal> {
        let fact = |name: &str, value: String| vec![name.to_owned(), value];
        let Some(setup) = self.connect_setup()? else {
            let no = "No status: this site has not joined";
            let rows = vec![fact("status", no.to_owned())];
            return Ok(table(&["what", "value"], rows));
        };
        let mut rows = vec![
            fact("site", setup.site.clone()),
            fact(
                "broker",
                format!("{}:{}", setup.broker_host, setup.broker_port),
            ),
            fact("authority", setup.authority_url.clone()),
        ];
        let side = self.online.as_ref().map(|online| &online.connect);
        let link = side.and_then(|side| side.link.as_ref());
        match link.and_then(ConnectLink::status) {
            Some(status) => {
                rows.push(fact("status", status.connection.to_string()));
                rows.push(fact("since", date(status.since_unix_s)));
                rows.push(fact("why", status.why));
            }
            None => {
                let fault = side.and_then(|side| side.fault.clone());
                let why = fault.unwrap_or_else(|| "not running".to_owned());
                rows.push(fact("status", format!("No status: {why}")));
            }
        }
        if let Some((_, until)) = setup.validity() {
            rows.push(fact("certificate until", date(until)));
        }
        let counts = self.store.read().outbox_counts()?;
        rows.push(fact("messages that wait", counts.waiting.to_string()));
        let dropped = counts.telemetry_dropped;
        rows.push(fact("telemetry dropped", dropped.to_string()));
        if let Some(side) = side {
            let refused = &side.refused;
            rows.push(fact("commands refused", refused.count.to_string()));
            if let Some((at, why)) = &refused.last {
                rows.push(fact("last refused", format!("{}: {why}", date(*at))));
            }
        }
        if let Some((file, bytes, size)) = link.and_then(ConnectLink::progress) {
            rows.push(fact("fetching", format!("{file}: {bytes} of {size} bytes")));
        }
        for command in self.store.read().connect_commands(COMMANDS_SHOWN)? {
            let state = match command.state {
                CommandState::Accepted => "pending".to_owned(),
                CommandState::Done => "done".to_owned(),
                CommandState::Refused | CommandState::Failed => {
                    format!("failed: {}", command.reason.unwrap_or_default())
                }
            };
            let at = date(command.taken_unix_s);
            let value = format!("{at} {}: {state}", command.name);
            rows.push(fact(&format!("command {}", command.id), value));
        }
        Ok(table(&["what", "value"], rows))
    }

    /// What waits for the broker, oldest first: when it was made, and what it is.
    pub(super) fn connect_pending(&self, limit: u32) -> Result<Response, Refusal> {
        let waiting = self.store.read().outbox(0, limit as usize)?;
        let rows = waiting
            .into_iter()
            .map(|message| {
                let event = message.body.get("event").and_then(|event| event.as_str());
                let what = event.unwrap_or_else(|| message.kind.name());
                vec![date(message.at_unix_s), what.to_owned()]
            })
            .collect();
        Ok(table(&["date", "type"], rows))
    }

    /// Takes what Connect's threads tell.
    pub(super) fn connect_news(&mut self, news: News) {
        let taken = match news {
            News::Delivered(up_to) => self.store.outbox_delivered(up_to).map_err(Into::into),
            News::Command(payload, token) => {
                self.connect_command(&payload, token);
                Ok(())
            }
            News::Status(status) => {
                self.connect_integration("connect", status.connection);
                Ok(())
            }
            News::SessionCleared => {
                let why = "too long for this site; what waited behind it is lost";
                self.connect_refused(None, why);
                Ok(())
            }
            News::Telemetry(telemetry) => self
                .store
                .outbox_add(Kind::Telemetry, &telemetry)
                .map_err(Into::into),
            News::Job(end) => self.connect_job(end),
        };
        if let Err(error) = taken {
            tracing::error!(%error, "Connect");
        }
        self.connect_wake();
    }

    fn connect_job(&mut self, end: JobEnd) -> Result<(), WriterError> {
        let Some(mut setup) = self.connect_setup()? else {
            // The site has left meanwhile.
            return Ok(());
        };
        match end {
            JobEnd::Of(command, result) => self.connect_job_done(command, result),
            JobEnd::Renewed {
                certificate,
                key,
                crl,
            } => {
                setup.certificate = certificate;
                setup.key = key;
                setup.crl = crl;
                let until = setup.validity().map_or(0, |(_, until)| until);
                self.connect_store(&setup)?;
                let until = moment(until);
                self.tell(&Event::CertificateRenewed { until });
                Ok(())
            }
            JobEnd::Revoked(crl) => {
                setup.crl = crl;
                self.connect_store(&setup)
            }
        }
    }

    /// The client looks into the outbox.
    pub(super) fn connect_wake(&self) {
        let online = self.online.as_ref();
        if let Some(link) = online.and_then(|online| online.connect.link.as_ref()) {
            link.wake();
        }
    }

    /// A message is stored or refused; the broker may forget it.
    pub(super) fn connect_acknowledge(&self, token: Token) {
        let online = self.online.as_ref();
        if let Some(link) = online.and_then(|online| online.connect.link.as_ref()) {
            link.acknowledge(token);
        }
    }

    /// Tells an event that belongs to no change. If there is no room it is in the log only.
    pub(super) fn tell(&mut self, event: &Event) {
        match self.store.outbox_add(Kind::Event, event) {
            Ok(()) => {}
            Err(StoreError::Invalid { .. }) => {
                if CONNECT_EVENTS_DROPPED.is_logged() {
                    tracing::warn!(?event, "no room in the outbox");
                }
            }
            Err(error) => tracing::error!(%error, "outbox"),
        }
    }

    /// Looks whether an integration has another status than was told, or an update has ended.
    pub(super) fn connect_tick(&mut self) {
        updates::outcome_tell(self);
        let Some(online) = &self.online else {
            return;
        };
        let space = online.space.as_ref().and_then(SpaceLink::status);
        let space = space.map_or(Connection::NoStatus, |status| word(status.connection));
        self.connect_integration("space", space);
    }

    fn connect_integration(&mut self, integration: &str, status: Connection) {
        let Some(online) = &mut self.online else {
            return;
        };
        let side = &mut online.connect;
        if let Some(link) = &side.link {
            link.integration(integration, status);
        }
        let before = side.statuses.insert(integration.to_owned(), status);
        // What is not set up and never was is no news.
        if before.unwrap_or(Connection::NoStatus) == status || side.link.is_none() {
            return;
        }
        let integration = integration.to_owned();
        self.tell(&Event::IntegrationStatus {
            integration,
            status,
        });
    }

    /// Ends Connect in good order.
    pub(super) fn connect_stop(&mut self) {
        let link = self.online.as_mut().and_then(|on| on.connect.link.take());
        if let Some(link) = link {
            link.stop();
        }
    }

    /// What only the writer can say, for diagnostics: names and contents of files. No person, no
    /// name that the site gave, no key.
    pub(super) fn diagnostics_facts(&self) -> Result<Vec<(String, String)>, WriterError> {
        let reader = self.store.read();
        let counts = reader.counts()?;
        let (requested, completed) = reader.enrolment_counts()?;
        let outbox = reader.outbox_counts()?;
        let devices: Vec<_> = reader
            .devices()?
            .into_iter()
            .map(|device| {
                serde_json::json!({
                    "device": device.id.0,
                    "door": device.door.0,
                    "state": format!("{:?}", device.state),
                    "last_seen": device.last_seen_unix_s,
                    "firmware": device.firmware,
                    "certificate_until": device.not_after_unix_s,
                })
            })
            .collect();
        let online = self.online.as_ref();
        let statuses = online.map(|online| online.connect.statuses.clone());
        let generation = reader.generation()?;
        let state = serde_json::json!({
            "at": moment(unix_s()),
            "uptime_s": online.map(|online| Instant::now().duration_since(online.since).as_secs()),
            "counts": {"people": counts.people, "references": counts.references,
                "doors": counts.doors, "devices": counts.devices},
            "enrolments": {"requested": requested, "completed": completed},
            "generation": generation,
            "outbox": outbox,
            "integrations": statuses,
            "devices": devices,
        });
        let text = serde_json::to_string_pretty(&state).unwrap_or_default();
        let mut facts = vec![("state.json".to_owned(), text)];
        let metrics = online.and_then(|online| online.connect.metrics.as_ref());
        if let Some(metrics) = metrics {
            facts.push(("metrics.txt".to_owned(), metrics.load().to_string()));
        }
        facts.push(("log.txt".to_owned(), crate::recent_log::text()));
        Ok(facts)
    }

    pub(super) fn diagnostics(&self) -> Result<Response, Refusal> {
        let facts = self.diagnostics_facts()?;
        let rows = facts
            .into_iter()
            .map(|(name, content)| vec![name, content])
            .collect();
        Ok(table(&["file", "content"], rows))
    }
}

fn word(space: SpaceConnection) -> Connection {
    match space {
        SpaceConnection::NoStatus => Connection::NoStatus,
        SpaceConnection::Connected => Connection::Connected,
        SpaceConnection::Unauthorized => Connection::Unauthorized,
        SpaceConnection::Disconnected => Connection::Disconnected,
    }
}
