//! Devices and doors.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Operation, schema};
use crate::admin::devices::DeviceAsk;
use crate::admin::message::Request;
use crate::console::call::Call;
use crate::console::desk::Desk;
use crate::console::devices::{self, DeviceView, Standing};
use crate::console::reply::{self, Failure};
use crate::net::{Method, Response};
use crate::store::Scope;

pub(super) const OPERATIONS: &[Operation] = &[
    Operation::new(
        (Method::Get, "/api/v1/devices", Scope::Read),
        ("deviceList", "Devices and how each is."),
        (200, devices_schema),
        list,
    )
    .query(&[(
        "search",
        schema::text,
        "Only those whose name or door has this text.",
    )]),
    Operation::new(
        (Method::Post, "/api/v1/devices", Scope::Devices),
        ("deviceAdd", "Adds a device; its code is shown this once."),
        (201, code_schema),
        add,
    )
    .body(new_device_schema),
    Operation::new(
        (Method::Post, "/api/v1/devices/{}/code", Scope::Devices),
        ("deviceCode", "Makes another commissioning code."),
        (200, code_schema),
        code,
    )
    .places(&["name"]),
    Operation::new(
        (Method::Post, "/api/v1/devices/{}/reset", Scope::Devices),
        ("deviceReset", "Signs the last code of a reset."),
        (200, code_schema),
        reset,
    )
    .places(&["name"])
    .body(colours_schema),
    Operation::new(
        (Method::Delete, "/api/v1/devices/{}", Scope::Devices),
        (
            "deviceRemove",
            "Decommissions a device at its next contact, or removes it at once.",
        ),
        (200, schema::done),
        remove,
    )
    .places(&["name"])
    .query(&[("now", now_schema, "`yes` removes it at once.")]),
    Operation::new(
        (Method::Get, "/api/v1/doors", Scope::Read),
        ("doorList", "The doors."),
        (200, doors_schema),
        doors,
    ),
    Operation::new(
        (Method::Post, "/api/v1/doors", Scope::Devices),
        ("doorAdd", "Adds a door."),
        (201, schema::done),
        door_add,
    )
    .body(new_door_schema),
    Operation::new(
        (Method::Put, "/api/v1/doors/{}", Scope::Devices),
        ("doorEdit", "Gives a door another name or pairing."),
        (200, schema::done),
        door_edit,
    )
    .places(&["name"])
    .body(new_door_schema),
    Operation::new(
        (Method::Delete, "/api/v1/doors/{}", Scope::Devices),
        ("doorRemove", "Removes a door without devices."),
        (200, schema::done),
        door_remove,
    )
    .places(&["name"]),
];

const NOW: [&str; 2] = ["yes", "no"];

fn now_schema() -> Value {
    schema::one_of(&NOW)
}

fn devices_schema() -> Value {
    let standings = Standing::ALL.map(Standing::name);
    schema::list(schema::object(&[
        ("name", schema::text()),
        ("door", schema::text()),
        ("status", schema::one_of(&standings)),
        ("last_seen_unix_s", schema::integer_or_null()),
        ("version", schema::text()),
        ("update_bytes", schema::integer_or_null()),
        ("update_size", schema::integer_or_null()),
        ("address", schema::text()),
        ("certificate_until_unix_s", schema::integer_or_null()),
    ]))
}

fn code_schema() -> Value {
    schema::object(&[("name", schema::text()), ("code", schema::text())])
}

fn new_device_schema() -> Value {
    schema::object(&[("name", schema::name(64)), ("door", schema::name(64))])
}

fn colours_schema() -> Value {
    schema::object(&[("colours", schema::name(64))])
}

fn door_schema() -> Value {
    schema::object(&[
        ("name", schema::name(64)),
        ("space_door", schema::text_or_null()),
    ])
}

fn new_door_schema() -> Value {
    let mut object = door_schema();
    object["required"] = json!(["name"]);
    object
}

fn doors_schema() -> Value {
    schema::list(door_schema())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewDevice {
    name: String,
    door: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Colours {
    colours: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewDoor {
    name: String,
    space_door: Option<String>,
}

fn described(view: &DeviceView) -> Value {
    json!({
        "name": view.name,
        "door": view.door,
        "status": view.standing.name(),
        "last_seen_unix_s": view.last_seen,
        "version": view.version,
        "update_bytes": view.fetching.as_ref().map(|part| part.bytes),
        "update_size": view.fetching.as_ref().map(|part| part.size),
        "address": view.address,
        "certificate_until_unix_s": view.certificate_until,
    })
}

fn list(desk: &mut Desk, call: &Call) -> Result<Response, Failure> {
    let views = devices::all(desk, call, call.query.text("search"))?;
    let rows: Vec<_> = views.iter().map(described).collect();
    Ok(reply::json(200, &json!(rows)))
}

fn add(desk: &mut Desk, call: &Call) -> Result<Response, Failure> {
    let new: NewDevice = call.json()?;
    let code = devices::add(desk, call, &new.name, &new.door)?;
    Ok(reply::json(201, &json!({"name": new.name, "code": code})))
}

fn code(desk: &mut Desk, call: &Call) -> Result<Response, Failure> {
    let code = devices::code(desk, call, call.place())?;
    let body = json!({"name": call.place(), "code": code});
    Ok(reply::json(200, &body))
}

fn reset(desk: &mut Desk, call: &Call) -> Result<Response, Failure> {
    let given: Colours = call.json()?;
    let code = devices::reset(desk, call, call.place(), &given.colours)?;
    let body = json!({"name": call.place(), "code": code});
    Ok(reply::json(200, &body))
}

fn remove(desk: &mut Desk, call: &Call) -> Result<Response, Failure> {
    let at_once = call.word("now", &NOW)? == Some("yes");
    devices::remove(desk, call, call.place(), at_once)?;
    let done = match at_once {
        true => "removed",
        false => "it is told at its next contact, and then removed",
    };
    Ok(reply::json(200, &json!({"done": done})))
}

fn doors(desk: &mut Desk, _call: &Call) -> Result<Response, Failure> {
    let doors = desk.read.store.doors()?;
    let rows: Vec<_> = doors
        .iter()
        .map(|door| json!({"name": door.name, "space_door": door.space_door}))
        .collect();
    Ok(reply::json(200, &json!(rows)))
}

fn door_add(desk: &mut Desk, call: &Call) -> Result<Response, Failure> {
    let new: NewDoor = call.json()?;
    let request = Request::DoorAdd {
        names: vec![new.name],
        space_door: new.space_door,
    };
    desk.ask(call, request)?;
    Ok(reply::json(201, &json!({"done": "added"})))
}

fn door_edit(desk: &mut Desk, call: &Call) -> Result<Response, Failure> {
    let new: NewDoor = call.json()?;
    let ask = DeviceAsk::DoorEdit {
        name: call.place().to_owned(),
        new_name: new.name,
        space_door: new.space_door,
    };
    desk.ask(call, Request::Devices { ask })?;
    Ok(reply::json(200, &json!({"done": "changed"})))
}

fn door_remove(desk: &mut Desk, call: &Call) -> Result<Response, Failure> {
    let name = call.place().to_owned();
    let ask = DeviceAsk::DoorRemove { name };
    desk.ask(call, Request::Devices { ask })?;
    Ok(reply::json(200, &json!({"done": "removed"})))
}
