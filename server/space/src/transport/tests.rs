//! Connections against servers that send given bytes.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread::{self, JoinHandle};

use super::http::{Call, exchange};
use super::link::{Link, connect};
use super::*;
use crate::limits::{HTTP_HEAD_BYTES_MAX, REQUEST_BYTES_MAX};

const LONG: Duration = Duration::from_secs(60);
const BODY_MAX: usize = 100;

/// A listener whose one connection is given to `serve`, and a link to it.
fn served(serve: impl FnOnce(TcpStream) + Send + 'static) -> (Link, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = thread::spawn(move || serve(listener.accept().unwrap().0));
    let socket = connect(&[address], Instant::now() + LONG).unwrap();
    (Link::plain(socket), server)
}

/// Reads a request up to the end of its body.
fn read_request(socket: &mut TcpStream) -> String {
    let mut request = Vec::new();
    let mut byte = [0];
    while !request.ends_with(b"</end>") {
        assert_eq!(socket.read(&mut byte).unwrap(), 1, "the request has an end");
        request.push(byte[0]);
    }
    String::from_utf8(request).unwrap()
}

fn ask(link: &mut Link) -> Result<Answer, CallError> {
    let call = Call {
        host: "space.example:8100",
        key: "KEY",
        message: "<end></end>",
        body_max: BODY_MAX,
        deadline: Instant::now() + LONG,
    };
    exchange(link, &call, &|| true)
}

/// What comes of an answer in these bytes, after which the server closes.
fn answered(bytes: impl Into<Vec<u8>>) -> Result<Answer, CallError> {
    let bytes = bytes.into();
    let (mut link, server) = served(move |mut socket| {
        read_request(&mut socket);
        // The client may have seen enough and closed.
        let _ = socket.write_all(&bytes);
        let _ = socket.shutdown(Shutdown::Write);
        while socket.read(&mut [0; 1024]).is_ok_and(|count| count > 0) {}
    });
    let outcome = ask(&mut link);
    drop(link);
    server.join().unwrap();
    outcome
}

fn lost(bytes: impl Into<Vec<u8>>) -> Fault {
    match answered(bytes) {
        Err(CallError::Lost(fault)) => fault,
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("answered"),
    }
}

#[test]
fn the_request_is_one_that_public_clients_send() {
    let (mut link, server) = served(|mut socket| {
        let request = read_request(&mut socket);
        let (head, body) = request.split_once("\r\n\r\n").unwrap();
        let mut lines: Vec<_> = head.lines().map(str::to_ascii_lowercase).collect();
        assert_eq!(lines.remove(0), "post / http/1.1");
        lines.sort_unstable();
        let expected = [
            "content-length: 11",
            "content-type: application/vnd.saltosystems.ship.v1+xml",
            "host: space.example:8100",
            "salto-ship-key: key",
        ];
        assert_eq!(lines, expected);
        assert_eq!(body, "<end></end>");
        socket
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
            .unwrap();
    });
    let answer = ask(&mut link).unwrap();
    assert_eq!(
        (answer.body.as_slice(), answer.keep_alive),
        (b"hi".as_slice(), true)
    );
    server.join().unwrap();
}

#[test]
fn answers_of_every_framing_are_read() {
    let body = |bytes: &str| answered(bytes).map(|answer| (answer.body, answer.keep_alive));
    let known = body("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc").unwrap();
    assert_eq!(known, (b"abc".to_vec(), true));
    let chunked =
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n";
    assert_eq!(body(chunked).unwrap(), (b"abc".to_vec(), true));
    let until_close = body("HTTP/1.1 200 OK\r\n\r\nabc").unwrap();
    assert_eq!(until_close, (b"abc".to_vec(), false));
    let old = body("HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nabc").unwrap();
    assert_eq!(old, (b"abc".to_vec(), false));
    let closing = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc";
    assert_eq!(body(closing).unwrap(), (b"abc".to_vec(), false));
    let interim = format!(
        "HTTP/1.1 100 Continue\r\n\r\n{}",
        closing.replace("close", "keep-alive")
    );
    assert_eq!(body(&interim).unwrap(), (b"abc".to_vec(), true));
    let empty = body("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
    assert_eq!(empty, (Vec::new(), true));
}

#[test]
fn more_than_was_asked_for_ends_the_connection() {
    let two = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcHTTP/1.1 200 OK\r\n";
    let answer = answered(two).unwrap();
    assert_eq!((answer.body, answer.keep_alive), (b"abc".to_vec(), false));
}

#[test]
fn broken_answers_are_lost_and_other_statuses_are_named() {
    for bytes in [
        "",
        "HTTP/1.1 200 OK\r\nContent-Le",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc",
    ] {
        assert_eq!(lost(bytes), Fault::Closed, "{bytes:?}");
    }
    for bytes in [
        "SSH-2.0-server\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: abc\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
    ] {
        assert!(matches!(lost(bytes), Fault::Http(_)), "{bytes:?}");
    }
    for status in [204, 301, 401, 404, 500, 503] {
        let bytes = format!("HTTP/1.1 {status} X\r\nLocation: /\r\nContent-Length: 0\r\n\r\n");
        assert_eq!(answered(bytes).err(), Some(CallError::Status(status)));
    }
}

#[test]
fn heads_and_bodies_are_bounded_in_every_framing() {
    let full = "x".repeat(BODY_MAX);
    let more = "x".repeat(BODY_MAX + 1);
    let known = |body: &str| {
        format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let until_close = |body: &str| format!("HTTP/1.1 200 OK\r\n\r\n{body}");
    let chunked = |body: &str| {
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        format!("{head}{:x}\r\n{body}\r\n0\r\n\r\n", body.len())
    };
    let framings: [&dyn Fn(&str) -> String; 3] = [&known, &until_close, &chunked];
    for framing in framings {
        assert_eq!(answered(framing(&full)).unwrap().body.len(), BODY_MAX);
        assert_eq!(lost(framing(&more)), Fault::TooLarge(BODY_MAX));
    }
    // Announced and never sent: refused before anything is kept for it.
    let huge = "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n";
    assert_eq!(lost(huge), Fault::TooLarge(BODY_MAX));
    let long_head = format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(HTTP_HEAD_BYTES_MAX));
    assert_eq!(lost(long_head), Fault::TooLarge(HTTP_HEAD_BYTES_MAX));
}

#[test]
fn a_request_beyond_the_limit_is_not_begun() {
    let (mut link, server) = served(|mut socket| {
        assert_eq!(socket.read(&mut [0; 10]).unwrap(), 0, "nothing was sent");
    });
    let long = vec![b'x'; REQUEST_BYTES_MAX + 1];
    let (sent, outcome) = link.send(&long, Instant::now() + LONG);
    assert_eq!(
        (sent, outcome),
        (0, Err(Fault::RequestTooLarge(REQUEST_BYTES_MAX)))
    );
    let message = "x".repeat(REQUEST_BYTES_MAX);
    let call = Call {
        host: "h",
        key: "k",
        message: &message,
        body_max: BODY_MAX,
        deadline: Instant::now() + LONG,
    };
    let refused = exchange(&mut link, &call, &|| true).err();
    let too_large = Fault::RequestTooLarge(REQUEST_BYTES_MAX);
    assert_eq!(refused, Some(CallError::NotSent(too_large)));
    drop(link);
    server.join().unwrap();
}

#[test]
fn a_deadline_that_is_over_or_a_last_no_sends_nothing() {
    let (mut link, server) = served(|mut socket| {
        assert_eq!(socket.read(&mut [0; 10]).unwrap(), 0, "nothing was sent");
    });
    let over = send(&mut link, b"x", Instant::now(), &|| true);
    assert_eq!(over, Err(CallError::NotSent(Fault::Deadline)));
    let forbidden = send(&mut link, b"x", Instant::now() + LONG, &|| false);
    assert_eq!(forbidden, Err(CallError::NotSent(Fault::Withheld)));
    drop(link);
    server.join().unwrap();
}

#[test]
fn a_connection_is_quiet_until_the_other_side_sends_or_closes() {
    for bytes in [b"".as_slice(), b"unasked"] {
        let (ready, waits) = crossbeam_channel::bounded(0);
        let (mut link, server) = served(move |mut socket| {
            waits.recv().unwrap();
            socket.write_all(bytes).unwrap();
        });
        assert!(link.is_quiet());
        assert!(link.is_quiet());
        ready.send(()).unwrap();
        server.join().unwrap();
        assert!(!link.is_quiet(), "{bytes:?}");
    }
    assert!(is_fresh(IDLE_MAX - Duration::from_millis(1)));
    assert!(!is_fresh(IDLE_MAX));
}

#[test]
fn nobody_at_an_address_is_said_so_and_the_next_one_is_tried() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let closed = listener.local_addr().unwrap();
    drop(listener);
    let deadline = Instant::now() + LONG;
    assert!(matches!(
        connect(&[closed], deadline),
        Err(Fault::Connect(_))
    ));
    assert!(matches!(connect(&[], deadline), Err(Fault::Resolve)));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let open = listener.local_addr().unwrap();
    assert!(connect(&[closed, open], deadline).is_ok());
    assert!(matches!(
        connect(&[open], Instant::now()),
        Err(Fault::Deadline)
    ));
}
