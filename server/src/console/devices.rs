//! Devices and doors as pages and the API show them, and what both do with them.

use std::net::IpAddr;

use cardea_wire::reply::CommandKind;

use super::call::Call;
use super::desk::Desk;
use super::frame::lost_address;
use super::reply::Failure;
use super::route::encoded;
use crate::admin::devices::DeviceAsk;
use crate::admin::message::{NewDevice, Request, Response};
use crate::connect::firmware::Fetching;
use crate::limits::DEVICE_SILENT_S;
use crate::store::{Device, DeviceId, DeviceState, Door, token_hash};

/// How a device is, for who looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// To be commissioned.
    Waiting,
    /// Heard of within four heartbeats.
    Ready,
    /// Not heard of for longer.
    NotSeen,
    /// It knows the server by another address than the one that the server has or is to have.
    AddressChanged,
    /// An update is before it.
    Updating,
    /// It is told to forget its key at its next contact.
    Leaving,
}

impl Standing {
    /// Every one.
    pub(super) const ALL: [Self; 6] = [
        Self::Waiting,
        Self::Ready,
        Self::NotSeen,
        Self::AddressChanged,
        Self::Updating,
        Self::Leaving,
    ];

    /// Its name in texts and the API.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Ready => "ready",
            Self::NotSeen => "not-seen",
            Self::AddressChanged => "address-changed",
            Self::Updating => "updating",
            Self::Leaving => "leaving",
        }
    }

    /// Its pill.
    pub(super) fn kind(self) -> &'static str {
        match self {
            Self::Waiting | Self::Leaving => "none",
            Self::Ready => "good",
            Self::NotSeen | Self::AddressChanged => "bad",
            Self::Updating => "warning",
        }
    }
}

/// A device for who looks.
#[derive(Debug, Clone)]
pub(super) struct DeviceView {
    /// Its id.
    pub id: DeviceId,
    /// Its name.
    pub name: String,
    /// The name in a path.
    pub path: String,
    /// Its door's name.
    pub door: String,
    /// How it is.
    pub standing: Standing,
    /// When it was last heard of, Unix time in seconds.
    pub last_seen: Option<i64>,
    /// The firmware it named; empty for none.
    pub version: String,
    /// How far it has come with the firmware that it is told to fetch, since the server's start.
    pub fetching: Option<Fetching>,
    /// From where it was last heard of; empty for never.
    pub address: String,
    /// The end of its certificate, Unix time in seconds.
    pub certificate_until: Option<i64>,
    /// Whether it has a certificate.
    pub commissioned: bool,
}

/// All devices by name; those whose name or door has this text, if any.
pub(super) fn all(desk: &Desk, call: &Call, wanted: &str) -> Result<Vec<DeviceView>, Failure> {
    let doors = desk.read.store.doors()?;
    let update = CommandKind::Update as u8;
    let updating = desk.read.store.devices_with_waiting(update)?;
    let lost = lost_address(desk)?.is_some();
    let parts = desk.parts();
    let mut fetching = parts.firmware.fetching();
    let address = parts.address();
    let wanted = wanted.to_lowercase();
    let mut views: Vec<_> = desk
        .read
        .store
        .devices()?
        .into_iter()
        .map(|device| {
            let updating = updating.binary_search(&device.id).is_ok();
            let part = fetching.remove(&device.id.0).filter(|_| updating);
            let standing = standing(
                &device,
                updating,
                lost || left(&device, address),
                call.now_unix_s,
            );
            DeviceView {
                fetching: part,
                ..view(device, standing, &doors)
            }
        })
        .filter(|view| {
            let has = |text: &str| text.to_lowercase().contains(&wanted);
            wanted.is_empty() || has(&view.name) || has(&view.door)
        })
        .collect();
    views.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(views)
}

/// The device of a name.
pub(super) fn named(desk: &Desk, call: &Call, name: &str) -> Result<DeviceView, Failure> {
    let views = all(desk, call, "")?;
    let found = views.into_iter().find(|view| view.name == name);
    found.ok_or(Failure::NotFound)
}

fn view(device: Device, standing: Standing, doors: &[Door]) -> DeviceView {
    let door = doors.iter().find(|door| door.id == device.door);
    DeviceView {
        id: device.id,
        path: encoded(&device.name),
        name: device.name,
        door: door.map_or_else(String::new, |door| door.name.clone()),
        standing,
        last_seen: device.last_seen_unix_s,
        version: device.firmware.map_or_else(String::new, version),
        fetching: None,
        address: device.address.unwrap_or_default(),
        certificate_until: device.not_after_unix_s,
        commissioned: device.fingerprint.is_some(),
    }
}

fn standing(device: &Device, updating: bool, lost: bool, now_unix_s: i64) -> Standing {
    match device.state {
        DeviceState::Waiting => return Standing::Waiting,
        DeviceState::Leaving => return Standing::Leaving,
        DeviceState::Commissioned => {}
    }
    let heard = device
        .last_seen_unix_s
        .is_some_and(|at| now_unix_s - at <= DEVICE_SILENT_S);
    match (heard, lost, updating) {
        (_, true, _) => Standing::AddressChanged,
        (false, false, _) => Standing::NotSeen,
        (true, false, true) => Standing::Updating,
        (true, false, false) => Standing::Ready,
    }
}

/// Whether a device last came to another address than the server is to have.
fn left(device: &Device, address: IpAddr) -> bool {
    let local = device.local.as_deref().and_then(|local| local.parse().ok());
    local.is_some_and(|local: IpAddr| local != address)
}

/// `major << 16 | minor << 8 | patch` as people write it.
fn version(firmware: u32) -> String {
    let (major, minor, patch) = (firmware >> 16, firmware >> 8 & 0xff, firmware & 0xff);
    format!("{major}.{minor}.{patch}")
}

/// Adds a device; gives its commissioning code.
pub(super) fn add(desk: &Desk, call: &Call, name: &str, door: &str) -> Result<String, Failure> {
    let device = NewDevice {
        name: name.to_owned(),
        door: door.to_owned(),
    };
    let devices = vec![device];
    let code = single(desk.ask(call, Request::DeviceAdd { devices })?)?;
    desk.shared.codes.keep(name, code.clone());
    Ok(code)
}

/// Another commissioning code for a device.
pub(super) fn code(desk: &Desk, call: &Call, name: &str) -> Result<String, Failure> {
    let name = name.to_owned();
    let ask = DeviceAsk::Code { name: name.clone() };
    let code = single(desk.ask(call, Request::Devices { ask })?)?;
    desk.shared.codes.keep(&name, code.clone());
    Ok(code)
}

/// The last code of a reset for these colours.
pub(super) fn reset(
    desk: &Desk,
    call: &Call,
    name: &str,
    colours: &str,
) -> Result<String, Failure> {
    let (name, colours) = (name.to_owned(), colours.to_owned());
    let ask = DeviceAsk::Reset { name, colours };
    single(desk.ask(call, Request::Devices { ask })?)
}

/// Removes a device: at its next contact, or at once.
pub(super) fn remove(desk: &Desk, call: &Call, name: &str, at_once: bool) -> Result<(), Failure> {
    let name = name.to_owned();
    desk.shared.codes.forget(&name);
    let request = match at_once {
        true => Request::DeviceRemove { name },
        false => Request::Devices {
            ask: DeviceAsk::Decommission { name },
        },
    };
    desk.ask(call, request).map(drop)
}

/// The code that was last made for a device and still holds, with its end.
pub(super) fn shown_code(
    desk: &Desk,
    view: &DeviceView,
    now: i64,
) -> Result<Option<Shown>, Failure> {
    let Some((hash, until)) = desk.read.store.device_token_held(view.id)? else {
        return Ok(None);
    };
    let Some(text) = desk.shared.codes.of(&view.name) else {
        return Ok(None);
    };
    let code = cardea_wire::CommissioningCode::parse(&text);
    let holds = code.is_ok_and(|code| token_hash(&code.token) == hash);
    Ok((holds && until > now).then_some(Shown { text, until }))
}

/// A code that holds.
pub(super) struct Shown {
    /// The code.
    pub text: String,
    /// Until when, Unix time in seconds.
    pub until: i64,
}

/// The last cell of a table with one row.
fn single(response: Response) -> Result<String, Failure> {
    match response {
        Response::Table { mut rows, .. } => rows.pop().and_then(|mut row| row.pop()),
        Response::Done { .. } | Response::Error { .. } | Response::Staged { .. } => None,
    }
    .ok_or_else(|| Failure::Broken("the writer answered something else".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Swapping any two arms of `standing` fails this.
    #[test]
    fn a_device_stands_as_it_was_last_heard_of() {
        let mut device = Device {
            id: DeviceId(1),
            name: "d".to_owned(),
            door: crate::store::DoorId(1),
            state: DeviceState::Commissioned,
            fingerprint: Some([1; 32]),
            not_after_unix_s: None,
            previous: None,
            firmware: Some(0x0001_0203),
            last_seen_unix_s: Some(1_000),
            address: None,
            local: None,
            created_unix_s: 0,
        };
        let edge = 1_000 + DEVICE_SILENT_S;
        assert_eq!(standing(&device, false, false, edge), Standing::Ready);
        assert_eq!(standing(&device, true, false, edge), Standing::Updating);
        assert_eq!(standing(&device, true, false, edge + 1), Standing::NotSeen);
        let lost = standing(&device, true, true, edge + 1);
        assert_eq!(lost, Standing::AddressChanged);
        let here = IpAddr::from([127, 0, 0, 1]);
        assert!(!left(&device, here), "it never came");
        device.local = Some("127.0.0.2".to_owned());
        assert!(left(&device, here));
        device.last_seen_unix_s = None;
        assert_eq!(standing(&device, false, false, 0), Standing::NotSeen);
        device.state = DeviceState::Leaving;
        assert_eq!(standing(&device, false, false, 0), Standing::Leaving);
        assert_eq!(version(0x0001_0203), "1.2.3");
    }
}
