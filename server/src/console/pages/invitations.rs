//! Who is to enrol, and how far they are: inviting, printing, taking back, and the word that a
//! likely duplicate is none.

use askama::Template;

use crate::admin::enrol::Invitee;
use crate::console::call::Call;
use crate::console::desk::Desk;
use crate::console::frame::{Frame, Notice};
use crate::console::invitations::{self, Step};
use crate::console::reply::{Failure, html_with, redirect};
use crate::console::route::{Route, encoded, get, post};
use crate::enrol::link::qr_svg;
use crate::net::Response;
use crate::store::{ConsentStanding, Enrolment, EnrolmentStage, Scope, SettingKey};

pub(super) const ROUTES: &[Route] = &[
    get("/console/invitations", Scope::Read, page),
    post("/console/invitations", Scope::People, invite),
    post("/console/invitations/{}/{}", Scope::People, step),
];

const HERE: &str = "/console/invitations";
const PAGE_ROWS: usize = 50;

#[derive(Template)]
#[template(path = "invitations.html")]
struct InvitationsPage {
    f: Frame,
    rows: Vec<Row>,
    next: Option<String>,
    devices: Vec<String>,
}

#[derive(Template)]
#[template(path = "invitation.html")]
struct SheetPage {
    f: Frame,
    company: String,
    who: String,
    link: String,
    qr: String,
}

struct Row {
    external_id: String,
    /// The external id in a path.
    path: String,
    name: String,
    stage: &'static str,
    kind: &'static str,
    outdated: bool,
    device: String,
    until: Option<i64>,
    alike: Option<String>,
    mail: Option<String>,
    outcome: &'static str,
    invited: bool,
}

impl Row {
    fn of(standing: Enrolment, device: String) -> Self {
        let invitation = standing.invitation.as_ref();
        Self {
            path: encoded(&standing.external_id),
            name: standing.name,
            stage: standing.stage.word(),
            kind: match standing.stage {
                EnrolmentStage::Enrolled => "good",
                EnrolmentStage::Expired => "bad",
                EnrolmentStage::Consented => "warning",
                EnrolmentStage::Requested | EnrolmentStage::Invited | EnrolmentStage::Withdrawn => {
                    "none"
                }
            },
            outdated: standing.consent == ConsentStanding::Outdated,
            device,
            until: invitation.map(|invitation| invitation.expires_unix_s),
            alike: standing.duplicate.map(|duplicate| {
                let score = duplicate.score;
                format!("{} ({score:.3})", duplicate.other_external_id)
            }),
            mail: standing
                .mail
                .map(|mail| mail.error)
                .filter(|error| !error.is_empty()),
            outcome: invitation.map_or("", |invitation| invitation.outcome.words()),
            invited: invitation.is_some(),
            external_id: standing.external_id,
        }
    }
}

fn page(desk: &mut Desk, call: &Call) -> Result<Response, Failure> {
    show(desk, call, None)
}

fn show(desk: &Desk, call: &Call, wrong: Option<String>) -> Result<Response, Failure> {
    let mut f = Frame::new(desk, call, "invitations");
    let status = if wrong.is_some() { 422 } else { 200 };
    f.notice = wrong.map(Notice::bad).or(f.notice);
    let (reader, now) = (&desk.read.store, call.now_unix_s);
    let after = match call.query.text("after") {
        "" => None,
        external_id => reader
            .enrolment(external_id, now)?
            .map(|found| found.person),
    };
    let devices = reader.devices()?;
    let rows: Vec<Row> = reader
        .enrolments_page(after, PAGE_ROWS, now)?
        .into_iter()
        .map(|standing| {
            let wanted = standing.invitation.as_ref().and_then(|found| found.device);
            let device = devices.iter().find(|device| Some(device.id) == wanted);
            let device = device.map_or_else(String::new, |device| device.name.clone());
            Row::of(standing, device)
        })
        .collect();
    let next = (rows.len() == PAGE_ROWS).then(|| rows.last().map(|row| row.path.clone()));
    let page = InvitationsPage {
        f,
        next: next.flatten(),
        rows,
        devices: devices.into_iter().map(|device| device.name).collect(),
    };
    html_with(status, &page)
}

fn invite(desk: &mut Desk, call: &Call) -> Result<Response, Failure> {
    let text = |name: &str| call.form.text(name).to_owned();
    let invitee = Invitee {
        external_id: text("external_id"),
        name: text("name"),
        email: text("email"),
        device: text("device"),
        doors: text("doors"),
        language: text("language"),
        days: 0,
    };
    let who = invitee.external_id.clone();
    let paper = call.form.text("way") == "paper";
    let invited = invitations::invite(desk, call, invitee, paper);
    answer(desk, call, &who, invited)
}

fn step(desk: &mut Desk, call: &Call) -> Result<Response, Failure> {
    let step = call.places.get(1).and_then(|name| Step::named(name));
    let step = step.ok_or(Failure::NotFound)?;
    let taken = invitations::step(desk, call, call.place(), step);
    answer(desk, call, call.place(), taken)
}

/// Back to the list, or to the sheet of an invitation on paper, which is shown this once.
fn answer(
    desk: &Desk,
    call: &Call,
    who: &str,
    taken: Result<Option<String>, Failure>,
) -> Result<Response, Failure> {
    match taken {
        Ok(None) => {
            desk.tell(call, Notice::good(call.t("invitations.changed")));
            Ok(redirect(HERE))
        }
        Ok(Some(link)) => {
            let page = SheetPage {
                f: Frame::new(desk, call, "invitations"),
                company: desk.text(SettingKey::COMPANY)?,
                who: who.to_owned(),
                qr: qr_svg(&link).unwrap_or_default(),
                link,
            };
            html_with(200, &page)
        }
        Err(Failure::Refused(why)) => show(desk, call, Some(why)),
        Err(failure) => Err(failure),
    }
}
