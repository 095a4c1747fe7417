//! A real MQTT broker (mosquitto) with client certificates, the test authority beside it, and who
//! listens there.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::admin::Admin;
use crate::process::Process;
use crate::programs::program;
use crate::site::Site;
use crate::space::until;

/// Nothing waits this long unless it hangs.
const HANGS_AFTER: Duration = Duration::from_secs(60);
/// Between two starts of a listener that has lost the broker; it only spares the machine.
const BETWEEN_STARTS: Duration = Duration::from_millis(200);

/// A broker and an authority; both end with this.
pub struct Broker {
    folder: tempfile::TempDir,
    /// The broker's port.
    pub port: u16,
    broker: Option<Process>,
    authority: Option<Process>,
    authority_port: u16,
}

impl Default for Broker {
    fn default() -> Self {
        Self::new()
    }
}

impl Broker {
    /// A broker that listens, and an authority with these further arguments of `serve`.
    #[must_use]
    pub fn new() -> Self {
        Self::with(&[])
    }

    /// The same, with these arguments of the authority.
    ///
    /// # Panics
    /// If something does not start.
    #[must_use]
    pub fn with(arguments: &[&str]) -> Self {
        let mut broker = Self {
            folder: tempfile::tempdir().expect("a temporary folder"),
            port: free_port(),
            broker: None,
            authority: None,
            authority_port: 0,
        };
        broker.authority(&["init", &broker.path()]);
        broker.issue("client", "operator", "operator", 86_400);
        broker.write_config("broker");
        broker.start();
        broker.serve(arguments);
        broker
    }

    /// The folder of the authority: certificates, `updates`, `diagnostics`.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn path(&self) -> String {
        self.folder().to_string_lossy().into_owned()
    }

    /// A file of the folder as text.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.folder().join(name)).expect("the authority wrote it")
    }

    /// Starts the authority again, with these arguments of `serve`.
    ///
    /// # Panics
    /// If it does not start.
    pub fn serve(&mut self, arguments: &[&str]) {
        self.authority = None;
        let (port, broker_port) = (self.authority_port.to_string(), self.port.to_string());
        let mut command = Command::new(program("connect-authority"));
        command.args(["serve", &self.path(), "--port", &port]);
        command
            .args(["--broker-port", &broker_port])
            .args(arguments);
        let mut process = Process::start(&mut command);
        let line = process.line(|line| line.starts_with('{'));
        let said: Value = serde_json::from_str(&line).expect("it speaks JSON");
        let port = said["port"].as_u64().expect("a port");
        self.authority_port = u16::try_from(port).expect("a port has 16 bits");
        self.authority = Some(process);
    }

    /// Runs the authority's program.
    ///
    /// # Panics
    /// If it fails.
    pub fn authority(&self, arguments: &[&str]) -> String {
        let output = Command::new(program("connect-authority"))
            .args(arguments)
            .output()
            .expect("it runs");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {error}");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Issues a certificate for a `client` or a `server`, into files of this name.
    pub fn issue(&self, kind: &str, of: &str, name: &str, life_s: i64) {
        let life = life_s.to_string();
        self.authority(&[kind, &self.path(), of, name, "--life-s", &life]);
    }

    /// Revokes a certificate; the broker knows when it starts again.
    pub fn revoke(&self, name: &str) {
        let file = self.folder().join(format!("{name}.pem"));
        self.authority(&["revoke", &self.path(), &file.to_string_lossy()]);
    }

    /// Has the broker show this certificate from its next start on.
    ///
    /// # Panics
    /// If the file cannot be written.
    pub fn write_config(&self, certificate: &str) {
        let path = self.path();
        let config = format!(
            "listener {} 127.0.0.1\ncafile {path}/ca.pem\ncertfile {path}/{certificate}.pem\n\
             keyfile {path}/{certificate}.key\ncrlfile {path}/crl.pem\nrequire_certificate true\n\
             use_identity_as_username true\nacl_file {path}/acl\npersistence true\n\
             persistence_location {path}/\nmax_queued_messages 0\nuser root\nlog_dest stderr\n",
            self.port
        );
        fs::write(self.folder().join("mosquitto.conf"), config).expect("written");
        let acl = "user operator\ntopic readwrite #\npattern readwrite cardea/v1/%u/#\n";
        fs::write(self.folder().join("acl"), acl).expect("written");
        private(&self.folder().join("acl"));
    }

    /// Starts the broker.
    ///
    /// # Panics
    /// If it does not listen. `tools/test connect` installs what it needs.
    pub fn start(&mut self) {
        let mut command = Command::new(sbin("mosquitto"));
        command.arg("-c").arg(self.folder().join("mosquitto.conf"));
        let process = Process::start(&mut command);
        until("the broker listens", || {
            TcpStream::connect(("127.0.0.1", self.port)).is_ok()
        });
        self.broker = Some(process);
    }

    /// Stops the broker in good order; it keeps its sessions.
    pub fn stop(&mut self) {
        if let Some(mut broker) = self.broker.take() {
            broker.terminate();
            broker.wait();
        }
    }

    /// A code for a site to join with.
    #[must_use]
    pub fn code(&self, site: &str) -> String {
        let port = self.authority_port.to_string();
        self.authority(&["code", &self.path(), site, "--port", &port])
    }

    /// Has a site join under this id, and waits until it is connected.
    pub fn join(&self, site: &Site, id: &str) {
        site.done(&["connect", "join", &self.code(id)]);
        until("the site is connected", || status(site) == "Connected");
    }

    /// The set-up of a site as the administration socket takes it, with a certificate from the
    /// folder.
    #[must_use]
    pub fn setup(&self, id: &str, certificate: &str) -> Value {
        json!({"do": "connect_set", "setup": {
            "site": id,
            "broker_host": "127.0.0.1",
            "broker_port": self.port,
            "ca": self.read("ca.pem"),
            "certificate": self.read(&format!("{certificate}.pem")),
            "key": self.read(&format!("{certificate}.key")),
            "crl": self.read("crl.pem"),
            "authority_url": format!("https://127.0.0.1:{}", self.authority_port),
            "authority_ca": self.read("ca.pem"),
            "update_keys": [],
        }})
    }

    fn client(&self, tool: &str) -> Command {
        let mut command = Command::new(tool);
        command
            .args(["-h", "127.0.0.1", "-p", &self.port.to_string()])
            .arg("--cafile")
            .arg(self.folder().join("ca.pem"))
            .arg("--cert")
            .arg(self.folder().join("operator.pem"))
            .arg("--key")
            .arg(self.folder().join("operator.key"));
        command
    }

    /// Listens to everything from now on; also to what comes while the broker or the listener is
    /// away.
    ///
    /// # Panics
    /// If that does not start.
    #[must_use]
    pub fn listen(&self) -> Listener {
        let session = ["-i", "operator-listens", "-c", "-q", "1", "-t", "#"];
        let mut first = self.client("mosquitto_sub");
        let output = first.args(session).arg("-E").output().expect("it runs");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{error}");
        let mut command = self.client("mosquitto_sub");
        command.args(session).args(["-F", "%t %p"]);
        // Commands are our own, and may be anything but text.
        command.args(["-T", "cardea/v1/+/command"]);
        Listener {
            process: Process::start(&mut command),
            command,
            heard: Vec::new(),
        }
    }

    /// Publishes a message.
    ///
    /// # Panics
    /// If the broker does not take it.
    pub fn publish(&self, topic: &str, payload: &[u8]) {
        let file = self.folder().join("payload");
        fs::write(&file, payload).expect("written");
        let mut command = self.client("mosquitto_pub");
        let output: Output = command
            .args(["-q", "1", "-t", topic, "-f"])
            .arg(&file)
            .output()
            .expect("it runs");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{error}");
    }

    /// Publishes each line as a message.
    ///
    /// # Panics
    /// If the broker does not take them.
    pub fn publish_lines(&self, topic: &str, lines: &str) {
        let file = self.folder().join("lines");
        fs::write(&file, lines).expect("written");
        let mut command = self.client("mosquitto_pub");
        command.args(["-q", "1", "-t", topic, "-l"]);
        let lines = fs::File::open(&file).expect("just written");
        let output = command.stdin(lines).output().expect("it runs");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{error}");
    }

    /// Publishes a command for a site.
    pub fn command(&self, site: &str, command: &Value) {
        self.publish(
            &format!("cardea/v1/{site}/command"),
            command.to_string().as_bytes(),
        );
    }
}

/// Who hears everything.
pub struct Listener {
    process: Process,
    command: Command,
    /// All that was heard, in its order: topic and message.
    pub heard: Vec<(String, Value)>,
}

impl Listener {
    /// The next message that `is_it` takes.
    ///
    /// # Panics
    /// If none comes.
    pub fn hear(&mut self, is_it: impl Fn(&str, &Value) -> bool) -> Value {
        let begun = Instant::now();
        loop {
            let Some(line) = self.process.next_line() else {
                // It ends with the broker, and what it has missed is kept for it there.
                assert!(
                    begun.elapsed() < HANGS_AFTER,
                    "no broker\n{}",
                    self.process.log()
                );
                std::thread::park_timeout(BETWEEN_STARTS);
                self.process = Process::start(&mut self.command);
                continue;
            };
            let (topic, payload) = line.split_once(' ').expect("a topic and a message");
            let message: Value = serde_json::from_str(payload).unwrap_or_default();
            self.heard.push((topic.to_owned(), message.clone()));
            if is_it(topic, &message) {
                return message;
            }
        }
    }

    /// The next message of this kind (`event`, `result`, ..) that `is_it` takes.
    ///
    /// # Panics
    /// If none comes.
    pub fn hear_of(&mut self, kind: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        self.hear(|topic, message| topic.ends_with(&format!("/{kind}")) && is_it(message))
    }

    /// How a command ended.
    ///
    /// # Panics
    /// If nothing is heard of it.
    pub fn end_of(&mut self, command: &str) -> Value {
        self.hear_of("result", |result| {
            result["command"] == command && result["state"] != "accepted"
        })
    }
}

/// The status word of a site's Connect.
#[must_use]
pub fn status(site: &Site) -> String {
    fact(&site.done(&["connect", "status"]), "status")
}

/// Why the status is so.
#[must_use]
pub fn why(site: &Site) -> String {
    fact(&site.done(&["connect", "status"]), "why")
}

/// A fact of a table with the columns what and value.
#[must_use]
pub fn fact(table: &str, what: &str) -> String {
    let mut lines = table.lines().filter_map(|line| line.split_once('\t'));
    let found = lines.find(|(name, _)| *name == what);
    found.map_or_else(String::new, |(_, value)| value.to_owned())
}

/// Asks and has it done.
///
/// # Panics
/// If it is refused.
pub fn done(admin: &mut Admin, request: &Value) {
    let reply = admin.ask(request).expect("it answers");
    assert_eq!(reply["is"], "done", "{reply}");
}

/// A command, good for an hour.
#[must_use]
pub fn command(id: &str, what: &str, with: Value) -> Value {
    let now = std::time::SystemTime::now();
    let since = now
        .duration_since(std::time::UNIX_EPOCH)
        .expect("after 1970");
    command_until(id, what, with, since.as_secs() as i64 + 3_600)
}

/// A command that ends at this time, Unix seconds.
#[must_use]
pub fn command_until(id: &str, what: &str, with: Value, until_unix_s: i64) -> Value {
    json!({"v": 1, "id": id, "expires": date(until_unix_s), "do": what, "with": with})
}

/// RFC 3339, UTC.
#[must_use]
pub fn date(unix_s: i64) -> String {
    let (days, second) = (unix_s.div_euclid(86_400), unix_s.rem_euclid(86_400));
    // Days to a date, after Howard Hinnant's well-known algorithm.
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_shifted + 2) / 5 + 1;
    let month = if month_shifted < 10 {
        month_shifted + 3
    } else {
        month_shifted - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    listener.local_addr().expect("an address").port()
}

/// Debian's daemons are not on everybody's path.
fn sbin(name: &str) -> PathBuf {
    let path = Path::new("/usr/sbin").join(name);
    if path.exists() {
        path
    } else {
        PathBuf::from(name)
    }
}

fn private(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("it is ours");
}
