//! The QR codes that a device's camera is shown: commissioning, health check, reset.

use askama::Template;
use cardea_wire::reset::{HEALTH_CODE, RESET_BEGIN};

use crate::console::call::Call;
use crate::console::desk::Desk;
use crate::console::devices::{self, DeviceView, Standing};
use crate::console::frame::{Frame, Notice};
use crate::console::qr;
use crate::console::reply::{Failure, html, html_with, redirect};
use crate::console::route::{Route, encoded, get, post};
use crate::net::Response;
use crate::store::Scope;

pub(super) const ROUTES: &[Route] = &[
    get("/console/devices/{}/commission", Scope::Devices, commission),
    post("/console/devices/{}/code", Scope::Devices, code),
    get("/console/devices/{}/reset", Scope::Devices, reset),
    post("/console/devices/{}/reset", Scope::Devices, reset_end),
    get("/console/health-check", Scope::Read, health),
];

#[derive(Template)]
#[template(path = "device_code.html")]
struct CodePage {
    f: Frame,
    device: DeviceView,
    commissioned: bool,
    code: Option<(String, String, i64)>,
    address: String,
}

#[derive(Template)]
#[template(path = "device_health.html")]
struct HealthPage {
    f: Frame,
    code: String,
}

#[derive(Template)]
#[template(path = "device_reset.html")]
struct ResetPage {
    f: Frame,
    device: DeviceView,
    begin: String,
    colours: String,
    last: Option<String>,
}

fn commission(desk: &mut Desk, call: &Call) -> Result<Response, Failure> {
    let device = devices::named(desk, call, call.place())?;
    let shown = devices::shown_code(desk, &device, call.now_unix_s)?;
    let code = match shown {
        Some(shown) => {
            let picture = qr::svg(&shown.text, call.t("devices.code-picture"))?;
            Some((picture, shown.text, shown.until))
        }
        None => None,
    };
    let commissioned = match device.standing {
        Standing::Waiting => false,
        Standing::Ready
        | Standing::NotSeen
        | Standing::AddressChanged
        | Standing::Updating
        | Standing::Leaving => code.is_none(),
    };
    let parts = desk.parts();
    html(&CodePage {
        f: Frame::new(desk, call, "devices"),
        address: format!("{}:{}", parts.address(), parts.port),
        device,
        commissioned,
        code,
    })
}

fn code(desk: &mut Desk, call: &Call) -> Result<Response, Failure> {
    devices::code(desk, call, call.place())?;
    let name = encoded(call.place());
    Ok(redirect(&format!("/console/devices/{name}/commission")))
}

fn health(desk: &mut Desk, call: &Call) -> Result<Response, Failure> {
    html(&HealthPage {
        f: Frame::new(desk, call, "devices"),
        code: qr::svg(HEALTH_CODE, call.t("devices.health"))?,
    })
}

fn reset(desk: &mut Desk, call: &Call) -> Result<Response, Failure> {
    reset_page(desk, call, Ok(None))
}

fn reset_end(desk: &mut Desk, call: &Call) -> Result<Response, Failure> {
    let colours = call.form.text("colours");
    match devices::reset(desk, call, call.place(), colours) {
        Ok(last) => reset_page(desk, call, Ok(Some(last))),
        Err(Failure::Refused(why)) => reset_page(desk, call, Err(why)),
        Err(failure) => Err(failure),
    }
}

fn reset_page(
    desk: &Desk,
    call: &Call,
    last: Result<Option<String>, String>,
) -> Result<Response, Failure> {
    let mut f = Frame::new(desk, call, "devices");
    let status = if last.is_err() { 422 } else { 200 };
    let last = last.unwrap_or_else(|why| {
        f.notice = Some(Notice::bad(why));
        None
    });
    let picture = |text: &str| qr::svg(text, call.t("devices.code-picture"));
    let page = ResetPage {
        f,
        device: devices::named(desk, call, call.place())?,
        begin: picture(RESET_BEGIN)?,
        colours: call.form.text("colours").to_owned(),
        last: last.as_deref().map(picture).transpose()?,
    };
    html_with(status, &page)
}
