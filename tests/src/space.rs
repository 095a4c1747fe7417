//! The simulator of Space as a process, and a site whose doors it opens.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use cardea_wire::{Decision, Reason, Reply};
use serde_json::{Value, json};

use crate::admin::{Admin, person};
use crate::device::Device;
use crate::face::face;
use crate::process::Process;
use crate::programs::program;
use crate::site::{Server, Site};

/// Nothing waits this long unless it hangs.
const HANGS_AFTER: Duration = Duration::from_secs(60);
/// Between two looks at what nobody can wait for. It only spares the machine: nothing depends on
/// how long it is.
const BETWEEN_LOOKS: Duration = Duration::from_millis(10);
/// People who are imported with one request.
const IMPORTED_AT_ONCE: usize = 50;
/// Rows of the audit that are read at once.
const AUDIT_ROWS: usize = 1_000;

/// Looks until `is_so`.
///
/// # Panics
/// If it never is.
pub fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < HANGS_AFTER, "never: {what}");
        thread::park_timeout(BETWEEN_LOOKS);
    }
}

/// A running simulator.
pub struct Space {
    process: Process,
    described: Value,
}

impl Space {
    /// Starts a simulator: users `P0`, `P1`, .. who all may pass all doors, 20001, 20002, ..
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new(program("space-sim"));
        command
            .args(["--https", "0", "--tcp", "0", "--control", "0", "--no-stdin"])
            .args(["--user-id", "P{n}"])
            .args(arguments);
        let mut process = Process::start(&mut command);
        let line = process.line(|line| line.starts_with('{'));
        let described = serde_json::from_str(&line).expect("the simulator speaks JSON");
        Self { process, described }
    }

    fn field(&self, name: &str) -> &str {
        self.described[name].as_str().expect("a text")
    }

    /// Host and port of SHIP over HTTPS, or over TCP.
    #[must_use]
    pub fn host_and_port(&self, transport: &str) -> (String, String) {
        let (host, port) = self.field(transport).rsplit_once(':').expect("an address");
        (host.to_owned(), port.to_owned())
    }

    /// The certificate's fingerprint at the start.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        self.field("fingerprint").to_owned()
    }

    /// Has the simulator do something; see its `--help`.
    ///
    /// # Panics
    /// If it refuses or has ended.
    pub fn command(&self, command: &str) -> Value {
        let mut socket = TcpStream::connect(self.field("control")).unwrap_or_else(|error| {
            panic!("{error}\n{}", self.process.log());
        });
        let length = command.len();
        write!(
            socket,
            "POST / HTTP/1.1\r\nContent-Length: {length}\r\n\r\n{command}"
        )
        .expect("it listens");
        let mut answer = String::new();
        socket.read_to_string(&mut answer).expect("it answers");
        let (head, body) = answer.split_once("\r\n\r\n").expect("HTTP");
        assert!(head.starts_with("HTTP/1.1 200 "), "{command}: {body}");
        serde_json::from_str(body).expect("JSON")
    }

    /// Every `OnlineDoor.Open` that reached it.
    ///
    /// # Panics
    /// If it has ended.
    #[must_use]
    pub fn ledger(&self) -> Vec<Value> {
        let ledger = self.command("ledger");
        ledger.as_array().expect("a list").clone()
    }

    /// How often it was asked to open each door, and how often it did.
    ///
    /// # Panics
    /// If it has ended.
    #[must_use]
    pub fn by_door(&self) -> BTreeMap<String, Opens> {
        let mut by_door: BTreeMap<String, Opens> = BTreeMap::new();
        for entry in self.ledger() {
            let door = entry["door"].as_str().expect("a door").to_owned();
            let opens = by_door.entry(door).or_default();
            opens.asked += 1;
            opens.opened += usize::from(entry["opened"] == true);
        }
        by_door
    }

    /// From now on it writes `to` wherever it would have written `from`.
    pub fn rewrite(&self, from: &str, to: &str) {
        self.command(&format!("rewrite {}", json!([from, to])));
    }

    /// Ends what was rewritten.
    ///
    /// # Panics
    /// If something of it never stood in an answer: then a test has shown nothing.
    pub fn write_plainly(&self) {
        let ended = self.command("rewrite");
        let made = ended["made"].as_array().expect("a list");
        assert!(made.iter().all(|made| *made != 0), "rewritten: {ended}");
    }

    /// Tells the site's server how to reach it, by HTTPS and fingerprint.
    ///
    /// # Panics
    /// If that is refused.
    pub fn connect(&self, site: &Site, fingerprint: &str) {
        let (host, port) = self.host_and_port("https");
        let key = self.key_file(site);
        let where_it_is = ["space", "set", "--host", &host, "--port", &port];
        let how = ["--fingerprint", fingerprint, "--ship-key-file", &key];
        site.done(&[&where_it_is[..], &how].concat());
    }

    /// A file with its SHIP key.
    ///
    /// # Panics
    /// If it cannot be written.
    #[must_use]
    pub fn key_file(&self, site: &Site) -> String {
        let file = site.file("ship.key");
        std::fs::write(&file, self.field("key")).expect("written");
        file.to_str().expect("a path in ASCII").to_owned()
    }
}

/// What a door was asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Opens {
    /// `OnlineDoor.Open` for it.
    pub asked: usize,
    /// Of these, opened.
    pub opened: usize,
}

/// A site, its server, and the Space that opens its doors. People `P0`.. have the faces of their
/// numbers.
pub struct SpaceSite {
    /// The server; first, so that it ends first.
    pub server: Server,
    /// The site.
    pub site: Site,
    /// The simulator.
    pub space: Space,
    /// The administration socket.
    pub admin: Admin,
}

impl SpaceSite {
    /// A running site with `people` enrolled, connected and synced, over HTTPS.
    #[must_use]
    pub fn start(people: u64, configuration: &[(&str, &str)], simulator: &[&str]) -> Self {
        let mut started = Self::unconnected(people, configuration, simulator);
        let fingerprint = started.space.fingerprint();
        started.space.connect(&started.site, &fingerprint);
        started.await_syncs(1);
        started
    }

    /// The same, where nobody has told the server of Space yet.
    ///
    /// # Panics
    /// If something does not start.
    #[must_use]
    pub fn unconnected(people: u64, configuration: &[(&str, &str)], simulator: &[&str]) -> Self {
        let space = Space::start(simulator);
        let site = Site::with(configuration);
        let server = site.serve();
        let mut admin = server.admin();
        let people: Vec<_> = (0..people)
            .map(|number| person(&format!("P{number}"), &face(number)))
            .collect();
        let mut requests = vec![json!({"do": "import_begin"})];
        let parts = people.chunks(IMPORTED_AT_ONCE);
        requests.extend(parts.map(|people| json!({"do": "import_add", "people": people})));
        requests.push(json!({"do": "import_commit"}));
        for request in requests {
            let reply = admin.ask(&request).expect("the server runs");
            assert_ne!(reply["is"], "error", "{reply}");
        }
        Self {
            server,
            site,
            space,
            admin,
        }
    }

    /// Follows the server after it was started again.
    pub fn follow(&mut self, server: Server) {
        self.admin = server.admin();
        self.server = server;
    }

    /// A commissioned device at the door that Space calls so.
    ///
    /// # Panics
    /// If Space has no such door.
    #[must_use]
    pub fn device(&mut self, ext_door: u32) -> Device {
        let devices = self.devices(ext_door..=ext_door);
        devices.into_iter().next().expect("one was asked for")
    }

    /// Commissioned devices, one at each of Space's doors in the range.
    ///
    /// # Panics
    /// If Space has no such doors.
    #[must_use]
    pub fn devices(&mut self, ext_doors: std::ops::RangeInclusive<u32>) -> Vec<Device> {
        let doors: BTreeMap<String, String> = self
            .rows("space_doors")
            .into_iter()
            .map(|row| (row[1].clone(), row[0].clone()))
            .collect();
        let wanted: Vec<_> = ext_doors
            .map(|door| {
                let name = doors.get(&door.to_string()).expect("a door of Space's");
                json!({"name": format!("at {door}"), "door": name})
            })
            .collect();
        let added = self.ask(&json!({"do": "device_add", "devices": wanted}));
        rows_of(&added)
            .into_iter()
            .map(|row| Device::commission(&row[1]))
            .collect()
    }

    /// Asks the administration socket.
    ///
    /// # Panics
    /// If the server has ended.
    pub fn ask(&mut self, request: &Value) -> Value {
        self.admin.ask(request).expect("the server runs")
    }

    /// The rows of a table.
    ///
    /// # Panics
    /// If it is none.
    pub fn rows(&mut self, request: &str) -> Vec<Vec<String>> {
        rows_of(&self.ask(&json!({ "do": request })))
    }

    /// A line of `cardea space status`.
    pub fn status(&mut self, fact: &str) -> String {
        let rows = self.rows("space_status");
        let row = rows.into_iter().find(|row| row[0] == fact);
        row.map(|mut row| row.remove(1)).unwrap_or_default()
    }

    /// How many syncs have come into force.
    ///
    /// # Panics
    /// If the status does not say so.
    pub fn syncs(&mut self) -> u64 {
        let syncs = self.status("syncs since the start");
        syncs.parse().unwrap_or(0)
    }

    /// Waits until so many syncs are in force, and stored.
    pub fn await_syncs(&mut self, syncs: u64) {
        until("synced", || self.syncs() >= syncs);
    }

    /// Syncs once more, beginning after now.
    pub fn sync(&mut self) {
        // One that is under way may have read the old state.
        for _ in 0..2 {
            let before = self.syncs();
            self.ask(&json!({"do": "space_sync"}));
            self.await_syncs(before + 1);
        }
    }

    /// Waits until the card shows this.
    pub fn await_status(&mut self, shown: &str) {
        until(shown, || self.status("status") == shown);
    }

    /// The audit: door, device, decision and person of each attempt, oldest first.
    pub fn audit(&mut self) -> Vec<Attempt> {
        let mut pages = Vec::new();
        let mut before: Option<u64> = None;
        loop {
            let request = json!({"do": "audit_tail", "count": AUDIT_ROWS, "before": before});
            let page = rows_of(&self.ask(&request));
            before = page.first().and_then(|row| row[0].parse().ok());
            let is_last = page.len() < AUDIT_ROWS;
            pages.push(page);
            if is_last {
                break;
            }
        }
        let rows = pages.into_iter().rev().flatten();
        // Other rows tell of changes.
        rows.filter(|row| row[3].starts_with("at "))
            .map(|row| Attempt {
                door: row[3].trim_start_matches("at ").to_owned(),
                decision: row[4].clone(),
                person: row[5].clone(),
            })
            .collect()
    }

    /// Waits until no attempt is under way.
    pub fn settle(&mut self) {
        until("every attempt has its outcome", || {
            let audit = self.audit();
            audit.iter().all(|attempt| attempt.decision != "in flight")
        });
    }

    /// Compares Space's ledger with the audit, door by door: what was granted opened, once each,
    /// and nothing was asked that is not recorded.
    ///
    /// # Panics
    /// If they do not agree.
    pub fn compare(&mut self) {
        self.settle();
        let audit = self.audit();
        let ledger = self.space.by_door();
        let count = |door: &str, is_it: fn(&str) -> bool| {
            let of_door = audit.iter().filter(|attempt| attempt.door == door);
            of_door.filter(|attempt| is_it(&attempt.decision)).count()
        };
        let mut doors: Vec<_> = audit.iter().map(|attempt| attempt.door.as_str()).collect();
        doors.extend(ledger.keys().map(String::as_str));
        doors.sort_unstable();
        doors.dedup();
        for door in doors {
            let opens = ledger.get(door).copied().unwrap_or_default();
            let granted = count(door, |decision| decision == "granted");
            let unknown = count(door, is_unknown);
            let refused = count(door, |decision| {
                decision.ends_with(Reason::SpaceRefused.text())
            });
            let what = format!("door {door}: {opens:?}, {granted} granted, {unknown} unknown");
            assert!(opens.opened >= granted, "granted and not opened: {what}");
            assert!(opens.opened <= granted + unknown, "unrecorded: {what}");
            assert!(
                opens.asked <= granted + unknown + refused,
                "asked twice: {what}"
            );
        }
    }
}

/// An attempt as the audit tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// Space's name for the door.
    pub door: String,
    /// `granted`, or `denied: ` and why, or how it stands.
    pub decision: String,
    /// Who matched.
    pub person: String,
}

fn is_unknown(decision: &str) -> bool {
    decision.ends_with(Reason::OutcomeUnknown.text()) || decision == "interrupted"
}

fn rows_of(reply: &Value) -> Vec<Vec<String>> {
    let rows = serde_json::from_value(reply["rows"].clone());
    rows.unwrap_or_else(|error| panic!("{error}: {reply}"))
}

/// What a reply decides, and why.
#[must_use]
pub fn verdict(reply: &Reply) -> (Decision, Reason) {
    (reply.decision, reply.reason)
}

/// What grants.
pub const GRANTED: (Decision, Reason) = (Decision::Granted, Reason::None);

/// A denial for this reason.
#[must_use]
pub fn denied(reason: Reason) -> (Decision, Reason) {
    (Decision::Denied, reason)
}
