//! The device at work: commissioning, the connection, heartbeats, access requests, renewal.
//!
//! ```text
//! no identity --code--> commissioned --connect--> idle --heartbeat, access--> idle
//!      ^                                  ^ back-off |
//!      +--- command: decommission        +-- error -+
//! ```

use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use cardea_loadtest::blocking::Session;
use cardea_loadtest::client::Failure;
use cardea_loadtest::commission::{self, random_request_id};
use cardea_loadtest::http::Response;
use cardea_loadtest::identity::Identity;
use cardea_loadtest::tls;
use cardea_wire::enrol::LINK_PATH;
use cardea_wire::{CaptureCode, CaptureOrder, CommissioningCode, Reason, Reply, path};

use crate::device::{Action, Device};
use crate::firmware::{Download, Fetched, Offer};
use crate::light::Light;
use crate::limits::{BACK_OFF_FIRST, BACK_OFF_MAX, EXCHANGE_TIMEOUT};
use crate::reset::{Camera, Read};

/// What the device is told at its start.
#[derive(Debug)]
pub(crate) struct Orders {
    /// Where the identity lies, or will lie.
    pub(crate) identity: PathBuf,
    /// The commissioning code, for a device without an identity.
    pub(crate) code: Option<CommissioningCode>,
    /// Where codes appear that somebody shows the device.
    pub(crate) camera: Option<PathBuf>,
    /// Where the code appears that somebody shows who is to be enrolled.
    pub(crate) enrol_code: Option<PathBuf>,
    /// The face of who is to be enrolled: one to four embeddings.
    pub(crate) enrol_face: Vec<[u8; 2_048]>,
    /// Who comes to the door, one after another.
    pub(crate) embeddings: Vec<[u8; 2_048]>,
    /// Pause between two who come.
    pub(crate) access_every: Duration,
    /// Ends after so many messages to the server, whatever became of them; `None` never ends.
    pub(crate) messages: Option<u64>,
}

/// A running device; its lights and lines go to `out`.
#[derive(Debug)]
pub(crate) struct Simulator<W> {
    orders: Orders,
    device: Device,
    out: W,
    light: Option<Light>,
    session: Option<Session>,
    started: Instant,
    sent: u64,
    people: usize,
    // An address that the server will have, to be tried with the next message.
    next_server: Option<SocketAddr>,
    // The server has answered there.
    moved: Option<SocketAddr>,
    /// A code that was wrong is not sent again.
    wrong_code: Option<String>,
    camera: Camera,
    /// Firmware on its way.
    download: Option<Download>,
}

/// What is next.
enum Turn {
    Rest(Duration),
    Heartbeat,
    Access,
    Part,
}

impl<W: Write> Simulator<W> {
    pub(crate) fn new(orders: Orders, device: Device, out: W) -> Self {
        Self {
            orders,
            device,
            out,
            light: None,
            session: None,
            started: Instant::now(),
            sent: 0,
            people: 0,
            next_server: None,
            moved: None,
            wrong_code: None,
            download: None,
            camera: Camera::default(),
        }
    }

    /// Works until the messages are sent or the device is decommissioned.
    pub(crate) fn work(&mut self) -> Result<(), String> {
        let mut identity = self.commissioned()?;
        let mut back_off = BACK_OFF_FIRST;
        let mut next_heartbeat = Instant::now();
        let mut next_access = Instant::now();
        while self
            .orders
            .messages
            .is_none_or(|messages| self.sent < messages)
        {
            if self.look(&identity)? {
                return Ok(());
            }
            let now = Instant::now();
            let done = match self.turn(now, next_heartbeat, next_access) {
                Turn::Rest(rest) => {
                    thread::sleep(rest);
                    continue;
                }
                Turn::Heartbeat => {
                    next_heartbeat = now + Duration::from_secs(self.device.heartbeat_s().into());
                    self.heartbeat(&identity)
                }
                Turn::Access => {
                    next_access = now + self.orders.access_every;
                    self.access(&identity)
                }
                Turn::Part => {
                    let done = self.part(&identity);
                    if self.download.is_none() {
                        // It restarts with the new firmware, and says so.
                        self.session = None;
                        next_heartbeat = now;
                    }
                    done
                }
            };
            self.sent += 1;
            match done {
                Ok(actions) => {
                    back_off = BACK_OFF_FIRST;
                    if let Some(server) = self.moved.take() {
                        identity.server = server;
                        let saved = identity.save(&self.orders.identity);
                        saved.map_err(|error| error.to_string())?;
                        self.say(&format!("the server is at {server} now"))?;
                    }
                    if self.carry_out(&identity, actions)? {
                        return Ok(());
                    }
                    self.show(Light::Idle)?;
                    if let Some(renewed) = self.renewed(&identity)? {
                        identity = renewed;
                    }
                }
                Err(why) => {
                    self.session = None;
                    self.show(Light::Error)?;
                    self.say(&why)?;
                    thread::sleep(back_off);
                    back_off = (back_off * 2).min(BACK_OFF_MAX);
                }
            }
        }
        Ok(())
    }

    /// Whoever stands at the door goes before firmware.
    fn turn(&self, now: Instant, next_heartbeat: Instant, next_access: Instant) -> Turn {
        let nobody_comes = self.orders.embeddings.is_empty();
        if next_heartbeat <= now {
            return Turn::Heartbeat;
        }
        if !nobody_comes && next_access <= now {
            return Turn::Access;
        }
        if self.download.is_some() {
            return Turn::Part;
        }
        let next = match nobody_comes {
            true => next_heartbeat,
            false => next_heartbeat.min(next_access),
        };
        Turn::Rest(next - now)
    }

    /// Reads the code that is before the camera, if there is one; whether the device was reset.
    fn look(&mut self, identity: &Identity) -> Result<bool, String> {
        let shown = self.orders.camera.as_ref();
        let Some(text) = shown.and_then(|path| fs::read_to_string(path).ok()) else {
            return Ok(false);
        };
        let drawn = random_request_id().map_err(|error| error.to_string())?;
        match self.camera.read(&text, identity, Instant::now(), drawn.0) {
            Read::Nothing => {}
            Read::Health => self.show(Light::SelfTestPassed)?,
            Read::Colours(colours) => {
                self.show(Light::Rainbow)?;
                self.say(&format!("colours: {colours}"))?;
            }
            Read::Wrong(colours) => {
                self.show(Light::WrongCode)?;
                self.say(&format!("colours: {colours}"))?;
            }
            Read::Reset => {
                fs::remove_file(&self.orders.identity).map_err(|error| error.to_string())?;
                self.say("reset: key and certificate are forgotten")?;
                self.show(Light::WaitingForCommissioning)?;
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The identity from its file, or from the commissioning code.
    fn commissioned(&mut self) -> Result<Identity, String> {
        if self.orders.identity.exists() {
            return Identity::load(&self.orders.identity).map_err(|error| error.to_string());
        }
        self.show(Light::WaitingForCommissioning)?;
        let Some(code) = self.orders.code.clone() else {
            return Err("no identity and no commissioning code".to_owned());
        };
        self.show(Light::Connecting)?;
        let identity = match commission::commission(&code, EXCHANGE_TIMEOUT) {
            Ok(identity) => identity,
            Err(error) => {
                self.show(Light::WrongCode)?;
                return Err(error.to_string());
            }
        };
        let saved = identity.save(&self.orders.identity);
        saved.map_err(|error| error.to_string())?;
        self.show(Light::Commissioned)?;
        self.say(&format!("paired with door \"{}\"", identity.door))?;
        Ok(identity)
    }

    fn heartbeat(&mut self, identity: &Identity) -> Result<Vec<Action>, String> {
        let id = random_request_id().map_err(|error| error.to_string())?;
        let uptime_ms = self.started.elapsed().as_millis() as u64;
        let body = self.device.heartbeat(id, uptime_ms);
        let reply = self.exchange(identity, path::HEARTBEAT, &body)?;
        Ok(self.device.take(&reply))
    }

    fn access(&mut self, identity: &Identity) -> Result<Vec<Action>, String> {
        let embedding = self.orders.embeddings[self.people % self.orders.embeddings.len()];
        self.people += 1;
        let id = random_request_id().map_err(|error| error.to_string())?;
        let body = self.device.access(id, &embedding);
        if self.session.is_some() {
            self.show(Light::RequestingAccess)?;
        }
        let reply = self.exchange(identity, path::ACCESS, &body)?;
        Ok(self.device.take(&reply))
    }

    fn exchange(
        &mut self,
        identity: &Identity,
        target: &str,
        body: &[u8],
    ) -> Result<Reply, String> {
        let response = self.over(identity, |session| session.exchange(target, body))?;
        Reply::parse(&response.body).map_err(|error| format!("HTTP {}: {error}", response.status))
    }

    /// One exchange over the connection, or over a new one.
    fn over(
        &mut self,
        identity: &Identity,
        exchange: impl FnOnce(&mut Session) -> Result<Response, Failure>,
    ) -> Result<Response, String> {
        let mut session = match self.session.take() {
            Some(session) => session,
            None => self.connect(identity)?,
        };
        let response = exchange(&mut session).map_err(|failure| failure.to_string())?;
        if !response.close {
            self.session = Some(session);
        }
        Ok(response)
    }

    /// Begins to fetch firmware, or goes on after a cut; a download under way is not disturbed.
    fn fetch(&mut self, command: u32, offer: Offer) -> Result<(), String> {
        if self.download.as_ref().is_some_and(|now| now.offer == offer) {
            return Ok(());
        }
        let version = offer.version.clone();
        let opened = Download::open(&self.orders.identity, command, offer);
        let download = opened.map_err(|error| error.to_string())?;
        let (have, size) = (download.have(), download.offer.size);
        self.download = Some(download);
        self.say(&format!(
            "command: update to {version}, {have} of {size} bytes are here"
        ))
    }

    /// Fetches the next part of the firmware.
    fn part(&mut self, identity: &Identity) -> Result<Vec<Action>, String> {
        let Some(mut download) = self.download.take() else {
            return Ok(Vec::new());
        };
        let (path, from) = (download.offer.path.clone(), download.have());
        let fetched = self
            .over(identity, |session| session.part(&path, from))
            .and_then(|response| download.take(&response));
        let command = download.command;
        let actions = match &fetched {
            Ok(Fetched::Whole) => self.device.updated(command, &download.offer),
            Ok(Fetched::Refused(why)) => self.device.not_updated(command, why),
            // The same part is asked for again.
            Ok(Fetched::More) | Err(_) => {
                self.download = Some(download);
                Vec::new()
            }
        };
        fetched.map(|_| actions)
    }

    /// A connection to the server: at the address that it will have, if it is there already, else
    /// where it was.
    fn connect(&mut self, identity: &Identity) -> Result<Session, String> {
        self.show(Light::Connecting)?;
        let config = tls::commissioned(identity, true).map_err(|error| error.to_string())?;
        if let Some(next) = self.next_server.take()
            && let Ok(session) = Session::connect(Arc::clone(&config), next, EXCHANGE_TIMEOUT)
        {
            self.moved = Some(next);
            return Ok(session);
        }
        Session::connect(config, identity.server, EXCHANGE_TIMEOUT)
            .map_err(|failure| failure.to_string())
    }

    /// A renewed identity, once two thirds of the certificate's life are over by the server's
    /// clock.
    fn renewed(&mut self, identity: &Identity) -> Result<Option<Identity>, String> {
        let now = self.device.server_unix_s();
        if !now.is_some_and(|now| identity.is_due_for_renewal(now)) {
            return Ok(None);
        }
        let Some(session) = &mut self.session else {
            return Ok(None);
        };
        match commission::renew(identity, session) {
            Ok(renewed) => {
                let saved = renewed.save(&self.orders.identity);
                saved.map_err(|error| error.to_string())?;
                self.session = None;
                self.say("certificate renewed")?;
                Ok(Some(renewed))
            }
            Err(error) => {
                self.session = None;
                self.say(&format!("certificate not renewed: {error}"))?;
                Ok(None)
            }
        }
    }

    /// Carries out what a reply asked for; whether the device was decommissioned.
    fn carry_out(&mut self, identity: &Identity, actions: Vec<Action>) -> Result<bool, String> {
        let mut decommissioned = false;
        for action in actions {
            match action {
                Action::Show(light) => self.show(light)?,
                Action::Say(text) => self.say(&text)?,
                Action::Follow { command, server } if server == identity.server => {
                    self.device.done(command);
                }
                Action::Follow { server, .. } => {
                    self.next_server = Some(server);
                    self.session = None;
                }
                Action::ForgetIdentity => {
                    // The server removes the device once it says that this is done.
                    self.heartbeat(identity)?;
                    fs::remove_file(&self.orders.identity).map_err(|error| error.to_string())?;
                    decommissioned = true;
                }
                Action::Capture { order, command } => self.capture(identity, &order, command)?,
                Action::Fetch { command, offer } => self.fetch(command, offer)?,
            }
        }
        Ok(decommissioned)
    }

    /// Captures who is to be enrolled, if they show their code by now; the command comes again.
    fn capture(
        &mut self,
        identity: &Identity,
        order: &CaptureOrder,
        command: u32,
    ) -> Result<(), String> {
        let shown = self.orders.enrol_code.as_ref();
        let shown = shown.and_then(|path| fs::read_to_string(path).ok());
        let text = shown.as_deref().map(code_of).unwrap_or_default().to_owned();
        let code = CaptureCode::new(&text);
        let is_new = self.wrong_code.as_ref() != Some(&text);
        let (Ok(code), true, false) = (code, is_new, self.orders.enrol_face.is_empty()) else {
            self.show(Light::RequestingAccess)?;
            return self.say("command: capture; nobody shows a code");
        };
        self.say("command: capture")?;
        let id = random_request_id().map_err(|error| error.to_string())?;
        let body = self
            .device
            .enrolment(id, order, code, &self.orders.enrol_face);
        let reply = self.exchange(identity, path::ENROL, &body)?;
        if reply.reason == Reason::WrongCode {
            self.wrong_code = Some(text);
        }
        for action in self.device.take_enrolled(command, &reply) {
            match action {
                Action::Show(light) => self.show(light)?,
                Action::Say(text) => self.say(&text)?,
                Action::ForgetIdentity
                | Action::Capture { .. }
                | Action::Fetch { .. }
                | Action::Follow { .. } => {}
            }
        }
        Ok(())
    }

    /// One line per change of the light.
    fn show(&mut self, light: Light) -> Result<(), String> {
        if self.light == Some(light) {
            return Ok(());
        }
        self.light = Some(light);
        writeln!(self.out, "light: {light}").map_err(|error| error.to_string())
    }

    fn say(&mut self, text: &str) -> Result<(), String> {
        writeln!(self.out, "  {text}").map_err(|error| error.to_string())
    }
}

/// What a code is in what was shown: the code itself, or what an invitation's address ends in.
fn code_of(shown: &str) -> &str {
    let shown = shown.trim();
    let token = shown
        .split_once(LINK_PATH)
        .map_or(shown, |(_, token)| token);
    token.split(['/', '?', '#']).next().unwrap_or_default()
}

#[cfg(test)]
mod tests;
