//! Commands from the broker: remembered, carried out once as an administrator's request in the
//! name of `connect`, and answered.
//!
//! ```text
//! parse ──> taken before? ──> remember, "accepted" ──> acknowledge ──> carry out ──> result
//!   └ refused: answered, so many a minute      (one transaction)
//! ```
//!
//! A server that dies between remembering and the result finds the command at its next start and
//! answers that it failed: whether it was carried out is not known, and it is not tried again.

use cardea_connect::client::Token;
use cardea_connect::command::{Ask, Command, Refusal as CommandRefusal, Refused, parse};
use cardea_connect::message::{CommandResult, CommandState, Event};
use cardea_connect::topics::Kind;
use serde_json::{Value, json};

use super::carry_out::unix_s;
use super::error::WriterError;
use super::{Session, Writer};
use crate::admin::message::{NewDevice, Request, Response, SpaceKey};
use crate::connect::{Job, JobDone};
use crate::limits::CONNECT_REFUSED_PER_MINUTE_MAX;
use crate::space::SpaceSetup;
use crate::store::Taken;

/// The name in the audit of who asks for what comes from the broker.
const ACTOR: &str = "connect";

/// How a command ends at once, if it does.
enum End {
    /// Done, with this result.
    Done(Option<Value>),
    /// Failed, in words.
    Failed(String),
    /// A job works on it.
    Later,
}

impl Writer {
    pub(super) fn connect_command(&mut self, payload: &[u8], token: Token) {
        let now = unix_s();
        let command = match parse(payload, now) {
            Ok(command) => command,
            Err(CommandRefusal { id, why }) => {
                let known = id
                    .as_deref()
                    .map(|id| self.store.read().connect_command_known(id));
                // One that was taken in time and comes again late is a repeat like any other.
                if !(why == Refused::Expired && matches!(known, Some(Ok(true)))) {
                    self.connect_refused(id, &why.to_string());
                }
                return self.connect_acknowledge(token);
            }
        };
        let times = (now, command.expires_unix_s);
        let taken = self
            .store
            .connect_command_take(&command.id, command.ask.name(), times);
        match taken {
            Ok(Taken::New) => {
                self.connect_acknowledge(token);
                self.connect_carry_out(command);
            }
            Ok(Taken::Repeat) => self.connect_acknowledge(token),
            Ok(Taken::TooMany) => {
                self.connect_refused(Some(command.id), &Refused::TooMany.to_string());
                self.connect_acknowledge(token);
            }
            // Not acknowledged: the broker sends it again at the next connection.
            Err(error) => tracing::error!(%error, "a command of Connect's is not taken"),
        }
    }

    /// Answers that something is not acted on; past so many a minute it is only counted.
    pub(super) fn connect_refused(&mut self, id: Option<String>, why: &str) {
        let now = unix_s();
        let Some(online) = &mut self.online else {
            return;
        };
        let refused = &mut online.connect.refused;
        if refused.minute != now / 60 {
            refused.minute = now / 60;
            refused.answered = 0;
        }
        refused.count += 1;
        refused.last = Some((now, why.to_owned()));
        if refused.answered >= CONNECT_REFUSED_PER_MINUTE_MAX {
            return;
        }
        refused.answered += 1;
        tracing::warn!(why, "a command of Connect's is refused");
        let Some(command) = id else {
            let reason = why.to_owned();
            return self.tell(&Event::CommandRefused { reason });
        };
        let result = CommandResult {
            command,
            state: CommandState::Refused,
            reason: Some(why.to_owned()),
            result: None,
        };
        if let Err(error) = self.store.outbox_add(Kind::Result, &result) {
            tracing::error!(%error, "a refusal is not told");
        }
    }

    fn connect_carry_out(&mut self, command: Command) {
        tracing::info!(command = command.id, what = command.ask.name(), "Connect");
        let (state, reason, result) = match self.connect_do(&command.id, command.ask) {
            End::Done(result) => (CommandState::Done, None, result),
            End::Failed(why) => (CommandState::Failed, Some(why), None),
            End::Later => return,
        };
        if let Err(error) = self.connect_end(command.id, state, reason, result) {
            tracing::error!(%error, "a command's result is not told");
        }
    }

    /// Notes and tells how a command ended.
    pub(super) fn connect_end(
        &mut self,
        command: String,
        state: CommandState,
        reason: Option<String>,
        result: Option<Value>,
    ) -> Result<(), WriterError> {
        let result = CommandResult {
            command,
            state,
            reason,
            result,
        };
        self.store.connect_command_end(&result)?;
        Ok(())
    }

    fn connect_do(&mut self, id: &str, ask: Ask) -> End {
        match ask {
            Ask::DeviceCommission { name, door } => self.connect_device(name, door),
            Ask::DeviceDelete { device } => self.connect_delete(device),
            Ask::IntegrationSet { integration, setup } => {
                if integration != "space" {
                    return End::Failed("no such integration".to_owned());
                }
                match space_setup(setup) {
                    Ok(setup) => self.connect_ask(Request::SpaceSet { setup }),
                    Err(why) => End::Failed(why),
                }
            }
            Ask::KeyRotate { key } => match key.as_str() {
                "ship" => self.connect_ask(Request::SpaceRotateKey {
                    key: SpaceKey::Ship,
                }),
                "face" => self.connect_ask(Request::SpaceRotateKey {
                    key: SpaceKey::Face,
                }),
                _ => End::Failed("no such key".to_owned()),
            },
            Ask::Sync {} => self.connect_ask(Request::SpaceSync),
            Ask::Diagnostics {} => match self.diagnostics_facts() {
                Ok(facts) => self.connect_job_give(Job::Diagnostics {
                    command: id.to_owned(),
                    facts,
                }),
                Err(error) => End::Failed(error.to_string()),
            },
            Ask::Update {
                manifest,
                allow_older,
            } => self.connect_job_give(Job::Update {
                command: id.to_owned(),
                manifest,
                allow_older,
            }),
        }
    }

    fn connect_job_give(&mut self, job: Job) -> End {
        let online = self.online.as_ref();
        let link = online.and_then(|online| online.connect.link.as_ref());
        match link.map(|link| link.job(job)) {
            Some(Ok(())) => End::Later,
            Some(Err(why)) => End::Failed(why.to_owned()),
            None => End::Failed("the module is stopping".to_owned()),
        }
    }

    /// Carries a request out in the name of Connect. What it answers stays here: keys do not
    /// leave through a broker.
    fn connect_ask(&mut self, request: Request) -> End {
        match self.carry_out_as(Session::CONNECT, Some(ACTOR), request) {
            Response::Error { text } => End::Failed(text),
            Response::Done { .. } | Response::Table { .. } | Response::Staged { .. } => {
                End::Done(None)
            }
        }
    }

    fn connect_device(&mut self, name: String, door: String) -> End {
        let request = Request::DeviceAdd {
            devices: vec![NewDevice {
                name: name.clone(),
                door,
            }],
        };
        let code = match self.carry_out_as(Session::CONNECT, Some(ACTOR), request) {
            Response::Table { rows, .. } => rows.into_iter().next().and_then(|mut row| row.pop()),
            Response::Error { text } => return End::Failed(text),
            Response::Done { .. } | Response::Staged { .. } => None,
        };
        let device = self.connect_device_named(|device| device.name == name);
        match (code, device) {
            (Some(code), Some((device, _))) => {
                End::Done(Some(json!({"device": device, "code": code})))
            }
            _ => End::Failed("the device has no code".to_owned()),
        }
    }

    fn connect_delete(&mut self, device: u64) -> End {
        match self.connect_device_named(|known| known.id.0 == device) {
            Some((_, name)) => self.connect_ask(Request::DeviceRemove { name }),
            None => End::Failed("no such device".to_owned()),
        }
    }

    fn connect_device_named(
        &self,
        is_it: impl Fn(&crate::store::Device) -> bool,
    ) -> Option<(u64, String)> {
        let devices = self.store.read().devices().ok()?;
        let found = devices.into_iter().find(is_it)?;
        Some((found.id.0, found.name))
    }

    /// A command's job has ended.
    pub(super) fn connect_job_done(
        &mut self,
        command: String,
        result: Result<JobDone, String>,
    ) -> Result<(), WriterError> {
        let result = match result {
            Ok(JobDone::Uploaded(name, bytes)) => Ok(json!({"name": name, "bytes": bytes})),
            Ok(JobDone::Fetched(fetched)) => super::updates::fetched(self, &fetched),
            Err(why) => Err(why),
        };
        match result {
            Ok(result) => self.connect_end(command, CommandState::Done, None, Some(result)),
            Err(why) => self.connect_end(command, CommandState::Failed, Some(why), None),
        }
    }
}

/// Space's set-up as a command gives it: keys may be left out, and are kept or made then.
fn space_setup(mut setup: Value) -> Result<SpaceSetup, String> {
    let Some(fields) = setup.as_object_mut() else {
        return Err("the set-up is no object".to_owned());
    };
    for key in ["ship_key", "face_key"] {
        fields
            .entry(key)
            .or_insert_with(|| Value::String(String::new()));
    }
    for key in ["trust", "email_field"] {
        fields.entry(key).or_insert(Value::Null);
    }
    serde_json::from_value(setup).map_err(|_| "the set-up is not one of Space's".to_owned())
}
