//! A mail relay: aiosmtpd, by PyPI.

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::process::Process;
use crate::python::python_with;

/// The real thing, at a fixed version.
const PACKAGE: &str = "aiosmtpd==1.4.6";

/// A running relay.
pub struct Relay {
    process: Process,
    /// Its port at 127.0.0.1.
    pub port: u16,
}

/// A message that it kept.
#[derive(Debug, Clone)]
pub struct Kept(pub Value);

impl Kept {
    /// The text of a field: `from`, `subject`, `text`.
    #[must_use]
    pub fn text(&self, field: &str) -> &str {
        self.0[field].as_str().unwrap_or_default()
    }

    /// The path of the page that its link leads to.
    ///
    /// # Panics
    /// If it has none.
    #[must_use]
    pub fn path(&self) -> String {
        let words = self.text("text").split_whitespace();
        let mut links = words.filter(|word| word.starts_with("https://"));
        path_of(links.next().expect("a link"))
    }
}

/// The path of an address.
///
/// # Panics
/// If it is none.
#[must_use]
pub fn path_of(address: &str) -> String {
    let at = address.find("/enrol/").expect("a link to a person's page");
    address[at..].trim().to_owned()
}

impl Relay {
    /// Starts one.
    #[must_use]
    pub fn start(arguments: &[&str]) -> Self {
        Self::start_at(free_port(), arguments)
    }

    /// Starts one at a port.
    #[must_use]
    pub fn start_at(port: u16, arguments: &[&str]) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("mail/sink.py");
        let mut command = Command::new(python_with(PACKAGE));
        command.arg(script).arg(port.to_string()).args(arguments);
        let mut process = Process::start(&mut command);
        process.line(|line| line.starts_with("ready on "));
        Self { process, port }
    }

    /// Waits for the next message.
    ///
    /// # Panics
    /// If none comes.
    pub fn message(&mut self) -> Kept {
        let line = self.process.line(|line| line.starts_with('{'));
        Kept(serde_json::from_str(&line).expect("a line of JSON"))
    }
}

/// A port that nobody listens at.
///
/// # Panics
/// If there is none.
#[must_use]
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    listener.local_addr().expect("it is bound").port()
}
