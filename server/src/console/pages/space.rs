//! The options of the integration with Space.

use askama::Template;

use crate::admin::message::{Request, SpaceKey};
use crate::console::call::Call;
use crate::console::desk::Desk;
use crate::console::form::Form;
use crate::console::frame::{Frame, Notice};
use crate::console::integrations::space::{self, Saved, Seen, Synced};
use crate::console::integrations::{self, Name, State};
use crate::console::reply::{self, Failure, html_with, redirect};
use crate::console::route::{Route, get, post};
use crate::net::Response;
use crate::space::{SpaceSetup, SpaceTrust, Transport};
use crate::store::Scope;

pub(super) const ROUTES: &[Route] = &[
    get(HERE, Scope::Read, page),
    post(HERE, Scope::Integrations, save),
    post(
        "/console/integrations/space/test",
        Scope::Integrations,
        test,
    ),
    post(
        "/console/integrations/space/sync",
        Scope::Integrations,
        sync,
    ),
    post(
        "/console/integrations/space/key/{}",
        Scope::Integrations,
        rotate,
    ),
    post(
        "/console/integrations/space/remove",
        Scope::Integrations,
        remove,
    ),
    get(
        "/console/integrations/space/install-script",
        Scope::Integrations,
        install_script,
    ),
];

const HERE: &str = "/console/integrations/space";
/// The port of Space's web service, if nothing is said.
const PORT: u16 = 8_100;

#[derive(Template)]
#[template(path = "space.html")]
struct SpacePage {
    f: Frame,
    state: State,
    /// What the form shows.
    entered: Entered,
    ship_key: String,
    options: Options,
    checks: Vec<(&'static str, Seen)>,
    synced: Option<Synced>,
    dialog: String,
}

/// The fields of the form.
#[derive(Default)]
struct Entered {
    host: String,
    port: String,
    over_tcp: bool,
    fingerprint: String,
    ca_pem: String,
    email_field: u8,
}

/// What Space's Face recognition tab is given.
struct Options {
    address: String,
    port: u16,
    face_key: String,
}

impl Entered {
    fn of_setup(setup: &SpaceSetup) -> Self {
        let (fingerprint, ca_pem) = match &setup.trust {
            Some(SpaceTrust::Fingerprint(text)) => (text.clone(), String::new()),
            Some(SpaceTrust::CaPem(pem)) => (String::new(), pem.clone()),
            None => Default::default(),
        };
        Self {
            host: setup.host.clone(),
            port: setup.port.to_string(),
            over_tcp: setup.transport == Transport::Tcp,
            fingerprint,
            ca_pem,
            email_field: setup.email_field.unwrap_or(0),
        }
    }

    fn of_form(form: &Form) -> Self {
        Self {
            host: form.text("host").to_owned(),
            port: form.text("port").to_owned(),
            over_tcp: form.text("transport") == "tcp",
            fingerprint: form.text("fingerprint").to_owned(),
            ca_pem: form.text("ca_pem").to_owned(),
            email_field: form.text("email_field").parse().unwrap_or(0),
        }
    }

    /// Whether the e-mail address is in this field.
    fn is_field(&self, number: &u8) -> bool {
        self.email_field == *number
    }

    /// What the writer is asked to store.
    fn setup(&self, call: &Call) -> Result<SpaceSetup, Failure> {
        let refused = |key| Failure::Refused(call.t(key).to_owned());
        if self.host.is_empty() {
            return Err(refused("space.no-host"));
        }
        let port = self.port.parse().ok().filter(|port| *port > 0);
        let trust = match (
            self.over_tcp,
            self.ca_pem.is_empty(),
            self.fingerprint.is_empty(),
        ) {
            (true, ..) | (false, true, true) => None,
            (false, false, _) => Some(SpaceTrust::CaPem(self.ca_pem.clone())),
            (false, true, false) => Some(SpaceTrust::Fingerprint(self.fingerprint.clone())),
        };
        Ok(SpaceSetup {
            host: self.host.clone(),
            port: port.ok_or_else(|| refused("space.no-port"))?,
            transport: match self.over_tcp {
                true => Transport::Tcp,
                false => Transport::Https,
            },
            trust,
            email_field: (1..=5)
                .contains(&self.email_field)
                .then_some(self.email_field),
            ship_key: call.form.text("ship_key").to_owned(),
            face_key: String::new(),
        })
    }
}

fn page(desk: &mut Desk, call: &Call) -> Result<Response, Failure> {
    let setup = space::setup(desk)?;
    let entered = setup.as_ref().map(Entered::of_setup);
    let entered = entered.unwrap_or_else(|| Entered {
        port: PORT.to_string(),
        ..Entered::default()
    });
    show(desk, call, 200, entered, None)
}

fn show(
    desk: &Desk,
    call: &Call,
    status: u16,
    entered: Entered,
    notice: Option<Notice>,
) -> Result<Response, Failure> {
    let mut f = Frame::new(desk, call, "integrations");
    f.notice = notice.or(f.notice);
    let (setup, state, parts) = (space::setup(desk)?, space::state(desk)?, desk.parts());
    let checks = space::checks(desk, setup.as_ref(), &state);
    // Keys are for those who may set them.
    let keys = setup.filter(|_| call.who.may(Scope::Integrations));
    let (ship_key, face_key) = keys
        .map(|setup| (setup.ship_key, setup.face_key))
        .unwrap_or_default();
    let page = SpacePage {
        f,
        state,
        entered,
        ship_key: match call.form.has("ship_key") {
            true => call.form.text("ship_key").to_owned(),
            false => ship_key,
        },
        options: Options {
            address: parts.address().to_string(),
            port: parts.port,
            face_key,
        },
        checks,
        synced: space::synced(desk),
        dialog: call.query.text("dialog").to_owned(),
    };
    html_with(status, &page)
}

fn save(desk: &mut Desk, call: &Call) -> Result<Response, Failure> {
    let mut entered = Entered::of_form(&call.form);
    let saved = entered
        .setup(call)
        .and_then(|setup| space::save(desk, call, setup));
    match saved {
        Ok(Saved::Shows(fingerprint)) => {
            entered.fingerprint = fingerprint.to_string();
            let notice = Notice::warning(call.t("space.compare"));
            show(desk, call, 200, entered, Some(notice))
        }
        Ok(Saved::Hidden(why)) => {
            let text = call.language.filled("space.hidden", &[("0", &why)]);
            show(desk, call, 422, entered, Some(Notice::bad(text)))
        }
        Ok(saved) => {
            tell(desk, call, saved);
            Ok(redirect(HERE))
        }
        Err(Failure::Refused(why)) => show(desk, call, 422, entered, Some(Notice::bad(why))),
        Err(failure) => Err(failure),
    }
}

fn tell(desk: &Desk, call: &Call, saved: Saved) {
    let notice = match saved {
        Saved::Connected => Notice::good(call.t("space.saved")),
        Saved::Unauthorized => Notice::warning(call.t("space.saved-unauthorized")),
        Saved::Disconnected(why) | Saved::Hidden(why) => {
            let places = [("0", &*why)];
            Notice::warning(call.language.filled("space.saved-disconnected", &places))
        }
        Saved::Shows(_) => Notice::warning(call.t("space.compare")),
    };
    desk.tell(call, notice);
}

fn test(desk: &mut Desk, call: &Call) -> Result<Response, Failure> {
    let saved = space::test(desk, call.deadline)?;
    tell(desk, call, saved);
    Ok(redirect(HERE))
}

fn sync(desk: &mut Desk, call: &Call) -> Result<Response, Failure> {
    match desk.ask(call, Request::SpaceSync) {
        Ok(_) => desk.tell(call, Notice::good(call.t("space.syncing"))),
        Err(Failure::Refused(why)) => desk.tell(call, Notice::bad(why)),
        Err(failure) => return Err(failure),
    }
    Ok(redirect(HERE))
}

fn rotate(desk: &mut Desk, call: &Call) -> Result<Response, Failure> {
    let (key, text) = match call.place() {
        "face" => (SpaceKey::Face, "space.new-face-key"),
        "ship" => (SpaceKey::Ship, "space.new-ship-key"),
        _ => return Err(Failure::NotFound),
    };
    space::rotate(desk, call, key)?;
    desk.tell(call, Notice::warning(call.t(text)));
    Ok(redirect(HERE))
}

fn remove(desk: &mut Desk, call: &Call) -> Result<Response, Failure> {
    desk.ask(call, Request::SpaceRemove)?;
    integrations::forget(desk, call, Name::Space)?;
    desk.tell(call, Notice::good(call.t("space.removed")));
    Ok(redirect("/console/integrations"))
}

fn install_script(desk: &mut Desk, call: &Call) -> Result<Response, Failure> {
    let script = space::install_script(desk, call)?;
    let kind = "text/plain; charset=utf-8";
    Ok(reply::file("Install-CardeaSpace.ps1", kind, script))
}
