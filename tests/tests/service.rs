//! The server as a service: what it tells the service manager, the sockets that outlive it, and
//! the sandbox of its unit.

use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use cardea_tests::device::{heartbeat, new_id};
use cardea_tests::programs::program;
use cardea_tests::space::until;
use cardea_tests::{Device, Process, Site};
use cardea_wire::path;

fn package(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../tools/package")
        .join(name)
}

/// A test's own service manager: what it is told.
struct Manager {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Manager {
    fn new(site: &Site) -> Self {
        let path = site.file("notify");
        let socket = UnixDatagram::bind(&path).expect("a socket");
        let patience = Some(Duration::from_secs(60));
        socket.set_read_timeout(patience).expect("an option");
        Self { socket, path }
    }

    /// Reads until a message has this line.
    fn hears(&self, line: &str) {
        let mut bytes = [0; 4_096];
        loop {
            let length = self.socket.recv(&mut bytes).expect("never said");
            let message = String::from_utf8_lossy(&bytes[..length]).into_owned();
            if message.lines().any(|said| said == line) {
                return;
            }
        }
    }
}

/// Fails if READY comes before requests are served or not at all, if nothing feeds the watchdog,
/// or if the end is not announced.
#[test]
fn the_service_manager_hears_ready_alive_and_stopping() {
    let site = Site::new();
    let manager = Manager::new(&site);
    let mut command = site.command(&["serve"]);
    command
        .env("NOTIFY_SOCKET", &manager.path)
        .env("WATCHDOG_USEC", "400000");
    let server = site.serve_command(&mut command);
    manager.hears("READY=1");
    let mut device = site.device("front");
    assert_eq!(device.heartbeat().0, 200);
    for _ in 0..3 {
        manager.hears("WATCHDOG=1");
    }
    server.process.terminate();
    manager.hears("STOPPING=1");
    assert!(server.stop().contains("stopping"));
}

/// What systemd does at an upgrade: the socket stays open, the old server ends, the new one starts.
/// `systemd-socket-activate` opens the socket; the shell keeps it, as systemd would.
const UPGRADE: &str = "
    for server in old new; do
        bash -c 'export LISTEN_PID=$$; exec \"$@\"' bash \"$@\" &
        echo \"$server is $!\"
        wait $!
        echo \"$server ended with $?\"
    done
";

/// Fails if the server opens a socket of its own, or closes those that it inherits for others.
#[test]
fn no_connection_is_refused_while_the_new_server_takes_over() {
    let activate = "systemd-socket-activate";
    if Command::new(activate).arg("--version").output().is_err() {
        println!("SKIPPED: there is no {activate} here: apt-get install systemd");
        return;
    }
    // The port must be known beforehand.
    let free = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = free.local_addr().expect("bound");
    drop(free);
    let site = Site::with(&[("listen", &format!("\"{address}\""))]);
    let code = site.code("front");
    let mut command = Command::new(activate);
    command
        .args(["--listen", &address.to_string()])
        .args(["bash", "-c", UPGRADE, "bash"])
        .arg(program("cardea"))
        .arg("--data")
        .arg(site.data())
        .arg("serve");
    let mut process = Process::start(&mut command);
    until("the socket is open", || {
        process.log().contains("Listening on")
    });
    // Whoever comes first has the server started.
    let first_of_all = TcpStream::connect(address).expect("it listens");
    let old = process.line(|line| line.starts_with("old is "));
    process.line(|line| line.starts_with("ready on "));
    drop(first_of_all);
    let first = Device::commission(&code);

    let (going, asked) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicU32::new(0)));
    let (on, counter) = (Arc::clone(&going), Arc::clone(&asked));
    let asker = thread::spawn(move || {
        let mut device = first;
        while on.load(Ordering::SeqCst) {
            device.disconnect();
            TcpStream::connect(address).expect("no connection is refused");
            // A connection that the old server had accepted may end with it.
            if device
                .exchange(path::HEARTBEAT, &heartbeat(new_id()))
                .is_ok()
            {
                counter.fetch_add(1, Ordering::SeqCst);
            }
        }
        device
    });
    let answered = |more: u32| {
        let enough = asked.load(Ordering::SeqCst) + more;
        until("answers", || asked.load(Ordering::SeqCst) >= enough);
    };
    let end = |server: &str| {
        let pid = server.split_whitespace().next_back().expect("a number");
        let ended = Command::new("kill").args(["-TERM", pid]).status();
        assert!(ended.expect("kill runs").success());
    };
    answered(20);
    end(&old);
    process.line(|line| line == "old ended with 0");
    let new = process.line(|line| line.starts_with("new is "));
    process.line(|line| line.starts_with("ready on "));
    answered(20);
    going.store(false, Ordering::SeqCst);
    let mut device = asker.join().expect("no connection was refused");
    assert_eq!(device.heartbeat().0, 200, "the new server knows the device");
    end(&new);
    process.line(|line| line == "new ended with 0");
}

/// Fails if a line of the unit's sandbox is taken away that weighs more than 0.3.
#[test]
fn the_unit_is_sandboxed() {
    let unit = package("units/cardea.service");
    let analysed = Command::new("systemd-analyze")
        .args(["security", "--offline=true", "--threshold=15"])
        .arg(&unit)
        .output();
    let Ok(analysed) = analysed else {
        println!("SKIPPED: there is no systemd-analyze here: apt-get install systemd");
        return;
    };
    let said = String::from_utf8_lossy(&analysed.stdout);
    let level = said
        .lines()
        .find(|line| line.contains("Overall exposure level"));
    println!("{}", level.unwrap_or_default());
    assert!(level.is_some() && analysed.status.success(), "{said}");
    let text = std::fs::read_to_string(unit).expect("the unit");
    for line in [
        "LimitCORE=0",
        "MemorySwapMax=0",
        "Restart=on-failure",
        "CapabilityBoundingSet=",
    ] {
        assert!(text.lines().any(|found| found == line), "no {line}");
    }
}

/// Fails if the dashboard or an alert names a metric, or an answer, that the server does not have.
#[test]
fn dashboard_and_alerts_name_only_what_there_is() {
    let site = Site::new();
    let server = site.serve();
    let mut metrics = String::new();
    until("the first interval is over", || {
        let curl = ["-sk", &format!("https://{}/metrics", server.address)];
        let output = Command::new("curl").args(curl).output().expect("curl runs");
        metrics = String::from_utf8_lossy(&output.stdout).into_owned();
        metrics.contains("cardea_access_answers_total")
    });
    let mut named = 0;
    for file in ["monitoring/dashboard.json", "monitoring/alerts.yml"] {
        let text = std::fs::read_to_string(package(file)).expect("the file");
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        for word in text
            .split(|c| !is_name(c))
            .filter(|word| word.starts_with("cardea_"))
        {
            assert!(metrics.contains(word), "{file} names {word}");
            named += 1;
        }
        for reason in text.split("reason=\"").skip(1) {
            let reason = reason.split('"').next().expect("an end");
            let label = format!("reason=\"{reason}\"");
            assert!(metrics.contains(&label), "{file} names {reason}");
            named += 1;
        }
    }
    assert!(
        named > 20,
        "only {named} names were found: the test is blind"
    );
    server.stop();
}
