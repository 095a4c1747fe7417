//! Devices: how each is, adding and deleting.

use askama::Template;

use crate::console::call::Call;
use crate::console::desk::Desk;
use crate::console::devices::{self, DeviceView};
use crate::console::frame::{Frame, Notice};
use crate::console::reply::{Failure, html_with, redirect};
use crate::console::route::{Route, encoded, get, post};
use crate::limits::TABLE_ROWS;
use crate::net::Response;
use crate::store::Scope;

pub(super) const ROUTES: &[Route] = &[
    get("/console/devices", Scope::Read, page),
    post("/console/devices", Scope::Devices, add),
    post("/console/devices/{}/delete", Scope::Devices, delete),
    post("/console/devices/{}/remove", Scope::Devices, remove),
];

const HERE: &str = "/console/devices";

#[derive(Template)]
#[template(path = "devices.html")]
struct DevicesPage {
    f: Frame,
    rows: Vec<DeviceView>,
    search: String,
    /// The search in an address.
    search_path: String,
    /// Where the next page begins.
    next: Option<String>,
    /// The dialog that is open: `add` or none.
    adding: bool,
    name: String,
    doors: Vec<String>,
    deleting: Option<DeviceView>,
}

fn page(desk: &mut Desk, call: &Call) -> Result<Response, Failure> {
    show(desk, call, None)
}

fn show(desk: &Desk, call: &Call, wrong: Option<String>) -> Result<Response, Failure> {
    let mut f = Frame::new(desk, call, "devices");
    let (status, failed) = (if wrong.is_some() { 422 } else { 200 }, wrong.is_some());
    f.notice = wrong.map(Notice::bad).or(f.notice);
    let search = call.query.text("search").to_owned();
    let all = devices::all(desk, call, &search)?;
    let after = call.query.text("after");
    let about = call.query.text("delete");
    let deleting = all.iter().find(|row| row.name == about).cloned();
    let later = all.into_iter().filter(|row| row.name.as_str() > after);
    let mut rows: Vec<_> = later.take(TABLE_ROWS + 1).collect();
    let more = rows.len() > TABLE_ROWS;
    rows.truncate(TABLE_ROWS);
    let next = rows.last().filter(|_| more).map(|row| row.path.clone());
    let doors = desk.read.store.doors()?;
    let page = DevicesPage {
        adding: failed || call.query.text("dialog") == "add",
        name: call.form.text("name").to_owned(),
        doors: doors.into_iter().map(|door| door.name).collect(),
        f,
        rows,
        search_path: encoded(&search),
        search,
        next,
        deleting,
    };
    html_with(status, &page)
}

fn add(desk: &mut Desk, call: &Call) -> Result<Response, Failure> {
    let (name, door) = (call.form.text("name"), call.form.text("door"));
    match devices::add(desk, call, name, door) {
        Ok(_) => {
            let name = encoded(name);
            Ok(redirect(&format!("{HERE}/{name}/commission")))
        }
        Err(Failure::Refused(why)) => show(desk, call, Some(why)),
        Err(failure) => Err(failure),
    }
}

fn delete(desk: &mut Desk, call: &Call) -> Result<Response, Failure> {
    let commissioned = devices::named(desk, call, call.place())?.commissioned;
    devices::remove(desk, call, call.place(), false)?;
    let text = match commissioned {
        true => call.t("devices.leaving"),
        false => call.t("devices.removed"),
    };
    desk.tell(call, Notice::good(text));
    Ok(redirect(HERE))
}

fn remove(desk: &mut Desk, call: &Call) -> Result<Response, Failure> {
    devices::remove(desk, call, call.place(), true)?;
    desk.tell(call, Notice::good(call.t("devices.removed")));
    Ok(redirect(HERE))
}
