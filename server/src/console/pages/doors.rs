//! Doors: their names, what Space calls them, the devices at them.

use askama::Template;

use crate::admin::devices::DeviceAsk;
use crate::admin::message::Request;
use crate::console::call::Call;
use crate::console::desk::Desk;
use crate::console::frame::{Frame, Notice};
use crate::console::reply::{Failure, html_with, redirect};
use crate::console::route::{Route, encoded, get, post};
use crate::limits::TABLE_ROWS;
use crate::net::Response;
use crate::store::Scope;

pub(super) const ROUTES: &[Route] = &[
    get("/console/doors", Scope::Read, page),
    post("/console/doors", Scope::Devices, add),
    post("/console/doors/{}/edit", Scope::Devices, edit),
    post("/console/doors/{}/remove", Scope::Devices, remove),
];

const HERE: &str = "/console/doors";

#[derive(Template)]
#[template(path = "doors.html")]
struct DoorsPage {
    f: Frame,
    rows: Vec<Row>,
    next: Option<String>,
    name: String,
    space_door: String,
    editing: Option<Row>,
    removing: Option<Row>,
}

#[derive(Clone)]
struct Row {
    name: String,
    path: String,
    space_door: String,
    devices: usize,
}

fn page(desk: &mut Desk, call: &Call) -> Result<Response, Failure> {
    show(desk, call, None)
}

fn show(desk: &Desk, call: &Call, wrong: Option<String>) -> Result<Response, Failure> {
    let mut f = Frame::new(desk, call, "doors");
    let status = if wrong.is_some() { 422 } else { 200 };
    f.notice = wrong.map(Notice::bad).or(f.notice);
    let devices = desk.read.store.devices()?;
    let mut doors = desk.read.store.doors()?;
    doors.sort_by(|a, b| a.name.cmp(&b.name));
    let all = doors.into_iter().map(|door| Row {
        path: encoded(&door.name),
        name: door.name,
        space_door: door.space_door.unwrap_or_default(),
        devices: devices.iter().filter(|one| one.door == door.id).count(),
    });
    let all: Vec<_> = all.collect();
    let named = |field: &str| {
        let name = call.query.text(field);
        all.iter().find(|row| row.name == name).cloned()
    };
    let (editing, removing) = (named("edit"), named("remove"));
    let after = call.query.text("after");
    let mut rows: Vec<_> = all
        .into_iter()
        .filter(|row| row.name.as_str() > after)
        .collect();
    let more = rows.len() > TABLE_ROWS;
    rows.truncate(TABLE_ROWS);
    let next = rows.last().filter(|_| more).map(|row| row.path.clone());
    let page = DoorsPage {
        f,
        rows,
        next,
        name: call.form.text("name").to_owned(),
        space_door: call.form.text("space_door").to_owned(),
        editing,
        removing,
    };
    html_with(status, &page)
}

fn space_door(call: &Call) -> Option<String> {
    let text = call.form.text("space_door");
    (!text.is_empty()).then(|| text.to_owned())
}

fn add(desk: &mut Desk, call: &Call) -> Result<Response, Failure> {
    let names = vec![call.form.text("name").to_owned()];
    let space_door = space_door(call);
    back(desk, call, Request::DoorAdd { names, space_door })
}

fn edit(desk: &mut Desk, call: &Call) -> Result<Response, Failure> {
    let ask = DeviceAsk::DoorEdit {
        name: call.place().to_owned(),
        new_name: call.form.text("name").to_owned(),
        space_door: space_door(call),
    };
    back(desk, call, Request::Devices { ask })
}

fn remove(desk: &mut Desk, call: &Call) -> Result<Response, Failure> {
    let name = call.place().to_owned();
    let ask = DeviceAsk::DoorRemove { name };
    back(desk, call, Request::Devices { ask })
}

fn back(desk: &Desk, call: &Call, request: Request) -> Result<Response, Failure> {
    match desk.ask(call, request) {
        Ok(_) => {
            desk.tell(call, Notice::good(call.t("doors.changed")));
            Ok(redirect(HERE))
        }
        Err(Failure::Refused(why)) => show(desk, call, Some(why)),
        Err(failure) => Err(failure),
    }
}
