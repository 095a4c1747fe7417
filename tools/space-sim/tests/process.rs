//! The simulator as its own process: what it prints, and how it is commanded.
#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::Value;

struct Process {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    ready: Value,
}

impl Process {
    fn start(arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_space-sim"))
            .args([
                "--https",
                "0",
                "--tcp",
                "0",
                "--control",
                "0",
                "--users",
                "50",
            ])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let input = child.stdin.take();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        let ready = serde_json::from_str(&line).unwrap();
        Self {
            child,
            input,
            output,
            ready,
        }
    }

    /// A command on standard input.
    fn command(&mut self, command: &str) -> Value {
        writeln!(self.input.as_mut().unwrap(), "{command}").unwrap();
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    }

    /// A request to the control port: status and body.
    fn control(&self, request: &str) -> (u16, Value) {
        let address = self.ready["control"].as_str().unwrap();
        let mut socket = TcpStream::connect(address).unwrap();
        socket.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, serde_json::from_str(body).unwrap())
    }

    fn post(&self, command: &str) -> (u16, Value) {
        let length = command.len();
        self.control(&format!(
            "POST / HTTP/1.1\r\nContent-Length: {length}\r\n\r\n{command}"
        ))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // One that has ended already needs no ending.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn it_says_where_it_is_and_ends_with_its_input() {
    let mut process = Process::start(&[]);
    for name in ["https", "tcp", "control"] {
        let address = process.ready[name].as_str().unwrap();
        assert!(TcpStream::connect(address).is_ok(), "{name}");
    }
    assert_eq!(process.ready["fingerprint"].as_str().unwrap().len(), 64);
    assert_eq!(process.command("status")["users"], 50);
    drop(process.input.take());
    assert!(process.child.wait().unwrap().success());
}

#[test]
fn commands_come_by_input_and_by_the_control_port_alike() {
    let mut process = Process::start(&["--user-id", "P{n}", "--doors", "3"]);
    assert_eq!(process.command("users 2"), serde_json::json!(["P0", "P1"]));
    assert_eq!(
        process
            .control("GET /doors HTTP/1.1\r\n\r\n")
            .1
            .as_array()
            .unwrap()
            .len(),
        3
    );
    assert_eq!(process.post("remove P1").0, 200);
    assert_eq!(process.command("users 2"), serde_json::json!(["P0", "P10"]));
    assert_eq!(
        process.post("remove P1"),
        (400, serde_json::json!({ "error": "no such user" }))
    );
    process.command("restore");
    assert_eq!(process.command("status")["users"], 50);
    assert!(process.command("explode")["error"].is_string());
    assert_eq!(
        process.control("GET /ledger HTTP/1.1\r\n\r\n"),
        (200, serde_json::json!([]))
    );
    let before = process.ready["fingerprint"].clone();
    let changed = process.command("certificate");
    assert_ne!(changed["fingerprint"], before);
    assert!(
        changed["ca"]
            .as_str()
            .unwrap()
            .contains("BEGIN CERTIFICATE")
    );
}

#[test]
fn the_same_seed_makes_the_same_site() {
    let users = |seed: &str| {
        let arguments = ["--seed", seed, "--rights", "mixed"];
        Process::start(&arguments).command("users")
    };
    assert_eq!(users("5"), users("5"));
    assert_ne!(users("5"), users("6"));
}

#[test]
fn faults_come_on_schedule() {
    let mut process = Process::start(&["--fault", "hang on=open@0", "--fault", "clear@0.05"]);
    let mut lines = BufReader::new(process.child.stderr.take().unwrap()).lines();
    assert_eq!(
        lines.next().unwrap().unwrap(),
        "space-sim: fault hang on=open"
    );
    assert_eq!(lines.next().unwrap().unwrap(), "space-sim: clear");
    assert_eq!(process.command("status")["fault"], Value::Null);
}

#[test]
fn its_help_names_every_command() {
    let output = Command::new(env!("CARGO_BIN_EXE_space-sim"))
        .arg("--help")
        .output()
        .unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    for word in [
        "--latency",
        "--fault",
        "lost-reply",
        "half-page",
        "certificate",
        "ledger",
    ] {
        assert!(help.contains(word), "{word}");
    }
    let refused = Command::new(env!("CARGO_BIN_EXE_space-sim"))
        .args([
            "--https",
            "0",
            "--tcp",
            "0",
            "--control",
            "0",
            "--fault",
            "explode",
        ])
        .output()
        .unwrap();
    assert!(!refused.status.success());
    assert!(
        String::from_utf8(refused.stderr)
            .unwrap()
            .contains("COMMAND@SECOND")
    );
}
