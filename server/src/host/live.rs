//! What only the running machine can tell: who can be reached from it, and whether its clock is
//! right. Each question has a deadline.

use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _, UdpSocket};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use super::Check;

/// Until an answer must be there, for a name and for a connection each.
const PATIENCE: Duration = Duration::from_secs(4);
/// Who has the time, unless it is said otherwise.
pub const TIME_HOST: &str = "time.cloudflare.com";
/// An SNTP request: version 4, client.
const ASK_TIME: u8 = 0x23;
const SNTP_BYTES: usize = 48;

/// Whether time, HTTPS and MQTT can be reached, and the clock is kept.
#[must_use]
pub fn checks(time_host: &str, service_host: Option<&str>) -> Vec<Check> {
    let mut checks = vec![time_reachable(time_host)];
    for (name, port) in [("outbound 443", 443), ("outbound 8883", 8_883)] {
        checks.push(match service_host {
            Some(host) => service_reachable(name, host, port),
            None => Check::warn(
                name,
                "not tried",
                "name the host of XS4 Face Connect with --connect HOST",
            ),
        });
    }
    checks.push(clock());
    checks
}

fn time_reachable(host: &str) -> Check {
    const NAME: &str = "outbound 123";
    match resolve(host, 123).and_then(ask_time) {
        Ok(()) => Check::pass(NAME, host),
        Err(why) => {
            let advice = "let UDP 123 out, or name another host with --time-host";
            Check::fail(NAME, format!("{host}: {why}"), advice)
        }
    }
}

fn ask_time(server: SocketAddr) -> Result<(), String> {
    let words = |error: std::io::Error| error.to_string();
    let any: SocketAddr = match server {
        SocketAddr::V4(_) => ([0, 0, 0, 0], 0).into(),
        SocketAddr::V6(_) => ([0_u16; 8], 0).into(),
    };
    let socket = UdpSocket::bind(any).map_err(words)?;
    socket.set_read_timeout(Some(PATIENCE)).map_err(words)?;
    socket.connect(server).map_err(words)?;
    let mut message = [0; SNTP_BYTES];
    message[0] = ASK_TIME;
    socket.send(&message).map_err(words)?;
    match socket.recv(&mut message) {
        Ok(SNTP_BYTES..) => Ok(()),
        Ok(_) => Err("no answer of the protocol".to_owned()),
        Err(_) => Err("no answer".to_owned()),
    }
}

fn service_reachable(name: &'static str, host: &str, port: u16) -> Check {
    let connected = resolve(host, port).and_then(|address| {
        TcpStream::connect_timeout(&address, PATIENCE).map_err(|error| error.to_string())
    });
    match connected {
        Ok(_) => Check::pass(name, host),
        Err(why) => {
            let advice = format!("let TCP {port} out to it");
            Check::fail(name, format!("{host}: {why}"), advice)
        }
    }
}

/// The first address of a name. The system's resolver has deadlines of its own, some of them long:
/// a thread is left to it.
fn resolve(host: &str, port: u16) -> Result<SocketAddr, String> {
    let (found, answer) = mpsc::channel();
    let asked = (host.to_owned(), port);
    thread::spawn(move || {
        let first = asked.to_socket_addrs().map(|mut all| all.next());
        // Nobody waits any more: it came too late.
        let _ = found.send(first);
    });
    match answer.recv_timeout(PATIENCE) {
        Ok(Ok(Some(address))) => Ok(address),
        Ok(Ok(None)) => Err("the name has no address".to_owned()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("the name server does not answer".to_owned()),
    }
}

fn clock() -> Check {
    const NAME: &str = "time in sync";
    let answers = [
        output("chronyc", &["-c", "tracking"]).map(|text| chrony_is_in_sync(&text)),
        output("timedatectl", &["show", "-p", "NTPSynchronized", "--value"])
            .map(|text| text.trim() == "yes"),
    ];
    match answers
        .into_iter()
        .flatten()
        .reduce(|one, other| one || other)
    {
        Some(true) => Check::pass(NAME, "yes"),
        Some(false) => {
            let advice = "devices take their time from here: see `chronyc sources`";
            Check::fail(NAME, "no", advice)
        }
        None => Check::warn(
            NAME,
            "unknown",
            "neither chronyc nor timedatectl says: install chrony",
        ),
    }
}

/// The last field of `chronyc -c tracking` is the leap status.
fn chrony_is_in_sync(text: &str) -> bool {
    let last = text.trim().rsplit(',').next();
    last.is_some_and(|leap| leap == "Normal" || leap.ends_with("second"))
}

fn output(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    output.status.success().then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_leap_status_says_whether_chrony_follows() {
        assert!(chrony_is_in_sync(
            "A29FC801,x,3,1795.1,0.0,1,1,-5,0,0.1,0.03,0.0002,64.2,Normal\n"
        ));
        assert!(!chrony_is_in_sync(
            "00000000,,0,0.0,0.0,0,0,0,0,0,1,1,0,Not synchronised\n"
        ));
    }

    /// Fails if the answer is not waited for, or anything passes for it.
    #[test]
    fn a_time_server_is_one_that_answers() {
        let server = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        let address = server.local_addr().expect("bound");
        let answering = thread::spawn(move || {
            let mut message = [0; 100];
            for length in [SNTP_BYTES, 3] {
                let (_, from) = server.recv_from(&mut message).expect("asked");
                server.send_to(&message[..length], from).expect("sent");
            }
        });
        assert_eq!(ask_time(address), Ok(()));
        assert!(ask_time(address).is_err());
        answering.join().expect("it answered twice");
    }
}
