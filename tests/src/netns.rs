//! Network namespaces: machines on a wire, as far as packets can tell.

use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// A namespace; it goes with the value, and with it its ends of wires.
pub struct Netns {
    name: String,
}

impl Netns {
    /// Why there can be no namespaces here, if so. A test that returns for it prints it.
    #[must_use]
    pub fn impossible() -> Option<String> {
        let name = name("try");
        let made = Command::new("ip").args(["netns", "add", &name]).output();
        match made {
            Ok(output) if output.status.success() => {
                drop(Self { name });
                None
            }
            Ok(output) => Some(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
            Err(error) => Some(format!("ip: {error}")),
        }
    }

    /// A machine of its own, connected to nothing.
    #[must_use]
    pub fn new(what: &str) -> Self {
        let name = name(what);
        run("ip", &["netns", "add", &name]);
        let made = Self { name };
        made.done("ip", &["link", "set", "lo", "up"]);
        made
    }

    /// A wire between two machines, with these addresses (`10.0.0.1/24`) at its ends.
    pub fn wire(one: &Self, one_addresses: &[&str], other: &Self, other_addresses: &[&str]) {
        let number = NUMBER.fetch_add(1, Ordering::SeqCst);
        let id = std::process::id() % 100_000;
        let (a, b) = (format!("ca{id}x{number}"), format!("cb{id}x{number}"));
        run(
            "ip",
            &["link", "add", &a, "type", "veth", "peer", "name", &b],
        );
        for (end, netns, addresses) in [(&a, one, one_addresses), (&b, other, other_addresses)] {
            run("ip", &["link", "set", end, "netns", &netns.name]);
            for address in addresses {
                netns.done("ip", &["addr", "add", address, "dev", end]);
            }
            netns.done("ip", &["link", "set", end, "up"]);
        }
    }

    /// A program, to be run in it.
    #[must_use]
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name, program]);
        command
    }

    /// Runs a program in it and gives what it printed.
    ///
    /// # Panics
    /// If it fails.
    pub fn done(&self, program: &str, arguments: &[&str]) -> String {
        let output = self.output(program, arguments);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{program} {arguments:?}: {error}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Runs a program in it, whatever comes of it.
    ///
    /// # Panics
    /// If there is no such program.
    #[must_use]
    pub fn output(&self, program: &str, arguments: &[&str]) -> Output {
        self.command(program)
            .args(arguments)
            .output()
            .expect("ip runs")
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        // Processes that still run in it keep what they use; nobody can be told.
        let _ = Command::new("ip")
            .args(["netns", "del", &self.name])
            .status();
    }
}

fn name(what: &str) -> String {
    let number = NUMBER.fetch_add(1, Ordering::SeqCst);
    format!("cardea-{}-{what}{number}", std::process::id())
}

fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}"));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {error}");
}
