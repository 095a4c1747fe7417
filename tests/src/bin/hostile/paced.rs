//! Lanes that come, do harm once, and leave: so many a second.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::aim::{Aim, Lane};
use super::badges;

/// What framing must refuse, and with which status.
const LIES: [(&str, &str); 14] = [
    ("GET / HTTP/1.1\nHost: a\n\n", "400"),
    ("GET / HTTP/1.1\r\nHost: a\r\nx: y\r\n z\r\n\r\n", "400"),
    ("GET / HTTP/1.1\r\n\r\n", "400"),
    ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "400"),
    ("GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n", "400"),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        "400",
    ),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\nhello",
        "400",
    ),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n\
         0\r\n\r\nGET /metrics HTTP/1.1\r\nHost: a\r\n\r\n",
        "400",
    ),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "411",
    ),
    ("POST / HTTP/1.1\r\nHost: a\r\n\r\n", "411"),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n",
        "413",
    ),
    (
        "GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n",
        "417",
    ),
    ("CHEAT / HTTP/1.1\r\nHost: a\r\n\r\n", "501"),
    ("GET / HTTP/1.0\r\nHost: a\r\n\r\n", "505"),
];

/// Attempts `rate` times a second until it is over; an attempt that takes long costs the next.
pub(crate) fn run(aim: &Aim, lane: Lane, rate: usize) {
    let began = Instant::now();
    let mut number = 0;
    while !aim.is_over() {
        match lane {
            Lane::Flood => flood(aim, number),
            Lane::Garbage => garbage(aim, number),
            Lane::Liar => lie(aim, number),
            Lane::Badge => badges::show(aim, number),
            Lane::Idle | Lane::Trickle | Lane::Stall | Lane::Deaf => return,
        }
        number += 1;
        let next = Duration::from_secs_f64(number as f64 / rate as f64);
        std::thread::sleep(next.saturating_sub(began.elapsed()));
    }
}

/// Makes the server sign, and half of the time does not even look at it.
fn flood(aim: &Aim, number: usize) {
    if number.is_multiple_of(2) {
        if aim.peer(Lane::Flood, 0).is_some() {
            aim.count_sent(Lane::Flood);
        }
    } else if let Some(mut socket) = aim.socket(Lane::Flood, 0) {
        let mut hello = Vec::new();
        let written = aim.greeting().write_tls(&mut hello);
        if written.is_ok() && socket.write_all(&hello).is_ok() {
            aim.count_sent(Lane::Flood);
        }
        // The server's half of the handshake is made before anybody sees that nobody is there.
        let _ = socket.read(&mut [0; 64]);
    }
}

/// Sends what is not TLS 1.3, and sees the connection end.
fn garbage(aim: &Aim, number: usize) {
    let zeros = [0; 2_000];
    let plain = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";
    let old = [22, 3, 1, 0, 5, 1, 0, 0, 1, 0];
    let long = [22, 3, 3, 0xff, 0xff, 1, 0, 0xff, 0xff, 3, 3];
    let bytes = [&zeros[..], plain, &old, &long][number % 4];
    let Some(mut socket) = aim.socket(Lane::Garbage, 0) else {
        return;
    };
    if socket.write_all(bytes).is_ok() {
        aim.count_sent(Lane::Garbage);
    }
    if ends(&mut socket) {
        aim.count_closed(Lane::Garbage);
    }
}

fn ends(socket: &mut TcpStream) -> bool {
    let _ = socket.shutdown(Shutdown::Write);
    let mut read = [0; 256];
    loop {
        match socket.read(&mut read) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return error.kind() != std::io::ErrorKind::WouldBlock,
        }
    }
}

/// Sends what framing must refuse, and reads how.
fn lie(aim: &Aim, number: usize) {
    let (lie, status) = LIES[number % LIES.len()];
    let Some(mut peer) = aim.peer(Lane::Liar, 0) else {
        return;
    };
    if peer.send(lie.as_bytes()).is_err() {
        return aim.count_closed(Lane::Liar);
    }
    aim.count_sent(Lane::Liar);
    let answer = peer.read_to_end();
    let expected = format!("HTTP/1.1 {status} ");
    // One answer, and then the end.
    let answers = answer
        .windows(12)
        .filter(|head| head.starts_with(b"HTTP/1.1 ") && head[9..].iter().all(u8::is_ascii_digit));
    if answers.count() != 1 || !answer.starts_with(expected.as_bytes()) {
        eprintln!("{lie:?} got {:?}", String::from_utf8_lossy(&answer));
        aim.wrong.fetch_add(1, Ordering::Relaxed);
    }
}
