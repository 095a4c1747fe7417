//! What administrators ask for, one request at a time. A reply is given only once the change is
//! durable and in force.

use cardea_wire::{Decision, Reason};
use crossbeam_channel::Sender;

use super::error::WriterError;
use super::{Session, Writer};
use crate::admin::message::{Request, Response};
use crate::audit::{AttemptRecord, Entry, Progress};
pub(super) use crate::site::rfc3339 as date;
use crate::site::unix_ms;
use crate::store::{self, PeopleFilter, PersonState};

/// Why a request was not carried out, in words.
pub(super) enum Refusal {
    /// The request itself is at fault.
    Words(String),
    /// Something failed.
    Failed(WriterError),
}

impl<E: Into<WriterError>> From<E> for Refusal {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

impl Writer {
    /// Carries a request out and answers, at once or when a snapshot brings it into force.
    pub(super) fn administer(
        &mut self,
        session: Session,
        actor: Option<&str>,
        request: Request,
        reply: Sender<Response>,
    ) {
        if let Request::Calibrate { ask } = request {
            return self.calibrate(ask, reply);
        }
        let response = self.carry_out_as(session, actor, request);
        self.connect_wake();
        let Some(online) = &mut self.online else {
            let _ = reply.send(response);
            return;
        };
        match online.published.in_force_with_snapshot() {
            Some(generation) if matches!(response, Response::Done { .. }) => {
                online.waiting.push((generation, reply, response));
            }
            // Who does not wait for the answer any more has lost only the answer.
            _ => drop(reply.send(response)),
        }
    }

    /// Carries a request out.
    pub fn carry_out(&mut self, session: Session, request: Request) -> Response {
        self.carry_out_as(session, None, request)
    }

    /// Carries a request out for `actor`, or else for whoever the session is.
    pub(super) fn carry_out_as(
        &mut self,
        session: Session,
        actor: Option<&str>,
        request: Request,
    ) -> Response {
        let change = request.change();
        let response = match self.dispatch(session, request) {
            Ok(response) => response,
            Err(Refusal::Words(text)) => Response::Error { text },
            Err(Refusal::Failed(error)) => Response::Error {
                text: error.to_string(),
            },
        };
        if let Some(change) = change
            && !matches!(response, Response::Error { .. })
        {
            self.note_change(session, change, actor);
        }
        response
    }

    fn dispatch(&mut self, session: Session, request: Request) -> Result<Response, Refusal> {
        match request {
            Request::ImportBegin => self.import_begin(session),
            Request::ImportAdd { people } => self.import_add(session, &people),
            Request::ImportCommit => self.import_commit(session),
            Request::PeopleList {
                after,
                search,
                limit,
            } => self.people_list(after.as_deref(), search.as_deref(), limit),
            Request::PersonShow { external_id } => self.person_show(&external_id),
            Request::PersonWithdraw { external_id } => self.person_withdraw(&external_id),
            Request::DeviceAdd { devices } => self.device_add(&devices),
            Request::DeviceList => self.device_list(),
            Request::DeviceRemove { name } => self.device_remove(&name),
            Request::DoorAdd { names, space_door } => self.door_add(&names, space_door.as_deref()),
            Request::DoorList => self.door_list(),
            Request::RightGrant { external_id, door } => {
                self.right(&external_id, door.as_deref(), true)
            }
            Request::RightRevoke { external_id, door } => {
                self.right(&external_id, door.as_deref(), false)
            }
            Request::SpaceSet { setup } => self.space_set(setup),
            Request::SpaceRemove => self.space_remove(),
            Request::SpaceStatus => self.space_status(),
            Request::SpaceSync => self.space_sync(),
            Request::SpaceDoors => self.space_doors(),
            Request::SpaceRotateKey { key } => self.space_rotate(key),
            Request::SpaceRelease => self.space_release(),
            Request::GalleryShow => self.gallery_show(),
            Request::Calibrate { ask } => self.calibrate_here(ask),
            Request::ThresholdSet {
                threshold,
                people,
                fpir,
            } => self.threshold_set(threshold, people, fpir),
            Request::SpaceKeys => self.space_keys(),
            Request::SpaceInstallScript => self.space_install_script(),
            Request::BackupBegin { target } => self.backup_begin(&target),
            Request::BackupEnd { taken_unix_s } => self.backup_end(taken_unix_s),
            Request::AddressChange { to } => self.address_change(to),
            Request::AddressStatus => self.address_status(),
            Request::AddressFinish { leave_behind } => self.address_finish(leave_behind),
            Request::PkiShow => self.pki_show(),
            Request::PkiRenewServer => self.pki_renew_server(),
            Request::PkiRollCa => self.pki_roll_ca(),
            Request::Enrol { ask } => self.enrol_ask(ask),
            Request::Integrations => self.integrations(),
            Request::HostEvent { event, .. } => Ok(done(event.action())),
            Request::ConnectSet { setup } => self.connect_set(&setup),
            Request::ConnectLeave => self.connect_leave(),
            Request::ConnectStatus => self.connect_status(),
            Request::ConnectPending { limit } => self.connect_pending(limit),
            Request::Diagnostics => self.diagnostics(),
            Request::UpdateStatus => self.update_status(),
            Request::AuditTail { count, before } => self.audit_tail(count, before),
            request @ (Request::TeamList
            | Request::TeamAdd { .. }
            | Request::TeamPassword { .. }
            | Request::TeamRole { .. }
            | Request::TeamRemove { .. }
            | Request::TokenAdd { .. }
            | Request::TokenRemove { .. }
            | Request::EnrolmentServiceSet { .. }
            | Request::IntegrationsAdded { .. }) => self.console_request(request),
            Request::Devices { ask } => self.devices_ask(&ask),
        }
    }

    fn people_list(
        &self,
        after: Option<&str>,
        search: Option<&str>,
        limit: u32,
    ) -> Result<Response, Refusal> {
        let reader = self.store.read();
        let after = match after {
            Some(external_id) => Some(
                reader
                    .person_show(external_id)?
                    .ok_or_else(|| words("no such person"))?
                    .id,
            ),
            None => None,
        };
        // Names are searched first; a search that finds no name tries external ids.
        let search = search.unwrap_or_default().to_owned();
        let by_id = PeopleFilter::ExternalId(search.clone());
        let mut page = reader.people_page(&by_id, after, limit as usize)?;
        if page.people.is_empty() && !search.is_empty() {
            page = reader.people_page(&PeopleFilter::Name(search), after, limit as usize)?;
        }
        let rows = page
            .people
            .into_iter()
            .map(|person| {
                let references = person.references.to_string();
                vec![
                    person.external_id,
                    person.name,
                    state(person.state),
                    references,
                ]
            })
            .collect();
        Ok(table(&["external id", "name", "state", "references"], rows))
    }

    fn person_show(&self, external_id: &str) -> Result<Response, Refusal> {
        let reader = self.store.read();
        let person = reader
            .person_show(external_id)?
            .ok_or_else(|| words("no such person"))?;
        let doors = if person.every_door {
            "every door".to_owned()
        } else {
            self.door_names(&person.doors)?
        };
        let consent = person.consent.map_or_else(String::new, |consent| {
            format!(
                "policy {} on {}",
                consent.policy_version,
                date(consent.at_unix_s)
            )
        });
        let fact = |name: &str, value: String| vec![name.to_owned(), value];
        let rows = vec![
            fact("external id", person.external_id),
            fact("name", person.name),
            fact("state", state(person.state)),
            fact("consent", consent),
            fact("doors", doors),
            fact("references", person.references.len().to_string()),
            fact("known since", date(person.created_unix_s)),
        ];
        Ok(table(&["what", "value"], rows))
    }

    fn door_names(&self, doors: &[store::DoorId]) -> Result<String, Refusal> {
        let all = self.store.read().doors()?;
        let names = doors
            .iter()
            .filter_map(|door| all.iter().find(|known| known.id == *door));
        Ok(names
            .map(|door| door.name.as_str())
            .collect::<Vec<_>>()
            .join("; "))
    }

    fn gallery_show(&self) -> Result<Response, Refusal> {
        let online = self.online.as_ref();
        let online = online.ok_or_else(|| words("only a running server has a gallery in force"))?;
        let site = online.published.site();
        let searched = site.searched.load();
        let view = &searched.view;
        let fact = |name: &str, value: String| vec![name.to_owned(), value];
        let mut rows = vec![
            fact("references", view.rows().to_string()),
            fact("generation", view.generation().to_string()),
            fact("decision threshold", searched.threshold.value().to_string()),
            fact(
                "enrolled since the snapshot",
                view.overlay_rows().to_string(),
            ),
            fact(
                "withdrawn since the snapshot",
                view.withdrawals().to_string(),
            ),
        ];
        if let Some(snapshot) = view.snapshot() {
            let plan = snapshot.prediction(searched.threshold);
            let plan = plan.map_or_else(|| "int8 alone".to_owned(), |plan| plan.to_string());
            rows.push(fact(
                "snapshot's generation",
                snapshot.generation().to_string(),
            ));
            rows.push(fact(
                "snapshot's file, bytes",
                snapshot.mapped_bytes().to_string(),
            ));
            rows.push(fact(
                "memory beside the file, bytes",
                snapshot.plane_bytes().to_string(),
            ));
            rows.push(fact("first pass", plan));
        }
        Ok(table(&["what", "value"], rows))
    }

    fn audit_tail(&self, count: u32, before: Option<u64>) -> Result<Response, Refusal> {
        let doors = self.store.read().doors()?;
        let devices = self.store.read().devices()?;
        let rows = self
            .audit
            .tail(count as usize, before)?
            .into_iter()
            .map(|entry| match entry.entry {
                Entry::Attempt(attempt, progress) => {
                    let door = doors.iter().find(|door| door.id.0 == attempt.door);
                    let device = devices.iter().find(|device| device.id.0 == attempt.device);
                    vec![
                        entry.sequence.to_string(),
                        date(attempt.at_unix_us / 1_000_000),
                        door.map_or_else(String::new, |door| door.name.clone()),
                        device.map_or_else(String::new, |device| device.name.clone()),
                        outcome(&attempt, progress),
                        attempt
                            .matched
                            .map_or_else(String::new, |matched| matched.external_id.to_string()),
                    ]
                }
                Entry::Change(change) => vec![
                    entry.sequence.to_string(),
                    date(change.at_unix_us / 1_000_000),
                    String::new(),
                    change.actor,
                    change.action,
                    change.subject,
                ],
            })
            .collect();
        Ok(table(
            &["number", "time", "door", "device", "decision", "person"],
            rows,
        ))
    }
}

/// The decision first, then why.
fn outcome(attempt: &AttemptRecord, progress: Progress) -> String {
    let (decision, reason) = match progress {
        Progress::Final => (attempt.decision, attempt.reason),
        Progress::Outcome(outcome) => (outcome.decision, outcome.reason),
        Progress::InFlight => return "in flight".to_owned(),
        Progress::Interrupted => return "interrupted".to_owned(),
    };
    if decision == Decision::Granted as u8 {
        return "granted".to_owned();
    }
    let reason = Reason::from_code(reason).map_or("", Reason::text);
    format!("denied: {reason}")
}

pub(super) fn words(text: &str) -> Refusal {
    Refusal::Words(text.to_owned())
}

pub(super) fn done(text: &str) -> Response {
    Response::Done {
        text: text.to_owned(),
    }
}

pub(super) fn table(columns: &[&str], rows: Vec<Vec<String>>) -> Response {
    Response::Table {
        columns: columns.iter().map(|&column| column.to_owned()).collect(),
        rows,
    }
}

/// Unix seconds by the server's clock.
pub(super) fn unix_s() -> i64 {
    i64::try_from(unix_ms() / 1_000).unwrap_or(i64::MAX)
}

fn state(state: PersonState) -> String {
    match state {
        PersonState::Invited => "invited",
        PersonState::Enrolled => "enrolled",
        PersonState::Suspended => "suspended",
    }
    .to_owned()
}
